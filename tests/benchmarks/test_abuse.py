"""Attacks: what honest clients noted is put down to the right attack, and a missed aim is said."""

from __future__ import annotations

from benchmarks.abuse import Sample, pending_jobs, summary, times, within
from benchmarks.support.attacks import ATTACKS, SPEAKING, Outcome

CALM = [(0.0, 10.0)]
SAMPLES = [Sample(kind, at_s, 2.0) for kind in ("ping", "caption", "join") for at_s in (1.0, 2.0, 3.0)]


def noted_under_attack(ping_ms: float, memory_mb: float = 100.0, *more: Sample) -> list[Sample]:
    """Return what is noted in calm, and from 20 s to 30 s."""
    noted = [Sample("ping", 25.0, ping_ms), Sample("caption", 25.0, 2.0), Sample("join", 25.0, 2.0)]
    memory = [Sample("memory", 19.0, 100e6), Sample("memory", 25.0, memory_mb * 1e6)]
    return [*SAMPLES, *noted, *memory, *more]


def missed(samples: list[Sample]) -> list[str]:
    return list(summary(samples, CALM, {"a flood": Outcome(20.0, 30.0, 1, {})})["missed"])


def test_a_sample_belongs_to_the_time_at_which_it_was_asked_for() -> None:
    samples = [Sample("ping", at_s, at_s) for at_s in range(10)]
    assert within(samples, "ping", [(1.0, 2.0), (8.0, 20.0)]) == [1, 2, 8, 9]
    assert within(samples, "caption", [(0.0, 10.0)]) == []


def test_medians_are_compared_and_nothing_with_nothing_is_not() -> None:
    assert times([3.0, 1.0, 900.0], [2.0, 2.0]) == 1.5
    assert times([], [2.0]) is None
    assert times([2.0], []) is None


def test_an_attack_that_nobody_notices_misses_no_aim() -> None:
    assert missed(noted_under_attack(4.0)) == []


def test_slow_answers_missing_captions_memory_and_losses_are_said() -> None:
    lost = Sample("lost", 31.0, what="speak: overloaded")
    samples = [sample for sample in noted_under_attack(5.0, 180.0, lost) if sample[:2] != ("caption", 25.0)]
    assert missed(samples) == [
        "a flood: ping 2.5 times the calm",
        "a flood: no caption came back",
        "a flood: 80.0 MB more memory",
        "a flood: 1 honest requests refused or lost",
    ]


def test_what_is_lost_is_put_down_to_the_last_attack_that_had_begun() -> None:
    samples = noted_under_attack(2.0, 100.0, Sample("lost", 39.0, what="join: full"))
    samples += [sample._replace(at_s=sample.at_s + 20) for sample in noted_under_attack(2.0) if sample.at_s > 15]
    outcomes = {"a flood": Outcome(20.0, 30.0, 1, {}), "another": Outcome(40.0, 50.0, 1, {})}
    assert summary(samples, CALM, outcomes)["missed"] == ["a flood: 1 honest requests refused or lost"]


def test_jobs_are_summed_over_the_workers() -> None:
    metrics = (
        "# HELP babblefish_pending_jobs Jobs.\n# TYPE babblefish_pending_jobs gauge\n"
        'babblefish_pending_jobs{worker="translation"} 3.0\nbabblefish_pending_jobs{worker="speaker"} 1.0\n'
        "# HELP babblefish_clients Clients.\n# TYPE babblefish_clients gauge\nbabblefish_clients 7.0\n"
    )
    assert pending_jobs(metrics) == 4


def test_the_warm_up_is_one_of_the_attacks() -> None:
    assert SPEAKING in ATTACKS
