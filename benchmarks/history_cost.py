"""What it costs to store what is said: the event loop's CPU time, the wait until a result may be sent, the file's size.

Results with two captions come one after another, as in a room: each is stored before the next one is said. The same
goes through a history that is in memory only, in turns with the other in one run. The second figure is all that a
listener of the language spoken waits for; whoever reads a translation gets it later than that anyway.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from babblefish.conversation.history import History, KeptCaption
from babblefish.conversation.history_file import HistoryFile
from babblefish.conversation.history_keeper import HistoryKeeper
from babblefish.domain import Caption, Deadline, Quality, SpeakerMatch, Transcript, Utterance
from babblefish.pipeline.job import UtteranceJob
from benchmarks.support import harness

_WORDS = "Bonjour à tous, je suis très heureuse de vous voir ce soir."
_CAPTIONS = ("eng", "spa")
_AT_ONCE = 100


async def _say(history: History, number: int) -> float:
    """Let something be said and translated; returns the milliseconds until the result might be sent."""
    job = UtteranceJob(
        Utterance(f"{number:012x}", "client_522ab670", np.zeros(32_000, np.float32), frozenset(), time.monotonic()),
        Deadline.after(30.0),
    )
    started_s = time.perf_counter()
    transcript, speaker = Transcript(_WORDS, "fra", 1.0, 0.9), SpeakerMatch("speaker_1", "Claire", 1.0)
    entry = history.append(job, transcript, speaker, len(_CAPTIONS))
    await entry.kept.wait()
    waited_ms = (time.perf_counter() - started_s) * 1000
    for lang in _CAPTIONS:
        entry.add(KeptCaption(Caption(_WORDS, lang, Quality.GOOD, ("fra", lang)), 800.0, {}))
    return waited_ms


async def _measure(path: Path, rounds: int) -> dict[str, Any]:
    keeper = HistoryKeeper(HistoryFile(path), keep_days=7.0)
    kept = {"memory": History(200), "file": History(200, room="main", keeper=keeper)}
    await kept["file"].settle()
    waited_ms: dict[str, list[float]] = {name: [] for name in kept}
    loop_ms: dict[str, list[float]] = {name: [] for name in kept}
    for first in range(0, rounds * _AT_ONCE, _AT_ONCE):
        for name, history in kept.items():
            before_s = time.thread_time()
            waited_ms[name] += [await _say(history, number) for number in range(first, first + _AT_ONCE)]
            await keeper.flush()
            loop_ms[name].append((time.thread_time() - before_s) * 1000 / _AT_ONCE)
    await keeper.close()
    return {
        "results": rounds * _AT_ONCE,
        "until_it_may_be_sent_ms": {name: harness.spread(values, 3) for name, values in waited_ms.items()},
        "loop_cpu_ms_per_utterance": {name: harness.spread(values, 3) for name, values in loop_ms.items()},
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Store in a file of a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        figures = asyncio.run(_measure(path, options.rounds))
        return figures | {"bytes_per_utterance": round(path.stat().st_size / figures["results"])}


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=50)
