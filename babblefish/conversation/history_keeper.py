"""Keeps the histories of a server's rooms in a store: in order, off the event loop, and never in the way of talking."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from babblefish.clock import steady_unix_s
from babblefish.conversation.history import Change, HistoryEntry, Said, StoredHistory
from babblefish.conversation.store_thread import StoreError, StoreThread

_log = logging.getLogger(__name__)

_DAY_S = 86_400.0

_AT_ONCE = 200
"""Changes of one transaction, and results that are read at once."""

_MOST_WAITING = 10_000
"""Changes that wait while nothing can be written: some hours of talk. Then the oldest are lost."""

_READERS = 4
"""Calls that read and wait for the store's thread at a time; further ones wait for these, so that writing always has a
place."""

_PATIENCE_S = 1.0
"""A result waits no longer for a store that does not answer."""

_LOAD_S = 5.0
"""Whoever joins a room waits no longer for what is stored of it; its history then begins anew."""

_RETRY_S = 5.0
_TIDY_S = 3600.0
_CLOSE_S = 2.0

_T = TypeVar("_T")


class StoredResult(NamedTuple):
    """A result and its place in the order of its room's results, those of earlier histories included."""

    place: tuple[int, int]
    entry: HistoryEntry


class HistoryStore(Protocol):
    """Where histories are kept; see ``HistoryFile``. Its methods are called one after another, in a thread."""

    set_aside: Path | None

    def write(self, changes: Sequence[Change]) -> None:
        """Write changes, all or none of them."""

    def mark(self, is_complete: bool) -> None:
        """Say whether every number that was given is known here."""

    def load(self, room: str, limit: int, since_s: float) -> StoredHistory | None:
        """Return the history that a room goes on with."""

    def knows(self, room: str) -> bool:
        """Say whether there is a history of a room."""

    def said_in(self, room: str, since_s: float, after: tuple[int, int], limit: int) -> list[StoredResult]:
        """Return what was said in a room after a place."""

    def forget(self, room: str) -> None:
        """Delete what was said in a room."""

    def forget_before(self, made_s: float) -> None:
        """Delete what is older."""

    def close(self) -> None:
        """Let go of what is open."""


class HistoryKeeper:
    """Writes what happens in the rooms to a store, and reads it back.

    Where the store fails, changes wait until it works again, and nobody waits for them.

    Attributes:
        problem: Why nothing can be stored at the moment, or None.
        lost: Changes that were given up, as too many waited.
    """

    def __init__(
        self,
        store: HistoryStore,
        keep_days: float,
        clock: Callable[[], float] = steady_unix_s,
        retry_s: float = _RETRY_S,
    ) -> None:
        """Keep histories.

        Args:
            store: Where.
            keep_days: For how long, in days.
            clock: The time by which results are kept.
            retry_s: Seconds between attempts where the store fails.
        """
        self.problem: str | None = None
        self.lost = 0
        self._store = store
        self._keep_s = keep_days * _DAY_S
        self._clock = clock
        self._retry_s = retry_s
        self._thread = StoreThread("history")
        self._reading = asyncio.Semaphore(_READERS)
        self._waiting: deque[Change] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged file went, if there was one."""
        return self._store.set_aside

    def put(self, change: Change) -> None:
        """Have a change written; a result may be sent once its ``kept`` is set."""
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(change)
        if isinstance(change, Said):
            if self.problem is None:
                asyncio.get_running_loop().call_later(_PATIENCE_S, change.entry.kept.set)
            else:
                change.entry.kept.set()
        self._begin()

    def _begin(self) -> None:
        if self._writing is None or self._writing.done():
            self._idle.clear()
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        """Write what waits, until nothing does and the store works."""
        while self._waiting or self.problem is not None:
            batch = tuple(islice(self._waiting, _AT_ONCE))
            lost = self.lost
            if await self._written(batch):
                for _ in range(len(batch) - (self.lost - lost)):
                    self._waiting.popleft()
                _release(batch)
            else:
                _release(self._waiting)
                self._idle.set()
                await asyncio.sleep(self._retry_s)
        self._idle.set()

    async def _written(self, batch: Sequence[Change]) -> bool:
        """Write changes, or say why that is not possible, once."""
        try:
            await self._thread.run(partial(self._store.write, batch))
            if self.problem is not None and len(batch) == len(self._waiting) and not self.lost:
                await self._thread.run(partial(self._store.mark, True))
        except StoreError as error:
            if self.problem is None:
                _log.error("what is said is not stored: %s", error)
            self.problem = str(error)
            with contextlib.suppress(StoreError):
                await self._thread.run(partial(self._store.mark, False))
            return False
        if self.problem is not None and len(batch) == len(self._waiting):
            _log.warning("what is said is stored again")
            self.problem = None
        return True

    async def _read(self, work: Callable[[], _T]) -> _T:
        """Read something; see ``StoreThread.run``."""
        async with self._reading:
            return await self._thread.run(work)

    async def flush(self) -> bool:
        """Wait until all changes are written; false where that is not possible at the moment."""
        await self._idle.wait()
        return self.problem is None

    async def load(self, room: str, limit: int) -> StoredHistory | None:
        """Return the history that a room goes on with, or None where it has none, or where the store fails.

        Args:
            room: Its name.
            limit: How many of its newest results are wanted.
        """
        try:
            async with asyncio.timeout(_LOAD_S):
                if not await self.flush():
                    return None
                return await self._read(lambda: self._store.load(room, limit, self._clock() - self._keep_s))
        except StoreError as error:
            self._failed(error)
        except TimeoutError:
            self._failed(StoreError("the store does not answer"))
        return None

    def _failed(self, error: StoreError) -> None:
        """Try from now on whether the store works again."""
        if self.problem is None:
            _log.error("what was said is not to be had: %s", error)
            self.problem = str(error)
        self._begin()

    async def knows(self, room: str) -> bool:
        """Say whether there is a history of a room.

        Raises:
            StoreError: The store fails.
        """
        return await self._read(lambda: self._store.knows(room))

    async def said_in(self, room: str, since_s: float) -> AsyncIterator[list[HistoryEntry]]:
        """Yield what was said in a room, some results at a time.

        Raises:
            StoreError: The store fails.
        """
        since_s = max(since_s, self._clock() - self._keep_s)
        place = (0, 0)
        while True:
            found = await self._read(partial(self._store.said_in, room, since_s, place, _AT_ONCE))
            if not found:
                return
            yield [result.entry for result in found]
            place = found[-1].place

    async def forget(self, room: str) -> None:
        """Delete what was said in a room.

        Raises:
            StoreError: The store fails, and nothing is deleted.
        """
        if not await self.flush():
            raise StoreError(self.problem or "nothing can be written")
        await self._thread.run(lambda: self._store.forget(room))

    async def watch(self) -> None:
        """Delete what has become too old, until cancelled."""
        while True:
            try:
                await self._thread.run(lambda: self._store.forget_before(self._clock() - self._keep_s))
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
            _log.warning("the history's store does not close")
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])
        if self._waiting:
            _log.error("%d changes of the history are lost: %s", len(self._waiting), self.problem)


def _release(changes: Iterable[Change]) -> None:
    """Let results go that waited for being stored."""
    for change in changes:
        if isinstance(change, Said):
            change.entry.kept.set()
