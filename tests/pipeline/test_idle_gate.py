"""The idle gate: when an interim recognition makes nobody wait."""

from __future__ import annotations

import pytest

from babblefish.domain import Deadline
from babblefish.errors import DeadlineExceededError
from babblefish.pipeline.idle_gate import IdleGate
from tests.support.fakes import Clock


@pytest.fixture
def gate(clock: Clock) -> IdleGate:
    return IdleGate(patience_s=0.4, cost_valid_s=30.0, clock=clock)


def test_it_is_closed_while_an_utterance_or_an_interim_recognition_runs(gate: IdleGate) -> None:
    assert gate.is_open(5.0)
    gate.utterance_begins()
    gate.utterance_begins()
    gate.utterance_is_served()
    assert not gate.is_open(5.0)
    gate.utterance_is_served()
    assert gate.is_open(5.0)
    gate.interim_begins(Deadline.after(10))
    assert not gate.is_open(5.0)
    gate.interim_is_over()
    assert gate.is_open(5.0)


def test_an_utterance_gives_up_the_interim_recognition_that_runs(gate: IdleGate) -> None:
    deadline = Deadline.after(10)
    gate.interim_begins(deadline)
    deadline.check()
    gate.utterance_begins()
    with pytest.raises(DeadlineExceededError):
        deadline.check()


def test_what_would_outlast_the_silence_at_the_end_is_not_begun(gate: IdleGate) -> None:
    gate.measured(audio_s=2.0, held_s=0.1)
    assert gate.is_open(7.9)
    assert not gate.is_open(8.1)
    gate.measured(audio_s=2.0, held_s=0.6)
    assert not gate.is_open(2.0)


def test_a_measurement_is_forgotten_as_the_machine_may_have_been_busy(gate: IdleGate, clock: Clock) -> None:
    gate.measured(audio_s=2.0, held_s=60.0)
    clock.now_s += 29.0
    assert not gate.is_open(2.0)
    clock.now_s += 2.0
    assert gate.is_open(2.0)


def test_a_draft_waits_only_while_an_utterance_is_being_recognised(gate: IdleGate) -> None:
    gate.utterance_begins()
    assert not gate.is_open_for_drafts
    gate.utterance_is_recognised()
    assert gate.is_open_for_drafts
    assert not gate.is_open(1.0)
    gate.interim_begins(Deadline.after(10))
    assert not gate.is_open_for_drafts
