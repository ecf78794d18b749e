"""What people say all day, translated once and for all: a phrase of the table needs no translator.

A translator has least to go by where least is said, and gets "No." or "Lo siento." wrong, which people know at once.
The table is ``babblefish/assets/phrasebook.tsv``: a column for each language, and on each line the forms that mean the
same, separated by bars. The first form is what is said in that language. A form in brackets is right as a translation,
but is not looked up: it may mean something else as well ("Bitte."), or another line says what it becomes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from babblefish.engines.text_splitting import split_sentences
from babblefish.typography import ended

_TABLE = Path(__file__).parents[1] / "assets" / "phrasebook.tsv"

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_MARKS = re.compile(r"[\W_]*\Z")
_END = re.compile(r"[\s.!?\u2026]*\Z")


class Spoken(NamedTuple):
    """What makes two sentences the same phrase."""

    words: tuple[str, ...]
    is_question: bool


@dataclass(frozen=True, slots=True)
class Form:
    """One way to say something.

    Attributes:
        text: With its marks.
        is_looked_up: Whether it means nothing else.
    """

    text: str
    is_looked_up: bool


Phrase = Mapping[str, tuple[Form, ...]]
"""ISO 639-3 → the forms of a phrase, the one that is said first; a language may be missing."""


def read(path: Path = _TABLE) -> tuple[Phrase, ...]:
    """Read the table of phrases; lines that begin with ``#`` are headings."""
    header, *lines = (line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    langs = header.split("\t")
    return tuple(
        {lang: _forms(cell) for lang, cell in zip(langs, line.split("\t"), strict=True) if cell} for line in lines
    )


def spoken(sentence: str) -> Spoken:
    """Return what is compared of a sentence: its words without case, and whether it asks."""
    plain = unicodedata.normalize("NFC", sentence).casefold().replace("\u2019", "'")
    marks = _MARKS.search(plain)
    return Spoken(tuple(_WORD.findall(plain)), marks is not None and "?" in marks[0])


class Phrasebook:
    """Translates utterances that are nothing but phrases of a table."""

    def __init__(self, phrases: tuple[Phrase, ...] | None = None) -> None:
        """Use these phrases, or those that the package carries."""
        self._found: dict[str, dict[Spoken, Phrase]] = {}
        for phrase in read() if phrases is None else phrases:
            for lang, forms in phrase.items():
                found = self._found.setdefault(lang, {})
                found.update((spoken(form.text), phrase) for form in forms if form.is_looked_up)

    def translation(self, text: str, source_lang: str, target_lang: str) -> str | None:
        """Return the translation of a text each sentence of which is a phrase, or None.

        Args:
            text: What was said.
            source_lang: ISO 639-3.
            target_lang: ISO 639-3.
        """
        found = self._found.get(source_lang)
        if found is None or source_lang == target_lang or "\n" in text.strip():
            return None
        translations = []
        for sentence in split_sentences(text):
            phrase = found.get(spoken(sentence), {})
            if target_lang not in phrase:
                return None
            translations.append(_marked(phrase[target_lang][0].text, sentence, target_lang))
        return " ".join(translations) or None


def _forms(cell: str) -> tuple[Form, ...]:
    forms = (form.strip() for form in cell.split("|"))
    return tuple(Form(form.strip("[]"), not form.startswith("[")) for form in forms)


def _marked(form: str, said: str, lang: str) -> str:
    """Return a form that ends as what was said does, with the marks as its language sets them."""
    words, mark = _END.sub("", form).lstrip("\u00bf\u00a1"), form[-1]
    end = _END.search(said)
    if mark != "?" and end is not None and (written := end[0].strip()):
        mark = "!" if "!" in written else "."
    return ended(words, mark, lang)
