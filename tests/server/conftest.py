"""Fixtures of the server's tests: one that asks for tokens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from babblefish.server.access import Access, server_key
from babblefish.server.limits import RateLimits
from babblefish.settings import Settings
from tests.support.fakes import Clock, Fakes
from tests.support.serving import Running, serving


@pytest.fixture
async def house(tmp_path: Path, fakes: Fakes, clock: Clock) -> AsyncIterator[Running]:
    """A server that asks for tokens, on the test's clock; failures are answered at once, as slowing has its tests."""
    clock.now_s = time.time()  # by which the history is kept
    settings = Settings(access="required", state_dir=tmp_path, log_level="error")
    async with serving(settings, fakes.engines) as running:
        running.server.access = Access(server_key(settings), settings.link_hours * 3600, clock)
        running.server.limits = RateLimits(settings, sleep=at_once)
        yield running


async def at_once(delay_s: float) -> None:
    """Wait for nothing."""
