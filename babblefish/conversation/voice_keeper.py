"""Keeps the voices of those who agreed to it in a store: off the event loop, and never in the way of talking."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

from babblefish.conversation.speakers import SpeakerRecord, VoiceChange
from babblefish.conversation.store_thread import StoreError, StoreThread

_log = logging.getLogger(__name__)

_DAY_S = 86_400.0

_AT_ONCE = 200
"""Voices of one transaction."""

_MOST_WAITING = 10_000
"""Voices that wait while nothing can be written. Further ones are not stored."""

_LOAD_S = 5.0
"""Whoever joins a room waits no longer for what is stored of it; its voices are new then."""

_RETRY_S = 5.0
_TIDY_S = 3600.0
_CLOSE_S = 2.0


class VoiceStore(Protocol):
    """Where voices are kept; see ``VoiceFile``. Its methods are called one after another, in a thread."""

    set_aside: Path | None

    def write(self, changes: Sequence[VoiceChange]) -> None:
        """Write changes, all or none of them."""

    def load(self, room: str, encoder: str, since_s: float) -> tuple[SpeakerRecord, ...]:
        """Return the voices of a room."""

    def kept(self, room: str, since_s: float) -> list[tuple[str, SpeakerRecord]]:
        """Return the voices of a room, with their encoders."""

    def forget_before(self, last_heard_s: float) -> None:
        """Delete those not heard since."""

    def close(self) -> None:
        """Let go of what is open."""


class VoiceKeeper:
    """Writes the voices of the rooms to a store, and reads them back.

    Where the store fails, they wait until it works again, each as it is then, and nobody waits for them.

    Attributes:
        problem: Why nothing can be stored at the moment, or None.
    """

    def __init__(
        self,
        store: VoiceStore,
        keep_days: float,
        clock: Callable[[], float] = time.time,
        retry_s: float = _RETRY_S,
    ) -> None:
        """Keep voices.

        Args:
            store: Where.
            keep_days: For how long after they were last heard, in days.
            clock: The Unix time.
            retry_s: Seconds between attempts where the store fails.
        """
        self.problem: str | None = None
        self._store = store
        self._keep_s = keep_days * _DAY_S
        self._clock = clock
        self._retry_s = retry_s
        self._thread = StoreThread("voices")
        self._waiting: dict[tuple[str, str], VoiceChange] = {}
        self._writing: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged file went, if there was one."""
        return self._store.set_aside

    def put(self, change: VoiceChange) -> None:
        """Have a change written."""
        place = (change.room, change.voice_id)
        if place in self._waiting or change.record is None or len(self._waiting) < _MOST_WAITING:
            self._waiting[place] = change
        self._begin()

    def _begin(self) -> None:
        if self._writing is None or self._writing.done():
            self._idle.clear()
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        """Write what waits, until nothing does and the store works."""
        while self._waiting or self.problem is not None:
            batch = tuple(islice(self._waiting.values(), _AT_ONCE))
            try:
                await self._thread.run(partial(self._store.write, batch))
            except StoreError as error:
                self._failed(error)
                self._idle.set()
                await asyncio.sleep(self._retry_s)
                continue
            for change in batch:
                if self._waiting[change.room, change.voice_id] is change:  # and it has not changed again
                    del self._waiting[change.room, change.voice_id]
            if self.problem is not None:
                _log.warning("voices are stored again")
                self.problem = None
            self._idle.clear()
        self._idle.set()

    def _failed(self, error: StoreError) -> None:
        """Try from now on whether the store works again."""
        if self.problem is None:
            _log.error("voices are not stored: %s", error)
        self.problem = str(error)
        self._begin()

    async def flush(self) -> bool:
        """Wait until all changes are written; false where that is not possible at the moment."""
        await self._idle.wait()
        return self.problem is None

    async def load(self, room: str, encoder: str) -> tuple[SpeakerRecord, ...]:
        """Return the voices of a room that are stored with embeddings of this encoder; none where the store fails."""
        try:
            async with asyncio.timeout(_LOAD_S):
                if await self.flush():
                    return await self._thread.run(lambda: self._store.load(room, encoder, self._clock() - self._keep_s))
        except StoreError as error:
            self._failed(error)
        except TimeoutError:
            self._failed(StoreError("the store does not answer"))
        return ()

    async def kept(self, room: str) -> list[tuple[str, SpeakerRecord]]:
        """Return the voices that are stored of a room, and the name and version of each one's encoder.

        Raises:
            StoreError: The store fails.
        """
        if not await self.flush():
            raise StoreError(self.problem or "nothing can be written")
        return await self._thread.run(lambda: self._store.kept(room, self._clock() - self._keep_s))

    async def watch(self, when_old: Callable[[float], None] = lambda before_s: None) -> None:
        """Delete what has not been heard for too long, until cancelled.

        Args:
            when_old: Is told the Unix time since when it would have had to be heard.
        """
        while True:
            before_s = self._clock() - self._keep_s
            try:
                await self._thread.run(partial(self._store.forget_before, before_s))
                when_old(before_s)
            except StoreError as error:
                self._failed(error)
            await asyncio.sleep(_TIDY_S)

    async def close(self) -> None:
        """Write what waits, if that is possible soon, and close the store."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self.flush()
                await self._thread.run(self._store.close)
                await self._thread.close()
        except (TimeoutError, StoreError):
            _log.warning("the voices' store does not close")
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])
        if self._waiting:
            _log.error("%d voices are not stored as they are: %s", len(self._waiting), self.problem)
