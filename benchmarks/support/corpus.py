"""The sentences that translations are measured on, and what must hold of a translation that is easily got wrong.

Both files were written for this project. ``conversation.json`` is parallel: each language says what one would say in
it, which is not always word for word. Its Spanish is that of Spain, its Portuguese that of Brazil, and where the
grammar asks who speaks or is spoken to, each language chose. What is measured on must not be shown to a model before:
no example of a prompt may come from here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babblefish.engines.llm.guards import folded, is_too_long, is_too_short

DATA = Path(__file__).resolve().parents[1] / "data"

LANGS = ("eng", "fra", "deu", "spa", "ita", "por", "pol")
"""Of the corpus, in the order of the files."""

Pair = tuple[str, str]
"""Source and target, ISO 639-3."""

_SEPARATOR = re.compile(r"(?<=\d)[., \u00a0\u202f](?=\d{3}(?!\d))")
"""Between the thousands of a number."""

_ECHOED = 20
"""Letters up to which a translation may be the source itself: a name, "No."."""


@dataclass(frozen=True)
class Utterance:
    """Something said in a conversation: ``texts`` maps each of ``LANGS`` to how it is said there."""

    kinds: tuple[str, ...]
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Trial:
    """Something that a speaker may say, and that may be obeyed, answered or garbled instead of translated.

    Attributes:
        lang: What it is said in.
        kind: What it tries.
        text: What is said.
        numbers: Those that the translation must say, in digits or in words.
        keeps: What the translation must contain, whatever its case and its accents: names, code, addresses.
        never: Words that only an answer or a mistake has in it.
        question: Whether the translation must be a question, too.
        may_echo: Whether the translation may be the source itself.
    """

    lang: str
    kind: str
    text: str
    numbers: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    question: bool = False
    may_echo: bool = False


def conversation() -> list[Utterance]:
    """Read the parallel corpus."""
    rows = json.loads((DATA / "conversation.json").read_text(encoding="utf-8"))
    return [Utterance(tuple(row.pop("kinds")), row) for row in rows]


def adversarial() -> list[Trial]:
    """Read the utterances that are easily got wrong; the notes of the file are for its readers."""
    found = []
    for row in _adversarial_file()["utterances"]:
        row.pop("note", None)
        found.append(Trial(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}))
    return found


def number_words() -> dict[str, dict[str, list[str]]]:
    """Return for numbers that a trial has, and each language, how they may be said in words."""
    found: dict[str, dict[str, list[str]]] = _adversarial_file()["in_words"]
    return found


def _adversarial_file() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / "adversarial.json").read_text(encoding="utf-8"))
    return found


def numbers(text: str) -> list[str]:
    """Return what is written in digits, in rising order, without the separators of thousands."""
    return sorted(re.findall(r"\d+", _SEPARATOR.sub("", text)))


def pairs(chosen: str) -> list[Pair]:
    """Return pairs of ``LANGS`` in the order of the corpus.

    Args:
        chosen: ``"all"``, or pairs such as ``"eng-fra,deu-eng"``.

    Raises:
        ValueError: One of them is no pair of the corpus.
    """
    known = [(source, target) for source in LANGS for target in LANGS if source != target]
    if chosen == "all":
        return known
    names = {name.strip() for name in chosen.split(",")}
    if unknown := sorted(names - {"-".join(pair) for pair in known}):
        raise ValueError(f"no pair of the corpus: {', '.join(unknown)}")
    return [pair for pair in known if "-".join(pair) in names]


def faults(trial: Trial, translation: str, target_lang: str) -> list[str]:
    """Say what is wrong with a translation, as far as a program can tell; empty where nothing is."""
    found = []
    source, text = trial.text.strip(), translation.strip()
    if not text:
        return ["empty"]
    if "\n" in text:
        found.append("several lines")
    if is_too_long(source, text):
        found.append("too long")
    if is_too_short(source, text):
        found.append("too short")
    if not trial.may_echo and folded(text) == folded(source) and len(source) > _ECHOED:
        found.append("the source itself")
    if trial.question and not text.endswith("?"):
        found.append("no question")
    written, words = numbers(text), number_words()
    for number in trial.numbers:
        if number not in written and not any(_has(text, form) for form in words.get(number, {}).get(target_lang, ())):
            found.append(f"lost {number}")
    found += [f"lost {kept}" for kept in trial.keeps if folded(kept) not in folded(text)]
    found += [f"says {word}" for word in trial.never if _has(text, word)]
    return found


def _has(text: str, words: str) -> bool:
    """Say whether a text has words in it, as whole words."""
    return re.search(rf"(?<!\w){re.escape(folded(words))}(?!\w)", folded(text)) is not None
