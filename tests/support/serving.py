"""A real server on a free loopback port, and clients that speak its protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import soundfile
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from babblefish.audio import pcm
from babblefish.cli import demo
from babblefish.domain import Samples
from babblefish.engines import registry
from babblefish.engines.contracts import Engines
from babblefish.engines.profiles import choose
from babblefish.server.app import create_app, server_config
from babblefish.server.server import Server
from babblefish.settings import Settings
from tests.support.fakes import speech

SHARED_AUDIO = Path(__file__).resolve().parents[3] / "shared" / "audio"
"""Recorded human speech that some machines have beside the project."""

FRENCH_SPEECH = demo.CARRIED_SPEECH
SPANISH_SPEECH = demo.CARRIED_SPEECH.with_name("demo_spa.wav")
ENGLISH_SPEECH = demo.CARRIED_SPEECH.with_name("demo_eng.wav")


@dataclass
class Client:
    """A connected client that keeps every message it gets, in order."""

    socket: ClientConnection
    messages: list[dict[str, Any]] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        with contextlib.suppress(Exception):
            async for text in self.socket:
                async with self.arrived:
                    self.messages.append(json.loads(text))
                    self.arrived.notify_all()
        self.closed.set()

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    async def wait_for(self, kind: str, count: int = 1, timeout_s: float = 10.0) -> list[dict[str, Any]]:
        """Wait until there are ``count`` messages of a type and return all of them."""
        await self.wait_until(lambda: len(self.of_type(kind)) >= count, timeout_s)
        return self.of_type(kind)

    async def wait_until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until the messages that have arrived fulfil a condition."""
        async with asyncio.timeout(timeout_s), self.arrived:
            await self.arrived.wait_for(condition)

    async def catch_up(self) -> None:
        """Wait until the server has taken everything that was sent."""
        before = len(self.of_type("pong"))
        await self.control(type="ping")
        await self.wait_for("pong", before + 1)

    async def say(self, samples: Samples) -> None:
        """Send one utterance as one binary frame."""
        await self.socket.send(pcm.float_to_pcm16(samples))

    async def stream(self, samples: Samples, frame_ms: int = 40) -> None:
        """Send audio in frames, as fast as the socket takes them."""
        step = 16 * frame_ms
        for start in range(0, len(samples), step):
            await self.socket.send(pcm.float_to_pcm16(samples[start : start + step]))

    async def control(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))


@dataclass
class Running:
    """A server that runs in this test's event loop."""

    port: int
    server: Server
    stack: contextlib.AsyncExitStack

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def client(self, wait_ready: bool = True, origin: str | None = None, **query: str) -> Client:
        """Connect a client that is closed with the server."""
        url = f"ws://127.0.0.1:{self.port}/ws/client?{urlencode(query)}"
        headers = {"Origin": origin} if origin else {}
        connection = await self.stack.enter_async_context(connect(url, max_size=None, additional_headers=headers))
        client = Client(connection)
        listening = asyncio.create_task(client.listen())

        async def stop() -> None:
            await connection.close()
            await listening

        self.stack.push_async_callback(stop)
        if wait_ready:
            await client.wait_for("ready")
        return client


@contextlib.asynccontextmanager
async def serving(settings: Settings, engines: Engines | None) -> AsyncIterator[Running]:
    """Run a real uvicorn on a free loopback port."""
    app = create_app(settings, engines)
    config = server_config(app, settings)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
            await asyncio.sleep(0.01)
        try:
            async with contextlib.AsyncExitStack() as stack:
                yield Running(listener.getsockname()[1], app.state.server, stack)
        finally:
            server.should_exit = True
            await task


async def still_works(client: Client) -> None:
    """Assert that the connection lives and the next utterance is served."""
    before = len(client.of_type("result"))
    await client.say(speech(11))
    await client.wait_for("result", before + 1)


def load_engines(settings: Settings) -> Engines:
    """Load the engines of the settings' profile, one after another."""
    profile = choose(settings)
    return registry.assemble({part: load() for part, load in registry.loaders(settings, profile).items()}, profile)


def heard(encoded: str) -> float:
    """Decode a spoken translation, which must hold sound; return its length in seconds."""
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(encoded)), dtype="float32")
    assert np.abs(samples).max() > 0
    return len(samples) / rate_hz
