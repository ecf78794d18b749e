"""The clients of a room as the room sees them: what they hear, and the way messages take to them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from babblefish.wire import server_messages


class Outbox:
    """Messages on their way to one client.

    Putting never waits, so a slow client delays nobody. One that falls behind by more than the limit has lost messages
    it must not lose silently, so its connection is closed.
    """

    def __init__(self, limit: int) -> None:
        """Hold up to ``limit`` messages."""
        self.limit = limit
        self._messages: asyncio.Queue[str | None] = asyncio.Queue(limit)
        self._taken = asyncio.Event()
        self.overflowed = asyncio.Event()

    def put(self, message: str | None) -> None:
        """Add a serialized message, or give the client up if there is no room for it; None ends what it gets."""
        try:
            self._messages.put_nowait(message)
        except asyncio.QueueFull:
            self.overflowed.set()

    def offer(self, message: str) -> None:
        """Add a serialized message that may be lost, which it is while more than half of the outbox is taken."""
        if self._messages.qsize() <= self.limit // 2:
            self.put(message)

    async def get(self) -> str | None:
        """Wait for the next message, or None after the last one."""
        message = await self._messages.get()
        self._taken.set()
        return message

    async def has_room(self) -> None:
        """Wait until no more than half of it is taken, so that many messages at once leave room for the others."""
        while self._messages.qsize() > self.limit // 2:
            self._taken.clear()
            await self._taken.wait()


@dataclass(eq=False)
class Member:
    """A connected client in a room."""

    client_id: str
    name: str
    target_lang: str
    source_lang: str
    """ISO 639-3, or one of ``protocol``'s words for languages that are to be detected."""
    mode: server_messages.Mode
    audio: server_messages.AudioFormat
    outbox: Outbox
    allowed_since_s: float = 0.0
    """Unix time since when it might have been in the room; what was said before is not replayed to it."""
    in_flight: int = 0
    """Utterances of this client that are not finished."""
    due: set[asyncio.Event] = field(default_factory=set)
    """Results on their way to this client; a later one waits for them."""
    joined_turn: int = 0
    """Turns that were taken before it joined; later ones reach it by themselves, these only when it resumes."""
    unknown: set[asyncio.Event] = field(default_factory=set)
    """Of the turns before it joined, those that were not known to become a result yet."""
    missed_until: int = 0
    """Newest ``seq`` that was not sent to it, and will not be unless it resumes."""
    held: deque[str] | None = None
    """Results and speech that wait until those it missed before them are sent; None where none are being sent."""
    announced: set[str] = field(default_factory=set)
    """Utterances of this client that the others have read an interim caption of, and nothing else yet."""
    is_talking: bool = False
    told_talking: bool = False
    """Whether the others believe that it talks."""

    def take(self, encoded: str) -> None:
        """Take a result or a piece of speech; those it missed before go first, as far behind as an outbox may be."""
        if self.held is None:
            self.outbox.put(encoded)
        elif len(self.held) < self.outbox.limit:
            self.held.append(encoded)
        else:
            self.outbox.overflowed.set()

    async def release(self) -> None:
        """Send what was held, as fast as the client takes it."""
        while self.held:
            await self.outbox.has_room()
            self.outbox.put(self.held.popleft())
        self.held = None

    def send(self, message: server_messages.ServerMessage) -> None:
        """Serialize a message for this client alone."""
        self.outbox.put(server_messages.encode(message))


def broadcast(members: Iterable[Member], message: server_messages.ServerMessage) -> None:
    """Serialize a message once and give every member the same string."""
    encoded: str | None = None
    for member in members:
        encoded = encoded or server_messages.encode(message)
        member.outbox.put(encoded)


def offer(members: Iterable[Member], message: server_messages.Partial) -> None:
    """Serialize an interim caption once and give it to every member who has room for it."""
    encoded: str | None = None
    for member in members:
        encoded = encoded or server_messages.encode(message)
        member.outbox.offer(encoded)


def deliver(members: Iterable[Member], message: server_messages.Result | server_messages.SpeechPiece) -> None:
    """Serialize a result or a piece of speech once and give it to every member, each in its order."""
    encoded: str | None = None
    for member in members:
        encoded = encoded or server_messages.encode(message)
        member.take(encoded)
