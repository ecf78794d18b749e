"""Interim recognition: what is still being said is recognised only in time that nobody else needs."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from babblefish.errors import DeadlineExceededError
from babblefish.pipeline.pace import Pace
from babblefish.settings import Settings
from tests.pipeline.test_batching import TogetherTranslator
from tests.support.fakes import Fakes, silence, speech
from tests.support.serving import Running, serving

SLOW_MACHINE = Pace(stalled_s=1000.0, interim_cost_valid_s=0.0)
SELDOM = replace(SLOW_MACHINE, interim_every_s=1000.0)


@pytest.fixture
def pace() -> Pace:
    """A slow machine's pauses mean nothing: neither the end of a stream, nor that an interim recognition takes long."""
    return SLOW_MACHINE


def encoded(fakes: Fakes) -> int:
    return fakes.calls.count["encode"]


async def test_switched_off_nothing_is_recognised_before_the_end(fakes: Fakes) -> None:
    async with serving(Settings(partials=False), fakes.engines, SLOW_MACHINE) as running:
        speaker = await running.client(mode="stream", audio="none")
        await speaker.stream(speech(11))
        await speaker.catch_up()
        assert encoded(fakes) == 0
        await speaker.stream(silence(1.0))
        await speaker.wait_for("result")
    assert encoded(fakes) == 1


@pytest.mark.parametrize("pace", [SELDOM], ids=["seldom"])
async def test_a_second_and_a_half_of_speech_comes_first_and_lies_between_two(running: Running, fakes: Fakes) -> None:
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(speech(11, 1.4))
    await speaker.catch_up()
    assert encoded(fakes) == 0
    await speaker.stream(speech(11, 0.4))
    await speaker.wait_for("partial")
    await speaker.stream(speech(11, 3.0))
    await speaker.catch_up()
    assert encoded(fakes) == 1


async def test_without_readers_nothing_is_recognised_early(running: Running, fakes: Fakes) -> None:
    speaker = await running.client(client_id="pierre", mode="stream", audio="none")
    assert running.server.rooms is not None
    running.server.rooms.open("main").members["pierre"].outbox.hold()  # as while it is sent what it missed
    await speaker.stream(speech(11))
    await speaker.catch_up()
    assert encoded(fakes) == 0


async def test_while_an_utterance_is_served_nothing_is_recognised_early(
    running: Running, fakes: Fakes, gate: threading.Event
) -> None:
    """Neither while it is recognised nor while it is spoken, and be it in another room."""
    spoken = threading.Event()
    fakes.speech_translator.before = lambda phrase: (gate.wait(10), None)[1] if phrase == 21 else None
    synthesize = fakes.synthesizer.synthesize
    fakes.synthesizer.synthesize = lambda *args: (spoken.wait(10), synthesize(*args))[1]  # type: ignore[method-assign]
    other = await running.client(room="kitchen", target_lang="fra", audio="stream")
    await other.say(speech(21))
    speaker = await running.client(mode="stream", audio="none")
    try:
        await speaker.stream(speech(11))
        await speaker.catch_up()
        assert encoded(fakes) <= 1
        gate.set()
        await other.wait_for("result")
        await speaker.stream(speech(11, 0.2))
        await speaker.catch_up()
        assert encoded(fakes) == 1
    finally:
        spoken.set()
    await other.wait_for("speech", 3)
    for _ in range(100):
        await speaker.stream(speech(11, 0.1))
        await speaker.catch_up()
        if speaker.of_type("partial"):
            break
    assert speaker.of_type("partial")


async def test_two_people_who_speak_at_once_are_recognised_early_one_after_another(
    running: Running, fakes: Fakes, gate: threading.Event
) -> None:
    fakes.speech_translator.before = lambda _: (gate.wait(10), None)[1]
    people = [await running.client(room=room, mode="stream", audio="none") for room in ("hall", "kitchen")]
    for client in people:
        await client.stream(speech(11))
        await client.catch_up()
    assert encoded(fakes) == 1
    gate.set()
    await people[0].wait_for("partial")
    await people[1].stream(speech(11, 0.2))
    await people[1].wait_for("partial")


async def test_none_begins_in_a_pause_which_may_be_the_end(
    running: Running, fakes: Fakes, gate: threading.Event
) -> None:
    fakes.speech_translator.before = lambda phrase: (gate.wait(10), None)[1] if phrase == 21 else None
    other = await running.client(room="kitchen", target_lang="fra", audio="none")
    await other.say(speech(21))
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(speech(11))
    await speaker.stream(silence(0.1))
    await speaker.catch_up()
    gate.set()
    await other.wait_for("result")
    await other.catch_up()
    for _ in range(2):
        await speaker.stream(silence(0.05))
        await speaker.catch_up()
    assert encoded(fakes) == 1
    await speaker.stream(speech(11, 0.2))
    await speaker.wait_for("partial")


@pytest.mark.parametrize("whose", ["its own", "another's"])
async def test_it_is_given_up_when_an_utterance_ends(
    running: Running, fakes: Fakes, gate: threading.Event, whose: str
) -> None:
    entered = threading.Event()
    fakes.speech_translator.before = lambda _: (entered.set(), gate.wait(10), None)[2]
    speaker = await running.client(mode="stream", target_lang="eng", audio="none")
    other = await running.client(room="kitchen", target_lang="eng", audio="none")
    await speaker.stream(speech(11))
    await speaker.catch_up()
    assert entered.wait(10)
    if whose == "its own":
        await speaker.send_message(type="flush")
        await speaker.catch_up()
    else:
        await other.say(speech(12))
        await other.catch_up()
    (early,) = fakes.speech_translator.requests
    assert early.interim
    with pytest.raises(DeadlineExceededError):
        early.deadline.check()
    gate.set()
    (result,) = await (speaker if whose == "its own" else other).wait_for("result")
    assert result["source_lang"] == "fra"
    assert speaker.of_type("partial") == speaker.of_type("error") == []
    assert [request.interim for request in fakes.speech_translator.requests] == [True, False]


async def test_an_engine_that_serves_several_at_once_goes_on_with_the_utterance_that_ended(
    fakes: Fakes, gate: threading.Event
) -> None:
    translator = TogetherTranslator(fakes.calls)
    translator.gate = gate
    async with serving(Settings(), replace(fakes.engines, speech_translator=translator), SLOW_MACHINE) as running:
        speaker = await running.client(mode="stream", audio="none")
        await speaker.stream(speech(11))
        await speaker.send_message(type="flush")
        await speaker.catch_up()
        gate.set()
        await speaker.wait_for("result")
        assert speaker.of_type("partial") == []
    assert translator.largest == 2
    assert [request.interim for request in translator.requests] == [True, False]
