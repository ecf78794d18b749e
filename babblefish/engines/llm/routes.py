"""Between which languages the language model translates, and how well; always directly.

The way through English was better for no pair, and worse between neighbours such as Spanish and Portuguese. Measured by
``benchmarks/translation_quality.py`` with the model of the embedded profile. Of another model nothing is known here: it
is offered for every pair that there are examples for, as a draft.
"""

from __future__ import annotations

from itertools import pairwise

from babblefish.domain import Quality
from babblefish.engines.contracts import Route

_WRITTEN_BADLY = frozenset({"pol"})
"""The model understands these languages and does not write them."""

_LANGS = ("eng", "fra", "deu", "spa", "ita", "por", "pol")

_GOOD = frozenset((lang, "eng") for lang in ("fra", "deu", "spa", "ita", "por"))
"""Pairs with a chrF of at least 55; the others are good for the gist.

Of 24 utterances that we read in each, 19 kept their meaning from French to English (chrF 62), and 17 from English to
Spanish (54).
"""


def best(source_lang: str, target_lang: str, is_measured: bool) -> Route | None:
    """Return the best route between two languages (ISO 639-3), or None where none is offered.

    Args:
        source_lang: What is said.
        target_lang: What is wanted.
        is_measured: Whether the model is the one of the embedded profile.
    """
    pair = (source_lang, target_lang)
    is_good = is_measured and pair in _GOOD
    return Route(pair, Quality.GOOD if is_good else Quality.DRAFT) if leads(pair, is_measured) else None


def leads(path: tuple[str, ...], is_measured: bool) -> bool:
    """Say whether a model, the embedded profile's or another one, can go along a path, hop by hop."""
    differ = all(source != target for source, target in pairwise(path))
    return differ and set(path) <= set(_LANGS) and not (is_measured and _WRITTEN_BADLY.intersection(path[1:]))
