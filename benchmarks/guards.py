"""How often the guards of the language model stop a good translation, and how often they notice a broken one.

The good ones are the references of the corpus, in every pair and whole, and the first clause of each as it is checked
while the rest is being written. The broken ones are made from them.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from babblefish.engines.llm.guards import Fault, check, load
from benchmarks.support import corpus, harness

Case = tuple[str, str, str, str, bool]
"""What was said and its language, the translation and its language, and whether it is whole."""

_CLAUSE = re.compile(r"(?<=[,;.!?]) ")
_LONG = 40
"""Letters of a reference from which on one third of it is not a translation."""


def _pairs() -> Iterator[tuple[corpus.Utterance, str, str]]:
    for utterance in corpus.conversation():
        for source, target in corpus.pairs("all"):
            yield utterance, source, target


def _whole() -> Iterator[Case]:
    for said, source, target in _pairs():
        yield said.texts[source], source, said.texts[target], target, True


def _beginnings() -> Iterator[Case]:
    for text, source, translation, target, _ in _whole():
        yield text, source, _CLAUSE.split(translation)[0], target, False


def _untranslated() -> Iterator[Case]:
    """What is the same in both languages ("No.") is left out."""
    for text, source, translation, target, _ in _whole():
        if text != translation:
            yield text, source, text, target, True


def _in_a_third_language() -> Iterator[Case]:
    for said, source, target in _pairs():
        for other in set(corpus.LANGS) - {source, target}:
            if said.texts[other] not in (said.texts[source], said.texts[target]):
                yield said.texts[source], source, said.texts[other], target, True


def _other_digits() -> Iterator[Case]:
    """One digit of every reference that has some becomes another one."""
    for text, source, translation, target, _ in _whole():
        if re.search(r"\d", translation):
            changed = re.sub(r"\d", lambda digit: str((int(digit[0]) + 3) % 10), translation, count=1)
            yield text, source, changed, target, True


def _other_numbers() -> Iterator[Case]:
    """The reference of the next utterance about a number, a price, a time or a date instead."""
    telling = [said for said in corpus.conversation() if {"number", "price", "time", "date"} & set(said.kinds)]
    telling = [said for said in telling if re.search(r"\d", said.texts["eng"])]
    for said, following in zip(telling, telling[1:] + telling[:1], strict=True):
        for source, target in corpus.pairs("all"):
            yield said.texts[source], source, following.texts[target], target, True


def _said_four_times() -> Iterator[Case]:
    for text, source, translation, target, _ in _whole():
        yield text, source, " ".join([translation] * 4), target, True


def _cut_short() -> Iterator[Case]:
    for text, source, translation, target, _ in _whole():
        if len(translation) >= _LONG:
            yield text, source, translation[: len(translation) // 3], target, True


_GOOD: dict[str, Callable[[], Iterator[Case]]] = {"references": _whole, "first clauses of references": _beginnings}
_BROKEN: dict[str, Callable[[], Iterator[Case]]] = {
    "the source itself": _untranslated,
    "the reference in a third language": _in_a_third_language,
    "the reference with another digit": _other_digits,
    "the reference of another utterance with a number": _other_numbers,
    "the reference four times": _said_four_times,
    "a third of the reference": _cut_short,
}


def _count(cases: Callable[[], Iterator[Case]]) -> dict[str, Any]:
    """Check all cases; returns how many there are, and percent that have each fault, or any."""
    faults: Counter[Fault | None] = Counter(check(*case) for case in cases())
    checked = faults.total()
    named = {fault.value: faults[fault] for fault in Fault if faults[fault]}
    return {"checked": checked, "faults": named, "noticed_percent": round(100 * (1 - faults[None] / checked), 2)}


def measure(parsed: argparse.Namespace) -> dict[str, Any]:
    load()
    started_s = time.perf_counter()
    good = {name: _count(cases) for name, cases in _GOOD.items()}
    each_ms = (time.perf_counter() - started_s) * 1000 / sum(figures["checked"] for figures in good.values())
    return {
        "good": good,
        "broken": {name: _count(cases) for name, cases in _BROKEN.items()},
        "check_ms": round(each_ms, 2),
    }


if __name__ == "__main__":
    harness.main("How well the guards tell good translations from broken ones.", measure)
