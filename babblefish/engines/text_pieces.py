"""Cutting a line into the pieces that a text translator takes at once."""

from __future__ import annotations

from babblefish.engines.kokoro_pieces import split_sentences

_WITHOUT_SPACES = frozenset({"cmn", "jpn", "yue"})
"""Languages with no space between sentences."""


def has_words(text: str) -> bool:
    """Say whether there is anything to translate."""
    return any(char.isalnum() for char in text)


def space(lang: str) -> str:
    """Return what stands between two sentences of a language (ISO 639-3)."""
    return "" if lang in _WITHOUT_SPACES else " "


def split_line(line: str, between: str, most_characters: int) -> list[str]:
    """Split a line with words into sentences; each piece has words.

    Args:
        line: Without line breaks.
        between: What stands between two sentences.
        most_characters: Up to this length several sentences are one piece; 0 keeps each to itself.
    """
    pieces: list[str] = []
    for sentence in split_sentences(line):
        fits = bool(pieces) and len(pieces[-1]) + len(between) + len(sentence) <= most_characters
        if fits or (pieces and not (has_words(sentence) and has_words(pieces[-1]))):
            pieces[-1] += between + sentence
        else:
            pieces.append(sentence)
    return pieces
