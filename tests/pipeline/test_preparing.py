"""A text translator is prepared for a route once, and no utterance is lost to the time that it takes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from babblefish.domain import Deadline, Quality, Utterance
from babblefish.engines.contracts import Route
from babblefish.errors import EngineError
from babblefish.pipeline.job import UtteranceJob
from babblefish.pipeline.texts import Texts
from babblefish.pipeline.workers import Workers
from babblefish.settings import Settings
from tests.support.fakes import Fakes

ROUTE = Route(("fra", "spa"), Quality.DRAFT)


@pytest.fixture
async def texts(fakes: Fakes, settings: Settings) -> AsyncIterator[Texts]:
    workers = Workers.start(settings)
    yield Texts(fakes.engines, workers, settings)
    await workers.close()


def job(deadline: Deadline) -> UtteranceJob:
    return UtteranceJob(Utterance.of_text("said", "pierre", "bonjour", frozenset(), time.monotonic()), deadline)


async def translated(texts: Texts, of: UtteranceJob) -> str:
    return (await texts.translate_utterance("bonjour", ROUTE, of, lambda _: None)).text


async def test_the_deadline_of_an_utterance_does_not_count_what_its_route_takes_to_prepare(
    texts: Texts, fakes: Fakes
) -> None:
    deadline = Deadline.after(1.0)

    def prepare(_route: Route, _deadline: Deadline) -> None:
        while not deadline.is_over:
            time.sleep(0.01)

    fakes.text_translator.prepare = prepare  # type: ignore[method-assign]
    said = job(deadline)
    assert await translated(texts, said) == "<spa> bonjour"
    assert not said.deadline.is_over
    said.deadline.cancel()
    assert deadline.is_over


async def test_all_that_wait_for_a_route_wait_for_one_preparation(
    texts: Texts, fakes: Fakes, gate: threading.Event
) -> None:
    prepare = fakes.text_translator.prepare
    fakes.text_translator.prepare = lambda *args: (gate.wait(10), prepare(*args))[1]  # type: ignore[method-assign]
    asked = [asyncio.create_task(texts.prepare(ROUTE))]
    asked += [asyncio.create_task(translated(texts, job(Deadline.after(30)))) for _ in range(2)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*asked)
    await translated(texts, job(Deadline.after(30)))
    assert fakes.calls.count["prepare"] == 1
    assert fakes.calls.count["text spa"] == 3


async def test_a_route_whose_preparation_failed_is_prepared_again_when_it_is_needed(texts: Texts, fakes: Fakes) -> None:
    prepare = fakes.text_translator.prepare

    def fail(_route: Route, _deadline: Deadline) -> None:
        fakes.text_translator.prepare = prepare  # type: ignore[method-assign]
        raise EngineError("scripted failure")

    fakes.text_translator.prepare = fail  # type: ignore[method-assign]
    with pytest.raises(EngineError):
        await texts.prepare(ROUTE)
    assert await translated(texts, job(Deadline.after(30))) == "<spa> bonjour"
    assert fakes.calls.count["prepare"] == 1
