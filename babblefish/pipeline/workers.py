"""The only place that makes threads: each engine's calls run in a worker of its own, behind a bounded queue.

The event loop submits and awaits. Whatever an engine raises comes back as one of the project's errors; a queue that is
full says so at once instead of growing. Generators are drained inside the worker's thread, so that no lazy step ever
runs on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from babblefish.domain import BabbleFishError, EngineError, OverloadedError
from babblefish.settings import Settings
from babblefish.telemetry.usage import join_group

_log = logging.getLogger(__name__)
_THREAD_PREFIX = "babblefish-"
_VOICES = 16
"""Captions that are being spoken; most of their threads wait for a place."""

_LOOK_S = 0.01

_P = ParamSpec("_P")
_T = TypeVar("_T")
_R = TypeVar("_R")


class _Slots:
    """A bounded number of places, given to whoever needs one soonest."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[tuple[float, int]] = []
        self._tickets = itertools.count()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, needed_s: float) -> Iterator[None]:
        """Wait for a place, behind those who need theirs before ``needed_s``, and hold it."""
        with self._changed:
            ticket = (needed_s, next(self._tickets))
            heapq.heappush(self._waiting, ticket)
            self._changed.wait_for(lambda: self._free > 0 and self._waiting[0] == ticket)
            heapq.heappop(self._waiting)
            self._free -= 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()


class Worker:
    """The threads that own an engine."""

    def __init__(
        self,
        name: str,
        parallel: int,
        queue_limit: int,
        at_once: int | None = None,
        cpus: Collection[int] | None = None,
    ) -> None:
        """Make a worker.

        Args:
            name: Of the threads, and in errors.
            parallel: Jobs that run side by side.
            queue_limit: Jobs that may wait beside those that run.
            at_once: Items of streams that are made at the same time; None for as many as there are jobs.
            cpus: Numbers of the CPUs that its threads, and those of its libraries, run on; None for all.
        """
        self.name = name
        self._limit = parallel + queue_limit
        self._pending = 0
        self._shared = 0
        self._progress_s = 0.0
        self._counting = threading.Lock()
        self._slots = _Slots(at_once or parallel)
        self._waiting: deque[tuple[Any, Future[Any]]] = deque()
        self._threads = ThreadPoolExecutor(
            parallel, f"{_THREAD_PREFIX}{name}", initializer=join_group, initargs=(name, cpus)
        )
        self.failures = 0
        """Calls that raised something that is not one of the project's errors."""

    @property
    def pending(self) -> int:
        """Jobs that run or wait."""
        return self._pending

    @property
    def is_crowded(self) -> bool:
        """Whether most of the jobs that it may have run or wait."""
        return self._pending > self._limit // 2

    @property
    def stalled_s(self) -> float:
        """Seconds for which it has had work and finished nothing of it, not even an item; 0 while there is none."""
        return time.monotonic() - self._progress_s if self._pending else 0.0

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call ``function`` in a thread of this worker and return what it returns.

        Cancelling takes a job out of the queue; one that runs goes on until its own deadline check.

        Raises:
            OverloadedError: Too many jobs are waiting.
            EngineError: The function raised something that is not one of the project's errors.
        """
        try:
            return await asyncio.wrap_future(self._submit(lambda: function(*args, **kwargs)))
        except (BabbleFishError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise self._failed(error) from error

    async def share(
        self, serve: Callable[[Callable[[], _T | None]], Iterator[tuple[_T, _R | Exception]]], item: _T
    ) -> _R:
        """Have an item served together with those that others give meanwhile, and return its outcome.

        Cancelling takes the item out of the queue; one that was taken goes on until its own deadline check.

        Args:
            serve: Called in a thread of this worker with what gives it the next waiting item, or None; yields each item
                that it took with its outcome. The same for every item of this worker.
            item: Hashable.

        Raises:
            OverloadedError: Too many jobs are waiting.
            EngineError: The outcome is an exception that is not one of the project's errors, or ``serve`` raised one,
                which fails every item that it had taken.
        """
        future: Future[_R] = Future()
        self._count()
        future.add_done_callback(self._ended)
        self._waiting.append((item, future))
        try:
            self._threads.submit(self._serve, serve)
            return await asyncio.wrap_future(future)
        except (BabbleFishError, asyncio.CancelledError):
            raise
        except Exception as error:
            future.cancel()  # where the threads have ended, nobody else would
            raise self._failed(error) from error

    def _serve(self, serve: Callable[[Callable[[], Any]], Iterator[tuple[Any, Any]]]) -> None:
        """Serve what waits; nothing may, where an earlier call has taken it along."""
        taken: dict[Any, Future[Any]] = {}

        def take() -> Any:
            with contextlib.suppress(IndexError):
                while True:
                    item, future = self._waiting.popleft()
                    if future.set_running_or_notify_cancel():
                        taken[item] = future
                        self._count_shared(1)
                        return item
            return None

        def settle(item: Any) -> Future[Any]:
            future = taken.pop(item)
            self._count_shared(-1)
            return future

        failure: Exception = EngineError(f"{self.name} gave no outcome")
        try:
            for item, outcome in serve(take):
                self._progress_s = time.monotonic()
                if isinstance(outcome, Exception):
                    settle(item).set_exception(outcome)
                else:
                    settle(item).set_result(outcome)
        except Exception as error:
            failure = error
        for item in tuple(taken):
            settle(item).set_exception(failure)

    async def stream(
        self, function: Callable[[], Iterator[_T]], lasts_s: Callable[[_T], float]
    ) -> AsyncGenerator[_T, None]:
        """Iterate in a thread of this worker and yield the items here as they come.

        Only ``at_once`` items are made at a time, always that of the job whose listeners run out of items first: a
        first item before the second of a job that has just given three seconds of speech.

        Items wait unbounded for their reader, because one job makes a handful (the pieces of one caption's speech) and
        a thread held back by a slow reader would keep the engine from everybody else.

        Args:
            function: Returns the iterator.
            lasts_s: How long an item keeps its listeners busy, in seconds.

        Raises:
            OverloadedError: Too many jobs are waiting.
            EngineError: The iterator raised something that is not one of the project's errors.
        """
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[_T | None] = asyncio.Queue()
        abandoned = False
        runs_out_s = time.monotonic()

        def drain() -> None:
            nonlocal runs_out_s
            try:
                iterator = function()
                while True:
                    with self._slots.hold(runs_out_s):
                        item = None if abandoned else next(iterator, None)
                    if item is None:
                        return
                    self._progress_s = time.monotonic()
                    runs_out_s = max(runs_out_s, time.monotonic()) + lasts_s(item)
                    loop.call_soon_threadsafe(items.put_nowait, item)
            finally:
                loop.call_soon_threadsafe(items.put_nowait, None)

        job = asyncio.wrap_future(self._submit(drain))
        try:
            while (item := await items.get()) is not None:
                yield item
            await job
        except (BabbleFishError, asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as error:
            raise self._failed(error) from error
        finally:
            abandoned = True
            job.cancel()

    async def close(self) -> None:
        """Drop what waits, let what runs come to its end, and end the threads.

        Cancelling leaves a call that hangs alone; a thread that waited for it would hang as well.
        """
        self._drop_waiting()
        self._threads.shutdown(wait=False, cancel_futures=True)
        while self._pending:  # noqa: ASYNC110 - what runs tells its own caller only
            await asyncio.sleep(_LOOK_S)
        self._drop_waiting()  # items that came before the threads knew

    def _drop_waiting(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                _, future = self._waiting.popleft()
                future.cancel()

    def _count(self) -> None:
        with self._counting:
            # Items that are served together run as one job.
            if self._pending - max(0, self._shared - 1) >= self._limit:
                raise OverloadedError(f"{self._pending} jobs wait for {self.name}; please speak again in a moment")
            if self._pending == 0:
                self._progress_s = time.monotonic()
            self._pending += 1

    def _submit(self, job: Callable[[], _T]) -> Future[_T]:
        self._count()
        future = self._threads.submit(contextvars.copy_context().run, job)  # so that its log lines say what it is for
        # A job that nobody waits for any more still holds its thread, so it counts until it ends.
        future.add_done_callback(self._ended)
        return future

    def _count_shared(self, change: int) -> None:
        with self._counting:
            self._shared += change

    def _ended(self, _: Future[Any]) -> None:
        with self._counting:
            self._pending -= 1
            self._progress_s = time.monotonic()

    def _failed(self, error: Exception) -> EngineError:
        self.failures += 1
        _log.error("%s failed", self.name, exc_info=error)
        return EngineError(f"{self.name} failed")


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers of a server, one per kind of engine, so that no engine waits behind another."""

    translation: Worker
    """One utterance at a time, or those that wait together; each call on ``translation_threads`` of the model's own."""
    text: Worker
    synthesis: Worker
    speaker: Worker
    sockets: Worker
    """Voice activity of the streams, and making WAV files."""

    @classmethod
    def start(cls, settings: Settings) -> Workers:
        """Make the workers that the settings ask for."""
        cpus = settings.worker_cpus.get
        return cls(
            translation=Worker("translation", 1, settings.queue_limit, cpus=cpus("translation")),
            text=Worker("text-translation", 2, settings.queue_limit * 4, cpus=cpus("text-translation")),
            synthesis=Worker(
                "synthesis",
                _VOICES,
                settings.queue_limit * 4,
                at_once=settings.parallel_syntheses,
                cpus=cpus("synthesis"),
            ),
            speaker=Worker("speaker", 1, settings.queue_limit * 2, cpus=cpus("speaker")),
            sockets=Worker("sockets", settings.socket_threads, settings.max_clients * 4, cpus=cpus("sockets")),
        )

    def __iter__(self) -> Iterator[Worker]:
        """Iterate over all of them."""
        return iter((self.translation, self.text, self.synthesis, self.speaker, self.sockets))

    async def close(self) -> None:
        """End all threads, side by side."""
        await asyncio.gather(*(worker.close() for worker in self))


def left_running() -> list[str]:
    """Return the names of workers' threads that have not ended; the interpreter would wait for them for ever."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(_THREAD_PREFIX)]
