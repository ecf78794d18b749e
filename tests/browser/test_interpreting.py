"""What is translated while somebody goes on speaking: the choice, and captions that grow."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from babblefish.wire import server_messages
from tests.support.browser import ScriptedServer, join, joined, result, speech, tone_wav, wait_until

pytestmark = pytest.mark.slow

HEARD = """
    // What a screen reader is given of the conversation: what is added to it, but for what is not to be read.
    window.heard = [];
    document.addEventListener("DOMContentLoaded", () => {
      new MutationObserver((changes) => {
        for (const node of changes.flatMap(({ addedNodes }) => [...addedNodes])) {
          const isRead = node instanceof HTMLElement && !node.closest("[aria-live=off]");
          const words = isRead ? node.matches(".text, .text *") ? node : node.querySelector(".text") : null;
          if (words) heard.push(words.textContent.trim());
        }
      }).observe(document.getElementById("captions"), { childList: true, subtree: true });
    });
"""


def part(seq: int, translation: str, source: str, **changes: Any) -> server_messages.Result:
    """A clause of what Anna says without a pause; from the second on, they go on."""
    return result(seq, **{"translation": translation, "source_text": source, "continues": seq > 1} | changes)


def so_far(seq: int, words: str, **changes: Any) -> dict[str, Any]:
    """What is known of the next clause."""
    message = {"type": "partial", "utterance_id": f"utterance_{seq}", "client_id": "other", "name": "Anna"}
    text = {"source_text": "et", "source_lang": "fra", "translation": words, "target_lang": "eng", "continues": True}
    return message | text | changes


@pytest.fixture
def cards(page: Page, server: ScriptedServer) -> Locator:
    """The captions of a page that has joined."""
    page.add_init_script(HEARD)
    joined(page, server)
    return page.locator("#captions > li")


# The choice


def test_how_one_is_interpreted_to_is_the_servers_until_it_is_chosen_and_kept(
    page: Page, server: ScriptedServer
) -> None:
    joined(page, server)
    assert "interpreting" not in server.joins[0]
    choice = page.get_by_label("Translate", exact=True)
    expect(choice).to_have_value("consecutive")
    choice.select_option("As it is said")
    wait_until(page, lambda: server.controls == [{"type": "set", "interpreting": "simultaneous"}], "it is asked for")
    expect(choice).to_have_value("simultaneous")
    page.goto(server.url)
    join(page)
    wait_until(page, lambda: len(server.joins) == 2, "the page joins")
    assert server.joins[1]["interpreting"] == "simultaneous"
    expect(choice).to_have_value("simultaneous")


def test_a_server_that_knows_one_way_only_offers_no_choice_and_is_not_asked(page: Page, server: ScriptedServer) -> None:
    server.history = {"interpreting": None}
    page.add_init_script("localStorage.setItem('babblefish.interpreting', '\"simultaneous\"')")
    joined(page, server)
    expect(page.locator("#people li")).to_have_count(2)
    expect(page.locator("#interpreting")).to_be_hidden()
    page.wait_for_timeout(300)
    assert server.controls == []


# Captions that grow


def test_what_goes_on_grows_in_one_card_and_only_what_is_new_is_read_out(
    page: Page, server: ScriptedServer, cards: Locator
) -> None:
    server.send(part(1, "When I came home,", "Quand je suis rentrée,"))
    server.send(part(2, "nobody was there,", "il n\u2019y avait personne,"))
    server.send(part(3, "and I was glad.", "et j\u2019étais contente."))
    expect(cards.locator(".text")).to_have_text(["When I came home, nobody was there, and I was glad."])
    expect(cards.locator(".original")).to_have_text(
        ["Quand je suis rentrée, il n\u2019y avait personne, et j\u2019étais contente."]
    )
    assert page.evaluate("heard") == ["When I came home,", "nobody was there,", "and I was glad."]
    server.send(part(4, "Then I slept.", "Puis j\u2019ai dormi.", continues=False))
    expect(cards).to_have_count(2)


def test_who_was_interrupted_goes_on_in_a_card_of_their_own(page: Page, server: ScriptedServer, cards: Locator) -> None:
    server.send(part(1, "When I came", "Quand je"))
    server.send(result(2, client_id="me", speaker_id="speaker_2", translation="Yes?"))
    server.send(part(3, "home late", "suis rentrée tard"), part(4, "I ate.", "j\u2019ai mangé."))
    expect(cards.locator(".text")).to_have_text(["When I came", "Yes?", "home late I ate."])


@pytest.mark.parametrize(
    "changes", [{"speaker_id": "speaker_2"}, {"target_lang": "spa"}, {"source_lang": "spa"}, {"client_id": "me"}]
)
def test_another_voice_or_language_never_goes_on_in_the_same_card(
    page: Page, server: ScriptedServer, cards: Locator, changes: dict[str, Any]
) -> None:
    server.send(part(1, "one", "un"), part(2, "two", "deux", **changes))
    expect(cards.locator(".text")).to_have_text(["one", "two"])


def test_a_voice_that_only_a_later_part_tells_names_the_whole_and_marks_add_up(
    page: Page, server: ScriptedServer, cards: Locator
) -> None:
    server.send(
        part(1, "one", "un", speaker_id="unknown", speaker_name="Anna", speaker_likely=True),
        part(2, "two", "deux", speaker_name="Jeanne", quality="draft"),
        part(3, "three", "trois", speaker_name="Jeanne", quality="draft"),
        part(4, "four", "quatre", speaker_id="unknown", speaker_name="Unknown speaker"),
    )
    expect(cards.locator(".text")).to_have_text(["one two three four"])
    expect(cards.locator(".who")).to_have_text(["Jeanne"])
    expect(cards.locator(".mark")).to_have_text(["draft"])
    server.send(server_messages.Speaker(speaker_id="speaker_1", name="Jeanne M."))
    expect(cards.locator(".who")).to_have_text(["Jeanne M."])


def test_what_is_not_sure_yet_stands_behind_what_is_and_gives_way_to_it(
    page: Page, server: ScriptedServer, cards: Locator
) -> None:
    server.send(part(1, "When I came home,", "Quand je suis rentrée,"))
    server.say(so_far(2, "nobody"))
    expect(cards.locator(".text")).to_have_text(["When I came home, nobody"])
    provisional = cards.locator(".so-far")
    assert provisional.evaluate("words => getComputedStyle(words).fontStyle") == "italic"
    expect(provisional).to_have_attribute("aria-live", "off")
    server.say(so_far(2, "nobody was"), so_far(3, "and"))  # the next clause has begun before the last is translated
    expect(cards.locator(".text")).to_have_text(["When I came home, and"])
    server.send(part(2, "nobody was there,", "il n\u2019y avait personne,"))
    expect(cards.locator(".text")).to_have_text(["When I came home, nobody was there, and"])
    server.say(so_far(3, "et", translation=None, target_lang=None))
    expect(provisional).to_have_attribute("lang", "fr")
    server.say(so_far(3, "", source_text="", translation=""))  # nothing came of it
    expect(cards.locator(".text")).to_have_text(["When I came home, nobody was there,"])
    assert page.evaluate("heard") == ["When I came home,", "nobody was there,"]
    server.send(result(4, client_id="me", speaker_id="speaker_2", translation="Yes?"))
    server.say(so_far(5, "and then"))
    expect(cards.locator(".text")).to_have_text(["When I came home, nobody was there,", "Yes?", "and then"])


def test_a_doubtful_language_is_asked_for_once_in_a_card_that_grows(
    page: Page, server: ScriptedServer, cards: Locator
) -> None:
    mine: dict[str, Any] = {"client_id": "me", "source_lang_confidence": 0.4}
    server.send(*(part(seq, f"part {seq}", f"partie {seq}", **mine) for seq in (1, 2, 3)))
    expect(cards.locator(".text")).to_have_text(["part 1 part 2 part 3"])
    expect(cards.locator(".doubt")).to_have_count(1)
    cards.locator(".doubt").get_by_role("button", name="French").click()
    wait_until(page, lambda: server.controls == [{"type": "set", "source_lang": "fra"}], "it is told")
    expect(cards.locator(".doubt")).to_have_count(0)


def test_a_card_that_has_grown_is_heard_again_as_a_whole_and_shows_what_was_skipped(
    page: Page, server: ScriptedServer, cards: Locator
) -> None:
    piece = tone_wav(0.2)
    for seq in (1, 2):
        server.send(part(seq, f"part {seq}", f"partie {seq}", status="speaking"), speech(seq, 0, piece, last=True))
    page.wait_for_function("() => babblefish.playedUtterances === 2")
    page.get_by_role("button", name="Play again").click()
    page.wait_for_function("() => babblefish.playedPieces.length === 4")
    server.send(part(3, "part 3", "partie 3", tts_audio=tone_wav(4)))
    server.send(part(4, "part 4", "partie 4", tts_audio=tone_wav(4)))  # begun, as there is to be no gap
    server.send(part(5, "part 5", "partie 5", tts_audio=tone_wav(20)))
    server.send(part(6, "part 6", "partie 6", tts_audio=piece))
    expect(cards.locator(".unheard")).to_have_text(["part 5"])
    expect(cards.locator(".mark")).to_have_text(["not read aloud"])


def test_a_long_speech_is_divided_at_the_end_of_a_sentence(page: Page, server: ScriptedServer, cards: Locator) -> None:
    clause = "and so on and so forth, as it is"
    server.send(*(part(seq, clause + ("." if seq % 7 == 0 else ","), "etc.") for seq in range(1, 41)))
    expect(cards).to_have_count(2)
    expect(cards.first.locator(".text")).to_have_text(
        " ".join(clause + ("." if seq % 7 == 0 else ",") for seq in range(1, 22))
    )
