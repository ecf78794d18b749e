"""What the engines alone would take follows from how many pieces of speech the server makes at a time."""

from __future__ import annotations

import pytest

from benchmarks import server_overhead
from benchmarks.server_overhead import expected_s, pieces_s


def near(expected: dict[str, list[float]]) -> dict[str, object]:
    return {lang: pytest.approx(values) for lang, values in expected.items()}


def test_one_language_alone_is_spoken_without_a_pause() -> None:
    assert pieces_s({"eng": 0.1}, 1) == near({"eng": [0.16, 0.22]})


def test_two_languages_side_by_side_do_not_wait_for_each_other() -> None:
    assert pieces_s({"eng": 0.1, "spa": 0.12}, 2) == near({"eng": [0.16, 0.22], "spa": [0.18, 0.24]})


def test_in_turns_a_first_piece_goes_before_the_second_of_another_language() -> None:
    assert pieces_s({"eng": 0.1, "spa": 0.12}, 1) == near({"eng": [0.16, 0.28], "spa": [0.22, 0.34]})


def test_in_turns_a_language_that_comes_late_waits_for_the_piece_that_is_being_made() -> None:
    assert pieces_s({"eng": 0.1, "spa": 0.2}, 1) == near({"eng": [0.16, 0.22], "spa": [0.28, 0.34]})


def test_three_languages_take_turns_at_two_places() -> None:
    made = pieces_s({"eng": 0.0, "spa": 0.0, "ita": 0.0}, 2)
    assert made == near({"eng": [0.06, 0.12], "spa": [0.06, 0.18], "ita": [0.12, 0.18]})


def test_captions_do_not_depend_on_speech_and_a_file_comes_with_its_last_piece() -> None:
    for at_once in (1, 2):
        expected = expected_s(at_once)
        assert expected["fra", "stream"] == expected["fra", "wav"] == {"caption": pytest.approx(0.1)}
        assert expected["spa", "stream"]["caption"] == pytest.approx(0.12)
        for lang in ("eng", "spa"):
            assert expected[lang, "wav"] == {"file": expected[lang, "stream"]["last piece"]}


def test_what_arrives_is_named_by_what_a_listener_waits_for() -> None:
    name = server_overhead._name
    assert name({"type": "result", "tts_audio": None}) == "caption"
    assert name({"type": "result", "tts_audio": "UklGRg=="}) == "file"
    assert name({"type": "speech", "audio": "UklGRg==", "index": 0}) == "first piece"
    assert name({"type": "speech", "audio": "UklGRg==", "index": 1}) == "last piece"
    assert name({"type": "speech", "audio": None, "index": 2}) is None
    assert name({"type": "presence"}) is None
