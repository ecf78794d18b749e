"""The page of V1's socket servers in a real browser, against a real server with the real engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import soundfile
from playwright.sync_api import Page, Playwright, expect

from tests.support.browser import browser_hearing, microphone_file
from tests.support.legacy import process
from tests.support.serving import FRENCH_SPEECH

pytestmark = pytest.mark.slow

COUNT_PLAYED = """
  window.played = 0;
  const start = AudioBufferSourceNode.prototype.start;
  AudioBufferSourceNode.prototype.start = function (...when) {
    if (this.context instanceof AudioContext) window.played += this.buffer.duration;
    return start.apply(this, when);
  };
"""


@pytest.fixture(scope="module")
def opened(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page, with French at the microphone; it must not raise, nor speak to another host."""
    folder = tmp_path_factory.mktemp("legacy")
    samples, rate_hz = soundfile.read(FRENCH_SPEECH, dtype="float32")
    wav = microphone_file(folder / "french.wav", samples, rate_hz)
    with (
        process("realtime_server_multispeaker", folder / "log") as port,
        browser_hearing(playwright, wav) as browser,
    ):
        page = browser.new_page()
        requests, errors = list[str](), list[str]()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.add_init_script(COUNT_PLAYED)
        page.goto(f"http://127.0.0.1:{port}/")
        yield page
        assert [url for url in requests if not url.startswith((f"http://127.0.0.1:{port}/", "blob:", "data:"))] == []
        assert errors == []


def test_a_recording_is_read_in_the_chosen_language_with_the_speaker_and_heard(opened: Page) -> None:
    expect(opened.get_by_label("You read")).to_have_value("eng_Latn")
    opened.get_by_label("or play a recording").set_input_files(FRENCH_SPEECH)
    first = opened.locator("#results > li").first
    expect(first.locator(".said")).to_contain_text("fra_Latn", timeout=60_000)
    expect(first.locator(".speaker")).to_have_text("Speaker 1")
    assert first.locator(".meaning").inner_text() != ""
    expect(opened.locator("#speakers")).to_contain_text("Speaker 1 (")
    opened.wait_for_function("() => window.played > 0.5", timeout=60_000)


def test_what_the_microphone_hears_becomes_text(opened: Page) -> None:
    opened.reload()
    opened.get_by_label("You read").select_option("spa_Latn")
    opened.get_by_role("button", name="Talk").click()
    expect(opened.get_by_role("status")).to_have_text("Listening", timeout=30_000)
    expect(opened.locator(".said").first).to_contain_text("fra_Latn", timeout=60_000)
    opened.get_by_role("button", name="Stop").click()
    expect(opened.get_by_role("button", name="Talk")).to_be_visible()
