"""A server in this test's event loop, in memory or on a free loopback port, and clients that speak its protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import soundfile
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from babblefish import client
from babblefish.audio.pcm import resample
from babblefish.cli import demo
from babblefish.domain import Deadline, Samples
from babblefish.engines import registry
from babblefish.engines.contracts import Engines
from babblefish.engines.profiles import choose
from babblefish.pipeline.pace import Pace
from babblefish.server.app import create_app, server_config
from babblefish.server.server import Server
from babblefish.settings import Settings
from tests.support.fakes import speech
from tests.support.in_memory import InMemoryConnection, InMemoryTransport

SHARED_AUDIO = Path(__file__).resolve().parents[3] / "shared" / "audio"
"""Recorded human speech that some machines have beside the project."""

EMBEDDED = Settings(profile="embedded", log_level="warning", host="127.0.0.1", utterance_deadline_s=240.0, drain_s=60.0)
"""The default profile, for machines on which many tests compute at once: nothing is given up because of the others."""

_DEADLINE_S = EMBEDDED.utterance_deadline_s
UNHURRIED = Pace(behind_s=_DEADLINE_S, well_behind_s=_DEADLINE_S, far_behind_s=_DEADLINE_S)
"""For the same machines: nothing is shed before it would be given up."""

FRENCH_SPEECH = demo.CARRIED_SPEECH
SPANISH_SPEECH = demo.CARRIED_SPEECH.with_name("demo_spa.wav")
ENGLISH_SPEECH = demo.CARRIED_SPEECH.with_name("demo_eng.wav")


Connection = ClientConnection | InMemoryConnection


class Client(client.Client):
    """A connected client that keeps every message it gets, and may lose its network."""

    def __init__(self, connection: Connection, server: Server | None = None) -> None:
        super().__init__(connection, backlog=None)
        self.server = server

    def vanish(self) -> None:
        """Be gone without a word, as a phone that loses its network."""
        gone = self.connection if isinstance(self.connection, InMemoryConnection) else self.connection.transport
        gone.abort()


class SocketTransport:
    """How a server that listens on a port of the loopback interface is reached."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def connect(self, path: str, headers: Mapping[str, str] | None = None) -> ClientConnection:
        return await connect(f"ws://127.0.0.1:{self.port}{path}", max_size=None, additional_headers=headers)

    def http(self, **given: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", **given)


@dataclass
class Running:
    """A server that runs in this test's event loop."""

    server: Server
    transport: InMemoryTransport | SocketTransport
    stack: contextlib.AsyncExitStack

    @property
    def port(self) -> int:
        return self.transport.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def http(self, **given: Any) -> httpx.AsyncClient:
        """Make an HTTP client; see ``httpx.AsyncClient`` for what may be given."""
        return self.transport.http(**given)

    async def client(
        self, wait_ready: bool = True, origin: str | None = None, host: str | None = None, **query: str
    ) -> Client:
        """Connect a client that is closed with the server."""
        headers = {"Origin": origin, "Host": host}
        given = {name: value for name, value in headers.items() if value is not None}
        connection = await self.transport.connect(f"/ws/client?{urlencode(query)}", given)
        client = await self.stack.enter_async_context(Client(connection, self.server))
        if wait_ready:
            await client.ready()
        return client


@contextlib.asynccontextmanager
async def serving(settings: Settings, engines: Engines | None, pace: Pace | None = None) -> AsyncIterator[Running]:
    """Run a server in memory."""
    app = create_app(settings, engines, pace)
    async with InMemoryTransport(app, settings.port) as transport, contextlib.AsyncExitStack() as stack:
        yield Running(app.state.server, transport, stack)


@contextlib.asynccontextmanager
async def serving_on_a_port(
    settings: Settings, engines: Engines | None, pace: Pace | None = None
) -> AsyncIterator[Running]:
    """Run a server with real sockets: for what a network, its limits or uvicorn has a part in."""
    app = create_app(settings, engines, pace)
    async with listening(server_config(app, settings)) as port, contextlib.AsyncExitStack() as stack:
        yield Running(app.state.server, SocketTransport(port), stack)


@contextlib.asynccontextmanager
async def listening(config: uvicorn.Config) -> AsyncIterator[int]:
    """Run uvicorn on a free loopback port, which is yielded."""
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
            await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


def bearer(token: str) -> dict[str, str]:
    """Return the headers by which a program shows a token."""
    return {"Authorization": f"Bearer {token}"}


async def still_works(client: Client) -> None:
    """Assert that the connection lives and the next utterance is served."""
    before = len(client.of_type("result"))
    await client.say(speech(11))
    await client.wait_for("result", before + 1)


def load_engines(settings: Settings) -> Engines:
    """Load the engines of the settings' profile, one after another."""
    parts = registry.Parts(settings, choose(settings))
    for part in parts:
        part.load()
    return parts.assemble()


def spoken(engines: Engines, text: str, lang: str) -> Samples:
    """Have an engine say something; shape ``[n]``, 16 kHz."""
    synthesizer = engines.synthesizer_for(lang)
    assert synthesizer is not None
    pieces = list(synthesizer.synthesize(text, lang, Deadline.after(EMBEDDED.utterance_deadline_s)))
    return resample(np.concatenate([piece.samples for piece in pieces]), pieces[0].sample_rate_hz)


def heard(encoded: str) -> float:
    """Decode a spoken translation, which must hold sound; return its length in seconds."""
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(encoded)), dtype="float32")
    assert np.abs(samples).max() > 0
    return len(samples) / rate_hz
