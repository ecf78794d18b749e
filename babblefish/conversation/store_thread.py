"""The thread of a store: what waits for a disk is done there, one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from babblefish.errors import BabbleFishError
from babblefish.pipeline.workers import Worker

_QUEUED = 16

_T = TypeVar("_T")


class StoreError(Exception):
    """Something cannot be written to a store, or read from it; the message is for the server's owner."""


class StoreThread:
    """A thread that does one thing after another with a store."""

    def __init__(self, name: str) -> None:
        """Begin with nothing to do."""
        self._worker = Worker(name, 1, _QUEUED)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do something with the store; a damaged file is a new one at the second attempt.

        Raises:
            StoreError: It did not work.
        """

        def attempt() -> _T | StoreError:
            try:
                try:
                    return work()
                except StoreError:
                    return work()
            except StoreError as error:  # which is no failure of the worker
                return error

        try:
            outcome = await self._worker.run(attempt)
        except BabbleFishError as error:
            raise StoreError(error.message) from error
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """End the thread, once what it does is done."""
        await self._worker.close()
