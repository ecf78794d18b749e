"""A call that hangs is given up with its thread; nobody is let in until its engine answers again."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from babblefish.domain import Deadline, Samples
from babblefish.engines.contracts import Route
from babblefish.pipeline.pace import Pace
from babblefish.pipeline.trial import trial
from babblefish.settings import Settings
from tests.support.fakes import Fakes, speech
from tests.support.phones import until
from tests.support.serving import Client, Running, serving, still_works


@pytest.fixture
async def running(fakes: Fakes) -> AsyncIterator[Running]:
    """A server that does not wait long for anything."""
    pace = Pace(hangs_after_s=0.0, watch_every_s=0.01)
    async with serving(Settings(utterance_deadline_s=1.0, log_level="critical"), fakes.engines, pace) as running:
        yield running


class Hanging:
    """A translator that hangs when it is called first, and when it is tried out until it is told to go on."""

    def __init__(self, fakes: Fakes) -> None:
        self.first, self.others = threading.Event(), threading.Event()
        self.calls = 0
        fakes.speech_translator.before = self._call

    def _call(self, phrase: int) -> None:
        self.calls += 1
        (self.first if self.calls == 1 else self.others).wait(10)


@pytest.fixture
def hanging(fakes: Fakes) -> Any:
    hanging = Hanging(fakes)
    yield hanging
    hanging.first.set()
    hanging.others.set()


async def hangs(running: Running, hanging: Hanging) -> Client:
    """Return a client whose utterance has hung, and been given up."""
    client = await running.client(target_lang="fra", audio="none")
    await client.say(speech(11))
    assert (await client.wait_for("error"))[0]["code"] == "deadline_exceeded"
    await until(lambda: hanging.calls == 2)
    return client


async def test_while_an_engine_hangs_the_server_is_not_ready_and_says_why(running: Running, hanging: Hanging) -> None:
    client = await hangs(running, hanging)
    async with running.http() as http:
        answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {"ready": False, "reason": "an engine hangs: translation"}
        newcomer = await running.client(wait_ready=False)
        assert (await newcomer.wait_for("error"))[0]["code"] == "not_ready"
        shown = (await http.get("/dashboard?format=json")).json()
        assert shown["health"] == {"state": "not_ready", "reasons": ["an engine hangs: translation"]}
        states = {engine["engine"]: engine["state"] for engine in shown["engines"]}
        assert [engine for engine, state in states.items() if state == "stalled"] == ["speech_translator"]
        metrics = (await http.get("/metrics")).text
        assert 'babblefish_engine_state{engine="speech_translator",state="stalled"} 1.0' in metrics
    await client.send_message(type="ping")
    await client.wait_for("pong")


async def test_once_the_engine_answers_everything_works_in_fresh_threads(running: Running, hanging: Hanging) -> None:
    client = await hangs(running, hanging)
    hanging.others.set()
    await until(lambda: running.server.is_ready)
    await still_works(client)
    newcomer = await running.client(target_lang="fra", audio="none", room="another")
    await still_works(newcomer)
    assert not hanging.first.is_set(), "the first call hangs still"


async def test_an_engine_that_hangs_again_when_tried_out_takes_no_more_threads(
    running: Running, hanging: Hanging
) -> None:
    client = await hangs(running, hanging)
    for _ in range(2):
        await client.say(speech(12))
    await client.wait_for("error", 3)
    translation = running.server.runtime.workers.translation
    await until(lambda: translation.stalled_s > 1.2)
    assert (hanging.calls, running.server.is_ready) == (2, False)
    assert translation.failures == 1


async def test_what_waits_behind_a_call_that_hangs_is_served_by_the_fresh_threads(fakes: Fakes) -> None:
    hanging = Hanging(fakes)
    hanging.others.set()
    pace = Pace(hangs_after_s=-2.0, watch_every_s=0.01)  # before any utterance's deadline
    try:
        async with serving(Settings(utterance_deadline_s=3.0, log_level="critical"), fakes.engines, pace) as running:
            first = await running.client(target_lang="fra", audio="none", room="first")
            second = await running.client(target_lang="fra", audio="none", room="second")
            await first.say(speech(11))
            await until(lambda: hanging.calls == 1)
            await second.say(speech(12))
            assert (await first.wait_for("error"))[0]["code"] == "engine_failed"
            await second.wait_for("result")
            hanging.first.set()
    finally:
        hanging.first.set()


def test_every_engine_is_tried_out_by_a_call_of_its_own(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def embed(samples: Samples) -> None:
        called.append("speaker")

    def probability(chunk: Samples) -> float:
        called.append("sockets")
        return 0.0

    def translate(text: str, route: Route, deadline: Deadline) -> str:
        called.append("text-translation")
        return text

    monkeypatch.setattr(fakes.speaker_encoder, "embed", embed)
    monkeypatch.setattr(fakes.voice_detector, "probability", probability)
    monkeypatch.setattr(fakes.text_translator, "translate", translate)
    fakes.synthesizer.before = lambda text: called.append("synthesis")
    for worker in ("speaker", "sockets", "text-translation", "synthesis"):
        trial(worker, fakes.engines, Deadline.after(10))()
    assert called == ["speaker", "sockets", "text-translation", "synthesis"]
