"""The order in which the utterances of a room ended."""

from __future__ import annotations

import asyncio


class Turns:
    """Gives utterances their turns, and lets them learn one after another whether they become a result.

    Whose voice it was depends on the voices before it, as does the number a result gets. A turn that has failed holds
    up nobody; those behind it still wait for the ones before it.
    """

    def __init__(self) -> None:
        """Begin with turn 1."""
        self.newest = 0
        self._passed: dict[int, asyncio.Event] = {}
        """Of the turns that are not known to become a result yet, the oldest first."""

    def take(self) -> int:
        """Return the next turn."""
        self.newest += 1
        self._passed[self.newest] = asyncio.Event()
        return self.newest

    def pass_on(self, turn: int) -> None:
        """Say that it is known of a turn whether it becomes a result; saying so again changes nothing."""
        if passed := self._passed.pop(turn, None):
            passed.set()

    async def all_passed(self, before: int) -> None:
        """Wait until it is known of all turns below ``before``."""
        for passed in [event for turn, event in self._passed.items() if turn < before]:
            await passed.wait()
