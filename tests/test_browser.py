"""The page in a real browser: against a scripted server, and against the real one with the real engines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from babblefish import protocol
from babblefish.domain import SAMPLE_RATE_HZ, Quality
from tests.browser_support import (
    PAGE,
    QUIET,
    ROOT,
    ScriptedServer,
    browser_hearing,
    is_ready,
    join,
    joined,
    microphone_file,
    plain_microphone,
    real_server,
    residual_db,
    result,
    scripted_server,
    sounding_part,
    speech,
    tone,
    tone_wav,
    wait_for_state,
    wait_until,
)

pytestmark = pytest.mark.slow

TONE_HZ = 1000
ABOVE_NYQUIST_HZ = 11_000
"""Would be heard at 5 kHz if the page dropped samples without a low-pass."""
TONE_S = 3.0
DEMO = ROOT / "babblefish" / "assets" / "demo_fra.wav"


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


@pytest.fixture(autouse=True)
def _no_leaked_tasks() -> None:
    """Replace the check of all other tests: Playwright keeps a loop with tasks of its own in this thread."""


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


# Joining


def test_joining_says_who_you_are_and_leads_to_listening(page: Page, server: ScriptedServer) -> None:
    page.goto(f"{server.url}?room=kitchen")
    page.get_by_label("I hear").select_option("fra")
    join(page, Your_name="Marta")
    assert wait_for_state(page, *QUIET) == "listening"
    wanted = {"name": "Marta", "target_lang": "fra", "source_lang": "auto", "room": "kitchen"}
    assert server.joins == [wanted | {"mode": "stream", "audio": "stream"}]
    expect(page.locator("#people")).to_contain_text("Marta (you)")
    expect(page.locator("#people")).to_contain_text("hears French")


def test_the_choices_are_there_again_on_the_next_visit(page: Page, server: ScriptedServer) -> None:
    page.goto(server.url)
    page.get_by_label("I hear").select_option("spa")
    page.get_by_label("I speak").select_option("fra")
    join(page, Your_name="Marta", Room="kitchen")
    wait_for_state(page, *QUIET)
    page.goto(server.url)
    for label, value in {"Your name": "Marta", "I hear": "spa", "I speak": "fra", "Room": "kitchen"}.items():
        expect(page.get_by_label(label, exact=True)).to_have_value(value)


def test_the_list_of_languages_is_the_servers_and_says_what_is_missing(page: Page, server: ScriptedServer) -> None:
    page.goto(server.url)
    options = page.get_by_label("I hear").locator("option")
    expect(options).to_have_count(5)
    assert re.match(r"Polski \(Polish\) . no translation here", options.last.inner_text())
    page.get_by_label("I hear").select_option("tha")
    expect(page.locator("#hear-hint")).to_have_text("No voice here speaks Thai: captions only.")


def test_a_page_opened_as_a_file_asks_for_the_server_and_remembers_it(page: Page, server: ScriptedServer) -> None:
    page.goto(PAGE.as_uri())
    join(page, Server=f"127.0.0.1:{server.port}")
    wait_for_state(page, *QUIET)
    wait_until(page, lambda: len(server.frames) > 5, "sound arrives")
    page.goto(PAGE.as_uri())
    expect(page.get_by_label("Server")).to_have_value(f"ws://127.0.0.1:{server.port}")


def test_without_a_microphone_one_is_told_why_and_can_still_listen(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); }"
    )
    page.goto(server.url)
    join(page)
    wait_for_state(page, "no-microphone")
    expect(page.locator("#detail")).to_contain_text("The microphone is not allowed")
    expect(page.get_by_role("button", name="Mute microphone")).to_be_disabled()
    server.send(result(1, tts_audio=tone_wav(0.3)))
    page.wait_for_function("() => babblefish.playedUtterances === 1")


def test_a_page_in_an_insecure_context_says_so_before_joining(page: Page, server: ScriptedServer) -> None:
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    page.goto(server.url)
    expect(page.locator("#insecure")).to_contain_text("not in a secure context")
    join(page)
    wait_for_state(page, "no-microphone")


# Speaking


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_the_microphone_arrives_as_clean_16_khz_int16_at_any_device_rate(
    page: Page, server: ScriptedServer, rate_hz: int
) -> None:
    page.add_init_script(plain_microphone(rate_hz))
    joined(page, server)
    wait_until(page, lambda: len(server.frames) > 25 * (TONE_S + 4), "the tone and a second of silence were sent")
    assert {len(frame) for frame in server.frames} == {1280}, "each frame is 40 ms of Int16"
    heard = sounding_part(server.received_audio())
    assert len(heard) / SAMPLE_RATE_HZ == pytest.approx(TONE_S, rel=0.02)
    windows = [heard[start : start + 8000] for start in range(1600, len(heard) - 9600, 4000)]
    assert np.median([residual_db(window, TONE_HZ) for window in windows]) < -65
    processing = ("echoCancellation", "noiseSuppression", "autoGainControl")
    assert page.evaluate("window.wanted.audio") == {"channelCount": 1} | dict.fromkeys(processing, True)


def test_a_voice_moves_the_meter_and_the_page_says_that_it_hears(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(plain_microphone(48_000))
    joined(page, server)
    wait_for_state(page, "hearing")
    page.wait_for_function("() => Number(document.getElementById('level').getAttribute('aria-valuenow')) > 50")


def test_muting_ends_the_utterance_and_stops_the_sound(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    wait_until(page, lambda: len(server.frames) > 5, "sound arrives")
    page.get_by_role("button", name="Mute microphone").click()
    wait_for_state(page, "muted")
    wait_until(page, lambda: server.controls == [{"type": "flush"}], "the utterance is ended")
    sent = len(server.frames)
    page.wait_for_timeout(400)
    assert len(server.frames) == sent
    page.keyboard.press("m")
    wait_for_state(page, *QUIET)
    wait_until(page, lambda: len(server.frames) > sent, "sound arrives again")


# Reading


def test_a_caption_shows_who_said_what_in_both_languages(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(result(1))
    caption = page.locator("#captions > li")
    for text in ("Speaker 1", "French → English", "Hello everyone", "Bonjour à tous"):
        expect(caption).to_contain_text(text)
    assert [caption.locator(part).get_attribute("lang") for part in (".text", ".original")] == ["en", "fr"]
    expect(caption.locator(".mark")).to_have_count(0)


def test_captions_say_how_far_to_trust_them(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    same = {"source_lang": "eng", "source_text": "Yes", "translation": "Yes"}
    server.send(
        result(1, quality=Quality.DRAFT),
        result(2, quality=Quality.UNTRANSLATED, translation="Bonjour à tous", target_lang="fra", requested_lang="pol"),
        result(3, quality=Quality.ORIGINAL, **same),
    )
    rows = page.locator("#captions > li")
    expect(rows.nth(0).locator(".mark")).to_have_text("draft")
    expect(rows.nth(1).locator(".mark")).to_have_text("no translation to Polish here")
    expect(rows.nth(2).get_by_text("Yes")).to_have_count(1)
    expect(rows.nth(2).locator(".mark")).to_have_count(0)


def test_words_from_the_wire_are_never_read_as_html(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    text = "<img src=x onerror=document.title='taken'><b>bold</b>"
    server.send(result(1, translation=text, source_text=text, speaker_name=text))
    expect(page.locator("#captions .text")).to_have_text(text)
    assert page.locator("#captions img, #captions b").count() == 0


def test_tapping_a_speaker_renames_the_voice_in_every_caption(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(result(1), result(2, speaker_id="speaker_2", speaker_name="Speaker 2"), result(3))
    page.get_by_role("button", name="Speaker 1").first.click()
    page.get_by_label("Name", exact=True).fill("Jeanne")
    page.get_by_role("button", name="Save").click()
    asked = [{"type": "rename_speaker", "speaker_id": "speaker_1", "name": "Jeanne"}]
    wait_until(page, lambda: server.controls == asked, "the server is asked for the name")
    server.send(protocol.Speaker(speaker_id="speaker_1", name="Jeanne"))
    expect(page.get_by_role("button", name="Jeanne")).to_have_count(2)
    assert page.locator("#captions .who").all_inner_texts() == ["Jeanne", "Speaker 2", "Jeanne"]


def test_an_error_of_one_utterance_is_a_quiet_note(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(protocol.Error(code="overloaded", message="queue full", utterance_id="utterance_9"))
    expect(page.locator("#note")).to_have_text("The server is busy; that was not translated.")
    expect(page.locator("#note")).to_be_hidden(timeout=10_000)
    wait_for_state(page, *QUIET)


# Listening


def test_voices_follow_each_other_in_order_without_overlap_or_gap(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    piece = tone_wav(0.4)
    server.send(result(1, status="speaking"), result(2, status="speaking"), result(3, tts_audio=piece))
    server.send(speech(2, 0, piece), speech(2, 1, piece, last=True))  # the second voice was made first
    server.send(speech(1, 1, piece), speech(1, 0, piece), speech(1, 2, None, last=True))
    page.wait_for_function("() => babblefish.playedUtterances === 3")
    pieces: list[dict[str, Any]] = page.evaluate("babblefish.playedPieces")
    assert [(p["seq"], p["index"]) for p in pieces] == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]
    gaps_s = [after["start"] - before["end"] for before, after in itertools.pairwise(pieces)]
    assert [gaps_s[0], gaps_s[2]] == pytest.approx([0, 0], abs=1e-6), "pieces of one utterance follow gaplessly"
    assert min(gaps_s[1], gaps_s[3]) > 0.1, "the next speaker waits for the one before"
    assert page.evaluate("babblefish.playedSeconds") == pytest.approx(5 * 0.4, abs=0.01)


def test_a_voice_that_fails_does_not_hold_up_the_next(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(result(1, status="speaking"), result(2, tts_audio=tone_wav(0.2)))
    server.send(protocol.Error(code="engine_failed", message="no voice", utterance_id="utterance_1"))
    page.wait_for_function("() => babblefish.playedUtterances === 1")
    assert [piece["seq"] for piece in page.evaluate("babblefish.playedPieces")] == [2]


def test_captions_only_silences_the_voice_at_once_and_asks_for_no_more(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(result(1, tts_audio=tone_wav(20)))
    wait_for_state(page, "speaking")
    page.get_by_role("switch", name="Captions only").check()
    wait_for_state(page, *QUIET)
    page.get_by_role("switch", name="Captions only").uncheck()
    asked = [{"type": "set", "audio": "none"}, {"type": "set", "audio": "stream"}]
    wait_until(page, lambda: server.controls == asked, "the server is asked for both")
    assert page.evaluate("babblefish.playedUtterances") == 0, "a voice that was cut off was not heard"


def test_another_language_can_be_chosen_while_joined(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    page.get_by_label("I hear").select_option("spa")
    page.get_by_label("I speak").select_option("fra")
    asked = [{"type": "set", "target_lang": "spa"}, {"type": "set", "source_lang": "fra"}]
    wait_until(page, lambda: server.controls == asked, "the server is asked for both")
    server.drop()
    wait_until(page, lambda: len(server.joins) == 2, "the page comes back")
    assert (server.joins[1]["target_lang"], server.joins[1]["source_lang"]) == ("spa", "fra")
    wait_for_state(page, *QUIET)


# Refusals and drops


@pytest.mark.parametrize(
    ("code", "close_code", "state", "words"),
    [("full", 1013, "full", "Server is full"), ("not_ready", 1013, "loading", "Server is loading")],
)
def test_a_server_that_cannot_yet_is_asked_again(
    page: Page, server: ScriptedServer, code: str, close_code: int, state: str, words: str
) -> None:
    server.refusals = [(protocol.Error(code=code, message="not now", fatal=True), close_code)] * 2
    page.goto(server.url)
    join(page)
    wait_for_state(page, state)
    expect(page.locator("#state")).to_have_text(words)
    expect(page.locator("#detail")).to_contain_text("Not now.")
    wait_for_state(page, *QUIET)
    assert len(server.joins) == 3


def test_a_refusal_for_good_is_told_in_the_form_and_not_repeated(page: Page, server: ScriptedServer) -> None:
    error = protocol.Error(code="invalid_message", message="room: not a name", fatal=True)
    server.refusals = [(error, protocol.CLOSE_NOT_ALLOWED)]
    page.goto(server.url)
    join(page)
    wait_for_state(page, "refused")
    expect(page.get_by_role("alert")).to_have_text("The server refused: Room: not a name.")
    page.wait_for_timeout(1500)
    assert len(server.joins) == 1


# The real server


def test_french_into_the_microphone_is_read_and_heard_in_english(playwright: Playwright, tmp_path: Path) -> None:
    samples, rate_hz = soundfile.read(DEMO, dtype="float32")
    wav = microphone_file(tmp_path / "french.wav", samples, rate_hz)
    with real_server(log := tmp_path / "server.log") as url, browser_hearing(playwright, wav) as browser:
        page = browser.new_page()
        wait_until(page, lambda: is_ready(url), f"the server is warm; its log is {log}", at_most_s=120)
        page.goto(url)
        page.get_by_label("I hear").select_option("eng")
        join(page, Your_name="Marta")
        caption = page.locator("#captions > li").first
        expect(caption).to_contain_text("French → English", timeout=60_000)
        assert caption.locator(".text").inner_text() != caption.locator(".original").inner_text()
        page.wait_for_function("() => babblefish.playedUtterances >= 1", timeout=60_000)
        assert page.evaluate("babblefish.playedSeconds") > 0.5
