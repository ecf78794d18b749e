"""English by Whisper's own translation beside Apertium on Whisper's transcript, as sentence chrF on real speech.

The table of ``text_preferred`` pairs and the qualities that the Whisper engine states come from here.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from typing import Any

import sacrebleu

from babblefish.domain import Deadline, NoSpeechError
from babblefish.engines.apertium import Apertium
from babblefish.engines.contracts import SpeechRequest
from babblefish.engines.whisper import Whisper
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.support import harness

_GOOD = 50.0


def _chrf(hypothesis: str, reference: str) -> float:
    return round(float(sacrebleu.sentence_chrf(hypothesis, [reference]).score), 1)


def measure(_: argparse.Namespace) -> dict[str, Any]:
    """Translate every clip that is not English both ways."""
    settings = Settings()
    whisper = Whisper(install.locate("whisper-base", settings.model_dir), settings.translation_threads)
    apertium = Apertium()
    rows = []
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for clip in harness.clips():
        if clip.lang == "eng" or "eng" not in clip.texts:
            continue
        reference = clip.texts["eng"]
        row: dict[str, Any] = {"clip": clip.name, "reference": reference}
        try:
            heard = whisper.translate(SpeechRequest(clip.samples, Deadline.after(60), lambda _: ("eng",)))
        except NoSpeechError:
            rows.append(row | {"whisper": "not recognised"})
            continue
        own = heard.translations.get("eng", "")
        scores[clip.lang]["whisper"].append(_chrf(own, reference))
        row |= {"transcript": heard.transcript.text, "whisper": own, "whisper_chrf": _chrf(own, reference)}
        route = apertium.route(clip.lang, "eng")
        if route is not None:
            text = apertium.translate(heard.transcript.text, route, Deadline.after(60))
            scores[clip.lang]["apertium"].append(_chrf(text, reference))
            row |= {"apertium": text, "apertium_chrf": _chrf(text, reference), "path": " → ".join(route.path)}
        rows.append(row)
    apertium.close()
    table = {}
    for lang, ways in scores.items():
        means = {way: round(statistics.mean(values), 1) for way, values in ways.items()}
        better = max(means, key=lambda way: means[way])
        table[lang] = {**means, "better": better, "quality": "good" if means[better] >= _GOOD else "draft"}
    return {"mean_chrf_to_english": table, "clips": rows}


if __name__ == "__main__":
    harness.main(__doc__, measure)
