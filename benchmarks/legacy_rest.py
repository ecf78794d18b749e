"""V1's REST server with 1, 4 and 16 callers at once, beside stock faster-whisper on the same clip in the same run."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
from faster_whisper import WhisperModel

from babblefish.cli.demo import CARRIED_SPEECH, read_speech
from babblefish.domain import SAMPLE_RATE_HZ
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.support import harness

_CALLERS = (1, 4, 16)
_TEXT = "The train to Paris leaves tomorrow morning at seven. I am very happy to see you here this evening."
_PATIENCE_S = 120.0


async def _load(url: str, request: dict[str, Any], callers: int, requests: int) -> dict[str, Any]:
    """Have callers ask without a pause; each waits for its answer before it asks again."""
    times_s: list[float] = []
    refused = 0

    async def call(number: int) -> None:
        nonlocal refused
        # From an address each, as one may have a quarter of the places only.
        transport = httpx.AsyncHTTPTransport(local_address=f"127.0.0.{number + 2}")
        async with httpx.AsyncClient(timeout=_PATIENCE_S, transport=transport) as client:
            for _ in range(max(1, requests // callers)):
                started_s = time.perf_counter()
                answer = await client.post(url, **request)
                refused += answer.status_code == 503
                if answer.status_code not in (200, 503):
                    sys.exit(f"{url}: {answer.text}")
                times_s.append(time.perf_counter() - started_s)

    async with httpx.AsyncClient(timeout=_PATIENCE_S) as client:
        await client.post(url, **request)
    started_s = time.perf_counter()
    await asyncio.gather(*(call(number) for number in range(callers)))
    wall_s = time.perf_counter() - started_s
    return {
        "per_second": round((len(times_s) - refused) / wall_s, 2),
        "refused": refused,
        "seconds": harness.spread(times_s, 3),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both routes, and in turns one caller and the stock call on the same clip and as many threads."""
    settings = Settings()
    clip = CARRIED_SPEECH.read_bytes()
    samples = read_speech(CARRIED_SPEECH)
    model = WhisperModel(
        str(install.locate("whisper-base", settings.model_dir)),
        device="cpu",
        compute_type="int8",
        cpu_threads=settings.translation_threads,
    )
    upload = {"files": {"file": ("clip.wav", clip)}}
    text = {"json": {"text": _TEXT, "source_lang": "eng_Latn", "target_lang": "spa_Latn"}}
    with harness.program("-m", "legacy.main", ready="health") as (port, _):
        address = harness.url(port).rstrip("/")

        def ours() -> None:
            httpx.post(f"{address}/transcribe", **upload, timeout=_PATIENCE_S).raise_for_status()

        def stock() -> None:
            for _ in model.transcribe(samples)[0]:
                pass

        in_turns = _in_turns({"/transcribe": ours, "stock faster-whisper": stock}, options.rounds)
        figures: dict[str, Any] = {}
        for route, request in (("/transcribe", upload), ("/translate", text)):
            figures[route] = {
                f"{callers} callers": asyncio.run(_load(address + route, request, callers, options.requests))
                for callers in _CALLERS
            }
    ratios = [one / other for one, other in zip(*reversed(in_turns.values()), strict=True)]
    return {
        "clip_s": round(len(samples) / SAMPLE_RATE_HZ, 1),
        "threads": settings.translation_threads,
        "seconds_in_turns": {way: harness.spread(times_s, 3) for way, times_s in in_turns.items()},
        "stock_over_ours": round(statistics.median(ratios), 2),
        **figures,
    }


def _in_turns(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Time each way in every round; the first round warms them up."""
    times_s: dict[str, list[float]] = {way: [] for way in ways}
    for round_ in range(rounds + 1):
        for way, run in ways.items():
            started_s = time.perf_counter()
            run()
            if round_:
                times_s[way].append(time.perf_counter() - started_s)
    return times_s


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=5, requests=32)
