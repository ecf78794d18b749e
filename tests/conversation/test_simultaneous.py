"""Interpreting while somebody goes on speaking: clauses for those who want them, the whole for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from babblefish.domain import Samples, Transcript
from babblefish.engines.contracts import SpeechRequest, SpeechTranslation
from babblefish.errors import TwoLanguagesError
from babblefish.pipeline.pace import Pace
from tests.support.fakes import Fakes, silence, speech
from tests.support.serving import Client, Running
from tests.support.waiting import until

WORDS = ("we", "bought", "a", "house,", "and", "since", "then", "it", "rains.", "Nobody", "minds", "that,", "though")
"""Word number 11 is ``we``: fake speech of that level. A mark is heard where a further word follows."""

FIRST = 11
WORD_S = 0.4
PAUSE_S = 0.3
"""Longer than the silence that an utterance keeps, shorter than the one that ends it."""


PACE = Pace(stalled_s=1000.0, interim_every_s=1000.0, interim_min_speech_s=1000.0)
"""No pause of a slow machine ends a stream, and only drafts are recognised while somebody speaks."""


@pytest.fixture
def pace() -> Pace:
    return PACE


@pytest.fixture(autouse=True)
def reading(fakes: Fakes) -> list[str]:
    """Have the translator read the words that it hears, as English; returns what it has read."""
    read: list[str] = []

    def translate(request: SpeechRequest) -> SpeechTranslation:
        fakes.calls.note("encode")
        levels = [round(float(level) * 100) for level, _ in groupby(np.round(request.samples, 2))]
        words = [WORDS[level - FIRST] for level in levels if level >= FIRST]
        words[-1] = words[-1].strip(",.")
        read.append(" ".join(words))
        request.choose_targets("eng")
        return SpeechTranslation(Transcript(f"{' '.join(words)}.", "eng", 0.9, 0.9), {}, {"encode": 1.0})

    fakes.speech_translator.translate = translate  # type: ignore[method-assign]
    fakes.speaker_encoder.embed = lambda _: np.eye(16, dtype=np.float32)[1]  # type: ignore[method-assign]
    return read


def words(first: int, last: int, word_s: float = WORD_S) -> Samples:
    """Say words of ``WORDS``, both ends included."""
    return np.concatenate([speech(FIRST + word, word_s) for word in range(first, last + 1)])


async def heard(speaker: Client, samples: Samples, is_done: Callable[[], bool] | None = None) -> None:
    """Stream something, and wait until the server has taken it and done with what comes of it.

    What is said next is then met by a server that recognises nothing, as what is said at the pace of speech is.
    """
    await speaker.stream(samples)
    await speaker.catch_up()
    if is_done is not None:
        assert speaker.server is not None
        pipeline = speaker.server.runtime.pipeline
        assert pipeline is not None
        await until(lambda: is_done() and pipeline.takes_drafts)
    await asyncio.sleep(0)


async def say_two_clauses(speaker: Client, read: list[str]) -> None:
    """Say "we bought a house, and since then", with a short pause after the first clause."""
    done = len(read)
    await heard(speaker, words(0, 3))
    await heard(speaker, silence(PAUSE_S), lambda: len(read) == done + 1)
    await heard(speaker, words(4, 6), lambda: len(read) == done + 2)
    await heard(speaker, words(7, 7, 0.1))


async def people(running: Running, **modes: str) -> tuple[Client, dict[str, Client]]:
    """Let in somebody who speaks English, and a listener for each mode by language."""
    listeners = {
        lang: await running.client(client_id=lang, target_lang=lang, audio="none", interpreting=mode)
        for lang, mode in modes.items()
    }
    speaker = await running.client(
        client_id="speaker",
        target_lang="eng",
        source_lang="eng",
        mode="stream",
        audio="none",
        interpreting="consecutive",
    )
    return speaker, listeners


def texts(client: Client) -> list[tuple[str, bool]]:
    return [(result["source_text"], result["continues"]) for result in client.of_type("result")]


def seqs(client: Client) -> list[int]:
    return [result["seq"] for result in client.of_type("result")]


async def test_a_clause_is_translated_while_its_speaker_goes_on_and_recognised_once(
    running: Running, reading: list[str]
) -> None:
    speaker, listeners = await people(running, fra="simultaneous")
    await say_two_clauses(speaker, reading)
    (first,) = await listeners["fra"].wait_for("result")
    assert (first["source_text"], first["translation"]) == ("we bought a house,", "<fra> we bought a house,")
    assert not first["continues"]
    await heard(speaker, silence(1.0))
    await listeners["fra"].wait_for("result", 2)
    assert texts(listeners["fra"]) == [("we bought a house,", False), ("and since then it.", True)]
    assert reading == ["we bought a house", "we bought a house, and since then", "and since then it"]
    assert not speaker.of_type("error")


async def test_who_waits_gets_the_whole_once_where_its_end_is_in_two_languages(
    running: Running, fakes: Fakes, reading: list[str]
) -> None:
    in_one = fakes.speech_translator.translate

    def translate(request: SpeechRequest) -> SpeechTranslation:
        if request.pauses and not request.interim:
            raise TwoLanguagesError(request.pauses[0])
        return in_one(request)

    fakes.speech_translator.translate = translate  # type: ignore[method-assign]
    speaker, listeners = await people(running, fra="simultaneous", spa="consecutive")
    await say_two_clauses(speaker, reading)
    await heard(speaker, np.concatenate([silence(PAUSE_S), words(8, 9), silence(1.5)]))
    await listeners["fra"].wait_for("result", 3)
    assert [text for text, _ in texts(listeners["fra"])] == [
        "we bought a house,",
        "and since then it.",
        "rains. Nobody.",
    ]
    (whole,) = await listeners["spa"].wait_for("result")
    assert whole["source_text"] == "we bought a house, and since then it. rains. Nobody."


async def test_who_waits_gets_the_whole_once_when_it_has_ended(
    running: Running, fakes: Fakes, reading: list[str]
) -> None:
    speaker, listeners = await people(running, fra="simultaneous", spa="consecutive")
    await say_two_clauses(speaker, reading)
    await listeners["fra"].wait_for("result")
    await heard(speaker, silence(1.0))
    whole = "we bought a house, and since then it."
    for client in (listeners["spa"], speaker):
        (result,) = await client.wait_for("result")
        assert (result["source_text"], result["continues"], result["seq"]) == (whole, False, 3)
    assert listeners["spa"].of_type("result")[0]["translation"] == f"<spa> {whole}"
    await listeners["fra"].wait_for("result", 2)
    assert seqs(listeners["fra"]) == [1, 2]
    assert fakes.calls.count["text spa"] == 1


@pytest.mark.parametrize("pace", [replace(PACE, well_behind_s=0.0)], ids=["behind"])
async def test_where_a_room_is_behind_only_the_end_of_long_speech_is_spoken(
    running: Running, reading: list[str]
) -> None:
    listener = await running.client(target_lang="fra", audio="wav", interpreting="simultaneous")
    waits = await running.client(target_lang="spa", audio="wav", interpreting="consecutive")
    speaker, _ = await people(running)
    await say_two_clauses(speaker, reading)
    await heard(speaker, silence(1.0))
    first, last = await listener.wait_for("result", 2)
    assert (first["status"], first["translation"], first["tts_audio"]) == ("final", "<fra> we bought a house,", None)
    assert (last["continues"], last["tts_audio"] is not None) == (True, True)
    assert listener.of_type("behind")[0]["without"] == ["early_speech"]
    (whole,) = await waits.wait_for("result")
    assert whole["tts_audio"]


async def test_where_all_wait_nothing_is_recognised_before_the_end(running: Running, reading: list[str]) -> None:
    speaker, listeners = await people(running, fra="consecutive")
    await heard(speaker, words(0, 3))
    await heard(speaker, silence(PAUSE_S), lambda: len(reading) == 1)
    await heard(speaker, words(4, 6))
    await heard(speaker, silence(1.0))
    await listeners["fra"].wait_for("result")
    assert texts(listeners["fra"]) == [("we bought a house, and since then.", False)]
    assert len(reading) == 2


async def test_nobody_is_interpreted_to_in_the_language_that_is_spoken(running: Running, reading: list[str]) -> None:
    speaker, listeners = await people(running, eng="simultaneous")
    await heard(speaker, words(0, 3))
    await heard(speaker, silence(PAUSE_S), lambda: len(reading) == 1)
    await heard(speaker, words(4, 7))
    await heard(speaker, silence(1.0))
    await listeners["eng"].wait_for("result")
    assert len(texts(listeners["eng"])) == 1


@pytest.mark.parametrize(
    ("longer", "is_cut"),
    [("we bought a horse, and", False), ("we bought a house and", False), ("we bought a house, and", True)],
    ids=["other words", "no mark", "a mark"],
)
async def test_it_is_cut_where_two_recognitions_agree_on_a_mark(
    running: Running, fakes: Fakes, reading: list[str], longer: str, is_cut: bool
) -> None:
    translate = fakes.speech_translator.translate

    def other(request: SpeechRequest) -> SpeechTranslation:
        made = translate(request)
        return SpeechTranslation(Transcript(longer, "eng", 0.9, 0.9), {}) if request.interim else made

    fakes.speech_translator.translate = other  # type: ignore[method-assign]
    speaker, listeners = await people(running, fra="simultaneous")
    await say_two_clauses(speaker, reading)
    await heard(speaker, silence(1.0))
    await listeners["fra"].wait_for("result", 1 + is_cut)
    assert len(listeners["fra"].of_type("result")) == 1 + is_cut


async def test_long_speech_is_cut_at_a_pause_without_a_mark_too(running: Running, reading: list[str]) -> None:
    speaker, listeners = await people(running, fra="simultaneous")
    await heard(speaker, words(0, 7))
    await heard(speaker, silence(PAUSE_S), lambda: len(reading) == 1)
    await heard(speaker, words(8, 10), lambda: len(reading) == 2)
    await heard(speaker, words(11, 11, 0.1))
    (first,) = await listeners["fra"].wait_for("result")
    assert first["source_text"] == "we bought a house, and since then it"


async def test_speech_without_a_pause_is_cut_between_two_words(running: Running, reading: list[str]) -> None:
    speaker, listeners = await people(running, fra="simultaneous")
    quiet = np.full(int(0.16 * 16000), 0.006, dtype=np.float32)  # speech still, for the voice detector
    await heard(speaker, np.concatenate([words(0, 8, 0.6), quiet, words(9, 10, 1.4)]))
    await heard(speaker, words(11, 11, 0.3), lambda: len(reading) >= 1)
    await heard(speaker, words(12, 12, 1.2), lambda: len(reading) >= 2)
    await heard(speaker, words(12, 12, 0.1))
    (first,) = await listeners["fra"].wait_for("result")
    assert first["source_text"].startswith("we bought a house, and since then")
    assert set(WORDS) >= set(first["source_text"].split()) - {first["source_text"].split()[-1]}


async def test_a_clause_of_two_words_is_left_with_the_next_one(running: Running, reading: list[str]) -> None:
    speaker, listeners = await people(running, fra="simultaneous")
    await heard(speaker, words(2, 3, 0.6))
    await heard(speaker, silence(PAUSE_S), lambda: len(reading) == 1)
    await heard(speaker, words(4, 6), lambda: len(reading) == 2)
    await heard(speaker, words(7, 7, 0.1))
    await heard(speaker, silence(1.0))
    await listeners["fra"].wait_for("result")
    assert texts(listeners["fra"]) == [("a house, and since then it.", False)]


async def test_a_pause_soon_after_another_tells_as_a_draft_would(running: Running, reading: list[str]) -> None:
    speaker, listeners = await people(running, fra="simultaneous")
    await heard(speaker, words(0, 3))
    await heard(speaker, silence(PAUSE_S), lambda: len(reading) == 1)
    await heard(speaker, words(4, 4))
    await heard(speaker, silence(PAUSE_S), lambda: len(reading) == 2)
    await heard(speaker, words(5, 5))
    (first,) = await listeners["fra"].wait_for("result")
    assert first["source_text"] == "we bought a house,"


async def test_who_changes_the_mode_hears_the_rest_of_what_is_being_said_as_it_began(
    running: Running, reading: list[str]
) -> None:
    speaker, listeners = await people(running, fra="simultaneous", spa="consecutive")
    await say_two_clauses(speaker, reading)
    await listeners["fra"].wait_for("result")
    await listeners["fra"].set(interpreting="consecutive")
    await listeners["spa"].set(interpreting="simultaneous")
    for client in listeners.values():
        await client.wait_for("settled")
    await heard(speaker, silence(1.0))
    await listeners["fra"].wait_for("result", 2)
    await listeners["spa"].wait_for("result")
    assert [text for text, _ in texts(listeners["fra"])] == ["we bought a house,", "and since then it."]
    assert [text for text, _ in texts(listeners["spa"])] == ["we bought a house, and since then it."]
    await say_two_clauses(speaker, reading)
    await listeners["spa"].wait_for("result", 2)
    assert texts(listeners["spa"])[1:] == [("we bought a house,", False)]


async def test_what_a_speaker_who_leaves_has_said_ends_what_others_wait_for(
    running: Running, reading: list[str]
) -> None:
    speaker, listeners = await people(running, fra="simultaneous", spa="consecutive")
    await say_two_clauses(speaker, reading)
    await listeners["fra"].wait_for("result")
    await speaker.close()
    await listeners["spa"].wait_for("result")
    assert texts(listeners["spa"]) == [("we bought a house, and since then it.", False)]


async def test_a_last_clause_that_fails_takes_nothing_of_the_others_with_it(
    running: Running, fakes: Fakes, reading: list[str]
) -> None:
    speaker, listeners = await people(running, fra="simultaneous", spa="consecutive")
    await say_two_clauses(speaker, reading)
    await listeners["fra"].wait_for("result")

    def broken(_: SpeechRequest) -> SpeechTranslation:
        raise RuntimeError("scripted failure")

    fakes.speech_translator.translate = broken  # type: ignore[method-assign]
    await heard(speaker, silence(1.0))
    await speaker.wait_for("error")
    await listeners["spa"].wait_for("result")
    assert texts(listeners["spa"]) == [("we bought a house,", False)]


async def test_a_flush_ends_it(running: Running, reading: list[str]) -> None:
    speaker, listeners = await people(running, fra="simultaneous", spa="consecutive")
    await say_two_clauses(speaker, reading)
    await speaker.flush()
    await listeners["spa"].wait_for("result")
    await listeners["fra"].wait_for("result", 2)
    assert texts(listeners["fra"])[1][1]


async def test_who_never_stops_is_heard_by_those_who_wait_after_the_longest_utterance(
    running: Running, reading: list[str]
) -> None:
    speaker, listeners = await people(running, fra="simultaneous", spa="consecutive")
    for clauses in range(1, 21):
        await say_two_clauses(speaker, reading)
        await listeners["fra"].wait_for("result", clauses)
        if listeners["spa"].of_type("result"):
            break
    assert listeners["spa"].of_type("result")
    assert clauses > 2
    await say_two_clauses(speaker, reading)
    await heard(speaker, silence(1.0))
    await listeners["spa"].wait_for("result", 2)
    assert [continues for _, continues in texts(listeners["spa"])] == [False, True]


async def replay(running: Running, **query: str) -> list[dict[str, Any]]:
    late = await running.client(audio="none", **query)
    await late.send_message(type="resume", history_id=late.messages[0]["history_id"], after_seq=0)
    await late.wait_for("resumed")
    return late.of_type("result")


@pytest.mark.parametrize(
    ("lang", "mode", "shown"),
    [
        ("fra", "simultaneous", [1, 2]),
        ("spa", "consecutive", [3]),
        ("spa", "simultaneous", [3]),
        ("fra", "consecutive", [1, 2]),
        ("eng", "consecutive", [3]),
        ("eng", "simultaneous", [1, 2]),
    ],
)
async def test_a_replay_shows_everything_once_in_the_listeners_language(
    running: Running, reading: list[str], lang: str, mode: str, shown: list[int]
) -> None:
    speaker, listeners = await people(running, fra="simultaneous", spa="consecutive")
    await say_two_clauses(speaker, reading)
    await heard(speaker, silence(1.0))
    await listeners["spa"].wait_for("result")
    await listeners["fra"].wait_for("result", 2)
    results = await replay(running, target_lang=lang, interpreting=mode)
    assert [result["seq"] for result in results] == shown
    assert all(result["quality"] != "untranslated" for result in results)


async def test_who_comes_in_the_middle_and_waits_gets_the_whole_once(running: Running, reading: list[str]) -> None:
    speaker, listeners = await people(running, fra="simultaneous")
    await say_two_clauses(speaker, reading)
    await listeners["fra"].wait_for("result")
    late = await running.client(target_lang="spa", audio="none", interpreting="consecutive")
    await late.send_message(type="resume", history_id=late.messages[0]["history_id"], after_seq=0)
    await late.wait_for("resumed")
    assert not late.of_type("result")
    await heard(speaker, silence(1.0))
    await late.wait_for("result")
    assert texts(late) == [("we bought a house, and since then it.", False)]


async def test_words_typed_meanwhile_are_no_part_of_it(running: Running, reading: list[str]) -> None:
    speaker, listeners = await people(running, fra="simultaneous", spa="consecutive")
    await say_two_clauses(speaker, reading)
    await listeners["fra"].wait_for("result")
    await speaker.send_message(type="say", text="good evening", lang="eng")
    await listeners["spa"].wait_for("result")
    await heard(speaker, silence(1.0))
    await listeners["spa"].wait_for("result", 2)
    assert [text for text, _ in texts(listeners["spa"])] == ["good evening", "we bought a house, and since then it."]
