"""Everyday phrases: how many a text translator gets right by itself, and how many with the phrasebook before it.

Right is what the phrasebook has for the other language, in any of its forms, without regard to case, spaces and marks.
What is right in other words counts as wrong, so what was not right is listed. ``data/phrases.tsv`` beside the
benchmarks has phrases that are not in the phrasebook, in the same form, and says how it is where that has nothing.

It takes the pairs with English; ``--pairs eng-fra,fra-deu`` takes others, ``--pairs all`` all that are offered. Of the
phrases it takes every 24th, beginning with another one for each pair; ``--every 1`` takes all.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from babblefish.domain import Deadline
from babblefish.engines import profiles
from babblefish.engines.contracts import ConversationTranslator, Route, TextRequest, TextTranslator
from babblefish.engines.registry import Parts
from babblefish.errors import DeadlineExceededError, EngineError, SetupError
from babblefish.pipeline.phrasebook import Phrase, Phrasebook, read, spoken
from babblefish.settings import Settings
from benchmarks.support import corpus, harness

OTHERS = Path(__file__).parent / "data" / "phrases.tsv"
"""Phrases that are not in the phrasebook."""

_LIMIT_S = 60.0
_OTHERS_MORE_OFTEN = 3
"""There are fewer of them, so a third of the step between two."""


@dataclass
class Count:
    """How phrases came out.

    Attributes:
        phrases: How many were translated.
        alone: How many the translator had right by itself.
        with_phrasebook: The same with the phrasebook before it.
        alone_ms: How long the translator took for each, in milliseconds.
        with_phrasebook_ms: The same with the phrasebook before it.
        not_right: What the translator had not right, as the forms of the table have it.
    """

    phrases: int = 0
    alone: int = 0
    with_phrasebook: int = 0
    alone_ms: list[float] = field(default_factory=list)
    with_phrasebook_ms: list[float] = field(default_factory=list)
    not_right: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        """Add what was counted elsewhere."""
        self.phrases += other.phrases
        self.alone += other.alone
        self.with_phrasebook += other.with_phrasebook
        self.alone_ms += other.alone_ms
        self.with_phrasebook_ms += other.with_phrasebook_ms
        self.not_right += other.not_right

    def figures(self) -> dict[str, Any]:
        """Return what is printed."""
        return {
            "phrases": self.phrases,
            "right_alone": self.alone,
            "right_with_phrasebook": self.with_phrasebook,
            "alone_ms": harness.spread(self.alone_ms) if self.alone_ms else None,
            "with_phrasebook_ms": harness.spread(self.with_phrasebook_ms, 3) if self.with_phrasebook_ms else None,
        }


def is_right(translation: str, phrase: Phrase, lang: str) -> bool:
    """Say whether a translation is one of the forms that a phrase has in a language."""
    return spoken(translation) in {spoken(form.text) for form in phrase[lang]}


def said(phrases: Sequence[Phrase], source_lang: str, target_lang: str) -> list[tuple[str, Phrase]]:
    """Return what is said of the phrases that both languages have: the first form that means nothing else."""
    found = []
    for phrase in phrases:
        forms = [form.text for form in phrase.get(source_lang, ()) if form.is_looked_up]
        if forms and target_lang in phrase:
            found.append((forms[0], phrase))
    return found


def _translated(translator: TextTranslator, text: str, route: Route) -> str:
    deadline = Deadline.after(_LIMIT_S)
    with contextlib.suppress(EngineError, DeadlineExceededError):
        if isinstance(translator, ConversationTranslator):
            return translator.translate_utterance(TextRequest(text, route, deadline)).text
        return translator.translate(text, route, deadline)
    return ""


def count(
    chosen: Sequence[tuple[str, Phrase]], translator: TextTranslator, route: Route, phrasebook: Phrasebook
) -> Count:
    """Translate phrases both ways."""
    counted = Count()
    source_lang, target_lang = route.path[0], route.path[-1]
    for text, phrase in chosen:
        started_s = time.perf_counter()
        alone = _translated(translator, text, route)
        alone_ms = 1000 * (time.perf_counter() - started_s)
        started_s = time.perf_counter()
        found = phrasebook.translation(text, source_lang, target_lang)
        found_ms = 1000 * (time.perf_counter() - started_s)
        counted.phrases += 1
        counted.alone += is_right(alone, phrase, target_lang)
        counted.with_phrasebook += is_right(alone if found is None else found, phrase, target_lang)
        counted.alone_ms.append(alone_ms)
        counted.with_phrasebook_ms.append(found_ms + (alone_ms if found is None else 0.0))
        if not is_right(alone, phrase, target_lang):
            counted.not_right.append(f"{source_lang}-{target_lang}: {text} → {alone} ({phrase[target_lang][0].text})")
    return counted


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Translate phrases of the phrasebook, and others, in each pair."""
    try:
        pairs = corpus.pairs(options.pairs)
    except ValueError as error:
        sys.exit(str(error))
    settings = Settings()
    part = Parts(settings, profiles.choose(settings)).text_translator
    if part is None:
        harness.missing("it needs a text translator of its own")
    try:
        translator = part.load()
    except SetupError as error:
        harness.missing(str(error))
    phrasebook = Phrasebook()
    tables = {"in_phrasebook": (read(), options.every), "others": (read(OTHERS), options.every // _OTHERS_MORE_OFTEN)}
    by_pair: dict[str, dict[str, Any]] = {name: {} for name in tables}
    totals = {name: Count() for name in tables}
    try:
        for at, (source, target) in enumerate(pairs):
            route = translator.route(source, target)
            if route is None:
                continue
            translator.prepare(route, Deadline.after(_LIMIT_S))
            for name, (phrases, every) in tables.items():
                step = max(every, 1)
                counted = count(said(phrases, source, target)[at % step :: step], translator, route, phrasebook)
                by_pair[name][f"{source}-{target}"] = counted.figures()
                totals[name].add(counted)
    finally:
        translator.close()
    return {
        "translator": translator.name,
        "all": {name: counted.figures() for name, counted in totals.items()},
        "by_pair": by_pair,
        "not_right_alone": {name: counted.not_right for name, counted in totals.items()},
    }


if __name__ == "__main__":
    to_and_from_english = ",".join(
        f"{pair[0]}-{pair[1]}" for pair in corpus.pairs("all") if "eng" in pair and pair[1] != "pol"
    )
    harness.main(__doc__, measure, pairs=to_and_from_english, every=24)
