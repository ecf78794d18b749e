"""Fixtures of all tests."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from babblefish.pipeline.pace import Pace
from babblefish.settings import Settings
from tests.support.fake_hub import FakeHub, serving_hub_to_this_process
from tests.support.fakes import Clock, Fakes, make_fakes
from tests.support.serving import Running, serving, serving_on_a_port


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Spare the fast tests the imports of modules in which all are slow: PyTorch and its friends take seconds."""
    is_spared = config.option.markexpr == "not slow" and collection_path.suffix == ".py"
    return True if is_spared and "\npytestmark = pytest.mark.slow\n" in collection_path.read_text("utf-8") else None


@pytest.fixture
def settings() -> Settings:
    return Settings(log_level="warning")


@pytest.fixture
def fakes() -> Fakes:
    return make_fakes()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A model hub that whoever asks in this process gets to."""
    with serving_hub_to_this_process(monkeypatch) as hub:
        yield hub


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    """A model folder that is still to be made, and so is the one it is in."""
    return tmp_path / "data" / "models"


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds an engine; opened at the end, as a thread that is held would hold the test."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def pace() -> Pace:
    """The waits of a server; a test that needs others has a fixture or a parameter of this name."""
    return Pace()


@pytest.fixture(autouse=True)
def _check_tasks(request: pytest.FixtureRequest) -> None:
    """Look for tasks left running after each test that has an event loop.

    Where Playwright is used a loop of its own runs in the tests' thread, and another cannot.
    """
    if inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("no_leaked_tasks")


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail a test that leaves a task running."""
    yield
    await asyncio.sleep(0)
    leaked = asyncio.all_tasks() - {asyncio.current_task()}
    assert not leaked, f"tasks still running: {leaked}"


@pytest.fixture
async def running(settings: Settings, fakes: Fakes, pace: Pace) -> AsyncIterator[Running]:
    """A server in memory."""
    async with serving(settings, fakes.engines, pace) as running:
        yield running


@pytest.fixture
async def running_on_a_port(settings: Settings, fakes: Fakes, pace: Pace) -> AsyncIterator[Running]:
    """The same with real sockets."""
    async with serving_on_a_port(settings, fakes.engines, pace) as running:
        yield running
