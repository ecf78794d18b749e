"""The longest single step of the server's event loop while all engines work: the loop thread's own CPU time.

A step is what runs between two returns to the loop; while it runs, no other client is served. CPU time of the thread
is counted, not wall time, so that the engines' use of the machine does not count as the loop's.
"""

from __future__ import annotations

import argparse
import asyncio
import asyncio.events
import json
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import uvicorn
from websockets.asyncio.client import connect

from babblefish.cli import demo
from babblefish.server.app import create_app, server_config
from babblefish.settings import Settings
from benchmarks import harness

_LANGS = ("eng", "fra", "spa", "ita", "pol", "deu")


def _instrument(steps_ms: list[float], thread_id: list[int]) -> None:
    """Time every step of the loop that runs in the thread ``thread_id`` names."""
    run = asyncio.events.Handle._run

    def timed(handle: asyncio.events.Handle) -> None:
        started_s = time.thread_time()
        run(handle)
        if thread_id and threading.get_ident() == thread_id[0]:
            steps_ms.append((time.thread_time() - started_s) * 1000)

    asyncio.events.Handle._run = timed  # type: ignore[method-assign]


async def converse(port: int, rounds: int, langs: Sequence[str]) -> int:
    """Let listeners of several languages hear two people at once; returns the number of results that arrived."""
    results = 0

    async def listen(lang: str, speaking: list[harness.Clip]) -> None:
        nonlocal results
        query = {"target_lang": lang, "mode": "stream", "audio": "wav" if lang in ("spa", "pol") else "stream"}
        async with connect(f"ws://127.0.0.1:{port}/ws/client?{urlencode(query)}", max_size=None) as client:

            async def count() -> None:
                nonlocal results
                async for text in client:
                    results += json.loads(text)["type"] == "result"

            counting = asyncio.create_task(count())
            for clip in speaking:
                await demo.play(client, clip.samples)
            await asyncio.sleep(10)
            counting.cancel()

    french, english = harness.clips(["fra"]) * rounds, harness.clips(["eng"]) * rounds
    async with asyncio.TaskGroup() as tasks:
        for lang in langs:
            tasks.create_task(listen(lang, {"fra": french, "eng": english}.get(lang, [])))
    return results


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the server in a thread of its own, its loop instrumented, and talk to it from this one."""
    settings = Settings(profile="embedded", log_level="error")
    steps_ms: list[float] = []
    thread_id: list[int] = []
    _instrument(steps_ms, thread_id)
    app = create_app(settings)
    server = uvicorn.Server(server_config(app, settings))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while app.state.server.engines is None:
            time.sleep(0.1)
        assert thread.ident is not None
        thread_id.append(thread.ident)
        results = asyncio.run(converse(listener.getsockname()[1], options.rounds, _LANGS))
        server.should_exit = True
        thread.join()
    return {
        "results": results,
        "steps": len(steps_ms),
        "longest_ms": round(max(steps_ms), 2),
        **harness.spread(steps_ms, 3),
    }


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=1)
