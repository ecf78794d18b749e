"""The way of messages to one client: in order where order matters, encoded once for all who get the same."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from babblefish.wire import server_messages
from babblefish.wire.server_messages import ServerMessage


class Envelope:
    """A message for several clients: it is made and encoded when the first of them takes it, and only once."""

    def __init__(self, make: Callable[[], ServerMessage]) -> None:
        """Send what ``make`` returns."""
        self._make: Callable[[], ServerMessage] | None = make
        self._encoded = ""

    @property
    def encoded(self) -> str:
        """The JSON text frame."""
        if self._make is not None:
            self._encoded = server_messages.encode(self._make())
            self._make = None  # with the speech that it holds
        return self._encoded


class Slot:
    """A place in one client's outbox, reserved for the result of an utterance when that has ended.

    Attributes:
        released: Set when the result has gone on its way behind those of all earlier utterances, or none will come.
    """

    def __init__(self, outbox: Outbox) -> None:
        """Belong to an outbox; ``Outbox.reserve`` makes them."""
        self.released = asyncio.Event()
        self._outbox = outbox
        self._result: Envelope | None = None
        self._is_settled = False

    def fill(self, result: Envelope) -> None:
        """Put the result in; it goes as soon as all slots before it are settled."""
        self._result = result
        self.settle()

    def settle(self) -> None:
        """Expect nothing more before the next slot: without a result, nobody waits for this one any longer."""
        self._is_settled = True
        self._outbox.advance()

    def send(self, piece: Envelope) -> None:
        """Send a piece of speech after the result, which must be released."""
        self._outbox.send(piece)

    @property
    def is_settled(self) -> bool:
        """Whether the result is there, or will not come."""
        return self._is_settled

    def release(self) -> None:
        """Let the result go; the slot is the first in line and settled."""
        try:
            if self._result is not None:
                self._outbox.send(self._result)
        finally:  # a result that cannot be encoded must not hold up those behind it
            self.released.set()


class Outbox:
    """Messages on their way to one client.

    Putting never waits, so a slow client delays nobody. One that falls behind by more than the limit has lost messages
    it must not lose silently, so its connection is closed.

    Most messages go at once. Results go in the order in which their slots were reserved, however long each takes. While
    a client is sent what it missed, results and speech wait until that is done.
    """

    def __init__(self, limit: int) -> None:
        """Hold up to ``limit`` messages."""
        self.limit = limit
        self.overflowed = asyncio.Event()
        self._messages: asyncio.Queue[str | None] = asyncio.Queue(limit)
        self._taken = asyncio.Event()
        self._slots: deque[Slot] = deque()
        self._held: deque[str | None] | None = None

    @property
    def is_catching_up(self) -> bool:
        """Whether the client is being sent what it missed."""
        return self._held is not None

    def put(self, message: str | None) -> None:
        """Add an encoded message, or give the client up if there is no room for it; None ends what it gets."""
        try:
            self._messages.put_nowait(message)
        except asyncio.QueueFull:
            self.overflowed.set()

    def offer(self, message: str) -> None:
        """Add an encoded message that may be lost, which it is while more than half of the outbox is taken."""
        if self._messages.qsize() <= self.limit // 2:
            self.put(message)

    def reserve(self) -> Slot:
        """Reserve the next place in the order of results."""
        slot = Slot(self)
        self._slots.append(slot)
        return slot

    def advance(self) -> None:
        """Let the results go that no slot before them holds back."""
        while self._slots and self._slots[0].is_settled:
            self._slots.popleft().release()

    def send(self, message: Envelope) -> None:
        """Add a result or a piece of speech; what the client missed goes first."""
        if self._held is None:
            self.put(message.encoded)
        elif len(self._held) < self.limit:
            self._held.append(message.encoded)
        else:
            self.overflowed.set()

    def end(self) -> None:
        """Send nothing after what is there, held or not."""
        if self._held is None:
            self.put(None)
        else:
            self._held.append(None)

    def hold(self) -> None:
        """Keep results and speech back until ``release``, at most as many as the outbox holds."""
        self._held = deque()

    async def release(self) -> None:
        """Send what was kept back, as fast as the client takes it."""
        while self._held:
            await self.has_room()
            self.put(self._held.popleft())
        self._held = None

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
