"""How often people's names stay as they are in the language model's translations, told of the names and not.

The sentences of ``data/names.tsv`` have names that are words as well, and the same words in their other sense, which
must not be taken for names. A name is kept where the translation has it with the endings of its language;
a lost one is marked where the translation is a draft.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from babblefish import names
from babblefish.domain import Deadline
from babblefish.engines import profiles
from babblefish.engines.contracts import ConversationTranslator, Route, TextRequest
from babblefish.engines.llm.guards import Fault, check
from babblefish.engines.registry import Parts
from babblefish.errors import EngineError, SetupError
from babblefish.settings import Settings
from benchmarks.support import corpus, harness

_LIMIT_S = 60.0
_KEPT, _MARKED, _LOST, _NOTHING = "kept", "lost, marked", "lost, not marked", "no translation"


class Sentence(NamedTuple):
    """What somebody said, in a room with one other person.

    Attributes:
        lang: ISO 639-3.
        people: The name that the other one goes by.
        name: The part of it that is said; empty where the word has another sense.
        text: What was said.
    """

    lang: str
    people: str
    name: str
    text: str


def read() -> list[Sentence]:
    """Read the sentences."""
    with (corpus.DATA / "names.tsv").open(encoding="utf-8", newline="") as file:
        return [Sentence(*row) for row in csv.reader(file, delimiter="\t")][1:]


def outcome(sentence: Sentence, text: str | None, is_doubtful: bool, target_lang: str) -> str:
    """Say what became of a sentence's name."""
    if text is None:
        return _NOTHING
    fault = check(sentence.text, sentence.lang, text, target_lang, names=[sentence.name])
    return _KEPT if fault is not Fault.NAME else _MARKED if is_doubtful else _LOST


def _names_in(sentence: Sentence) -> tuple[str, ...]:
    return names.said(sentence.text, sentence.lang, [sentence.people])


def _translated(
    translator: ConversationTranslator, sentence: Sentence, route: Route, said: tuple[str, ...]
) -> tuple[str | None, bool]:
    request = TextRequest(sentence.text, route, Deadline.after(_LIMIT_S), names=said)
    try:
        made = translator.translate_utterance(request)
    except EngineError:
        return None, False
    return made.text, made.is_doubtful


def _routes(translator: ConversationTranslator, sentence: Sentence) -> Iterator[Route]:
    """Yield the routes to English, or from it to what is offered."""
    targets = [lang for lang in corpus.LANGS if lang != "eng"] if sentence.lang == "eng" else ["eng"]
    routes = (translator.route(sentence.lang, target) for target in targets)
    yield from (route for route in routes if route is not None)


def measure(_: argparse.Namespace) -> dict[str, Any]:
    """Translate all sentences both ways."""
    settings = Settings(profile="embedded")
    part = Parts(settings, profiles.choose(settings)).text_translator
    try:
        translator = part.load() if part else None
    except SetupError as error:
        harness.missing(str(error))
    if not isinstance(translator, ConversationTranslator):
        harness.missing("it needs the language model")
    counted: dict[str, Counter[str]] = {"told": Counter(), "not told": Counter()}
    sentences = read()
    others = [sentence for sentence in sentences if not sentence.name]
    mistaken = [sentence.text for sentence in others if _names_in(sentence)]
    not_kept: list[str] = []
    for sentence in sentences:
        if not sentence.name:
            continue
        for route in _routes(translator, sentence):
            target = route.path[-1]
            untold, told = (_translated(translator, sentence, route, told) for told in ((), _names_in(sentence)))
            for way, made in (("not told", untold), ("told", told)):
                found = outcome(sentence, *made, target)
                counted[way][found] += 1
                if found != _KEPT:
                    not_kept.append(f"{way}: {sentence.text} → {target}: {made[0]} ({found})")
                    print(not_kept[-1], file=sys.stderr)
    translator.close()
    return {
        "names": {way: dict(of) for way, of in counted.items()},
        "other_senses": {"sentences": len(others), "taken_for_names": mistaken},
        "not_kept": not_kept,
    }


if __name__ == "__main__":
    harness.main(__doc__, measure)
