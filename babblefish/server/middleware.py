"""ASGI middleware that every request passes: the host check, browsers' security headers, and the request id."""

from __future__ import annotations

import logging
import secrets
import time

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from babblefish.server.sites import FORWARDED, Sites
from babblefish.settings import Settings

_log = logging.getLogger(__name__)

_ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"permissions-policy": b"microphone=(self), camera=(), geolocation=()",
    b"cross-origin-resource-policy": b"same-origin",
}

# The pages carry the rest of their policy themselves, as one of them can also be opened as a file.
_PAGE_POLICY = b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_DATA_POLICY = b"default-src 'none'; frame-ancestors 'none'"

_ONE_YEAR = b"max-age=31536000"
_HTTPS_PORT = 443

_MISDIRECTED = 421
"""The server does not answer to that host name (RFC 9110, section 15.5.20)."""

_FORBIDDEN = 403

_REFUSAL = "This server does not answer to that host name. Add it to BABBLEFISH_ALLOWED_HOSTS.\n"


class SecurityMiddleware:
    """Refuses requests for other hosts and adds security headers; WebSockets are checked when they join."""

    def __init__(self, app: ASGIApp, sites: Sites, settings: Settings) -> None:
        """Wrap an application.

        Browsers are told to insist on HTTPS (HSTS) only by a server with its owner's certificate on the standard port:
        HSTS holds for every port of the name, so other services must not be bound by it, and a private CA may have to
        be replaced.
        """
        self._app = app
        self._sites = sites
        insist = settings.tls_cert is not None and settings.port == _HTTPS_PORT
        self._headers = _ALWAYS | ({b"strict-transport-security": _ONE_YEAR} if insist else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._with_headers(list(message.get("headers", ())))
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._sites.answers_to(hosts[0]):
            await PlainTextResponse(_REFUSAL, _MISDIRECTED)(scope, receive, send_with_headers)
        elif self._sites.is_forwarded(Headers(scope=scope)):
            await PlainTextResponse(f"{FORWARDED}\n", _FORBIDDEN)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _with_headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        given = {name.lower(): value for name, value in headers}
        is_page = given.get(b"content-type", b"").startswith(b"text/html")
        wanted = self._headers | {b"content-security-policy": _PAGE_POLICY if is_page else _DATA_POLICY}
        return [*headers, *((name, value) for name, value in wanted.items() if name not in given)]


class RequestIdMiddleware:
    """Gives each HTTP request and each WebSocket an id, for its lines in the log and for its response."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(6)
        bind_contextvars(request_id=request_id)
        started_s = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
                # The query is left out: it may hold a name or a token.
                took_ms = (time.perf_counter() - started_s) * 1000
                _log.debug("%s %s: %d, %.1f ms", scope["method"], scope["path"], message["status"], took_ms)
            await send(message)

        await self._app(scope, receive, send_with_id)
