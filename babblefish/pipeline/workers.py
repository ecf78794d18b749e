"""The only place that makes threads: each engine's calls run in a worker of its own, behind a bounded queue.

The event loop submits and awaits. Whatever an engine raises comes back as one of the project's errors; a queue that is
full says so at once instead of growing. Those who wait take turns (``FairQueue``). Generators are advanced inside the
worker's threads, so that no lazy step ever runs on the event loop. A call that hangs is given up with its thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar, TypeVarTuple

from babblefish.domain import NOBODY, Owner
from babblefish.errors import BabbleFishError, EngineError, OverloadedError
from babblefish.pipeline.fair_queue import FairQueue, Waiting
from babblefish.settings import Settings
from babblefish.telemetry.usage import join_group

_log = logging.getLogger(__name__)
_THREAD_PREFIX = "babblefish-"

_LOOK_S = 0.01

_T = TypeVar("_T")
_R = TypeVar("_R")
_Args = TypeVarTuple("_Args")

_Serve = Callable[[Callable[[], Any]], Iterator[tuple[Any, Any]]]


@dataclass(eq=False)
class _Job(Waiting):
    """Work for a thread: steps to be taken one at a time, or an item that may be served together with others."""

    future: Future[Any] = field(default_factory=Future)
    step: Callable[[], bool] = bool
    """Takes a step, and says whether there is another one."""
    item: Any = None
    serve: _Serve | None = None

    def begins(self) -> bool:
        """Say whether it is still wanted; from now on it cannot be cancelled."""
        return self.future.running() or self.future.set_running_or_notify_cancel()


@dataclass(eq=False)
class _Call:
    """What a thread does at the moment, and when it last got on with it."""

    jobs: set[_Job]
    progress_s: float
    is_given_up: bool = False


def _settle(job: _Job, result: Any = None, error: BaseException | None = None) -> None:
    """Give a job its outcome, unless it has one: what was given up may come back, and nobody waits for it."""
    with contextlib.suppress(InvalidStateError):
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)


class Worker:
    """The threads that own an engine."""

    def __init__(self, name: str, parallel: int, queue_limit: int, cpus: Collection[int] | None = None) -> None:
        """Make a worker.

        Args:
            name: Of the threads, and in errors.
            parallel: Jobs that run side by side.
            queue_limit: Jobs that may wait beside those that run.
            cpus: Numbers of the CPUs that its threads, and those of its libraries, run on; None for all.
        """
        self.name = name
        self._parallel = parallel
        self._cpus = cpus
        self._limit = parallel + queue_limit
        self._pending = 0
        self._changing = threading.Lock()
        self._queue: FairQueue[_Job] = FairQueue()
        self._calls: set[_Call] = set()
        self._threads = self._start_threads()
        self.failures = 0
        """Calls that raised something that is not one of the project's errors."""
        self.finished = 0
        """Jobs that have ended, and items of streams that were made."""

    def _start_threads(self) -> ThreadPoolExecutor:
        prefix = f"{_THREAD_PREFIX}{self.name}"
        return ThreadPoolExecutor(self._parallel, prefix, initializer=join_group, initargs=(self.name, self._cpus))

    @property
    def pending(self) -> int:
        """Jobs that run or wait."""
        return self._pending

    @property
    def is_crowded(self) -> bool:
        """Whether most of the jobs that it may have run or wait."""
        with self._changing:
            return self._pending - self._served_along() > self._limit // 2

    @property
    def stalled_s(self) -> float:
        """Seconds for which one of its calls has finished nothing, not even an item; 0 while there is none."""
        with self._changing:
            return max((time.monotonic() - call.progress_s for call in self._calls), default=0.0)

    async def run(
        self, function: Callable[[*_Args], _T], *args: *_Args, owner: Owner = NOBODY, cost_s: float = 1.0
    ) -> _T:
        """Call ``function`` in a thread of this worker and return what it returns.

        Cancelling takes a job out of the queue; one that runs goes on until its own deadline check.

        Args:
            function: Called once.
            args: That it is called with.
            owner: Whose work it is, for taking turns.
            cost_s: What it counts for, mostly the seconds of audio that it is about.

        Raises:
            OverloadedError: Too many jobs are waiting.
            EngineError: The function raised something that is not one of the project's errors, or hung.
        """
        job = _Job(owner, cost_s, time.monotonic())
        context = contextvars.copy_context()  # so that its log lines say what it is for

        def step() -> bool:
            _settle(job, context.run(function, *args))
            return False

        job.step = step
        result: _T = await self._outcome(job)
        return result

    async def share(
        self,
        serve: Callable[[Callable[[], _T | None]], Iterator[tuple[_T, _R | Exception]]],
        item: _T,
        owner: Owner = NOBODY,
        cost_s: float = 1.0,
    ) -> _R:
        """Have an item served together with those that others give meanwhile, and return its outcome.

        Cancelling takes the item out of the queue; one that was taken goes on until its own deadline check.

        Args:
            serve: Called in a thread of this worker with what gives it the next waiting item, or None; yields each item
                that it took with its outcome. The same for every item of this worker.
            item: Hashable.
            owner: Whose item it is, for taking turns.
            cost_s: What it counts for, mostly its seconds of audio.

        Raises:
            OverloadedError: Too many jobs are waiting.
            EngineError: The outcome is an exception that is not one of the project's errors, or ``serve`` raised one or
                hung, which fails every item that it had taken.
        """
        result: _R = await self._outcome(_Job(owner, cost_s, time.monotonic(), item=item, serve=serve))
        return result

    async def stream(
        self, function: Callable[[], Iterator[_T]], lasts_s: Callable[[_T], float], owner: Owner = NOBODY
    ) -> AsyncGenerator[_T, None]:
        """Iterate in threads of this worker and yield the items here as they come.

        Each item waits for a turn of its owner, who has it used for the job whose listeners run out of items first: a
        first item before the second of a job that has just given three seconds of speech.

        Items wait unbounded for their reader, because one job makes a handful (the pieces of one caption's speech) and
        a thread held back by a slow reader would keep the engine from everybody else.

        Args:
            function: Returns the iterator.
            lasts_s: How long an item keeps its listeners busy, in seconds.
            owner: Whose work it is, for taking turns.

        Raises:
            OverloadedError: Too many jobs are waiting.
            EngineError: The iterator raised something that is not one of the project's errors, or hung.
        """
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[_T | None] = asyncio.Queue()
        context = contextvars.copy_context()
        iterator: Iterator[_T] | None = None
        abandoned = False
        job = _Job(owner, 1.0, time.monotonic())

        def advance() -> _T | None:
            nonlocal iterator
            if iterator is None:
                iterator = function()
            return next(iterator, None)

        def step() -> bool:
            item = None if abandoned else context.run(advance)
            if item is None:
                _settle(job)
                return False
            self._item_made()
            job.cost_s = lasts_s(item)
            job.needed_s = max(job.needed_s, time.monotonic()) + job.cost_s
            loop.call_soon_threadsafe(items.put_nowait, item)
            return True

        job.step = step
        self._enqueue(job)
        ended = asyncio.wrap_future(job.future)
        ended.add_done_callback(lambda _: items.put_nowait(None))
        try:
            while (item := await items.get()) is not None:
                yield item
            await ended
        except (BabbleFishError, asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as error:
            raise self._failed(error) from error
        finally:
            abandoned = True
            ended.cancel()

    def give_up_stalled(self, after_s: float) -> bool:
        """Give up the calls that have finished nothing for so long, with their threads, and go on with fresh ones.

        Returns:
            Whether there were any.
        """
        with self._changing:
            hanging = [call for call in self._calls if time.monotonic() - call.progress_s > after_s]
            if not hanging:
                return False
            for call in hanging:
                call.is_given_up = True
                self._calls.discard(call)
            left, self._threads = self._threads, self._start_threads()
            for _ in range(len(self._queue)):
                self._threads.submit(self._work)
        left.shutdown(wait=False, cancel_futures=True)
        self.failures += len(hanging)
        for call in hanging:
            for job in tuple(call.jobs):
                _settle(job, error=EngineError(f"{self.name} hangs"))
        return True

    async def close(self) -> None:
        """Drop what waits, let what runs come to its end, and end the threads.

        Cancelling leaves a call that hangs alone; a thread that waited for it would hang as well.
        """
        self._threads.shutdown(wait=False, cancel_futures=True)
        while (job := self._take()) is not None:
            if not job.future.cancel():
                _settle(job, error=EngineError(f"{self.name} is closed"))
        while self._pending:  # noqa: ASYNC110 - what runs tells its own caller only
            await asyncio.sleep(_LOOK_S)

    async def _outcome(self, job: _Job) -> Any:
        try:
            self._enqueue(job)
            return await asyncio.wrap_future(job.future)
        except (BabbleFishError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise self._failed(error) from error

    def _enqueue(self, job: _Job) -> None:
        """Take in a new job; where there is no place for it, the newest of whoever has most waiting makes room."""
        displaced: _Job | None = None
        full = OverloadedError(f"{self._pending} jobs wait for {self.name}; please speak again in a moment")
        with self._changing:
            if self._pending - self._served_along() >= self._limit:
                displaced = self._queue.displaced_by(job.owner)
                if displaced is None:
                    raise full
            try:
                self._put(job)
            except RuntimeError as error:
                raise EngineError(f"{self.name} is closed") from error
            self._pending += 1
            if displaced is not None:
                self._queue.remove(displaced)
        # A job that nobody waits for any more still holds its thread, so it counts until it ends.
        job.future.add_done_callback(lambda _: self._ended(job))
        if displaced is not None:
            _settle(displaced, error=full)

    def _served_along(self) -> int:
        """Count the items that are served together with another one, which count as one job."""
        return sum(max(0, len(call.jobs) - 1) for call in self._calls)

    def _put(self, job: _Job) -> None:
        self._queue.put(job)
        try:
            self._threads.submit(self._work)
        except RuntimeError:  # they have ended
            self._queue.remove(job)
            raise

    def _take(self) -> _Job | None:
        with self._changing:
            return self._queue.take()

    def _ended(self, job: _Job) -> None:
        with self._changing:
            self._queue.remove(job)
            self._pending -= 1
            self.finished += 1
            if self._pending == 0:
                self._queue.forget()

    def _item_made(self) -> None:
        with self._changing:
            self.finished += 1

    def _work(self) -> None:
        """Do what is next; nothing may be, where an earlier call has taken it along or nobody wants it any more."""
        with self._changing:
            job = self._queue.take()
            if job is None:
                return
            call = _Call({job}, time.monotonic())
            self._calls.add(call)
        try:
            if job.serve is not None:
                self._serve(job.serve, job, call)
            elif job.begins():
                self._advance(job, call)
        finally:
            with self._changing:
                self._calls.discard(call)

    def _advance(self, job: _Job, call: _Call) -> None:
        """Take a job's next step; where that is not the last one, the job waits for its next turn."""
        try:
            if job.step():
                with self._changing:
                    call.jobs.clear()
                    if not call.is_given_up and not job.future.done():
                        self._put(job)
        except BaseException as error:
            _settle(job, error=error)

    def _serve(self, serve: _Serve, first: _Job, call: _Call) -> None:
        """Serve an item with those that come meanwhile."""
        taken: dict[Any, _Job] = {}
        due: _Job | None = first

        def following() -> _Job | None:
            nonlocal due
            with self._changing:
                job, due = due, None
                if job is None and not call.is_given_up:
                    following = self._queue.peek()
                    job = self._queue.take() if following is not None and following.serve is not None else None
                return job

        def take() -> Any:
            while (job := following()) is not None:
                if job.begins():
                    taken[job.item] = job
                    with self._changing:
                        call.jobs.add(job)
                    return job.item
                call.jobs.discard(job)
            return None

        def hand_over(item: Any) -> _Job:
            job = taken.pop(item)
            with self._changing:
                call.jobs.discard(job)
                call.progress_s = time.monotonic()
            return job

        failure: Exception = EngineError(f"{self.name} gave no outcome")
        try:
            for item, outcome in serve(take):
                if isinstance(outcome, Exception):
                    _settle(hand_over(item), error=outcome)
                else:
                    _settle(hand_over(item), outcome)
        except Exception as error:
            failure = error
        for item in tuple(taken):
            _settle(hand_over(item), error=failure)
        if due is not None:
            _settle(due, error=failure)

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
            text=Worker(
                "text-translation",
                settings.parallel_translations,
                settings.queue_limit * 4,
                cpus=cpus("text-translation"),
            ),
            synthesis=Worker(
                "synthesis", settings.parallel_syntheses, settings.queue_limit * 5, cpus=cpus("synthesis")
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
