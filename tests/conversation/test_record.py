"""A room's record is read back by what others read such files with, whatever was said."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from itertools import pairwise

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babblefish.conversation.history import HistoryEntry, KeptCaption
from babblefish.conversation.record import FORMATS, Record
from babblefish.domain import Caption, Quality, SpeakerMatch, Transcript

MADE = datetime(2026, 11, 28, 10, 39, 2, tzinfo=UTC)
BEGAN_S = 1_000_000.0
CLAIRE = SpeakerMatch("speaker_1", "Claire", 1.0)


def entry(
    seq: int,
    said: str,
    began_s: float,
    ended_s: float,
    speaker: SpeakerMatch = CLAIRE,
    quality: Quality = Quality.GOOD,
    **translations: str,
) -> HistoryEntry:
    """Something said in French, times in seconds from the first utterance's beginning."""
    captions = {"fra": KeptCaption(Caption(said, "fra", Quality.ORIGINAL, ("fra",)), 1.0, {})}
    for lang, text in translations.items():
        captions[lang] = KeptCaption(Caption(text, lang, quality, ("fra", lang)), 1.0, {})
    return HistoryEntry(
        seq=seq,
        utterance_id=f"u{seq}",
        client_id="phone",
        speaker=speaker,
        transcript=Transcript(said, "fra", 0.9, 0.8),
        due=0,
        captions=captions,
        made_s=BEGAN_S + ended_s,
        ended_s=BEGAN_S + ended_s,
        duration_s=ended_s - began_s,
        made_at=MADE,
    )


def written(format_name: str, *entries: HistoryEntry, lang: str | None = "eng", **names: str) -> str:
    record = Record(format_name, "main", lang)
    lines = [record.add(one, names.get(one.speaker.speaker_id, one.speaker.name)) for one in entries]
    return record.head() + "".join(lines) + record.tail()


def played(format_name: str, record: str) -> list[tuple[int, int, str]]:
    """Return what FFmpeg, and so most players, reads: begin and end in milliseconds, and the raw text of each cue."""
    with av.open(io.BytesIO(record.encode()), format={"vtt": "webvtt"}.get(format_name, format_name)) as file:
        packets = [packet for packet in file.demux(file.streams[0]) if packet.size]
        return [(packet.pts, packet.pts + packet.duration, bytes(packet).decode()) for packet in packets]


def shown(record: str) -> list[str]:
    """Return the text of each WebVTT cue as FFmpeg shows it."""
    with av.open(io.BytesIO(record.encode()), format="webvtt") as file:
        return [
            sub.dialogue.decode() for packet in file.demux(file.streams[0]) if packet.size for sub in packet.decode()
        ]


TWO = (
    entry(1, "Bonjour à tous.", 0.0, 1.5, eng="Hello everyone."),
    entry(
        2, "Ça va ?", 4.25, 5.5, SpeakerMatch("speaker_2", "Dan", 0.8, is_likely=True), Quality.DRAFT, eng="How goes?"
    ),
)


def test_a_text_has_when_who_and_what_with_what_was_said_below() -> None:
    assert written("txt", *TWO) == (
        "[2026-11-28 10:39:02 UTC] Claire: Hello everyone.\n    Bonjour à tous.\n"
        "[2026-11-28 10:39:02 UTC] Dan?: ≈ How goes?\n    Ça va ?\n"
    )


def test_without_a_language_each_is_in_the_one_it_was_said_in() -> None:
    assert written("txt", *TWO, lang=None).splitlines()[1].endswith("Dan?: Ça va ?")


def test_a_voice_bears_the_name_that_it_has_now() -> None:
    assert "Claire M.: Hello" in written("srt", *TWO, speaker_1="Claire M.")


def test_subtitles_begin_with_the_first_utterance_and_last_as_long_as_each() -> None:
    assert played("srt", written("srt", *TWO)) == [
        (0, 1500, "Claire: Hello everyone."),
        (4250, 5500, "Dan?: ≈ How goes?"),
    ]
    assert played("vtt", written("vtt", *TWO)) == [
        (0, 1500, "<v Claire>Hello everyone."),
        (4250, 5500, "<v Dan?>≈ How goes?"),
    ]


def test_two_who_talk_at_once_are_shown_one_after_the_other() -> None:
    both = (
        entry(1, "Oui.", 3.0, 3.4, eng="Yes."),
        entry(2, "Alors…", 0.0, 9.0, eng="Well…"),
        entry(3, "Si.", 8.5, 8.9),
    )
    assert [cue[:2] for cue in played("srt", written("srt", *both))] == [(0, 1000), (1000, 6000), (6000, 7000)]


def test_what_was_sent_faster_than_it_can_be_read_stays_until_it_is_read() -> None:
    pieces = [entry(seq, "bla " * 20, 100.0 - seq, 100.0) for seq in (1, 2, 3)]
    assert [cue[:2] for cue in played("vtt", written("vtt", *pieces))] == [(0, 4000), (4000, 8000), (8000, 12000)]


def test_a_text_in_another_language_says_which() -> None:
    assert "Claire [eng]: Hello" in written("txt", TWO[0], lang="pol")
    assert "Claire [eng]: Hello" in written("srt", TWO[0], lang="pol")
    assert "<v Claire><lang en>Hello everyone.</lang>" in written("vtt", TWO[0], lang="pol")


def test_a_text_joins_what_goes_on_without_an_end_of_speech() -> None:
    clauses = [entry(seq, f"mot {seq}", seq, seq + 1, eng=f"word {seq}") for seq in (1, 2, 3)]
    clauses[1].continues = True
    assert written("txt", *clauses) == (
        "[2026-11-28 10:39:02 UTC] Claire: word 1 word 2\n    mot 1 mot 2\n"
        "[2026-11-28 10:39:02 UTC] Claire: word 3\n    mot 3\n"
    )
    assert len(played("srt", written("srt", *clauses))) == 3


def test_what_somebody_else_said_between_two_clauses_stays_there() -> None:
    between = entry(2, "Oui.", 1.5, 1.9, SpeakerMatch("speaker_2", "Dan", 1.0))
    goes_on = entry(3, "mot 3", 2.0, 3.0)
    goes_on.continues = True
    text = written("txt", entry(1, "mot 1", 0.0, 1.0), between, goes_on, lang=None)
    assert [line.partition("] ")[2] for line in text.splitlines()] == ["Claire: mot 1", "Dan: Oui.", "Claire: mot 3"]


def test_json_has_what_the_listeners_got_and_when_it_was_said() -> None:
    record = json.loads(written("json", *TWO, lang="pol"))
    assert (record["room"], record["requested_lang"], len(record["entries"])) == ("main", "pol", 2)
    first = record["entries"][0]
    assert (first["translation"], first["target_lang"], first["requested_lang"], first["quality"]) == (
        "Hello everyone.",
        "eng",
        "pol",
        "untranslated",
    )
    assert (first["source_text"], first["seq"], first["start_s"], first["end_s"]) == ("Bonjour à tous.", 1, 0.0, 1.5)
    assert "latency_ms" not in first


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_record_of_nothing_is_a_file_all_the_same(format_name: str) -> None:
    assert written(format_name) == {
        "vtt": "WEBVTT\n",
        "json": '{"room": "main", "requested_lang": "eng", "entries": [\n\n]}\n',
    }.get(format_name, "")


MARKS = st.text(st.sampled_from("ab é<>&-{}\\/:.0\n\r\t\x00\u2028»'\""), min_size=1, max_size=30).filter(str.strip)
TIMES = st.tuples(st.floats(0, 400_000), st.floats(0, 20))


@settings(max_examples=150, deadline=None)
@given(said=st.lists(st.tuples(MARKS, MARKS, TIMES), min_size=1, max_size=5))
def test_whatever_is_said_each_format_has_as_many_cues_in_their_order(
    said: list[tuple[str, str, tuple[float, float]]],
) -> None:
    entries = [
        entry(seq, text, ended_s - duration_s, ended_s, SpeakerMatch("s", name, 1.0))
        for seq, (text, name, (ended_s, duration_s)) in enumerate(said, 1)
    ]
    for format_name in ("srt", "vtt"):
        cues = played(format_name, written(format_name, *entries, lang=None))
        assert len(cues) == len(entries)
        assert all(end_ms > start_ms for start_ms, end_ms, _ in cues)
        assert all(end_ms <= start_ms for (_, end_ms, _), (start_ms, _, _) in pairwise(cues))
    subtitles = written("srt", *entries, lang=None)
    assert len(re.findall("-->", subtitles)) == len(entries)
    assert "-->" not in "".join(raw for _, _, raw in played("srt", subtitles))
    assert [one["translation"] for one in json.loads(written("json", *entries, lang=None))["entries"]] == [
        text for text, _, _ in said
    ]
    assert len(written("txt", *entries, lang=None).splitlines()) == len(entries)


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.sampled_from("ab é<>&-/:.0lt;"), min_size=1, max_size=30).filter(str.strip))
def test_a_player_shows_the_marks_that_were_said(text: str) -> None:
    one = entry(1, f"x{text}x", 0.0, 1.0, SpeakerMatch("s", "A>B & <C>", 1.0))
    assert shown(written("vtt", one, lang=None)) == [f"x{text}x"]
