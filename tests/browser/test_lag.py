"""The notice that the translation is late, in a real browser against a scripted server."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import QUIET, ScriptedServer, joined, wait_for_state, wait_until

pytestmark = pytest.mark.slow


def test_how_far_the_translation_is_behind_is_shown_until_it_is_not(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    notice = page.locator("#lag")
    expect(notice).to_be_hidden()
    server.say({"type": "behind", "seconds": 7.2, "without": ["interim", "something new"]})
    expect(notice).to_have_text("The translation is 8 s behind. Interim captions are paused.")
    expect(page.locator("#announcement")).to_have_text("The translation is 8 s behind. Interim captions are paused.")
    page.evaluate("document.getElementById('announcement').textContent = ''")
    server.say({"type": "behind", "seconds": 11.3, "without": ["interim", "early_speech"]})
    expect(notice).to_have_text(
        "The translation is 12 s behind. Interim captions are paused. Only the end of long speech is read aloud."
    )
    server.say({"type": "behind", "seconds": 16.0, "without": ["interim", "early_speech", "speech"]})
    expect(notice).to_have_text(
        "The translation is 16 s behind. Interim captions are paused. New results are not read aloud."
    )
    server.say({"type": "behind", "seconds": 9.0, "without": []})
    expect(notice).to_have_text("The translation is 9 s behind.")
    expect(page.locator("#announcement")).to_have_text("")  # it is read out once
    server.say({"type": "behind", "seconds": 0.0, "without": []})
    expect(notice).to_be_hidden()


def test_the_notice_goes_with_the_connection(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.say({"type": "behind", "seconds": 12})
    expect(page.locator("#lag")).to_be_visible()
    server.drop()
    wait_until(page, lambda: len(server.joins) == 2, "the page comes back")
    wait_for_state(page, *QUIET)
    expect(page.locator("#lag")).to_be_hidden()
