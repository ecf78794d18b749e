"""Peak memory of the server in the embedded profile, as conversation grows."""

from __future__ import annotations

import argparse
import asyncio
import re
from pathlib import Path
from typing import Any

from benchmarks.support import conversation, harness


def _peak_mb(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return round(int(found[1]) * 1024 / 1e6)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start the server, talk to it in three languages, then in six, and read the kernel's own peak each time."""
    said = conversation.recordings(options.rounds)
    with harness.server_process() as (port, server):
        figures: dict[str, Any] = {"after_start": {"server_peak_mb": _peak_mb(server.pid)}}
        for langs in (conversation.LANGS[:3], conversation.LANGS):
            results = asyncio.run(conversation.hold(port, langs, said))
            figures[f"{len(langs)}_languages"] = {
                "results": results,
                "server_peak_mb": _peak_mb(server.pid),
            }
        return figures


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=1)
