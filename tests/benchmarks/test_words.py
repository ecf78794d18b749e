"""Word errors are counted as they are defined, and an interval says how far utterances can be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.support.words import counts, normal, normal_in, percent, share, with_interval


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("Today, only platforms ONE and three!", "today only platforms one and three"),
        ("600,000 or 12%, 3.5", "600000 or 12 35"),
        ("L'été « déjà »", "l été déjà"),
        ("— …", ""),
    ],
)
def test_case_punctuation_and_separators_do_not_count(written: str, compared: str) -> None:
    assert normal(written) == compared


@pytest.mark.parametrize(
    ("lang", "said", "written"),
    [
        ("eng", "Please press one, two, three.", "please press 123"),
        ("eng", "forty-two thousand", "42,000"),
        ("fra", "quatre-vingt-dix-sept messages", "97 messages"),
        ("spa", "Marque el número ocho", "marque el numero 8"),
        ("ita", "ventuno minuti, perché", "21 minuti, perche\u0301"),
        ("por", "vinte e cinco", "25"),
        ("deu", "einundzwanzig Äpfel", "21 Äpfel"),
        ("pol", "dwadzieścia pięć", "25"),
        ("rus", "Ещё одно сообщение", "еще одно сообщение"),
    ],
)
def test_numbers_in_words_and_in_digits_are_the_same_and_so_are_missing_accents(
    lang: str, said: str, written: str
) -> None:
    assert normal_in(lang, said) == normal_in(lang, written)


@pytest.mark.parametrize(
    ("lang", "said", "heard"),
    [
        ("eng", "press one", "press two"),
        ("eng", "fifteen", "50"),
        ("fra", "le poste", "la poste"),
        ("pol", "pięć", "6"),
    ],
)
def test_other_words_and_other_numbers_are_not(lang: str, said: str, heard: str) -> None:
    assert normal_in(lang, said) != normal_in(lang, heard)


def test_wrong_missing_and_additional_words_count_and_so_do_the_words_said() -> None:
    found = counts([("a b c d", "a x c"), ("a b", "a b c"), ("a b c", "")])
    assert found.tolist() == [[2, 4], [1, 2], [3, 3]]
    assert percent(found) == pytest.approx(100 * 6 / 9)


def test_the_interval_is_that_of_utterances_drawn_again() -> None:
    all_alike = with_interval(np.array([[1, 10]] * 12))
    assert all_alike == {"percent": 10.0, "from": 10.0, "to": 10.0}
    unlike = with_interval(np.array([[10, 10]] + [[0, 10]] * 9))
    assert unlike["percent"] == 10.0
    assert unlike["from"] == 0.0
    assert unlike["to"] == pytest.approx(30.0)


def test_the_interval_is_the_same_every_time() -> None:
    counted = np.array([[wrong, 10] for wrong in (0, 3, 1, 5, 0, 0, 2)])
    assert with_interval(counted) == with_interval(counted)


def test_a_difference_is_taken_utterance_by_utterance() -> None:
    hard_and_easy = np.array([[9, 10], [0, 10]] * 10)
    one_word_better = hard_and_easy - [[1, 0], [0, 0]] * 10
    assert with_interval(one_word_better, hard_and_easy)["percent"] == -5.0
    assert with_interval(one_word_better, hard_and_easy)["to"] < 0
    assert with_interval(hard_and_easy, hard_and_easy) == {"percent": 0.0, "from": 0.0, "to": 0.0}


def test_a_share_has_an_interval_even_where_nothing_was_found() -> None:
    assert share(0, 100) == {"count": 0, "of": 100, "percent": 0.0, "from": 0.0, "to": 3.7}
    assert share(50, 100) == {"count": 50, "of": 100, "percent": 50.0, "from": 40.4, "to": 59.6}
    assert share(0, 0) == {"count": 0, "of": 0}
