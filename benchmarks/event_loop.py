"""The longest single steps of the server's event loop while all engines work: the loop thread's own CPU time.

A step is what runs between two returns to the loop; while it runs, no other client is served. CPU time of the thread
is counted, not wall time, so that the engines' use of the machine does not count as the loop's. The server has a
process of its own, so that neither a recording that is read nor a listener counts as its work; what it does before it
is ready does not count either. Python collects garbage in whichever thread happens to allocate, in the loop's as in any
other: ``longest`` says for each step what ran in it, and how much of it was garbage collection.
"""

from __future__ import annotations

import argparse
import asyncio
import asyncio.events
import gc
import heapq
import socket
import threading
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from babblefish.server.app import create_app
from babblefish.settings import Settings
from benchmarks.support import conversation, harness

_NAMED_MS = 0.5
"""What ran is noted of steps from this length on, as asking for it takes time, too."""

_LONGEST = 5


class Step(NamedTuple):
    """One step: when it ended (``time.monotonic``), its CPU time, that of garbage collection in it, what ran."""

    ended_s: float
    cpu_ms: float
    garbage_ms: float
    name: str


def _name(handle: asyncio.events.Handle) -> str:
    """Name what a handle calls: a task's coroutine, or the function."""
    callback = handle._callback  # type: ignore[attr-defined]
    owner = getattr(callback, "__self__", None)
    found = owner.get_coro() if isinstance(owner, asyncio.Task) else callback
    return str(getattr(found, "__qualname__", found))


def _note_steps(steps: list[Step]) -> None:
    """From now on note each step of the event loop that runs in this thread."""
    run = asyncio.events.Handle._run
    own_thread = threading.get_ident()
    garbage_s = begun_s = 0.0

    def collecting(phase: str, _: dict[str, int]) -> None:
        nonlocal garbage_s, begun_s
        if threading.get_ident() != own_thread:
            return
        if phase == "start":
            begun_s = time.thread_time()
        else:
            garbage_s += time.thread_time() - begun_s

    def timed(handle: asyncio.events.Handle) -> None:
        nonlocal garbage_s
        garbage_s = 0.0
        started_s = time.thread_time()
        run(handle)
        cpu_ms = (time.thread_time() - started_s) * 1000
        name = _name(handle) if cpu_ms >= _NAMED_MS else ""
        steps.append(Step(time.monotonic(), cpu_ms, garbage_s * 1000, name))

    gc.callbacks.append(collecting)
    asyncio.events.Handle._run = timed  # type: ignore[assignment,method-assign]


def _serve(listener: socket.socket, settings: Settings, noted: Connection) -> None:
    steps: list[Step] = []
    _note_steps(steps)
    harness.serve_app(listener, create_app(settings), settings)
    noted.send(steps)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the server with its loop instrumented, and talk to it from here."""
    said = conversation.recordings(options.rounds)
    settings = Settings(profile="embedded", log_level="error")
    receiving, sending = Pipe(duplex=False)
    with harness.serving(_serve, settings, sending) as (port, process):
        sending.close()  # so that the other end is the only one, and its end is noticed
        from_s = time.monotonic()
        results = asyncio.run(conversation.hold(port, conversation.LANGS, said))
        until_s = time.monotonic()
        process.terminate()
        steps: list[Step] = [step for step in receiving.recv() if from_s <= step.ended_s <= until_s]
    longest = heapq.nlargest(_LONGEST, steps, key=lambda step: step.cpu_ms)
    return {
        "results": results,
        "steps": len(steps),
        "longest_ms": round(longest[0].cpu_ms, 2),
        "without_garbage_collection_ms": round(max(step.cpu_ms - step.garbage_ms for step in steps), 2),
        "step_ms": harness.spread([step.cpu_ms for step in steps], 3),
        "longest": [
            {"cpu_ms": round(step.cpu_ms, 2), "garbage_ms": round(step.garbage_ms, 2), "what": step.name}
            for step in longest
        ],
    }


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=1)
