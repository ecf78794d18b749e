"""Word error rate and time of the Whisper engine beside stock faster-whisper, on the same speech in the same run.

Both have the same model, the same beam and the language declared; stock pads everything to 30 s. Three kinds of speech:

- **prompts** of a telephone exchange, read by one person in each language (``deploy/install_debian.sh bench``), of at
  least three words and at most 15 s, in English, French, Italian, Russian and Spanish;
- the recorded **clips** beside the project, in six languages;
- **sentences** of the parallel corpus and of the phrasebooks, spoken by the project's own voices in noise 10 dB below
  them, in the languages without prompts: German, Polish and Portuguese.

Each rate comes with the interval that holds 95 % of the rates of as many utterances drawn again from the same ones
(bootstrap, 2,000 times), and the difference of both ways with that of the difference, drawn in pairs.

``--langs deu,por`` limits the benchmark to these languages, and ``--most-words 100`` to so many words of each; a
language takes some minutes.

What is heard is the same in every run on one processor: the order is fixed, the number of threads does not change it,
and the random numbers that the stock way falls back to have a fixed seed. It is not the same on another one:
CTranslate2's int8 kernels sum in another order, or with less precision, on each set of instructions. With
``ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2`` in the environment, this processor keeps to older ones.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import ctranslate2
from faster_whisper import WhisperModel

from babblefish.domain import Deadline, Samples
from babblefish.engines import whisper
from babblefish.engines.contracts import SpeechRequest
from babblefish.errors import NoSpeechError
from babblefish.languages import LANGUAGES
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.support import harness, speech
from benchmarks.support.words import Heard, counts, normal_in, with_interval

LANGS = ("eng", "fra", "spa", "ita", "por", "deu", "pol", "rus")

_OURS, _STOCK = "ours", "stock"
_LEAST_WORDS = 3
_SNR_DB = 10.0
_LIMIT_S = 120.0
_KEPT_TO = ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")

Way = Callable[[Samples, str], str]
"""Transcribes an utterance in a language."""


def _ours(model: whisper.Whisper, samples: Samples, lang: str) -> str:
    """Transcribe as the pipeline does where a client has declared its language."""
    request = SpeechRequest(samples, Deadline.after(_LIMIT_S), source_langs=frozenset({lang}))
    try:
        return model.translate(request).transcript.text
    except NoSpeechError:
        return ""


def _stock(model: WhisperModel, samples: Samples, lang: str) -> str:
    segments, _ = model.transcribe(samples, language=LANGUAGES[lang].whisper, beam_size=whisper._BEAM_SIZE)
    return " ".join(segment.text for segment in segments)


def _speech(lang: str) -> Iterator[tuple[str, harness.Clip]]:
    """Yield what there is in a language, the recordings first, with its kind."""
    if harness.has_clips():
        yield from (("clips", clip) for clip in harness.clips([lang]))
    if lang in speech.PROMPTS:
        if speech.has_prompts(lang):
            yield from (("prompts", clip) for clip in speech.prompts(lang, _LEAST_WORDS))
    else:
        yield from (("sentences", clip) for clip in speech.spoken(lang, _LEAST_WORDS, _SNR_DB))


def of_language(found: Iterator[tuple[str, harness.Clip]], ways: dict[str, Way], most_words: int) -> dict[str, Any]:
    """Transcribe the speech of one language both ways in turn, until so many words have been said."""
    heard: dict[str, list[Heard]] = {way: [] for way in ways}
    times_s: dict[str, list[float]] = {way: [] for way in ways}
    words: Counter[str] = Counter()
    utterances: Counter[str] = Counter()
    for kind, clip in found:
        said = normal_in(clip.lang, clip.texts[clip.lang])
        for way, transcribe in ways.items():
            if not utterances:
                transcribe(clip.samples, clip.lang)  # what starts with the first utterance is not timed
            started_s = time.perf_counter()
            text = transcribe(clip.samples, clip.lang)
            times_s[way].append(time.perf_counter() - started_s)
            heard[way].append((said, normal_in(clip.lang, text)))
        words[kind] += len(said.split())
        utterances[kind] += 1
        if words.total() >= most_words:
            break
    if not words:
        return {"words": 0}
    ours, stock = (counts(heard[way]) for way in (_OURS, _STOCK))
    ratios = [ours_s / stock_s for ours_s, stock_s in zip(times_s[_OURS], times_s[_STOCK], strict=True)]
    return {
        "words": words.total(),
        "words_by_kind": dict(words),
        "utterances_by_kind": dict(utterances),
        "word_error_rate": {
            _OURS: with_interval(ours),
            _STOCK: with_interval(stock),
            "ours less stock": with_interval(ours, stock),
        },
        "heard_nothing": {way: sum(not text for _, text in pairs) for way, pairs in heard.items()},
        "seconds_per_utterance": {way: harness.spread(values, 3) for way, values in times_s.items()},
        "ours_over_stock": {"median": round(statistics.median(ratios), 3), "largest": round(max(ratios), 3)},
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Transcribe all speech of each language."""
    langs = LANGS if options.langs == "all" else tuple(options.langs.split(","))
    if unknown := set(langs) - set(LANGS):
        sys.exit(f"there is nothing to hear in {', '.join(sorted(unknown))}")
    if not any(speech.has_prompts(lang) for lang in langs if lang in speech.PROMPTS) and not harness.has_clips():
        harness.missing("it needs recorded speech: deploy/install_debian.sh bench")
    ctranslate2.set_random_seed(0)
    folder = install.locate("whisper-base", Settings().model_dir)
    ours = whisper.Whisper(folder, options.threads)
    stock = WhisperModel(
        str(folder),
        device="cpu",
        compute_type="int8",
        cpu_threads=options.threads,
        num_workers=1,
        local_files_only=True,
    )
    ways: dict[str, Way] = {
        _OURS: lambda samples, lang: _ours(ours, samples, lang),
        _STOCK: lambda samples, lang: _stock(stock, samples, lang),
    }
    return {
        "threads": options.threads,
        "kept_to": {name: os.environ[name] for name in _KEPT_TO if name in os.environ},
        "by_language": {lang: of_language(_speech(lang), ways, options.most_words) for lang in langs},
    }


if __name__ == "__main__":
    harness.main(__doc__, measure, langs="all", most_words=1000, threads=1)
