"""The application: loads the engines, admits clients, answers HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import FileResponse, JSONResponse, Response

from babblefish import controls, protocol
from babblefish.domain import BabbleFishError, NotReadyError, Quality, ServerFullError, SetupError
from babblefish.engines.base import Engines
from babblefish.languages import LANGUAGES
from babblefish.loading import load_engines
from babblefish.pipeline import Pipeline
from babblefish.profiles import choose
from babblefish.rooms import Rooms
from babblefish.routes import around_the_conversation
from babblefish.routing import plan
from babblefish.session import Session
from babblefish.settings import Settings
from babblefish.tls import CHECK_EVERY_S, Certificate, certificate_of
from babblefish.workers import Workers

_log = logging.getLogger(__name__)

_CLIENT_PAGE = Path(__file__).resolve().parent.parent / "client_thin.html"


class Server:
    """What the routes share: the engines once they are warm, the rooms, the connected clients."""

    def __init__(self, settings: Settings, engines: Engines | None = None) -> None:
        """Prepare a server; with ``engines`` given it is ready at once, otherwise it loads its profile's."""
        self.settings = settings
        self.profile = choose(settings)
        self.certificate = certificate_of(settings)
        self.workers = Workers.start(settings)
        self.engines: Engines | None = None
        self.rooms: Rooms | None = None
        self.languages: list[protocol.LanguageInfo] = []
        self.sessions: dict[str, Session] = {}
        self.failure: str | None = None
        if engines is not None:
            self._use(engines)

    async def load(self) -> None:
        """Load the profile's engines; what cannot be loaded is kept as ``failure``."""
        _log.info("profile %s: %s", self.profile.name, self.profile.reason)
        try:
            self._use(await load_engines(self.settings, self.profile))
        except SetupError as error:
            self.failure = error.message
            _log.critical("the %s profile cannot start: %s", self.profile.name, self.failure)
            return
        _log.info("ready: %s profile", self.profile.name)

    def _use(self, engines: Engines) -> None:
        self.languages = _languages(engines)
        self.rooms = Rooms(Pipeline(engines, self.workers, self.settings), self.workers, self.settings)
        self.engines = engines

    async def close(self) -> None:
        """Give up what is in flight and end the threads and the engines' processes."""
        if self.rooms is not None:
            await self.rooms.close()
        if self.engines is not None:
            with contextlib.suppress(BabbleFishError):
                await self.workers.text.run(self.engines.close)
        await self.workers.close()

    async def serve_client(self, websocket: WebSocket) -> None:
        """Serve one client from its first byte to its last; a refused one is told why before it is closed."""
        await websocket.accept()
        try:
            controls.check_origin(websocket.headers)
            join = controls.parse_join(websocket.query_params)
            session = self._admit(websocket, join)
        except BabbleFishError as error:
            refusal = protocol.error_message(error).model_copy(update={"fatal": True})
            await websocket.send_text(protocol.encode(refusal))
            later = isinstance(error, ServerFullError | NotReadyError)
            await websocket.close(protocol.CLOSE_FULL if later else protocol.CLOSE_NOT_ALLOWED, error.code)
            return
        client_id = session.member.client_id
        self.sessions[client_id] = session
        _log.info("%s joined room %s", client_id, session.room.name)
        try:
            await session.run(self._ready(session, join))
        except* Exception:
            _log.exception("%s is lost by a fault of the server", client_id)
            with contextlib.suppress(RuntimeError):
                await websocket.close(protocol.CLOSE_FAULT)
        finally:
            del self.sessions[client_id]
            _log.info("%s left", client_id)

    def _admit(self, websocket: WebSocket, join: controls.Join) -> Session:
        if self.failure is not None:
            raise SetupError(self.failure)
        if self.engines is None or self.rooms is None:
            raise NotReadyError("the server is still loading its engines; try again in a moment")
        if len(self.sessions) >= self.settings.max_clients:
            raise ServerFullError(f"all {self.settings.max_clients} places are taken; try again later")
        wanted = join.client_id
        # A name that is taken is not handed over: its owner may be alive, and anybody can read it in the presence list.
        client_id = wanted if wanted and wanted not in self.sessions else f"client_{secrets.token_hex(4)}"
        return Session(websocket, join, client_id, self.rooms, self.engines.voice_detector, self.workers, self.settings)

    def _ready(self, session: Session, join: controls.Join) -> protocol.Ready:
        assert self.engines is not None
        engines = self.engines
        return protocol.Ready(
            message="connected; speak whenever you like",
            client_id=session.member.client_id,
            target_lang=join.target_lang,
            source_lang=join.source_lang,
            room=join.room,
            mode=join.mode,
            audio=join.audio,
            profile=self.profile.name,
            profile_reason=self.profile.reason,
            engines={
                "voice_detector": engines.voice_detector.name,
                "speaker_encoder": engines.speaker_encoder.name,
                "speech_translator": engines.speech_translator.name,
                "text_translator": engines.text_translator.name if engines.text_translator else "none",
                "synthesizers": ", ".join(engine.name for engine in engines.synthesizers),
            },
            languages=self.languages,
            max_utterance_s=self.settings.max_utterance_s,
            history_id=session.room.history.history_id,
            last_seq=session.room.history.newest_seq,
        )


def _languages(engines: Engines) -> list[protocol.LanguageInfo]:
    """List every language, with the quality of its captions as made from English (English: from French)."""
    to_each = plan("eng", LANGUAGES.keys() - {"eng"}, engines) | plan("fra", ["eng"], engines)
    found = []
    for code, language in LANGUAGES.items():
        synthesizer = engines.synthesizer_for(code)
        found.append(
            protocol.LanguageInfo(
                code=code,
                bcp47=language.bcp47,
                name=language.name,
                native_name=language.native_name,
                captions=to_each[code].quality if to_each[code].lang == code else Quality.UNTRANSLATED,
                voice=synthesizer.voice(code) if synthesizer else None,
            )
        )
    return sorted(found, key=lambda info: (info.captions == Quality.UNTRANSLATED, info.name))


async def _keep_valid(certificate: Certificate) -> None:
    """Look once a day whether a certificate expires, has been replaced, or lacks an address the machine has got."""
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        try:
            certificate.renew()  # some milliseconds, mostly to read a file
        except SetupError as error:
            _log.warning("the certificate stays as it is: %s", error.message)


def create_app(settings: Settings, engines: Engines | None = None) -> FastAPI:
    """Make the application.

    Args:
        settings: Of this server.
        engines: Ready engines, for tests and for embedding; by default the profile's are loaded at start.
    """
    server = Server(settings, engines)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(server.load()) if engines is None else None
        keeping = asyncio.create_task(_keep_valid(server.certificate)) if server.certificate else None
        yield
        if keeping is not None:
            keeping.cancel()
        if loading is not None:
            await loading
        await server.close()

    app = FastAPI(title="BabbleFish", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.server = server
    app.include_router(around_the_conversation(settings, server.certificate))

    @app.websocket("/ws/client")
    async def client(websocket: WebSocket) -> None:
        await server.serve_client(websocket)

    @app.get("/")
    async def page(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return FileResponse(_CLIENT_PAGE, media_type="text/html", headers={"Cache-Control": "no-cache"})
        return JSONResponse(
            {
                "service": "BabbleFish",
                "ready": server.engines is not None,
                "profile": server.profile.name,
                "profile_reason": server.profile.reason,
                "clients": len(server.sessions),
                "websocket": "/ws/client",
            }
        )

    @app.get("/languages")
    async def languages() -> dict[str, list[protocol.LanguageInfo]]:
        return {"languages": server.languages}

    @app.get("/speakers")
    async def speakers() -> dict[str, Any]:
        rooms = server.rooms or ()
        return {"rooms": [{"room": room.name, "speakers": room.speakers.list()} for room in rooms]}

    @app.get("/healthz")
    async def healthy() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def ready() -> JSONResponse:
        if server.engines is not None:
            return JSONResponse({"ready": True})
        return JSONResponse({"ready": False, "reason": server.failure or "loading"}, status_code=503)

    return app


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn is to serve the application: one process, frames bounded, dead clients noticed."""
    certificate: Certificate | None = app.state.server.certificate
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ssl_context_factory=(lambda *_: certificate.context) if certificate else None,
        # At "info" uvicorn writes each connection's query, with the name in it.
        log_level="debug" if settings.log_level == "debug" else "warning",
        ws="websockets-sansio",
        ws_max_size=settings.max_frame_bytes,
        # Compressing speech again for each listener would cost the event loop more than the network gains.
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        timeout_graceful_shutdown=5,
    )
