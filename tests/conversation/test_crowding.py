"""Whoever speaks without end delays the others by one utterance, and is refused before they are."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from babblefish.domain import SAMPLE_RATE_HZ
from babblefish.settings import Settings
from tests.support.fakes import PHRASES, Fakes, silence, speech
from tests.support.phones import until
from tests.support.serving import Client, Running, serving


async def crowd(running: Running, room: str) -> Client:
    """Join a room of one's own and say as much as is taken of one client, in the longest utterances there are."""
    client = await running.client(target_lang="fra", audio="none", room=room)
    for _ in range(running.server.settings.utterances_per_client):
        await client.say(speech(11, 15.0))
    return client


def recognised(fakes: Fakes) -> list[str]:
    lengths_s = [len(request.samples) / 16000 for request in fakes.speech_translator.requests]
    return ["long" if length_s > 10 else "short" for length_s in lengths_s]


async def test_one_who_speaks_without_end_delays_others_by_the_utterance_that_runs(
    fakes: Fakes, gate: threading.Event
) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(log_level="error"), fakes.engines) as running:
        waiting = running.server.runtime.workers.translation
        endless = await crowd(running, "endless")
        await until(lambda: waiting.pending == 1)
        others = [await running.client(target_lang="fra", audio="none", room=f"room-{number}") for number in range(3)]
        for other in others:
            await other.say(speech(12, 2.0))
        await until(lambda: waiting.pending == 4)
        gate.set()
        for other in others:
            await other.wait_for("result")
        await endless.wait_for("result", 8)
    assert recognised(fakes) == ["long", *["short"] * 3, *["long"] * 7]


async def test_one_who_speaks_without_end_delays_those_of_the_same_room_no_longer(
    fakes: Fakes, gate: threading.Event
) -> None:
    """Results come in the order of their turns, so that whoever took many at once would hold up the whole room."""
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(log_level="error"), fakes.engines) as running:
        waiting = running.server.runtime.workers.translation
        endless = await crowd(running, "main")
        await until(lambda: waiting.pending == 1)
        other = await running.client(target_lang="fra", audio="none")
        await other.say(speech(12, 2.0))
        await other.catch_up()
        gate.set()
        results = await endless.wait_for("result", 9)
    assert recognised(fakes) == ["long", "short", *["long"] * 7]
    speakers = [result["client_id"] for result in results]
    assert speakers.index(other.messages[0]["client_id"]) == 1


async def test_several_who_speak_without_end_delay_those_of_the_same_room_no_longer(
    fakes: Fakes, gate: threading.Event
) -> None:
    """By one utterance each, at first: who has had nothing yet comes in the order of speaking."""
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(log_level="error"), fakes.engines) as running:
        endless = [await crowd(running, "main") for _ in range(3)]
        await until(lambda: running.server.runtime.workers.translation.pending == 1)
        other = await running.client(target_lang="fra", audio="none")
        await other.say(speech(12, 2.0))
        await other.catch_up()
        gate.set()
        await other.wait_for("result")
        await until(lambda: len(fakes.speech_translator.requests) == 25)
        for client in endless:
            await client.catch_up()
    assert recognised(fakes).index("short") <= 3


async def test_three_who_speak_without_end_are_refused_and_nobody_else(fakes: Fakes, gate: threading.Event) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(log_level="error"), fakes.engines) as running:
        waiting = running.server.runtime.workers.translation
        endless = [await crowd(running, f"endless-{number}") for number in range(3)]
        for client in endless:
            await client.say(speech(11, 15.0))  # one more than is taken of a client
        others = [await running.client(target_lang="fra", audio="none", room=f"room-{number}") for number in range(8)]
        for other in others:
            await other.say(speech(12, 2.0))
        await until(lambda: waiting.pending == 3 + 8)
        await until(lambda: sum(len(client.of_type("error")) for client in endless) == 3)
        gate.set()
        for other in others:
            await other.wait_for("result")
        await until(lambda: sum(len(client.of_type("result")) for client in endless) == 24)
        errors = [error["code"] for client in endless for error in client.of_type("error")]
        assert (errors, [other.of_type("error") for other in others]) == (["overloaded"] * 3, [[]] * 8)
    assert recognised(fakes)[:11].count("short") == 8


@pytest.mark.parametrize("mode", ["utterance", "stream"])
async def test_what_comes_in_one_frame_waits_for_its_turn_and_delays_nobody_else(
    fakes: Fakes, gate: threading.Event, mode: str
) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    said = [11, 12, 21, 22] * 3
    parts = [part for phrase in said for part in (speech(phrase, 3.0), silence(1.0))]
    async with serving(Settings(utterances_per_client=2, partials=False, log_level="error"), fakes.engines) as running:
        waiting = running.server.runtime.workers.translation
        assert running.server.rooms is not None
        long = await running.client(target_lang="fra", audio="none", mode=mode, client_id="long")
        await long.say(np.concatenate(parts[:-1]))  # in a stream, the last one ends with the flush
        backlog = running.server.rooms.open("main").members["long"].backlog
        if mode == "stream":
            await long.flush()
        await until(lambda: backlog.in_flight == 2 and waiting.pending == 1)
        other = await running.client(target_lang="fra", audio="none", room="another")
        await other.say(speech(12, 2.0))
        await until(lambda: waiting.pending == 2)
        assert backlog.in_flight == 2
        gate.set()
        await other.wait_for("result")
        results = await long.wait_for("result", len(said))
        await long.catch_up()
        assert not long.of_type("error")
    assert [result["source_text"] for result in results] == [PHRASES[phrase][1] for phrase in said]
    lengths_s = [round(len(request.samples) / SAMPLE_RATE_HZ) for request in fakes.speech_translator.requests]
    assert lengths_s.index(2) == 1


async def test_what_came_in_one_frame_reaches_the_others_when_its_sender_has_gone(
    fakes: Fakes, gate: threading.Event
) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(utterances_per_client=1, log_level="error"), fakes.engines) as running:
        listener = await running.client(target_lang="fra", audio="none")
        phone = await running.client(target_lang="fra", audio="none")
        await phone.say(np.concatenate([part for phrase in (11, 12, 21) for part in (speech(phrase, 8), silence(1))]))
        await until(lambda: running.server.runtime.workers.translation.pending == 1)
        await phone.close()
        gate.set()
        said = [result["source_text"] for result in await listener.wait_for("result", 3)]
    assert said == [PHRASES[phrase][1] for phrase in (11, 12, 21)]


async def test_one_whose_captions_are_read_aloud_without_end_delays_others_by_a_piece(
    fakes: Fakes, gate: threading.Event
) -> None:
    fakes.synthesizer.before = lambda text: gate.wait(10) and None
    async with serving(Settings(parallel_syntheses=1, log_level="error"), fakes.engines) as running:
        waiting = running.server.runtime.workers.synthesis
        for lang in ("eng", "spa"):
            await running.client(target_lang=lang, room="endless")
        await crowd(running, "endless")
        await until(lambda: waiting.pending == 16)
        other = await running.client(target_lang="eng", audio="stream")
        await other.say(speech(12, 2.0))
        await until(lambda: waiting.pending == 17)
        gate.set()
        await other.wait_for("speech", 3)
        assert fakes.synthesizer.spoken.index("eng comment allez vous ce soir") <= 1


async def test_what_was_said_before_a_drop_takes_its_turn_before_what_is_said_after_it(
    fakes: Fakes, gate: threading.Event
) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(utterances_per_client=3, log_level="error"), fakes.engines) as running:
        listener = await running.client(target_lang="fra", audio="none")
        phone = await running.client(target_lang="fra", audio="none", client_id="phone")
        token = phone.messages[0]["token"]
        for phrase in (11, 12):
            await phone.say(speech(phrase))
        await phone.catch_up()
        await phone.close()
        await until(lambda: len(running.server.sessions) == 1)
        phone = await running.client(target_lang="fra", audio="none", client_id="phone", token=token)
        await phone.say(speech(21))
        await phone.say(speech(22))  # one more than is taken of a client, whatever connection it came through
        assert (await phone.wait_for("error"))[0]["code"] == "overloaded"
        gate.set()
        said = [result["source_text"] for result in await listener.wait_for("result", 3)]
    assert said == [PHRASES[phrase][1] for phrase in (11, 12, 21)]


async def test_what_waits_for_its_turn_has_a_deadline_as_well(fakes: Fakes, gate: threading.Event) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(utterance_deadline_s=0.3, log_level="error"), fakes.engines) as running:
        client = await running.client(target_lang="fra", audio="none")
        for phrase in (11, 12, 21):
            await client.say(speech(phrase))
        codes = [error["code"] for error in await client.wait_for("error", 3)]
        gate.set()
    assert codes == ["deadline_exceeded"] * 3


async def test_a_room_that_is_closed_begins_nothing_of_what_waits(fakes: Fakes, gate: threading.Event) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(log_level="error"), fakes.engines) as running:
        client = await running.client(target_lang="fra", audio="none")
        for _ in range(5):
            await client.say(speech(11))
        await until(lambda: len(fakes.speech_translator.requests) == 1)
        assert running.server.rooms is not None
        closing = asyncio.create_task(running.server.rooms.close())
        rooms = running.server.rooms
        await until(lambda: not any(room.utterances.in_flight for room in rooms))
        gate.set()
        await closing
    assert len(fakes.speech_translator.requests) == 1


async def test_what_one_client_says_keeps_its_order_however_fast_it_is_sent(
    fakes: Fakes, gate: threading.Event
) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(log_level="error"), fakes.engines) as running:
        client = await running.client(target_lang="fra", audio="none", mode="stream")
        sent = [part for phrase in (11, 12, 21, 22) for part in (speech(phrase, 3.0 - phrase / 10), silence(1.0))]
        await client.stream(np.concatenate(sent), frame_ms=30_000)
        await until(lambda: bool(fakes.speech_translator.requests))
        gate.set()
        said = [result["source_text"] for result in await client.wait_for("result", 4)]
    assert said == [PHRASES[phrase][1] for phrase in (11, 12, 21, 22)]
