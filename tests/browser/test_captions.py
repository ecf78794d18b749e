"""What can be done with what was said: saving it, reading it large, hearing it again, and who is saying it."""

from __future__ import annotations

import itertools
import json
import re
from http import HTTPStatus
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from babblefish.wire import server_messages
from tests.support.browser import (
    QUIET,
    ScriptedServer,
    join,
    joined,
    result,
    speech,
    tone_wav,
    wait_for_state,
    wait_until,
)

pytestmark = pytest.mark.slow


def saved(page: Page, label: str) -> str:
    """Press a button that saves, and return what the file holds."""
    with page.expect_download() as download:
        page.get_by_role("button", name=label, exact=True).click()
    assert download.value.suggested_filename.endswith(f".{label.lower()}")
    return download.value.path().read_text()


def talked(page: Page, server: ScriptedServer) -> None:
    """Join, and let three things be said, of which the page learns in another order."""
    joined(page, server)
    at = "2024-05-01T10:20:{}+00:00".format
    server.send(
        result(3, timestamp=at("41.250"), speaker_id="speaker_2", translation="Goodbye", source_text="Au revoir"),
        result(1, timestamp=at("30.000")),
        result(2, timestamp=at("31.500"), source_lang="eng", source_text="Yes", translation="Yes"),
        server_messages.Speaker(speaker_id="speaker_2", name="Jeanne"),
    )
    expect(page.locator("#captions > li")).to_have_count(3)
    expect(page.get_by_role("button", name="Jeanne")).to_have_count(1)


# Saving


def test_the_transcript_is_saved_as_text_in_order_with_names_and_originals(page: Page, server: ScriptedServer) -> None:
    talked(page, server)
    lines = saved(page, "TXT").splitlines()
    said = [line.split("] ")[-1] for line in lines if line.startswith("[")]
    assert said == ["Speaker 1: Hello everyone", "Speaker 1: Yes", "Jeanne: Goodbye"]
    assert [line.strip() for line in lines if line.startswith("    ")] == ["Bonjour à tous", "Au revoir"]


def test_the_transcript_is_saved_as_subtitles_that_do_not_overlap(page: Page, server: ScriptedServer) -> None:
    talked(page, server)
    assert saved(page, "SRT") == (
        "1\n00:00:00,000 --> 00:00:01,500\nSpeaker 1: Hello everyone\n\n"
        "2\n00:00:01,500 --> 00:00:03,500\nSpeaker 1: Yes\n\n"
        "3\n00:00:11,250 --> 00:00:13,250\nJeanne: Goodbye\n"
    )


def test_the_transcript_is_saved_as_json_with_all_that_is_known_and_no_sound(
    page: Page, server: ScriptedServer
) -> None:
    talked(page, server)
    lines: list[dict[str, Any]] = json.loads(saved(page, "JSON"))
    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert lines[2] == {
        "seq": 3,
        "timestamp": "2024-05-01T10:20:41.250+00:00",
        "speaker_id": "speaker_2",
        "speaker": "Jeanne",
        "continues": False,
        "source_lang": "fra",
        "source_text": "Au revoir",
        "target_lang": "eng",
        "translation": "Goodbye",
    }


def test_what_the_server_has_kept_of_the_room_is_saved_with_a_token_that_nobody_sees(
    page: Page, server: ScriptedServer
) -> None:
    server.record = "Anna: before you came\n"
    page.goto(f"{server.url}#token=secret")
    join(page)
    wait_for_state(page, *QUIET)
    record = page.get_by_role("group", name="Save the room\u2019s transcript")
    with page.expect_download() as download:
        record.get_by_role("button", name="VTT").click()
    assert re.fullmatch(r"main-\d{4}-\d\d-\d\d\.vtt", download.value.suggested_filename)
    assert download.value.path().read_text() == server.record
    assert server.asked[-1] == ("/rooms/main/transcript?lang=eng&format=vtt", "Bearer secret")
    assert page.locator("[href*=secret]").count() == 0
    server.record_status = HTTPStatus.TOO_MANY_REQUESTS
    record.get_by_role("button", name="TXT").click()
    expect(page.locator("#note")).to_have_text("Too many attempts.")


def test_a_server_that_keeps_nothing_offers_nothing_of_the_room(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    wait_until(page, lambda: len(server.asked) == 1, "the page asks")
    page.wait_for_timeout(200)
    expect(page.get_by_role("group", name="Save the room\u2019s transcript")).to_be_hidden()
    assert saved(page, "TXT") == ""


# Reading


def test_large_text_is_larger_and_remembered(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(result(1))
    text = page.locator("#captions .text")
    size = "node => parseFloat(getComputedStyle(node).fontSize)"
    usual = text.evaluate(size)
    page.get_by_role("switch", name="Large text").check()
    assert text.evaluate(size) > 1.4 * usual
    page.goto(server.url)
    join(page)
    wait_for_state(page, *QUIET)
    expect(page.get_by_role("switch", name="Large text")).to_be_checked()


def test_who_reads_at_the_end_or_above_stays_there_when_the_text_grows(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(*(result(seq) for seq in range(1, 21)))
    expect(page.locator("#captions > li")).to_have_count(20)
    expect(page.locator("#captions > li").last).to_be_in_viewport()
    page.get_by_role("switch", name="Large text").check()
    expect(page.locator("#captions > li").last).to_be_in_viewport(ratio=0.9)
    page.locator("#scroller").evaluate("node => { node.scrollTop = 0; }")
    page.wait_for_timeout(100)
    server.send(result(21))
    expect(page.get_by_role("button", name="Latest")).to_be_visible()
    expect(page.locator("#captions > li").first).to_be_in_viewport()
    page.get_by_role("button", name="Latest").click()
    expect(page.locator("#captions > li").last).to_be_in_viewport(ratio=0.9)


def test_opening_the_last_captions_details_keeps_the_end_in_view_and_above_the_place(
    page: Page, server: ScriptedServer
) -> None:
    joined(page, server)
    server.send(*(result(seq) for seq in range(1, 21)))
    expect(page.locator("#captions > li").last).to_be_in_viewport()
    page.locator("#captions time").last.click()
    at_end = "() => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 2"
    page.wait_for_function(at_end)
    page.locator("#scroller").evaluate("node => { node.scrollTop = 0; }")
    page.wait_for_timeout(100)
    page.locator("#captions time").first.click()
    expect(page.locator("#captions .late")).to_have_count(2)
    page.wait_for_timeout(100)
    expect(page.locator("#captions > li").first).to_be_in_viewport()


def test_how_late_a_caption_was_is_told_when_asked(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(result(1, latency_ms=1840.0))
    late = page.get_by_text("1.8 s after the speaker finished")
    expect(page.locator("#captions > li")).to_have_count(1)
    expect(late).to_have_count(0)
    page.locator("#captions time").click()
    expect(late).to_be_visible()
    page.locator("#captions time").click()
    expect(late).to_have_count(0)


def test_a_name_that_is_only_likely_has_a_question_mark_and_can_be_changed(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(
        result(1, speaker_id="unknown", speaker_name="Anna", speaker_likely=True),
        result(2, speaker_name="Anna", speaker_likely=True),
        result(3, speaker_name="Anna"),
    )
    names = page.locator("#captions .who")
    expect(names).to_have_text(["Anna"] * 3)
    marks = [names.nth(index).evaluate("who => getComputedStyle(who, '::after').content") for index in range(3)]
    assert ["?" in mark for mark in marks] == [True, True, False]
    titles = [names.nth(index).get_attribute("title") for index in range(3)]
    assert titles == ["probably", "probably · Rename this speaker", "Rename this speaker"]


def test_words_heard_with_doubt_are_marked_where_they_are_not_translated(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    original = {
        "source_lang": "eng",
        "source_text": "Two",
        "translation": "Two",
        "quality": "original",
        "path": ("eng",),
    }
    server.send(result(1, source_confidence=0.3, **original), result(2, source_confidence=0.5, **original))
    captions = page.locator("#captions > li")
    expect(captions).to_have_count(2)
    expect(captions.nth(0).locator(".mark")).to_have_text(["unsure"])
    expect(captions.nth(1).locator(".mark")).to_have_count(0)


# Hearing


def test_a_line_that_was_spoken_can_be_heard_again(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    piece = tone_wav(0.3)
    server.send(result(1, status="speaking"), speech(1, 0, piece), speech(1, 1, piece, last=True), result(2))
    page.wait_for_function("() => babblefish.playedUtterances === 1")
    again = page.get_by_role("button", name="Play again")
    expect(again).to_have_count(1)  # the second was never spoken
    again.click()
    page.wait_for_function("() => babblefish.playedUtterances === 2")
    played = page.evaluate("babblefish.playedPieces.map(({ utteranceId, index }) => [utteranceId, index])")
    assert played == [["utterance_1", 0], ["utterance_1", 1]] * 2


def test_a_line_heard_again_waits_for_the_voice_that_speaks_and_goes_before_the_next(
    page: Page, server: ScriptedServer
) -> None:
    joined(page, server)
    server.send(result(1, tts_audio=tone_wav(0.2)))
    page.wait_for_function("() => babblefish.playedUtterances === 1")
    server.send(result(2, tts_audio=tone_wav(2)), result(3, tts_audio=tone_wav(0.2)))
    wait_for_state(page, "speaking")
    page.get_by_role("button", name="Play again").first.click()
    page.wait_for_function("() => babblefish.playedUtterances === 4")
    pieces: list[dict[str, Any]] = page.evaluate("babblefish.playedPieces")
    assert [piece["utteranceId"][-1] for piece in pieces] == ["1", "2", "1", "3"]
    assert all(after["start"] >= before["end"] for before, after in itertools.pairwise(pieces))


def test_only_the_last_lines_are_kept_to_be_heard_again(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    page.get_by_role("slider", name="Volume").fill("0")
    long = tone_wav(40)
    for seq in (1, 2, 3, 4):
        server.send(result(seq, tts_audio=long))
    expect(page.locator("#captions > li")).to_have_count(4)
    expect(page.get_by_role("button", name="Play again")).to_have_count(2)
    expect(page.locator("#captions > li").nth(3).get_by_role("button", name="Play again")).to_be_visible()


def test_a_voice_can_be_skipped_and_the_next_begins(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    skip = page.get_by_role("button", name="Skip this translation")
    expect(skip).to_be_hidden()
    server.send(result(1, tts_audio=tone_wav(14)), result(2, tts_audio=tone_wav(0.3)))
    page.locator("#captions > li.speaking").wait_for()
    skip.click()
    page.wait_for_function("() => babblefish.playedUtterances === 1")
    assert [piece["seq"] for piece in page.evaluate("babblefish.playedPieces")] == [2]
    expect(skip).to_be_hidden()


@pytest.mark.parametrize(("speed", "length_s"), [("1.5", 1.0), ("0.8", 1.875)])
def test_voices_speak_faster_or_slower_at_their_own_pitch(
    page: Page, server: ScriptedServer, speed: str, length_s: float
) -> None:
    page.add_init_script("""
        const Source = window.AudioBufferSourceNode;
        window.AudioBufferSourceNode = class extends Source {
          constructor(context, options) {
            super(context, options);
            window.heard = [...options.buffer.getChannelData(0)];
            window.heardRate = options.buffer.sampleRate * this.playbackRate.value;
          }
        };
    """)
    joined(page, server)
    page.get_by_role("slider", name="Speed").fill(speed)
    server.send(result(1, tts_audio=tone_wav(1.5, 300.0)))
    page.wait_for_function("() => babblefish.playedUtterances === 1")
    assert page.evaluate("babblefish.playedSeconds") == pytest.approx(length_s, abs=0.02)
    crossings = page.evaluate("heard.filter((value, k) => k && value >= 0 && heard[k - 1] < 0).length")
    assert crossings / (page.evaluate("heard.length / heardRate")) == pytest.approx(300, rel=0.02)
    # A seam where two windows do not fit would be a dent in the steady tone.
    loudness = page.evaluate("""() => {
        const window = Math.round(heardRate / 50);
        const rms = [];
        for (let at = 0; at + window < heard.length; at += window) {
          rms.push(Math.hypot(...heard.slice(at, at + window)) / Math.sqrt(window));
        }
        return rms;
    }""")
    assert min(loudness) > 0.9 * max(loudness)
    page.goto(server.url)
    assert page.locator("#speed").input_value() == speed


# Who is here


def test_the_page_shows_who_is_here_what_each_hears_and_who_is_talking(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    anna = page.locator("#people li", has_text="Anna")
    expect(anna).to_contain_text("hears French")
    expect(anna.get_by_text("talking")).to_be_hidden()
    expect(page.locator("#summary")).to_have_text("2 people · you hear English")
    server.say({"type": "talking", "client_id": "other", "talking": True})
    expect(anna.get_by_text("talking")).to_be_visible()
    expect(page.locator("#summary")).to_have_text("Anna is talking")
    server.say({"type": "talking", "client_id": "other", "talking": False})
    expect(anna.get_by_text("talking")).to_be_hidden()
    expect(page.locator("#summary")).to_have_text("2 people · you hear English")


def test_who_goes_in_the_middle_of_a_sentence_is_no_longer_talking(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.say({"type": "talking", "client_id": "other", "talking": True})
    expect(page.locator("#summary")).to_have_text("Anna is talking")
    me = server_messages.MemberInfo(client_id="me", name="", target_lang="eng", source_lang="auto")
    server.send(server_messages.Presence(members=[me]))
    expect(page.locator("#summary")).to_have_text("Just you · you hear English")


def test_who_talked_when_the_connection_was_lost_is_not_talking_for_ever(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.say({"type": "talking", "client_id": "other", "talking": True})
    expect(page.locator("#summary")).to_have_text("Anna is talking")
    server.drop()
    wait_until(page, lambda: len(server.joins) == 2, "the page comes back")
    expect(page.locator("#summary")).to_have_text("2 people · you hear English")


def test_the_spoken_language_can_be_left_to_the_rooms(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    expect(page.get_by_label("I speak").locator("option").nth(1)).to_contain_text("Detect among this room")
    page.get_by_label("I speak").select_option("room")
    wait_until(page, lambda: server.controls == [{"type": "set", "source_lang": "room"}], "the server is asked")


def test_a_tap_says_which_language_somebody_speaks_where_that_is_in_doubt(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(
        result(1, client_id="me", source_lang="tha"),
        result(2, source_lang_confidence=0.5),
        result(3, client_id="me", source_lang="spa", source_lang_confidence=0.5),
    )
    doubt = page.locator(".doubt")
    # What it seems to be, what was spoken before, and what is heard here.
    expect(doubt).to_have_text("I speak:SpanishThaiEnglishFrench")
    doubt.get_by_role("button", name="I speak: Thai").click()
    expect(doubt).to_have_count(0)
    wait_until(page, lambda: server.controls == [{"type": "set", "source_lang": "tha"}], "the server is asked")
    expect(page.get_by_label("I speak")).to_have_value("tha")


def test_a_link_names_the_room_the_person_and_the_language(page: Page, server: ScriptedServer) -> None:
    page.goto(f"{server.url}?room=hall&name=Marta&target_lang=spa")
    page.get_by_role("button", name="Join").click()
    wait_for_state(page, *QUIET)
    wanted = {"room": "hall", "name": "Marta", "target_lang": "spa"}
    assert server.joins[0] == server.joins[0] | wanted
