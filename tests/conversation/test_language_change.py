"""An utterance is divided where one voice goes on in another language."""

from __future__ import annotations

import threading

import numpy as np

from babblefish.settings import Settings
from tests.support.fakes import Fakes, silence, speech
from tests.support.serving import Running, serving
from tests.support.waiting import until

FRENCH, SPANISH, FRENCH_AGAIN = 11, 13, 12
"""Phrases of one voice."""

BOTH = np.concatenate([speech(FRENCH), silence(0.3), speech(SPANISH), silence(1.5)])


async def test_who_changes_language_after_a_short_pause_is_heard_in_both(running: Running) -> None:
    listener = await running.client(target_lang="eng", audio="none")
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(BOTH)
    first, second = await listener.wait_for("result", 2)
    assert (first["source_lang"], second["source_lang"]) == ("fra", "spa")
    assert (first["source_text"], second["source_text"]) == ("bonjour tout le monde", "buenas tardes a todos ustedes")
    assert first["speaker_id"] == second["speaker_id"]
    assert first["utterance_id"] != second["utterance_id"]
    assert not speaker.of_type("error")


async def test_both_halves_come_before_what_is_said_next(fakes: Fakes, gate: threading.Event) -> None:
    fakes.speech_translator.before = lambda phrase: (gate.wait(10), None)[1]
    async with serving(Settings(), fakes.engines) as running:
        listener = await running.client(target_lang="eng", audio="none")
        speaker = await running.client(client_id="pierre", mode="stream", audio="none")
        assert running.server.rooms is not None
        member = running.server.rooms.open("main").members["pierre"]
        await speaker.stream(np.concatenate([BOTH, speech(FRENCH_AGAIN), silence(1.5)]))
        await until(lambda: member.backlog.in_flight == 2)
        gate.set()
        results = await listener.wait_for("result", 3)
        assert [result["source_lang"] for result in results] == ["fra", "spa", "fra"]
        assert [result["seq"] for result in results] == [1, 2, 3]
        await until(lambda: member.backlog.in_flight == 0)


async def test_a_half_without_words_costs_that_half_alone(running: Running) -> None:
    listener = await running.client(target_lang="eng", audio="none")
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(np.concatenate([speech(19), silence(0.3), speech(SPANISH), silence(1.5)]))
    (result,) = await listener.wait_for("result")
    assert result["source_lang"] == "spa"
    (error,) = await speaker.wait_for("error")
    assert error["code"] == "no_speech"
    assert error["utterance_id"] != result["utterance_id"]
