"""Scenes and pictures of voices, without an engine."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from babblefish.audio.segmenter import Segment
from babblefish.domain import SAMPLE_RATE_HZ
from benchmarks.support import score_picture
from benchmarks.support.score_picture import Scores
from benchmarks.voice_changes import Scenes, errors_s
from tests.support.fakes import Calls, FakeVoiceTracker, speech

RECORDINGS = {("Anne", "a"): speech(11, 9.0), ("Boris", "b"): speech(21, 9.0), ("Chris", "c"): speech(31, 9.0)}


def test_a_seed_gives_the_same_scenes_and_two_people_in_each() -> None:
    first, second, other = (Scenes(RECORDINGS, seed) for seed in (1, 1, 2))
    samples, change_s = first.two(0.2)
    np.testing.assert_array_equal(samples, second.two(0.2)[0])
    assert len(other.two(0.2)[0]) != len(samples)
    change = round(change_s * SAMPLE_RATE_HZ)
    before, after = set(samples[: change - 1601].tolist()), set(samples[change + 1601 :].tolist())
    assert (len(before), len(after)) == (1, 1)
    assert before != after


def test_a_change_is_found_where_a_cut_is_near_and_every_other_cut_is_false() -> None:
    samples = np.concatenate([speech(11, 3.0), speech(21, 3.0)])
    segment = Segment(samples, 0, len(samples), 6.0)
    encoder = FakeVoiceTracker(Calls())
    (error_s,) = errors_s(segment, 3.0, encoder)
    assert error_s == pytest.approx(0.0, abs=0.25)
    assert errors_s(Segment(samples[: 3 * SAMPLE_RATE_HZ], 0, 3 * SAMPLE_RATE_HZ, 3.0), 1.5, encoder) == []


def test_the_picture_of_similarities_has_a_row_for_each_length() -> None:
    scores = Scores(np.array([0.9, 1.0]), np.array([0.1, 0.2, 2.0]))
    drawn = ElementTree.fromstring(score_picture.draw({"0.8 s": scores, "3 s": scores}, 0.55, "encoder"))
    texts = [element.text for element in drawn.iter() if element.tag.endswith("text")]
    assert {"0.8 s", "3 s", "encoder"} <= set(texts)
    assert sum(element.tag.endswith("polygon") for element in drawn.iter()) == 4
