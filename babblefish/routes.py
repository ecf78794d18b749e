"""HTTP beside the page: the invitation, the CA's certificate, what installing takes, how the service is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

from babblefish import controls, invitation, protocol
from babblefish.addresses import is_loopback, this_machine
from babblefish.server import Server
from babblefish.settings import Settings
from babblefish.tls import Certificate

_ASSETS = Path(__file__).parent / "assets"

_ICONS = {"icon.svg": "image/svg+xml", "icon-192.png": "image/png", "icon-512.png": "image/png"}

_MANIFEST = {
    "id": "/",
    "name": "BabbleFish",
    "short_name": "BabbleFish",
    "description": "Speak your language, hear the others in it.",
    "start_url": "./",
    "scope": "./",
    "display": "standalone",
    "background_color": "#f3f6f5",
    "theme_color": "#0f766e",
    "icons": [
        {"src": "icon.svg", "sizes": "any", "type": "image/svg+xml"},
        {"src": "icon-192.png", "sizes": "192x192", "type": "image/png"},
        {"src": "icon-512.png", "sizes": "512x512", "type": "image/png"},
        # The fish keeps within the circle that every platform leaves of an icon.
        {"src": "icon-512.png", "sizes": "512x512", "type": "image/png", "purpose": "maskable"},
    ],
}


def around_the_conversation(settings: Settings, certificate: Certificate | None) -> APIRouter:
    """Make the routes.

    Args:
        settings: Of the server.
        certificate: What it shows its clients, if it speaks HTTPS itself.
    """
    router = APIRouter()

    @router.get("/join")
    async def join(request: Request, room: controls.Identifier = invitation.DEFAULT_ROOM) -> Response:
        base = _reachable(request, settings.host)
        return HTMLResponse(invitation.page(base, room, certificate is not None and certificate.authority is not None))

    @router.get("/ca.crt")
    async def authority() -> Response:
        if certificate is None or certificate.authority is None:
            return Response("This server has no certificate authority of its own.\n", 404, media_type="text/plain")
        # As an attachment it would land among an iPhone's files, not among the profiles that wait to be installed.
        return Response(certificate.authority, media_type="application/x-x509-ca-cert")

    @router.get("/manifest.webmanifest")
    async def manifest() -> Response:
        return JSONResponse(_MANIFEST, media_type="application/manifest+json")

    for name, media_type in _ICONS.items():
        answer = FileResponse(_ASSETS / name, media_type=media_type, headers={"Cache-Control": "max-age=86400"})
        router.add_api_route(f"/{name}", lambda answer=answer: answer, response_class=FileResponse)

    return router


def about_the_service(server: Server) -> APIRouter:
    """Make the routes that say what the server can do, whom it knows and how it is."""
    router = APIRouter()

    @router.get("/languages")
    async def languages() -> dict[str, list[protocol.LanguageInfo]]:
        return {"languages": server.languages}

    @router.get("/speakers")
    async def speakers() -> dict[str, Any]:
        rooms = server.rooms or ()
        return {"rooms": [{"room": room.name, "speakers": room.speakers.list()} for room in rooms]}

    @router.get("/healthz")
    async def healthy() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def ready() -> JSONResponse:
        if server.is_ready:
            return JSONResponse({"ready": True})
        reason = "restarting" if server.draining else server.failure or "loading"
        return JSONResponse({"ready": False, "reason": reason}, status_code=503)

    return router


def _reachable(request: Request, listens_on: str) -> str:
    """Return the address the page was opened at; where only this machine knows that one, the best of its others."""
    url = request.url
    if is_loopback(url.hostname or "") and not is_loopback(listens_on):
        return invitation.bases(listens_on, url.port or 0, url.scheme == "https", this_machine())[0]
    return str(request.base_url)
