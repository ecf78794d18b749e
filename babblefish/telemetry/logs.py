"""The log's format, as text or JSON; no line says what was said unless a setting asks for it.

A line may hold what a stranger sent, such as a path. So what is not printable is written as Python escapes it, in the
lines of a traceback too, and those are indented: nothing that comes from outside begins a line, or reaches a terminal
as a command.

Modules log with the standard library's loggers. Ids that all further lines of a task carry are bound with
``structlog.contextvars.bind_contextvars``.
"""

from __future__ import annotations

import logging
import sys
import traceback

from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.processors import ExceptionRenderer, JSONRenderer, TimeStamper
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from structlog.typing import EventDict, WrappedLogger

from babblefish.settings import Settings

_IDS = ("request_id", "client_id", "utterance_id")
"""What a line of text ends with, as far as it is bound, in this order."""


def configure(settings: Settings) -> None:
    """Write the log to standard error as the settings say.

    ``log_level`` applies to BabbleFish's own lines. Libraries log warnings and worse only: at ``debug`` the WebSocket
    library would write every message, and what it says, into the log.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json_formatter() if settings.log_format == "json" else _text_formatter())
    level = settings.log_level.upper()
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, logging.getLevelName(level)), force=True)
    logging.getLogger("babblefish").setLevel(level)


def _json_formatter() -> ProcessorFormatter:
    return ProcessorFormatter(
        foreign_pre_chain=[merge_contextvars, ExtraAdder(), TimeStamper(fmt="iso"), ExceptionRenderer()],
        processors=[_json_fields, JSONRenderer()],
    )


def _text_formatter() -> ProcessorFormatter:
    return ProcessorFormatter(processors=[_text_line])


def _json_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Give the fields the names under which log collectors find them, the ones that every line has first."""
    record: logging.LogRecord = event.pop("_record")
    del event["_from_structlog"]
    if "exception" in event:
        event["exc_info"] = event.pop("exception")
    return {
        "timestamp": event.pop("timestamp"),
        "level": record.levelname,
        "logger": record.name,
        "message": event.pop("event"),
        **event,
    }


def _text_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Render ``LEVEL logger: message [ids]``; the traceback follows below."""
    record: logging.LogRecord = event["_record"]
    bound = get_contextvars()
    ids = " ".join(f"{name}={bound[name]}" for name in _IDS if name in bound)
    line = f"{record.levelname} {record.name}: {event['event']}"
    below = "".join(traceback.format_exception(*event["exc_info"])) if event.get("exc_info") else ""
    below += event.get("stack_info") or ""
    lines = [f"{line} [{ids}]" if ids else line, *(f"  {further}" for further in below.splitlines())]
    return "\n".join(map(_printable, lines))


def _printable(text: str) -> str:
    """Escape what is not printable, as ``repr`` does."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
