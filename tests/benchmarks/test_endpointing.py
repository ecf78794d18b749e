"""What the endpointing benchmark counts as a cut in mid-sentence, as a merge and as a delay."""

from __future__ import annotations

import numpy as np

from babblefish.domain import SAMPLE_RATE_HZ, Samples
from benchmarks.endpointing import Ended, _figures, loudness_db, own_pauses_cut, sentence_ends
from benchmarks.support.conversations import Pause, Recording, Sentence


def samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


def recording() -> Recording:
    """Return two sentences of three seconds, with a hesitation in the first and 0.5 s between them."""
    said = [Sentence("", "eng", {}, "", samples(at), samples(at + 3.0)) for at in (0.5, 4.0)]
    pauses = (
        Pause(samples(1.5), samples(2.5), is_inside=True),
        Pause(samples(3.5), samples(4.0), is_inside=False),
    )
    return Recording("two sentences", np.zeros(samples(9.0), dtype=np.float32), tuple(said), pauses)


def ended(*seconds: float) -> list[Ended]:
    return [Ended(samples(at), samples(at + 0.25)) for at in seconds]


def test_the_end_of_the_last_sentence_is_one_as_well() -> None:
    assert [round(end.duration_s, 2) for end in sentence_ends(recording())] == [0.5, 2.0]


def test_a_hesitation_and_a_pause_of_the_speakers_own_may_cut_a_sentence() -> None:
    found = ended(1.52, 2.9, 3.5, 7.0)
    assert own_pauses_cut(recording(), found) == 1
    figures = _figures([recording()], [found])
    assert figures["in_mid_sentence_percent"] == 50.0
    assert figures["hesitations_cut_percent"] == 100.0
    assert figures["sentences_merged_percent"] == 0.0
    assert figures["finished_delay_ms"] == {"median": 250.0, "p95": 250.0, "n": 2}
    assert figures["hesitations_cut_by_length"] == {"up to 1.0 s": "1 of 1"}


def test_a_sentence_whose_end_is_not_found_is_merged_with_the_next() -> None:
    figures = _figures([recording()], [ended(7.04)])
    assert figures["sentences_merged_percent"] == 50.0
    assert figures["in_mid_sentence_percent"] == 0.0
    assert figures["half_delay_ms"] is None
    assert figures["sentence_ends_found_by_length"] == {"up to 0.6 s": "0 of 1", "up to 2.1 s": "1 of 1"}


def test_a_cut_is_as_loud_as_what_is_around_it() -> None:
    heard: Samples = (0.1 * np.sin(np.arange(samples(3.0)) / 8)).astype(np.float32)
    heard[samples(1.4) : samples(1.6)] *= 0.01
    assert abs(loudness_db(heard, samples(1.0))) < 0.5
    assert loudness_db(heard, samples(1.5)) < -39
