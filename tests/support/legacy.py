"""The V1 servers under test: in this process with scripted engines, or as their owner starts them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI

from babblefish.audio import pcm
from babblefish.domain import Samples
from babblefish.engines.contracts import Engines
from babblefish.pipeline.interpreter import Interpreter
from babblefish.settings import Settings
from legacy.serving import server_config
from tests.support.in_memory import InMemoryTransport
from tests.support.scripted_service import free_port
from tests.support.serving import Connection, SocketTransport, listening

ROOT = Path(__file__).resolve().parents[2]


@contextlib.asynccontextmanager
async def serving(
    create_app: Callable[[Interpreter], FastAPI], settings: Settings, engines: Engines
) -> AsyncIterator[InMemoryTransport]:
    """Serve with these engines in this test's event loop, in memory."""
    async with (
        Interpreter.open(settings, engines) as interpreter,
        InMemoryTransport(create_app(interpreter), settings.port) as transport,
    ):
        yield transport


@contextlib.asynccontextmanager
async def serving_on_a_port(
    create_app: Callable[[Interpreter], FastAPI], settings: Settings, engines: Engines
) -> AsyncIterator[SocketTransport]:
    """Serve with these engines in this test's event loop, with real sockets."""
    async with Interpreter.open(settings, engines) as interpreter:
        config = server_config(create_app(interpreter), settings)
        async with listening(config) as port:
            yield SocketTransport(port)


@contextlib.contextmanager
def process(module: str, log: Path) -> Iterator[int]:
    """Start a server as its owner does, by its file, on a free port, until it is left; yields the port."""
    port = free_port()
    program = ROOT / "legacy" / f"{module}.py"
    with log.open("w") as out:
        running = subprocess.Popen(
            [sys.executable, str(program), "--port", str(port)], cwd=log.parent, stdout=out, stderr=out
        )
        try:
            give_up_s = time.monotonic() + 120
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                    break
                assert running.poll() is None, log.read_text()
                assert time.monotonic() < give_up_s, log.read_text()
                time.sleep(0.1)
            yield port
        finally:
            running.terminate()
            assert running.wait(30) == 0, log.read_text()


def upload(data: bytes, name: str = "speech.wav") -> dict[str, Any]:
    """Return a file as httpx sends it."""
    return {"file": (name, data)}


@contextlib.asynccontextmanager
async def talking_to(server: InMemoryTransport | SocketTransport, **query: str) -> AsyncIterator[Connection]:
    """Connect to a socket server and wait until it is ready."""
    async with connected(server, **query) as client:
        assert (await hear(client))["type"] == "ready"
        yield client


@contextlib.asynccontextmanager
async def connected(
    server: InMemoryTransport | SocketTransport, headers: Mapping[str, str] | None = None, **query: str
) -> AsyncIterator[Connection]:
    """Connect to a socket server, which may refuse."""
    client = await server.connect(f"/ws?{urlencode(query)}", headers)
    try:
        yield client
    finally:
        await client.close()


async def say(client: Connection, samples: Samples, frame_ms: int = 40) -> None:
    """Stream audio in frames, as fast as the socket takes them."""
    step = 16 * frame_ms
    for start in range(0, len(samples), step):
        await client.send(pcm.float_to_pcm16(samples[start : start + step]))


async def hear(client: Connection, timeout_s: float = 30.0) -> dict[str, Any]:
    """Return the next message."""
    async with asyncio.timeout(timeout_s):
        message: dict[str, Any] = json.loads(await client.recv())
    return message
