"""The silence that makes sure of an utterance's end is used to recognise it."""

from __future__ import annotations

import threading

import pytest

from babblefish.pipeline.pace import Pace
from babblefish.settings import Settings
from tests.support.fakes import Fakes, silence, speech
from tests.support.serving import Running, serving
from tests.support.waiting import until

PATIENT = Pace(stalled_s=1000.0, interim_every_s=1000.0, interim_min_speech_s=1000.0)
PROBABLY_OVER_S = 0.3
"""Longer than the silence that an utterance keeps, shorter than the one that ends it."""


@pytest.fixture
def pace() -> Pace:
    """No pause of a slow machine ends a stream, and nothing is recognised while somebody speaks."""
    return PATIENT


def encoded(fakes: Fakes) -> int:
    return fakes.calls.count["encode"]


def is_idle(running: Running) -> bool:
    assert running.server.runtime.pipeline is not None
    return running.server.runtime.pipeline.is_idle


async def test_what_is_probably_over_is_recognised_once_and_told_when_that_is_sure(
    running: Running, fakes: Fakes
) -> None:
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(speech(11))
    await speaker.catch_up()
    assert encoded(fakes) == 0
    await speaker.stream(silence(PROBABLY_OVER_S))
    await until(lambda: encoded(fakes) == 1)
    await speaker.catch_up()
    assert not speaker.of_type("result")
    await speaker.stream(silence(1.0))
    (result,) = await speaker.wait_for("result")
    assert result["source_lang"] == "fra"
    assert encoded(fakes) == fakes.calls.count["embed"] == 1


async def test_who_goes_on_after_all_is_recognised_as_a_whole(running: Running, fakes: Fakes) -> None:
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(speech(11, 1.0))
    await speaker.stream(silence(PROBABLY_OVER_S))
    await until(lambda: encoded(fakes) == 1)
    await speaker.stream(speech(11, 1.0))
    await speaker.stream(silence(1.0))
    await speaker.wait_for("result")
    await speaker.catch_up()
    assert len(speaker.of_type("result")) == 1
    assert not speaker.of_type("error")
    assert len(fakes.speech_translator.requests[-1].samples) / 16000 > 2.0 + PROBABLY_OVER_S
    assert is_idle(running)


async def test_while_another_is_served_nothing_is_recognised_before_its_end(
    running: Running, fakes: Fakes, gate: threading.Event
) -> None:
    fakes.speech_translator.before = lambda phrase: (gate.wait(10), None)[1] if phrase == 21 else None
    other = await running.client(room="kitchen", target_lang="fra", audio="none")
    await other.say(speech(21))
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(speech(11))
    await speaker.stream(silence(PROBABLY_OVER_S))
    await speaker.catch_up()
    assert not is_idle(running)
    gate.set()
    await other.wait_for("result")
    assert encoded(fakes) == 1


async def test_who_comes_between_gets_it_in_their_own_language(running: Running, fakes: Fakes) -> None:
    speaker = await running.client(mode="stream", target_lang="fra", audio="none")
    await speaker.stream(speech(11))
    await speaker.stream(silence(PROBABLY_OVER_S))
    await until(lambda: encoded(fakes) == 1)
    listener = await running.client(target_lang="spa", audio="none")
    await speaker.stream(silence(1.0))
    (result,) = await listener.wait_for("result")
    assert (result["source_lang"], result["target_lang"]) == ("fra", "spa")
    assert encoded(fakes) == 1


async def test_who_says_what_language_it_is_is_recognised_again(running: Running, fakes: Fakes) -> None:
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(speech(11))
    await speaker.stream(silence(PROBABLY_OVER_S))
    await until(lambda: encoded(fakes) == 1)
    await speaker.set(source_lang="fra")
    await speaker.stream(silence(1.0))
    await speaker.wait_for("result")
    assert fakes.speech_translator.requests[-1].source_langs == {"fra"}


async def test_who_leaves_in_the_pause_is_still_heard_by_the_others(running: Running, fakes: Fakes) -> None:
    listener = await running.client(audio="none")
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(speech(11))
    await speaker.stream(silence(PROBABLY_OVER_S))
    await until(lambda: encoded(fakes) == 1)
    await speaker.close()
    await listener.wait_for("result")
    assert encoded(fakes) == 1


async def test_what_fails_early_is_told_once_when_it_has_ended(running: Running, fakes: Fakes) -> None:
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(speech(99))  # no words
    await speaker.stream(silence(PROBABLY_OVER_S))
    await until(lambda: encoded(fakes) == 1)
    await speaker.catch_up()
    assert not speaker.of_type("error")
    await speaker.stream(silence(1.0))
    (error,) = await speaker.wait_for("error")
    assert error["code"] == "no_speech"
    assert encoded(fakes) == 1


async def test_who_has_too_much_unfinished_leaves_nothing_behind(fakes: Fakes) -> None:
    settings = Settings(utterances_per_client=1)
    async with serving(settings, fakes.engines, PATIENT) as running:
        speaker = await running.client(client_id="pierre", mode="stream", audio="none")
        assert running.server.rooms is not None
        member = running.server.rooms.open("main").members["pierre"]
        await speaker.stream(speech(11))
        await speaker.stream(silence(PROBABLY_OVER_S))
        await until(lambda: encoded(fakes) == 1)
        member.backlog.in_flight += 1  # as by another connection of the same client
        await speaker.stream(silence(1.0))
        (error,) = await speaker.wait_for("error")
        assert error["code"] == "overloaded"
        assert is_idle(running)
