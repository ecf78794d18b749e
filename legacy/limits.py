"""How much of a server one caller may take: requests and uploads at once, bytes of a body, seconds to send it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from babblefish.server.limits import owner_of
from legacy.problems import problem

MAX_BODY_BYTES = 25 * 1024 * 1024
"""Thirteen minutes of 16 kHz Int16, hours of speech as Opus."""

_GRACE_S = 5.0
_SLOWEST_BYTES_PER_S = 64 * 1024
_UPLOAD_S = _GRACE_S + MAX_BODY_BYTES / _SLOWEST_BYTES_PER_S
"""A caller that sends nothing, or hardly anything, would keep its place for ever: a body has the grace, then must have
come at that rate, and must be complete after so long."""

_UPLOADS_SHARE = 4
"""The uploads of one address take at most one place in so many."""

# A body that is taken fits in memory, so no upload is ever a file on the disk.
MultiPartParser.spool_max_size = MAX_BODY_BYTES


class Limits:
    """ASGI middleware around everything that has a body; what is beyond a limit is refused, nothing waits."""

    def __init__(self, app: ASGIApp, at_once: int) -> None:
        """Let so many requests in at once; one more gets a 503 before any of its body is read."""
        self._app = app
        self._free = at_once
        self._uploads_of_one = max(1, at_once // _UPLOADS_SHARE)
        self._uploading: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
        elif not self._free:
            refusal = problem(503, "overloaded", "too many requests are being served; try again in a moment")
            await refusal(scope, receive, send)
        elif self._uploading[owner := owner_of((scope["client"] or ("",))[0])] >= self._uploads_of_one:
            refusal = problem(429, "too_many", "too many uploads from this address; try again when one is complete")
            await refusal(scope, receive, send)
        else:
            body = _Body(scope, receive, when_complete=lambda: self._uploaded(owner))
            self._free -= 1
            self._uploading[owner] += 1
            try:
                await self._serve(body, scope, send)
            finally:
                self._free += 1
                if not body.complete.is_set():
                    self._uploaded(owner)

    def _uploaded(self, owner: str) -> None:
        self._uploading[owner] -= 1
        if not self._uploading[owner]:
            del self._uploading[owner]

    async def _serve(self, body: _Body, scope: Scope, send: Send) -> None:
        """Serve until the answer is sent or nobody waits for it any more."""

        async def answer() -> None:
            await self._app(scope, body.receive, send)

        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(answer())
            watching = tasks.create_task(body.until_gone())
            await asyncio.wait({serving, watching}, return_when=asyncio.FIRST_COMPLETED)
            serving.cancel()
            watching.cancel()


class _Body:
    """The body of one request, and then whether its caller is still there."""

    def __init__(self, scope: Scope, receive: Receive, when_complete: Callable[[], None]) -> None:
        self._receive = receive
        self._when_complete = when_complete
        declared = dict(scope["headers"]).get(b"content-length", b"")
        self._declared_bytes = int(declared) if declared.isdigit() else 0
        self._left_bytes = MAX_BODY_BYTES
        self._began_s = asyncio.get_running_loop().time()
        self.complete = asyncio.Event()
        """Set when all of it has come."""
        self._gone = asyncio.Event()

    async def receive(self) -> Message:
        """Return the next part; raises as soon as the body is too large or too slow."""
        if self.complete.is_set():
            await self._gone.wait()
            return {"type": "http.disconnect"}
        try:
            async with asyncio.timeout_at(self._give_up_s()):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the body comes too slowly") from None
        self._left_bytes -= len(message.get("body", b""))
        if self._left_bytes < 0 or self._declared_bytes > MAX_BODY_BYTES:
            raise HTTPException(413, f"a request has at most {MAX_BODY_BYTES // 1024**2} MiB")
        if not message.get("more_body", False):
            self.complete.set()
            self._when_complete()
        return message

    def _give_up_s(self) -> float:
        """Return the moment of the event loop's clock until which the next part must be here."""
        come_bytes = MAX_BODY_BYTES - self._left_bytes
        return self._began_s + min(_UPLOAD_S, _GRACE_S + come_bytes / _SLOWEST_BYTES_PER_S)

    async def until_gone(self) -> None:
        """Return when the caller has gone, after it has sent everything."""
        await self.complete.wait()
        await self._receive()
        self._gone.set()
