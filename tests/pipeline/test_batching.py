"""Utterances that wait are served together, by engines that can; each has its own outcome."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from babblefish.engines.contracts import SpeechRequest, SpeechTranslation
from babblefish.errors import EngineError, NoSpeechError, OverloadedError
from babblefish.pipeline.workers import Worker
from babblefish.settings import Settings
from tests.support.fakes import Fakes, FakeSpeechTranslator, make_fakes, speech
from tests.support.serving import Running, serving

Take = Callable[[], str | None]
Outcomes = Iterator[tuple[str, str | Exception]]


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker("test", parallel=1, queue_limit=2)
    yield worker
    await worker.close()


class Kitchen:
    """Serves what it can take, a batch at a time, once its gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.batches: list[list[str]] = []

    def serve(self, take: Take) -> Outcomes:
        while (first := take()) is not None:
            assert self.gate.wait(10)
            batch = [first]
            while (item := take()) is not None:
                batch.append(item)
            self.batches.append(batch)
            for item in batch:
                yield item, NoSpeechError("nothing") if item == "silence" else item.upper()


async def test_what_waits_is_served_in_one_batch_and_each_gets_its_own(worker: Worker) -> None:
    kitchen = Kitchen()
    jobs = [asyncio.create_task(worker.share(kitchen.serve, item)) for item in ("one", "silence", "two")]
    await asyncio.sleep(0.05)
    kitchen.gate.set()
    outcomes = await asyncio.gather(*jobs, return_exceptions=True)
    assert kitchen.batches == [["one", "silence", "two"]]
    assert outcomes[0::2] == ["ONE", "TWO"]
    assert isinstance(outcomes[1], NoSpeechError)
    assert worker.pending == 0


async def test_a_full_queue_refuses_at_once(worker: Worker) -> None:
    kitchen = Kitchen()
    jobs = [asyncio.create_task(worker.share(kitchen.serve, item)) for item in "abc"]
    await asyncio.sleep(0.05)
    with pytest.raises(OverloadedError):
        await worker.share(kitchen.serve, "d")
    kitchen.gate.set()
    assert await asyncio.gather(*jobs) == ["A", "B", "C"]
    assert await worker.share(kitchen.serve, "d") == "D"


async def test_those_that_are_served_together_leave_the_queue_to_others(worker: Worker) -> None:
    gate = threading.Event()

    def three_at_once(take: Take) -> Outcomes:
        while batch := [item for _ in range(3) if (item := take()) is not None]:
            assert gate.wait(10)
            for item in batch:
                yield item, item.upper()

    async def share(items: str) -> list[asyncio.Task[str]]:
        jobs = [asyncio.create_task(worker.share(three_at_once, item)) for item in items]
        await asyncio.sleep(0.05)
        return jobs

    held = threading.Event()
    blocker = asyncio.create_task(worker.run(held.wait, 10))
    jobs = await share("ab")
    held.set()
    await blocker
    await asyncio.sleep(0.05)
    jobs += await share("cd")
    with pytest.raises(OverloadedError):
        await worker.share(three_at_once, "refused")
    gate.set()
    assert await asyncio.gather(*jobs) == ["A", "B", "C", "D"]
    assert worker.pending == 0


async def test_one_that_is_cancelled_while_it_waits_is_never_taken(worker: Worker) -> None:
    kitchen = Kitchen()
    jobs = [asyncio.create_task(worker.share(kitchen.serve, item)) for item in "abc"]
    await asyncio.sleep(0.05)
    jobs[1].cancel()
    await asyncio.sleep(0)
    kitchen.gate.set()
    outcomes = await asyncio.gather(*jobs, return_exceptions=True)
    assert kitchen.batches == [["a", "c"]]
    assert isinstance(outcomes[1], asyncio.CancelledError)


async def test_an_engine_that_breaks_fails_those_it_had_taken_and_serves_the_next(worker: Worker) -> None:
    def breaks(take: Take) -> Outcomes:
        while (item := take()) is not None:
            if item == "bad":
                raise ZeroDivisionError
            yield item, "done"

    outcomes = await asyncio.gather(*(worker.share(breaks, item) for item in ("good", "bad")), return_exceptions=True)
    assert outcomes[0] == "done"
    assert isinstance(outcomes[1], EngineError)
    # Whichever call takes it: that of the broken one's own turn may still be to come.
    assert await worker.share(breaks, "next") == "done"


async def test_one_without_an_outcome_is_not_waited_for_in_vain(worker: Worker) -> None:
    def forgets(take: Take) -> Outcomes:
        take()
        yield from ()

    with pytest.raises(EngineError):
        await worker.share(forgets, "forgotten")


async def test_closing_drops_what_waits() -> None:
    worker = Worker("test", parallel=1, queue_limit=2)
    gate = threading.Event()

    def one_at_a_time(take: Take) -> Outcomes:
        while (item := take()) is not None:
            assert gate.wait(10)
            yield item, item

    jobs = [asyncio.create_task(worker.share(one_at_a_time, item)) for item in "ab"]
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(worker.close())
    await asyncio.sleep(0.05)
    gate.set()
    await closing
    outcomes = await asyncio.gather(*jobs, return_exceptions=True)
    assert outcomes[0] == "a"
    assert isinstance(outcomes[1], asyncio.CancelledError)


async def test_one_that_comes_while_it_closes_is_not_waited_for_in_vain() -> None:
    worker = Worker("test", parallel=1, queue_limit=2)
    closing = asyncio.create_task(worker.close())
    late = asyncio.create_task(worker.share(Kitchen().serve, "late"))
    (outcome,) = await asyncio.wait_for(asyncio.gather(late, return_exceptions=True), timeout=5)
    await closing
    assert isinstance(outcome, EngineError | asyncio.CancelledError)
    assert worker.pending == 0


async def test_a_closed_worker_takes_no_item() -> None:
    worker = Worker("test", parallel=1, queue_limit=2)
    await worker.close()
    with pytest.raises(EngineError):
        await worker.share(Kitchen().serve, "late")
    assert worker.pending == 0


class TogetherTranslator(FakeSpeechTranslator):
    """Serves all that wait, when its gate is open."""

    gate = threading.Event()
    largest = 0

    def translate_batch(
        self, take: Callable[[], SpeechRequest | None]
    ) -> Iterator[tuple[SpeechRequest, SpeechTranslation | Exception]]:
        taken = []
        while (request := take()) is not None:
            assert self.gate.wait(10)
            taken.append(request)
        self.largest = max(self.largest, len(taken))
        for request in taken:
            try:
                yield request, self.translate(request)
            except Exception as error:
                yield request, error


@pytest.fixture
async def together() -> AsyncIterator[tuple[Running, TogetherTranslator]]:
    fakes: Fakes = make_fakes()
    translator = TogetherTranslator(fakes.calls)
    async with serving(Settings(), dataclasses.replace(fakes.engines, speech_translator=translator)) as running:
        yield running, translator


async def test_people_who_speak_at_once_share_a_batch_and_silence_costs_nobody_theirs(
    together: tuple[Running, TogetherTranslator],
) -> None:
    running, translator = together
    clients = [await running.client(target_lang="eng", room=f"room{number}", audio="none") for number in range(3)]
    for client, phrase in zip(clients, (11, 99, 31), strict=True):
        await client.say(speech(phrase))
    await asyncio.sleep(0.2)
    translator.gate.set()
    (french,) = await clients[0].wait_for("result")
    (nothing,) = await clients[1].wait_for("error")
    (polish,) = await clients[2].wait_for("result")
    assert (french["source_lang"], nothing["code"], polish["source_lang"]) == ("fra", "no_speech", "pol")
    assert translator.largest == 3
    assert french["timings"]["queue"] > 0
