"""An engine that fails, hangs or is slow costs its part of one utterance and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from babblefish.audio import pcm
from babblefish.domain import Deadline, Speech
from babblefish.engines.contracts import SpeechRequest, SpeechTranslation
from babblefish.models import install
from babblefish.pipeline.pace import Pace
from babblefish.settings import Settings
from tests.support.fakes import PHRASES, Fakes, speech
from tests.support.phones import until
from tests.support.serving import Running, serving, still_works


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


@pytest.mark.parametrize(
    ("doubtful", "english", "french"),
    [((), "good", "original"), (("eng",), "draft", "original"), (("fra",), "draft", "original")],
)
async def test_a_translation_from_speech_that_is_doubted_is_a_draft(
    running: Running, fakes: Fakes, doubtful: tuple[str, ...], english: str, french: str
) -> None:
    translate = fakes.speech_translator.translate

    def doubt(request: SpeechRequest) -> SpeechTranslation:
        return replace(translate(request), doubtful=frozenset(doubtful))

    fakes.speech_translator.translate = doubt  # type: ignore[method-assign]
    clients = [await running.client(target_lang=lang) for lang in ("eng", "fra")]
    await clients[0].say(speech(11))
    results = [(await client.wait_for("result"))[0] for client in clients]
    assert [result["quality"] for result in results] == [english, french]


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
        clients = [await running.client(target_lang="fra", audio="none", room=f"room-{n}") for n in range(6)]
        for client in clients:
            await client.say(speech(11))

        def told(kind: str) -> list[dict[str, Any]]:
            return [message for client in clients for message in client.of_type(kind)]

        await until(lambda: len(told("error")) == 3)
        gate.set()
        await until(lambda: len(told("result")) == 3)
        assert [error["code"] for error in told("error")] == ["overloaded"] * 3


async def test_an_utterance_that_takes_too_long_is_given_up_with_an_error(fakes: Fakes) -> None:
    fakes.speech_translator.delay_s = 0.1
    async with serving(Settings(utterance_deadline_s=0.05, log_level="error"), fakes.engines) as running:
        client = await running.client(target_lang="fra")
        await client.say(speech(11))
        assert (await client.wait_for("error"))[0]["code"] == "deadline_exceeded"


async def test_an_engine_that_hangs_is_waited_for_until_the_deadline_only(fakes: Fakes) -> None:
    gate = threading.Event()
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None if phrase == 21 else None
    async with serving(Settings(utterance_deadline_s=0.3, log_level="error"), fakes.engines) as running:
        client = await running.client(target_lang="fra")
        await client.say(speech(21))
        assert (await client.wait_for("error"))[0]["code"] == "deadline_exceeded"
        gate.set()
        await still_works(client)


async def test_a_voice_that_hangs_costs_the_speech_and_not_the_caption(fakes: Fakes) -> None:
    gate = threading.Event()

    def hang(text: str, lang: str, deadline: Deadline, voice: str | None) -> Iterator[Speech]:
        gate.wait(10)
        yield from ()

    fakes.synthesizer.synthesize = hang  # type: ignore[method-assign]
    async with serving(Settings(utterance_deadline_s=0.3, log_level="error"), fakes.engines) as running:
        simple = await running.client(target_lang="eng")
        streaming = await running.client(target_lang="eng", audio="stream")
        await simple.say(speech(11))
        (result,) = await simple.wait_for("result")
        assert (result["translation"], result["tts_audio"]) == ("<eng> bonjour tout le monde", None)
        (piece,) = await streaming.wait_for("speech")
        assert piece["last"]
        gate.set()


async def test_what_breaks_in_one_language_does_not_reach_the_others(running: Running, fakes: Fakes) -> None:
    synthesize = fakes.synthesizer.synthesize

    def unsound_in_spanish(text: str, lang: str, deadline: Deadline, voice: str | None) -> Iterator[Speech]:
        for piece in synthesize(text, lang, deadline):
            yield replace(piece, samples=np.array([object()])) if lang == "spa" else piece

    fakes.synthesizer.synthesize = unsound_in_spanish  # type: ignore[method-assign]
    english = await running.client(target_lang="eng", audio="stream")
    spanish = await running.client(target_lang="spa")
    await english.say(speech(11))
    (result,) = await spanish.wait_for("result")
    assert (result["translation"], result["tts_audio"]) == ("<spa> bonjour tout le monde", None)
    assert [piece["last"] for piece in await english.wait_for("speech", 3)] == [False, False, True]


async def test_one_client_cannot_take_all_places_in_the_queue(fakes: Fakes) -> None:
    gate = threading.Event()
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(utterances_per_client=2, log_level="warning"), fakes.engines) as running:
        greedy = await running.client(target_lang="fra", audio="none", room="one")
        modest = await running.client(target_lang="fra", audio="none", room="two")
        for _ in range(10):
            await greedy.say(speech(11))
        errors = await greedy.wait_for("error", 8)
        assert {error["code"] for error in errors} == {"overloaded"}
        assert all(error["utterance_id"] for error in errors)
        await modest.say(speech(12))
        gate.set()
        await modest.wait_for("result")
        assert not modest.of_type("error")


@pytest.mark.parametrize("pace", [Pace(stalled_s=0.05)], ids=["a moment"])
async def test_a_stream_that_stops_in_the_middle_has_ended_its_utterance(running: Running) -> None:
    client = await running.client(target_lang="fra", mode="stream")
    await client.send(pcm.float_to_pcm16(speech(11)))  # and then the phone is locked
    (result,) = await client.wait_for("result")
    assert result["source_text"] == "bonjour tout le monde"


async def test_damaged_weights_are_named_with_the_command_that_finds_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(asset: str, _: object) -> None:
        raise ValueError("not a model")

    monkeypatch.setattr(install, "locate", damaged)
    async with serving(Settings(log_level="critical"), None) as running:
        await asyncio.wait_for(running.server.loaded.wait(), 30)
        assert running.server.failure is not None
        assert "speech translator cannot be loaded: not a model" in running.server.failure
        assert "babblefish models verify" in running.server.failure
        assert "kokoro" not in running.server.failure


async def test_the_servers_own_speech_in_a_microphone_is_not_translated_back(running: Running) -> None:
    """The French speaker's English translation plays in the room and an open microphone hears it."""
    client = await running.client(target_lang="eng")
    await client.say(speech(12))
    (result,) = await client.wait_for("result")
    PHRASES[99] = ("eng", result["translation"])
    try:
        await client.say(speech(99))
        (error,) = await client.wait_for("error")
    finally:
        del PHRASES[99]
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
