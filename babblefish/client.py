"""A client of a running server: it joins a room, speaks, and gets what everybody says in its own language.

What the server says comes as it is on the wire, one dict per message; ``wire.server_messages`` has the fields of each
``type``. A program either goes through the messages, which takes each of them out, or waits for some and looks at
all that have come::

    async with connect("http://localhost:9000/", target_lang="fra", mode="stream") as client:
        await client.stream(samples, paced=True)
        async for message in client:
            if message["type"] == "result":
                print(message["speaker_name"], message["translation"])
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from ssl import SSLContext
from typing import Any, Protocol, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import numpy as np
import websockets
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from babblefish.audio import pcm
from babblefish.domain import SAMPLE_RATE_HZ, Interpreting, Samples
from babblefish.wire.server_messages import AudioFormat, Mode

Message = dict[str, Any]
"""One message of the server."""

_BACKLOG = 1000
_PATIENCE_S = 10.0


class ClientError(Exception):
    """Base of what can go wrong between a client and its server."""


class RefusedError(ClientError):
    """The server does not let the client in.

    Attributes:
        code: Why, as in the wire's ``error``.
        message: The same for people.
    """

    def __init__(self, code: str, message: str) -> None:
        """Keep what the server said."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ConnectionLostError(ClientError):
    """There is no connection, or none any more."""


class Connection(Protocol):
    """What carries frames to a server and back; the WebSocket of ``websockets`` is one as it is.

    Iterating yields the server's text frames until the connection ends.
    """

    @property
    def close_code(self) -> int | None:
        """Code that the connection was closed with, or None while it is open."""

    async def send(self, frame: str | bytes, /) -> None:
        """Send one text or binary frame."""

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield the frames that come."""

    async def close(self) -> None:
        """End the connection; without effect where it has ended."""


class Client:
    """A client on an open connection; it listens from entering until leaving, whether anybody looks or not.

    Attributes:
        connection: Carries the frames.
        messages: What has come and was not yet taken out by iterating, in order; ``ready`` is the first.
        closed: Set when the connection has ended, however it did.
    """

    def __init__(self, connection: Connection, backlog: int | None = _BACKLOG) -> None:
        """Take over a connection.

        Args:
            connection: An open one; it is closed on leaving.
            backlog: As many messages are kept; while there are more nothing further is read, and a server that gets
                no more off closes the connection. None for a client that is to keep all of them.
        """
        self.connection = connection
        self.messages: deque[Message] = deque()
        self.closed = asyncio.Event()
        self._backlog = backlog
        self._changed = asyncio.Condition()
        self._pongs = 0
        self._is_leaving = False
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listening is not None
        await self.close()
        await self._listening

    async def close(self) -> None:
        """End the connection, as leaving does; what has come stays."""
        async with self._changed:
            self._is_leaving = True
            self._changed.notify_all()
        await self.connection.close()

    @property
    def close_code(self) -> int | None:
        """Code that the connection was closed with, or None while it is open."""
        return self.connection.close_code

    async def ready(self, timeout_s: float = _PATIENCE_S) -> Message:
        """Wait until the client may speak and return the server's ``ready``, which is the first thing it says.

        Raises:
            RefusedError: The server said why it may not.
            ConnectionLostError: The connection ended without a word.
            TimeoutError: No answer in time.
        """
        await self.wait_until(lambda: bool(self.messages), timeout_s)
        first = self.messages[0]
        if first["type"] == "error":
            raise RefusedError(first["code"], first["message"])
        return first

    def of_type(self, kind: str) -> list[Message]:
        """Return the messages of a type that have come and were not yet taken out, in order."""
        return [message for message in self.messages if message["type"] == kind]

    async def wait_for(self, kind: str, count: int = 1, timeout_s: float = _PATIENCE_S) -> list[Message]:
        """Wait until there are ``count`` messages of a type and return all of that type.

        Raises:
            ConnectionLostError: The connection ended before.
            TimeoutError: They did not come in time.
        """
        await self.wait_until(lambda: len(self.of_type(kind)) >= count, timeout_s)
        return self.of_type(kind)

    async def wait_until(self, condition: Callable[[], bool], timeout_s: float = _PATIENCE_S) -> None:
        """Wait until the messages that have come fulfil a condition.

        Raises:
            ConnectionLostError: The connection ended before.
            TimeoutError: They do not do so in time.
        """
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: condition() or self.closed.is_set())
            if not condition():
                raise self._lost()

    async def catch_up(self, timeout_s: float = _PATIENCE_S) -> None:
        """Wait until the server has taken all that was sent, and what it said before that is here.

        Raises:
            ConnectionLostError: The connection ended before.
            TimeoutError: The server does not answer in time.
        """
        before = self._pongs
        await self.send_message(type="ping")
        await self.wait_until(lambda: self._pongs > before, timeout_s)

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self.messages) or self.closed.is_set())
            if not self.messages:
                raise StopAsyncIteration
            self._changed.notify_all()
            return self.messages.popleft()

    async def say(self, samples: Samples) -> None:
        """Send one utterance as one frame (``mode=utterance``).

        Args:
            samples: Shape ``[n]``, float32, mono, 16 kHz.

        Raises:
            ConnectionLostError: The connection has ended.
        """
        await self.send(pcm.float_to_pcm16(samples))

    async def say_text(self, text: str, lang: str | None = None) -> None:
        """Say something without a voice: the others get it as if it had been spoken.

        Args:
            text: At most 1000 characters.
            lang: ISO 639-3 of the text; None leaves it to what ``source_lang`` says, and to the text.

        Raises:
            ConnectionLostError: The connection has ended.
        """
        await self.send_message(type="say", text=text, **({} if lang is None else {"lang": lang}))

    async def stream(
        self, samples: Samples, frame_ms: int = 40, *, paced: bool = False, silence_s: float = 0.0
    ) -> None:
        """Send audio in frames, in which the server finds the utterances (``mode=stream``).

        Args:
            samples: Shape ``[n]``, float32, mono, 16 kHz.
            frame_ms: Length of a frame.
            paced: Whether each frame is sent when a microphone would have it, instead of as soon as it can be.
            silence_s: How much silence follows, as it does where a microphone stays open.

        Raises:
            ConnectionLostError: The connection has ended.
        """
        silence = np.zeros(int(silence_s * SAMPLE_RATE_HZ), dtype=np.float32)
        sent = pcm.float_to_pcm16(np.concatenate([samples, silence]))
        step = SAMPLE_RATE_HZ * frame_ms // 1000 * 2
        started_s = time.monotonic()
        for index, start in enumerate(range(0, len(sent), step)):
            if paced:
                await asyncio.sleep(max(0.0, started_s + index * frame_ms / 1000 - time.monotonic()))
            await self.send(sent[start : start + step])

    async def set(self, **changed: str) -> None:
        """Change what this client hears, speaks or is called; ``settled`` answers.

        Raises:
            ConnectionLostError: The connection has ended.
        """
        await self.send_message(type="set", **changed)

    async def flush(self) -> None:
        """End the utterance now, without silence.

        Raises:
            ConnectionLostError: The connection has ended.
        """
        await self.send_message(type="flush")

    async def send_message(self, **message: object) -> None:
        """Send any message of ``wire.client_messages``, or one that is none.

        Raises:
            ConnectionLostError: The connection has ended.
        """
        # As they are, not escaped: the server counts the characters that come.
        await self.send(json.dumps(message, ensure_ascii=False))

    async def send(self, frame: str | bytes) -> None:
        """Send a frame as it is.

        Raises:
            ConnectionLostError: The connection has ended.
        """
        try:
            await self.connection.send(frame)
        except ConnectionClosed:
            raise self._lost() from None

    async def _listen(self) -> None:
        try:
            async for frame in self.connection:
                async with self._changed:
                    await self._changed.wait_for(self._has_room)
                    message = json.loads(frame)
                    self._pongs += message["type"] == "pong"
                    self.messages.append(message)
                    self._changed.notify_all()
        except ConnectionClosed:
            pass  # the code says how
        finally:
            self.closed.set()
            async with self._changed:
                self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._is_leaving or self._backlog is None or len(self.messages) < self._backlog

    def _lost(self) -> ConnectionLostError:
        code = self.close_code
        return ConnectionLostError("the connection has ended" + (f" with code {code}" if code is not None else ""))


@contextlib.asynccontextmanager
async def connect(
    url: str,
    *,
    target_lang: str | None = None,
    source_lang: str | None = None,
    name: str | None = None,
    room: str | None = None,
    mode: Mode | None = None,
    audio: AudioFormat | None = None,
    interpreting: Interpreting | None = None,
    token: str | None = None,
    client_id: str | None = None,
    ssl: SSLContext | None = None,
    origin: str | None = None,
    backlog: int | None = _BACKLOG,
) -> AsyncIterator[Client]:
    """Join a room of a server and leave it at the end; the client may speak at once.

    What is left out is as the server has it, ``wire.client_messages.Join``.

    Args:
        url: The address of the server's page, as ``http://localhost:9000/``, or a link that invites to a room.
        target_lang: ISO 639-3 of what the client wants to hear.
        source_lang: ISO 639-3 of what it speaks, ``auto``, or ``room``.
        name: What the others see.
        room: Which room to join, instead of the link's.
        mode: Whether a frame is an utterance (``utterance``) or a piece of a stream of audio (``stream``).
        audio: How spoken translations come: as one ``wav``, piece by piece as a ``stream``, or not at all (``none``).
        interpreting: Whether it hears what is said while it is being said (``simultaneous``), or when it has been
            (``consecutive``).
        token: Lets into the room, instead of the link's.
        client_id: That of a connection that was lost.
        ssl: For HTTPS, where the machine's own trust is not enough.
        origin: The site of the page that a browser would be on.
        backlog: See ``Client``.

    Raises:
        RefusedError: The server does not let the client in, and said why.
        ConnectionLostError: There is no server, or it ended the connection without a word.
        TimeoutError: It does not answer in time.
    """
    query = {
        "target_lang": target_lang,
        "source_lang": source_lang,
        "name": name,
        "room": room,
        "mode": mode,
        "audio": audio,
        "interpreting": interpreting,
        "token": token,
        "client_id": client_id,
    }
    address = socket_url(url, **{key: value for key, value in query.items() if value is not None})
    async with Client(await opened(address, ssl=ssl, origin=origin), backlog) as client:
        await client.ready()
        yield client


def socket_url(url: str, **query: str) -> str:
    """Return the WebSocket's address of a server.

    Args:
        url: The address of the server's page, or a link that invites to a room.
        query: Goes before what the link says.
    """
    page = urlsplit(url)
    said = dict(parse_qsl(page.query)) | dict(parse_qsl(page.fragment)) | query
    scheme = {"http": "ws", "https": "wss"}.get(page.scheme, page.scheme)
    return urlunsplit((scheme, page.netloc, f"{page.path.rstrip('/')}/ws/client", urlencode(said), ""))


async def opened(
    address: str, *, ssl: SSLContext | None = None, origin: str | None = None
) -> websockets.ClientConnection:
    """Open a WebSocket; see ``connect`` for the arguments.

    Raises:
        ConnectionLostError: Nobody answers there, or not as a WebSocket does.
        TimeoutError: No answer in time.
    """
    headers = {"Origin": origin} if origin is not None else {}
    try:
        # A result may hold a WAV file longer than a frame may be by default, and the server compresses nothing.
        return await websockets.connect(address, ssl=ssl, additional_headers=headers, max_size=None, compression=None)
    except TimeoutError:
        raise
    except InvalidStatus as error:
        raise ConnectionLostError(f"the server answers with HTTP {error.response.status_code}") from error
    except (OSError, InvalidHandshake) as error:
        raise ConnectionLostError(f"no connection: {error or 'no answer'}") from error
