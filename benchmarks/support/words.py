"""How what was heard is compared with what was said: words, errors, intervals."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import jiwer
import numpy as np
from numpy.typing import NDArray

from babblefish.engines.llm.number_words import in_digits

Heard = tuple[str, str]
"""What was said or is taken for it, and what was heard, both normalised."""

_DRAWS = 2_000


def normal(text: str) -> str:
    """Compare words alone: no case, no punctuation, digits without their separators."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(r"(?<=\d)[.,](?=\d)", "", text)
    return " ".join(re.findall(r"[^\W_]+", text))


def normal_in(lang: str, text: str) -> str:
    """Compare words as ``normal`` does, without accents, and numbers digit by digit.

    A number may be said in words and written in digits or the other way round, and "one two three" may be written 123.
    Some of the texts lack their accents. Numbers in Russian stay as they are.

    Args:
        lang: ISO 639-3.
        text: In this language.
    """
    text = normal(in_digits(unicodedata.normalize("NFKC", text), lang))
    text = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return " ".join(re.findall(r"\d|[^\W\d_]+", text))


def counts(pairs: Sequence[Heard]) -> NDArray[np.int64]:
    """Return for each utterance the words that are wrong, missing or too many, and the words said: shape ``[n, 2]``."""
    found = []
    for said, heard in pairs:
        words = jiwer.process_words(said, heard)
        wrong = words.substitutions + words.deletions + words.insertions
        found.append((wrong, words.hits + words.substitutions + words.deletions))
    return np.array(found)


def percent(of: NDArray[np.int64]) -> float:
    """Return the word error rate of utterances that ``counts`` has counted, or any other share."""
    wrong, words = of.sum(axis=0)
    return float(100 * wrong / words)


def with_interval(of: NDArray[np.int64], less: NDArray[np.int64] | None = None) -> dict[str, float]:
    """Return a word error rate, or by how much it is above another one, with its 95 % interval.

    The interval holds 95 % of the rates of as many utterances drawn again from the same ones (bootstrap); those of a
    difference are drawn in pairs.

    Args:
        of: Shape ``[n, 2]``, as ``counts`` returns it.
        less: The same utterances heard another way.
    """
    drawn = np.random.default_rng(0).integers(0, len(of), (_DRAWS, len(of)))

    def rates(counted: NDArray[np.int64]) -> NDArray[np.float64]:
        wrong, words = np.moveaxis(counted[drawn].sum(axis=1), -1, 0)
        return np.asarray(100 * wrong / words)

    rate, found = percent(of), rates(of)
    if less is not None:
        rate, found = rate - percent(less), found - rates(less)
    low, high = np.percentile(found, [2.5, 97.5])
    return {"percent": round(rate, 1), "from": round(float(low), 1), "to": round(float(high), 1)}


def share(count: int, of: int) -> dict[str, float]:
    """Return how many of so many utterances it is, in percent, with its 95 % interval; of none there is no percentage.

    The interval is Wilson's: drawn again, utterances of which none was wrong would say that none ever is.
    """
    if not of:
        return {"count": count, "of": of}
    z = 1.96
    middle, width = (count + z**2 / 2) / (of + z**2), z / (of + z**2) * (count * (of - count) / of + z**2 / 4) ** 0.5
    found = {"percent": count / of, "from": max(0.0, middle - width), "to": min(1.0, middle + width)}
    return {"count": count, "of": of, **{name: round(100 * value, 1) for name, value in found.items()}}
