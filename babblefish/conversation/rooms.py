"""The rooms of a server: opened by name, kept while there is a place, forgotten when it is needed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterator

from babblefish.conversation.room import Room
from babblefish.domain import ServerFullError, Term
from babblefish.pipeline.pace import Pace
from babblefish.pipeline.pipeline import Pipeline
from babblefish.settings import Settings
from babblefish.telemetry.recorder import Recorder


class Rooms:
    """The rooms of a server.

    One that is empty is kept, with its voices, until its place is needed; where nothing is to be retained, it is not.
    """

    def __init__(
        self, pipeline: Pipeline, settings: Settings, recorder: Recorder, pace: Pace, terms: Collection[Term] = ()
    ) -> None:
        """Open a house without rooms; the glossary of each begins with ``terms``."""
        self._pipeline = pipeline
        self._settings = settings
        self._recorder = recorder
        self._pace = pace
        self._terms = terms
        self._limit = settings.max_clients + settings.kept_rooms
        self._rooms: OrderedDict[str, Room] = OrderedDict()

    def __iter__(self) -> Iterator[Room]:
        """Iterate over the rooms, the longest unused first."""
        return iter(self._rooms.values())

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
        )

    def _forget(self, name: str) -> None:
        room = self._rooms.get(name)
        if not self._settings.retain and room is not None and room.is_idle:
            del self._rooms[name]
