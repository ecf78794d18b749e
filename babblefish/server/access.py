"""Access control: the server's key, the tokens signed with it, and what each token allows."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, Signer, URLSafeSerializer

from babblefish.clock import steady_unix_s
from babblefish.errors import NotAllowedError, SetupError
from babblefish.server.addresses import is_loopback
from babblefish.server.files import read_key
from babblefish.settings import Settings

_log = logging.getLogger(__name__)

KEY_FILE = "server.key"
_KEY_BYTES = 32

_ADMIN = "admin"

_REFUSAL = "this link is invalid or has expired; please ask for a new one"
"""The same whatever is wrong with a token, so that nobody learns which part was right."""

_FILE_REFUSAL = "a page opened as a file needs the code that the server shows when it starts"

_ADMIN_REFUSAL = "the admin token is required; `babblefish token --admin` prints it"


@dataclass(frozen=True, slots=True)
class Admission:
    """What an admitted client may do.

    Attributes:
        allowed_since_s: Unix time since when it might have been in the room; of what was said before, it is shown
            nothing. 0 if it may see everything.
        claims: Room, Unix time and validity in seconds of its link, which a token for coming back repeats; None for the
            admin, whose token does not expire.
        client_id: The client that its token was issued to when it joined before; None for a link's token.
    """

    allowed_since_s: float
    claims: tuple[str, int, int] | None
    client_id: str | None = None


class Access:
    """Issues tokens and checks them; without a key everybody is admitted.

    A join token states its room, when it was issued and how long it is valid. A client that has joined gets the same
    claims under another signature, valid for one lifetime more: a phone that loses its connection late in a long
    evening can reconnect, and yet nobody stays forever on one link. The admin token belongs to the key and does not
    expire; the cookie that a browser gets for it does, as browsers send cookies to every port of a host.
    """

    def __init__(self, key: bytes | None, link_s: float, now_s: Callable[[], float] = steady_unix_s) -> None:
        """Set up access control.

        Args:
            key: Signs the tokens (HMAC-SHA256); None admits everybody.
            link_s: Default validity of a link, in seconds.
            now_s: Returns the Unix time; that of the rooms' histories, unless a test sets another.
        """
        self.is_required = key is not None
        self._link_s = int(link_s)
        self._now_s = now_s
        key = key or secrets.token_bytes(_KEY_BYTES)  # never checked
        self._joining = _serializer(key, "join")
        self._returning = _serializer(key, "return")
        self._browsing = _serializer(key, "cookie")
        self.file_code = secrets.token_hex(4)
        """Admits a page that was opened as a file where no token is required; shown by the server when it starts."""
        self._administering = Signer(key, salt=_ADMIN, key_derivation="hmac", digest_method=hashlib.sha256)

    @property
    def admin_token(self) -> str:
        """Opens everything, in every room, until the key is replaced."""
        return self._administering.sign(_ADMIN).decode()

    def join_token(self, room: str, link_s: float | None = None) -> str:
        """Issue a token for a room, valid from now on.

        Args:
            room: The only room it opens.
            link_s: Its validity in seconds; by default that of the settings.
        """
        claims = [room, int(self._now_s()), int(self._link_s if link_s is None else link_s)]
        return _text(self._joining.dumps(claims))

    def admit(self, token: str, room: str, from_file: bool = False) -> Admission:
        """Admit a client.

        Args:
            token: Of a link, of the last ``ready``, the admin's, or the file code.
            room: To be joined.
            from_file: Whether it is a page without an origin of its own: one that was opened as a file, or a frame in
                which any site can put a page. It needs a token, or the file code, even where no others do.

        Raises:
            NotAllowedError: No token, or one that is not ours, is for another room, or has expired.
        """
        if self.is_admin(token):
            return Admission(0.0, None)
        for signed_as, longer_s in ((self._joining, 0), (self._returning, self._link_s)):
            claims = _claims(signed_as, token)
            if claims is not None:
                its_room, made_s, link_s, *client_id = claims
                if its_room == room and self._now_s() < made_s + link_s + longer_s:
                    allowed_since_s = float(made_s) if self.is_required else 0.0
                    return Admission(allowed_since_s, (its_room, made_s, link_s), next(iter(client_id), None))
        if not self.is_required and (not from_file or hmac.compare_digest(_bytes(token), self.file_code.encode())):
            return Admission(0.0, (room, int(self._now_s()), self._link_s))
        raise NotAllowedError(_FILE_REFUSAL if from_file and not self.is_required else _REFUSAL)

    def return_token(self, admission: Admission, client_id: str) -> str | None:
        """Issue the token with which an admitted client may come back under its id; None for the admin.

        It is valid for one more lifetime of the link.
        """
        return None if admission.claims is None else _text(self._returning.dumps([*admission.claims, client_id]))

    def is_admin(self, token: str) -> bool:
        """Tell whether this is the admin token."""
        return self._administering.validate(_bytes(token))

    def admin_cookie(self) -> str:
        """Issue the cookie that stands for the admin token in a browser, valid as long as a link."""
        return _text(self._browsing.dumps(int(self._now_s()) + self._link_s))

    def check_admin(self, *, token: str = "", cookie: str = "") -> None:
        """Check for the admin.

        Raises:
            NotAllowedError: The token is not the admin's, and the cookie is not one for it or has expired.
        """
        if not self.is_required or self.is_admin(token):
            return
        until_s = _claims(self._browsing, cookie)
        if until_s is None or self._now_s() >= until_s:
            raise NotAllowedError(_ADMIN_REFUSAL)


def is_required(settings: Settings) -> bool:
    """Tell whether a server requires tokens.

    With ``auto`` none is required on localhost: the server listens on loopback, and no setting says that others reach
    it under another name, from another site or through a proxy.
    """
    if settings.access != "auto":
        return settings.access == "required"
    expected = settings.allowed_hosts or settings.allowed_origins or settings.trusted_proxies
    return not is_loopback(settings.host) or bool(expected)


def access_of(settings: Settings) -> Access:
    """Return a server's access control, with its key, which is created if there is none.

    Raises:
        SetupError: The key cannot be read or created, or is not valid.
    """
    link_s = settings.link_hours * 3600
    if is_required(settings):
        return Access(server_key(settings), link_s)
    if not is_loopback(settings.host):
        _log.warning(
            "ACCESS CONTROL IS OFF: anyone who can reach %s can join every room, listen, and see who is there; "
            "use --access required unless you mean that",
            settings.host,
        )
    return Access(None, link_s)


def server_key(settings: Settings) -> bytes:
    """Read the server's key; create it if there is none, unless ``key_file`` names one.

    Raises:
        SetupError: It cannot be read or created, or the file does not hold a key.
    """
    path = settings.key_file or settings.state_dir / KEY_FILE
    try:
        return read_key(path, is_ours=settings.key_file is None)
    except OSError as error:
        raise SetupError(
            f"cannot read or create the server's key {path}: {error.strerror}; set BABBLEFISH_STATE_DIR to another "
            "folder, or BABBLEFISH_KEY_FILE to a key"
        ) from error
    except ValueError as error:
        raise SetupError(f"{path} is not a valid key: {error}; a new key invalidates every link") from None


def _serializer(key: bytes, purpose: str) -> URLSafeSerializer:
    """Return a signer for one purpose, so that a token for one purpose is invalid for another."""
    signing = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeSerializer(key, salt=purpose, signer_kwargs=signing)


def _claims(signed_as: URLSafeSerializer, token: str) -> Any:
    """Return a token's claims, or None if its signature is not ours; the comparison takes constant time."""
    try:
        return signed_as.loads(_bytes(token))
    except BadData:
        return None


def _bytes(token: str) -> bytes:
    return token.encode("utf-8", "replace")


def _text(signed: str | bytes) -> str:
    return signed if isinstance(signed, str) else signed.decode()
