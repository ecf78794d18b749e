"""The link that lets people in: its token, in a real browser against a scripted server."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from babblefish.wire import server_messages
from tests.support.browser import QUIET, ScriptedServer, join, wait_for_state, wait_until

pytestmark = pytest.mark.slow

NOT_ALLOWED = server_messages.Error(code="not_allowed", message="the token is wrong", fatal=True)
WORDS = {
    "en": "This link is invalid or has expired. Ask for a new one, or scan the code again.",
    "de": "Dieser Link ist ungültig oder abgelaufen. Bitte um einen neuen oder scanne den Code noch einmal.",
}


def test_the_token_of_a_link_is_sent_and_no_longer_seen(page: Page, server: ScriptedServer) -> None:
    page.goto(f"{server.url}?room=hall#token=s+cret%26")
    expect(page).to_have_url(f"{server.url}?room=hall")
    join(page)
    wait_for_state(page, *QUIET)
    assert server.joins[0]["token"] == "s cret&"
    server.drop()
    wait_until(page, lambda: len(server.joins) == 2, "the page comes back")
    assert server.joins[1]["token"] == "s cret&"


def test_a_token_is_remembered_for_its_room_and_a_newer_link_replaces_it(page: Page, server: ScriptedServer) -> None:
    for link, token in (
        ("?room=hall#token=one", "one"),
        ("?room=attic#token=two", "two"),
        ("?room=hall", "one"),
        ("", "one"),  # as the installed page opens it: in the room of the last time
        ("?room=hall#token=three", "three"),
        ("?room=hall", "three"),
        ("?room=cellar", "three"),  # perhaps one token is for all rooms
    ):
        page.goto("about:blank")
        page.goto(server.url + link)
        join(page)
        wait_until(page, lambda token=token: bool(server.joins) and server.joins[-1]["token"] == token, link)  # type: ignore[misc]
        wait_for_state(page, *QUIET)
        server.joins.clear()


def test_the_token_that_the_server_gives_takes_the_place_of_the_links_in_its_room(
    page: Page, server: ScriptedServer
) -> None:
    server.history = {"token": "longer"}
    page.goto(f"{server.url}?room=hall#token=link")
    join(page)
    wait_for_state(page, *QUIET)
    server.history = {"token": None}
    server.drop()
    wait_until(page, lambda: len(server.joins) == 2, "the page comes back")
    wait_for_state(page, *QUIET)
    page.reload()
    for room in ("hall", "cellar"):
        page.get_by_role("textbox", name="Room").fill(room)
        join(page)
        wait_for_state(page, *QUIET)
        page.get_by_role("button", name="Leave").click()
    tokens = [(joined["room"], joined["token"]) for joined in server.joins]
    assert tokens == [("hall", "link"), ("hall", "longer"), ("hall", "longer"), ("cellar", "link")]


def test_a_link_that_is_no_good_leaves_the_one_that_was(page: Page, server: ScriptedServer) -> None:
    page.goto(f"{server.url}?room=hall#token=good")
    join(page)
    wait_for_state(page, *QUIET)
    page.goto("about:blank")
    server.refusals = [(NOT_ALLOWED, server_messages.CLOSE_NOT_ALLOWED)]
    page.goto(f"{server.url}?room=hall#token=bad")
    join(page)
    wait_for_state(page, "refused")
    page.goto("about:blank")
    page.goto(f"{server.url}?room=hall")
    join(page)
    wait_for_state(page, *QUIET)
    assert [joined["token"] for joined in server.joins] == ["good", "bad", "good"]


def test_without_a_link_no_token_is_sent(page: Page, server: ScriptedServer) -> None:
    page.goto(server.url)
    join(page)
    wait_for_state(page, *QUIET)
    assert "token" not in server.joins[0]


@pytest.mark.parametrize("locale", ["en", "de"])
def test_a_link_that_is_no_longer_good_is_told_in_plain_words(
    browser: Browser, server: ScriptedServer, locale: str
) -> None:
    context = browser.new_context(locale=locale)
    page = context.new_page()
    server.refusals = [(NOT_ALLOWED, server_messages.CLOSE_NOT_ALLOWED)]
    page.goto(f"{server.url}#token=old")
    page.locator("#join").click()
    wait_for_state(page, "refused")
    expect(page.get_by_role("alert")).to_have_text(WORDS[locale])
    page.goto(f"{server.url}#token=new")  # the same page: only what stands behind the # is another
    page.locator("#join").click()
    wait_for_state(page, *QUIET)
    assert [join["token"] for join in server.joins] == ["old", "new"]
    context.close()
