"""What a server and a program without one both need: a profile's engines, their workers and the pipeline."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from babblefish.domain import BabbleFishError
from babblefish.engines.contracts import Engines
from babblefish.engines.profiles import choose
from babblefish.pipeline.loading import load_engines
from babblefish.pipeline.pace import Pace
from babblefish.pipeline.pipeline import Pipeline
from babblefish.pipeline.workers import Workers
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
        without: Optional parts that could not be loaded, and why.
    """

    def __init__(self, settings: Settings, engines: Engines | None = None, pace: Pace | None = None) -> None:
        """Start the workers; given ``engines`` there is nothing to load."""
        self.settings = settings
        self.profile = choose(settings)
        self.workers = Workers.start(settings)
        self.pipeline: Pipeline | None = None
        self.without: dict[str, str] = {}
        self._pace = pace
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
