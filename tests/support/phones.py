"""Phones that lose their connection and come back, and engines that wait until they are told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from babblefish.domain import Deadline
from babblefish.engines.contracts import Route
from tests.support.fakes import PHRASES, Fakes, speech
from tests.support.serving import Client, Running
from tests.support.waiting import until

WORDS = {phrase: text for phrase, (_, text) in PHRASES.items()}


class Phone:
    """A client that comes back under the id it was given and asks for what it missed."""

    def __init__(self, running: Running, **query: str) -> None:
        self._running = running
        self.query = {"audio": "none"} | query
        self.connections: list[Client] = []
        self.history_id = ""
        self.last_seq = 0

    @property
    def now(self) -> Client:
        return self.connections[-1]

    @property
    def results(self) -> list[dict[str, Any]]:
        """Return what every connection got, in the order it came."""
        return [result for connection in self.connections for result in connection.of_type("result")]

    @property
    def texts(self) -> list[str]:
        return [result["source_text"] for result in self.results]

    async def connect(self) -> dict[str, Any]:
        self.connections.append(await self._running.client(**self.query))
        ready = self.now.messages[0]
        self.query |= {"client_id": ready["client_id"], "token": ready["token"]}
        if not self.history_id:
            self.history_id, self.last_seq = ready["history_id"], ready["last_seq"]
        return ready

    async def drop(self) -> None:
        """Lose the connection, and wait until the server has noticed."""
        self.last_seq = max((result["seq"] for result in self.results), default=self.last_seq)
        client_id = self.query["client_id"]
        self.now.vanish()
        await until(lambda: client_id not in self._running.server.sessions)

    async def ask(self, after_seq: int | None = None, history_id: str | None = None) -> None:
        await self.now.send_message(
            type="resume",
            history_id=self.history_id if history_id is None else history_id,
            after_seq=self.last_seq if after_seq is None else after_seq,
        )

    async def resume(self, after_seq: int | None = None, history_id: str | None = None) -> tuple[int, int]:
        """Ask for what was missed, wait for its end and return how much came and how much is lost."""
        before = len(self.now.of_type("resumed"))
        await self.ask(after_seq, history_id)
        resumed = (await self.now.wait_for("resumed", before + 1))[-1]
        return resumed["replayed"], resumed["lost"]


async def joined(running: Running, **query: str) -> Phone:
    phone = Phone(running, **query)
    await phone.connect()
    return phone


async def said(speaker: Phone, *phrases: int) -> None:
    """Say something and wait until its result is there."""
    for phrase in phrases:
        before = len(speaker.now.of_type("result"))
        await speaker.now.say(speech(phrase))
        await speaker.now.wait_for("result", before + 1)


@contextmanager
def recognition_held(fakes: Fakes, phrase: int) -> Iterator[threading.Event]:
    """Recognise a phrase only when the event is set, which leaving does."""
    gate = threading.Event()
    fakes.speech_translator.before = lambda heard: (gate.wait(10) and None) if heard == phrase else None
    try:
        yield gate
    finally:
        gate.set()


@contextmanager
def spanish_held(fakes: Fakes, phrase: int) -> Iterator[threading.Event]:
    """Translate a phrase to Spanish only when the event is set, which leaving does."""
    gate = threading.Event()
    translate = fakes.text_translator.translate

    def late(text: str, route: Route, deadline: Deadline) -> str:
        if text == WORDS[phrase] and route.path[-1] == "spa":
            fakes.calls.note("held")
            gate.wait(10)
        return translate(text, route, deadline)

    fakes.text_translator.translate = late  # type: ignore[method-assign]
    try:
        yield gate
    finally:
        gate.set()
