"""First spoken word of several languages at once: pieces by who needs one soonest, beside all side by side."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from typing import Any

from babblefish.domain import Deadline
from babblefish.engines.kokoro.onnx_runner import OnnxRunner
from babblefish.engines.kokoro.synthesizer import Kokoro
from babblefish.models import install
from babblefish.pipeline.workers import Worker
from babblefish.settings import Settings
from benchmarks.support import harness

_SENTENCES = {
    "eng": "Hello everyone, I am very happy to see you tonight. The train for Paris leaves tomorrow morning at seven.",
    "spa": "Hola a todos, estoy muy contenta de verlos esta noche. El tren para París sale mañana a las siete.",
    "ita": "Buonasera a tutti, sono molto felice di vedervi stasera. Il treno per Parigi parte domani alle sette.",
}


async def _speak_all(engine: Kokoro, worker: Worker) -> list[tuple[float, float, float]]:
    """Speak every sentence at once; for each, seconds to the first piece, to the last, and of silence in between."""
    started_s = time.perf_counter()

    async def speak(lang: str) -> tuple[float, float, float]:
        first_s, stalled_s, heard_until_s = 0.0, 0.0, 0.0
        pieces = worker.stream(
            lambda: engine.synthesize(_SENTENCES[lang], lang, Deadline.after(60)), lambda piece: piece.duration_s
        )
        async for piece in pieces:
            now_s = time.perf_counter() - started_s
            if not first_s:
                first_s = heard_until_s = now_s
            stalled_s += max(0.0, now_s - heard_until_s)
            heard_until_s = max(heard_until_s, now_s) + piece.duration_s
        return first_s, time.perf_counter() - started_s, stalled_s

    return list(await asyncio.gather(*(speak(lang) for lang in _SENTENCES)))


async def _compare(settings: Settings, rounds: int) -> dict[str, Any]:
    model, voices = (install.locate(name, settings.model_dir) for name in ("kokoro-int8", "kokoro-voices"))
    engine = Kokoro(OnnxRunner(model, voices, settings.synthesis_threads))
    ways = {
        "soonest needed first": Worker("ordered", settings.parallel_syntheses, len(_SENTENCES)),
        "side by side": Worker("together", len(_SENTENCES), 0),
    }
    costs: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, worker in ways.items():
            costs[way] += await _speak_all(engine, worker)
    for worker in ways.values():
        await worker.close()
    names = ("first_s", "last_s", "stalled_s")
    return {
        way: {
            name: {"mean": round(statistics.mean(values), 2), "largest": round(max(values), 2)}
            for name, values in zip(names, zip(*found, strict=True), strict=True)
        }
        for way, found in costs.items()
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Speak three languages at once, both ways in turn."""
    settings = Settings()
    return {
        "threads": settings.synthesis_threads,
        "at_once": settings.parallel_syntheses,
        **asyncio.run(_compare(settings, options.rounds)),
    }


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=4)
