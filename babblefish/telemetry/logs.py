"""The log: what each line says about itself. It holds no word of what was said unless a setting asks for it."""

from __future__ import annotations

import contextvars
import logging
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from babblefish.settings import Settings

_log = logging.getLogger(__name__)

_about: contextvars.ContextVar[dict[str, str]] = contextvars.ContextVar("about", default={})  # noqa: B039 - never changed

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]


def about(**ids: str) -> None:
    """Have every further line of this task, and of those it starts, carry these: ``utterance_id``, ``client_id``."""
    _about.set({**_about.get(), **ids})


class _Identified(logging.Filter):
    """Puts what a line is about into its record."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in _about.get().items():
            setattr(record, name, value)
        return True


class _TextFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        ids = " ".join(f"{name}={value}" for name, value in _about.get().items())
        return f"{super().formatMessage(record)} [{ids}]" if ids else super().formatMessage(record)


def configure(settings: Settings) -> None:
    """Write the log to standard error as the settings say.

    The level is that of our own lines. Libraries are heard from ``warning`` on only: at ``debug`` those of the
    WebSocket would write every message, and what it says, into the log.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Identified())
    if settings.log_format == "json":
        names = {"levelname": "level", "name": "logger"}
        handler.setFormatter(JsonFormatter(["levelname", "name", "message"], rename_fields=names, timestamp=True))
    else:
        handler.setFormatter(_TextFormatter("%(levelname)s %(name)s: %(message)s"))
    level = settings.log_level.upper()
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, logging.getLevelName(level)), force=True)
    logging.getLogger("babblefish").setLevel(level)


class RequestIds:
    """ASGI middleware: gives each HTTP request and each WebSocket an id, for its lines in the log and its answer."""

    def __init__(self, app: _App) -> None:
        """Stand before an application."""
        self._app = app

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(6)
        about(request_id=request_id)
        started_s = time.perf_counter()

        async def answer(message: _Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
                # The query is left out: it may hold a name or a token.
                took_ms = (time.perf_counter() - started_s) * 1000
                _log.debug("%s %s: %d, %.1f ms", scope["method"], scope["path"], message["status"], took_ms)
            await send(message)

        await self._app(scope, receive, answer)
