"""What is wrong gets a typed answer, and costs one utterance at most: never the connection, never another client."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import unicodedata
from typing import Any

import numpy as np
import pytest

from babblefish.client import ConnectionLostError
from babblefish.domain import Samples
from babblefish.pipeline.pace import Pace
from babblefish.settings import Settings
from babblefish.wire import client_messages
from tests.support.fakes import Fakes, silence, speech
from tests.support.serving import Running, serving, serving_on_a_port, still_works
from tests.support.waiting import until


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
    await client.send(frame)
    (error,) = await client.wait_for("error")
    assert (error["code"], error["fatal"]) == (code, False)
    assert error["message"]
    await still_works(client)


@pytest.mark.parametrize("mode", ["utterance", "stream"])
async def test_who_sends_no_pcm_is_told_so_once_and_served_on(running: Running, mode: str) -> None:
    client = await running.client(target_lang="fra", audio="none", mode=mode)
    floats = (speech(12) * np.sin(np.arange(32000))).astype("<f4").tobytes()
    for start in range(0, len(floats), 32000):
        await client.send(floats[start : start + 32000])
    await client.catch_up()
    (told,) = [error for error in client.of_type("error") if error["code"] == "bad_audio"]
    assert (told["fatal"], told["utterance_id"]) == (False, None)
    assert "32-bit float samples" in told["message"]
    before = len(client.of_type("result"))
    await client.stream(np.concatenate([silence(1), speech(11), silence(1)]), 4000)
    await client.wait_until(lambda: "bonjour tout le monde" in [r["source_text"] for r in client.of_type("result")])
    assert len(client.of_type("result")) > before


async def test_a_frame_without_speech_never_reaches_the_translator(running: Running, fakes: Fakes) -> None:
    client = await running.client(target_lang="fra")
    await client.say(np.full(32000, 0.002, dtype=np.float32))
    (error,) = await client.wait_for("error")
    assert error["code"] == "no_speech"
    assert error["utterance_id"]
    assert fakes.calls.count["encode"] == 0
    await still_works(client)


async def test_a_little_speech_in_a_long_frame_makes_no_speaker(running: Running) -> None:
    client = await running.client(target_lang="fra")
    await client.say(np.concatenate([silence(0.8), speech(11, 0.5), silence(0.8)]))
    (result,) = await client.wait_for("result")
    assert result["speaker_id"] == "unknown"


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


async def test_a_frame_beyond_the_limit_closes_only_its_own_connection(
    running_on_a_port: Running, settings: Settings
) -> None:
    client = await running_on_a_port.client(target_lang="fra")
    other = await running_on_a_port.client(target_lang="fra")
    with contextlib.suppress(ConnectionLostError):  # the refusal may come before the last byte has gone
        await client.send(bytes(settings.max_frame_bytes + 2))
    await asyncio.wait_for(client.closed.wait(), 5)
    assert client.close_code == 1009
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
        ('{"type": "set", "source_lang": "xx"}', "unknown_language"),
        ('{"type": "rename_speaker", "speaker_id": "speaker_9", "name": "Nobody"}', "unknown_speaker"),
        ('{"type": "rename_speaker", "speaker_id": "speaker_1", "name": "  "}', "invalid_message"),
        ('{"type": "flush"}', "invalid_message"),
        ('{"type": "set"' + ', "x": 0' * 300_000 + "}", "invalid_message"),
    ],
)
async def test_a_wrong_control_message_is_answered_and_changes_nothing(running: Running, text: str, code: str) -> None:
    client = await running.client(target_lang="fra")
    await client.send(text)
    (error,) = await client.wait_for("error")
    assert (error["code"], error["fatal"]) == (code, False)
    assert len(error["message"]) < 400
    await client.send_message(type="ping")
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
    assert client.close_code == 1008


async def test_a_full_server_says_so_and_closes(fakes: Fakes) -> None:
    async with serving(Settings(max_clients=1, log_level="warning"), fakes.engines) as running:
        first = await running.client(target_lang="fra")
        second = await running.client(wait_ready=False)
        (error,) = await second.wait_for("error")
        assert (error["code"], error["fatal"]) == ("full", True)
        await asyncio.wait_for(second.closed.wait(), 5)
        assert second.close_code == 1013
        await still_works(first)
        await first.close()
        await until(lambda: not running.server.sessions)
        assert (await running.client()).of_type("ready")


async def test_a_server_without_its_engines_says_why(settings: Settings, tmp_path: Any) -> None:
    empty = Settings(model_dir=tmp_path, log_level="critical")
    async with serving(empty, None) as running, running.http() as http:
        async with asyncio.timeout(30):
            while running.server.failure is None:
                assert (await http.get("/readyz")).status_code == 503
                await asyncio.sleep(0.05)
        answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert "babblefish models pull" in answer.json()["reason"]
        client = await running.client(wait_ready=False)
        (error,) = await client.wait_for("error")
        assert (error["code"], error["fatal"]) == ("setup", True)
        assert "babblefish models pull" in error["message"]
        await asyncio.wait_for(client.closed.wait(), 5)
        assert client.close_code == 1008


async def test_a_client_that_vanishes_in_the_middle_is_still_heard_by_the_others(running: Running) -> None:
    speaker = await running.client(target_lang="fra", mode="stream")
    listener = await running.client(target_lang="eng", audio="none")
    await speaker.stream(speech(11))
    speaker.vanish()
    (result,) = await listener.wait_for("result")
    assert result["translation"] == "<eng> bonjour tout le monde"


@pytest.mark.parametrize("pace", [Pace(away_s=0.0)], ids=["nobody comes back"])
async def test_what_nobody_is_left_to_hear_is_not_recognised(running: Running, fakes: Fakes) -> None:
    speaker = await running.client(target_lang="eng", mode="stream")
    await speaker.stream(speech(11, 1.0))
    await speaker.send_message(type="ping")
    await speaker.wait_for("pong")
    speaker.vanish()
    await until(lambda: not running.server.sessions)
    assert fakes.calls.count["voice"] > 0
    assert fakes.calls.count["encode"] == 0


async def test_an_utterance_goes_on_when_its_sender_has_gone(
    running: Running, fakes: Fakes, gate: threading.Event
) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    speaker = await running.client(target_lang="fra")
    listener = await running.client(target_lang="eng")
    await speaker.say(speech(11))
    await until(lambda: fakes.calls.count["encode"] == 1)
    speaker.vanish()
    await until(lambda: len(running.server.sessions) == 1)
    gate.set()
    assert (await listener.wait_for("result"))[0]["tts_audio"]


async def test_a_client_that_does_not_read_is_disconnected_and_delays_nobody(fakes: Fakes) -> None:
    fakes.synthesizer.piece_samples = 240_000
    async with serving_on_a_port(Settings(outbox_limit=4, log_level="error"), fakes.engines) as running:
        deaf = await running.client(target_lang="eng")
        quick = await running.client(target_lang="fra")
        deaf.connection.transport.pause_reading()
        assert running.server.rooms is not None
        room = running.server.rooms.open("main")
        for _ in range(60):  # until the network's own buffers are full, and then the outbox
            await still_works(quick)
            if len(room.members) == 1:
                break
        assert list(room.members) == [quick.messages[0]["client_id"]]
        deaf.connection.transport.resume_reading()
        await asyncio.wait_for(deaf.closed.wait(), 10)
        assert deaf.close_code == 1013
        await still_works(quick)


async def test_a_burst_of_controls_harms_nobody_else(fakes: Fakes) -> None:
    async with serving_on_a_port(Settings(outbox_limit=32, log_level="error"), fakes.engines) as running:
        eager = await running.client(target_lang="fra")
        patient = await running.client(target_lang="fra")
        with contextlib.suppress(ConnectionLostError):  # it may fall behind with its own answers
            for number in range(500):
                await eager.send_message(type="set", name=f"name {number}")
        await still_works(patient)
        assert len(patient.of_type("presence")) < 100


async def test_a_page_of_another_site_may_not_join(running: Running) -> None:
    foreign = await running.client(wait_ready=False, origin="http://elsewhere.example")
    (error,) = await foreign.wait_for("error")
    assert (error["code"], error["fatal"]) == ("not_allowed", True)
    await asyncio.wait_for(foreign.closed.wait(), 5)
    assert foreign.close_code == 1008
    assert (await running.client(origin=running.url)).of_type("ready")


@pytest.mark.parametrize("origin", ["null", "file://"])
async def test_a_page_without_an_origin_joins_with_the_code_of_the_start_only(running: Running, origin: str) -> None:
    """It may be a file, or a sandboxed frame in the page of any site that the browser of this machine visits."""
    framed = await running.client(wait_ready=False, origin=origin)
    (error,) = await framed.wait_for("error")
    assert (error["code"], "code that the server shows" in error["message"]) == ("not_allowed", True)
    assert (await running.client(origin=origin, token=running.server.access.file_code)).of_type("ready")


async def test_pages_without_an_origin_can_be_allowed(fakes: Fakes) -> None:
    settings = Settings(allowed_origins="null", access="off", log_level="error")  # type: ignore[arg-type]
    async with serving(settings, fakes.engines) as running:
        assert (await running.client(origin="null")).of_type("ready")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("\u3164\u2800\u115f", ""),
        ("\u200d\u200c", ""),
        ("Z\u0301\u0302\u0303\u0304\u0305\u0306\u0307", "Z\u0301\u0302\u0303\u0304"),
        ("\u0301\u0302", ""),
        ("a\u200d\u200d\u200db", "a\u200db"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        ("Nguyễn Thị Ngọc", "Nguyễn Thị Ngọc"),
    ],
    ids=[
        "drawn as nothing",
        "joiners alone",
        "a tower of marks",
        "marks alone",
        "many joiners",
        "Persian",
        "Vietnamese",
    ],
)
def test_a_name_is_what_can_be_seen_of_it(given: str, shown: str) -> None:
    assert client_messages.Join(name=given).name == unicodedata.normalize("NFC", shown)


async def test_a_voice_is_renamed_by_the_member_it_belongs_to_and_by_nobody_else(running: Running) -> None:
    pierre = await running.client(client_id="pierre", target_lang="fra", audio="none")
    mallory = await running.client(target_lang="fra", audio="none")
    await pierre.say(speech(11))
    await pierre.wait_for("result")
    await mallory.send_message(type="rename_speaker", speaker_id="speaker_1", name="Fool")
    (error,) = await mallory.wait_for("error")
    assert (error["code"], error["fatal"]) == ("not_yours", False)
    await pierre.send_message(type="rename_speaker", speaker_id="speaker_1", name="Pierre")
    await pierre.wait_until(lambda: [said["name"] for said in pierre.of_type("speaker")][-1:] == ["Pierre"])
    await pierre.close()
    await mallory.wait_until(lambda: len(mallory.of_type("presence")[-1]["members"]) == 1)
    await mallory.send_message(type="rename_speaker", speaker_id="speaker_1", name="Pierre L.")
    await mallory.wait_until(lambda: [said["name"] for said in mallory.of_type("speaker")][-1:] == ["Pierre L."])


async def test_what_cannot_be_seen_in_a_name_is_left_out(running: Running) -> None:
    client = await running.client(name=" Dan\x00\n\u202e 👩\u200d🚀 ")
    await client.wait_until(lambda: bool(client.of_type("presence")))
    assert client.of_type("presence")[0]["members"][0]["name"] == "Dan 👩\u200d🚀"
    await client.send_message(type="rename_speaker", speaker_id="speaker_1", name="\u202e\n")
    assert (await client.wait_for("error"))[0]["code"] == "invalid_message"


async def test_a_room_more_than_there_are_is_refused(fakes: Fakes, gate: threading.Event) -> None:
    settings = Settings(max_clients=2, kept_rooms=0, log_level="warning")
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(settings, fakes.engines) as running:
        gone = await running.client(room="one")
        await gone.say(speech(11))
        await running.client(room="two")
        await gone.close()
        await until(lambda: len(running.server.sessions) == 1)
        late = await running.client(wait_ready=False, room="three")
        assert (await late.wait_for("error"))[0]["code"] == "full"
        gate.set()


@pytest.mark.parametrize("duration_s", [15, 60], ids=["an utterance", "longer than any utterance"])
async def test_a_long_frame_leaves_the_voice_detector_to_others_every_second(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, gate: threading.Event, duration_s: float
) -> None:
    heard: list[int] = []

    def probability(chunk: Samples) -> float:
        heard.append(round(float(chunk[0]) * 100))
        gate.wait(10)
        return 0.99

    monkeypatch.setattr(fakes.voice_detector, "probability", probability)
    async with serving(Settings(socket_threads=1, log_level="error"), fakes.engines) as running:
        long = await running.client(target_lang="fra", audio="none")
        short = await running.client(target_lang="fra", audio="none", room="another")
        await long.say(speech(11, duration_s))
        await until(lambda: bool(heard))
        await short.say(speech(21))
        await until(lambda: running.server.runtime.workers.sockets.pending == 2)
        gate.set()
        await short.wait_for("result")
    assert heard.index(21) < 100, "one chunk has 32 ms"
