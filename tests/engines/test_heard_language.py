"""The language spoken, from what Whisper hears and from what was expected."""

from __future__ import annotations

import pytest

from babblefish.engines.heard_language import by_sound, change, likeliest

HEARD = {"rus": 0.756, "jpn": 0.107, "kor": 0.036, "eng": 0.005, "fra": 0.001}
"""What the model says of a French "oui" of a second."""


def test_where_nothing_is_expected_the_model_is_believed() -> None:
    lang, probability = likeliest(HEARD, {}, 1.0)
    assert lang == "rus"
    assert probability == pytest.approx(0.756 / 0.905)


def test_a_single_word_is_in_the_language_that_its_speaker_spoke_before() -> None:
    lang, probability = likeliest(HEARD, {"fra": 3.0, "eng": 0.5}, 1.0)
    assert lang == "fra"
    assert 0.3 < probability < 0.9


def test_a_single_word_is_in_a_language_of_the_room() -> None:
    assert likeliest(HEARD, {"fra": 0.5, "eng": 0.5}, 1.0)[0] == "eng"


@pytest.mark.parametrize("duration_s", [3.0, 20.0])
def test_a_sentence_that_is_clearly_in_another_language_is_in_that_one(duration_s: float) -> None:
    lang, probability = likeliest({"ita": 0.97, "fra": 0.01, "eng": 0.001}, {"fra": 4.0, "eng": 0.5}, duration_s)
    assert lang == "ita"
    assert probability > 0.6


def test_even_a_long_utterance_that_might_be_either_is_in_the_expected_language() -> None:
    assert likeliest({"ita": 0.5, "fra": 0.3}, {"fra": 4.0, "eng": 0.5}, 20.0)[0] == "fra"


def test_languages_of_which_nothing_is_heard_have_no_probability() -> None:
    assert likeliest({"ita": 0.0, "fra": 0.0}, {"fra": 1.0}, 1.0)[1] == 0.0


ROOM = {"eng": 0.5, "fra": 0.5}


def test_the_sound_of_a_word_after_others_need_not_speak_for_their_language() -> None:
    after_english = {"eng": 3.0, "fra": 0.5}
    heard = {"fra": 0.3, "eng": 0.1}
    assert likeliest(heard, after_english, 0.8)[0] == "eng"
    assert by_sound("eng", heard, after_english, 0.8) == by_sound("eng", heard, ROOM, 0.8) < 0.5


def test_the_sound_of_a_sentence_speaks_for_its_language_by_itself() -> None:
    assert by_sound("fra", {"fra": 0.9, "eng": 0.05}, {"eng": 3.0, "fra": 0.5}, 4.0) > 0.9


def test_where_nothing_is_expected_the_sound_is_all_there_is() -> None:
    assert by_sound("rus", HEARD, {}, 1.0) == likeliest(HEARD, {}, 1.0)[1]


SECOND = 16_000


def cut(langs: str, pauses_s: list[float], expected_langs: dict[str, float], doubt: float = 0.01) -> float | None:
    """Return where, in seconds, an utterance is cut that has a letter for the language of each second."""
    names = {"e": "eng", "f": "fra", "i": "ita"}

    def heard(first: int, last: int) -> dict[str, float]:
        said = langs[first // SECOND : last // SECOND]
        return {name: max(said.count(letter) / len(said), doubt) for letter, name in names.items()}

    pauses = [int(pause_s * SECOND) for pause_s in pauses_s]
    at = change(pauses, len(langs) * SECOND, heard, expected_langs)
    return None if at is None else at.pause / SECOND


def test_an_utterance_is_cut_at_the_pause_between_two_languages_of_the_room() -> None:
    assert cut("fffeee", [1.0, 3.0, 5.0], ROOM) == 3.0


def test_one_language_is_left_whole_and_so_is_what_may_be_in_any() -> None:
    assert cut("ffffff", [3.0], ROOM) is None
    assert cut("fffeee", [3.0], ROOM, doubt=0.4) is None
    assert cut("fffiii", [3.0], ROOM) is None
    assert cut("fffeee", [3.0], {}) is None


def test_what_is_likelier_in_a_third_language_is_left_whole() -> None:
    assert cut("ffieee", [3.0], ROOM) == 3.0
    assert cut("fiiiieee", [5.0], ROOM) is None


def test_less_than_a_second_is_not_told_apart() -> None:
    assert cut("feee", [0.9], ROOM) is None


@pytest.mark.parametrize("expected_langs", [{}, {"eng": 3.0}])
def test_nothing_is_heard_where_no_other_language_is_expected(expected_langs: dict[str, float]) -> None:
    asked: list[tuple[int, int]] = []

    def heard(first: int, last: int) -> dict[str, float]:
        asked.append((first, last))
        return {"eng": 0.9, "fra": 0.1}

    assert change([32_000], 64_000, heard, expected_langs) is None
    assert asked == []
