"""Fixtures of the tests in a browser: a scripted server and a page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.support.browser import (
    ABOVE_NYQUIST_HZ,
    PAGE,
    TONE_HZ,
    TONE_S,
    ScriptedServer,
    browser_hearing,
    microphone_file,
    scripted_server,
    tone,
)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    sound = tone(TONE_S, TONE_HZ, ABOVE_NYQUIST_HZ, rate_hz=48_000)
    wav = microphone_file(tmp_path_factory.mktemp("microphone") / "tone.wav", sound, 48_000)
    with browser_hearing(playwright, wav) as browser:
        yield browser


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: ScriptedServer) -> Iterator[Page]:
    """A page in a context of its own, which may speak to nobody but the server and must not raise."""
    context = browser.new_context()
    page = context.new_page()
    requests, errors = list[str](), list[str]()
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    own = (server.url, PAGE.as_uri(), "blob:", "data:")
    assert requests
    assert [url for url in requests if not url.startswith(own)] == []
    assert errors == []
