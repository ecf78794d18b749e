"""Whether two recognitions of the same speech agree that a clause ends where the shorter one does."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from babblefish.engines.text_splitting import last_clause_end

_HESITATIONS = ("...", "\u2026")
"""A recogniser writes them where somebody looks for a word, mostly within a clause."""

_LETTERS_OF_A_WORD = 3
"""In scripts that leave no space between words."""


class Agreement(NamedTuple):
    """What two recognitions have in common.

    Attributes:
        text: The words of the shorter one as the longer one has them, which has heard what follows, with their mark.
        is_marked: Whether a mark that ends a clause follows them.
        goes_on: Whether the longer one has further words; before that nothing is known of a mark.
    """

    text: str
    is_marked: bool
    goes_on: bool


def agreement(shorter: str, longer: str) -> Agreement | None:
    """Compare two recognitions that begin at the same moment, by their letters alone: no case, no accents, no marks.

    Args:
        shorter: Of the speech up to some moment.
        longer: Of more of it.

    Returns:
        What they agree on, or None where the longer one does not begin with the words of the shorter one.
    """
    said, letters = _letters(shorter), _letters(longer)
    if not said or [letter for letter, _ in letters[: len(said)]] != [letter for letter, _ in said]:
        return None
    end = letters[len(said) - 1][1] + 1
    if len(letters) == len(said):
        return Agreement(longer.strip(), is_marked=False, goes_on=False)
    following = letters[len(said)][1]
    between = longer[end:following]
    is_marked = last_clause_end(longer[:following]) > end and not any(mark in between for mark in _HESITATIONS)
    if not (is_marked or any(char.isspace() for char in between) or unicodedata.category(longer[end - 1]) == "Lo"):
        return None  # it ends within a word
    text = longer[:end] + (between.split()[0] if is_marked and between[:1].strip() else "")
    return Agreement(text.strip(), is_marked, goes_on=True)


def word_count(text: str) -> int:
    """Count the words of a text, or what is as long as words where nothing separates them."""
    words = text.split()
    return len(words) if len(words) > 1 else max(1, len(_letters(text)) // _LETTERS_OF_A_WORD)


def _letters(text: str) -> list[tuple[str, int]]:
    """Return the letters and digits of a text in their plainest form, each with its place in the text."""
    return [
        (plain, at)
        for at, char in enumerate(text)
        for plain in unicodedata.normalize("NFKD", char.casefold())
        if plain.isalnum()
    ]
