"""Who may ask a V1 server: the same checks of names and sites as the main server's, answered as a ``Problem``.

There are no tokens here. What keeps the page of any site, in the browser of somebody who may use the server, from using
it too are these checks alone.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from babblefish.errors import NotAllowedError
from babblefish.server.sites import FORWARDED, Sites
from legacy.problems import problem

_FORBIDDEN, _MISDIRECTED = 403, 421


def check(sites: Sites, headers: Headers) -> None:
    """Check the host and the page that a request names.

    Raises:
        NotAllowedError: The host is not this server; the page is another site's, or has none, as one in a sandboxed
            frame of any site; or a proxy passes on what it was not set up for.
    """
    if sites.is_forwarded(headers):
        raise NotAllowedError(FORWARDED)
    origin = headers.get("origin")
    sites.check(",".join(headers.getlist("host")), origin)
    if sites.is_file(origin):
        raise NotAllowedError("a page that was opened as a file may not ask; open the page that this server serves")


class OwnSite:
    """ASGI middleware for HTTP; a socket is checked by whoever serves it, as its client must be told in a message."""

    def __init__(self, app: ASGIApp, sites: Sites) -> None:
        """Wrap an application."""
        self._app = app
        self._sites = sites

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it before anything of its body is read."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            try:
                check(self._sites, headers)
            except NotAllowedError as error:
                known = self._sites.answers_to(headers.get("host"))
                refusal = problem(_FORBIDDEN if known else _MISDIRECTED, error.code, error.message)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)
