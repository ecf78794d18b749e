"""The command ``babblefish``, with the subcommands serve, demo, token, doctor and models."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from babblefish.cli import demo, doctor, models, tokens
from babblefish.errors import BabbleFishError
from babblefish.models.catalogue import PROFILES
from babblefish.server import invitation, service
from babblefish.server.access import Access
from babblefish.server.addresses import is_loopback, this_machine
from babblefish.server.app import create_app, server_config
from babblefish.settings import Settings
from babblefish.telemetry import logs

_log = logging.getLogger("babblefish")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors end it with one line that says what to do."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except BabbleFishError as error:
        sys.exit(f"babblefish: {error}")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        sys.exit(f"babblefish: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="babblefish", description="Speech translation for people in one room, each in their own language."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the server")
    serve.add_argument("--host", help="address to listen on (default 127.0.0.1; 0.0.0.0 for every interface)")
    serve.add_argument("--port", type=int, help="TCP port (default 9000; 0 picks a free one)")
    serve.add_argument(
        "--tls", choices=("off", "auto"), help="auto: HTTPS with a certificate from a private CA (default off)"
    )
    serve.add_argument("--tls-cert", type=Path, metavar="FILE", help="HTTPS with your own certificate (PEM)")
    serve.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's private key (PEM)")
    serve.add_argument("--profile", choices=("auto", *PROFILES), help="set of engines (default auto)")
    serve.add_argument(
        "--access",
        choices=("auto", "required", "off"),
        help="whether joining requires a token (default auto: not on localhost)",
    )
    serve.add_argument(
        "--no-retain",
        dest="retain",
        action="store_false",
        default=None,
        help="remember nothing: no history, and no voices once a room is empty",
    )
    serve.add_argument(
        "--history",
        dest="history_file",
        type=Path,
        metavar="FILE",
        help="store what is said in this SQLite file, without audio (default: nothing is stored)",
    )
    serve.add_argument(
        "--voices",
        dest="voices_file",
        type=Path,
        metavar="FILE",
        help="store the voices of those who agree to it in this SQLite file, encrypted (default: none are stored)",
    )
    serve.set_defaults(run=_serve)

    show = commands.add_parser("demo", help="play one utterance to listeners of three languages")
    show.add_argument(
        "file", nargs="?", type=Path, help="recording to play (default: a French sentence that comes with BabbleFish)"
    )
    show.add_argument("--listen", default="eng,spa,ita", help="the listeners' languages (default eng,spa,ita)")
    show.add_argument("--out", type=Path, default=Path("out"), help="folder for the spoken translations (default out)")
    show.add_argument("--json", action="store_true", help="print one JSON object instead")
    show.set_defaults(run=_demo)

    tokens.add_to(commands)
    doctor.add_to(commands)
    models.add_to(commands)
    return parser


def _settings(**given: Any) -> Settings:
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _serve(parsed: argparse.Namespace) -> None:
    network = ("host", "port", "tls", "tls_cert", "tls_key")
    options = (*network, "profile", "access", "retain", "history_file", "voices_file")
    settings = _settings(**{name: getattr(parsed, name) for name in options})
    logs.configure(settings)
    app = create_app(settings)
    config = server_config(app, settings)
    listener = config.bind_socket()
    invite(settings.host, listener.getsockname()[1], config.is_ssl, app.state.server.access)
    sys.exit(service.run(config, app.state.server, listener))


def invite(host: str, port: int, secure: bool, access: Access) -> None:
    """Say where to open the server: on a terminal with a QR code and tokens, in a log as plain lines without tokens.

    A terminal is seen by the person who started the server; a log is kept, and read by others.
    """
    opened_at = invitation.bases(host, port, secure, this_machine())
    if sys.stdout.isatty():
        utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        tokens = (access.join_token(invitation.DEFAULT_ROOM), access.admin_token) if access.is_required else ()
        print(invitation.banner(opened_at, utf8 and not is_loopback(host), *tokens), flush=True)
    else:
        for line in invitation.banner(opened_at, with_code=False).splitlines():
            _log.info("%s", line)
        if access.is_required:
            _log.info("joining requires a token; `babblefish token` prints one")
    if not access.is_required:
        say = print if sys.stdout.isatty() else _log.info
        say(f"A page opened as a file asks for this code: {access.file_code}")
    if not secure and not is_loopback(host):
        _log.warning(
            "browsers do not allow other devices to use the microphone over plain HTTP; serve HTTPS with: "
            "babblefish serve --host %s --tls auto",
            host,
        )


def _demo(parsed: argparse.Namespace) -> None:
    logging.basicConfig(level="WARNING" if parsed.json else "INFO", format="%(message)s", stream=sys.stderr)
    listen = [code.strip() for code in parsed.listen.split(",") if code.strip()]
    report = asyncio.run(demo.run(parsed.file or demo.CARRIED_SPEECH, listen, parsed.out))
    print(report.as_json() if parsed.json else report.as_text())
    if not report.complete:
        sys.exit(1)
