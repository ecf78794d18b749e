"""What hostile clients do to a server of this machine, bounded in count and time; ``benchmarks.abuse`` runs it.

They come from 127.0.0.2 and onwards, so that to the server they are other machines than the honest clients. Who is
refused or cut off comes back, up to a hundred times a second. They give way to everybody else on the processor: in
earnest they would have their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import websockets
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from babblefish.audio import pcm
from babblefish.client import Client, ClientError, Message, socket_url
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from benchmarks.support import harness

_PIECE_BYTES, _PIECE_S = 16_000, 0.01
"""A flood's pieces and the time between them: 1.6 MB/s of each connection."""

_PAUSE_S = 0.01
"""Before coming back."""

_IDLE, _IDLE_PAUSE_S = 1100, 1.0
_IDLE_ADDRESSES = 20
_JOINS = 64
_STORM = 10
_LONG_S, _UNFINISHED = 15.0, 8
"""Back-to-back utterances: as many of a client are unfinished as may be."""

_FRAME_BYTES = 4 * 1024 * 1024
"""The largest frame that is taken, 131 s of audio."""

_RESERVED_FILES = 100


@dataclass
class Target:
    """A server under attack, and what it does about it.

    Attributes:
        port: Of the server.
        token: That of a guest.
        until_s: When the attack ends, on the monotonic clock.
        speech: What is said.
        told: How often each thing came of it: an error code, ``joined``, ``closed 1013``, ``cut off``, ``HTTP 403``.
        connections: How many were opened.
    """

    port: int
    token: str
    until_s: float
    speech: Samples
    told: Counter[str] = field(default_factory=Counter)
    connections: int = 0

    @property
    def left_s(self) -> float:
        """Time until the attack ends."""
        return self.until_s - time.monotonic()

    def url(self, token: str, **query: str) -> str:
        """Return the WebSocket's address."""
        return socket_url(harness.url(self.port), token=token, name="Mallory", **query)

    def note(self, message: Message) -> None:
        """Note what the server says."""
        match message["type"]:
            case "error":
                self.told[message["code"]] += 1
            case "ready":
                self.told["joined"] += 1


Attack = Callable[[Target], Coroutine[Any, Any, None]]


def _address(number: int) -> str:
    return f"127.0.0.{2 + number}"


def _frames(opcode: Opcode, data: bytes = b"", fin: bool = True) -> bytes:
    """Return as many equal frames as are sent at once."""
    frame = Frame(opcode, data, fin).serialize(mask=True)
    return frame * (_PIECE_BYTES // len(frame))


_PINGS = _frames(Opcode.PING)
_LARGE_PINGS = _frames(Opcode.PING, b"x" * 100)
_PONGS = _frames(Opcode.PONG)
_FRAGMENT = Frame(Opcode.BINARY, b"x", fin=False).serialize(mask=True)
_FRAGMENTS = _frames(Opcode.CONT, fin=False)


@contextlib.asynccontextmanager
async def _socket(target: Target, address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a TCP connection, which is cut at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port, local_addr=(address, 0))
    target.connections += 1
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def _handshake(target: Target, token: str) -> tuple[ClientProtocol, bytes]:
    protocol = ClientProtocol(parse_uri(target.url(token)), max_size=None)
    protocol.send_request(protocol.connect())
    return protocol, b"".join(protocol.data_to_send())


async def _listen(target: Target, reader: asyncio.StreamReader, protocol: ClientProtocol) -> None:
    """Note what the server says until it ends the connection."""
    said_goodbye = False
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Response):
                    if event.status_code != 101:
                        target.told[f"HTTP {event.status_code}"] += 1
                elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    target.note(json.loads(bytes(event.data)))
                elif isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
                    said_goodbye = True
                    target.told[f"closed {Close.parse(bytes(event.data)).code}"] += 1
    if not said_goodbye:
        target.told["cut off"] += 1


async def _send(writer: asyncio.StreamWriter, first: bytes, piece: bytes) -> None:
    """Send without end, at the pace of a flood."""
    with contextlib.suppress(ConnectionError):
        writer.write(first)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(_PIECE_S)


async def _again(target: Target, act: Attack, pause_s: float = _PAUSE_S) -> None:
    """Do something again and again until the attack ends."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(target.left_s):
            while True:
                try:
                    await act(target)
                except (OSError, EOFError, ClientError, websockets.WebSocketException):
                    target.told["cut off"] += 1
                await asyncio.sleep(pause_s)


async def _side_by_side(target: Target, acts: Sequence[Attack], pause_s: float = _PAUSE_S) -> None:
    await asyncio.gather(*(_again(target, act, pause_s) for act in acts))


async def _flood_once(piece: bytes, first: bytes, is_guest: bool, target: Target) -> None:
    async with _socket(target, _address(0)) as (reader, writer):
        protocol, request = _handshake(target, target.token if is_guest else "wrong")
        writer.write(request)
        if is_guest:  # anybody else floods while the server looks at the token
            protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
        both = {
            asyncio.create_task(_listen(target, reader, protocol)),
            asyncio.create_task(_send(writer, first, piece)),
        }
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            # What it says last may still be on its way.
            await asyncio.wait(both, timeout=_PAUSE_S)
        finally:
            for task in both:
                task.cancel()


async def _flood(
    target: Target, *, piece: bytes, first: bytes = b"", is_guest: bool = True, connections: int = 1
) -> None:
    await _side_by_side(target, [partial(_flood_once, piece, first, is_guest)] * connections)


async def _deaf(target: Target) -> None:
    """Send pings and never read."""

    async def once(target: Target) -> None:
        async with _socket(target, _address(0)) as (reader, writer):
            _, request = _handshake(target, target.token)
            writer.write(request)
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await _send(writer, b"", _LARGE_PINGS)
            target.told["cut off"] += 1

    await _side_by_side(target, [once])


async def _idle_once(address: str, said: bytes, target: Target) -> None:
    async with _socket(target, address) as (reader, writer):
        writer.write(said)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        target.told["cut off"] += 1


async def _idle(target: Target, *, addresses: int, said: bytes = b"") -> None:
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = min(_IDLE, most_files - _RESERVED_FILES)
    acts = [partial(_idle_once, _address(number % addresses), said) for number in range(connections)]
    await _side_by_side(target, acts, _IDLE_PAUSE_S)


@contextlib.asynccontextmanager
async def _joined(target: Target, address: str, **query: str) -> AsyncIterator[Client]:
    """Join as a guest would, and note all that the server says."""
    url = target.url(target.token, target_lang="eng", audio="none", **query)
    connection = await websockets.connect(url, local_addr=(address, 0), max_size=None, compression=None)
    target.connections += 1
    async with Client(connection) as client:
        yield client


async def _join(target: Target) -> None:
    async def once(target: Target) -> None:
        async with _joined(target, _address(0)) as client:
            async for message in client:
                target.note(message)

    await _side_by_side(target, [once] * _JOINS, _IDLE_PAUSE_S)


async def _speak_once(address: str, target: Target) -> None:
    """Say one long utterance after another, as many side by side as may be."""
    said = pcm.float_to_pcm16(target.speech[: int(_LONG_S * SAMPLE_RATE_HZ)])
    async with _joined(target, address, source_lang="eng", mode="utterance") as client:
        client_id = (await client.ready())["client_id"]
        for _ in range(_UNFINISHED):
            await client.send(said)
        async for message in client:
            target.note(message)
            is_caption = message["type"] == "result" and message["client_id"] == client_id
            target.told["captions"] += is_caption
            if is_caption or message["type"] == "error":
                await asyncio.sleep(_PIECE_S)
                await client.send(said)


async def _speak(target: Target, *, connections: int, addresses: int) -> None:
    await _side_by_side(target, [partial(_speak_once, _address(n % addresses)) for n in range(connections)])


async def _storm(target: Target) -> None:
    """Join and leave without a word."""

    async def once(target: Target) -> None:
        async with _socket(target, _address(0)) as (reader, writer):
            protocol, request = _handshake(target, target.token)
            writer.write(request)
            data = await reader.read(65536)
            if data:
                protocol.receive_data(data)
            target.told["let in" if protocol.handshake_exc is None and data else "cut off"] += 1

    await _side_by_side(target, [once] * _STORM)


async def _large_frames(target: Target) -> None:
    said = pcm.float_to_pcm16(target.speech)
    said = (said * (_FRAME_BYTES // len(said) + 1))[:_FRAME_BYTES]

    async def once(target: Target) -> None:
        async with _joined(target, _address(0), source_lang="eng", mode="stream") as client:
            sending = asyncio.create_task(_send_frames(client, said))
            try:
                async for message in client:
                    target.note(message)
            finally:
                sending.cancel()

    await _side_by_side(target, [once])


async def _send_frames(client: Client, frame: bytes) -> None:
    with contextlib.suppress(ClientError):
        while True:
            await client.send(frame)


SPEAKING = "utterances of 15 s, 1 connection"
"""The attack whose utterances are the longest."""

ATTACKS: dict[str, Attack] = {
    "pings, wrong token": partial(_flood, piece=_PINGS, is_guest=False),
    "pings, wrong token, 10 connections": partial(_flood, piece=_PINGS, is_guest=False, connections=10),
    "pings of a guest, 10 connections": partial(_flood, piece=_PINGS, connections=10),
    "empty fragments of a guest": partial(_flood, piece=_FRAGMENTS, first=_FRAGMENT),
    "pongs of a guest": partial(_flood, piece=_PONGS),
    "pings of a guest who never reads": _deaf,
    "1,100 idle connections from 1 address": partial(_idle, addresses=1),
    "1,100 idle connections from 20 addresses": partial(_idle, addresses=_IDLE_ADDRESSES),
    "1,100 half-sent headers from 20 addresses": partial(
        _idle, addresses=_IDLE_ADDRESSES, said=b"GET / HTTP/1.1\r\nHo"
    ),
    "64 joins from 1 address": _join,
    "joining and leaving, 10 at a time": _storm,
    "frames of 131 s": _large_frames,
    SPEAKING: partial(_speak, connections=1, addresses=1),
    "utterances of 15 s, 3 connections": partial(_speak, connections=3, addresses=1),
    "utterances of 15 s, 3 addresses": partial(_speak, connections=3, addresses=3),
}
"""By what they do."""


@dataclass(frozen=True)
class Outcome:
    """An attack that is over.

    Attributes:
        from_s: When it began, on the monotonic clock.
        until_s: When it ended.
        connections: How many were opened.
        told: As in ``Target``.
    """

    from_s: float
    until_s: float
    connections: int
    told: dict[str, int]


def run(name: str, port: int, token: str, for_s: float) -> Outcome:
    """Attack a server, in a process that does nothing else.

    Args:
        name: One of ``ATTACKS``.
        port: Of a server on this machine.
        token: That of a guest.
        for_s: How long, in seconds.
    """
    os.nice(19)
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    clips = harness.clips(["eng"])
    speech = np.concatenate([clip.samples for clip in clips])
    from_s = time.monotonic()
    target = Target(port, token, from_s + for_s, speech)
    asyncio.run(ATTACKS[name](target))
    return Outcome(from_s, time.monotonic(), target.connections, dict(target.told))
