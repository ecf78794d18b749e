"""What counts as a name that was kept."""

from __future__ import annotations

import pytest

from babblefish import names
from benchmarks.names import Sentence, outcome, read


@pytest.mark.parametrize("sentence", read(), ids=lambda sentence: sentence.text)
def test_each_sentence_is_told_to_have_a_name_or_none(sentence: Sentence) -> None:
    said = names.said(sentence.text, sentence.lang, [sentence.people])
    assert (sentence.name in said) if sentence.name else said == ()


@pytest.mark.parametrize(
    ("text", "is_doubtful", "found"),
    [
        ("Rose est encore en retard.", False, "kept"),
        ("La rose est encore en retard.", False, "lost, not marked"),
        ("La fleur est encore en retard.", True, "lost, marked"),
        ("La fleur est encore en retard.", False, "lost, not marked"),
        (None, False, "no translation"),
    ],
)
def test_a_name_is_kept_marked_or_lost(text: str | None, is_doubtful: bool, found: str) -> None:
    assert outcome(Sentence("eng", "Rose", "Rose", "Rose is late again."), text, is_doubtful, "fra") == found
