"""The language of a text, by py3langid: naive Bayes on byte n-grams."""

from __future__ import annotations

from collections.abc import Mapping

import py3langid

from babblefish.languages import LANGUAGES

_BY_BCP47 = {language.bcp47: language.code for language in LANGUAGES.values()}


def load() -> None:
    """Read the model, which takes about half a second; else the first text does."""
    py3langid.rank("")


def scores(text: str) -> dict[str, float]:
    """Return the logarithm of the probability of a text in each language that py3langid knows and we have."""
    return {_BY_BCP47[code]: float(score) for code, score in py3langid.rank(text) if code in _BY_BCP47}


class LangId:
    """py3langid as a ``LanguageDetector``; any number of threads may use its one model."""

    name = "py3langid"

    def __init__(self) -> None:
        """Read the model."""
        load()

    def scores(self, text: str) -> Mapping[str, float]:
        """Return what ``scores`` does."""
        return scores(text)
