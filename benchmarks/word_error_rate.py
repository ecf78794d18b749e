"""Word error rate and time of the Whisper engine beside stock faster-whisper, on the same clips in the same run.

A dozen clips are few, so each rate comes with the interval that holds 95 % of the rates of as many utterances drawn
again from the same ones (bootstrap), and the difference of both ways with that of the difference, drawn in pairs.

What is heard is the same in every run on one processor: the order is fixed, the number of threads does not change it,
and the random numbers that the stock way falls back to have a fixed seed. It is not the same on another one:
CTranslate2's int8 kernels sum in another order, or with less precision, on each set of instructions.
``percent_by_instruction_set`` has the rate with each one that this processor can be told to keep to.

The readers' recordings have no transcript, so all that can be said of them is how far both ways differ.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import jiwer
import numpy as np
from faster_whisper import WhisperModel
from numpy.typing import NDArray

from babblefish.cli.demo import read_speech
from babblefish.domain import Deadline, NoSpeechError, Samples
from babblefish.engines.contracts import SpeechRequest
from babblefish.engines.whisper import Whisper
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.support import harness

_OURS, _STOCK = "ours", "stock beam 5"
_DRAWS = 10_000

_KEPT_TO = {
    "AVX2 without VNNI": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "AVX-512 without VNNI": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
    "AVX-512 with VNNI": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI", "MKL_ENABLE_INSTRUCTIONS": "AVX512_E1"},
}
"""What tells oneDNN, which CTranslate2 takes on AMD's processors, and MKL, on Intel's, to keep to instructions; a
processor that lacks them does what it can."""

Heard = tuple[str, str]
"""What was said or is taken for it, and what was heard, both normalised."""


def normal(text: str) -> str:
    """Compare words alone: no case, no punctuation, digits without their separators."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(r"(?<=\d)[.,](?=\d)", "", text)
    return " ".join(re.findall(r"[^\W_]+", text))


def counts(pairs: Sequence[Heard]) -> NDArray[np.int64]:
    """Return for each utterance the words that are wrong, missing or too many, and the words said: shape ``[n, 2]``."""
    found = []
    for said, heard in pairs:
        words = jiwer.process_words(said, heard)
        wrong = words.substitutions + words.deletions + words.insertions
        found.append((wrong, words.hits + words.substitutions + words.deletions))
    return np.array(found)


def percent(of: NDArray[np.int64]) -> float:
    """Return the word error rate of utterances that ``counts`` has counted."""
    wrong, words = of.sum(axis=0)
    return float(100 * wrong / words)


def with_interval(of: NDArray[np.int64], less: NDArray[np.int64] | None = None) -> dict[str, float]:
    """Return a word error rate, or by how much it is above another one, with its 95 % interval.

    Args:
        of: Shape ``[n, 2]``, as ``counts`` returns it.
        less: The same utterances heard another way.
    """
    drawn = np.random.default_rng(0).integers(0, len(of), (_DRAWS, len(of)))

    def rates(counted: NDArray[np.int64]) -> NDArray[np.float64]:
        wrong, words = np.moveaxis(counted[drawn].sum(axis=1), -1, 0)
        return np.asarray(100 * wrong / words)

    rate, found = percent(of), rates(of)
    if less is not None:
        rate, found = rate - percent(less), found - rates(less)
    low, high = np.percentile(found, [2.5, 97.5])
    return {"percent": round(rate, 1), "from": round(float(low), 1), "to": round(float(high), 1)}


def _ours(model: Whisper, samples: Samples) -> str:
    try:
        return normal(model.translate(SpeechRequest(samples, Deadline.after(60))).transcript.text)
    except NoSpeechError:
        return ""


def _stock(model: WhisperModel, samples: Samples) -> str:
    return normal(" ".join(segment.text for segment in model.transcribe(samples, beam_size=5)[0]))


def _percent_of_ours(folder: Path, threads: int) -> float:
    """Return our word error rate on all clips; for a process of its own that keeps to some instructions."""
    model = Whisper(folder, threads)
    heard = [(normal(clip.texts[clip.lang]), _ours(model, clip.samples)) for clip in harness.clips()]
    return round(percent(counts(heard)), 1)


def _readers(ways: dict[str, Callable[[Samples], str]]) -> dict[str, Any]:
    """Compare both ways on the recordings of readers, as far as they are there."""
    files = sorted((harness.SHARED_AUDIO / "speakers").glob("*.flac"))
    if not files:
        return {}
    recordings = [read_speech(path) for path in files]
    differ = counts([(ways[_STOCK](samples), ways[_OURS](samples)) for samples in recordings])
    words = {"recordings": len(files), "words_of_stock": int(differ[:, 1].sum())}
    return {"readers": words | {"ours_differs_from_stock": with_interval(differ)}}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Transcribe every clip both ways in turn, the language unknown, on the same number of threads."""
    ctranslate2.set_random_seed(0)
    folder = install.locate("whisper-base", Settings().model_dir)
    ours = Whisper(folder, options.threads)
    stock = WhisperModel(
        str(folder),
        device="cpu",
        compute_type="int8",
        cpu_threads=options.threads,
        num_workers=1,
        local_files_only=True,
    )
    ways: dict[str, Callable[[Samples], str]] = {
        _OURS: lambda samples: _ours(ours, samples),
        _STOCK: lambda samples: _stock(stock, samples),
    }
    clips = harness.clips()
    heard: dict[str, list[Heard]] = {way: [] for way in ways}
    times_s: dict[str, list[float]] = {way: [] for way in ways}
    for round_ in range(options.rounds + 1):  # the first round warms both up
        for clip in clips:
            for way, transcribe in ways.items():
                started_s = time.perf_counter()
                text = transcribe(clip.samples)
                if round_ == 0:
                    heard[way].append((normal(clip.texts[clip.lang]), text))
                else:
                    times_s[way].append(time.perf_counter() - started_s)
    counted = {way: counts(pairs) for way, pairs in heard.items()}
    ratios = [stock_s / ours_s for ours_s, stock_s in zip(times_s[_OURS], times_s[_STOCK], strict=True)]
    return {
        "threads": options.threads,
        "clips": len(clips),
        "words": int(counted[_OURS][:, 1].sum()),
        "word_error_rate": {way: with_interval(of) for way, of in counted.items()}
        | {"ours less stock": with_interval(counted[_OURS], counted[_STOCK])},
        "percent_by_language": {
            way: {
                lang: round(percent(of[[clip.lang == lang for clip in clips]]), 1)
                for lang in sorted({clip.lang for clip in clips})
            }
            for way, of in counted.items()
        },
        "percent_by_instruction_set": {
            name: harness.alone(_percent_of_ours, folder, options.threads, environment=environment)
            for name, environment in _KEPT_TO.items()
        },
        **_readers(ways),
        "seconds_per_utterance": {way: harness.spread(values, 3) for way, values in times_s.items()},
        "stock_over_ours": {"median": round(statistics.median(ratios), 2), "smallest": round(min(ratios), 2)},
    }


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=1, threads=1)
