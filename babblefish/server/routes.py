"""HTTP routes besides the page: the invitation, the CA's certificate, the web app's manifest, status, monitoring.

Admin routes have ``dependencies=ADMIN_ONLY``, on the route or its router.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request, WebSocket
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

from babblefish.errors import NotAllowedError, TooFastError
from babblefish.server import invitation
from babblefish.server.addresses import is_loopback, this_machine
from babblefish.server.dashboard import Dashboard
from babblefish.server.server import Server
from babblefish.telemetry import prometheus
from babblefish.wire import client_messages, server_messages

_ASSETS = Path(__file__).parents[1] / "assets"

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
        # The fish stays within the circle that no platform cuts off.
        {"src": "icon-512.png", "sizes": "512x512", "type": "image/png", "purpose": "maskable"},
    ],
}


_COOKIE = "babblefish_admin"


def address_of(connection: Request | WebSocket) -> str:
    """Return the network address a client connects from; that of its proxy, unless the settings trust the proxy."""
    return connection.client.host if connection.client else ""


def bearer_of(request: Request) -> str:
    """Return the token of ``Authorization: Bearer``, or nothing."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else ""


def admin_cookie_of(request: Request) -> str:
    """Return the cookie that stands for the admin token in a browser, or nothing."""
    return request.cookies.get(_COOKIE, "")


async def admin_only(request: Request) -> None:
    """Require the admin token, as ``Authorization: Bearer``, or the cookie that stands for it in a browser.

    A browser gets the cookie from a link with the token in the query, and is redirected to the same URL without it, so
    that the token shows neither on a projector nor in the browser's history.

    Raises:
        HTTPException: 303 with the cookie; 401 without a valid token; 429 after too many failed attempts.
    """
    server: Server = request.app.state.server
    linked = request.query_params.get("token", "")
    token = linked or bearer_of(request)
    cookie = "" if token else admin_cookie_of(request)
    try:
        if token or cookie:
            attempts = server.limits.of(address_of(request)).administering
            await attempts.make(lambda: server.access.check_admin(token=token, cookie=cookie))
        else:
            server.access.check_admin()
    except NotAllowedError as error:
        raise HTTPException(401, error.message, {"WWW-Authenticate": "Bearer"}) from None
    except TooFastError as error:
        raise HTTPException(429, error.message) from None
    if linked and server.access.is_required:
        answer = Response()
        answer.set_cookie(
            _COOKIE,
            server.access.admin_cookie(),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        raise HTTPException(
            303,
            headers={
                "Location": str(request.url.remove_query_params("token").replace(scheme="", netloc="")),
                "Set-Cookie": answer.headers["set-cookie"],
                "Cache-Control": "no-store",
            },
        )


ADMIN_ONLY = [Depends(admin_only)]


def join_routes(server: Server) -> APIRouter:
    """Create the routes for joining: the projector page, the CA's certificate, the web app's manifest and icons."""
    router = APIRouter()
    certificate = server.certificate

    @router.get("/join", dependencies=ADMIN_ONLY)
    async def join(request: Request, room: client_messages.Identifier = invitation.DEFAULT_ROOM) -> Response:
        base = _reachable_base(request, server.settings.host)
        token = server.access.join_token(room) if server.access.is_required else None
        private_authority = certificate is not None and certificate.authority is not None
        language = request.headers.get("accept-language", "")
        page = invitation.page(base, room, token, private_authority, language)
        return HTMLResponse(page, headers={"Cache-Control": "no-store", "Vary": "Accept-Language"})

    @router.get("/ca.crt")
    async def authority() -> Response:
        if certificate is None or certificate.authority is None:
            return Response("This server has no private certificate authority.\n", 404, media_type="text/plain")
        # As an attachment it would land in an iPhone's files, not among the profiles to be installed.
        return Response(certificate.authority, media_type="application/x-x509-ca-cert")

    @router.get("/manifest.webmanifest")
    async def manifest() -> Response:
        return JSONResponse(_MANIFEST, media_type="application/manifest+json")

    for name, media_type in _ICONS.items():
        answer = FileResponse(_ASSETS / name, media_type=media_type, headers={"Cache-Control": "max-age=86400"})
        router.add_api_route(f"/{name}", lambda answer=answer: answer, response_class=FileResponse)

    return router


def status_routes(server: Server) -> APIRouter:
    """Create the routes for what the server can do, whom it knows, and whether it is ready."""
    router = APIRouter()

    @router.get("/languages")
    async def languages() -> dict[str, list[server_messages.LanguageInfo]]:
        return {"languages": server.languages}

    @router.get("/speakers", dependencies=ADMIN_ONLY)
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
        return JSONResponse({"ready": False, "reason": server.not_ready}, status_code=503)

    return router


def monitoring_routes(dashboard: Dashboard) -> APIRouter:
    """Create the routes for operators: metrics for Prometheus, and the dashboard."""
    router = APIRouter(dependencies=ADMIN_ONLY)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(await dashboard.metrics_text(), media_type=prometheus.CONTENT_TYPE)

    @router.get("/dashboard")
    async def show(request: Request, format: Literal["json"] | None = None, since: float = 0.0) -> Response:
        if format is None and "text/html" in request.headers.get("accept", ""):
            return FileResponse(
                _ASSETS / "dashboard.html", media_type="text/html", headers={"Cache-Control": "no-cache"}
            )
        return JSONResponse(await dashboard.state(since))

    return router


def _reachable_base(request: Request, listens_on: str) -> str:
    """Return the URL that the page was opened at or, if only this machine can open that, the best one for others."""
    url = request.url
    if is_loopback(url.hostname or "") and not is_loopback(listens_on):
        return invitation.bases(listens_on, url.port or 0, url.scheme == "https", this_machine())[0]
    return str(request.base_url)
