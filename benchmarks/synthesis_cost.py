"""What speech costs: time to the first piece and to all of it, on one thread and two, alone and side by side.

Run with ``python -m benchmarks.synthesis_cost [--json]``; needs the weights of the embedded profile.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from babblefish.domain import Deadline
from babblefish.engines.contracts import Synthesizer
from babblefish.engines.espeak import EspeakNg
from babblefish.engines.kokoro.onnx_runner import OnnxRunner
from babblefish.engines.kokoro.synthesizer import Kokoro
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.support import harness

THREADS = (1, 2)
SIDE_BY_SIDE = ("eng", "fra")

SENTENCES = {
    ("eng", "short"): "My brother works in a hospital near the river.",
    ("fra", "short"): "Mon frère travaille dans un hôpital près de la rivière.",
    ("spa", "short"): "Mi hermano trabaja en un hospital cerca del río.",
    ("pol", "short"): "Mój brat pracuje w szpitalu niedaleko rzeki.",
    (
        "eng",
        "long",
    ): "It rained all day, so we stayed at home and read, but tomorrow, if the weather is good, we will go "
    "to the beach with the children. The train leaves at nine.",
    ("fra", "long"): "Il a plu toute la journée, alors nous sommes restés à la maison à lire, mais demain, s'il fait "
    "beau, nous irons à la plage avec les enfants. Le train part à neuf heures.",
    ("spa", "long"): "Llovió todo el día, así que nos quedamos en casa leyendo, pero mañana, si hace buen tiempo, "
    "iremos a la playa con los niños. El tren sale a las nueve.",
    ("pol", "long"): "Cały dzień padało, więc zostaliśmy w domu i czytaliśmy, ale jutro, jeśli będzie ładna pogoda, "
    "pojedziemy z dziećmi na plażę. Pociąg odjeżdża o dziewiątej.",
}


@dataclass(frozen=True)
class Way:
    """One row of the table."""

    engine: str
    threads: int
    lang: str
    length: str
    beside: str


@dataclass(frozen=True)
class Cost:
    """What one synthesis took, in seconds."""

    first_s: float
    whole_s: float
    audio_s: float


def speak(engine: Synthesizer, lang: str, length: str) -> Cost:
    started_s = time.perf_counter()
    first_s, audio_s = 0.0, 0.0
    for piece in engine.synthesize(SENTENCES[lang, length], lang, Deadline.after(120)):
        first_s = first_s or time.perf_counter() - started_s
        audio_s += piece.duration_s
    return Cost(first_s, time.perf_counter() - started_s, audio_s)


def measure(model_dir: Path, rounds: int) -> dict[Way, list[Cost]]:
    model, voices = install.locate("kokoro-int8", model_dir), install.locate("kokoro-voices", model_dir)
    engines: list[tuple[int, Synthesizer]] = [
        (threads, Kokoro(OnnxRunner(model, voices, threads))) for threads in THREADS
    ]
    engines.append((1, EspeakNg()))
    for _, engine in engines:
        speak(engine, "eng", "short")
    costs: dict[Way, list[Cost]] = defaultdict(list)
    with ThreadPoolExecutor(len(SIDE_BY_SIDE)) as pool:
        for _ in range(rounds):
            for lang, length in SENTENCES:
                # eSpeak NG speaks only what Kokoro does not, as in the server.
                for threads, engine in engines:
                    if (lang == "pol") == isinstance(engine, EspeakNg):
                        costs[Way(engine.name, threads, lang, length, "")].append(speak(engine, lang, length))
            for length in ("short", "long"):
                for threads, engine in engines[: len(THREADS)]:
                    jobs = [pool.submit(speak, engine, lang, length) for lang in SIDE_BY_SIDE]
                    for lang, job in zip(SIDE_BY_SIDE, jobs, strict=True):
                        beside = ", ".join(other for other in SIDE_BY_SIDE if other != lang)
                        costs[Way(engine.name, threads, lang, length, beside)].append(job.result())
    return costs


def figures(options: argparse.Namespace) -> dict[str, Any]:
    """Return medians per engine, threads, language and length."""
    rows = []
    for way, costs in measure(Settings().model_dir, options.rounds).items():
        first_s = statistics.median(cost.first_s for cost in costs)
        whole_s = statistics.median(cost.whole_s for cost in costs)
        audio_s = costs[0].audio_s
        numbers = {"first_s": first_s, "whole_s": whole_s, "audio_s": audio_s, "real_time_factor": whole_s / audio_s}
        rows.append(asdict(way) | {name: round(value, 3) for name, value in numbers.items()})
    return {"rounds": options.rounds, "medians": rows}


if __name__ == "__main__":
    harness.main(__doc__, figures, rounds=2)
