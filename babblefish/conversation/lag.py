"""How far a room is behind what is said in it, and what it goes without until it has caught up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from babblefish.conversation.members import Member, broadcast
from babblefish.domain import Shed
from babblefish.pipeline.pace import Pace
from babblefish.telemetry.recorder import Recorder
from babblefish.wire.server_messages import Behind

_CAUGHT_UP = 0.5
"""Share of a limit below which what was shed comes back, so that it does not come and go."""

_STEP_S = 5
"""The members are told of a change of so many seconds."""


class Lag:
    """The age of what waits longest in a room: for its captions, or with them for its first spoken word.

    When that is too much, interim captions are shed first, then the speech of clauses whose speaker goes on, which come
    closest upon each other, then all speech of new results; captions never are.
    """

    def __init__(
        self,
        members: Mapping[str, Member],
        pace: Pace,
        recorder: Recorder,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing that waits.

        Args:
            members: Of the room, who are told.
            pace: With the limits.
            recorder: Hears of what is shed.
            clock: In seconds.
        """
        self._members = members
        self._limits_s: dict[Shed, float] = {
            "interim": pace.behind_s,
            "early_speech": pace.well_behind_s,
            "speech": pace.far_behind_s,
        }
        self._look_every_s = pace.behind_look_s
        self._recorder = recorder
        self._clock = clock
        self._waiting: dict[tuple[str, str], float] = {}
        """Utterance, and the language that is to be spoken or nothing → since when."""
        self._shed: set[Shed] = set()
        self._told: tuple[int, tuple[Shed, ...]] = (0, ())
        self._timer: asyncio.TimerHandle | None = None

    @property
    def seconds(self) -> float:
        """Age of what waits longest; 0 where nothing does."""
        now_s = self._clock()
        return max((now_s - since_s for since_s in self._waiting.values()), default=0.0)

    @property
    def without(self) -> tuple[Shed, ...]:
        """What the room goes without now."""
        return tuple(what for what in self._limits_s if what in self._shed)

    def sheds(self, what: Shed) -> bool:
        """Say whether the room goes without something now."""
        return what in self._shed

    def waits(self, utterance_id: str, lang: str = "") -> None:
        """Note that an utterance waits for its captions, or with a language for its first spoken word in that."""
        self._waiting[utterance_id, lang] = self._clock()
        self.look()

    def served(self, utterance_id: str, lang: str = "") -> None:
        """Note that what ``waits`` was told of is there, or will not come; saying so again changes nothing."""
        if self._waiting.pop((utterance_id, lang), None) is not None:
            self.look()

    def look(self) -> None:
        """Decide what the room goes without, and tell its members what they notice of that."""
        seconds = self.seconds
        for what, limit_s in self._limits_s.items():
            if seconds >= limit_s and what not in self._shed:
                self._shed.add(what)
                self._recorder.shed(what)
            elif seconds < limit_s * _CAUGHT_UP:
                self._shed.discard(what)
        without = self.without
        step = int(seconds // _STEP_S) if without else 0
        if (step, without) != self._told:
            self._told = (step, without)
            broadcast(self._members.values(), Behind(seconds=round(seconds, 1) if without else 0.0, without=without))
        if self._timer is None and (self._waiting or self._shed):
            self._timer = asyncio.get_running_loop().call_later(self._look_every_s, self._look_again)

    def close(self) -> None:
        """Look no more."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again(self) -> None:
        self._timer = None
        self.look()
