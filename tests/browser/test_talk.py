"""Push-to-talk, in a real browser against a scripted server."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import QUIET, ScriptedServer, join, joined, result, tone_wav, wait_for_state, wait_until

pytestmark = pytest.mark.slow

FLUSH = {"type": "flush"}


@pytest.fixture
def talk(page: Page, server: ScriptedServer) -> Locator:
    """The button of a page that has joined and changed to push-to-talk."""
    joined(page, server)
    page.get_by_role("switch", name="Push to talk").check()
    wait_for_state(page, "released")
    wait_until(page, lambda: server.controls == [FLUSH], "what was said hands-free is ended")
    server.controls.clear()
    server.frames.clear()
    return page.get_by_role("button", name="Hold to talk")


def held_and_released(page: Page, server: ScriptedServer) -> None:
    """Let the page talk for a while; the caller has pressed and will find it released by what it does next."""
    wait_for_state(page, "talking")
    wait_until(page, lambda: len(server.frames) > 15, "sound arrives")
    assert server.controls == [], "nothing ends while the button is held"


def silent_again(page: Page, server: ScriptedServer) -> None:
    """Assert that the utterance was ended once, and that nothing is sent after it."""
    wait_until(page, lambda: server.controls == [FLUSH], "letting go ends the utterance")
    sent = len(server.frames)
    page.wait_for_timeout(300)
    assert len(server.frames) == sent
    assert server.controls == [FLUSH]


def test_nothing_is_sent_until_the_button_is_held_and_letting_go_ends_the_utterance(
    page: Page, server: ScriptedServer, talk: Locator
) -> None:
    page.wait_for_timeout(500)
    assert server.frames == []
    talk.hover()
    page.mouse.down()
    held_and_released(page, server)
    expect(talk).to_have_attribute("aria-pressed", "true")
    page.mouse.up()
    silent_again(page, server)
    expect(talk).to_have_attribute("aria-pressed", "false")
    assert page.evaluate("document.body.dataset.state") in ("translating", "released")


def test_the_first_syllable_is_not_lost(page: Page, server: ScriptedServer, talk: Locator) -> None:
    page.wait_for_timeout(600)
    talk.dispatch_event("pointerdown", {"button": 0, "pointerId": 1})  # all before the next frame of the microphone
    talk.dispatch_event("pointerup", {"button": 0, "pointerId": 1})
    wait_until(page, lambda: FLUSH in server.controls, "letting go ends the utterance")
    assert 8 <= len(server.frames) <= 14, "what the microphone heard just before, 400 ms, comes along"


def test_the_space_bar_talks_wherever_one_is_not_typing(page: Page, server: ScriptedServer, talk: Locator) -> None:
    page.locator("#scroller").focus()
    page.keyboard.down("Space")
    page.keyboard.down("Space")  # keys repeat while they are held
    held_and_released(page, server)
    page.keyboard.up("Space")
    silent_again(page, server)


def test_the_button_itself_is_held_with_space_and_enter(page: Page, server: ScriptedServer, talk: Locator) -> None:
    for key in ("Space", "Enter"):
        server.controls.clear()
        server.frames.clear()
        talk.focus()
        page.keyboard.down(key)
        held_and_released(page, server)
        page.keyboard.up(key)
        silent_again(page, server)


def test_a_finger_talks(page: Page, server: ScriptedServer, talk: Locator) -> None:
    touch = page.context.new_cdp_session(page)
    box = talk.bounding_box()
    assert box is not None
    point = {"x": box["x"] + 20, "y": box["y"] + 20}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    held_and_released(page, server)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    silent_again(page, server)


def test_what_can_only_click_switches_talking_on_and_off(page: Page, server: ScriptedServer, talk: Locator) -> None:
    talk.evaluate("button => button.click()")
    held_and_released(page, server)
    talk.evaluate("button => button.click()")
    silent_again(page, server)


def test_a_window_that_loses_the_keyboard_lets_go(page: Page, server: ScriptedServer, talk: Locator) -> None:
    page.keyboard.down("Space")
    held_and_released(page, server)
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    silent_again(page, server)


def test_the_voices_step_back_while_one_talks(page: Page, server: ScriptedServer, talk: Locator) -> None:
    server.send(result(1, tts_audio=tone_wav(20)))
    wait_for_state(page, "speaking")
    page.wait_for_function("() => babblefish.loudness > 0.95")
    page.keyboard.down("Space")
    page.wait_for_function("() => babblefish.loudness < 0.2")
    wait_for_state(page, "talking")
    page.keyboard.up("Space")
    page.wait_for_function("() => babblefish.loudness > 0.95")


def test_hands_free_is_the_default_and_the_choice_is_remembered(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    switch = page.get_by_role("switch", name="Push to talk")
    expect(switch).not_to_be_checked()
    switch.check()
    page.goto(server.url)
    join(page)
    wait_for_state(page, "released")
    expect(page.get_by_role("button", name="Mute microphone")).to_be_hidden()
    switch.uncheck()
    wait_for_state(page, *QUIET)
    wait_until(page, lambda: len(server.frames) > 5, "the microphone is heard again")


def test_what_is_said_with_the_button_during_a_drop_arrives_with_its_end(
    page: Page, server: ScriptedServer, talk: Locator
) -> None:
    server.door.clear()
    server.drop()
    wait_for_state(page, "reconnecting")
    page.keyboard.down("Space")
    page.wait_for_timeout(800)
    page.keyboard.up("Space")
    server.door.set()
    wait_until(page, lambda: server.controls == [FLUSH], "the end arrives")
    assert len(server.frames) > 15


@pytest.mark.parametrize("phone", [True, False])
def test_the_space_bar_is_named_only_where_there_is_one(browser: Browser, server: ScriptedServer, phone: bool) -> None:
    context = browser.new_context(is_mobile=phone, has_touch=phone)
    page = context.new_page()
    joined(page, server)
    page.locator("#push-to-talk").evaluate("control => control.click()")
    for hint in (page.locator("#detail"), page.locator("#panel .hint").filter(has_text="Hold")):
        expect(hint).to_have_text("Hold down the round button" + ("" if phone else " or the space bar"))
    context.close()


def test_a_button_pressed_with_the_mouse_leaves_the_space_bar_for_talking(
    page: Page, server: ScriptedServer, talk: Locator
) -> None:
    page.get_by_role("switch", name="Large text").click()
    page.keyboard.down("Space")
    held_and_released(page, server)
    page.keyboard.up("Space")
    silent_again(page, server)
    expect(page.get_by_role("switch", name="Large text")).to_be_checked()
