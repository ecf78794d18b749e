"""Loading the engines of a profile side by side, off the event loop, with a line of progress each."""

from __future__ import annotations

import asyncio
import logging
import time

from babblefish.engines import registry
from babblefish.engines.contracts import Engines
from babblefish.engines.profiles import Profile
from babblefish.errors import BabbleFishError, SetupError
from babblefish.pipeline.workers import Worker
from babblefish.settings import Settings
from babblefish.telemetry.usage import in_group

_log = logging.getLogger(__name__)


async def load_engines(settings: Settings, profile: Profile) -> tuple[Engines, dict[str, str]]:
    """Load a profile, without those optional parts of it that cannot be loaded.

    Returns:
        The engines, warm; and why each part that is missing could not be loaded.

    Raises:
        SetupError: Others cannot be loaded; the message names each, and the command that helps.
    """
    parts = registry.Parts(settings, profile)
    loading = Worker("loading", len([*parts]), 0)
    without: dict[str, str] = {}
    missing: list[str] = []

    async def load_part(part: registry.Part[registry.Loaded]) -> None:
        started_s = time.perf_counter()
        try:
            engine = await loading.run(in_group(part.worker, part.load, settings.worker_cpus.get(part.worker)))
        except BabbleFishError as error:
            why = error.message if isinstance(error, SetupError) else _damaged(error)
            if part.is_optional:
                without[part.name] = why
                _log.warning("the server goes on without its %s: %s", part.name, why)
            else:
                missing.append(f"the {part.name} cannot be loaded: {why}")
            return
        _log.info("%s ready after %.1f s: %s", part.name, time.perf_counter() - started_s, engine.name)

    await asyncio.gather(*(load_part(part) for part in parts))
    await loading.close()
    if missing:
        raise SetupError("; ".join(missing))
    return parts.assemble(), without


def _damaged(error: BabbleFishError) -> str:
    """Say what an engine stumbled over, which mostly is a file that is not what it should be."""
    return f"{error.__cause__ or error.message}; check its weights with: babblefish models verify"
