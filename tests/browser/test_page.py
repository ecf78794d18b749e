"""Joining, captions, settings and refusals, in a real browser against a scripted server."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, Route, expect

from babblefish.domain import Quality
from babblefish.wire import server_messages
from tests.support.browser import (
    PAGE,
    QUIET,
    ScriptedServer,
    join,
    joined,
    result,
    tone_wav,
    wait_for_state,
    wait_until,
)

pytestmark = pytest.mark.slow


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


def test_a_list_of_languages_that_comes_late_leaves_what_was_chosen(page: Page, server: ScriptedServer) -> None:
    held: list[Route] = []
    page.route("**/languages", lambda route: held.append(route))
    page.goto(server.url)
    page.get_by_label("I hear").select_option("fra")
    wait_until(page, lambda: bool(held), "the list is asked for")
    held[0].continue_()
    expect(page.get_by_label("I hear").locator("option", has_text="Thai")).to_have_count(1)  # the server's list
    expect(page.get_by_label("I hear")).to_have_value("fra")


def test_the_list_of_languages_is_the_servers_and_says_what_is_missing(page: Page, server: ScriptedServer) -> None:
    page.goto(server.url)
    options = page.get_by_label("I hear").locator("option")
    expect(options).to_have_count(6)
    assert re.match(r"Polski \(Polish\) . no translation", options.last.inner_text())
    page.get_by_label("I hear").select_option("tha")
    expect(page.locator("#hear-hint")).to_have_text("No voice for Thai: captions only.")


def test_a_page_opened_as_a_file_asks_for_the_server_and_remembers_it(page: Page, server: ScriptedServer) -> None:
    page.goto(PAGE.as_uri())
    join(page, Server=f"127.0.0.1:{server.port}")
    wait_for_state(page, *QUIET)
    wait_until(page, lambda: len(server.frames) > 5, "sound arrives")
    page.goto(PAGE.as_uri())
    expect(page.get_by_label("Server")).to_have_value(f"ws://127.0.0.1:{server.port}")


def test_a_page_opened_as_a_file_asks_for_the_code_of_the_start(page: Page, server: ScriptedServer) -> None:
    refusal = server_messages.Error(code="not_allowed", message="it needs the code", fatal=True)
    server.refusals = [(refusal, server_messages.CLOSE_NOT_ALLOWED)]
    page.goto(PAGE.as_uri())
    join(page, Server=f"127.0.0.1:{server.port}")
    wait_for_state(page, "refused")
    expect(page.get_by_role("alert")).to_contain_text("Code shown at start")
    join(page, Code="1a2b3c4d")
    wait_for_state(page, *QUIET)
    assert [joined.get("token") for joined in server.joins] == [None, "1a2b3c4d"]


def test_without_a_microphone_one_is_told_why_and_can_still_listen(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); }"
    )
    page.goto(server.url)
    join(page)
    wait_for_state(page, "no-microphone")
    expect(page.locator("#detail")).to_contain_text("Microphone blocked")
    expect(page.get_by_role("button", name="Mute microphone")).to_be_disabled()
    server.send(result(1, tts_audio=tone_wav(0.3)))
    page.wait_for_function("() => babblefish.playedUtterances === 1")


def test_a_page_in_an_insecure_context_says_so_before_joining(page: Page, server: ScriptedServer) -> None:
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    page.goto(server.url)
    expect(page.locator("#insecure")).to_contain_text("This page is not secure")
    join(page)
    wait_for_state(page, "no-microphone")


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
    expect(rows.nth(1).locator(".mark")).to_have_text("not available in Polish")
    expect(rows.nth(2).get_by_text("Yes")).to_have_count(1)
    expect(rows.nth(2).locator(".mark")).to_have_count(0)


def test_a_draft_names_the_languages_it_went_through(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(
        result(1, quality=Quality.DRAFT, path=("fra", "cat", "eng")),
        result(2, quality=Quality.DRAFT, path=("fra", "spa", "cat", "eng")),
        result(3, quality=Quality.GOOD, path=("fra", "cat", "eng")),
    )
    marks = page.locator("#captions .mark")
    expect(marks).to_have_text(["draft, via Catalan", "draft, via Spanish and Catalan"])


def test_a_late_caption_takes_its_place_in_the_order_of_what_was_said(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    said = {2: "two", 10: "ten", 1: "one", 9: "nine"}
    server.send(*(result(seq, translation=words) for seq, words in said.items()))
    texts = page.locator("#captions .text")
    expect(texts).to_have_text(["one", "two", "nine", "ten"])
    server.drop()
    wait_until(page, lambda: len(server.joins) == 2, "the page comes back")
    wait_for_state(page, *QUIET)
    server.send(result(1, translation="a restarted server counts anew"))
    expect(texts).to_have_text(["one", "two", "nine", "ten", "a restarted server counts anew"])


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
    server.send(server_messages.Speaker(speaker_id="speaker_1", name="Jeanne"))
    expect(page.get_by_role("button", name="Jeanne")).to_have_count(2)
    assert page.locator("#captions .who").all_inner_texts() == ["Jeanne", "Speaker 2", "Jeanne"]


def test_an_error_of_one_utterance_is_a_quiet_note(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(server_messages.Error(code="overloaded", message="queue full", utterance_id="utterance_9"))
    expect(page.locator("#note")).to_have_text("The server was too busy to translate that.")
    expect(page.locator("#note")).to_be_hidden(timeout=10_000)
    wait_for_state(page, *QUIET)


# Settings


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


def test_what_is_chosen_while_connecting_is_asked_for_once_in(page: Page, server: ScriptedServer) -> None:
    server.door.clear()
    page.goto(server.url)
    join(page)
    wait_until(page, lambda: len(server.joins) == 1, "the page connects")
    wait_for_state(page, "connecting")
    page.get_by_label("I hear").select_option("spa")
    page.get_by_label("I speak").select_option("fra")
    page.get_by_role("switch", name="Captions only").check()
    server.door.set()
    choices = {"target_lang": "spa", "source_lang": "fra", "audio": "none"}
    asked = [{"type": "set", key: value} for key, value in choices.items()]
    wait_until(page, lambda: server.controls == asked, "the server is asked for all of it")
    server.send(result(1))
    expect(page.locator("#captions > li")).to_have_count(1)  # the answers came before it
    expect(page.get_by_label("I hear")).to_have_value("spa")
    expect(page.get_by_label("I speak")).to_have_value("fra")
    expect(page.get_by_role("switch", name="Captions only")).to_be_checked()


def test_voices_wanted_again_while_the_connection_is_lost_are_heard(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    page.get_by_role("switch", name="Captions only").check()
    asked = [{"type": "set", "audio": "none"}]
    wait_until(page, lambda: server.controls == asked, "the server is asked for captions alone")
    server.door.clear()
    server.drop()
    wait_until(page, lambda: len(server.joins) == 2, "the page comes back")
    page.get_by_role("switch", name="Captions only").uncheck()
    server.door.set()
    wait_until(page, lambda: server.controls == [*asked, {"type": "set", "audio": "stream"}], "voices are asked for")
    server.send(result(1, tts_audio=tone_wav(0.2)))
    page.wait_for_function("() => babblefish.playedUtterances === 1")


def test_a_language_that_is_refused_is_not_kept(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.answers_set = False
    page.get_by_label("I hear").select_option("spa")
    wait_until(page, lambda: len(server.controls) == 1, "the server is asked")
    server.send(server_messages.Error(code="unknown_language", message="unknown language 'spa'"))
    expect(page.get_by_label("I hear")).to_have_value("eng")
    expect(page.locator("#note")).to_have_text("Unknown language 'spa'.")
    server.drop()
    wait_until(page, lambda: len(server.joins) == 2, "the page comes back")
    wait_for_state(page, *QUIET)
    assert server.joins[1]["target_lang"] == "eng"
    page.goto(server.url)
    expect(page.get_by_label("I hear")).to_have_value("eng")


def test_a_choice_that_was_not_answered_is_asked_for_again_after_a_drop(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.answers_set = False
    page.get_by_label("I hear").select_option("spa")
    wait_until(page, lambda: len(server.controls) == 1, "the server is asked")
    server.answers_set = True
    server.drop()
    wait_until(page, lambda: server.controls == [{"type": "set", "target_lang": "spa"}] * 2, "it is asked again")
    assert server.joins[1]["target_lang"] == "eng", "joining with what may be refused could end the connection"
    expect(page.get_by_label("I hear")).to_have_value("spa")


def test_the_answer_to_an_earlier_choice_does_not_undo_a_newer_one(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.answers_set = False
    page.get_by_label("I hear").select_option("spa")
    page.get_by_label("I hear").select_option("fra")
    wait_until(page, lambda: len(server.controls) == 2, "the server is asked for both")
    server.send(server_messages.Settled(target_lang="spa", source_lang="auto", name="", audio="stream"), result(1))
    expect(page.locator("#captions > li")).to_have_count(1)
    assert page.get_by_label("I hear").input_value() == "fra"
    server.send(server_messages.Error(code="unknown_language", message="unknown language 'fra'"))
    expect(page.get_by_label("I hear")).to_have_value("spa")


# Refusals and drops


@pytest.mark.parametrize(
    ("code", "close_code", "state", "words"),
    [
        ("full", 1013, "full", "The server is full"),
        ("not_ready", 1013, "loading", "The server is starting up"),
        ("restarting", 1012, "loading", "The server is starting up"),
        ("too_many", 1013, "limited", "Too many requests from your network"),
        ("too_fast", 1013, "limited", "Too many requests from your network"),
    ],
)
def test_a_server_that_cannot_yet_is_asked_again(
    page: Page, server: ScriptedServer, code: str, close_code: int, state: str, words: str
) -> None:
    server.refusals = [(server_messages.Error(code=code, message="not now", fatal=True), close_code)] * 2
    page.goto(server.url)
    join(page)
    wait_for_state(page, state)
    expect(page.locator("#state")).to_have_text(words)
    expect(page.locator("#detail")).to_contain_text("Not now.")
    wait_for_state(page, *QUIET)
    assert len(server.joins) == 3


@pytest.mark.parametrize(
    ("code", "close_code", "message", "words"),
    [
        (
            "invalid_message",
            server_messages.CLOSE_NOT_ALLOWED,
            "room: not a name",
            "Could not join: Room: not a name.",
        ),
        ("setup", server_messages.CLOSE_FAULT, "weights are missing", "The server cannot start: Weights are missing."),
    ],
)
def test_a_refusal_for_good_is_told_in_the_form_and_not_repeated(
    page: Page, server: ScriptedServer, code: str, close_code: int, message: str, words: str
) -> None:
    server.refusals = [(server_messages.Error(code=code, message=message, fatal=True), close_code)]
    page.goto(server.url)
    join(page)
    wait_for_state(page, "refused")
    expect(page.get_by_role("alert")).to_have_text(words)
    page.wait_for_timeout(1500)
    assert len(server.joins) == 1


# The glossary

KOWALCZYK = {"text": "Kowalczyk", "translations": {"pol": "Kowalczyk"}, "spoken": {"eng": "Kovalchick"}}
HEATER = {"text": "chauffe-eau", "translations": {"eng": "water heater"}, "spoken": {}}


def told(*terms: dict[str, Any]) -> server_messages.Glossary:
    return server_messages.Glossary(terms=[server_messages.TermInfo(**term) for term in terms])


def test_the_glossary_shows_how_terms_are_written_and_spoken_in_the_language_heard(
    page: Page, server: ScriptedServer
) -> None:
    joined(page, server)
    server.send(told(KOWALCZYK, HEATER))
    rows = page.locator("#glossary .term")
    expect(rows).to_have_text(["Kowalczyk“Kovalchick”", "chauffe-eau→ water heater"])
    server.send(told())
    expect(rows).to_have_count(0)


def test_a_term_can_be_added_changed_and_removed(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    page.get_by_role("button", name="Add a term").click()
    page.get_by_label("Name or term").fill("chauffe-eau")
    page.get_by_label("In English", exact=True).fill("water heater")
    page.get_by_role("button", name="Save").click()
    asked: list[Any] = [{"type": "glossary", "terms": [HEATER], "remove": []}]
    wait_until(page, lambda: server.controls == asked, "the term is sent")
    server.send(told(HEATER, KOWALCZYK))
    page.get_by_role("button", name="Kowalczyk").first.click()
    assert page.get_by_label("Pronunciation in English").input_value() == "Kovalchick"
    page.get_by_label("Pronunciation in English").fill("")
    page.get_by_role("button", name="Save").click()
    asked.append({"type": "glossary", "terms": [KOWALCZYK | {"spoken": {}}], "remove": []})
    wait_until(page, lambda: server.controls == asked, "the change is sent")
    page.get_by_role("button", name="Remove chauffe-eau").click()
    asked.append({"type": "glossary", "remove": ["chauffe-eau"]})
    wait_until(page, lambda: server.controls == asked, "the removal is sent")
    page.get_by_role("button", name="Add a term").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#term")).to_be_hidden()
    assert server.controls == asked


def test_terms_from_the_wire_are_never_read_as_html(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    text = "<img src=x onerror=document.title='taken'>"
    server.send(told({"text": text, "translations": {"eng": text}, "spoken": {"eng": text}}))
    expect(page.locator("#glossary .term")).to_have_count(1)
    assert page.locator("#glossary img").count() == 0


def test_a_full_glossary_is_said_in_words_of_the_page(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(server_messages.Error(code="glossary_full", message="no place"))
    expect(page.locator("#note")).to_have_text("The list is full. Remove a term first.")


def test_the_terms_of_a_link_are_brought_along_once(page: Page, server: ScriptedServer) -> None:
    given = "BabbleFish;Kowalczyk=eng:|Kovalchick"
    page.goto(f"{server.url}?{urlencode({'glossary': given})}")
    join(page)
    wait_for_state(page, *QUIET)
    assert server.joins[0]["glossary"] == given
    server.drop()
    wait_until(page, lambda: len(server.joins) == 2, "the page comes back")
    assert "glossary" not in server.joins[1]
