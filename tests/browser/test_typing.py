"""Typing instead of speaking, in a real browser against a scripted server."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from babblefish.wire import server_messages
from tests.support.browser import QUIET, ScriptedServer, join, joined, result, wait_for_state, wait_until

pytestmark = pytest.mark.slow

NO_MICROPHONE = """
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"));
"""


def said(server: ScriptedServer) -> list[str]:
    """Return what was typed and arrived."""
    return [control["text"] for control in server.controls if control["type"] == "say"]


def test_enter_sends_what_was_typed_and_shift_enter_makes_a_line(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    words = page.get_by_role("textbox", name="Type instead of speaking")
    words.fill("Kowalczyk")
    height = words.evaluate("field => field.offsetHeight")
    words.press("Shift+Enter")
    words.type("with a K m")  # neither key mutes or talks here
    assert words.evaluate("field => field.offsetHeight") > height
    words.press("Enter")
    wait_until(page, lambda: said(server) == ["Kowalczyk\nwith a K m"], "it is sent")
    expect(words).to_have_value("")
    words.press("Enter")
    words.fill("  ")
    page.get_by_role("button", name="Send").click()
    words.fill("Yes.")
    page.get_by_role("button", name="Send").click()
    wait_until(page, lambda: said(server) == ["Kowalczyk\nwith a K m", "Yes."], "nothing empty is sent")
    expect(words).to_be_focused()
    assert page.locator("#mute").get_attribute("aria-pressed") == "false"


def test_an_input_method_that_takes_enter_for_itself_sends_nothing(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    page.locator("#words").fill("にほ")
    page.evaluate("""() => document.getElementById("words").dispatchEvent(
        new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true }))""")
    page.wait_for_timeout(200)
    assert said(server) == []
    expect(page.locator("#words")).to_have_value("にほ")


def test_who_has_no_microphone_can_type_and_sees_that_it_is_translated(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(NO_MICROPHONE)
    page.goto(server.url)
    join(page)
    wait_for_state(page, "no-microphone")
    expect(page.locator("#detail")).to_contain_text("You can still listen and type.")
    page.locator("#words").fill("Good evening")
    page.locator("#words").press("Enter")
    wait_until(page, lambda: said(server) == ["Good evening"], "it is sent")
    server.send(
        result(1, client_id="me", typed=True, source_text="Good evening", translation="Good evening"), result(2)
    )
    expect(page.locator("#captions > li.mine")).to_contain_text("Good evening")
    expect(page.get_by_role("img", name="typed")).to_have_count(1)


def test_without_a_connection_nothing_is_sent_and_the_words_stay(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.door.clear()
    server.drop()
    wait_for_state(page, "reconnecting")
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    page.locator("#words").fill("later")
    page.locator("#words").press("Enter")
    expect(page.locator("#words")).to_have_value("later")
    server.door.set()
    wait_for_state(page, *QUIET)
    expect(page.locator("#words")).to_have_value("later")
    page.get_by_role("button", name="Send").click()
    wait_until(page, lambda: said(server) == ["later"], "it is sent")


def test_words_that_are_refused_come_back_unless_others_were_typed(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    words = page.locator("#words")
    words.fill("Good evening")
    words.press("Enter")
    wait_until(page, lambda: len(said(server)) == 1, "it is sent")
    server.send(server_messages.Error(code="no_speech", message="no words", utterance_id="spoken"))
    expect(page.locator("#note")).to_have_text("No speech detected.")
    expect(words).to_have_value("")
    server.send(server_messages.Error(code="overloaded", message="busy", utterance_id="utterance_1"))
    expect(page.locator("#note")).to_have_text("The server was too busy to translate that.")
    expect(words).to_have_value("Good evening")
    server.send(result(1, client_id="me", typed=True))  # it was another that was refused
    expect(words).to_have_value("")
    words.fill("One")
    words.press("Enter")
    words.fill("Two")
    server.send(server_messages.Error(code="invalid_message", message="too long"))
    expect(page.locator("#note")).to_have_text("Too long.")
    expect(words).to_have_value("Two")
