"""People in one room: real browsers with fake microphones, the real server, the engines of the embedded profile."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, Playwright

from babblefish.cli.demo import read_speech
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.engines.contracts import Engines
from babblefish.server.app import create_app, server_config
from babblefish.server.service import DrainingServer
from babblefish.server.systemd import ServiceManager
from tests.support.browser import browser_hearing, join, microphone_file, tone, wait_for_state, wait_until
from tests.support.browser_network import network_to
from tests.support.serving import EMBEDDED, ENGLISH_SPEECH, FRENCH_SPEECH, UNHURRIED, load_engines, spoken

pytestmark = pytest.mark.slow

IN_THE_ROOM = ("listening", "hearing", "translating", "speaking", "behind")


MONOLOGUE = (
    "Ce matin je suis allée au marché avec ma sœur, parce qu'il n'y avait plus de légumes à la maison, et nous avons "
    "rencontré notre voisin, qui nous a raconté son voyage en Italie, où il a vu trois villes en quatre jours, et puis "
    "nous avons bu un café ensemble avant de rentrer à pied par le parc. Il faisait si beau que nous sommes restées "
    "une heure au bord du lac, où des enfants donnaient du pain aux canards, et quand nous sommes enfin arrivées à la "
    "maison, tout le monde avait déjà mangé, mais mon père nous avait gardé deux assiettes de soupe."
)

COMMITTED = """() => {
    // All that is sure of what the others said, at each moment when there was more of it.
    window.committed = [""];
    new MutationObserver(() => {
        const texts = [...document.querySelectorAll("#captions > li:not([data-quality=partial]):not(.mine) .text")];
        const sure = texts.map((text) => {
            const copy = text.cloneNode(true);
            copy.querySelectorAll(".so-far").forEach((notYet) => notYet.remove());
            return copy.textContent.trim();
        }).join(" ");
        if (sure !== committed.at(-1)) committed.push(sure);
    }).observe(document.getElementById("captions"), { childList: true, subtree: true, characterData: true });
}"""


class RealServer:
    """The real application on a port that it keeps when it is started again."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        app = create_app(EMBEDDED, self._engines, UNHURRIED)
        self._server = DrainingServer(server_config(app, EMBEDDED), app.state.server, ServiceManager({}))
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],))
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def rooms(self) -> set[str]:
        with urllib.request.urlopen(f"{self.url}speakers", timeout=5) as answer:
            return {room["room"] for room in json.load(answer)["rooms"]}


@pytest.fixture(scope="module")
def engines() -> Engines:
    return load_engines(EMBEDDED)


@pytest.fixture
def server(engines: Engines) -> Iterator[RealServer]:
    server = RealServer(engines)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Room:
    """A room that people enter with browsers of their own."""

    playwright: Playwright
    folder: Path
    stack: ExitStack
    errors: list[str]

    def enter(self, url: str, hears: str, says: Samples, **chosen: str) -> Page:
        """Join as somebody who begins to speak three seconds later.

        Args:
            url: The page's.
            hears: The language of what is heard.
            says: What the microphone hears, at 16 kHz.
            chosen: What is chosen besides, by label, blanks written as ``_``.
        """
        wav = microphone_file(self.folder / f"hears_{hears}.wav", says, SAMPLE_RATE_HZ)
        page = self.stack.enter_context(browser_hearing(self.playwright, wav)).new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(url)
        page.get_by_label("I hear").select_option(hears)
        if "I_speak" in chosen:
            page.get_by_label("I speak").select_option(chosen.pop("I_speak"))
        join(page)
        wait_for_state(page, *IN_THE_ROOM)
        for label, choice in chosen.items():
            page.get_by_label(label.replace("_", " "), exact=True).select_option(choice)
        return page


@pytest.fixture
def room(playwright: Playwright, tmp_path: Path) -> Iterator[Room]:
    errors = list[str]()
    with ExitStack() as stack:
        yield Room(playwright, tmp_path, stack, errors)
    assert errors == []


def bonjour() -> Samples:
    """Return the first of the two French sentences."""
    return read_speech(FRENCH_SPEECH)[: int(3.65 * SAMPLE_RATE_HZ)]


def again_and_again(says: Samples, times: int, pause_s: float = 1.5) -> Samples:
    """Return a sentence with pauses between, each a breath unless it is said otherwise."""
    pause = np.zeros(int(pause_s * SAMPLE_RATE_HZ), np.float32)
    return np.concatenate([says, pause] * times)


def captions(page: Page) -> list[dict[str, Any]]:
    """Return the captions on a page from top to bottom, without what is still being said."""
    rows = page.locator("#captions > li:not([data-quality=partial])")
    found: list[dict[str, Any]] = rows.evaluate_all("""items => items.map((item) => ({
        id: item.dataset.utteranceId,
        seq: Number(item.dataset.seq),
        mine: item.classList.contains("mine"),
        direction: item.querySelector(".direction").textContent,
        text: item.querySelector(".text").textContent,
        original: item.querySelector(".original")?.textContent ?? null,
    }))""")
    return found


def numbers(page: Page) -> list[tuple[int, str]]:
    """Return number and id of each caption on a page from top to bottom."""
    return [(caption["seq"], caption["id"]) for caption in captions(page)]


def of_the_other(page: Page) -> dict[str, Any] | None:
    """Return the first caption of what somebody else said, if there is one."""
    return next((caption for caption in captions(page) if not caption["mine"]), None)


def test_the_link_of_the_invitation_leads_into_its_room(server: RealServer, room: Room) -> None:
    wav = microphone_file(room.folder / "hum.wav", tone(0.1, 440, rate_hz=48_000), 48_000)
    page = room.stack.enter_context(browser_hearing(room.playwright, wav)).new_page()
    page.goto(f"{server.url}join?room=team-7")
    page.get_by_role("link", name="team-7").click()
    join(page)
    wait_for_state(page, *IN_THE_ROOM)
    assert page.locator("#room-name").inner_text() == "team-7"
    assert server.rooms() == {"team-7"}


def test_two_people_read_and_hear_each_other_in_their_own_language(server: RealServer, room: Room) -> None:
    marie = room.enter(server.url, "fra", bonjour())
    john = room.enter(server.url, "eng", read_speech(ENGLISH_SPEECH))
    for page, direction in ((john, "French → English"), (marie, "English → French")):
        wait_until(page, lambda page=page: of_the_other(page) is not None, "the other's words are there", at_most_s=60)
        caption = of_the_other(page)
        assert caption is not None
        assert caption["direction"] == direction
        assert caption["text"] != caption["original"]
        page.wait_for_function("() => babblefish.playedUtterances >= 1", timeout=60_000)
        heard = page.evaluate("babblefish.playedPieces")
        assert {piece["utteranceId"] for piece in heard} <= {one["id"] for one in captions(page) if not one["mine"]}
        assert sum(piece["end"] - piece["start"] for piece in heard) > 0.5


def test_who_talks_without_a_pause_is_heard_while_they_go_on(engines: Engines, server: RealServer, room: Room) -> None:
    john = room.enter(server.url, "eng", np.zeros(SAMPLE_RATE_HZ, np.float32), Translate="As it is said")
    john.evaluate(COMMITTED)
    marie = room.enter(server.url, "fra", spoken(engines, MONOLOGUE, "fra"), I_speak="fra")
    wait_for_state(marie, "hearing")
    john.wait_for_function("() => babblefish.playedUtterances >= 1", timeout=60_000)
    so_far = john.evaluate("committed.length")
    wait_until(john, lambda: john.evaluate("committed.length") >= so_far + 2, "she goes on, clause by clause")
    growing = john.evaluate("committed")
    assert all(after.startswith(before) for before, after in itertools.pairwise(growing)), "nothing is taken back"


def test_of_what_is_said_while_one_is_cut_off_both_have_every_caption_once(server: RealServer, room: Room) -> None:
    with network_to(server.port) as network:
        marie = room.enter(server.url, "fra", again_and_again(bonjour(), 3))
        silence = np.zeros(3 * SAMPLE_RATE_HZ, np.float32)
        john = room.enter(
            f"http://127.0.0.1:{network.port}/", "eng", np.concatenate([silence, read_speech(ENGLISH_SPEECH)])
        )
        wait_until(john, lambda: captions(john) != [], "the first caption is there", at_most_s=60)
        network.cut()
        wait_for_state(john, "reconnecting")
        before = numbers(john)
        wait_until(marie, lambda: len(captions(marie)) > len(before), "she has gone on talking", at_most_s=60)
        assert numbers(john) == before, "he is cut off"
        network.mend()
        wait_for_state(john, *IN_THE_ROOM)
        wait_until(marie, lambda: of_the_other(marie) is not None, "his words reach her as well", at_most_s=60)
        wait_until(marie, lambda: len(captions(marie)) >= 4, "all of both was said", at_most_s=60)
        wait_until(john, lambda: numbers(john) == numbers(marie), "both have the same captions")
    assert [seq for seq, _ in numbers(john)] == list(range(1, len(numbers(john)) + 1))
    said_by_him = " ".join(caption["original"] or "" for caption in captions(marie) if not caption["mine"])
    assert "soup" in said_by_him.casefold()


def test_a_restarted_server_is_found_again_and_the_conversation_goes_on(server: RealServer, room: Room) -> None:
    john = room.enter(server.url, "eng", np.zeros(SAMPLE_RATE_HZ, np.float32))
    # She still speaks when the server is back, however slow the machine is, and does not say more than it can follow.
    marie = room.enter(server.url, "fra", again_and_again(bonjour(), 12, pause_s=20.0))
    wait_until(john, lambda: captions(john) != [], "the first caption is there", at_most_s=60)
    wait_until(marie, lambda: captions(marie) != [], "she reads it, too")
    server.stop()
    for page in (marie, john):
        wait_for_state(page, "reconnecting")
    before = numbers(john)
    assert numbers(marie) == before
    server.start()
    for page in (marie, john):
        wait_for_state(page, *IN_THE_ROOM)
    wait_until(
        john,
        lambda: "French → English" in [caption["direction"] for caption in captions(john)[len(before) :]],
        "the conversation goes on",
        at_most_s=60,
    )
    wait_until(marie, lambda: numbers(marie) == numbers(john), "both have the same captions")
    assert numbers(john)[: len(before)] == before, "what was said before is still there"
    assert numbers(john)[len(before)][0] == 1, "the new server counts anew"
