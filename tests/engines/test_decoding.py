"""The limits that all decoders share, in all scripts."""

from __future__ import annotations

import pytest

from babblefish.engines.decoding import is_repetitive
from babblefish.engines.llm import guards
from babblefish.engines.text_splitting import has_words
from tests.support.article_1 import ARTICLE_1, ENGLISH


@pytest.mark.parametrize("lang", ARTICLE_1)
def test_ordinary_prose_passes_every_guard_in_any_script(lang: str) -> None:
    text = ARTICLE_1[lang]
    assert has_words(text)
    assert not is_repetitive(text)
    assert guards.check(ENGLISH, "eng", text, lang) is None
    assert guards.check(text, lang, ENGLISH, "eng") is None


@pytest.mark.parametrize("lang", ARTICLE_1)
def test_a_loop_is_one_in_any_script(lang: str) -> None:
    assert is_repetitive(ARTICLE_1[lang][:12] * 12)
