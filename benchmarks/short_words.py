"""Single words through the endpointing and the Whisper engine: right, wrong, doubled or lost.

Numbers, days, yes, no and thanks in five languages, spoken by the embedded voices: with the language declared, with it
unknown, and with it unknown in a room of two languages (this one and English; English and French): before the speaker
has said anything there, who hears this language or the other one, after three sure utterances in the same language, and
after three in the other one. What a voice says is the same in every run on one machine, and so is what is heard.

A word is right where nothing else is heard; a number may be written in digits. It is doubled where it, or another word,
is heard twice or more, and lost where there is no result. A doubled word is not right. A language is right whatever is
heard, and doubted where what is made of it would be a draft for that reason.
"""

from __future__ import annotations

import argparse
import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from babblefish.audio.segmenter import Segment, Segmenter
from babblefish.conversation.expected_languages import expectation
from babblefish.domain import SAMPLE_RATE_HZ, Deadline, Samples, Transcript
from babblefish.engines.contracts import LEAST_LANG_CONFIDENCE, SpeechRequest
from babblefish.engines.kokoro.onnx_runner import OnnxRunner
from babblefish.engines.kokoro.synthesizer import Kokoro
from babblefish.engines.silero import Silero
from babblefish.engines.whisper import Whisper
from babblefish.errors import NoSpeechError
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.support import harness
from benchmarks.support.speech import read_aloud
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
    silences = [np.zeros(int(seconds * SAMPLE_RATE_HZ), dtype=np.float32) for seconds in (_BEFORE_S, _AFTER_S)]
    return np.concatenate([silences[0], read_aloud(f"{word}.", lang, engine), silences[1]])


def _ways(lang: str) -> dict[str, tuple[frozenset[str], dict[str, float]]]:
    """Return what is declared and what is expected, each way that a word is said."""
    other = "fra" if lang == "eng" else "eng"
    room, none = {lang, other}, frozenset[str]()
    return {
        "declared": (frozenset({lang}), {}),
        "automatic": (none, {}),
        "first in a room": (none, expectation([], room, {lang})),
        "first, of who hears the other": (none, expectation([], room, {other})),
        "after three": (none, expectation([lang] * 3, room)),
        "after three others": (none, expectation([other] * 3, room)),
    }


def _heard(
    model: Whisper, segments: list[Segment], source_langs: frozenset[str], expected_langs: Mapping[str, float]
) -> list[Transcript]:
    """Return what is recognised in the utterances of a recording."""
    found = []
    for segment in segments:
        request = SpeechRequest(
            segment.samples, Deadline.after(60), source_langs=source_langs, expected_langs=expected_langs
        )
        with contextlib.suppress(NoSpeechError):
            found.append(model.translate(request).transcript)
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Speak and recognise every word both ways."""
    settings = Settings()
    model = Whisper(install.locate("whisper-base", settings.model_dir), options.threads)
    voices = [install.locate(name, settings.model_dir) for name in ("kokoro-int8", "kokoro-voices")]
    engine = Kokoro(OnnxRunner(*voices, options.threads))
    counted: dict[str, dict[str, Counter[str]]] = {way: {} for way in _ways("eng")}
    languages: dict[str, Counter[str]] = {way: Counter() for way in counted}
    doubted_right: Counter[str] = Counter()
    others: dict[str, list[str]] = {way: [] for way in counted}
    for lang in _NUMBERS:
        for word, accepted in _words(lang).items():
            segmenter = Segmenter(Silero().open_stream(), settings)
            segments = [*segmenter.feed(_spoken(engine, word, lang)), *segmenter.flush()]
            for way, (source_langs, expected_langs) in _ways(lang).items():
                transcripts = _heard(model, segments, source_langs, expected_langs)
                heard = " ".join(transcript.text for transcript in transcripts) or None
                found = outcome(accepted, heard)
                counted[way].setdefault(lang, Counter())[found] += 1
                if transcripts:
                    is_right = {transcript.lang for transcript in transcripts} == {lang}
                    is_sure = min(transcript.lang_confidence for transcript in transcripts) >= LEAST_LANG_CONFIDENCE
                    languages[way][(_RIGHT if is_right else _WRONG) + ("" if is_sure else ", doubted")] += 1
                    doubted_right[way] += is_right and not is_sure and found == _RIGHT
                if found != _RIGHT:
                    spoken = " ".join(transcript.lang for transcript in transcripts)
                    others[way].append(f"{lang} {word}: {found} {spoken} {heard or ''}".strip())
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
        "language": {way: dict(sorted(of.items())) for way, of in languages.items()},
        "right_words_doubted": {way: doubted_right[way] for way in counted},
        "not_right": others,
    }


if __name__ == "__main__":
    harness.main(__doc__, measure, threads=1)
