"""Rendered conversations are the same every time, and what is said about them is true."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from babblefish.domain import SAMPLE_RATE_HZ, Samples
from benchmarks.support.conversations import (
    Line,
    Recording,
    breathless,
    conversation,
    gaps,
    line_of,
    monologue,
    without_pause,
)
from benchmarks.support.harness import Clip


def tone(seconds: float, level: float = 0.05) -> Samples:
    return (level * np.sin(np.arange(round(seconds * SAMPLE_RATE_HZ)) / 8)).astype(np.float32)


def line(name: str, *words_s: float) -> Line:
    """Return a line of words of these lengths, with 100 ms between them."""
    words = [part for length in words_s for part in (tone(length), tone(0.1, 0.0002))][:-1]
    return Line(name, "eng", {"eng": name, "fra": f"{name} ?"}, np.concatenate(words), tone(0.2, 0.0002))


LINES = [line("one", 0.5, 0.4, 0.6), line("two", 0.3, 0.3, 0.3, 0.3), line("three", 1.2)]
PEOPLE = {"Anne": LINES, "Boris": [line("four", 0.9, 0.8)]}


class LevelDetector:
    """A voice detector for which what is loud is speech."""

    name = "level"
    chunk_samples = 512

    def open_stream(self) -> LevelDetector:
        return self

    def probability(self, chunk: Samples) -> float:
        return float(np.abs(chunk).max() > 0.01)


def render(seed: int) -> list[Recording]:
    return [
        monologue(seed, LINES, 10),
        conversation(seed, PEOPLE, 10, overlapping=0.5),
        without_pause(seed, LINES, 10),
    ]


def test_a_seed_gives_the_same_every_time_and_another_seed_something_else() -> None:
    for first, again, other in zip(render(1), render(1), render(2), strict=True):
        assert np.array_equal(first.samples, again.samples)
        assert (first.sentences, first.pauses) == (again.sentences, again.pauses)
        assert not np.array_equal(first.samples[:SAMPLE_RATE_HZ], other.samples[:SAMPLE_RATE_HZ])


def loudest(samples: Samples) -> float:
    return float(np.abs(samples).max())


@pytest.mark.parametrize("seed", range(5))
def test_sentences_are_where_they_are_said_to_be_and_pauses_are_silent(seed: int) -> None:
    heard = monologue(seed, LINES, 20, hesitating=1.0)
    for sentence in heard.sentences:
        said = heard.samples[sentence.start_sample : sentence.end_sample]
        assert loudest(said[:800]) > 0.03
        assert loudest(said[-800:]) > 0.03
        assert sentence.translations == {"fra": f"{sentence.text} ?"}
    assert {pause.is_inside for pause in heard.pauses} == {True, False}
    for pause in heard.pauses:
        margin = SAMPLE_RATE_HZ // 50
        assert loudest(heard.samples[pause.start_sample + margin : pause.end_sample - margin]) < 0.005
        around = [sentence.start_sample < pause.start_sample < sentence.end_sample for sentence in heard.sentences]
        assert any(around) == pause.is_inside


def test_hesitations_and_pauses_are_as_long_as_asked_for() -> None:
    heard = monologue(3, LINES, 30, pauses_s=(0.5, 0.7), hesitating=1.0, hesitations_s=(0.9, 1.1))
    for pause in heard.pauses:
        shortest, longest = (0.9, 1.1) if pause.is_inside else (0.5, 0.7)
        assert shortest - 0.02 <= pause.duration_s <= longest + 0.02


def test_people_speak_in_turn_and_may_overlap() -> None:
    heard = conversation(1, PEOPLE, 30, overlapping=1.0)
    assert {sentence.speaker for sentence in heard.sentences} == {"Anne", "Boris"}
    overlaps = [
        (before.speaker, after.speaker)
        for before, after in itertools.pairwise(heard.sentences)
        if after.start_sample < before.end_sample
    ]
    assert overlaps
    assert all(before != after for before, after in overlaps)
    apart = conversation(1, PEOPLE, 30).sentences
    assert all(before.end_sample < after.start_sample for before, after in itertools.pairwise(apart))


def test_who_does_not_draw_breath_leaves_no_gap() -> None:
    assert [round((last - first) / SAMPLE_RATE_HZ, 2) for first, last in gaps(LINES[0])] == [0.1, 0.1]
    assert gaps(breathless(LINES[0])) == []
    heard = without_pause(1, LINES, 10)
    assert heard.pauses == ()
    assert len({sentence.end_sample for sentence in heard.sentences}) == len(heard.sentences)


def test_a_line_is_a_clip_without_the_silence_around_it() -> None:
    room = tone(1.0, 0.001)
    clip = Clip("clip", "eng", {"eng": "Hello."}, np.concatenate([room, tone(1.024, 0.4), room]))
    made = line_of(clip, LevelDetector())
    assert len(made.samples) / SAMPLE_RATE_HZ == pytest.approx(1.024, abs=0.07)
    assert np.sqrt(np.mean(np.square(made.samples))) == pytest.approx(0.05, rel=0.05)
    assert loudest(made.room) == pytest.approx(loudest(made.samples) / 400, rel=0.05)
