"""A server process with scripted engines, run as the service is, and what starts and signals it.

What its engines wait for are lines on its standard input, so that a test decides when they are loaded and when they go
on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from babblefish.client import opened, socket_url
from babblefish.engines import registry
from babblefish.errors import SetupError
from babblefish.server import service
from babblefish.server.app import create_app, server_config
from babblefish.settings import Settings
from tests.support.fakes import FakeSpeechTranslator, ScriptedParts, make_fakes
from tests.support.serving import Client

ROOT = Path(__file__).resolve().parents[2]

HANGS, WAITS, FAILS_TO_LOAD = "hangs", "waits", "fails-to-load"
"""What a scripted engine may do: never return, wait for ``go_on``, not be there."""


class Connection:
    """The way to a server on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    @contextlib.asynccontextmanager
    async def client(self, wait_ready: bool = True, **query: str) -> AsyncIterator[Client]:
        async with Client(await opened(socket_url(f"http://127.0.0.1:{self.port}/", **query))) as client:
            if wait_ready:
                await client.ready()
            yield client


class Process(Connection):
    """A server process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        super().__init__(port)
        self.process = process

    def go_on(self) -> None:
        """Let an engine that waits go on: with loading, or with one utterance."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait until the process has ended and return its status."""
        return await asyncio.wait_for(self.process.wait(), 30)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.asynccontextmanager
async def process(*script: str, loaded: bool = True, **environment: str) -> AsyncIterator[Process]:
    """Run a server process; one that is still there at the end is killed."""
    port = free_port()
    command = [sys.executable, "-m", __name__, str(port), *script]
    started = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert started.stdout is not None
        await asyncio.wait_for(started.stdout.readline(), 30)  # it listens
        server = Process(started, port)
        if loaded:
            server.go_on()
            await ready(port)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.wait()


async def ready(port: int) -> None:
    """Wait until a server's engines are warm."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                status = await reader.readline()
                writer.close()
                if b"200" in status:
                    return
            await asyncio.sleep(0.02)


def _hang(phrase: int) -> None:
    if phrase == 22:
        time.sleep(3600)


def _wait(phrase: int) -> None:
    sys.stdin.readline()


def main(port: int, script: list[str]) -> None:
    fakes = make_fakes()
    if WAITS in script:
        fakes.speech_translator.before = _wait
    if HANGS in script:
        fakes.speech_translator.before = _hang

    def load_translator() -> FakeSpeechTranslator:
        sys.stdin.readline()
        if FAILS_TO_LOAD in script:
            raise SetupError("the weights scripted are not there")
        return fakes.speech_translator

    # The engines' own loaders are tested elsewhere; here it is when they are done that matters.
    patch = pytest.MonkeyPatch()
    patch.setattr(registry, "Parts", lambda *_: ScriptedParts(fakes.engines, whisper=load_translator))
    settings = Settings(profile="embedded")
    app = create_app(settings)
    config = server_config(app, settings)
    listener = socket.create_server(("127.0.0.1", port))
    print("listening", flush=True)
    sys.exit(service.run(config, app.state.server, listener))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
