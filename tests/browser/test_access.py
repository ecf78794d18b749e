"""The page for everybody: screen readers, keyboards, small screens, dark rooms. It writes screenshots, too."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from babblefish.domain import Quality
from babblefish.wire import server_messages
from tests.support.browser import (
    PAGE,
    QUIET,
    ROOT,
    ScriptedServer,
    join,
    joined,
    result,
    tone_wav,
    wait_for_state,
)

pytestmark = pytest.mark.slow

SCREENSHOTS = ROOT / "build" / "screenshots"
SCREENS = {"phone": (390, 844), "desktop": (1280, 800)}
MOST_BYTES = 168 * 1024
MOST_COMPRESSED_BYTES = 56 * 1024
"""What the server sends to whoever takes gzip, as browsers do: on a bad network this is what a phone waits for."""

TARGETS = """() => [...document.querySelectorAll("button, input, select, textarea, label.switch")]
    .filter((node) => node.checkVisibility({ visibilityProperty: true }))
    .map((node) => {
        const { width, height } = (node.closest("label.switch") ?? node).getBoundingClientRect();
        return [node.id || node.className, width, height];
    })
"""


@pytest.fixture(params=[(screen, scheme) for screen in SCREENS for scheme in ("light", "dark")], ids="-".join)
def looked_at(browser: Browser, request: pytest.FixtureRequest) -> Iterator[tuple[Page, str]]:
    """A page on a phone or a desktop, light or dark, and what to call it."""
    screen, scheme = request.param
    width, height = SCREENS[screen]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    yield context.new_page(), f"{screen}_{scheme}"
    context.close()


def talk(server: ScriptedServer) -> None:
    """Say what a conversation may bring: people, terms, a draft, no translation, an unknown voice, half a sentence."""
    numbers = "Sí, pero primero necesito cinco minutos para encontrar los números que me pidieron ayer por la tarde."
    server.say({"type": "talking", "client_id": "other", "talking": True})
    server.send(
        result(1, tts_audio=tone_wav(0.1)),
        result(
            2,
            client_id="me",
            speaker_id="speaker_2",
            speaker_name="Marta",
            source_lang="eng",
            source_text="Good morning. Shall we begin with the budget for next year?",
            translation="Good morning. Shall we begin with the budget for next year?",
            quality=Quality.ORIGINAL,
            source_lang_confidence=0.5,
            typed=True,
        ),
        result(
            3,
            speaker_id="speaker_3",
            speaker_name="José Luis",
            source_lang="spa",
            source_text=numbers,
            translation="Yes, but first I need five minutes to find the numbers they asked me for yesterday afternoon.",
            quality=Quality.DRAFT,
        ),
        result(
            4,
            speaker_id="speaker_4",
            speaker_name="สมชาย",
            source_lang="tha",
            source_text="สวัสดี",
            translation="สวัสดี",
            target_lang="tha",
            quality=Quality.UNTRANSLATED,
        ),
        result(5, speaker_id="unknown", speaker_name="Unknown speaker", tts_audio=tone_wav(30)),
    )
    server.send(
        server_messages.Glossary(
            terms=[
                server_messages.TermInfo(text="Kowalczyk", translations={}, spoken={"eng": "Kovalchick"}),
                server_messages.TermInfo(text="chauffe-eau", translations={"eng": "water heater"}, spoken={}),
            ]
        )
    )
    words = {"source_text": "Et maintenant", "source_lang": "fra", "translation": "And now", "target_lang": "eng"}
    server.say({"type": "partial", "utterance_id": "utterance_6", "client_id": "other", "name": "Anna"} | words)


def serious(page: Page) -> list[tuple[str, Any]]:
    """Return what a checker of accessibility finds serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        (rule["id"], [node["html"] for node in rule["nodes"]])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]


def photograph(page: Page, name: str) -> None:
    """Write a screenshot for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_no_serious_fault_is_found_and_every_target_fits_a_finger(
    looked_at: tuple[Page, str], server: ScriptedServer
) -> None:
    page, name = looked_at

    def sound(part: str) -> None:
        page.wait_for_timeout(300)  # colours change gently
        photograph(page, f"{part}_{name}")
        assert serious(page) == []
        small = [target for target in page.evaluate(TARGETS) if min(target[1:]) < 44]
        assert small == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out sideways"

    page.goto(server.url)
    sound("entrance")
    join(page, Your_name="Marta")
    wait_for_state(page, *QUIET)
    sound("empty")
    talk(server)
    page.locator("#captions > li.speaking").last.wait_for()
    page.locator("#captions time").nth(2).click()
    sound("captions")
    if page.locator("#settings").is_visible():
        page.locator("#settings").click()
        sound("panel")
    page.get_by_role("switch", name="Push to talk").check()
    page.get_by_role("switch", name="Large text").check()
    if page.locator("#settings").is_visible():
        page.locator("#settings").click()
    sound("large")
    page.locator("#term-add").evaluate("button => button.click()")
    sound("term")
    page.get_by_role("button", name="Cancel").click()
    server.door.clear()
    server.drop()
    wait_for_state(page, "reconnecting")
    sound("reconnecting")
    page.get_by_role("button", name="José Luis").click()
    sound("rename")


@pytest.mark.parametrize("locale", ["en", "fr", "pl", "es", "de", "it", "pt"])
def test_a_small_phone_has_room_for_every_language(browser: Browser, server: ScriptedServer, locale: str) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 640}, locale=locale)
    page = context.new_page()
    page.goto(server.url)
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    page.locator("#join").click()
    wait_for_state(page, *QUIET)
    page.locator("#settings").click()
    page.locator("#push-to-talk").evaluate("control => control.click()")
    photograph(page, f"panel_small_{locale}")
    assert page.evaluate(fits)
    assert page.locator("#panel").evaluate("panel => panel.scrollWidth <= panel.clientWidth")
    context.close()


def test_captions_are_read_out_as_they_come_and_states_that_matter_are_announced(
    page: Page, server: ScriptedServer
) -> None:
    joined(page, server)
    server.send(result(1))
    log = page.get_by_role("log", name="Conversation")
    expect(log).to_have_attribute("aria-live", "polite")
    expect(log.get_by_role("listitem")).to_contain_text("Hello everyone")
    page.get_by_role("button", name="Mute microphone").click()
    expect(page.locator("#announcement")).to_have_text("Muted. Nobody can hear you.")


def test_what_was_announced_is_not_left_to_be_found_when_it_is_over(page: Page, server: ScriptedServer) -> None:
    page.add_init_script("""
        window.said = [];
        document.addEventListener("DOMContentLoaded", () => {
          const node = document.getElementById("announcement");
          new MutationObserver(() => said.push(node.textContent)).observe(node, { childList: true });
        });
    """)
    joined(page, server)
    page.get_by_role("button", name="Mute microphone").click()
    page.get_by_role("button", name="Mute microphone").click()
    wait_for_state(page, *QUIET)
    said = page.evaluate("said.filter(Boolean)")
    assert said[0] == "Connecting. Contacting the server…"
    assert "Muted. Nobody can hear you." in said
    assert said[-1].startswith(("Listening.", "You\u2019re speaking."))
    wait_for_state(page, "hearing")
    page.wait_for_function("() => !document.getElementById('announcement').textContent.startsWith('Muted')")
    server.send(result(1, tts_audio=tone_wav(1)))
    wait_for_state(page, "speaking")
    expect(page.locator("#announcement")).to_have_text("")


def test_nothing_goes_on_moving_by_itself(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(result(1, tts_audio=tone_wav(3)))
    page.locator("#captions > li.speaking .aloud").wait_for()
    assert page.evaluate("document.getAnimations().length") == 0


def test_everything_can_be_reached_with_the_keyboard_and_shows_that_it_is(page: Page, server: ScriptedServer) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    joined(page, server)
    talk(server)
    expect(page.locator("#captions > li")).to_have_count(6)
    page.evaluate("document.activeElement.blur()")
    reached = set[str]()
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline = page.evaluate("""() => {
            const node = document.activeElement;
            const { outlineStyle, outlineWidth } = getComputedStyle(node);
            const shows = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
            return [node.id || node.dataset.save || node.className, shows];
        }""")
        if name:
            assert outline, name
        reached.add(name)
    ids = {"leave", "hear", "speak", "volume", "speed", "push-to-talk", "captions-only", "large-text", "mute", "skip"}
    ids |= {"interpreting", "words", "say"}
    assert ids | {"txt", "srt", "json", "who", "again", "scroller"} <= reached


def test_nothing_moves_under_the_finger_when_people_speak(page: Page, server: ScriptedServer) -> None:
    page.add_init_script("""
        window.shifted = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
        }).observe({ type: "layout-shift", buffered: true });
    """)
    page.set_viewport_size({"width": 390, "height": 844})
    joined(page, server)
    page.wait_for_timeout(700)  # what follows a tap within half a second is its effect, and does not count
    dock = "() => ['mute', 'settings', 'state'].map((id) => document.getElementById(id).getBoundingClientRect().top)"
    before = page.evaluate(dock)
    server.send(result(1, tts_audio=tone_wav(0.3)))
    wait_for_state(page, "speaking")
    assert page.evaluate(dock) == before
    wait_for_state(page, *QUIET)
    assert page.evaluate(dock) == before
    assert page.evaluate("shifted") < 0.01


def test_the_page_is_light() -> None:
    assert len(PAGE.read_bytes()) < MOST_BYTES
    assert len(gzip.compress(PAGE.read_bytes())) < MOST_COMPRESSED_BYTES
