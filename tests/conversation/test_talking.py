"""Who is talking, as the others of the room are told."""

from __future__ import annotations

import pytest

from babblefish.pipeline.pace import Pace
from tests.support.fakes import silence, speech
from tests.support.serving import Client, Running


@pytest.fixture
def pace() -> Pace:
    return Pace(talking_delay_s=0.01)


def told(client: Client) -> list[tuple[str, bool]]:
    return [(message["client_id"], message["talking"]) for message in client.of_type("talking")]


async def test_the_others_see_when_somebody_begins_and_ends_to_speak(running: Running) -> None:
    speaker = await running.client(client_id="pierre", mode="stream")
    listener = await running.client(client_id="dan")
    elsewhere = await running.client(room="kitchen")
    await speaker.stream(speech(11))
    await listener.wait_for("talking")
    await speaker.stream(silence(1.0))
    await listener.wait_for("talking", 2)
    assert told(listener) == [("pierre", True), ("pierre", False)]
    assert told(speaker) == told(elsewhere) == []


async def test_flushing_ends_it_too(running: Running) -> None:
    speaker = await running.client(client_id="pierre", mode="stream")
    listener = await running.client()
    await speaker.stream(speech(11))
    await listener.wait_for("talking")
    await speaker.send_message(type="flush")
    await listener.wait_for("talking", 2)
    assert told(listener) == [("pierre", True), ("pierre", False)]


async def test_who_leaves_talks_no_more(running: Running) -> None:
    speaker = await running.client(client_id="pierre", mode="stream")
    listener = await running.client()
    await speaker.stream(speech(11))
    await listener.wait_for("talking")
    speaker.vanish()
    await listener.wait_for("talking", 2)
    assert told(listener) == [("pierre", True), ("pierre", False)]


async def test_who_comes_in_is_told_who_talks(running: Running) -> None:
    speaker = await running.client(client_id="pierre", mode="stream")
    listener = await running.client()
    await speaker.stream(speech(11))
    await listener.wait_for("talking")
    newcomer = await running.client()
    assert newcomer.messages[0]["type"] == "ready"
    await newcomer.wait_for("talking")
    assert told(newcomer)[0] == ("pierre", True)


@pytest.mark.parametrize("pace", [Pace(talking_delay_s=0.5)], ids=["half a second"])
async def test_speaking_in_bursts_does_not_flood_the_room(running: Running) -> None:
    speaker = await running.client(client_id="pierre", mode="stream")
    listener = await running.client()
    for _ in range(50):
        await speaker.stream(speech(11, 0.04))
        await speaker.send_message(type="flush")
    await speaker.stream(speech(11))
    await speaker.send_message(type="ping")
    await speaker.wait_for("pong", timeout_s=20)
    await listener.wait_until(lambda: told(listener)[-1:] == [("pierre", True)])
    assert len(told(listener)) < 50


async def test_whole_utterances_say_nothing_about_talking(running: Running) -> None:
    speaker = await running.client(target_lang="fra")
    listener = await running.client(target_lang="fra")
    await speaker.say(speech(11))
    await listener.wait_for("result")
    assert told(listener) == []
