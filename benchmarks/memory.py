"""Peak memory of the server in the embedded profile, after start and after a conversation in six languages."""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.event_loop import converse


def _peak_mb(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return round(int(found[1]) * 1024 / 1e6)


def _children_mb(pid: int) -> float:
    """Sum the translation processes' own (proportional) memory."""
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split()
    total_kb = 0
    for child in children:
        rollup = Path(f"/proc/{child}/smaps_rollup")
        if rollup.is_file():
            found = re.search(r"^Pss:\s+(\d+) kB", rollup.read_text(), re.MULTILINE)
            total_kb += int(found[1]) if found else 0
    return round(total_kb * 1024 / 1e6)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start the server, talk to it, and read the kernel's own peak."""
    with harness.server_process() as (port, pid):
        started_mb = _peak_mb(pid)
        results = asyncio.run(converse(port, options.rounds))
        return {
            "results": results,
            "peak_after_start_mb": started_mb,
            "peak_after_conversation_mb": _peak_mb(pid),
            "apertium_processes_mb": _children_mb(pid),
        }


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=1)
