"""What every HTTP request and answer passes: the name the server was called by, and the headers browsers obey."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from babblefish.server.sites import Sites
from babblefish.settings import Settings

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Application = Callable[[_Message, _Receive, _Send], Awaitable[None]]

_ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"permissions-policy": b"microphone=(self), camera=(), geolocation=()",
    b"cross-origin-resource-policy": b"same-origin",
}

# The pages carry the rest of their policy themselves, as one of them is opened as a file as well.
_PAGE_POLICY = b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_DATA_POLICY = b"default-src 'none'; frame-ancestors 'none'"

_ONE_YEAR = b"max-age=31536000"
_HTTPS_PORT = 443

_MISDIRECTED = 421
"""The server does not answer for that name (RFC 9110, section 15.5.20)."""

_REFUSAL = b"This server does not go by that name. BABBLEFISH_ALLOWED_HOSTS can add it.\n"


class Guard:
    """Stands before an ASGI application; sockets are looked at where they are admitted."""

    def __init__(self, application: _Application, sites: Sites, settings: Settings) -> None:
        """Guard an application.

        A browser is told to insist on HTTPS only by a server with a certificate of its owner's on the port that
        belongs to it: the promise holds for every port of the name, so it must not be made beside others, nor for a
        private CA that may have to be replaced.
        """
        self._application = application
        self._sites = sites
        insist = settings.tls_cert is not None and settings.port == _HTTPS_PORT
        self._headers = _ALWAYS | ({b"strict-transport-security": _ONE_YEAR} if insist else {})

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def send_guarded(message: _Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._with_headers(list(message.get("headers", ())))
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and self._sites.answers_to(hosts[0]):
            await self._application(scope, receive, send_guarded)
            return
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(_REFUSAL)).encode())]
        await send_guarded({"type": "http.response.start", "status": _MISDIRECTED, "headers": headers})
        await send_guarded({"type": "http.response.body", "body": _REFUSAL})

    def _with_headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        given = {name.lower(): value for name, value in headers}
        is_page = given.get(b"content-type", b"").startswith(b"text/html")
        wanted = self._headers | {b"content-security-policy": _PAGE_POLICY if is_page else _DATA_POLICY}
        return [*headers, *((name, value) for name, value in wanted.items() if name not in given)]
