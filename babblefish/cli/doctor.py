"""The command ``babblefish doctor``: can a server run here, does it run well, and if not, what to do."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from babblefish.cli import demo, doctor_conversation, doctor_golden
from babblefish.cli.doctor_machine import Check, Outcome, Say, failed, judge, machine_checks, ok, port_is_free, warning
from babblefish.engines.findings import Verdict
from babblefish.errors import SetupError
from babblefish.server.access import KEY_FILE, access_of, is_required
from babblefish.server.addresses import is_loopback
from babblefish.settings import Settings

_TIMEOUT_S = 10.0


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of ``babblefish``."""
    doctor = commands.add_parser("doctor", help="check this machine and a running server, and say how to fix problems")
    doctor.add_argument(
        "--url", help="a running server, such as https://192.0.2.7:9000 (default: the one of the settings)"
    )
    doctor.add_argument("--token", help="the admin token, if the server requires one")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.add_argument(
        "--golden",
        nargs="?",
        type=Path,
        const=Path("babblefish-golden.json"),
        metavar="FILE",
        help="instead, compare the weights that are installed with what is published of them, measure what they do, "
        "and write a report (default babblefish-golden.json, and .txt)",
    )
    doctor.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> None:
    if parsed.golden is not None:
        _run_golden(parsed.golden, parsed.json)
        return
    checks: list[Check] = []

    def say(check: Check) -> None:
        checks.append(check)
        if not parsed.json:
            print(_line(check), flush=True)

    examine(Settings(), parsed.url, parsed.token, say)
    failures = sum(check.outcome is Outcome.FAILED for check in checks)
    if parsed.json:
        print(json.dumps({"ok": not failures, "checks": [asdict(one) for one in checks]}, ensure_ascii=False, indent=2))
    if failures:
        sys.exit(1)


def _run_golden(file: Path, as_json: bool) -> None:
    found = doctor_golden.write_report(
        Settings(), file, lambda finding: None if as_json else print(doctor_golden.line(finding), flush=True)
    )
    print(file.read_text(encoding="utf-8") if as_json else f"The report is in {file} and {file.with_suffix('.txt')}.")
    if any(finding.verdict is Verdict.FAILED for finding in found):
        sys.exit(1)


def _line(check: Check) -> str:
    line = f"{check.outcome:8} {check.name}: {check.found}"
    return f"{line}\n         → {check.advice}" if check.advice else line


def examine(settings: Settings, url: str | None, token: str | None, say: Say) -> None:
    """Check the machine, then talk to a server: the one at ``url``, the one running here, or one started for this.

    Args:
        settings: Of the server that runs here, or is to.
        url: A server elsewhere, or here; where it is elsewhere this machine is not checked.
        token: For a server that asks for one.
        say: Given each check.
    """
    if url is not None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if is_loopback(parts.hostname or ""):
            _report(machine_checks(settings), say)
        _examine_server(f"{parts.scheme}://{parts.netloc}/", settings, token, say)
        return
    broken = _report(machine_checks(settings), say)
    try:
        free = port_is_free(settings)
    except SetupError as error:
        say(
            failed(
                "port",
                error.message,
                "set BABBLEFISH_HOST to an address of this machine and BABBLEFISH_PORT to a free port",
            )
        )
        return
    if not free:
        _examine_what_runs(settings, token, say)
        return
    say(ok("port", f"{settings.port} on {settings.host} is free; starting a server for a conversation"))
    if not broken:
        asyncio.run(_converse_alone(settings, say))


def _report(checks: Iterator[Check], say: Say) -> bool:
    """Pass checks on and return whether one has failed."""
    broken = False
    for check in checks:
        say(check)
        broken |= check.outcome is Outcome.FAILED
    return broken


def _examine_what_runs(settings: Settings, token: str | None, say: Say) -> None:
    """Find out what holds the server's port."""
    host = settings.host if settings.host not in ("0.0.0.0", "::", "") else "localhost"
    base = f"//{f'[{host}]' if ':' in host else host}:{settings.port}/"
    for scheme in ("https", "http"):
        state = _state(f"{scheme}:{base}", _trusting_nobody())
        if state is not None:
            say(ok("port", f"{settings.port} is in use by a running BabbleFish"))
            _examine_server(f"{scheme}:{base}", settings, token or _own_token(settings), say)
            return
    say(
        failed(
            "port",
            f"{settings.port} is in use by another program",
            f"stop it (ss --listening --tcp --processes 'sport = {settings.port}' shows it), or set BABBLEFISH_PORT",
        )
    )


def _own_token(settings: Settings) -> str | None:
    """Return the admin token of the settings' server, if the user of this command may read its key."""
    key = settings.key_file or settings.state_dir / KEY_FILE
    if not (is_required(settings) and os.access(key, os.R_OK)):
        return None
    with contextlib.suppress(SetupError):
        return access_of(settings).admin_token
    return None


def _examine_server(base: str, settings: Settings, token: str | None, say: Say) -> None:
    context = None
    if base.startswith("https:"):
        context, check = _trusted(base, settings)
        say(check)
    elif not is_loopback(urlsplit(base).hostname or ""):
        say(warning("secure page", f"browsers do not allow the microphone at {base}", "open it over https"))
    state = _state(base, context)
    if state is None:
        say(failed("server", f"no BabbleFish server at {base}", "start it, or check its log and the firewall"))
        return
    if not state["ready"]:
        say(failed("server", f"{base} is not ready", f"{base}readyz says why; wait, or check its log"))
        return
    say(ok("server", f"{base} is ready, {state['profile']} profile, {state['clients']} clients"))
    if state.get("history") == "failing":
        say(failed("history", "what is said is not stored", f"{base}dashboard says why"))
    if state.get("voices") == "failing":
        say(failed("voices", "voices are not stored", f"{base}dashboard says why"))
    asyncio.run(_converse(base, token, context, say))


async def _converse_alone(settings: Settings, say: Say) -> None:
    try:
        async with demo.own_server(settings) as (_, base):
            await _converse(base, None, None, say)
    except SetupError as error:
        say(failed("server", error.message, "fix that and try again"))


async def _converse(base: str, token: str | None, context: ssl.SSLContext | None, say: Say) -> None:
    broken = False
    async for check in doctor_conversation.converse(base, token, context):
        say(check)
        broken |= check.outcome is Outcome.FAILED
    if not broken and (timed := await doctor_conversation.time_translation(base, token, context)) is not None:
        say(timed)


def _state(base: str, context: ssl.SSLContext | None) -> dict[str, Any] | None:
    """Return what a server says about itself, or None if it is not BabbleFish."""
    asking = urllib.request.Request(base, headers={"Accept": "application/json"})
    try:
        with urllib.request.urlopen(asking, timeout=_TIMEOUT_S, context=context) as answer:
            state = json.load(answer)
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and state.get("service") == "BabbleFish" else None


def _trusted(base: str, settings: Settings) -> tuple[ssl.SSLContext, Check]:
    """Check a server's certificate; if it is not trusted, the other checks still go on."""
    parts = urlsplit(base)
    host, port = parts.hostname or "", parts.port or 443
    context = ssl.create_default_context()
    authority = settings.state_dir / "tls" / "ca.crt"
    if authority.is_file():
        context.load_verify_locations(authority)
    try:
        shown = x509.load_pem_x509_certificate(ssl.get_server_certificate((host, port), timeout=_TIMEOUT_S).encode())
    except (OSError, ValueError) as error:
        return context, failed(
            "certificate", f"none from {host}: {error}", "check that the server is running and uses https"
        )
    check = judge(shown, f"that of {host}")
    if check.outcome is Outcome.FAILED:
        return _trusting_nobody(), check
    try:
        asking = urllib.request.Request(base, headers={"Accept": "application/json"})
        urllib.request.urlopen(asking, timeout=_TIMEOUT_S, context=context).close()
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            return _trusting_nobody(), warning(
                "certificate",
                f"this machine does not trust that of {host}: {error.reason.verify_message}",
                "devices must trust its CA (/ca.crt, see DEPLOYMENT.md) and open a name that it covers",
            )
    return context, check


def _trusting_nobody() -> ssl.SSLContext:
    """Return a context that accepts any certificate, to look at a server with a bad one."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
