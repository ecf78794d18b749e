"""The language spoken, from what Whisper hears and from what was expected."""

from __future__ import annotations

import pytest

from babblefish.engines.whisper import _likeliest

HEARD = {"rus": 0.756, "jpn": 0.107, "kor": 0.036, "eng": 0.005, "fra": 0.001}
"""What the model says of a French "oui" of a second."""


def test_where_nothing_is_expected_the_model_is_believed() -> None:
    lang, probability = _likeliest(HEARD, {}, 1.0)
    assert lang == "rus"
    assert probability == pytest.approx(0.756 / 0.905)


def test_a_single_word_is_in_the_language_that_its_speaker_spoke_before() -> None:
    lang, probability = _likeliest(HEARD, {"fra": 3.0, "eng": 0.5}, 1.0)
    assert lang == "fra"
    assert 0.3 < probability < 0.9


def test_a_single_word_is_in_a_language_of_the_room() -> None:
    assert _likeliest(HEARD, {"fra": 0.5, "eng": 0.5}, 1.0)[0] == "eng"


@pytest.mark.parametrize("duration_s", [3.0, 20.0])
def test_a_sentence_that_is_clearly_in_another_language_is_in_that_one(duration_s: float) -> None:
    lang, probability = _likeliest({"ita": 0.97, "fra": 0.01, "eng": 0.001}, {"fra": 4.0, "eng": 0.5}, duration_s)
    assert lang == "ita"
    assert probability > 0.6


def test_even_a_long_utterance_that_might_be_either_is_in_the_expected_language() -> None:
    assert _likeliest({"ita": 0.5, "fra": 0.3}, {"fra": 4.0, "eng": 0.5}, 20.0)[0] == "fra"


def test_languages_of_which_nothing_is_heard_have_no_probability() -> None:
    assert _likeliest({"ita": 0.0, "fra": 0.0}, {"fra": 1.0}, 1.0)[1] == 0.0
