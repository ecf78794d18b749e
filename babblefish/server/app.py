"""The application: admits clients, renews the certificate, serves HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
from collections.abc import AsyncIterator
from functools import lru_cache, partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse, Response
from structlog.contextvars import bind_contextvars

from babblefish.audio.segmenter import open_segmenter
from babblefish.engines.contracts import Engines
from babblefish.errors import (
    BabbleFishError,
    NotAllowedError,
    NotReadyError,
    RestartingError,
    ServerFullError,
    TooFastError,
    TooManyError,
)
from babblefish.pipeline.pace import Pace
from babblefish.server.access import Admission
from babblefish.server.connections import BoundedHttp, BoundedWebSocket, ConnectionLimits
from babblefish.server.dashboard import Dashboard
from babblefish.server.middleware import RequestIdMiddleware, SecurityMiddleware
from babblefish.server.record_routes import record_routes
from babblefish.server.routes import address_of, join_routes, monitoring_routes, status_routes
from babblefish.server.say_routes import say_routes
from babblefish.server.server import Server
from babblefish.server.session import Session
from babblefish.server.sites import FORWARDED
from babblefish.server.tls import CHECK_EVERY_S, Certificate
from babblefish.server.voice_routes import voice_routes
from babblefish.settings import Settings
from babblefish.wire import client_messages, server_messages

_log = logging.getLogger(__name__)

_PACKAGE = Path(__file__).resolve().parents[1]
_PACKAGED_PAGE = _PACKAGE / "assets" / "client_thin.html"
_CLIENT_PAGE = _PACKAGED_PAGE if _PACKAGED_PAGE.is_file() else _PACKAGE.parent / "client_thin.html"
"""The wheel has the page among its assets; in a checkout it is beside the package."""


@lru_cache(maxsize=1)
def _compressed_page(modified_ns: int) -> bytes:
    """The page as gzip, a third of its size; made once for each version of the file."""
    return gzip.compress(_CLIENT_PAGE.read_bytes(), mtime=0)


def _client_page(request: Request) -> Response:
    """The page for browsers: it holds nothing secret and nothing of the request, which compressing could give away."""
    headers = {"Cache-Control": "no-cache", "Vary": "Accept, Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return FileResponse(_CLIENT_PAGE, media_type="text/html", headers=headers)
    page = _compressed_page(_CLIENT_PAGE.stat().st_mtime_ns)
    return Response(page, media_type="text/html", headers=headers | {"Content-Encoding": "gzip"})


_TRY_LATER = (NotReadyError, ServerFullError, TooFastError, TooManyError)


async def _serve_client(server: Server, websocket: WebSocket) -> None:
    """Serve one client from its first byte to its last; a refused one is told why before it is closed."""
    try:
        with server.limits.of(address_of(websocket)).connection():
            await _serve_connected(server, websocket)
    except BabbleFishError as error:
        _log.info("a client is refused: %s", error.code)
        server.recorder.refused(error.code)
        refusal = server_messages.error_message(error).model_copy(update={"fatal": True})
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it did not wait for the answer
            await websocket.accept()  # a browser shows its page nothing of a handshake that failed
            await websocket.send_text(server_messages.encode(refusal))
            await websocket.close(_close_code(error), error.code)


async def _serve_connected(server: Server, websocket: WebSocket) -> None:
    """Let a client in and serve it; until then nothing that it sends is read.

    Raises:
        BabbleFishError: It may not join, or not now.
    """
    if server.sites.is_forwarded(websocket.headers):
        raise NotAllowedError(FORWARDED)
    origin = websocket.headers.get("origin")
    server.sites.check(websocket.headers.get("host"), origin)
    join = client_messages.parse_join(websocket.query_params)
    address = server.limits.of(address_of(websocket))
    token = websocket.query_params.get("token", "")
    client_id, admission = await server.admit(join, token, address, server.sites.is_file(origin))
    session = _session(server, websocket, join, client_id, admission)
    server.sessions[client_id] = session
    bind_contextvars(client_id=client_id)
    _log.info("%s joined room %s", client_id, session.room.name)
    try:
        await websocket.accept()
        await session.enter()
        await session.run(_ready(server, session, join, server.access.return_token(admission, client_id)))
    except* Exception:
        _log.exception("unhandled error in a session: %s", client_id)
        with contextlib.suppress(RuntimeError):
            await websocket.close(server_messages.CLOSE_FAULT)
    finally:
        session.gone()
        del server.sessions[client_id]
        _log.info("%s left", client_id)


def _session(
    server: Server, websocket: WebSocket, join: client_messages.Join, client_id: str, admission: Admission
) -> Session:
    assert server.runtime.engines is not None
    assert server.rooms is not None
    return Session(
        websocket,
        join,
        client_id,
        admission,
        server.limits.of(address_of(websocket)),
        server.rooms,
        partial(open_segmenter, server.runtime.engines, server.settings),
        server.runtime.workers,
        server.settings,
        server.pace,
    )


def _close_code(error: BabbleFishError) -> int:
    if isinstance(error, RestartingError):
        return server_messages.CLOSE_RESTART
    return server_messages.CLOSE_FULL if isinstance(error, _TRY_LATER) else server_messages.CLOSE_NOT_ALLOWED


def _ready(server: Server, session: Session, join: client_messages.Join, token: str | None) -> server_messages.Ready:
    assert server.runtime.engines is not None
    engines = server.runtime.engines
    return server_messages.Ready(
        message="connected; you can speak now",
        client_id=session.member.client_id,
        target_lang=join.target_lang,
        source_lang=join.source_lang,
        room=join.room,
        mode=join.mode,
        audio=join.audio,
        interpreting=session.member.interpreting,
        profile=server.runtime.profile.name,
        profile_reason=server.runtime.profile.reason,
        engines={
            "voice_detector": engines.voice_detector.name,
            "turn_detector": engines.turn_detector.name if engines.turn_detector else "none",
            "speaker_encoder": engines.speaker_encoder.name,
            "speech_translator": engines.speech_translator.name,
            "text_translator": engines.text_translator.name if engines.text_translator else "none",
            "synthesizers": ", ".join(engine.name for engine in engines.synthesizers),
        },
        languages=server.languages,
        max_utterance_s=server.settings.max_utterance_s,
        history_id=session.room.history.history_id,
        last_seq=session.room.history.newest_seq,
        token=token,
        voices_kept_days=server.settings.voices_keep_days if server.voices is not None else None,
    )


async def _keep_valid(server: Server, certificate: Certificate) -> None:
    """Check daily whether the certificate expires, has been replaced, or lacks one of the machine's addresses."""
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        try:
            certificate.take(await server.runtime.workers.sockets.run(certificate.renewed))
        except BabbleFishError as error:
            _log.warning("cannot renew the certificate, keeping the current one: %s", error.message)


def create_app(settings: Settings, engines: Engines | None = None, pace: Pace | None = None) -> FastAPI:
    """Create the application.

    Args:
        settings: The server's.
        engines: Loaded engines, for tests and for embedding; by default the profile's are loaded at startup.
        pace: Other waits than the usual ones, for tests.
    """
    server = Server(settings, engines, pace)
    dashboard = Dashboard(server)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(server.load()) if engines is None else None
        keeping = asyncio.create_task(_keep_valid(server, server.certificate)) if server.certificate else None
        watching = [asyncio.create_task(dashboard.watch()), asyncio.create_task(server.runtime.watch())]
        if server.keeper is not None:
            watching.append(asyncio.create_task(server.keeper.watch()))
        if server.voices is not None:
            watching.append(asyncio.create_task(server.voices.watch(server.forget_unheard)))
        yield
        for task in watching:
            task.cancel()
        await asyncio.wait(watching)
        await dashboard.close()
        if keeping is not None:
            keeping.cancel()
        if loading is not None:
            loading.cancel()
            await asyncio.wait([loading])
        await server.close()

    app = FastAPI(title="BabbleFish", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.server = server
    app.add_middleware(SecurityMiddleware, sites=server.sites, settings=settings)
    app.state.dashboard = dashboard
    app.include_router(join_routes(server))
    app.include_router(status_routes(server))
    app.include_router(record_routes(server))
    app.include_router(say_routes(server))
    app.include_router(voice_routes(server))
    app.include_router(monitoring_routes(dashboard))
    app.add_middleware(RequestIdMiddleware)

    @app.websocket("/ws/client")
    async def client(websocket: WebSocket) -> None:
        await _serve_client(server, websocket)

    @app.get("/")
    async def page(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return _client_page(request)
        return JSONResponse(
            {
                "service": "BabbleFish",
                "ready": server.is_ready,
                "profile": server.runtime.profile.name,
                "profile_reason": server.runtime.profile.reason,
                "clients": len(server.sessions),
                "history": server.history_kept,
                "voices": server.voices_kept,
                "websocket": "/ws/client",
            }
        )

    return app


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return uvicorn's configuration: one process, bounded frames, pings that detect dead clients."""
    certificate: Certificate | None = app.state.server.certificate
    limits = ConnectionLimits(settings)
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ssl_context_factory=(lambda *_: certificate.context) if certificate else None,
        # At "info" uvicorn logs each connection's query, which has the name in it, and at "debug" every frame.
        log_level="warning",
        log_config=None,
        http=partial(BoundedHttp, limits),  # type: ignore[arg-type]
        ws=partial(BoundedWebSocket, limits),  # type: ignore[arg-type]
        ws_max_size=settings.max_frame_bytes,
        # Compressing speech again for each listener would cost the event loop more than it saves the network.
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        timeout_graceful_shutdown=2,
        # By default uvicorn trusts the forwarding headers of any local process, and so of a proxy that passes on
        # whatever a client claims.
        forwarded_allow_ips=list(settings.trusted_proxies),
        server_header=False,
    )
