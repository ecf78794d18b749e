"""The voices that speak for people: how high each is, whether it is understood, and whether they can be told apart.

Each voice of a language reads the same sentences of our own, without noise, and Whisper base listens. The words that it
hears wrong are compared with the default voice's, sentence by sentence. The speaker encoder compares the voices: the
similarity of two halves of what one voice says, and that of two voices, as ``VoiceScale`` has it; ``alike`` counts the
pairs of voices that it would take for one.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babblefish.audio.voice_sound import measured
from babblefish.domain import SAMPLE_RATE_HZ, Deadline, Samples
from babblefish.engines.campplus.encoder import CamPlusPlus
from babblefish.engines.contracts import SpeechRequest
from babblefish.engines.whisper import Whisper
from babblefish.errors import NoSpeechError
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.support import harness
from benchmarks.support.corpus import conversation
from benchmarks.support.speech import read_aloud, voice_of
from benchmarks.support.words import Heard, counts, normal, with_interval

_PATIENCE_S = 120.0
_LEAST_WORDS = 6


def _heard(whisper: Whisper, text: str, samples: Samples, lang: str) -> Heard:
    request = SpeechRequest(samples, Deadline.after(_PATIENCE_S), source_langs=frozenset({lang}))
    try:
        return normal(text), normal(whisper.translate(request).transcript.text)
    except NoSpeechError:
        return normal(text), ""


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Let every voice of each language read."""
    settings = Settings()
    whisper = Whisper(install.locate("whisper-base", settings.model_dir), settings.translation_threads)
    encoder = CamPlusPlus(install.locate("campplus", settings.model_dir), settings.speaker_threads)
    figures: dict[str, Any] = {}
    for lang in options.langs.split(","):
        texts = [said.texts[lang] for said in conversation() if len(said.texts.get(lang, "").split()) >= _LEAST_WORDS]
        texts = texts[: options.sentences]
        engine = voice_of(lang)
        counted: dict[str, NDArray[np.int64]] = {}
        halves: dict[str, list[Any]] = {}
        figures[lang] = {}
        for voice in engine.voices(lang):
            spoken = [read_aloud(text, lang, engine, voice.name) for text in texts]
            heard = [_heard(whisper, text, samples, lang) for text, samples in zip(texts, spoken, strict=True)]
            counted[voice.name] = counts(heard)
            pitches_hz = [sound.pitch_hz for samples in spoken if (sound := measured(samples)) is not None]
            parts = [np.concatenate(spoken[start::2])[: int(8 * SAMPLE_RATE_HZ)] for start in (0, 1)]
            halves[voice.name] = [(encoder.embed(part), len(part) / SAMPLE_RATE_HZ) for part in parts]
            default = next(iter(counted.values()))
            figures[lang][voice.name] = {
                "pitch_hz": round(statistics.median(pitches_hz)) if pitches_hz else None,
                "stated_pitch_hz": voice.pitch_hz,
                "words_wrong_percent": with_interval(counted[voice.name]),
                "less_the_default": with_interval(counted[voice.name], default),
            }
        of_one = [encoder.scale.similarity(*first, *second) for first, second in halves.values()]
        of_two = [
            encoder.scale.similarity(*halves[one][0], *halves[other][1])
            for one, other in itertools.combinations(halves, 2)
        ]
        figures[lang]["similarity"] = {
            "of_one_voice": round(statistics.median(of_one), 2),
            "of_two_voices": round(statistics.median(of_two), 2),
            "alike": sum(similarity >= encoder.scale.threshold for similarity in of_two),
            "pairs": len(of_two),
        }
    return figures


if __name__ == "__main__":
    harness.main(__doc__, measure, langs="eng,fra,spa,ita,por", sentences=20)
