"""How long a listener waits for a sentence, and the lag of a translation."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.simultaneous import Heard, Sentence, joined, laal, owners, sentences_of, stream_laal, waits_s
from benchmarks.support.corpus import DATA
from tests.support.fakes import speech
from tests.support.serving import Running

SENTENCES = [
    Sentence("we bought a house", "nous avons une maison", 0.0, 2.0),
    Sentence("it rains", "il pleut", 2.5, 3.5),
]


def test_words_belong_to_the_sentence_with_the_fewest_edits() -> None:
    assert owners(["we bought a house", "it rains"], ["We", "bought", "the", "house,", "so", "it", "rains."]) == [
        *[0, 0, 0, 0, 0],
        *[1, 1],
    ]


def test_the_lag_of_words_that_come_as_they_are_said_is_a_words_length() -> None:
    assert laal([0.5, 1.0, 1.5, 2.0], 4, 2.0) == pytest.approx(0.5)
    assert laal([2.0, 2.0, 2.0, 2.0], 4, 2.0) == pytest.approx(2.0)  # all after the end: the first one counts
    assert laal([1.0, 1.0, 1.0, 1.0, 2.0], 2, 2.0) < laal([1.0, 1.0, 2.0], 2, 2.0)


def test_of_results_that_come_after_their_sentences_the_lag_is_theirs() -> None:
    heard = [Heard("1", "we bought a house", "nous avons une maison", 3.0), Heard("2", "it rains", "il pleut", 4.5)]
    assert stream_laal(SENTENCES, heard) == pytest.approx((3.0 + 2.0) / 2)


def test_a_result_sounds_after_those_before_it_and_its_sentences_in_their_order() -> None:
    first = Heard("1", "we bought a house", "nous avons une maison", 3.0, [(3.5, 2.0)])
    second = Heard("2", "it rains", "il pleut", 4.0, [(4.2, 1.0)])
    assert waits_s(SENTENCES, [first, second]) == pytest.approx([1.5, 2.0])
    both = Heard("1", "we bought a house it rains", "", 4.0, [(4.0, 3.0)])
    assert waits_s(SENTENCES, [both]) == pytest.approx([2.0, 4.0 + 2.0 - 3.5])


def test_the_sentences_of_a_monologue_are_where_it_says() -> None:
    sounds = [np.full(length, level, dtype=np.float32) for length, level in ((8000, 0.5), (4000, 0.2))]
    said = joined("eng", sounds, [0.25, 0.5])
    assert said.spans_s == [(0.5, 1.0), (1.25, 1.5)]
    assert said.duration_s == 2.0
    assert [(len(part), round(float(part.mean()), 1)) for part in said.parts()] == [(8000, 0.5), (4000, 0.2)]


def test_the_monologue_says_the_same_in_each_of_its_languages() -> None:
    rows = json.loads((DATA / "monologues.json").read_text(encoding="utf-8"))
    assert {tuple(row) for row in rows} == {("eng", "fra", "deu", "spa")}
    assert all(text.strip() for row in rows for text in row.values())


async def test_of_recordings_without_a_text_the_server_says_what_each_is_by_itself(running_on_a_port: Running) -> None:
    said = joined("1688", [speech(11), speech(12)], [0.2, 0.6])
    found = await sentences_of(running_on_a_port.port, "fra", "eng", said)
    assert [(one.text, one.meaning) for one in found] == [
        ("bonjour tout le monde", "<eng> bonjour tout le monde"),
        ("comment allez vous ce soir", "<eng> comment allez vous ce soir"),
    ]
    assert [(one.begin_s, one.end_s) for one in found] == said.spans_s
