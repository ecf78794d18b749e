"""All benchmarks are run, and one that fails neither stops the others nor passes for one that is not possible here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.support import harness


def test_every_program_of_the_folder_is_run() -> None:
    assert {"server_overhead", "event_loop", "word_error_rate", "page"} <= set(run.BENCHMARKS)
    assert not {"run", "__init__", "support", "harness"} & set(run.BENCHMARKS)


@pytest.mark.parametrize(
    ("status", "errors", "reason"),
    [
        (harness.MISSING, "a warning\nnot measured: it needs speech", "it needs speech"),
        (1, "Traceback …\nModuleNotFoundError: No module named 'torch'", "it needs the package torch"),
        (1, "Traceback …\nModuleNotFoundError: No module named 'kokoro.model'", "it needs the package kokoro"),
        (1, "Traceback …\nModuleNotFoundError: No module named 'babblefish.gone'", None),
        (1, "Traceback …\nAssertionError", None),
        (-11, "", None),
    ],
)
def test_a_benchmark_that_lacks_something_is_told_from_one_that_fails(
    status: int, errors: str, reason: str | None
) -> None:
    assert run.not_measured(status, errors) == reason


def test_all_figures_are_written_and_a_failure_ends_with_status_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = {"memory": {"failed": "exit status 2"}, "page": {"not_measured": "no browser"}, "threads": {"step": 1.5}}
    monkeypatch.setattr(run, "_run", outcomes.__getitem__)
    file = tmp_path / "new" / "figures.json"
    monkeypatch.setattr(sys, "argv", ["run", "memory", "page", "threads", "--json", str(file)])
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == 1
    written = json.loads(file.read_text())
    assert written["benchmarks"] == outcomes
    assert written["machine"]["cores"] >= 1
    assert "failed: memory" in capsys.readouterr().out


def test_without_a_failure_the_status_is_0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "_run", lambda name: {"not_measured": "nothing here"})
    monkeypatch.setattr(sys, "argv", ["run", "--json", str(tmp_path / "figures.json")])
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == 0
    assert set(json.loads((tmp_path / "figures.json").read_text())["benchmarks"]) == set(run.BENCHMARKS)
