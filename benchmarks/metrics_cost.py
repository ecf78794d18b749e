"""What measuring costs: CPU time of the server per utterance with its recorder, without, and with a dashboard open.

The engines are scripted and take no time, so that the rest shows. Three servers run side by side, each in its own
process, and are given the same utterances in turn: one whose recorder and watch are replaced by objects that do
nothing, one as it is, and one as it is whose dashboard is asked every two seconds. A poll and a scrape are measured
alone, too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import inspect
import re
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import psutil

from babblefish.client import Client, connect
from babblefish.server.app import create_app
from babblefish.server.dashboard import Dashboard
from babblefish.settings import Settings
from babblefish.telemetry.recorder import Recorder
from benchmarks.support import harness
from tests.support.fakes import make_fakes, speech

_LANGS = ("eng", "spa", "fra")
_POLL_S = 2.0
_OFF, _ON, _OPEN = "recording off", "recording", "dashboard open"
_WARM_UP = 5
_PATIENCE_S = 30.0


def _record_nothing() -> None:
    """Have no recorder of this process take note of anything, and no dashboard watch."""

    async def watch(_: Dashboard) -> None:
        await asyncio.Event().wait()

    for name, _ in inspect.getmembers(Recorder, inspect.isfunction):
        if not name.startswith("_"):
            setattr(Recorder, name, lambda *_: None)
    Dashboard.watch = watch  # type: ignore[assignment,method-assign]


def _serve(listener: socket.socket, settings: Settings, recording: bool) -> None:
    if not recording:
        _record_nothing()
    harness.serve_app(listener, create_app(settings, make_fakes().engines), settings)


def _cpu_ms(process: psutil.Process) -> float:
    times = process.cpu_times()
    return (times.user + times.system) * 1000


async def _get(http: httpx.AsyncClient, target: str) -> str:
    """Ask over a connection that stays open, as a browser and Prometheus do."""
    return (await http.get(target)).raise_for_status().text


async def _poll(http: httpx.AsyncClient) -> None:
    while True:
        await _get(http, f"/dashboard?format=json&since={time.time() - _POLL_S}")
        await asyncio.sleep(_POLL_S)


async def _counted(http: httpx.AsyncClient) -> int:
    """Return how many utterances a server has counted."""
    found = re.findall(r'^babblefish_utterances_total\{outcome="result"\} (\S+)', await _get(http, "/metrics"), re.M)
    return sum(int(float(number)) for number in found)


async def _speak(clients: list[Client], utterances: int) -> None:
    async def result(client: Client) -> None:
        async for message in client:
            if message["type"] == "result":
                return

    for index in range(utterances):
        waiting = [asyncio.create_task(result(client)) for client in clients]
        await clients[0].say(speech((11, 12)[index % 2]))
        await asyncio.wait_for(asyncio.gather(*waiting), _PATIENCE_S)


async def _each_ms(process: psutil.Process, ask: Callable[[], Awaitable[object]], count: int) -> float:
    before_ms = _cpu_ms(process)
    for _ in range(count):
        await ask()
    return (_cpu_ms(process) - before_ms) / count


async def _measure(ports: dict[str, int], processes: dict[str, psutil.Process], rounds: int, utterances: int) -> Any:
    figures: dict[str, list[float]] = {name: [] for name in ports}
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            name: [await stack.enter_async_context(connect(harness.url(port), target_lang=lang)) for lang in _LANGS]
            for name, port in ports.items()
        }
        http = {
            name: await stack.enter_async_context(httpx.AsyncClient(base_url=harness.url(port)))
            for name, port in ports.items()
        }
        for name in ports:
            await _speak(clients[name], _WARM_UP)
        polling = asyncio.create_task(_poll(http[_OPEN]))
        for _ in range(rounds):
            for name, process in processes.items():
                before_ms = _cpu_ms(process)
                await _speak(clients[name], utterances)
                figures[name].append((_cpu_ms(process) - before_ms) / utterances)
        polling.cancel()
        asked, process = http[_ON], processes[_ON]
        since = f"/dashboard?format=json&since={time.time()}"
        return {
            "cpu_ms_per_utterance": {name: harness.spread(values, 2) for name, values in figures.items()},
            "recording_adds_ms": _added(figures, _ON),
            "open_dashboard_adds_ms": _added(figures, _OPEN),
            "utterances_counted": {name: await _counted(one) for name, one in http.items()},
            "cpu_ms_per_poll": round(await _each_ms(process, lambda: _get(asked, since), 100), 2),
            "cpu_ms_per_scrape": round(await _each_ms(process, lambda: _get(asked, "/metrics"), 50), 2),
        }


def _added(figures: dict[str, list[float]], name: str) -> float:
    """Return the median of what a round took more than the same round without recording."""
    return round(statistics.median(on - off for on, off in zip(figures[name], figures[_OFF], strict=True)), 2)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start the three servers, talk to each in turn, and end them."""
    # What it says within a minute is more than a server takes of one address.
    settings = Settings(log_level="error", audio_s_per_minute=1e6)
    with contextlib.ExitStack() as stack:
        ports, processes = {}, {}
        for name in (_OFF, _ON, _OPEN):
            ports[name], server = stack.enter_context(harness.serving(_serve, settings, name != _OFF))
            processes[name] = psutil.Process(server.pid)
        return asyncio.run(_measure(ports, processes, options.rounds, options.utterances))


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=10, utterances=100)
