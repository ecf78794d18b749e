"""Spare time: when an interim recognition makes nobody wait."""

from __future__ import annotations

import pytest

from babblefish.domain import Deadline, DeadlineExceededError
from babblefish.pipeline.idle_gate import SpareTime
from tests.support.fakes import Clock


@pytest.fixture
def spare(clock: Clock) -> SpareTime:
    return SpareTime(patience_s=0.4, clock=clock)


def test_there_is_none_while_an_utterance_is_served_or_another_uses_it(spare: SpareTime) -> None:
    assert spare.suffices(5.0)
    spare.claim()
    spare.claim()
    spare.release()
    assert not spare.suffices(5.0)
    spare.release()
    assert spare.suffices(5.0)
    spare.borrow(Deadline.after(10))
    assert not spare.suffices(5.0)
    spare.give_back()
    assert spare.suffices(5.0)


def test_a_claim_gives_up_what_uses_it(spare: SpareTime) -> None:
    deadline = Deadline.after(10)
    spare.borrow(deadline)
    deadline.check()
    spare.claim()
    with pytest.raises(DeadlineExceededError):
        deadline.check()


def test_what_would_outlast_the_silence_at_the_end_is_not_begun(spare: SpareTime) -> None:
    spare.measured(audio_s=2.0, held_s=0.1)
    assert spare.suffices(7.9)
    assert not spare.suffices(8.1)
    spare.measured(audio_s=2.0, held_s=0.6)
    assert not spare.suffices(2.0)


def test_a_measurement_is_forgotten_as_the_machine_may_have_been_busy(spare: SpareTime, clock: Clock) -> None:
    spare.measured(audio_s=2.0, held_s=60.0)
    clock.now_s += 29.0
    assert not spare.suffices(2.0)
    clock.now_s += 2.0
    assert spare.suffices(2.0)
