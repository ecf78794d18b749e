"""The measured model promises what was measured, and another model promises nothing."""

from __future__ import annotations

import itertools

import pytest

from babblefish.domain import Quality
from babblefish.engines.contracts import Route
from babblefish.engines.llm import prompts, routes

PAIRS = list(itertools.permutations(prompts.LANGS, 2))


def test_only_into_english_is_the_measured_model_good() -> None:
    good = {pair for pair in PAIRS if (route := routes.best(*pair, is_measured=True)) and route.quality is Quality.GOOD}
    assert good == {(lang, "eng") for lang in ("fra", "deu", "spa", "ita", "por")}


@pytest.mark.parametrize("pair", PAIRS)
def test_another_model_is_offered_for_every_pair_with_examples(pair: tuple[str, str]) -> None:
    assert routes.best(*pair, is_measured=False) == Route(pair, Quality.DRAFT)
