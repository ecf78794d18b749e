"""What all benchmarks share: how figures are summed up, and how the machine is named."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.support import harness


def noisy(options: argparse.Namespace) -> dict[str, Any]:
    print("a library says hello")
    os.system("echo a program does so, too")
    return {"figure": options.rounds}


def test_a_spread_has_the_median_the_95th_percentile_and_the_count() -> None:
    assert harness.spread(range(101)) == {"median": 50, "p95": 95, "n": 101}
    assert harness.spread([2.5]) == {"median": 2.5, "p95": 2.5, "n": 1}


def test_a_spread_of_nothing_has_the_count_alone() -> None:
    assert harness.spread([]) == {"n": 0}


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


def test_standard_output_has_the_figures_alone() -> None:
    code = "from benchmarks.support import harness; from tests.benchmarks import test_harness as test; "
    command = [sys.executable, "-c", code + "harness.main('A benchmark.', test.noisy, rounds=1)", "--json"]
    done = subprocess.run([*command, "--rounds", "3"], cwd=harness.ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["figure"] == 3
    assert "a library says hello" in done.stderr
    assert "a program does so, too" in done.stderr


def test_what_is_missing_ends_a_benchmark_with_a_status_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        harness.missing("it needs recorded speech")
    assert ended.value.code == harness.MISSING
    assert capsys.readouterr().err == "not measured: it needs recorded speech\n"


def test_a_part_that_runs_alone_gets_its_environment_and_leaves_ours_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_KEPT", "ours")
    monkeypatch.delenv("BENCHMARK_NEW", raising=False)
    given = {"BENCHMARK_KEPT": "theirs", "BENCHMARK_NEW": "new"}
    assert harness.alone(os.getenv, "BENCHMARK_KEPT", environment=given) == "theirs"
    assert harness.alone(os.getenv, "BENCHMARK_NEW", environment=given) == "new"
    assert os.environ["BENCHMARK_KEPT"] == "ours"
    assert "BENCHMARK_NEW" not in os.environ
