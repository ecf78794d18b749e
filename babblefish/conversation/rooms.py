"""The rooms of a server: opened by name, kept while there is a place, forgotten when it is needed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterator

from babblefish.conversation.history import HistoryEntry
from babblefish.conversation.history_keeper import HistoryKeeper
from babblefish.conversation.room import Room
from babblefish.conversation.speakers import SpeakerRecord
from babblefish.conversation.voice_keeper import VoiceKeeper
from babblefish.domain import Term
from babblefish.errors import ServerFullError
from babblefish.pipeline.pace import Pace
from babblefish.pipeline.pipeline import Pipeline
from babblefish.settings import Settings
from babblefish.telemetry.recorder import Recorder

_AT_ONCE = 200
"""Results that are written out before others have their turn on the event loop."""


class Rooms:
    """The rooms of a server.

    One that is empty is kept, with its voices, until its place is needed; where nothing is to be retained, it is not.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        settings: Settings,
        recorder: Recorder,
        pace: Pace,
        terms: Collection[Term] = (),
        keeper: HistoryKeeper | None = None,
        voices: VoiceKeeper | None = None,
    ) -> None:
        """Open a house without rooms.

        Args:
            pipeline: Where utterances go.
            settings: The server's.
            recorder: Hears of what happens in the rooms.
            pace: How long they wait for things.
            terms: That the glossary of each begins with.
            keeper: Stores their histories.
            voices: Stores the voices of those who agreed.
        """
        self._pipeline = pipeline
        self._settings = settings
        self._recorder = recorder
        self._pace = pace
        self._terms = terms
        self._keeper = keeper
        self._voices = voices
        self._limit = settings.max_clients + settings.kept_rooms
        self._rooms: OrderedDict[str, Room] = OrderedDict()

    def __iter__(self) -> Iterator[Room]:
        """Iterate over the rooms, the longest unused first."""
        return iter(self._rooms.values())

    def find(self, name: str) -> Room | None:
        """Return the room of this name that is open or kept in memory, or None."""
        return self._rooms.get(name)

    async def have(self, name: str) -> bool:
        """Say whether there is a room of this name, in memory or in the store.

        Raises:
            StoreError: The store fails.
        """
        return name in self._rooms or (self._keeper is not None and await self._keeper.knows(name))

    async def said_in(self, name: str, since_s: float) -> AsyncIterator[list[tuple[HistoryEntry, str]]]:
        """Yield what was said in a room and by whom, as they are called now; captions that are being made come first.

        Where the store fails, it is what is in memory.

        Args:
            name: The room's.
            since_s: Time of ``steady_unix_s``; what is older is left out.

        Raises:
            StoreError: The store fails in the middle.
        """
        room = self._rooms.get(name)
        entries = room.history.since(since_s) if room is not None else []
        for entry in entries:
            await entry.complete.wait()
        if self._keeper is not None and await self._keeper.flush():
            async for stored in self._keeper.said_in(name, since_s):
                yield [(entry, entry.speaker.name) for entry in stored]
        elif room is not None:
            for first in range(0, len(entries), _AT_ONCE):
                yield [(entry, room.name_now(entry)) for entry in entries[first : first + _AT_ONCE]]

    async def forget(self, name: str) -> None:
        """Forget what was said in a room; its numbers go on while it is open.

        Raises:
            StoreError: The store fails, and nothing is forgotten.
        """
        if self._keeper is not None:
            await self._keeper.forget(name)
        if (room := self._rooms.get(name)) is not None:
            room.history.clear()

    async def settled(self, name: str) -> Room:
        """Return the room of this name once it knows what is stored of it; it is opened if it is not in memory.

        Raises:
            ServerFullError: All rooms are in use.
        """
        while not (room := self.open(name)).is_settled:
            await room.settle()
        return room

    async def kept_voices(self, name: str) -> list[tuple[str, SpeakerRecord]]:
        """Return the voices of a room that are kept as their person agreed, and the encoder of each.

        Raises:
            StoreError: The store fails.
        """
        if self._voices is not None:
            return await self._voices.kept(name)
        if (room := self._rooms.get(name)) is None:
            return []
        known = room.voices.speakers.snapshot().records
        return [(room.voices.encoder, record) for record in known if record.consent is not None]

    async def drain(self) -> None:
        """Wait until every utterance in flight has reached its listeners' outboxes."""
        await asyncio.gather(*(room.drain() for room in self))

    async def close(self) -> None:
        """Give up the utterances in flight."""
        await asyncio.gather(*(room.close() for room in self))

    def open(self, name: str) -> Room:
        """Return the room of this name, made if there is none.

        Raises:
            ServerFullError: All rooms are in use.
        """
        if name not in self._rooms:
            if len(self._rooms) >= self._limit:
                idle = next((key for key, room in self._rooms.items() if room.is_idle), None)
                if idle is None:
                    raise ServerFullError("all rooms are in use; try again later")
                del self._rooms[idle]
            self._rooms[name] = self._new(name)
        self._rooms.move_to_end(name)
        return self._rooms[name]

    def _new(self, name: str) -> Room:
        # The one call upward in the way of an utterance: a room that is empty says so, and may be forgotten for it.
        return Room(
            name,
            self._pipeline,
            self._settings,
            self._recorder,
            when_idle=lambda: self._forget(name),
            pace=self._pace,
            terms=self._terms,
            keeper=self._keeper,
            voices=self._voices,
        )

    def _forget(self, name: str) -> None:
        room = self._rooms.get(name)
        if not self._settings.retain and room is not None and room.is_idle:
            del self._rooms[name]
