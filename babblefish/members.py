"""The clients of a room as the room sees them: what they hear, and the way messages take to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from babblefish import protocol


class Outbox:
    """Messages on their way to one client.

    Putting never waits, so a slow client delays nobody. One that falls behind by more than the limit has lost messages
    it must not lose silently, so its connection is closed.
    """

    def __init__(self, limit: int) -> None:
        """Hold up to ``limit`` messages."""
        self._messages: asyncio.Queue[str] = asyncio.Queue(limit)
        self.overflowed = asyncio.Event()

    def put(self, message: str) -> None:
        """Add a serialized message, or give the client up if there is no room for it."""
        try:
            self._messages.put_nowait(message)
        except asyncio.QueueFull:
            self.overflowed.set()

    async def get(self) -> str:
        """Wait for the next message."""
        return await self._messages.get()


@dataclass(eq=False)
class Member:
    """A connected client in a room."""

    client_id: str
    name: str
    target_lang: str
    source_lang: str
    """ISO 639-3, or one of ``protocol``'s words for languages that are to be detected."""
    audio: protocol.AudioFormat
    outbox: Outbox
    in_flight: int = 0
    """Utterances of this client that are not finished."""
    due: set[asyncio.Event] = field(default_factory=set)
    """Results on their way to this client; a later one waits for them."""

    def send(self, message: protocol.ServerMessage) -> None:
        """Serialize a message for this client alone."""
        self.outbox.put(protocol.encode(message))


def broadcast(members: Iterable[Member], message: protocol.ServerMessage) -> None:
    """Serialize a message once and give every member the same string."""
    encoded: str | None = None
    for member in members:
        encoded = encoded or protocol.encode(message)
        member.outbox.put(encoded)
