"""Whether a phrase was translated rightly is told from the forms that a table has of it."""

from __future__ import annotations

import pytest

from babblefish.pipeline.phrasebook import Phrasebook, read
from benchmarks.phrases import OTHERS, is_right, said

PHRASES = read(OTHERS)


def test_phrases_held_back_are_in_every_language_and_not_in_the_phrasebook() -> None:
    assert len(PHRASES) >= 30
    phrasebook = Phrasebook()
    for phrase in PHRASES:
        assert len(phrase) == 7
        known = [form.text for form in phrase["eng"] if phrasebook.translation(form.text, "eng", "fra")]
        assert known == []


@pytest.mark.parametrize(
    ("translation", "right"),
    [
        ("It's raining.", True),
        ("it is raining", True),
        ("It rains.", False),
        ("It's raining?", False),
        ("", False),
    ],
)
def test_any_form_is_right_and_nothing_else(translation: str, right: bool) -> None:
    (raining,) = (phrase for phrase in PHRASES if phrase["fra"][0].text == "Il pleut.")
    assert is_right(translation, raining, "eng") is right


def test_what_is_said_means_one_thing_and_is_in_both_languages() -> None:
    phrases = read()
    texts = [text for text, _ in said(phrases, "deu", "ita")]
    assert "Guten Morgen." in texts
    assert "Bitte." not in texts
    assert all("ita" in phrase for _, phrase in said(phrases, "deu", "ita"))
