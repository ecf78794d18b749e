"""When the engines have time for work that may as well be left undone, and when they must have it back."""

from __future__ import annotations

import time
from collections.abc import Callable

from babblefish.domain import Deadline

_VALID_S = 30.0
"""What was measured longer ago says nothing any more: the machine may have been busy with something else."""


class SpareTime:
    """The time in which no utterance is being served, for interim recognitions, one at a time.

    One that runs cannot be stopped within an engine's step, so an utterance that ends may have to wait for that step.
    None is begun while somebody is silent, and it takes a further silence to end an utterance; so nobody waits for one
    that is over by then, and longer ones are not begun. The first, of which nothing is known yet, is.
    """

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing to do.

        Args:
            patience_s: Seconds of silence that end an utterance.
            clock: In seconds.
        """
        self._patience_s = patience_s
        self._clock = clock
        self._claims = 0
        self._borrowed: Deadline | None = None
        self._cost = 0.0
        """Seconds that a second of audio takes."""
        self._measured_s = clock() - _VALID_S

    def claim(self) -> None:
        """Say that an utterance has ended and needs the engines; what runs for an interim caption is given up."""
        self._claims += 1
        if self._borrowed is not None:
            self._borrowed.cancel()

    def release(self) -> None:
        """Say that an utterance is served."""
        self._claims -= 1

    def suffices(self, audio_s: float) -> bool:
        """Say whether so much audio can be recognised now without making anybody wait."""
        if self._claims or self._borrowed is not None:
            return False
        is_known = self._clock() - self._measured_s < _VALID_S
        return not is_known or self._cost * audio_s <= self._patience_s

    def borrow(self, deadline: Deadline) -> None:
        """Use the time, of which there must be some, until ``give_back``; a claim cancels the deadline."""
        self._borrowed = deadline

    def give_back(self) -> None:
        """Say that what used the time is over."""
        self._borrowed = None

    def measured(self, audio_s: float, held_s: float) -> None:
        """Take note of how long an utterance would have waited for the recognition of so much audio."""
        self._cost = held_s / audio_s
        self._measured_s = self._clock()
