"""What is being said at this moment, shown before its caption; in a real browser against a scripted server."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from babblefish.wire import server_messages
from tests.support.browser import ScriptedServer, joined, result

pytestmark = pytest.mark.slow


def partial(seq: int, **changes: Any) -> dict[str, Any]:
    """Return what is known so far of the utterance that ``result(seq)`` would be."""
    fields = {
        "type": "partial",
        "utterance_id": f"utterance_{seq}",
        "client_id": "other",
        "name": "Anna",
        "source_text": "Bonjour",
        "source_lang": "fra",
        "translation": "Hello",
        "target_lang": "eng",
    }
    return fields | changes


@pytest.fixture
def rows(page: Page, server: ScriptedServer) -> Locator:
    """The list of captions of a page that has joined."""
    joined(page, server)
    return page.locator("#captions > li")


def partials(page: Page) -> Locator:
    return page.locator('#captions > li[data-quality="partial"]')


def test_what_is_being_said_is_shown_and_grows_and_its_caption_takes_its_place(
    page: Page, server: ScriptedServer, rows: Locator
) -> None:
    server.send(result(1))
    server.say(partial(2))
    expect(partials(page)).to_contain_text("Anna")
    expect(partials(page)).to_contain_text("French → English")
    expect(partials(page)).to_contain_text("in progress")
    assert partials(page).locator(".text").evaluate("text => getComputedStyle(text).fontStyle") == "italic"
    assert partials(page).get_by_role("button").count() == 0
    server.say(partial(2, source_text="Bonjour à", translation="Hello every"))
    expect(rows.locator(".text")).to_have_text(["Hello everyone", "Hello every"])
    box = rows.nth(1).bounding_box()
    server.send(result(2))
    expect(rows.locator(".text")).to_have_text(["Hello everyone", "Hello everyone"])
    expect(partials(page)).to_have_count(0)
    assert rows.nth(1).bounding_box() == box, "nothing moves"
    server.say(partial(2))  # it was late
    server.send(result(3, translation="three"))
    expect(rows.locator(".text").nth(2)).to_have_text("three")
    expect(rows).to_have_count(3)


def test_it_is_not_read_out_while_it_changes_but_its_caption_is(
    page: Page, server: ScriptedServer, rows: Locator
) -> None:
    server.say(partial(1))
    expect(rows).to_have_attribute("aria-live", "off")
    server.send(result(1))
    expect(partials(page)).to_have_count(0)
    assert rows.get_attribute("aria-live") is None
    expect(page.get_by_role("log").get_by_role("listitem")).to_have_count(1)


def test_what_is_not_translated_yet_stands_in_the_language_that_is_spoken(
    page: Page, server: ScriptedServer, rows: Locator
) -> None:
    server.say(partial(1, translation=None, target_lang=None))
    expect(rows.locator(".text")).to_have_text("Bonjour")
    expect(rows.locator(".text")).to_have_attribute("lang", "fr")
    expect(rows.locator(".original")).to_have_count(0)


def test_each_client_has_one_and_captions_keep_their_order(page: Page, server: ScriptedServer, rows: Locator) -> None:
    server.say(partial(2, translation="Anna"), partial(4, client_id="me", name="", translation="mine"))
    server.say(partial(2, translation="Anna again"))
    expect(rows.locator(".text")).to_have_text(["Anna again", "mine"])
    expect(page.locator("#captions > li.mine")).to_have_count(1)
    server.send(result(1, translation="one"))
    expect(rows.locator(".text")).to_have_text(["one", "Anna again", "mine"])
    server.send(result(4, client_id="me", translation="four"), result(3, translation="three"))
    expect(rows.locator(".text")).to_have_text(["one", "Anna again", "three", "four"])
    server.say(partial(6, translation="Anna's next"))
    expect(rows.locator(".text")).to_have_text(["one", "Anna's next", "three", "four"])
    server.send(result(6, translation="six"), result(2, translation="two"))
    expect(rows.locator(".text")).to_have_text(["one", "two", "three", "four", "six"])


def test_it_goes_when_its_utterance_fails_its_speaker_leaves_or_nothing_follows(
    page: Page, server: ScriptedServer, rows: Locator
) -> None:
    server.say(partial(1))
    expect(rows).to_have_count(1)
    server.send(server_messages.Error(code="no_speech", message="no words", utterance_id="utterance_other"))
    expect(page.locator("#note")).to_be_visible()
    expect(rows).to_have_count(1)
    server.send(server_messages.Error(code="no_speech", message="no words", utterance_id="utterance_1"))
    expect(rows).to_have_count(0)
    expect(page.locator("#empty")).to_be_visible()

    server.say(partial(2), partial(3, client_id="me"))
    expect(rows).to_have_count(2)
    server.say(partial(2, source_text="", source_lang="", translation="", target_lang=""))  # taken back
    expect(rows).to_have_count(1)
    expect(rows).to_have_class("caption mine")
    server.say(partial(4))
    expect(rows).to_have_count(2)
    me = server_messages.MemberInfo(client_id="me", name="", target_lang="eng", source_lang="auto")
    server.send(server_messages.Presence(members=[me]))
    expect(rows).to_have_count(1)
    expect(rows).to_have_class("caption mine")
    expect(rows).to_have_count(0, timeout=10_000)


def test_it_stays_as_long_as_there_is_news(page: Page, server: ScriptedServer) -> None:
    page.clock.install()
    joined(page, server)
    for words in ("one", "one two", "one two three"):
        server.say(partial(1, translation=words))
        expect(partials(page).locator(".text")).to_have_text(words)
        page.clock.fast_forward(6000)
        expect(partials(page)).to_have_count(1)
    page.clock.fast_forward(2500)
    expect(partials(page)).to_have_count(0)


def test_it_is_in_no_transcript_and_cannot_be_heard_again(page: Page, server: ScriptedServer, rows: Locator) -> None:
    server.send(result(1))
    server.say(partial(2, translation="unfinished"))
    expect(rows).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON", exact=True).click()
    assert "unfinished" not in download.value.path().read_text()
