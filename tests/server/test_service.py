"""What a service manager is told: that the server is ready, gets on with its work, ends, or cannot start."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from babblefish.server.systemd import ServiceManager
from tests.support.fakes import speech
from tests.support.scripted_service import FAILS_TO_LOAD, HANGS, WAITS, process

pytestmark = pytest.mark.slow


class Manager:
    """The socket of a service manager; keeps what it is told."""

    def __init__(self, address: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.listener.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.listener.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": address}
        self.told: list[dict[str, str]] = []

    async def next(self) -> dict[str, str]:
        """Return the next message."""
        async with asyncio.timeout(30):
            text = await asyncio.get_running_loop().sock_recv(self.listener, 65536)
        self.told.append(dict(line.split("=", 1) for line in text.decode().splitlines()))
        return self.told[-1]

    async def until(self, condition: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """Read on until a message fulfils a condition, and return it."""
        while not condition(await self.next()):
            pass
        return self.told[-1]


@pytest.fixture(params=["a file", "an abstract address"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    abstract = request.param == "an abstract address"
    manager = Manager(f"@babblefish-test-{os.getpid()}" if abstract else str(tmp_path / "notify"))
    yield manager
    manager.listener.close()


async def test_ready_is_said_once_the_engines_are_loaded_and_stopping_when_the_end_begins(manager: Manager) -> None:
    async with process(loaded=False, **manager.environment) as server:
        loading = await manager.next()
        assert loading["STATUS"] == "loading the engines"
        assert int(loading["EXTEND_TIMEOUT_USEC"]) > 5_000_000
        assert not [told for told in manager.told if "READY" in told]
        server.go_on()
        ready = await manager.until(lambda told: "READY" in told)
        assert ready == {"READY": "1", "STATUS": "ready, embedded profile, 0 clients"}
        server.signal()
        stopping = await manager.until(lambda told: "STOPPING" in told)
        assert stopping["STOPPING"] == "1"
        assert await server.ended() == 0


@pytest.mark.parametrize("manager", ["a file"], indirect=True)
async def test_more_time_is_asked_for_as_long_as_the_engines_load(manager: Manager) -> None:
    async with process(loaded=False, **manager.environment):
        await manager.until(lambda told: "EXTEND_TIMEOUT_USEC" in told)
        await manager.until(lambda told: "EXTEND_TIMEOUT_USEC" in told)
        assert not [told for told in manager.told if "READY" in told]


@pytest.mark.parametrize("manager", ["a file"], indirect=True)
async def test_a_server_whose_engines_cannot_be_loaded_ends_and_says_why(manager: Manager) -> None:
    async with process(FAILS_TO_LOAD, loaded=False, **manager.environment) as server:
        server.go_on()
        told = await manager.until(lambda told: "the weights scripted are not there" in told["STATUS"])
        assert "READY" not in told
        assert await server.ended() == os.EX_CONFIG


@pytest.mark.parametrize("manager", ["a file"], indirect=True)
async def test_the_watchdog_is_fed_while_the_server_is_idle_and_while_it_works(manager: Manager) -> None:
    async with process(WAITS, **manager.environment, WATCHDOG_USEC="2000000") as server:
        await manager.until(lambda told: "WATCHDOG" in told)
        async with server.client(target_lang="fra") as speaker:
            await manager.until(lambda told: told["STATUS"] == "ready, embedded profile, 1 clients")
            await speaker.say(speech(11))
            server.go_on()
            await speaker.wait_for("result")
            await manager.until(lambda told: "WATCHDOG" in told)


@pytest.mark.parametrize("manager", ["a file"], indirect=True)
async def test_the_watchdog_is_not_fed_while_a_worker_hangs_and_again_when_it_goes_on(manager: Manager) -> None:
    watchdog = {**manager.environment, "WATCHDOG_USEC": "400000"}
    async with process(WAITS, **watchdog) as server, server.client(target_lang="fra") as speaker:
        await speaker.say(speech(11))  # its engine waits, the event loop does not
        hanging = await manager.until(lambda told: "stalled" in told["STATUS"])
        assert hanging == {"STATUS": "stalled: translation"}
        with pytest.raises(TimeoutError):  # longer than the service manager waits
            await asyncio.wait_for(manager.next(), 0.6)
        await speaker.send_message(type="ping")
        await speaker.wait_for("pong")
        server.go_on()
        await manager.until(lambda told: "WATCHDOG" in told)


@pytest.mark.parametrize("manager", ["a file"], indirect=True)
async def test_a_worker_that_others_wait_for_hangs_however_many_they_are(manager: Manager) -> None:
    async with (
        process(HANGS, **manager.environment, WATCHDOG_USEC="400000") as server,
        server.client(target_lang="fra") as first,
        server.client(target_lang="fra") as second,
    ):
        await first.say(speech(22))
        await second.say(speech(11))
        await manager.until(lambda told: "stalled" in told["STATUS"])


def test_a_watchdog_meant_for_another_process_is_not_ours() -> None:
    assert ServiceManager({"WATCHDOG_USEC": "3000000"}).watchdog_s == 3.0
    assert ServiceManager({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}).watchdog_s == 3.0
    assert ServiceManager({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}).watchdog_s is None
    assert ServiceManager({}).watchdog_s is None


def test_a_service_manager_that_has_gone_costs_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ServiceManager({}).notify(READY=1)
    assert caplog.text == ""
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).notify(READY=1)
    assert "READY" in caplog.text


def test_what_is_told_is_one_line_each(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    ServiceManager(manager.environment).notify(STATUS="two\nlines", READY=1)
    assert manager.listener.recv(1000) == b"STATUS=two lines\nREADY=1"
    manager.listener.close()
