"""How much of a server one caller may take: requests at once, bytes of a body, seconds to send it."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from legacy.problems import problem

MAX_BODY_BYTES = 25 * 1024 * 1024
"""Thirteen minutes of 16 kHz Int16, hours of speech as Opus."""

_UPLOAD_S = 60.0
"""A caller that sends nothing would keep its place for ever."""

# A body that is taken fits in memory, so no upload is ever a file on the disk.
MultiPartParser.spool_max_size = MAX_BODY_BYTES


class Limits:
    """ASGI middleware around everything that has a body; what is beyond a limit is refused, nothing waits."""

    def __init__(self, app: ASGIApp, at_once: int) -> None:
        """Let so many requests in at once; one more gets a 503 before any of its body is read."""
        self._app = app
        self._free = at_once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
        elif not self._free:
            refusal = problem(503, "overloaded", "too many requests are being served; try again in a moment")
            await refusal(scope, receive, send)
        else:
            self._free -= 1
            try:
                await self._app(scope, _bounded(scope, receive), send)
            finally:
                self._free += 1


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Return a ``receive`` that raises as soon as a body is too large or too slow."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    left = MAX_BODY_BYTES
    give_up_s = asyncio.get_running_loop().time() + _UPLOAD_S
    too_large = HTTPException(413, f"a request has at most {MAX_BODY_BYTES // 1024**2} MiB")
    complete = False

    async def bounded() -> Message:
        nonlocal left, complete
        if complete:
            return await receive()
        if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            raise too_large
        try:
            async with asyncio.timeout_at(give_up_s):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"the body did not come within {_UPLOAD_S:.0f} s") from None
        left -= len(message.get("body", b""))
        if left < 0:
            raise too_large
        complete = not message.get("more_body", False)
        return message

    return bounded
