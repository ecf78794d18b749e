"""Workers: threads behind a bounded queue."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from babblefish.errors import EngineError, NoSpeechError, OverloadedError
from babblefish.pipeline.workers import Worker, left_running
from tests.support.phones import until


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker("test", parallel=1, queue_limit=1)
    yield worker
    await worker.close()


def hanging_threads() -> list[str]:
    return [name for name in left_running() if name.startswith("babblefish-test")]


def a_second(_: object) -> float:
    """Every item keeps its listeners busy for a second."""
    return 1.0


async def test_a_job_runs_in_another_thread_and_returns(worker: Worker) -> None:
    assert await worker.run(threading.get_ident) != threading.get_ident()
    assert worker.pending == 0


async def test_a_full_queue_refuses_at_once_and_recovers(worker: Worker) -> None:
    gate = threading.Event()
    jobs = [asyncio.create_task(worker.run(gate.wait, 10)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await worker.run(int)
    gate.set()
    await asyncio.gather(*jobs)
    assert await worker.run(int) == 0


async def test_our_own_errors_pass_and_others_become_engine_errors(worker: Worker) -> None:
    def silent() -> None:
        raise NoSpeechError("nothing")

    with pytest.raises(NoSpeechError):
        await worker.run(silent)
    with pytest.raises(EngineError, match="test failed"):
        await worker.run(lambda: 1 / 0)
    assert worker.pending == 0


async def test_a_cancelled_job_that_waits_never_starts(worker: Worker) -> None:
    gate = threading.Event()
    started: list[str] = []
    running = asyncio.create_task(worker.run(gate.wait, 10))
    waiting = asyncio.create_task(worker.run(started.append, "waiting"))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.sleep(0.05)
    gate.set()
    await running
    await worker.run(started.append, "next")
    assert started == ["next"]


async def test_a_generator_is_drained_in_the_thread_and_its_items_come_as_they_are_made(worker: Worker) -> None:
    gate = threading.Event()
    threads: set[int] = set()

    def generate() -> Iterator[int]:
        for item in range(3):
            threads.add(threading.get_ident())
            yield item
            if item == 0:
                gate.wait(10)

    items = []
    async for item in worker.stream(generate, a_second):
        items.append(item)
        gate.set()  # the first item is here while the thread still waits inside the generator
    assert items == [0, 1, 2]
    assert threading.get_ident() not in threads
    assert worker.pending == 0


async def test_items_before_a_failure_arrive(worker: Worker) -> None:
    def generate() -> Iterator[int]:
        yield 1
        raise RuntimeError("scripted failure")

    stream = worker.stream(generate, a_second)
    assert await anext(stream) == 1
    with pytest.raises(EngineError):
        await anext(stream)


async def test_an_abandoned_generator_stops_at_its_next_item(worker: Worker) -> None:
    gate = threading.Event()
    made: list[int] = []

    def generate() -> Iterator[int]:
        for item in range(100):
            made.append(item)
            yield item
            gate.wait(10)

    stream = worker.stream(generate, a_second)
    assert await anext(stream) == 0
    await stream.aclose()
    gate.set()
    assert await worker.run(lambda: len(made)) <= 2


async def test_the_item_that_is_needed_soonest_is_made_first() -> None:
    """Three streams wait together; with one thread, each gets its first item before any gets its second."""
    worker = Worker("test", parallel=1, queue_limit=3)
    made: list[tuple[str, int]] = []
    gate = threading.Event()

    def generate(name: str) -> Iterator[int]:
        for item in range(3):
            made.append((name, item))
            yield item

    async def listen(name: str) -> None:
        async for _ in worker.stream(lambda: generate(name), a_second):
            pass

    held = asyncio.create_task(worker.run(gate.wait, 10))
    listening = [asyncio.create_task(listen(name)) for name in "abc"]
    await until(lambda: worker.pending == 4)
    gate.set()
    await asyncio.gather(held, *listening)
    await worker.close()
    assert [item for _, item in made] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


async def test_a_call_that_hangs_is_given_up_with_its_thread_and_the_others_go_on(worker: Worker) -> None:
    gate = threading.Event()
    hanging = asyncio.create_task(worker.run(gate.wait, 10))
    await until(lambda: worker.stalled_s > 0)
    waiting = asyncio.create_task(worker.run(threading.get_ident))
    await until(lambda: worker.pending == 2)
    assert not worker.give_up_stalled(after_s=3600)
    assert worker.give_up_stalled(after_s=0)
    with pytest.raises(EngineError, match="test hangs"):
        await hanging
    assert await waiting != threading.get_ident()
    await until(lambda: (worker.pending, worker.stalled_s) == (0, 0.0))  # its thread says so a moment after the answer
    assert worker.failures == 1
    await worker.close()
    await until(lambda: len(hanging_threads()) == 1)  # it ends with the process
    gate.set()
    await until(lambda: not hanging_threads())


async def test_a_stream_and_a_batch_that_hang_are_given_up_too(worker: Worker) -> None:
    gate = threading.Event()

    def generate() -> Iterator[int]:
        yield 1
        gate.wait(10)
        yield 2

    def serve(take: Callable[[], str | None]) -> Iterator[tuple[str, str]]:
        while (item := take()) is not None:
            gate.wait(10)
            yield item, item

    stream = worker.stream(generate, a_second)
    assert await anext(stream) == 1
    await until(lambda: worker.stalled_s > 0)
    assert worker.give_up_stalled(after_s=0)
    with pytest.raises(EngineError, match="test hangs"):
        await anext(stream)
    shared = asyncio.create_task(worker.share(serve, "item"))
    await until(lambda: worker.stalled_s > 0)
    assert worker.give_up_stalled(after_s=0)
    with pytest.raises(EngineError, match="test hangs"):
        await shared
    gate.set()
    assert await worker.run(int) == 0
