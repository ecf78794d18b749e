"""What language typed words are taken to be in."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from babblefish.engines.text_splitting import split_to_fit
from babblefish.pipeline.typed import transcribed


class Scripted:
    """Finds one language likelier than all others, by so much."""

    name = "scripted"

    def __init__(self, lang: str, by: float = 30.0) -> None:
        self._scores = dict.fromkeys(("eng", "fra", "pol", "rus", "jpn", "ell"), -40.0) | {lang: by - 40.0}

    def scores(self, text: str) -> Mapping[str, float]:
        return self._scores


NOTHING = Scripted("eng", by=0.0)


def language(text: str, detector: Scripted, *source_langs: str, **expected: float) -> tuple[str, float]:
    transcript = transcribed(text, set(source_langs), expected, detector)
    assert transcript.text == text
    return transcript.lang, round(transcript.lang_confidence, 2)


def test_a_declared_language_is_believed() -> None:
    assert language("dzień dobry państwu", Scripted("pol"), "fra") == ("fra", 1.0)


def test_a_sentence_is_in_the_language_that_it_seems_to_be_in_whatever_is_expected() -> None:
    assert language("dzień dobry państwu", Scripted("pol"), fra=1.0, eng=0.5) == ("pol", 1.0)


def test_a_word_is_rather_in_a_language_that_is_expected() -> None:
    """Names seem to be in the language that they come from."""
    assert language("Kowal", Scripted("pol", by=16.0), fra=1.0, eng=0.5)[0] == "fra"
    assert language("Kowal", Scripted("pol", by=16.0), fra=1.0, pol=0.5)[0] == "pol"


def test_where_the_text_says_nothing_the_most_expected_language_is_meant() -> None:
    assert language("xyz abc def ghi jkl", NOTHING, fra=1.0, eng=0.5) == ("fra", 0.65)


@pytest.mark.parametrize("text", ["14:30", "\U0001f44d", "?!"])
def test_what_has_no_letters_is_the_same_in_every_language(text: str) -> None:
    assert language(text, Scripted("pol"), fra=1.0, eng=0.5) == ("fra", 1.0)


@pytest.mark.parametrize(
    ("text", "lang"), [("\u0434\u0430", "rus"), ("\u306f\u3044", "jpn"), ("\u03bd\u03b1\u03b9", "ell")]
)
def test_letters_that_no_expected_language_has_decide(text: str, lang: str) -> None:
    assert language(text, Scripted(lang, by=5.0), fra=1.0, eng=0.5)[0] == lang


def test_a_language_that_the_detector_does_not_know_is_found_by_its_letters() -> None:
    assert language("\u0f56\u0f7c\u0f51", NOTHING, bod=0.5, eng=1.0)[0] == "bod"


def test_one_of_the_languages_that_are_possible_is_chosen() -> None:
    assert language("dzień dobry państwu", Scripted("pol"), "fra", "eng")[0] in {"fra", "eng"}
    assert language("\u0434\u0430", Scripted("rus"), "fra", "eng", fra=1.0)[0] == "fra"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two is longer. Three.", ["One. Two is longer.", "Three."]),
        ("One of them, and another one", ["One of them,", "and another one"]),
        ("words without any marks at all", ["words without any", "marks at all"]),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
        ("Short.", ["Short."]),
    ],
)
def test_a_text_is_cut_after_sentences_else_clauses_else_words(text: str, parts: list[str]) -> None:
    assert split_to_fit(text, 20) == parts
