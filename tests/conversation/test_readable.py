"""What a history says of passages, read once in one language."""

from __future__ import annotations

import pytest

from babblefish.conversation.history import History
from babblefish.conversation.passages import Readable
from babblefish.domain import UNKNOWN_SPEAKER, Caption, Deadline, Quality, Transcript, Utterance
from babblefish.pipeline.job import UtteranceJob
from tests.support.fakes import speech

SAID = (  # client, text, passage, whether it is the whole, languages of its captions
    ("anna", "yes", "", False, ""),
    ("anna", "we bought a house,", "p1", False, "fra"),
    ("dan", "no", "", False, ""),
    ("anna", "and it rains", "p1", False, "fra"),
    ("anna", "we bought a house, and it rains", "p1", True, "spa"),
    ("anna", "nobody minds that,", "p2", False, "fra"),
    ("anna", "though it is cold", "p2", False, "fra"),
    ("anna", "well", "", False, ""),
)


def said() -> History:
    history = History(20)
    for client, text, passage, is_whole, langs in SAID:
        job = UtteranceJob(Utterance(text, client, speech(11), frozenset(), 0.0), Deadline.after(1))
        transcript = Transcript(text, "eng", 1.0, 1.0)
        entry = history.append(job, transcript, UNKNOWN_SPEAKER, 1, passage=passage, is_whole=is_whole)
        for lang in langs.split():
            made = Caption(f"<{lang}> {text}", lang, Quality.GOOD, ("eng", lang))
            entry.captions[lang] = type(entry.captions["eng"])(made, 0.0, {})
    return history


CLAUSES = ["yes", "we bought a house,", "no", "and it rains", "nobody minds that,", "though it is cold", "well"]
WHOLE = ["yes", "no", "we bought a house, and it rains", "nobody minds that,", "though it is cold", "well"]


@pytest.mark.parametrize(
    ("lang", "read"), [("fra", CLAUSES), ("spa", WHOLE), ("eng", CLAUSES), ("ita", CLAUSES), (None, CLAUSES)]
)
def test_of_a_passage_either_its_clauses_or_the_whole_are_read_in_order(lang: str | None, read: list[str]) -> None:
    readable: Readable[int] = Readable(lang)
    entries = [pair for entry in said() for pair in readable.add(entry, entry.seq)] + readable.rest()
    assert [entry.transcript.text for entry, _ in entries] == read
    assert all(seq == entry.seq for entry, seq in entries)


def test_nothing_is_held_back_that_is_decided() -> None:
    readable: Readable[None] = Readable("spa")
    come = [len(readable.add(entry, None)) for entry in said()]
    assert come == [1, 0, 0, 0, 2, 0, 0, 3]


def test_a_whole_whose_clauses_are_forgotten_is_read() -> None:
    readable: Readable[None] = Readable("fra")
    whole = next(entry for entry in said() if entry.is_whole)
    assert readable.add(whole, None)
