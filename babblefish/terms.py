"""The terms of a glossary in what is said: found, heard wrongly, translated and spoken."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

from babblefish.domain import Term

_WORD = re.compile(r"[^\W_]+")

_JOINT = re.compile(r"[\s'\u2019-]{0,2}")
"""What may stand between two words of a term."""

_SHORT = 4
"""Letters of a term below which it has no endings: it is found as it is written or not at all."""

_ENDING, _ENDING_OF_NAME = 2, 3
"""Letters that an ending has at most: of a word, as in heaters, and of a name, which some languages decline."""

DECLINING = frozenset({"bel", "bul", "ces", "hrv", "lav", "lit", "mkd", "pol", "rus", "slk", "slv", "srp", "ukr"})
"""Languages in which an ending may take the place of the last vowel: Warszawa, w Warszawie."""

_MORE_WORDS = 2
"""Words that a recogniser may make of a term beyond those it has: Kowalczyk, koval chick."""

_MOST_WORDS = 6
"""Words of which what was heard is compared with a term; a longer term has to be heard right."""

_SOUNDS = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"tsch|tch|cz|ch", "C"),
        (r"sch|sh|sz", "S"),
        (r"ph", "f"),
        (r"th", "t"),
        (r"x", "ks"),
        (r"c(?=[eiy])|z", "s"),
        (r"ck|qu?|c", "k"),
        (r"w", "v"),
        (r"(?<![aeiouy])h|h(?![aeiouy])", ""),
        (r"ee|ea|ie|y|j", "i"),
        (r"oo|ou", "u"),
        (r"ai|ei", "e"),
        (r"au", "o"),
        (r"(.)\1+", r"\1"),
        (r"(?<=.{3})e$", ""),
    )
)
"""Spellings that languages of the Latin script have for nearly the same sound."""

_VOWELS = frozenset("aeiou")

_MISHEARD = ((12, 2), (7, 1), (4, 0))
"""Letters of a term's sound, and how many of them may be heard wrongly; what is shorter is like too many words."""


class _Word(NamedTuple):
    """A word of a text: without its case and accents, and where it stands."""

    folded: str
    start: int
    end: int


class _Group(NamedTuple):
    """Words of a text that follow each other: their sound, how many they are, and where they stand."""

    sound: str
    words: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms that a conversation has agreed on.

    Attributes:
        terms: In the order in which they were given.
    """

    terms: tuple[Term, ...] = ()

    def written(self, lang: str) -> tuple[str, ...]:
        """Return how the terms are written in a language, each spelling once."""
        return tuple(dict.fromkeys(term.written(lang) for term in self.terms))

    def between(self, text: str, source_lang: str, target_lang: str) -> tuple[tuple[str, str], ...]:
        """Return the terms that a text has, as the source and the target language write them.

        Args:
            text: In the source language.
            source_lang: ISO 639-3.
            target_lang: ISO 639-3.
        """
        pairs = ((term.written(source_lang), term.written(target_lang)) for term in self.terms)
        return tuple(pair for pair in pairs if has_term(text, pair[0], source_lang))

    def corrected(self, text: str, lang: str) -> str:
        """Return what was heard, with the terms spelled right that a recogniser has heard nearly.

        A term with an ending stays as it is.
        """
        for spelling in sorted(self.written(lang), key=len, reverse=True):
            if not has_term(text, spelling, lang):
                text = _replaced(text, _heard(text, spelling), spelling)
            elif not spelling.islower():
                text = _replaced(text, _found(text, spelling, str.__eq__), spelling)
        return text

    def respelled(self, text: str, lang: str) -> str:
        """Return a text as a voice of its language is to read it: the terms as they are to be spoken."""
        spoken = [(term.written(lang), term.spoken[lang]) for term in self.terms if lang in term.spoken]
        for spelling, sound in sorted(spoken, key=lambda pair: len(pair[0]), reverse=True):
            text = _replaced(text, _found(text, spelling, str.__eq__), sound)
        return text


NO_TERMS = Terms()
"""A glossary in which nothing stands."""


def has_term(text: str, spelling: str, lang: str) -> bool:
    """Say whether a text has a term, in any case, with or without accents, and perhaps with an ending.

    Args:
        text: In the language.
        spelling: As the language writes the term.
        lang: ISO 639-3.
    """
    is_name = not spelling.islower()
    is_short = len(spelling) < _SHORT

    def has_ending(word: str, part: str) -> bool:
        if is_short:
            return word == part
        if word.startswith(part):
            return len(word) - len(part) <= (_ENDING_OF_NAME if is_name else _ENDING)
        stem = part[:-1]
        declines = lang in DECLINING and part[-1] in "aeiouy"
        return declines and word.startswith(stem) and len(word) - len(stem) <= _ENDING

    return next(_found(text, spelling, has_ending), None) is not None


def _found(text: str, spelling: str, is_same: Callable[[str, str], bool]) -> Iterator[tuple[int, int]]:
    """Yield where a term stands, each word of which ``is_same`` compares with the text's."""
    if any(unicodedata.category(letter) == "Lo" for letter in spelling):  # such as Chinese, where words are not apart
        yield from (found.span() for found in re.finditer(re.escape(spelling), text))
        return
    parts = [word.folded for word in _words(spelling)]
    if not parts or parts[0][:-1] not in _folded(text):  # most terms are not in most texts
        return
    words = _words(text)
    for at in range(len(words) - len(parts) + 1):
        group = words[at : at + len(parts)]
        if _is_joined(text, group) and all(map(is_same, (word.folded for word in group), parts)):
            yield group[0].start, group[-1].end


def _heard(text: str, spelling: str) -> Iterator[tuple[int, int]]:
    """Yield where a text sounds so much like a term that it must be meant."""
    parts = _words(spelling)
    sound = _sound("".join(word.folded for word in parts))
    allowed = next((wrong for letters, wrong in _MISHEARD if len(sound) >= letters), None)
    if allowed is None:
        return
    free_from = 0
    for group in _groups(text).get(_initial(sound), ()):
        if group.start < free_from or group.words > len(parts) + _MORE_WORDS:
            continue
        if Levenshtein.distance(group.sound, sound, score_cutoff=allowed) <= allowed:
            free_from = group.end
            yield group.start, group.end


@lru_cache(maxsize=64)
def _groups(text: str) -> Mapping[str, Sequence[_Group]]:
    """Return every word of a text, and each with those after it, as far as a term may reach, by their beginning."""
    words = _words(text)
    groups: dict[str, list[_Group]] = defaultdict(list)
    for at, first in enumerate(words):
        for size in range(1, _MOST_WORDS + 1):
            group = words[at : at + size]
            if len(group) < size or not _is_joined(text, group):
                break
            sound = _sound("".join(word.folded for word in group))
            groups[_initial(sound)].append(_Group(sound, size, first.start, group[-1].end))
    return dict(groups)


def _initial(sound: str) -> str:
    """Return what a term and what was heard of it begin with alike: vowels are easily taken for each other."""
    return "a" if sound[:1] in _VOWELS else sound[:1]


def _is_joined(text: str, group: Sequence[_Word]) -> bool:
    return all(_JOINT.fullmatch(text, left.end, right.start) for left, right in pairwise(group))


def _replaced(text: str, places: Iterator[tuple[int, int]], by: str) -> str:
    for start, end in reversed(list(places)):
        text = text[:start] + by + text[end:]
    return text


@lru_cache(maxsize=1024)
def _words(text: str) -> tuple[_Word, ...]:
    return tuple(_Word(_folded(found[0]), *found.span()) for found in _WORD.finditer(text))


@lru_cache(maxsize=4096)
def _folded(word: str) -> str:
    apart = unicodedata.normalize("NFKD", word.casefold().replace("ł", "l"))
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


@lru_cache(maxsize=4096)
def _sound(letters: str) -> str:
    for pattern, sound in _SOUNDS:
        letters = pattern.sub(sound, letters)
    return letters
