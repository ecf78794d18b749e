"""Run every benchmark in turn, each in a process of its own; print their figures and keep them in one JSON file.

One that fails or takes too long is said so and the next one begins; the exit status is 1 then. One that needs something
that is not here (recorded speech, the packages of the full profile) is left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.support import harness

BENCHMARKS = tuple(sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - {"__init__", "run"}))
"""Every program of this folder; what they share is in ``support``."""

_FILE = harness.ROOT / "out" / "figures.json"
_LIMIT_S = 1800.0
_PROJECT = ("babblefish", "benchmarks", "legacy", "tests")


def not_measured(status: int, errors: str) -> str | None:
    """Return why a benchmark could not be run here, or None where it failed.

    Args:
        status: Its exit status, not 0.
        errors: What it wrote to standard error.
    """
    *_, last = errors.strip().splitlines() or [""]
    if status == harness.MISSING:
        return last.removeprefix(harness.NOT_MEASURED)
    _, found, package = last.partition("ModuleNotFoundError: No module named ")
    name = package.strip("'").split(".")[0]
    return f"it needs the package {name}" if found and name not in _PROJECT else None


def _run(name: str) -> dict[str, Any]:
    """Run one; returns its figures, ``not_measured`` or ``failed``."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    try:
        done = subprocess.run(command, cwd=harness.ROOT, capture_output=True, text=True, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        return {"failed": f"it took more than {_LIMIT_S:.0f} s"}
    if done.returncode == 0:
        figures: dict[str, Any] = json.loads(done.stdout)
        return {"load_before": figures.pop("machine")["load_before"], **figures}
    reason = not_measured(done.returncode, done.stderr)
    if reason is not None:
        return {"not_measured": reason}
    print(done.stderr, file=sys.stderr)
    return {"failed": f"exit status {done.returncode}"}


def main() -> None:
    """Run them; ends with status 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"by default all: {', '.join(BENCHMARKS)}")
    parser.add_argument("--json", type=Path, default=_FILE, metavar="FILE", help="default out/figures.json")
    parsed = parser.parse_args()
    if unknown := sorted(set(parsed.names) - set(BENCHMARKS)):
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    parsed.json.parent.mkdir(parents=True, exist_ok=True)
    started_s = time.monotonic()
    collected: dict[str, Any] = {"machine": harness.machine(), "benchmarks": {}}
    for name in parsed.names or BENCHMARKS:
        print(f"── {name}", flush=True)
        figures = collected["benchmarks"][name] = _run(name)
        harness.show(figures)
        collected["took_s"] = round(time.monotonic() - started_s)
        # After each one, so that nothing is lost where this is interrupted.
        parsed.json.write_text(json.dumps(collected, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    failed = [name for name, figures in collected["benchmarks"].items() if "failed" in figures]
    print(f"── {collected['took_s']} s, figures in {parsed.json}")
    if failed:
        print(f"── failed: {', '.join(failed)}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
