"""What counts as a fault in a long conversation."""

from __future__ import annotations

from typing import Any

from benchmarks.endurance import Heard, Turn, faults, unheard


def result(seq: int, client_id: str = "c1", latency_ms: float = 1000.0, status: str = "final") -> dict[str, Any]:
    return {
        "utterance_id": f"u{seq}",
        "seq": seq,
        "client_id": client_id,
        "latency_ms": latency_ms,
        "status": status,
    }


def test_everything_in_order_and_complete_is_no_fault() -> None:
    speaking = Heard([(1.0, result(1, status="speaking")), (2.0, result(3))], {"u1": [(0, False), (1, True)]})
    assert set(faults({"a": speaking, "b": Heard([(1.0, result(1)), (2.0, result(3))])}).values()) == {0}


def test_what_is_missing_doubled_or_out_of_order_is_counted() -> None:
    heard = {
        "a": Heard([(1.0, result(1)), (2.0, result(2)), (3.0, result(2))]),
        "b": Heard([(1.0, result(2)), (2.0, result(1))]),
        "c": Heard([(1.0, result(2))]),
    }
    assert faults(heard) == {"missing": 1, "doubled": 1, "out_of_order": 2, "speech": 0}


def test_speech_that_stops_or_jumps_is_counted() -> None:
    results = [(float(seq), result(seq, status="speaking")) for seq in (1, 2, 3)]
    pieces = {"u1": [(0, False), (2, True)], "u2": [(0, False)]}
    assert faults({"a": Heard(results, pieces)})["speech"] == 3


def test_a_turn_is_heard_where_a_result_of_its_speaker_ended_in_it() -> None:
    turns = [Turn("Anna", 0.0, 4.0), Turn("Bruno", 5.0, 8.0), Turn("Anna", 9.0, 12.0)]
    results = [(5.0, result(1)), (9.0, result(2, "c2", latency_ms=500.0)), (20.0, result(3, latency_ms=1000.0))]
    assert unheard(turns, results, {"c1": "Anna", "c2": "Bruno"}) == 1
