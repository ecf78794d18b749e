"""Who may come in: the server's key, the tokens that are signed with it, and what each of them allows."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from itsdangerous import BadData, Signer, URLSafeSerializer

from babblefish.domain import NotAllowedError, SetupError
from babblefish.server.addresses import is_loopback
from babblefish.settings import Settings

_log = logging.getLogger(__name__)

KEY_FILE = "server.key"
_KEY_BYTES = 32
_KEY = re.compile(rb"[0-9a-fA-F]{64,}")

_ADMIN = "admin"

_REFUSAL = "this link does not let you in, or not any more; please ask for a new one"
"""The same whatever is wrong with a token, so that nobody learns which part of it was right."""

_ADMIN_REFUSAL = "this takes the admin token, which the command `babblefish token --admin` prints"


@dataclass(frozen=True, slots=True)
class Admission:
    """What a client may do that has been let in.

    Attributes:
        allowed_since_s: Unix time since when it might have been in the room; of what was said before, it is shown
            nothing. 0 where it may see all.
        token: What lets this client into this room again, also for a while after its link has expired; None where
            none is needed.
    """

    allowed_since_s: float
    token: str | None


class Access:
    """Makes tokens and checks them; without a key it lets everybody in.

    A join token says which room it opens, when it was made and for how long it is good. Whoever came in gets the same
    under another signature, which is good for one lifetime more: a phone that loses its connection late in a long
    evening comes back, and yet nobody stays for ever on one link. The admin token is the key's own and does not expire;
    the cookie that a browser gets for it does, as a browser shows a cookie to every port of a host.
    """

    def __init__(self, key: bytes | None, link_s: float, now_s: Callable[[], float] = time.time) -> None:
        """Take a key.

        Args:
            key: What tokens are signed with (HMAC-SHA256); None lets everybody in.
            link_s: How long a link is good unless told otherwise, in seconds.
            now_s: Unix time.
        """
        self.is_required = key is not None
        self._link_s = int(link_s)
        self._now_s = now_s
        key = key or secrets.token_bytes(_KEY_BYTES)  # signs what nobody looks at
        self._joining = _serializer(key, "join")
        self._returning = _serializer(key, "return")
        self._browsing = _serializer(key, "cookie")
        self._administering = Signer(key, salt=_ADMIN, key_derivation="hmac", digest_method=hashlib.sha256)

    @property
    def admin_token(self) -> str:
        """What opens everything, in every room, until the key is another."""
        return self._administering.sign(_ADMIN).decode()

    def join_token(self, room: str, link_s: float | None = None) -> str:
        """Make a token for a room, good from now on.

        Args:
            room: The room, and no other.
            link_s: For how long, in seconds; by default as the settings say.
        """
        claims = [room, int(self._now_s()), int(self._link_s if link_s is None else link_s)]
        return _text(self._joining.dumps(claims))

    def admit(self, token: str, room: str) -> Admission:
        """Let a client in.

        Raises:
            NotAllowedError: No token, one that was not made here, for another room, or expired.
        """
        if not self.is_required or self.is_admin(token):
            return Admission(0.0, None)
        for signed_as, longer_s in ((self._joining, 0), (self._returning, self._link_s)):
            claims = _claims(signed_as, token)
            if claims is not None:
                its_room, made_s, link_s = claims
                if its_room == room and self._now_s() < made_s + link_s + longer_s:
                    return Admission(float(made_s), _text(self._returning.dumps(claims)))
        raise NotAllowedError(_REFUSAL)

    def is_admin(self, token: str) -> bool:
        """Tell whether this is the admin token."""
        return self._administering.validate(_bytes(token))

    def admin_cookie(self) -> str:
        """Make what a browser that has shown the admin token goes on with, for as long as a link is good."""
        return _text(self._browsing.dumps(int(self._now_s()) + self._link_s))

    def check_admin(self, *, token: str = "", cookie: str = "") -> None:
        """Go on, or stop here.

        Raises:
            NotAllowedError: The token is not the admin's, and the cookie is not one for it or has expired.
        """
        if not self.is_required or self.is_admin(token):
            return
        until_s = _claims(self._browsing, cookie)
        if until_s is None or self._now_s() >= until_s:
            raise NotAllowedError(_ADMIN_REFUSAL)


def is_required(settings: Settings) -> bool:
    """Tell whether a server asks for tokens.

    With ``auto`` it asks for none where it is for this machine alone: it listens on loopback, and no setting says that
    others come to it under another name, from another site or through a proxy.
    """
    if settings.access != "auto":
        return settings.access == "required"
    expected = settings.allowed_hosts or settings.allowed_origins or settings.trusted_proxies
    return not is_loopback(settings.host) or bool(expected)


def access_of(settings: Settings) -> Access:
    """Return the access that a server is to grant, with its key, which is made where there is none.

    Raises:
        SetupError: The key cannot be read or made, or is none.
    """
    link_s = settings.link_hours * 3600
    if is_required(settings):
        return Access(server_key(settings), link_s)
    if not is_loopback(settings.host):
        _log.warning(
            "ACCESS IS OFF: everybody who reaches %s may join every room, listen, and see who is there; "
            "start with --access required where that is not meant",
            settings.host,
        )
    return Access(None, link_s)


def server_key(settings: Settings) -> bytes:
    """Read the server's key; where it is the server's own to keep and there is none, make it.

    Raises:
        SetupError: It cannot be read or made, or what is there is no key.
    """
    path = settings.key_file or settings.state_dir / KEY_FILE
    try:
        if settings.key_file is None and not path.exists():
            _make_key(path)
        written = path.read_bytes().strip()
        if path.stat().st_mode & 0o007:
            _log.warning("everybody on this machine may read the server's key; chmod 600 %s", path)
    except OSError as error:
        raise SetupError(
            f"cannot keep the server's key in {path}: {error.strerror}; name another folder with BABBLEFISH_STATE_DIR, "
            "or a key with BABBLEFISH_KEY_FILE"
        ) from error
    if not _KEY.fullmatch(written):
        raise SetupError(
            f"{path} is no key: it takes 64 hexadecimal digits or more (openssl rand -hex 32); with another key "
            "every link that was given out is void"
        )
    return written


def _make_key(path: Path) -> None:
    """Write a new key under its name only when it is whole; of two servers that start at once the first one's stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(new, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(secrets.token_hex(_KEY_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)


def _serializer(key: bytes, purpose: str) -> URLSafeSerializer:
    """Sign for one purpose, so that what was signed for one is nothing for another."""
    signing = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeSerializer(key, salt=purpose, signer_kwargs=signing)


def _claims(signed_as: URLSafeSerializer, token: str) -> Any:
    """Return what a token says, or None where it was not signed here for this; the comparison takes constant time."""
    try:
        return signed_as.loads(_bytes(token))
    except BadData:
        return None


def _bytes(token: str) -> bytes:
    return token.encode("utf-8", "replace")


def _text(signed: str | bytes) -> str:
    return signed if isinstance(signed, str) else signed.decode()
