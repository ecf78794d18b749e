"""V1's three socket servers with scripted engines: what each says of the same stream, and what it refuses."""

from __future__ import annotations

import base64
import io
import json
import threading
from typing import Any

import numpy as np
import pytest
import soundfile

from babblefish.audio import pcm
from babblefish.audio.pcm import wav_bytes
from babblefish.settings import Settings
from legacy import realtime_server, realtime_server_multispeaker, realtime_server_tts
from legacy.realtime import LONGEST_S
from tests.support.fakes import Fakes, silence, speech
from tests.support.legacy import connected, hear, say, serving, talking_to

SETTINGS = Settings(log_level="warning", max_utterance_s=LONGEST_S)
BONJOUR = np.concatenate([speech(11), silence(1)])
FRIENDS = np.concatenate([speech(21), silence(1)])


async def test_speech_becomes_text_and_its_translation(fakes: Fakes) -> None:
    async with serving(realtime_server.create_app, SETTINGS, fakes.engines) as server, talking_to(server) as client:
        await say(client, BONJOUR)
        result = await hear(client)
        assert result.pop("end") - result.pop("start") == pytest.approx(2, abs=0.2)
        assert result == {
            "type": "result",
            "utterance": 1,
            "text": "bonjour tout le monde",
            "language": "fra_Latn",
            "language_confidence": 0.9,
            "translation": "<eng> bonjour tout le monde",
            "quality": "good",
        }
        await say(client, FRIENDS)
        assert (await hear(client))["utterance"] == 2
    assert fakes.calls.count["embed"] == 0
    assert threading.get_ident() not in fakes.calls.threads


async def test_the_second_server_speaks_what_it_translated(fakes: Fakes) -> None:
    async with serving(realtime_server_tts.create_app, SETTINGS, fakes.engines) as server, talking_to(server) as client:
        await say(client, BONJOUR)
        result, *pieces = [await hear(client) for _ in range(3)]
        assert result["translation"] == "<eng> bonjour tout le monde"
        assert [(piece["type"], piece["index"], piece["utterance"]) for piece in pieces] == [
            ("speech", 0, 1),
            ("speech", 1, 1),
        ]
        assert pieces[0]["voice"] == "fake:eng"
        samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(pieces[1]["audio"])))
        assert (len(samples), rate_hz) == (2400, 24000)
        await say(client, FRIENDS)
        assert (await hear(client))["translation"] == "good evening my dear friends"
    assert fakes.calls.count["speak eng"] == 1  # what was said in English already is not said again


async def test_the_third_server_tells_voices_apart(fakes: Fakes) -> None:
    async with (
        serving(realtime_server_multispeaker.create_app, SETTINGS, fakes.engines) as server,
        talking_to(server, target_lang="eng_Latn") as client,
    ):
        speakers = []
        for utterance in (BONJOUR, FRIENDS, BONJOUR):
            await say(client, utterance)
            speakers.append(await hear(client))
            assert (await hear(client))["type"] == "result"
            if utterance is BONJOUR:
                assert [(await hear(client))["type"] for _ in range(2)] == ["speech", "speech"]
        assert [message["speaker_id"] for message in speakers] == ["speaker_1", "speaker_2", "speaker_1"]
        known = speakers[-1]["speakers"]
        assert [(one["name"], one["samples"]) for one in known] == [("Speaker 1", 2), ("Speaker 2", 1)]
        assert len({one["color"] for one in known}) == 2


async def test_each_connection_has_voices_of_its_own(fakes: Fakes) -> None:
    async with serving(realtime_server_multispeaker.create_app, SETTINGS, fakes.engines) as server:
        for utterance in (BONJOUR, FRIENDS):
            async with talking_to(server) as client:
                await say(client, utterance)
                assert (await hear(client))["speaker_id"] == "speaker_1"


async def test_unbroken_speech_is_flushed_every_five_seconds(fakes: Fakes) -> None:
    async with serving(realtime_server.create_app, SETTINGS, fakes.engines) as server, talking_to(server) as client:
        await say(client, speech(11, 16.0))
        results = [await hear(client) for _ in range(3)]
        assert all(0 < result["end"] - result["start"] <= LONGEST_S for result in results)
        assert [result["start"] for result in results[1:]] == [result["end"] for result in results[:-1]]


@pytest.mark.parametrize("ending", ["a flush", "silence on the wire"])
async def test_an_utterance_ends_with_a_flush_or_when_nothing_comes_any_more(fakes: Fakes, ending: str) -> None:
    async with serving(realtime_server.create_app, SETTINGS, fakes.engines) as server, talking_to(server) as client:
        await say(client, speech(11))
        if ending == "a flush":
            await client.send('{"type": "flush"}')
        assert (await hear(client))["text"] == "bonjour tout le monde"


async def test_a_language_that_no_path_leads_to_costs_the_translation_alone(fakes: Fakes) -> None:
    async with (
        serving(realtime_server_tts.create_app, SETTINGS, fakes.engines) as server,
        talking_to(server, target_lang="pol_Latn") as client,
    ):
        await say(client, BONJOUR)
        result, error = await hear(client), await hear(client)
        assert (result["text"], result["translation"]) == ("bonjour tout le monde", None)
        assert (error["type"], error["code"], error["utterance"]) == ("error", "no_path", 1)


async def test_what_fails_or_cannot_be_read_costs_one_utterance_or_nothing(fakes: Fakes) -> None:
    async with serving(realtime_server_tts.create_app, SETTINGS, fakes.engines) as server, talking_to(server) as client:
        for nonsense, code in (
            (b"", "invalid_audio"),
            ("?", "invalid_message"),
            ('{"type": "ping"}', "invalid_message"),
        ):
            await client.send(nonsense)
            assert (await hear(client))["code"] == code
        fakes.synthesizer.broken_after = 0
        await say(client, BONJOUR)
        assert [(await hear(client))["type"] for _ in range(2)] == ["result", "error"]
        fakes.synthesizer.broken_after = None
        await say(client, speech(99))
        await say(client, silence(1))
        await say(client, BONJOUR)
        assert [(await hear(client))["type"] for _ in range(3)] == ["result", "speech", "speech"]


async def test_who_speaks_faster_than_can_be_translated_is_told_so(fakes: Fakes) -> None:
    settings = SETTINGS.model_copy(update={"utterances_per_client": 1})
    goes_on = threading.Event()
    fakes.speech_translator.before = lambda _: goes_on.wait(30)
    async with serving(realtime_server.create_app, settings, fakes.engines) as server, talking_to(server) as client:
        for _ in range(4):
            await say(client, BONJOUR)
        assert (await hear(client))["code"] == "overloaded"
        goes_on.set()
        while (await hear(client))["type"] != "result":
            pass


async def test_of_a_recording_sent_in_one_frame_nothing_is_lost(fakes: Fakes) -> None:
    settings = SETTINGS.model_copy(update={"utterances_per_client": 1})
    async with serving(realtime_server.create_app, settings, fakes.engines) as server, talking_to(server) as client:
        await client.send(pcm.float_to_pcm16(np.concatenate([BONJOUR, FRIENDS] * 2 + [BONJOUR[:32000]])))
        await client.send('{"type": "flush"}')
        said = [(await hear(client))["text"] for _ in range(5)]
    assert said == ["bonjour tout le monde", "good evening my dear friends"] * 2 + ["bonjour tout le monde"]


async def test_who_sends_no_pcm_is_told_so_once_and_served_on(fakes: Fakes) -> None:
    async with serving(realtime_server.create_app, SETTINGS, fakes.engines) as server, talking_to(server) as client:
        await client.send(wav_bytes(silence(0.3), 16000))
        await client.send(wav_bytes(silence(0.3), 16000))
        error = await hear(client)
        assert (error["code"], "a WAV file" in error["message"]) == ("bad_audio", True)
        await say(client, BONJOUR)
        assert (await hear(client))["type"] == "result"


async def test_frames_that_end_within_a_sample_are_joined(fakes: Fakes) -> None:
    async with serving(realtime_server.create_app, SETTINGS, fakes.engines) as server, talking_to(server) as client:
        sent = pcm.float_to_pcm16(BONJOUR)
        for start in range(0, len(sent), 1281):
            await client.send(sent[start : start + 1281])
        assert (await hear(client))["text"] == "bonjour tout le monde"


@pytest.mark.parametrize(
    ("query", "headers", "code", "close"),
    [
        ({"target_lang": "english"}, {}, "unknown_language", 1008),
        ({"source_lang": "xx"}, {}, "unknown_language", 1008),
        ({}, {"Origin": "http://evil.example"}, "not_allowed", 1008),
        ({}, {"Origin": "null"}, "not_allowed", 1008),
        ({}, {"Host": "evil.example"}, "not_allowed", 1008),
    ],
)
async def test_who_may_not_join_is_told_why(
    fakes: Fakes, query: dict[str, str], headers: dict[str, str], code: str, close: int
) -> None:
    async with (
        serving(realtime_server.create_app, SETTINGS, fakes.engines) as server,
        connected(server, headers, **query) as client,
    ):
        assert json.loads(await client.recv())["code"] == code
        await client.wait_closed()
        assert client.close_code == close


async def test_a_full_server_refuses_one_more_until_somebody_leaves(fakes: Fakes) -> None:
    settings = SETTINGS.model_copy(update={"max_clients": 1})
    async with serving(realtime_server.create_app, settings, fakes.engines) as server:
        async with talking_to(server), connected(server) as second:
            assert json.loads(await second.recv())["code"] == "full"
            await second.wait_closed()
            assert second.close_code == 1013
        for _ in range(500):
            async with connected(server) as third:
                if json.loads(await third.recv())["type"] == "ready":
                    return
    raise AssertionError("no place became free")


async def test_the_page_is_served_under_the_names_of_this_server_only(fakes: Fakes) -> None:
    async with serving(realtime_server.create_app, SETTINGS, fakes.engines) as server, server.http() as client:
        assert (await client.get("/", headers={"Host": "evil.example"})).status_code == 421
        assert (await client.get("/languages", headers={"Origin": "http://evil.example"})).status_code == 403


@pytest.mark.parametrize("version", [realtime_server, realtime_server_tts, realtime_server_multispeaker])
async def test_each_serves_the_page_and_the_languages_it_offers(fakes: Fakes, version: Any) -> None:
    async with serving(version.create_app, SETTINGS, fakes.engines) as server, server.http() as client:
        page = await client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert "//" not in page.text.split("<script>")[0].replace("<!doctype", "")
        languages = (await client.get("/languages")).json()["languages"]
        assert {"code": "fra_Latn", "name": "Français"} in languages
