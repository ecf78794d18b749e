"""What a server and a program without one both need: a profile's engines, their workers and the pipeline."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from babblefish.domain import Deadline
from babblefish.engines.contracts import Engines
from babblefish.engines.profiles import choose, fitted
from babblefish.errors import BabbleFishError, DeadlineExceededError, OverloadedError
from babblefish.pipeline.loading import load_engines
from babblefish.pipeline.pace import Pace
from babblefish.pipeline.pipeline import Pipeline
from babblefish.pipeline.trial import trial
from babblefish.pipeline.workers import Worker, Workers
from babblefish.settings import Settings

_log = logging.getLogger(__name__)

_CLOSE_S = 2.0
"""Time for engines and threads to end; a call that takes longer is abandoned, as no thread can be stopped."""


class Runtime:
    """The engines of a profile, from loading them to the end of their threads.

    Attributes:
        settings: That everything here is made with.
        profile: The engines' names, and why it is this one.
        workers: The threads of the engines.
        pipeline: The engines and the steps of an utterance, or None until they are loaded.
        hanging: Workers of which a call hung, until their engine has answered again, and what tries that out.
        without: Optional parts that could not be loaded, and why.
    """

    def __init__(self, settings: Settings, engines: Engines | None = None, pace: Pace | None = None) -> None:
        """Start the workers; given ``engines`` there is nothing to load."""
        self.profile = choose(settings)
        self.settings = settings = fitted(settings, self.profile)
        self.workers = Workers.start(settings)
        self.pipeline: Pipeline | None = None
        self.without: dict[str, str] = {}
        self.hanging: dict[str, asyncio.Task[None]] = {}
        self._pace = pace or Pace()
        if engines is not None:
            self._use(engines)

    @property
    def engines(self) -> Engines | None:
        """The engines, once they are loaded."""
        return self.pipeline.engines if self.pipeline is not None else None

    async def load(self) -> Pipeline:
        """Load the profile's engines, unless there are some.

        Raises:
            SetupError: Something the profile needs is not installed, or damaged.
        """
        _log.info("profile %s: %s", self.profile.name, self.profile.reason)
        if self.pipeline is not None:
            return self.pipeline
        engines, self.without = await load_engines(self.settings, self.profile)
        return self._use(engines)

    def _use(self, engines: Engines) -> Pipeline:
        self.pipeline = Pipeline(engines, self.workers, self.settings, self._pace)
        return self.pipeline

    async def watch(self) -> None:
        """Replace the threads of calls that hang, until cancelled.

        Once for each worker: where its engine hangs again when it is tried out, further threads would hang as well.
        """
        patience_s = self.settings.utterance_deadline_s + self._pace.hangs_after_s
        try:
            while True:
                await asyncio.sleep(self._pace.watch_every_s)
                for worker in self.workers:
                    if worker.name not in self.hanging and worker.give_up_stalled(patience_s):
                        _log.critical("%s hung for %.0f s; it goes on in fresh threads", worker.name, patience_s)
                        self.hanging[worker.name] = asyncio.create_task(self._try_out(worker))
        finally:
            for trying in self.hanging.values():
                trying.cancel()
            await asyncio.gather(*self.hanging.values(), return_exceptions=True)

    async def _try_out(self, worker: Worker) -> None:
        """Wait until a worker's engine answers; an error is an answer."""
        assert self.engines is not None
        while True:
            deadline = Deadline.after(self.settings.utterance_deadline_s)
            try:
                await worker.run(trial(worker.name, self.engines, deadline))
            except (OverloadedError, DeadlineExceededError):
                await asyncio.sleep(self._pace.watch_every_s)
                continue
            except BabbleFishError:
                pass
            break
        del self.hanging[worker.name]
        _log.warning("%s answers again", worker.name)

    async def close(self) -> None:
        """End the engines' processes and the threads, but those of a call that hangs."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                if self.engines is not None:
                    with contextlib.suppress(BabbleFishError):
                        await self.workers.text.run(self.engines.close)
                await self.workers.close()
        except TimeoutError:
            _log.warning("an engine does not shut down")
