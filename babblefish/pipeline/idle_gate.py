"""Lets interim recognition use the engines while no utterance needs them."""

from __future__ import annotations

import time
from collections.abc import Callable

from babblefish.domain import Deadline


class IdleGate:
    """Open while no utterance is being served, for one interim recognition at a time.

    A draft, which decides where speech is cut while it goes on, need only wait while an utterance is being recognised:
    it comes in time or is of no use, and what was said before is being translated and spoken meanwhile.

    One that runs cannot be stopped within an engine's step, so an utterance that ends may have to wait for that step.
    None begins while its speaker is silent, and it takes a further silence to end an utterance; so nobody waits for one
    that is over by then, and longer ones do not begin. The first, of which nothing is known yet, does.
    """

    def __init__(self, patience_s: float, cost_valid_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin idle.

        Args:
            patience_s: Seconds of silence that end an utterance.
            cost_valid_s: Seconds for which a measured cost counts.
            clock: In seconds.
        """
        self._patience_s = patience_s
        self._cost_valid_s = cost_valid_s
        self._clock = clock
        self._utterances = 0
        self._recognising = 0
        self._interim: Deadline | None = None
        self._cost = 0.0
        """Seconds that a second of audio takes."""
        self._measured_s = clock() - cost_valid_s

    def utterance_begins(self) -> None:
        """Close the gate for an utterance that has ended; an interim recognition that runs is given up."""
        self._utterances += 1
        self._recognising += 1
        if self._interim is not None:
            self._interim.cancel()

    def utterance_is_recognised(self) -> None:
        """Count an utterance as recognised, or as one that will not be; it is still to be served."""
        self._recognising -= 1

    def utterance_is_served(self) -> None:
        """Count an utterance as served; the gate opens after the last one."""
        self._utterances -= 1

    @property
    def is_idle(self) -> bool:
        """Whether no utterance is being served."""
        return not self._utterances

    @property
    def is_open_for_drafts(self) -> bool:
        """Whether nothing is being recognised."""
        return not self._recognising and self._interim is None

    def is_open(self, audio_s: float) -> bool:
        """Say whether so much audio can be recognised now without making anybody wait."""
        if self._utterances or self._interim is not None:
            return False
        is_known = self._clock() - self._measured_s < self._cost_valid_s
        return not is_known or self._cost * audio_s <= self._patience_s

    def interim_begins(self, deadline: Deadline) -> None:
        """Let an interim recognition through, which the next utterance cancels by its deadline."""
        self._interim = deadline

    def interim_is_over(self) -> None:
        """Make way for the next interim recognition."""
        self._interim = None

    def measured(self, audio_s: float, held_s: float) -> None:
        """Take note of how long an utterance would have waited for the interim recognition of so much audio."""
        self._cost = held_s / audio_s
        self._measured_s = self._clock()
