"""Splitting text: into sentences, into what a translator takes at once, into pieces that are spoken one by one.

The first piece of speech can be heard while the next is made. So the first is short, and each is at most twice as long
as the longest before it: made in half the time it lasts, each is ready when it is to be heard.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from itertools import pairwise

_FIRST_CHARACTERS = 50
"""Limit of the first piece, where it can be cut: about 3 s of speech."""

_LONGEST_CHARACTERS = 240
"""About 15 s of speech, which bounds the time between two checks of the deadline."""

_LONGEST_CLAUSE_CHARACTERS = 120
"""A clause beyond this length, about 8 s of speech, has lost its marks: it is cut between two words. Recognisers write
whole utterances so."""

_SHORTEST_CHARACTERS = 25
"""No cut leaves less on either side: Kokoro hurries over a few words on their own, and each piece costs the synthesis
of 0.6 s of silence around it, which is trimmed."""

_CHARACTERS_PER_SYLLABLE = 3
"""A Chinese or Japanese character lasts about as long as this many letters: 0.2 s."""

_SENTENCE_PAUSE_S = 0.25
_CLAUSE_PAUSE_S = 0.15
"""Silence added after a piece. With the 0.1 s that trimming leaves, it equals what Kokoro makes of this punctuation
within a piece: 0.2 to 0.4 s (measured on English, French and Spanish)."""

_SENTENCE_MARKS = ".!?\u2026\u0964\u06d4\u061f\u0589\u1362"
"""Those of the Latin and Indic scripts, the full stops of Urdu, Armenian and Ethiopic, the Arabic question mark."""
_WIDE_SENTENCE_MARKS = "\u3002\uff01\uff1f\u104b\u17d4"
"""Full stop, exclamation and question mark of Chinese and Japanese, full stop of Burmese and of Khmer: none needs a
space after it."""

_CLOSING_MARKS = "\"')]\u2019\u201d\u00bb\u300d\u300f\u300b\uff09\u3011"
_CLOSING = f"[{re.escape(_CLOSING_MARKS)}]*"
_SENTENCE_END = re.compile(
    rf"[{_SENTENCE_MARKS}]+{_CLOSING}\s+|[{_SENTENCE_MARKS}{_WIDE_SENTENCE_MARKS}]*[{_WIDE_SENTENCE_MARKS}]+{_CLOSING}\s*"
    r"|\s*\n\s*"
)
_CLAUSE_END = re.compile(
    "[,;:]\\s+|[\u2013\u2014]\\s+(?![\\d\\s])|\\s+(?=[(\u00ab]|[\u2013\u2014](?!\\s*\\d))"
    "|(?:(?<!\\d)[\u3001\uff0c\uff1b\uff1a]|[\u3001\uff0c\uff1b\uff1a](?!\\d))\\s*"
)
"""No dash or wide mark within a range, a time or a number."""
_SPACE = re.compile(r"(?<![\d\s])\s+|(?<=\d)\s+(?![\d\s])")
"""Not between two digits."""
_SYLLABLE = re.compile("[\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff]")

_NO_END = re.compile(r"\b([^\W\d_]{1,3})\.\s+\Z|(?<![\w.,])\d{1,2}\.\s+\Z")
"""A capitalised word this short before a full stop is taken for an abbreviation (Dr., Sra., M.), and a number for an
ordinal (am 3. Mai)."""

_WITHOUT_SPACES = frozenset({"cmn", "cmn-Hant", "jpn", "yue"})
"""Languages with no space between sentences."""


def has_words(text: str) -> bool:
    """Say whether a text has a letter or digit, and so anything to translate or to speak."""
    return any(char.isalnum() for char in text)


def space(lang: str) -> str:
    """Return what separates two sentences of a language (ISO 639-3)."""
    return "" if lang in _WITHOUT_SPACES else " "


def split_line(line: str, between: str, max_characters: int = 0) -> list[str]:
    """Split a line with words into sentences; each piece has words.

    Args:
        line: Without line breaks.
        between: What separates two sentences.
        max_characters: Up to this length several sentences are one piece; 0 keeps each to itself.
    """
    pieces: list[str] = []
    for sentence in split_sentences(line):
        fits = bool(pieces) and len(pieces[-1]) + len(between) + len(sentence) <= max_characters
        if fits or (pieces and not (has_words(sentence) and has_words(pieces[-1]))):
            pieces[-1] += between + sentence
        else:
            pieces.append(sentence)
    return pieces


def split_sentences(text: str) -> list[str]:
    """Split a text at the ends of its sentences and at its line breaks; no piece is empty."""
    ends = [0, *_sentence_ends(text), len(text)]
    return [sentence for start, end in pairwise(ends) if (sentence := text[start:end].strip())]


def _sentence_ends(text: str) -> Iterator[int]:
    start = 0
    for end in _SENTENCE_END.finditer(text):
        goes_on = _NO_END.search(text, start, end.end())
        if "\n" in end[0] or not goes_on or (goes_on[1] and not goes_on[1][0].isupper()):
            start = end.end()
            yield start


def split_pieces(text: str) -> list[str]:
    """Split a text into the pieces it is spoken in.

    Returns:
        Whole sentences where they fit into ``_FIRST_CHARACTERS`` or, later, into twice the longest piece before; a
        longer sentence is cut at a comma or the like. Without any it stays whole up to
        ``_LONGEST_CLAUSE_CHARACTERS``, and is cut at a space beyond.
    """
    rest = deque(split_sentences(text))
    pieces: list[str] = []
    limit = _FIRST_CHARACTERS
    while rest:
        piece, after = _cut(rest.popleft(), limit)
        if after:
            rest.appendleft(after)
        while rest and _length(piece) + 1 + _length(rest[0]) <= limit:
            piece += " " + rest.popleft()
        pieces.append(piece)
        limit = min(_LONGEST_CHARACTERS, max(limit, 2 * _length(piece) + len(" ")))
    return pieces


def split_to_fit(text: str, longest: int) -> list[str]:
    """Split a text into parts of limited length: after sentences, else after clauses, else after words.

    Args:
        text: On one line.
        longest: Characters of a part.
    """
    parts: list[str] = []
    rest = text.strip()
    while len(rest) > longest:
        fits = rest[:longest]
        end = max(_sentence_ends(fits), default=0) or last_clause_end(fits) or fits.rfind(" ") + 1 or len(fits)
        parts.append(rest[:end].strip())
        rest = rest[end:].strip()
    return [*parts, rest]


def pause_after_s(piece: str) -> float:
    """Return how many seconds of silence belong between a piece and the next."""
    ended = piece.rstrip(_CLOSING_MARKS).endswith(tuple(_SENTENCE_MARKS + _WIDE_SENTENCE_MARKS))
    return _SENTENCE_PAUSE_S if ended else _CLAUSE_PAUSE_S


def _length(text: str) -> int:
    """Return how long a text takes to speak, in letters of an alphabet."""
    return len(text) + (_CHARACTERS_PER_SYLLABLE - 1) * len(_SYLLABLE.findall(text))


def _cut(sentence: str, limit: int) -> tuple[str, str]:
    """Cut a sentence after the last clause that ends within ``limit``, else after the first clause or between words."""
    if _length(sentence) <= limit:
        return sentence, ""
    ends = _ends(_CLAUSE_END, sentence)
    if not ends or (ends[0][1] > max(limit, _LONGEST_CLAUSE_CHARACTERS)):
        ends = (_ends(_SPACE, sentence) if _length(sentence) > _LONGEST_CLAUSE_CHARACTERS else []) or ends
    if not ends:
        return sentence, ""
    end, _ = max((end for end in ends if end[1] <= limit), default=ends[0])
    return sentence[:end].strip(), sentence[end:]


def _ends(pattern: re.Pattern[str], sentence: str) -> list[tuple[int, int]]:
    """Return where a sentence may be cut: index and length so far of each match that leaves enough on both sides."""
    whole = _length(sentence)
    ends = [(end.end(), _length(sentence[: end.end()])) for end in pattern.finditer(sentence)]
    return [end for end in ends if _SHORTEST_CHARACTERS <= end[1] <= whole - _SHORTEST_CHARACTERS]


def last_clause_end(text: str) -> int:
    """Return where the last finished clause or sentence of a text that is still being written ends, 0 if none has."""
    ends = (*_sentence_ends(text), *(end.end() for end in _CLAUSE_END.finditer(text)))
    return max(ends, default=0)
