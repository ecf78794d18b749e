"""Fixtures of all tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from babblefish.settings import Settings
from tests.fakes import Fakes, make_fakes
from tests.support import Running, serving


@pytest.fixture
def settings() -> Settings:
    return Settings(log_level="warning")


@pytest.fixture
def fakes() -> Fakes:
    return make_fakes()


@pytest.fixture(autouse=True)
async def _no_leaked_tasks() -> AsyncIterator[None]:
    """Fail a test that leaves a task running."""
    yield
    await asyncio.sleep(0)
    leaked = asyncio.all_tasks() - {asyncio.current_task()}
    assert not leaked, f"tasks still running: {leaked}"


@pytest.fixture
async def running(settings: Settings, fakes: Fakes) -> AsyncIterator[Running]:
    async with serving(settings, fakes.engines) as running:
        yield running
