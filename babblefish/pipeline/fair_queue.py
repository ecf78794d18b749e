"""What waits for a worker, in the order of turns: between network addresses, then rooms, then clients."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from babblefish.domain import Owner

_DEPTHS = range(1, len(Owner._fields) + 1)

_REMEMBERED = 4096
"""Addresses, rooms and clients of a worker that never rests; beyond them everybody starts even again."""


@dataclass(eq=False)
class Waiting:
    """Work that waits for its turn.

    Attributes:
        owner: Whose work it is.
        cost_s: What it counts for, mostly the seconds of audio that it is about.
        needed_s: When it is needed, on any clock; the work of one owner is done in this order.
        number: Its place in the order of arrival; the queue gives it, and it stays when work is put back.
    """

    owner: Owner
    cost_s: float
    needed_s: float
    number: int = -1


_W = TypeVar("_W", bound=Waiting)


class FairQueue(Generic[_W]):
    """Gives everybody with work the same share, however much of it one of them has.

    Start-time fair queueing (Goyal, Vin and Cheng, 1996) on three levels. What was done for somebody moves their next
    start by its cost, and the earliest start comes first. Who had nothing to do starts at the present one, so that
    nobody saves up turns, and a newcomer waits for nobody's backlog.
    """

    def __init__(self) -> None:
        """Start with nobody."""
        self._waiting: list[_W] = []
        self._numbers = itertools.count()
        self._starts: dict[tuple[str, ...], float] = {}
        """Address, room or client, as the beginning of their ``Owner`` → the earliest start of what they do next."""
        self._present: dict[tuple[str, ...], float] = {}
        """The same, one level up → the start of what was taken last."""

    def __len__(self) -> int:
        """Count what waits."""
        return len(self._waiting)

    def put(self, work: _W) -> None:
        """Let work wait; it may have been taken before."""
        if work.number < 0:
            work.number = next(self._numbers)
        self._waiting.append(work)

    def peek(self) -> _W | None:
        """Return what is next."""
        choice = self._waiting
        for depth in _DEPTHS:
            if not choice:
                return None
            first = min(choice, key=lambda work: (self._start(work.owner[:depth]), work.number)).owner[:depth]
            choice = [work for work in choice if work.owner[:depth] == first]
        return min(choice, key=lambda work: (work.needed_s, work.number))

    def take(self) -> _W | None:
        """Return what is next, which waits no longer, and charge its owner for it."""
        work = self.peek()
        if work is None:
            return None
        self.remove(work)
        if len(self._starts) > _REMEMBERED:
            self.forget()
        for depth in _DEPTHS:
            who = work.owner[:depth]
            start = self._present[who[:-1]] = self._start(who)
            self._starts[who] = start + work.cost_s
        return work

    def remove(self, work: _W) -> None:
        """Let work wait no longer, if it does."""
        self._waiting = [other for other in self._waiting if other is not work]

    def displaced_by(self, newcomer: Owner) -> _W | None:
        """Say what has to go for new work where there is no place for both.

        Returns:
            The newest work of whoever has most of it waiting; None where that is the new work itself.
        """
        new = Waiting(newcomer, 0.0, 0.0, next(self._numbers))
        choice: list[_W | Waiting] = [*self._waiting, new]
        for depth in _DEPTHS:
            counts = Counter(work.owner[:depth] for work in choice)
            newest = {work.owner[:depth]: work.number for work in choice}
            most = max(counts, key=lambda who: (counts[who], newest[who]))
            choice = [work for work in choice if work.owner[:depth] == most]
        displaced = max(choice, key=lambda work: work.number)
        return None if displaced is new else cast(_W, displaced)

    def forget(self) -> None:
        """Let everybody start even, as after a rest."""
        self._starts.clear()
        self._present.clear()

    def _start(self, who: tuple[str, ...]) -> float:
        return max(self._starts.get(who, 0.0), self._present.get(who[:-1], 0.0))
