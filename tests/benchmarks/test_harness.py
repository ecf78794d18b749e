"""What all benchmarks share: how figures are summed up, and how the machine is named."""

from __future__ import annotations

import pytest

from benchmarks.support import harness


def test_a_spread_has_the_median_the_95th_percentile_and_the_count() -> None:
    assert harness.spread(range(101)) == {"median": 50, "p95": 95, "n": 101}
    assert harness.spread([2.5]) == {"median": 2.5, "p95": 2.5, "n": 1}


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("avx2 avx512f avx512bw avx512vl avx512_vnni", "AVX-512 with VNNI"),
        ("avx2 avx512f avx512bw avx512vl", "AVX-512 without VNNI"),
        ("avx2 avx_vnni", "AVX2 with VNNI"),
        ("avx avx2", "AVX2 without VNNI"),
        ("", "baseline without VNNI"),
    ],
)
def test_the_instruction_set_is_named_from_the_flags_of_the_processor(flags: str, name: str) -> None:
    assert harness.instruction_set(flags.split()) == name


def test_the_machine_names_its_processor_and_its_instruction_set() -> None:
    machine = harness.machine()
    assert machine["processor"]
    assert "VNNI" in machine["instruction_set"]
    assert machine["cores"] >= 1
