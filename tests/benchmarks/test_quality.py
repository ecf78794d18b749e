"""How voices are scored and how much an interim caption flickers, on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from babblefish.domain import UNKNOWN_SPEAKER_ID
from babblefish.engines.voice_calibration import Heard, equal_error, measured_scale
from benchmarks import interim_captions
from benchmarks.speaker_identification import mapped_accuracy


def heard(person: str, file: str, *embedding: float) -> Heard:
    vector = np.array(embedding, dtype=np.float32)
    return Heard(person, file, 3.0, vector / np.linalg.norm(vector))


def test_voices_that_are_never_alike_have_no_equal_error() -> None:
    people = [heard("a", f"a{n}", 1, 0.01 * n) for n in range(3)] + [heard("b", f"b{n}", 0.01 * n, 1) for n in range(3)]
    assert equal_error(people)[0] == 0.0


def test_voices_that_sound_the_same_are_told_apart_by_chance_only() -> None:
    alike = np.random.default_rng(0).normal(size=(40, 8))
    people = [heard("ab"[n % 2], str(n), *row) for n, row in enumerate(alike)]
    assert equal_error(people)[0] == pytest.approx(0.5, abs=0.1)


def test_pieces_of_one_recording_are_no_pair() -> None:
    same_file = [heard("a", "a0", 1, 0), heard("a", "a0", 1, 0), heard("a", "a1", 0.8, 0.6), heard("b", "b0", 0, 1)]
    assert measured_scale(same_file, 3.0)["half_reliable_s"] == pytest.approx(3 * 0.2 / 0.8)


@pytest.mark.parametrize(
    ("truth", "labels", "share"),
    [
        ("aabb", "1122", 1.0),
        ("aabb", "2211", 1.0),
        ("aabb", "1111", 0.5),
        ("aabb", "1234", 0.5),
        ("aaab", "1221", 0.75),
    ],
)
def test_labels_are_scored_by_their_best_mapping_to_people(truth: str, labels: str, share: float) -> None:
    assert mapped_accuracy(truth, labels) == share


def test_a_voice_that_stays_unknown_is_not_right() -> None:
    assert mapped_accuracy(["a", "a"], ["1", UNKNOWN_SPEAKER_ID]) == 0.5


@pytest.mark.parametrize(
    ("texts", "replaced_per_word"),
    [
        (["good evening", "good evening my friends"], 0.0),
        (["good morning", "good evening my friends"], 0.25),
        (["a b c", "x b c"], 1.0),
        (["a b", "a c d", "a c"], 1.0),
        (["only the result"], 0.0),
    ],
)
def test_words_that_an_interim_caption_takes_back_are_counted(texts: list[str], replaced_per_word: float) -> None:
    assert interim_captions.erasure(texts) == replaced_per_word
