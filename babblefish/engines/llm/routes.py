"""Between which languages the language model translates, how well, and where the way through English is better.

Measured by ``benchmarks/translation_quality.py`` with the model of the embedded profile.
"""

from __future__ import annotations

from itertools import pairwise

from babblefish.domain import Quality
from babblefish.engines.contracts import Route

_WRITTEN_BADLY = frozenset({"pol"})
"""The model understands these languages and does not write them."""

_LANGS = ("eng", "fra", "deu", "spa", "ita", "por", "pol")

_GOOD: frozenset[tuple[str, str]] = frozenset()
"""Pairs whose translations are good enough to talk with; the others are good for the gist."""

_THROUGH_ENGLISH: frozenset[tuple[str, str]] = frozenset()
"""Pairs for which two translations are better than one."""


def best(source_lang: str, target_lang: str) -> Route | None:
    """Return the best route between two languages (ISO 639-3), or None where none is offered."""
    pair = (source_lang, target_lang)
    if pair in _THROUGH_ENGLISH:
        return Route((source_lang, "eng", target_lang), Quality.DRAFT)
    return Route(pair, Quality.GOOD if pair in _GOOD else Quality.DRAFT) if leads(pair) else None


def leads(path: tuple[str, ...]) -> bool:
    """Say whether the model can go along a path, hop by hop."""
    differ = all(source != target for source, target in pairwise(path))
    return differ and set(path) <= set(_LANGS) and _WRITTEN_BADLY.isdisjoint(path[1:])
