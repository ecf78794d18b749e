"""By which names the server may be called, and the pages of which sites may talk to it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from babblefish.domain import NotAllowedError
from babblefish.server.addresses import names_of
from babblefish.settings import Settings

_OF_A_FILE = ("null", "file://")
"""What browsers send for a page that was opened as a file."""


class Sites:
    """The names and sites of one server."""

    def __init__(self, settings: Settings, certified: Callable[[], Iterable[str]]) -> None:
        """Take what the settings allow.

        Args:
            settings: Of the server.
            certified: Returns the names in the server's certificate, which may be another tomorrow.
        """
        self._names = {settings.host.lower(), "localhost", *settings.allowed_hosts}
        self._origins = frozenset(settings.allowed_origins)
        self._certified = certified

    def answers_to(self, host: str | None) -> bool:
        """Tell whether a ``Host`` header calls this server.

        A site that gives its own name this machine's address, and so makes a browser take our answers for its own (DNS
        rebinding), calls us by that name. It needs a name: an address is nobody's to redirect, so every one will do.
        """
        name = _hostname(host or "")
        if not name or _is_address(name):
            return bool(name)
        known = {*self._names, *names_of(socket.gethostname()), *self._certified()}
        return name in known or f"*.{name.partition('.')[2]}" in known

    def check(self, host: str | None, origin: str | None) -> None:
        """Look where a socket is opened to, and by the page of which site.

        What is not a browser sends no origin, and one that lies about it gains nothing: this is for people who may
        join, against pages that would listen in through their browsers. A page opened as a file has no site; whether
        it may join is for its token to say.

        Raises:
            NotAllowedError: The host is not this server, or the site is neither it nor one that the settings allow.
        """
        if not self.answers_to(host):
            raise NotAllowedError("this server does not go by that name; BABBLEFISH_ALLOWED_HOSTS can add it")
        if origin is None or origin in _OF_A_FILE or origin.lower() in self._origins:
            return
        site = urlsplit(origin)
        if site.scheme not in ("http", "https") or site.netloc.lower() != (host or "").lower():
            raise NotAllowedError("a page of another site may not join here; open the page that this server serves")


def _hostname(host: str) -> str:
    """Return the name in a ``Host`` header without its port, in lower case; nothing where it has none."""
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
