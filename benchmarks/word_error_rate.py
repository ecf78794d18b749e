"""Word error rate and time of the Whisper engine beside stock faster-whisper, on the same clips in the same run."""

from __future__ import annotations

import argparse
import re
import statistics
import time
import unicodedata
from collections import defaultdict
from typing import Any

import jiwer
from faster_whisper import WhisperModel

from babblefish.domain import Deadline, NoSpeechError
from babblefish.engines.contracts import SpeechRequest
from babblefish.engines.whisper import Whisper
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.support import harness


def _normal(text: str) -> str:
    """Compare words alone: no case, no punctuation, digits without their separators."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(r"(?<=\d)[.,](?=\d)", "", text)
    return " ".join(re.findall(r"[^\W_]+", text))


def _percent(references: list[str], heard: list[str]) -> float:
    return round(100 * jiwer.wer(references, heard), 1)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Transcribe every clip both ways in turn, the language unknown, on the same number of threads."""
    settings = Settings()
    folder = install.locate("whisper-base", settings.model_dir)
    threads = options.threads or settings.translation_threads
    ours = Whisper(folder, threads)
    stock = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads, num_workers=1)

    def transcribe_ours(samples: Any) -> str:
        try:
            return ours.translate(SpeechRequest(samples, Deadline.after(60))).transcript.text
        except NoSpeechError:
            return ""

    def transcribe_stock(samples: Any) -> str:
        return " ".join(segment.text for segment in stock.transcribe(samples, beam_size=5)[0])

    ways = {"ours": transcribe_ours, "stock beam 5": transcribe_stock}
    clips = harness.clips()
    texts: dict[str, dict[str, list[str]]] = {way: defaultdict(list) for way in ways}
    times_s: dict[str, list[float]] = {way: [] for way in ways}
    for round_ in range(options.rounds + 1):  # the first round warms both up
        for clip in clips:
            for way, transcribe in ways.items():
                started_s = time.perf_counter()
                text = transcribe(clip.samples)
                if round_ == 0:
                    texts[way][clip.lang].append(_normal(text))
                else:
                    times_s[way].append(time.perf_counter() - started_s)
    references: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        references[clip.lang].append(_normal(clip.texts[clip.lang]))
    wer: dict[str, dict[str, float]] = {}
    for way, heard in texts.items():
        wer[way] = {lang: _percent(references[lang], heard[lang]) for lang in references}
        wer[way]["all"] = _percent(
            [text for lang in references for text in references[lang]],
            [text for lang in references for text in heard[lang]],
        )
    ratios = [stock_s / ours_s for ours_s, stock_s in zip(times_s["ours"], times_s["stock beam 5"], strict=True)]
    return {
        "threads": threads,
        "clips": len(clips),
        "word_error_rate_percent": wer,
        "seconds_per_utterance": {way: harness.spread(values, 3) for way, values in times_s.items()},
        "stock_over_ours": {"median": round(statistics.median(ratios), 2), "smallest": round(min(ratios), 2)},
    }


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=3, threads=0)
