"""What is wrong gets a typed answer, and costs one utterance at most: never the connection, never another client."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from babblefish.settings import Settings
from tests.fakes import Fakes, silence, speech
from tests.support import Client, Running, serving


async def still_works(client: Client) -> None:
    """Assert that the connection lives and the next utterance is served."""
    before = len(client.of_type("result"))
    await client.say(speech(11))
    await client.wait_for("result", before + 1)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(b"", "invalid_audio", id="empty"),
        pytest.param(b"\x00" * 32001, "invalid_audio", id="odd length"),
        pytest.param(b"\x01\x00" * 800, "too_short", id="too short"),
        pytest.param(bytes(64000), "no_speech", id="digital silence"),
    ],
)
async def test_a_frame_that_is_no_utterance_is_answered(running: Running, frame: bytes, code: str) -> None:
    client = await running.client(target_lang="fra")
    await client.socket.send(frame)
    (error,) = await client.wait_for("error")
    assert (error["code"], error["fatal"]) == (code, False)
    assert error["message"]
    await still_works(client)


async def test_a_frame_without_speech_never_reaches_the_translator(running: Running, fakes: Fakes) -> None:
    client = await running.client(target_lang="fra")
    await client.say(np.full(32000, 0.002, dtype=np.float32))
    (error,) = await client.wait_for("error")
    assert error["code"] == "no_speech"
    assert error["utterance_id"]
    assert fakes.calls.count["encode"] == 0
    await still_works(client)


async def test_clipped_speech_is_speech(running: Running, fakes: Fakes) -> None:
    client = await running.client(target_lang="fra")
    loud = speech(11)
    loud[::1000] = 5.0
    await client.say(loud)
    await client.wait_for("result")


async def test_a_frame_longer_than_an_utterance_is_split_and_nothing_is_lost(running: Running) -> None:
    client = await running.client(target_lang="fra", audio="none")
    await client.say(np.concatenate([speech(11, 12.0), silence(1.0), speech(12, 12.0)]))
    results = await client.wait_for("result", 2)
    assert [result["source_text"] for result in results] == ["bonjour tout le monde", "comment allez vous ce soir"]


async def test_a_frame_beyond_the_limit_closes_only_its_own_connection(running: Running, settings: Settings) -> None:
    client = await running.client(target_lang="fra")
    other = await running.client(target_lang="fra")
    with contextlib.suppress(ConnectionClosed):  # the refusal may come before the last byte has gone
        await client.socket.send(bytes(settings.max_frame_bytes + 2))
    await asyncio.wait_for(client.closed.wait(), 5)
    assert client.socket.close_code == 1009
    await still_works(other)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not json", "invalid_message"),
        ("[]", "invalid_message"),
        ("{}", "invalid_message"),
        ('{"type": "sing"}', "invalid_message"),
        ('{"type": "set", "volume": 11}', "invalid_message"),
        ('{"type": "set", "target_lang": 7}', "invalid_message"),
        ('{"type": "set", "target_lang": "klingon"}', "unknown_language"),
        ('{"type": "set", "target_lang": ""}', "unknown_language"),
        ('{"type": "set", "source_lang": "en"}', "unknown_language"),
        ('{"type": "rename_speaker", "speaker_id": "speaker_9", "name": "Nobody"}', "unknown_speaker"),
        ('{"type": "rename_speaker", "speaker_id": "speaker_1", "name": "  "}', "invalid_message"),
        ('{"type": "flush"}', "invalid_message"),
        ('{"type": "ping", "ping": "' + "x" * 100_000 + '"}', "invalid_message"),
    ],
)
async def test_a_wrong_control_message_is_answered_and_changes_nothing(running: Running, text: str, code: str) -> None:
    client = await running.client(target_lang="fra")
    await client.socket.send(text)
    (error,) = await client.wait_for("error")
    assert (error["code"], error["fatal"]) == (code, False)
    assert len(error["message"]) < 400
    await client.control(type="ping")
    await client.wait_for("pong")
    await still_works(client)
    assert client.of_type("result")[0]["target_lang"] == "fra"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"target_lang": "xx"}, "unknown_language"),
        ({"source_lang": "english"}, "unknown_language"),
        ({"mode": "telepathy"}, "invalid_message"),
        ({"audio": "vinyl"}, "invalid_message"),
        ({"room": "../../etc"}, "invalid_message"),
        ({"client_id": "<script>"}, "invalid_message"),
        ({"name": "x" * 1000}, "invalid_message"),
    ],
)
async def test_a_wrong_invitation_is_refused_with_a_reason(running: Running, query: dict[str, Any], code: str) -> None:
    client = await running.client(wait_ready=False, **query)
    (error,) = await client.wait_for("error")
    assert (error["code"], error["fatal"]) == (code, True)
    await asyncio.wait_for(client.closed.wait(), 5)
    assert client.socket.close_code == 1008


async def test_a_full_server_says_so_and_closes(fakes: Fakes) -> None:
    async with serving(Settings(max_clients=1, log_level="warning"), fakes.engines) as running:
        first = await running.client(target_lang="fra")
        second = await running.client(wait_ready=False)
        (error,) = await second.wait_for("error")
        assert (error["code"], error["fatal"]) == ("full", True)
        await asyncio.wait_for(second.closed.wait(), 5)
        assert second.socket.close_code == 1013
        await still_works(first)
        await first.socket.close()
        await asyncio.sleep(0.1)
        assert (await running.client()).of_type("ready")


async def test_a_server_without_its_engines_says_why(settings: Settings, tmp_path: Any) -> None:
    empty = Settings(model_dir=tmp_path, log_level="critical")
    async with serving(empty, None) as running, httpx.AsyncClient(base_url=running.http) as http:
        async with asyncio.timeout(30):
            while running.server.failure is None:
                assert (await http.get("/readyz")).status_code == 503
                await asyncio.sleep(0.05)
        answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert "babblefish models pull" in answer.json()["reason"]
        client = await running.client(wait_ready=False)
        (error,) = await client.wait_for("error")
        assert (error["code"], error["fatal"]) == ("not_ready", True)
        await asyncio.wait_for(client.closed.wait(), 5)
        assert client.socket.close_code == 1013


async def test_a_client_that_vanishes_in_the_middle_is_still_heard_by_the_others(running: Running) -> None:
    speaker = await running.client(target_lang="fra", mode="stream")
    listener = await running.client(target_lang="eng", audio="none")
    await speaker.stream(speech(11))
    speaker.socket.transport.abort()
    (result,) = await listener.wait_for("result")
    assert result["translation"] == "<eng> bonjour tout le monde"


async def test_an_utterance_goes_on_when_its_sender_has_gone(running: Running, fakes: Fakes) -> None:
    fakes.speech_translator.delay_s = 0.3
    speaker = await running.client(target_lang="fra")
    listener = await running.client(target_lang="eng")
    await speaker.say(speech(11))
    await asyncio.sleep(0.1)
    speaker.socket.transport.abort()
    assert (await listener.wait_for("result"))[0]["tts_audio"]


async def test_a_translator_that_raises_costs_one_utterance(running: Running, fakes: Fakes) -> None:
    def fail(phrase: int) -> None:
        if phrase == 21:
            raise RuntimeError("scripted failure")

    fakes.speech_translator.before = fail
    client = await running.client(target_lang="fra")
    other = await running.client(target_lang="fra")
    await client.say(speech(21))
    (error,) = await client.wait_for("error")
    assert (error["code"], error["fatal"]) == ("engine_failed", False)
    assert error["utterance_id"]
    assert "scripted" not in error["message"]
    await still_works(client)
    assert not other.of_type("error")


async def test_an_encoder_that_raises_costs_the_speakers_name_only(running: Running, fakes: Fakes) -> None:
    fakes.speaker_encoder.broken = True
    client = await running.client(target_lang="eng")
    await client.say(speech(11))
    (result,) = await client.wait_for("result")
    assert (result["speaker_id"], result["speaker_confidence"]) == ("unknown", 0.0)
    assert result["tts_audio"]


async def test_a_text_translator_that_raises_leaves_the_transcript(running: Running, fakes: Fakes) -> None:
    fakes.text_translator.broken = True
    client = await running.client(target_lang="spa")
    await client.say(speech(11))
    (result,) = await client.wait_for("result")
    assert (result["translation"], result["target_lang"]) == ("bonjour tout le monde", "fra")
    assert (result["quality"], result["requested_lang"], result["tts_audio"]) == ("untranslated", "spa", None)


@pytest.mark.parametrize("made", [0, 1])
async def test_a_voice_that_raises_leaves_the_caption_and_what_was_spoken(
    running: Running, fakes: Fakes, made: int
) -> None:
    fakes.synthesizer.broken_after = made
    simple = await running.client(target_lang="eng")
    streaming = await running.client(target_lang="eng", audio="stream")
    await simple.say(speech(11))
    (result,) = await simple.wait_for("result")
    assert result["translation"] == "<eng> bonjour tout le monde"
    assert bool(result["tts_audio"]) == bool(made)
    pieces = await streaming.wait_for("speech", made + 1)
    assert [piece["last"] for piece in pieces] == [False] * made + [True]


async def test_an_overloaded_server_says_so_and_serves_what_it_took(fakes: Fakes) -> None:
    gate = threading.Event()
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(queue_limit=2, log_level="warning"), fakes.engines) as running:
        client = await running.client(target_lang="fra", audio="none")
        for _ in range(6):
            await client.say(speech(11))
        errors = await client.wait_for("error", 3)
        gate.set()
        await client.wait_for("result", 3)
        assert [error["code"] for error in errors] == ["overloaded"] * 3


async def test_an_utterance_that_takes_too_long_is_given_up_with_an_error(fakes: Fakes) -> None:
    fakes.speech_translator.delay_s = 0.5
    async with serving(Settings(utterance_deadline_s=0.2, log_level="error"), fakes.engines) as running:
        client = await running.client(target_lang="fra")
        await client.say(speech(11))
        assert (await client.wait_for("error"))[0]["code"] == "deadline_exceeded"


async def test_the_servers_own_speech_in_a_microphone_is_not_translated_back(running: Running) -> None:
    """The French speaker's English translation plays in the room and an open microphone hears it."""
    from tests import fakes as scripted

    client = await running.client(target_lang="eng")
    await client.say(speech(12))
    (result,) = await client.wait_for("result")
    scripted.PHRASES[99] = ("eng", result["translation"])
    try:
        await client.say(speech(99))
        (error,) = await client.wait_for("error")
    finally:
        del scripted.PHRASES[99]
    assert error["code"] == "echo"
    assert len(client.of_type("result")) == 1
    assert [message["name"] for message in client.of_type("speaker")] == ["Speaker 1"]


async def test_one_voice_in_two_microphones_is_one_utterance(running: Running) -> None:
    near = await running.client(target_lang="eng")
    far = await running.client(target_lang="eng")
    await near.say(speech(12))
    await far.say(speech(12))
    (error,) = await far.wait_for("error")
    assert error["code"] == "duplicate"
    await near.wait_for("result")
    assert len(near.of_type("result")) == 1


async def test_a_client_that_does_not_read_is_disconnected_and_delays_nobody(fakes: Fakes) -> None:
    fakes.synthesizer.piece_samples = 240_000
    async with serving(Settings(outbox_limit=4, log_level="error"), fakes.engines) as running:
        deaf = await running.client(target_lang="eng")
        quick = await running.client(target_lang="fra")
        deaf.socket.transport.pause_reading()
        for _ in range(60):  # until the network's own buffers are full, and then the outbox
            await still_works(quick)
            if len(running.server.sessions) == 1:
                break
        assert list(running.server.sessions) == [quick.messages[0]["client_id"]]
        await still_works(quick)
        deaf.socket.transport.abort()


async def test_a_burst_of_controls_harms_nobody_else(fakes: Fakes) -> None:
    async with serving(Settings(outbox_limit=32, log_level="error"), fakes.engines) as running:
        eager = await running.client(target_lang="fra")
        patient = await running.client(target_lang="fra")
        with contextlib.suppress(ConnectionClosed):  # it may fall behind with its own answers
            for number in range(500):
                await eager.control(type="set", name=f"name {number}")
        await still_works(patient)
        assert len(patient.of_type("presence")) < 100
