"""How often the terms of a glossary come out right in what is recognised and translated, with it and without.

Sentences of ``data/glossary.json``, each with a name and a term, are spoken by the embedded voices and recognised, and
their texts are translated, both ways in turn. A term is hit where the text has it as its language writes it, in any
case and perhaps with an ending.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from babblefish.domain import SAMPLE_RATE_HZ, Deadline, Samples, Term, Utterance
from babblefish.engines.contracts import ConversationTranslator, Engines, TextRequest
from babblefish.errors import DeadlineExceededError, EngineError, NoSpeechError
from babblefish.pipeline.interpreter import Interpreter
from babblefish.settings import Settings
from babblefish.terms import NO_TERMS, Terms, has_term
from benchmarks.support import corpus, harness
from benchmarks.support.speech import read_aloud

_LIMIT_S = 120.0
_SILENCE_S = 0.5

Sentence = Mapping[str, str]
"""ISO 639-3 → how it is said there."""


def read() -> tuple[Terms, list[Sentence]]:
    """Read the glossary and the sentences."""
    file = json.loads((corpus.DATA / "glossary.json").read_text(encoding="utf-8"))
    return Terms(tuple(Term(**term) for term in file["terms"])), file["sentences"]


def hits(text: str, sentence: Sentence, lang: str, terms: Terms) -> tuple[int, int]:
    """Count the terms that a text has, and those it ought to have.

    Args:
        text: What was recognised or translated.
        sentence: That it was made from.
        lang: ISO 639-3 of the text.
        terms: The whole glossary.
    """
    due = [spelling for spelling in terms.written(lang) if has_term(sentence[lang], spelling, lang)]
    return sum(has_term(text, spelling, lang) for spelling in due), len(due)


def _spoken(engines: Engines, text: str, lang: str) -> Samples:
    voice = engines.synthesizer_for(lang)
    if voice is None:
        harness.missing(f"it needs a voice for {lang}")
    silence = np.zeros(int(_SILENCE_S * SAMPLE_RATE_HZ), dtype=np.float32)
    return np.concatenate([silence, read_aloud(text, lang, voice), silence])


async def _recognised(interpreter: Interpreter, samples: Samples, lang: str, terms: Terms) -> str:
    utterance = Utterance("glossary", "", samples, frozenset({lang}), time.monotonic())
    job = interpreter.pipeline.begin(utterance, terms)
    try:
        return (await interpreter.pipeline.recognise(job, (), with_voice=False)).transcript.text
    except NoSpeechError:
        return ""
    finally:
        interpreter.pipeline.end(job)


def _translated(engines: Engines, sentence: Sentence, pair: corpus.Pair, terms: Terms) -> str:
    text = engines.text_translator
    if not isinstance(text, ConversationTranslator):
        harness.missing("it needs a profile with a language model")
    route = text.route(*pair)
    if route is None:
        harness.missing(f"it needs a translation from {pair[0]} to {pair[1]}")
    said = sentence[pair[0]]
    try:
        request = TextRequest(said, route, Deadline.after(_LIMIT_S), terms=terms.between(said, *pair))
        return text.translate_utterance(request).text
    except (EngineError, DeadlineExceededError):
        return ""


@dataclass
class _Hits:
    """Of one way: how many terms came out right, of how many, and the texts in which one did not."""

    hit: int = 0
    of: int = 0
    missed_in: list[str] = field(default_factory=list)

    def add(self, text: str, sentence: Sentence, lang: str, terms: Terms) -> None:
        hit, due = hits(text, sentence, lang, terms)
        self.hit += hit
        self.of += due
        if hit < due:
            self.missed_in.append(text)


async def _measure(langs: Sequence[str], pairs: Sequence[corpus.Pair], every: int) -> dict[str, Any]:
    terms, sentences = read()
    ways = {"without": NO_TERMS, "with": terms}
    recognised = {lang: {way: _Hits() for way in ways} for lang in langs}
    translated = {"-".join(pair): {way: _Hits() for way in ways} for pair in pairs}
    async with Interpreter.open(Settings()) as interpreter:
        engines = interpreter.pipeline.engines
        for sentence in sentences[::every]:
            for lang in langs:
                samples = _spoken(engines, sentence[lang], lang)
                for way, known in ways.items():
                    text = await _recognised(interpreter, samples, lang, known)
                    recognised[lang][way].add(text, sentence, lang, terms)
            for pair in pairs:
                for way, known in ways.items():
                    text = _translated(engines, sentence, pair, known)
                    translated["-".join(pair)][way].add(text, sentence, pair[1], terms)
    return {
        "terms": len(terms.terms),
        "sentences": len(sentences[::every]),
        "recognised": {lang: {way: asdict(found) for way, found in of.items()} for lang, of in recognised.items()},
        "translated": {pair: {way: asdict(found) for way, found in of.items()} for pair, of in translated.items()},
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Speak, recognise and translate every sentence both ways."""
    try:
        pairs = corpus.pairs(options.pairs)
    except ValueError as error:
        sys.exit(str(error))
    return asyncio.run(_measure(options.langs.split(","), pairs, options.every))


if __name__ == "__main__":
    harness.main(
        __doc__, measure, langs="eng,fra,spa,ita,por", pairs="eng-fra,eng-deu,eng-spa,fra-eng,deu-eng", every=1
    )
