"""How people find the server: the URLs to open, the link that joins a room, and that link as a QR code."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import urlencode

import segno

from babblefish.server.addresses import Machine, is_loopback

DEFAULT_ROOM = "main"

_ASSETS = Path(__file__).parents[1] / "assets"
_PAGE, _WORDS = _ASSETS / "join.html", _ASSETS / "join_words.txt"
_WHITE_ON_BLACK, _PLAIN = "\033[97;40m", "\033[0m"

_EVERY_IPV4, _EVERY_INTERFACE = ("0.0.0.0", ""), "::"


def bases(host: str, port: int, secure: bool, machine: Machine) -> list[str]:
    """Return the URLs at which the page can be opened, the best one first.

    Numeric addresses come before names, as not every network resolves the names of its machines.

    Args:
        host: The address that the server listens on.
        port: The port that it listens on.
        secure: Whether it serves HTTPS.
        machine: The machine it runs on.
    """
    if host in _EVERY_IPV4 or host == _EVERY_INTERFACE:
        addresses = [str(one) for one in machine.addresses if one.version == 4 or host == _EVERY_INTERFACE]
        hosts = [*addresses, *machine.names, "localhost"]
    else:
        hosts = [host]
    scheme = "https" if secure else "http"
    return [f"{scheme}://{f'[{one}]' if ':' in one else one}:{port}/" for one in hosts]


def link(base: str, room: str, token: str | None) -> str:
    """Return the URL that opens the page in a room.

    Args:
        base: URL of the server, ending with a slash.
        room: The room to join.
        token: The join token, if one is required. It goes into the fragment, which browsers do not send to servers and
            no log contains.
    """
    return f"{base}?{urlencode({'room': room})}" + (f"#{urlencode({'token': token})}" if token else "")


def admin_link(base: str, path: str, token: str | None) -> str:
    """Return the URL of an admin page; the server takes the token out of it and sets a cookie.

    Args:
        base: URL of the server, ending with a slash.
        path: Path of the page, without a leading slash.
        token: The admin token, if one is required.
    """
    return f"{base}{path}" + (f"?{urlencode({'token': token})}" if token else "")


def terminal_code(text: str) -> str:
    """Draw a QR code with half blocks, light on dark whatever the terminal's colours."""
    drawn = io.StringIO()
    _code(text).terminal(drawn, border=2, compact=True)
    return "\n".join(f"{_WHITE_ON_BLACK}{line}{_PLAIN}" for line in drawn.getvalue().splitlines())


def banner(
    opened_at: Sequence[str], with_code: bool, join_token: str | None = None, admin_token: str | None = None
) -> str:
    """Return what the server prints when it starts.

    Args:
        opened_at: From ``bases``.
        with_code: Whether to draw the QR code, which takes a terminal that shows half blocks.
        join_token: For the link to the room, if required. Not for a log, which is kept and read by others.
        admin_token: For the projector page, likewise.
    """
    best = opened_at[0]
    lines = ["Open BabbleFish at", *(f"  {base}" for base in opened_at)]
    joining = link(best, DEFAULT_ROOM, join_token)
    if with_code:
        lines += ["", terminal_code(joining), "", f"Scan to join: {joining}"]
    elif join_token:
        lines.append(f"To join: {joining}")
    return "\n".join([*lines, f"Page for a projector: {admin_link(best, 'join', admin_token)}"])


def page(base: str, room: str, token: str | None, private_authority: bool, accept_language: str = "") -> str:
    """Return the projector page, complete and without external resources.

    The instructions are in every language of the interface, as the audience speaks several; the rest is in one.

    Args:
        base: URL of the server, ending with a slash, as those who scan the code can reach it.
        room: The room to join.
        token: The join token, if one is required.
        private_authority: Whether devices must first trust the server's private CA.
        accept_language: The browser's header of that name; if it names no known language, English is used.
    """
    here = base.split("://", 1)[1].split("/", 1)[0]
    host = here.rsplit(":", 1)[0] if not here.endswith("]") else here
    words_in = _words()
    lang = _preferred(accept_language, words_in)
    words = words_in[lang]
    notes = []
    if is_loopback(host):
        notes.append(words["only_here"])
    elif base.startswith("http:"):
        notes.append(words["no_microphone"])
    joining = link(base, room, token)
    certificate = escape(f"{base}ca.crt")
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        words,
        lang=lang,
        scan_in_other_languages="".join(
            f'<li lang="{other}">{theirs["scan"]}</li>' for other, theirs in words_in.items() if other != lang
        ),
        room=escape(room),
        link=escape(joining),
        code=_code(joining).svg_inline(
            border=4, dark="#000", light="#fff", omitsize=True, title=joining, svgclass=None, lineclass=None
        ),
        notes="".join(f'<p class="note">{note}</p>' for note in notes),
        trust=Template(words["trust"]).substitute(address=f'<a href="{certificate}">{certificate}</a>'),
        trust_hidden="" if private_authority else "hidden",
    )


@cache
def _words() -> dict[str, dict[str, str]]:
    """Return the page's texts, by language and key."""
    lines = _WORDS.read_text(encoding="utf-8").splitlines()
    (_, *langs), *rows = (line.split("|") for line in lines if not line.startswith("#"))
    return {lang: {key: texts[at] for key, *texts in rows} for at, lang in enumerate(langs)}


def _preferred(accept_language: str, known: Mapping[str, object]) -> str:
    """Return the known language that a browser prefers, by its weights (RFC 9110, section 12.5.4)."""
    wanted = re.findall(r"([a-z]{2})(?:-[\w-]+)?\s*(?:;\s*q=([01](?:\.\d+)?))?\s*(?:,|$)", accept_language.lower())
    liked = [(-float(weight or 1), at, lang) for at, (lang, weight) in enumerate(wanted) if lang in known]
    return min(liked)[2] if liked else next(iter(known))


def _code(text: str) -> segno.QRCode:
    """Make a code that can be read with 15 % of it lost, to a reflection or a badly focused projector."""
    return segno.make_qr(text, error="m")
