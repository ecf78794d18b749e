"""How each V1 server is started: an address of this machine, a port of its own, the settings of the package."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI

from babblefish.errors import BabbleFishError
from babblefish.pipeline.interpreter import Interpreter
from babblefish.server.connections import BoundedHttp, BoundedWebSocket, ConnectionLimits, raise_file_limit
from babblefish.settings import Settings
from babblefish.telemetry import logs


def run(description: str, port: int, create_app: Callable[[Interpreter], FastAPI], **fixed: Any) -> None:
    """Serve from the command line until a signal ends it.

    Args:
        description: For ``--help``.
        port: Unless another is given.
        create_app: Makes the application.
        fixed: Settings that this server needs to be what it is.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=port, help=f"TCP port (default {port})")
    parsed = parser.parse_args()
    settings = Settings(host=parsed.host, port=parsed.port, **fixed)
    logs.configure(settings)
    # uvicorn ends on SIGTERM and raises it again; so the engines' processes are ended before this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        asyncio.run(_serve(settings, create_app))
    except BabbleFishError as error:
        sys.exit(error.message)
    except KeyboardInterrupt:
        sys.exit()


async def _serve(settings: Settings, create_app: Callable[[Interpreter], FastAPI]) -> None:
    raise_file_limit()
    async with Interpreter.open(settings) as interpreter:
        print(f"serving on http://{settings.host}:{settings.port}", flush=True)
        await uvicorn.Server(server_config(create_app(interpreter), settings)).serve()


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn is to serve: connections and frames bounded, nothing compressed that is sound."""
    limits = ConnectionLimits(settings)
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        # At "info" uvicorn logs each connection's query, and at "debug" every frame.
        log_level="warning",
        log_config=None,
        http=partial(BoundedHttp, limits),  # type: ignore[arg-type]
        ws=partial(BoundedWebSocket, limits),  # type: ignore[arg-type]
        ws_max_size=settings.max_frame_bytes,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=5,
        forwarded_allow_ips=list(settings.trusted_proxies),
    )
