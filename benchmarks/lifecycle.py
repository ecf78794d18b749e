"""How long the service takes to be ready, with its files in memory and read from the disk, and to end on SIGTERM.

It ends idle, and in the middle of an utterance, which is to be delivered with its speech before the process is gone.
"Cold" means that the weights and the packages were dropped from the page cache first; what another process has mapped
stays in it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy

from babblefish.cli.demo import CARRIED_SPEECH, read_speech
from babblefish.client import connect
from babblefish.domain import Samples
from babblefish.settings import Settings
from benchmarks.support import harness

_PATIENCE_S = 180.0


def _end_s(process: subprocess.Popen[bytes], signalled_s: float) -> float:
    if process.wait(_PATIENCE_S) != 0:
        sys.exit(f"the server ended with status {process.returncode}")
    return time.perf_counter() - signalled_s


async def _interrupt(port: int, process: subprocess.Popen[bytes], samples: Samples) -> tuple[float, bool]:
    """Signal in the middle of an utterance; return when, and whether its caption and speech still came."""
    async with connect(harness.url(port), target_lang="spa", audio="stream") as client:
        await client.say(samples)
        await client.catch_up()
        signalled_s = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        came = {"speech" if message.get("last") else message["type"] async for message in client}
        return signalled_s, {"result", "speech"} <= came


def _forget_files() -> None:
    """Drop the weights and the packages from the page cache."""
    packages = Path(numpy.__file__).parents[1]
    for folder in (Settings().model_dir, packages):
        for path in folder.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start and end a server several times each way, in turn."""
    ready_s: dict[str, list[float]] = {"cold": [], "warm": []}
    exit_s: dict[str, list[float]] = {"idle": [], "in_flight": []}
    delivered = 0
    samples = read_speech(CARRIED_SPEECH)
    for _ in range(options.rounds):
        _forget_files()
        started_s = time.perf_counter()
        with harness.server_process() as (_, process):
            ready_s["cold"].append(time.perf_counter() - started_s)
            process.send_signal(signal.SIGTERM)
            exit_s["idle"].append(_end_s(process, time.perf_counter()))
        started_s = time.perf_counter()
        with harness.server_process() as (port, process):
            ready_s["warm"].append(time.perf_counter() - started_s)
            signalled_s, came = asyncio.run(_interrupt(port, process, samples))
            exit_s["in_flight"].append(_end_s(process, signalled_s))
            delivered += came
    return {
        "ready_s": {name: harness.spread(values, 2) for name, values in ready_s.items()},
        "sigterm_to_exit_s": {name: harness.spread(values, 2) for name, values in exit_s.items()},
        "delivered_before_exit": f"{delivered} of {options.rounds}",
    }


if __name__ == "__main__":
    harness.main(__doc__ or "", measure, rounds=5)
