"""The host names that the server answers to, and the sites whose pages may join (``Host`` and ``Origin``)."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from babblefish.errors import NotAllowedError
from babblefish.server.access import is_required
from babblefish.server.addresses import names_of
from babblefish.settings import Settings

_log = logging.getLogger(__name__)

_FORWARDING = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")

FORWARDED = "a proxy that this server was not told of passes requests on; set BABBLEFISH_TRUSTED_PROXIES to its address"

_OF_A_FILE = ("null", "file://")
"""What browsers send as ``Origin`` for a page opened as a file."""


class Sites:
    """The host names and allowed origins of one server."""

    def __init__(self, settings: Settings, certified: Callable[[], Iterable[str]]) -> None:
        """Read what the settings allow.

        Args:
            settings: The server's.
            certified: Returns the names in the server's certificate, which can change while the server runs.
        """
        self._names = {settings.host.lower(), "localhost", *settings.allowed_hosts}
        self._origins = frozenset(settings.allowed_origins)
        self._certified = certified
        self._expects_proxies = bool(settings.trusted_proxies)
        self._is_local = settings.access == "auto" and not is_required(settings)
        self._has_warned = False

    def answers_to(self, host: str | None) -> bool:
        """Tell whether a ``Host`` header means this server.

        DNS rebinding, where a site points its own name at this machine so that browsers take our responses for its
        own, shows in that name. It does not work with numeric addresses, so all of them are accepted.
        """
        name = _hostname(host or "")
        if not name or _is_address(name):
            return bool(name)
        known = {*self._names, *names_of(socket.gethostname()), *self._certified()}
        return name in known or f"*.{name.partition('.')[2]}" in known

    def is_forwarded(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a request comes through a proxy that nobody has told this server of.

        Where no token is required because only this machine can connect, a proxy on it would let in the whole world.
        Elsewhere the worst is that all clients share the proxy's limits; it is logged once.
        """
        if self._expects_proxies or not any(name in headers for name in _FORWARDING):
            return False
        if not self._is_local:
            if not self._has_warned:
                self._has_warned = True
                _log.warning("%s", FORWARDED)
            return False
        return True

    def is_file(self, origin: str | None) -> bool:
        """Tell whether a page has no origin of its own: one opened as a file, or one in a sandboxed frame of any site.

        The settings can allow such pages like any site, as ``null``.
        """
        return origin in _OF_A_FILE and "null" not in self._origins

    def check(self, host: str | None, origin: str | None) -> None:
        """Check the host that a socket is opened to, and the origin of the page that opens it.

        This protects people who may join from pages that would listen in through their browsers. Programs other than
        browsers send no origin, and gain nothing by inventing one. A page opened as a file has no origin; its token
        decides whether it may join.

        Raises:
            NotAllowedError: The host is not this server, or the origin is neither its own nor allowed by the settings.
        """
        if not self.answers_to(host):
            raise NotAllowedError("this server does not answer to that host name; add it to BABBLEFISH_ALLOWED_HOSTS")
        if origin is None or origin in _OF_A_FILE or origin.lower() in self._origins:
            return
        scheme, _, netloc = origin.partition("://")
        if scheme.lower() not in ("http", "https") or netloc.lower() != (host or "").lower():
            raise NotAllowedError("pages of other sites may not join; open the page that this server serves")


def _hostname(host: str) -> str:
    """Return the name in a ``Host`` header without its port, in lower case; empty if there is none."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
    return name.rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
