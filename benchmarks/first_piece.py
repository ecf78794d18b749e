"""The first spoken word of Kokoro: a text's sound made in pieces, beside the sound of it all at once.

Both ways predict the same text and make its sound from the same prediction, in turns; whole is how a piece of text was
spoken before. Whisper hears both, and what it hears is compared with the text. Writes ``out/first_piece.html``, a page
on which both can be listened to side by side.

Run with ``python -m benchmarks.first_piece [--json] [--sentences N]``; needs the weights of the embedded profile.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import soxr

from babblefish.domain import SAMPLE_RATE_HZ, Deadline, Samples
from babblefish.engines.contracts import SpeechRequest
from babblefish.engines.kokoro.frames import Prediction
from babblefish.engines.kokoro.onnx_runner import OnnxRunner
from babblefish.engines.kokoro.synthesizer import Kokoro
from babblefish.engines.whisper import Whisper
from babblefish.errors import NoSpeechError
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.support import harness
from benchmarks.support.corpus import conversation
from benchmarks.support.words import Heard, counts, normal, with_interval

LANGS = ("eng", "fra", "spa", "ita", "por")
WHOLE, PIECES = "whole", "pieces"
SLOW = 0.5
"""Seconds of work per second of sound, of the machine on which the pieces must still come in time."""

_PAGE = harness.ROOT / "out" / "first_piece.html"
_WORDS = "the old man by the sea goes out in his boat and comes back with a fish and a song about the rain"
_ON_PAGE = 6
"""Sentences of each language."""


@dataclass(frozen=True)
class _Whole:
    """A prediction whose sound is made at once, with all the silence that the model puts around it."""

    predicted: Prediction

    @property
    def energy(self) -> Any:
        return np.zeros(0, dtype=np.float32)

    def sound(self, frames: Any) -> Samples:
        return self.predicted.sound(np.arange(len(self.predicted.energy)))


@dataclass(frozen=True)
class _WholeRunner:
    runner: OnnxRunner

    @property
    def voices(self) -> frozenset[str]:
        return self.runner.voices

    def predict(self, phonemes: str, voice: str) -> Prediction:
        return _Whole(self.runner.predict(phonemes, voice))


@dataclass(frozen=True)
class Spoken:
    """A sentence spoken one way.

    Attributes:
        ready_s: When each piece was made, from the beginning.
        lasts_s: How long each piece is heard.
        samples: All of it, 24 kHz.
    """

    ready_s: list[float]
    lasts_s: list[float]
    samples: Samples

    def late_s(self) -> list[float]:
        """Return for each piece but the first how long the listener has waited for it in silence."""
        heard_until_s, late = self.ready_s[0] + self.lasts_s[0], []
        for ready_s, lasts_s in zip(self.ready_s[1:], self.lasts_s[1:], strict=True):
            late.append(max(0.0, ready_s - heard_until_s))
            heard_until_s = max(heard_until_s, ready_s) + lasts_s
        return late

    def slowed(self, factor: float) -> Spoken:
        """Return the same on a machine that takes ``factor`` times as long."""
        return Spoken([at_s * factor for at_s in self.ready_s], self.lasts_s, self.samples)


def speak(engine: Kokoro, text: str, lang: str) -> Spoken:
    started_s = time.perf_counter()
    ready_s, pieces = [], []
    for piece in engine.synthesize(text, lang, Deadline.after(120)):
        ready_s.append(time.perf_counter() - started_s)
        pieces.append(piece.samples)
    return Spoken(ready_s, [len(piece) / 24_000 for piece in pieces], np.concatenate(pieces))


def hear(whisper: Whisper, samples: Samples, lang: str) -> str:
    heard = soxr.resample(samples, 24_000, SAMPLE_RATE_HZ).astype(np.float32)
    try:
        request = SpeechRequest(heard, Deadline.after(60), source_langs=frozenset({lang}))
        return normal(whisper.translate(request).transcript.text)
    except NoSpeechError:
        return ""


def _share_of_work(runner: OnnxRunner) -> dict[str, Any]:
    """Return what predicting costs, and what making sound costs by the length of it."""
    words = _WORDS.split()
    rows: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    phonemizer = Kokoro(runner)._phonemizer
    for turn in range(4):
        for count in (1, 2, 4, 8, 12, len(words)):
            phonemes = phonemizer.phonemes(" ".join(words[:count]) + ".", "en-us")
            started_s = time.perf_counter()
            predicted = runner.predict(phonemes, "af_heart")
            predicted_s = time.perf_counter()
            sound = predicted.sound(np.arange(len(predicted.energy)))
            if turn:  # the first warms up
                took = predicted_s - started_s, time.perf_counter() - predicted_s, len(sound) / 24_000
                rows[count].append(took)
    medians = np.array([np.median(np.array(found), axis=0) for found in rows.values()])
    slope, fixed_s = np.polyfit(medians[:, 2], medians[:, 1], 1)
    return {
        "predicting_ms_by_sound_s": {f"{sound_s:.2f}": round(1000 * predict_s) for predict_s, _, sound_s in medians},
        "sound_ms_by_sound_s": {f"{sound_s:.2f}": round(1000 * made_s) for _, made_s, sound_s in medians},
        "sound": {"fixed_ms": round(1000 * fixed_s), "seconds_per_second": round(float(slope), 3)},
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Speak every sentence both ways in turn, and listen to both."""
    settings = Settings()
    model, voices, folder = (
        install.locate(name, settings.model_dir) for name in ("kokoro-int8", "kokoro-voices", "whisper-base")
    )
    runner = OnnxRunner(model, voices, settings.synthesis_threads)
    ways = {WHOLE: Kokoro(_WholeRunner(runner)), PIECES: Kokoro(runner)}
    whisper = Whisper(folder, settings.translation_threads)
    spoken: dict[str, dict[str, list[Spoken]]] = {lang: {way: [] for way in ways} for lang in LANGS}
    heard: dict[str, dict[str, list[Heard]]] = {lang: {way: [] for way in ways} for lang in LANGS}
    for way in ways.values():
        speak(way, "Ready.", "eng")
    corpus = conversation()
    texts = [said.texts for said in corpus[:: max(1, len(corpus) // options.sentences)]][: options.sentences]
    page: list[tuple[str, str, dict[str, Samples]]] = []
    for lang in LANGS:
        for number, text in enumerate(said[lang] for said in texts):
            for name in list(ways)[:: 1 if number % 2 else -1]:
                made = speak(ways[name], text, lang)
                spoken[lang][name].append(made)
                heard[lang][name].append((normal(text), hear(whisper, made.samples, lang)))
        by_length = sorted(range(len(texts)), key=lambda number: -len(texts[number][lang]))
        page += [
            (lang, texts[number][lang], {name: spoken[lang][name][number].samples for name in ways})
            for number in by_length[:_ON_PAGE]
        ]
    _write_page(page)
    every = {way: [made for lang in LANGS for made in spoken[lang][way]] for way in ways}
    heard_all = {way: [pair for lang in LANGS for pair in heard[lang][way]] for way in ways}
    return {
        "threads": settings.synthesis_threads,
        "sentences_per_language": len(texts),
        "cost": _share_of_work(runner),
        "first_piece": {lang: _first(spoken[lang]) for lang in LANGS} | {"all": _first(every)},
        "word_error_rate": {lang: _errors(heard[lang]) for lang in LANGS} | {"all": _errors(heard_all)},
        "late": _late(every),
        "listen_to": str(_PAGE.relative_to(harness.ROOT)),
    }


def _first(ways: dict[str, list[Spoken]]) -> dict[str, Any]:
    pairs = list(zip(ways[PIECES], ways[WHOLE], strict=True))
    return {
        **{f"{way}_ms": harness.spread([1000 * made.ready_s[0] for made in found], 0) for way, found in ways.items()},
        "pieces_over_whole": round(statistics.median(new.ready_s[0] / old.ready_s[0] for new, old in pairs), 2),
        "all_of_it_pieces_over_whole": round(
            statistics.median(new.ready_s[-1] / old.ready_s[-1] for new, old in pairs), 2
        ),
        "pieces": round(statistics.mean(len(made.ready_s) for made in ways[PIECES]), 1),
    }


def _errors(ways: dict[str, list[Heard]]) -> dict[str, Any]:
    counted = {way: counts(pairs) for way, pairs in ways.items()}
    return {way: with_interval(of) for way, of in counted.items()} | {
        "pieces less whole": with_interval(counted[PIECES], counted[WHOLE])
    }


def _late(ways: dict[str, list[Spoken]]) -> dict[str, Any]:
    """Return how many pieces came after the one before had ended, as measured and where sound takes half its time."""
    factor = statistics.median(made.ready_s[-1] / sum(made.lasts_s) for made in ways[WHOLE])

    def of(found: Iterator[Spoken]) -> dict[str, Any]:
        late = [late_s for made in found for late_s in made.late_s()]
        missed = [late_s for late_s in late if late_s > 0]
        return {"pieces": len(late), "late": len(missed), "longest_s": round(max(missed, default=0.0), 2)}

    return {
        way: {"measured": of(iter(found)), f"at_{SLOW}": of(made.slowed(SLOW / factor) for made in found)}
        for way, found in ways.items()
    } | {"seconds_per_second_whole": round(factor, 2)}


def _write_page(rows: list[tuple[str, str, dict[str, Samples]]]) -> None:
    """Write the page to listen to; a row is a language, a text and its sound each way."""
    players = "\n".join(
        f"<tr><td>{lang}<td>{html.escape(text)}" + "".join(map(_player, ways.values())) for lang, text, ways in rows
    )
    _PAGE.parent.mkdir(parents=True, exist_ok=True)
    heads = "".join(f"<th>{way}" for way in rows[0][2])
    _PAGE.write_text(
        '<!doctype html><meta charset="utf-8"><title>Whole and in pieces</title>\n'
        f"<h1>Whole and in pieces</h1><table><tr><th>language<th>text{heads}\n{players}</table>\n",
        encoding="utf-8",
    )


def _player(samples: Samples) -> str:
    file = io.BytesIO()
    soundfile.write(file, samples, 24_000, format="FLAC")
    audio = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<td><audio controls src="data:audio/flac;base64,{audio}"></audio>'


if __name__ == "__main__":
    harness.main(__doc__, measure, sentences=40)
