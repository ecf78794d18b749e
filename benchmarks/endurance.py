"""Six people who talk for ten minutes: whether anything is lost, doubled or out of order, and what the server needs.

Three speak and hear English, three French, through a client each; one begins to speak when another has stopped, as in a
conversation. The English is recorded (``shared/audio/speakers``), the French read by the default voice. Everyone is
interpreted to simultaneously and gets every result, and speech in pieces.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil

from babblefish.client import Client, connect
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from benchmarks.support import harness
from benchmarks.support.conversations import recorded
from benchmarks.support.corpus import DATA
from benchmarks.support.speech import noisy, read_aloud, voice_of

_PEOPLE = (("Anna", "eng"), ("Bruno", "fra"), ("Carl", "eng"), ("Denise", "fra"), ("Emma", "eng"), ("Félix", "fra"))
_GAP_S = (0.3, 1.5)
"""The shortest and the longest silence between two people."""

_SILENCE_S = 1.5
"""A microphone stays open for so long after its speaker's last word."""

_SNR_DB = 40.0
_CLEAR_S = 60.0
"""How long the last of it may take to arrive."""

_SETTLED_S = 120.0
"""From here on the memory of a server is that of a server at work."""


@dataclass(frozen=True)
class Turn:
    """Somebody's turn to speak, by ``time.monotonic()``."""

    speaker: str
    begin_s: float
    end_s: float


@dataclass
class Heard:
    """What one client got."""

    results: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    """With the time of its arrival."""
    pieces: dict[str, list[tuple[int, bool]]] = field(default_factory=dict)
    """Utterance → index of each piece of its speech, and whether it was the last."""
    errors: list[str] = field(default_factory=list)
    behind_s: list[float] = field(default_factory=list)


def faults(heard: Mapping[str, Heard]) -> dict[str, int]:
    """Count what went wrong on the way to the clients.

    Args:
        heard: By client.

    Returns:
        ``missing`` results that another client got, ``doubled`` ones, those ``out_of_order``, and texts whose
        ``speech`` is not complete or not in order.
    """
    everything = {result["utterance_id"] for one in heard.values() for _, result in one.results}
    found: Counter[str] = Counter(missing=0, doubled=0, out_of_order=0, speech=0)
    for one in heard.values():
        ids = [result["utterance_id"] for _, result in one.results]
        found["missing"] += len(everything - set(ids))
        found["doubled"] += len(ids) - len(set(ids))
        numbers = [result["seq"] for _, result in one.results]
        found["out_of_order"] += sum(later <= earlier for earlier, later in itertools.pairwise(numbers))
        for _, result in one.results:
            if result["status"] == "speaking":
                pieces = one.pieces.get(result["utterance_id"], [])
                found["speech"] += pieces != [(at, at == len(pieces) - 1) for at in range(len(pieces))] or not pieces
    return dict(found)


def unheard(turns: Iterable[Turn], results: Sequence[tuple[float, dict[str, Any]]], ids: Mapping[str, str]) -> int:
    """Count the turns of which no result came; a result belongs to the turn in which its speech ended.

    Args:
        turns: Everybody's.
        results: What anyone got, with its arrival.
        ids: Client id → name.
    """
    ends = [(ids[result["client_id"]], arrived_s - result["latency_ms"] / 1000) for arrived_s, result in results]
    return sum(
        not any(name == turn.speaker and turn.begin_s <= end_s <= turn.end_s + _SILENCE_S for name, end_s in ends)
        for turn in turns
    )


def _lines() -> dict[str, list[Samples]]:
    """Return what can be said, by language."""
    english = [line.samples for key, lines in recorded().items() if key.isdecimal() for line in lines]
    voice = voice_of("fra")
    french = []
    for at, row in enumerate(json.loads((DATA / "monologues.json").read_text(encoding="utf-8"))):
        french.append(noisy(read_aloud(row["fra"], "fra", voice), _SNR_DB, seed=at))
    return {"eng": english, "fra": french}


async def _listen(client: Client, heard: Heard) -> None:
    async for message in client:
        match message["type"]:
            case "result":
                heard.results.append((time.monotonic(), message))
            case "speech":
                heard.pieces.setdefault(message["utterance_id"], []).append((message["index"], message["last"]))
            case "error":
                heard.errors.append(message["code"])
            case "behind":
                heard.behind_s.append(message["seconds"])


async def _talk(clients: Mapping[str, Client], said: Mapping[str, Sequence[Samples]], duration_s: float) -> list[Turn]:
    """Let them speak in turn for so long, what can be ``said`` by language over and over."""
    draw = np.random.default_rng(0)
    lines = {lang: itertools.cycle(texts) for lang, texts in said.items()}
    turns: list[Turn] = []
    speaking: set[asyncio.Task[None]] = set()
    until_s = time.monotonic() + duration_s
    speaker = ""
    while time.monotonic() < until_s:
        speaker, lang = _PEOPLE[draw.choice([at for at, (name, _) in enumerate(_PEOPLE) if name != speaker])]
        samples = next(lines[lang])
        begin_s = time.monotonic()
        speaking.add(asyncio.create_task(clients[speaker].stream(samples, paced=True, silence_s=_SILENCE_S)))
        await asyncio.sleep(len(samples) / SAMPLE_RATE_HZ)
        turns.append(Turn(speaker, begin_s, time.monotonic()))
        await asyncio.sleep(draw.uniform(*_GAP_S))
    await asyncio.gather(*speaking)
    return turns


async def _converse(
    port: int, server: psutil.Process, said: Mapping[str, Sequence[Samples]], duration_s: float
) -> dict[str, Any]:
    heard = {name: Heard() for name, _ in _PEOPLE}
    memory: list[tuple[float, float]] = []

    async def watch() -> None:
        begun_s = time.monotonic()
        while True:
            memory.append((time.monotonic() - begun_s, server.memory_info().rss / 2**20))
            await asyncio.sleep(5.0)

    async with contextlib.AsyncExitStack() as stack:
        clients = {}
        for name, lang in _PEOPLE:
            joining = connect(
                harness.url(port),
                name=name,
                target_lang=lang,
                source_lang=lang,
                mode="stream",
                audio="stream",
                interpreting="simultaneous",
                backlog=None,
            )
            clients[name] = await stack.enter_async_context(joining)
        ids = {(await client.ready())["client_id"]: name for name, client in clients.items()}
        listening = [asyncio.create_task(_listen(client, heard[name])) for name, client in clients.items()]
        listening.append(asyncio.create_task(watch()))
        cpu_s = sum(server.cpu_times()[:2])
        turns = await _talk(clients, said, duration_s)
        cpu_s = sum(server.cpu_times()[:2]) - cpu_s
        await asyncio.sleep(_CLEAR_S)
        for task in listening:
            task.cancel()
    results = [pair for one in heard.values() for pair in one.results]
    settled = [mib for at_s, mib in memory if at_s >= min(_SETTLED_S, duration_s / 2)]
    spoken_s = sum(turn.end_s - turn.begin_s for turn in turns)
    latencies_ms = [result["latency_ms"] for _, result in results if result["quality"] != "original"]
    return {
        "turns": len(turns),
        "speech_s": round(spoken_s),
        "turns_without_a_result": unheard(turns, results, ids),
        "results": len({result["utterance_id"] for _, result in results}),
        "faults": faults(heard),
        "errors": dict(Counter(code for one in heard.values() for code in one.errors)),
        "caption_ms": harness.spread(latencies_ms, 0),
        "behind_s_at_most": max((seconds for one in heard.values() for seconds in one.behind_s), default=0.0),
        "memory_mib": {
            "settled": round(statistics.median(settled[:5])),
            "at_the_end": round(statistics.median(settled[-5:])),
            "at_most": round(max(settled)),
            "by_minute": _by_minute(memory),
        },
        "cpu_s_per_minute_of_speech": round(cpu_s / spoken_s * 60, 1),
    }


def _by_minute(samples: Iterable[tuple[float, float]]) -> list[int]:
    """Return the median of each minute, for samples with the second in which each was taken."""
    minutes = itertools.groupby(samples, key=lambda sample: int(sample[0] // 60))
    return [round(statistics.median(value for _, value in minute)) for _, minute in minutes]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Let six people talk on one server."""
    said = _lines()  # reading them takes longer than a server waits for a client that is silent
    with harness.server_process() as (port, process):
        return asyncio.run(_converse(port, psutil.Process(process.pid), said, float(options.seconds)))


if __name__ == "__main__":
    harness.main(__doc__, measure, seconds=600)
