"""Voices on the page: enrolling with consent, what becomes of one's voice, and whose a caption was after all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from babblefish.wire import server_messages
from tests.support.browser import QUIET, ScriptedServer, join, joined, result, wait_for_state, wait_until

pytestmark = pytest.mark.slow

DONE = server_messages.Enrolment(
    state="done", heard_s=5.2, needed_s=5.0, speaker_id="speaker_7", voice_id="abc", voice_token="secret", stored=True
)


def listening(heard_s: float, state: server_messages.EnrolmentState = "listening") -> server_messages.Enrolment:
    return server_messages.Enrolment(state=state, heard_s=heard_s, needed_s=5.0)


def asked(page: Page, server: ScriptedServer, *messages: dict[str, Any]) -> None:
    wait_until(page, lambda: server.controls == list(messages), "the server is asked")


def speakers(page: Page) -> list[str]:
    return page.locator("#captions .who").all_inner_texts()


def enrolled(page: Page, server: ScriptedServer) -> None:
    """Join and enrol as Marta."""
    page.goto(server.url)
    join(page, Your_name="Marta")
    wait_for_state(page, *QUIET)
    page.get_by_role("button", name="Let my voice be known").click()
    page.get_by_role("button", name="I agree").click()
    asked(page, server, {"type": "enrol", "consent": True, "name": "Marta"})
    server.send(DONE)
    expect(page.locator("#enrolling")).to_have_text("Your voice is known.")
    server.controls.clear()


def test_nothing_is_learnt_of_a_voice_before_somebody_has_agreed(page: Page, server: ScriptedServer) -> None:
    server.history = {"voices_kept_days": 180.0}
    page.goto(server.url)
    join(page, Your_name="Marta")
    wait_for_state(page, *QUIET)
    page.get_by_role("button", name="Let my voice be known").click()
    dialog = page.get_by_role("dialog", name="My voice")
    expect(dialog).to_contain_text("is stored on the server, encrypted, until this room has not heard it for 180 days")
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Let my voice be known").click()
    dialog.get_by_label("Whose voice this is").fill("Marta K.")
    dialog.get_by_role("button", name="I agree").click()
    asked(page, server, {"type": "enrol", "consent": True, "name": "Marta K."})


def test_who_enrols_sees_how_far_that_is_and_may_stop(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    progress = page.locator("#enrolling")
    server.send(listening(0.0))
    expect(progress).to_have_text("Now say two sentences: 0 of 5 s")
    server.send(listening(2.4))
    expect(progress).to_have_text("Now say two sentences: 2 of 5 s")
    server.send(listening(2.4, "other_voice"))
    expect(progress).to_have_text("That sounded like somebody else: 2 of 5 s")
    page.locator("#my-voices").get_by_role("button", name="Cancel").click()
    asked(page, server, {"type": "enrol", "consent": False})
    server.send(listening(2.4, "ended"))
    expect(progress).to_have_text("Nothing was kept.")
    expect(page.locator("#voices li")).to_have_count(0)


def test_a_voice_stays_ones_own_over_connections_and_visits(page: Page, server: ScriptedServer) -> None:
    enrolled(page, server)
    assert "voices" not in server.joins[-1]
    server.drop()
    wait_until(page, lambda: len(server.joins) == 2, "the page comes back")
    assert server.joins[-1]["voices"] == "secret"
    joined(page, server)
    assert server.joins[-1]["voices"] == "secret"
    expect(page.locator("#voices li")).to_contain_text("Marta")
    page.get_by_role("button", name="Leave").click()
    join(page, Room="kitchen")
    wait_for_state(page, *QUIET)
    assert "voices" not in server.joins[-1], "another room has voices of its own"


def test_ones_voice_is_renamed_and_forgotten(page: Page, server: ScriptedServer) -> None:
    enrolled(page, server)
    page.locator("#voices").get_by_role("button", name="Marta", exact=True).click()
    page.get_by_label("Name", exact=True).fill("Marta K.")
    page.get_by_role("button", name="Save", exact=True).click()
    server.send(server_messages.Speaker(speaker_id="speaker_7", name="Marta K."))
    page.get_by_role("button", name="Forget the voice of Marta K.").click()
    rename = {"type": "rename_speaker", "speaker_id": "speaker_7", "name": "Marta K."}
    asked(page, server, rename, {"type": "forget_speaker", "speaker_id": "speaker_7"})
    expect(page.locator("#voices li")).to_have_count(1)
    server.send(server_messages.Speaker(speaker_id="unknown", name="Unknown speaker", replaces="speaker_7"))
    expect(page.locator("#voices li")).to_have_count(0)
    joined(page, server)
    assert "voices" not in server.joins[-1]


def test_a_voice_that_the_server_knows_no_more_is_not_shown_for_ever(page: Page, server: ScriptedServer) -> None:
    enrolled(page, server)
    page.get_by_role("button", name="Forget the voice of Marta").click()
    server.send(server_messages.Error(code="unknown_speaker", message="no speaker 'speaker_7'"))
    expect(page.locator("#voices li")).to_have_count(0)


def test_all_that_is_kept_of_ones_voice_can_be_saved(page: Page, server: ScriptedServer) -> None:
    tokens = list[str]()

    def answer(route: Route) -> None:
        tokens.append(route.request.headers.get("authorization", ""))
        route.fulfill(json={"name": "Marta"})

    page.route("**/rooms/main/voices/abc", answer)
    enrolled(page, server)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the voice of Marta").click()
    assert download.value.suggested_filename.endswith(".voice.json")
    assert json.loads(download.value.path().read_text()) == {"name": "Marta"}
    assert tokens == ["Bearer secret"]


def test_captions_are_given_to_the_voice_that_they_are_of(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    unsure = {"speaker_id": "unknown", "speaker_name": "Anna", "speaker_likely": True}
    server.send(result(1, **unsure), result(2), result(3, speaker_id="speaker_2", speaker_name="Speaker 2"))
    expect(page.locator("#captions > li")).to_have_count(3)
    server.send(server_messages.Speaker(speaker_id="speaker_2", name="Anna", seqs=(1, 3, 4)))
    expect(page.get_by_role("button", name="Anna")).to_have_count(2)
    assert speakers(page) == ["Anna", "Speaker 1", "Anna"]
    expect(page.locator(".likely")).to_have_count(0)
    server.send(result(4, **unsure))  # said before that was known
    expect(page.get_by_role("button", name="Anna")).to_have_count(3)
    server.send(server_messages.Speaker(speaker_id="unknown", name="Unknown speaker", replaces="speaker_2"))
    expect(page.locator("#captions span.who")).to_have_count(3)
    assert speakers(page) == ["Unknown speaker", "Speaker 1", "Unknown speaker", "Unknown speaker"]


def test_a_caption_that_goes_on_is_corrected_as_one(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(result(1), result(2, continues=True, translation="and good evening."))
    server.send(server_messages.Speaker(speaker_id="speaker_2", name="Anna", seqs=(1, 2)))
    expect(page.locator("#captions .who")).to_have_text("Anna")
    expect(page.locator("#captions .text")).to_have_text("Hello everyone and good evening.")


def test_a_tap_on_a_name_says_that_it_was_somebody_else(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(result(1), result(2), result(3, speaker_id="speaker_2", speaker_name="Bob"))
    first = page.get_by_role("button", name="Speaker 1").first

    first.click()
    page.get_by_role("button", name="Somebody else said this").click()
    split = {"type": "split_speaker", "speaker_id": "speaker_1", "seq": 1}
    asked(page, server, split)

    first.click()
    page.get_by_label("The same person as").select_option("Bob")
    page.get_by_role("button", name="Save", exact=True).click()
    merge = {"type": "merge_speakers", "keep": "speaker_2", "drop": "speaker_1"}
    asked(page, server, split, merge)

    first.click()
    page.get_by_role("button", name="Forget the voice of Speaker 1").click()
    asked(page, server, split, merge, {"type": "forget_speaker", "speaker_id": "speaker_1"})


def test_a_server_that_keeps_no_voices_offers_nothing(page: Page, server: ScriptedServer) -> None:
    page.goto(server.url)
    page.evaluate("""() => {
        const take = WebSocket.prototype.__lookupSetter__("onmessage");
        Object.defineProperty(WebSocket.prototype, "onmessage", { set(handler) {
            take.call(this, ({ data }) => handler({ data: data.replace(/, ?"voices_kept_days": ?null/, "") }));
        } });
    }""")
    join(page)
    wait_for_state(page, *QUIET)
    expect(page.locator("#my-voices")).to_be_hidden()
