"""Single words through the endpointing and the Whisper engine: right, wrong, doubled or lost.

Numbers, days, yes, no and thanks in five languages, spoken by the embedded voices, each with the language declared and
with it unknown. What a voice says is the same in every run on one machine, and so is what is heard.

A word is right where nothing else is heard; a number may be written in digits. It is doubled where it, or another word,
is heard twice or more, and lost where there is no result. A doubled word is not right.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

import numpy as np

from babblefish.audio.pcm import resample
from babblefish.audio.segmenter import Segmenter
from babblefish.domain import SAMPLE_RATE_HZ, Deadline, NoSpeechError, Samples
from babblefish.engines.contracts import SpeechRequest
from babblefish.engines.kokoro.onnx_runner import OnnxRunner
from babblefish.engines.kokoro.synthesizer import Kokoro
from babblefish.engines.silero import Silero
from babblefish.engines.whisper import Whisper
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.support import harness
from benchmarks.support.words import normal

_NUMBERS = {
    "eng": "one two three four five six seven eight nine ten eleven twelve",
    "fra": "un deux trois quatre cinq six sept huit neuf dix onze douze",
    "spa": "uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
    "ita": "uno due tre quattro cinque sei sette otto nove dieci undici dodici",
    "por": "um dois três quatro cinco seis sete oito nove dez onze doze",
}

_OTHERS = {
    "eng": "Yes No Thanks Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "fra": "Oui Non Merci Lundi Mardi Mercredi Jeudi Vendredi Samedi Dimanche",
    "spa": "Sí No Gracias Lunes Martes Miércoles Jueves Viernes Sábado Domingo",
    "ita": "Sì No Grazie Lunedì Martedì Mercoledì Giovedì Venerdì Sabato Domenica",
    "por": "Sim Não Obrigado Segunda Terça Quarta Quinta Sexta Sábado Domingo",
}

_BEFORE_S, _AFTER_S = 0.5, 1.0
"""Silence around a word, more than the server keeps."""

_RIGHT, _WRONG, _DOUBLED, _LOST = "right", "wrong", "doubled", "lost"


def outcome(accepted: set[str], heard: str | None) -> str:
    """Say how a word was heard.

    Args:
        accepted: Its spellings, as ``normal`` makes them.
        heard: The transcript, or None where there is none.
    """
    if heard is None:
        return _LOST
    words = normal(heard).split()
    if len(words) > 1 and len(set(words)) == 1:
        return _DOUBLED
    return _RIGHT if " ".join(words) in accepted else _WRONG


def _words(lang: str) -> dict[str, set[str]]:
    """Return the words of a language, as they are spoken, with the spellings that are right."""
    numbers = {word.capitalize(): {word, str(at)} for at, word in enumerate(_NUMBERS[lang].split(), 1)}
    return numbers | {word: {normal(word)} for word in _OTHERS[lang].split()}


def _spoken(engine: Kokoro, word: str, lang: str) -> Samples:
    pieces = [
        resample(speech.samples, speech.sample_rate_hz)
        for speech in engine.synthesize(f"{word}.", lang, Deadline.after(120))
    ]
    silences = [np.zeros(int(seconds * SAMPLE_RATE_HZ), dtype=np.float32) for seconds in (_BEFORE_S, _AFTER_S)]
    return np.concatenate([silences[0], *pieces, silences[1]])


def _heard(model: Whisper, samples: Samples, source_langs: frozenset[str], settings: Settings) -> str | None:
    """Return what is recognised in the utterances of a recording, None where nothing is."""
    segmenter = Segmenter(Silero().open_stream(), settings)
    texts = []
    for segment in [*segmenter.feed(samples), *segmenter.flush()]:
        request = SpeechRequest(segment.samples, Deadline.after(60), source_langs=source_langs)
        try:
            texts.append(model.translate(request).transcript.text)
        except NoSpeechError:
            continue
    return " ".join(texts) or None


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Speak and recognise every word both ways."""
    settings = Settings()
    model = Whisper(install.locate("whisper-base", settings.model_dir), options.threads)
    voices = [install.locate(name, settings.model_dir) for name in ("kokoro-int8", "kokoro-voices")]
    engine = Kokoro(OnnxRunner(*voices, options.threads))
    counted: dict[str, dict[str, Counter[str]]] = {"declared": {}, "automatic": {}}
    others: dict[str, list[str]] = {way: [] for way in counted}
    for lang in _NUMBERS:
        for word, accepted in _words(lang).items():
            samples = _spoken(engine, word, lang)
            for way, source_langs in (("declared", frozenset({lang})), ("automatic", frozenset[str]())):
                heard = _heard(model, samples, source_langs, settings)
                found = outcome(accepted, heard)
                counted[way].setdefault(lang, Counter())[found] += 1
                if found != _RIGHT:
                    others[way].append(f"{lang} {word}: {found} {heard or ''}".strip())
    outcomes = (_RIGHT, _WRONG, _DOUBLED, _LOST)
    return {
        "words": sum(len(_words(lang)) for lang in _NUMBERS),
        "all": {
            way: {name: sum(of[name] for of in by_lang.values()) for name in outcomes}
            for way, by_lang in counted.items()
        },
        "by_language": {
            way: {lang: {name: of[name] for name in outcomes} for lang, of in by_lang.items()}
            for way, by_lang in counted.items()
        },
        "not_right": others,
    }


if __name__ == "__main__":
    harness.main(__doc__, measure, threads=1)
