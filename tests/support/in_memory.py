"""An ASGI application driven in this process without a network: its lifespan, its HTTP, its WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close

_ADDRESS = "127.0.0.1"
_END_S = 2.0
"""Given to connections that are still served when the application ends, as uvicorn gives them."""


class InMemoryConnection:
    """A WebSocket to an application; what one end sends is in the other's queue at once.

    Neither queue is bounded, so whatever depends on a slow reader, on the size of a frame or on a handshake needs a
    real socket.
    """

    def __init__(self) -> None:
        self.close_code: int | None = None
        self._to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_client: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._accepted = asyncio.Event()

    async def send(self, frame: str | bytes, /) -> None:
        if self.close_code is not None:
            raise ConnectionClosed(Close(self.close_code, ""), None)
        kind = "text" if isinstance(frame, str) else "bytes"
        self._to_server.put_nowait({"type": "websocket.receive", kind: frame})
        await asyncio.sleep(0)  # the server runs beside its clients, not after all they have to say

    async def recv(self) -> str | bytes:
        frame = await self._to_client.get()
        if frame is None:
            self._to_client.put_nowait(None)
            raise ConnectionClosed(Close(self.close_code or 1006, ""), None)
        return frame

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        with contextlib.suppress(ConnectionClosed):
            while True:
                yield await self.recv()

    async def close(self, code: int = 1000) -> None:
        self._end(code)

    def abort(self) -> None:
        """Be gone without a word."""
        self._end(1006)

    async def wait_closed(self) -> None:
        """Wait until the connection has ended and what came before has been read."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.recv()

    async def accepted(self) -> None:
        """Wait until the application has taken the connection, or refused it."""
        await self._accepted.wait()

    def _end(self, code: int) -> None:
        if self.close_code is None:
            self.close_code = code
            self._accepted.set()
            self._to_client.put_nowait(None)
            self._to_server.put_nowait({"type": "websocket.disconnect", "code": code})

    async def serve(self, app: FastAPI, scope: dict[str, Any]) -> None:
        """Be the server's side of it until the application is done with it."""
        self._to_server.put_nowait({"type": "websocket.connect"})
        try:
            await app(scope, self._to_server.get, self._from_server)
        finally:
            self._end(1006)

    async def _from_server(self, message: Any) -> None:
        if self.close_code is not None:
            raise OSError("the client has gone")  # what ASGI wants a server to raise
        match message["type"]:
            case "websocket.accept":
                self._accepted.set()
            case "websocket.send":
                text = message.get("text")
                self._to_client.put_nowait(message["bytes"] if text is None else text)
            case "websocket.close":
                self._end(message.get("code", 1000))
            case unknown:
                raise AssertionError(f"no application may send {unknown}")


class InMemoryTransport:
    """A running application and how it is reached: HTTP and WebSockets."""

    def __init__(self, app: FastAPI, port: int) -> None:
        """Reach an application as one that listens on this port of the loopback interface."""
        self.port = port
        self._app = app
        self._serving: list[asyncio.Task[None]] = []

    async def connect(self, path: str, headers: Mapping[str, str] | None = None) -> InMemoryConnection:
        """Open a WebSocket.

        Args:
            path: With its query.
            headers: Beside those that every client sends, or instead of them.
        """
        url = urlsplit(path)
        sent = {"host": f"{_ADDRESS}:{self.port}"} | {name.lower(): value for name, value in (headers or {}).items()}
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "server": (_ADDRESS, self.port),
            "client": (_ADDRESS, 50000),
            "root_path": "",
            "path": url.path,
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "subprotocols": [],
            "state": {},
        }
        connection = InMemoryConnection()
        self._serving.append(asyncio.create_task(connection.serve(self._app, scope)))
        await connection.accepted()
        return connection

    def http(self, **given: Any) -> httpx.AsyncClient:
        """Make an HTTP client; see ``httpx.AsyncClient`` for what may be given."""
        return httpx.AsyncClient(
            transport=_HttpTransport(self._app), base_url=f"http://{_ADDRESS}:{self.port}", **given
        )

    async def __aenter__(self) -> Self:
        self._lifespan = self._app.router.lifespan_context(self._app)
        await self._lifespan.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._serving:
                _, late = await asyncio.wait(self._serving, timeout=_END_S)
                for task in late:
                    task.cancel()
                outcomes = await asyncio.gather(*self._serving, return_exceptions=True)
                for outcome in outcomes:
                    if isinstance(outcome, Exception):
                        raise outcome
        finally:
            await self._lifespan.__aexit__(None, None, None)


class _HttpTransport(httpx.ASGITransport):
    """Serves each request in a task of its own, as a server does, so that its context is not the caller's."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await asyncio.create_task(super().handle_async_request(request))
