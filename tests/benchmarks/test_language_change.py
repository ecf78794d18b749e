"""A turn is right where half of its words are heard in its language."""

from __future__ import annotations

import pytest

from babblefish.domain import Transcript
from benchmarks.language_change import is_right


@pytest.mark.parametrize(
    ("heard", "right"),
    [
        ([("eng", "Press one, please."), ("fra", "Merci de patienter.")], True),
        ([("fra", "Merci de passer.")], True),
        ([("fra", "Au revoir.")], False),
        ([("eng", "Merci de patienter.")], False),
        ([], False),
    ],
)
def test_a_turn_is_right_by_half_of_its_words_in_its_language(heard: list[tuple[str, str]], right: bool) -> None:
    transcripts = [Transcript(text, lang, 0.9, 0.9) for lang, text in heard]
    assert is_right("Merci de patienter.", "fra", transcripts) == right
