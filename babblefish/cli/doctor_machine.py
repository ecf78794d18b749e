"""Checks of the machine: does it have what a server with these settings needs?"""

from __future__ import annotations

import datetime
import errno
import importlib.util
import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509

from babblefish.cli.models import licence
from babblefish.engines.apertium import INSTALL_COMMAND, Apertium
from babblefish.engines.profiles import FULL_PACKAGES, INSTALL_COMMANDS, MEMORY_BYTES, Profile, choose, weights
from babblefish.errors import BabbleFishError, SetupError
from babblefish.models import install
from babblefish.models.catalogue import CATALOGUE
from babblefish.models.store import State, megabytes
from babblefish.server import invitation
from babblefish.server.addresses import is_loopback, this_machine
from babblefish.server.tls import RENEW_BEFORE, certificate_of
from babblefish.settings import Settings
from babblefish.telemetry.usage import memory_limit_bytes

_PACKAGES = ("ctranslate2", "espeakng_loader", "faster_whisper", "kokoro_onnx", "onnxruntime", "tokenizers")

_FREE_BYTES = 100_000_000
"""A disk with less will soon be full."""

_FILES_PER_CLIENT = 1
_FILES_BESIDE = 512
"""Eight Apertium pipelines of fifteen programs with two pipes each, the weights, the log."""


class Outcome(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    """The server runs, but something will not work as people expect."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a check.

    Attributes:
        name: What was checked.
        outcome: Whether it is all right.
        found: What was found.
        advice: What to do; empty if there is nothing to do.
        figures: What was measured, if anything.
    """

    name: str
    outcome: Outcome
    found: str
    advice: str = ""
    figures: dict[str, float] | None = None


def ok(name: str, found: str) -> Check:
    """Return the result of a check that found nothing wrong."""
    return Check(name, Outcome.OK, found)


def warning(name: str, found: str, advice: str) -> Check:
    """Return the result of a check that found something people may notice."""
    return Check(name, Outcome.WARNING, found, advice)


def failed(name: str, found: str, advice: str) -> Check:
    """Return the result of a check that found something that must be fixed."""
    return Check(name, Outcome.FAILED, found, advice)


def machine_checks(settings: Settings) -> Iterator[Check]:
    """Run the checks one by one; hashing the weights takes some seconds."""
    profile = choose(settings)
    yield ok("profile", f"{profile.name}: {profile.reason}")
    yield _cpus(settings)
    yield _memory(profile)
    yield _packages(profile)
    yield _debian_packages(profile)
    yield from _weights(settings, profile)
    yield from _folder("state folder", settings.state_dir, "BABBLEFISH_STATE_DIR")
    yield from _folder("model folder", settings.model_dir, "BABBLEFISH_MODEL_DIR")
    if settings.history_file is not None and settings.retain:
        yield from _folder("history's folder", settings.history_file.parent, "BABBLEFISH_HISTORY_FILE")
    if settings.voices_file is not None and settings.retain:
        yield from _folder("voices' folder", settings.voices_file.parent, "BABBLEFISH_VOICES_FILE")
    yield _open_files(settings)
    yield _certificate(settings)
    yield _microphones(settings)


def port_is_free(settings: Settings) -> bool:
    """Tell whether the server's port is free.

    Raises:
        SetupError: The address is not this machine's, or the port is reserved.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.create_server((settings.host, settings.port), family=family):
            return True
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise SetupError(f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}") from error


def judge(certificate: x509.Certificate, whose: str) -> Check:
    """Check whether a certificate is valid now and for a while, and for which names."""
    now = datetime.datetime.now(datetime.UTC)
    names = ", ".join(_names(certificate)) or "no names"
    until = certificate.not_valid_after_utc
    if until < now:
        return failed("certificate", f"{whose} expired on {until:%Y-%m-%d}", "renew it; browsers reject it")
    if certificate.not_valid_before_utc > now:
        return failed(
            "certificate", f"{whose} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}", "check the clock"
        )
    if until - now < RENEW_BEFORE:
        return warning("certificate", f"{whose} expires on {until:%Y-%m-%d}", "renew it")
    return ok("certificate", f"{whose} is valid until {until:%Y-%m-%d} for {names}")


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in named]


def _cpus(settings: Settings) -> Check:
    cpus = len(os.sched_getaffinity(0))
    budgets = {
        "TRANSLATION_THREADS": settings.translation_threads,
        "TEXT_TRANSLATION_THREADS": settings.text_translation_threads,
        "SYNTHESIS_THREADS": settings.synthesis_threads,
        "SPEAKER_THREADS": settings.speaker_threads,
        "SOCKET_THREADS": settings.socket_threads,
    }
    found = f"{cpus} CPUs; threads: " + ", ".join(f"{name} {count}" for name, count in budgets.items())
    beyond = [f"BABBLEFISH_{name}" for name, count in budgets.items() if count > cpus]
    if beyond:
        return warning("CPUs", found, f"more threads than CPUs slow each other down: lower {', '.join(beyond)}")
    if cpus < 2:
        return warning("CPUs", found, "captions will lag behind speech; a conversation needs at least two CPUs")
    return ok("CPUs", found)


def _memory(profile: Profile) -> Check:
    memory = memory_limit_bytes()
    found = f"{megabytes(memory)} MB"
    if profile.text_translator == "llm" and memory < MEMORY_BYTES:
        return warning("memory", found, f"a language model wants {megabytes(MEMORY_BYTES)} MB: use --profile light")
    return ok("memory", found)


def _packages(profile: Profile) -> Check:
    wanted = (*_PACKAGES, *FULL_PACKAGES) if profile.name == "full" else _PACKAGES
    if profile.text_translator == "llm":
        wanted = (*wanted, "xllamacpp")
    missing = [name for name in wanted if not _is_installed(name)]
    if missing:
        return failed("packages", f"missing: {', '.join(missing)}", INSTALL_COMMANDS[profile.name])
    return ok("packages", f"all {len(wanted)} of the {profile.name} profile are installed")


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # nor is the package that contains it
        return False


def _debian_packages(profile: Profile) -> Check:
    if profile.text_translator != "apertium":
        return ok("Debian packages", "none needed")
    try:
        apertium = Apertium()
    except SetupError as error:
        return warning(
            "Debian packages", error.message, f"without Apertium all captions are in English; {INSTALL_COMMAND}"
        )
    langs = {"eng", "spa", "fra", "ita", "por", "cat"}
    unreachable = sorted({lang for lang in langs - {"eng"} if apertium.route("eng", lang) is None})
    if unreachable:
        return warning("Debian packages", f"no translation from English to {', '.join(unreachable)}", INSTALL_COMMAND)
    return ok("Debian packages", f"Apertium with {len(apertium.pairs)} language pairs")


def _weights(settings: Settings, profile: Profile) -> Iterator[Check]:
    lines: list[str] = []
    names = weights(settings, profile)
    wanted = [asset for asset in CATALOGUE if asset.name in names]
    own = [name for name in names if name not in {asset.name for asset in wanted}]
    states = install.verify(settings.model_dir, wanted, lines.append)
    for asset in wanted:
        name = f"weights {asset.name}"
        match states[asset.name]:
            case State.GOOD:
                yield ok(name, f"complete, hashes match; {asset.terms}")
            case State.UNVERIFIED:
                yield warning(
                    name,
                    f"complete, but cannot be verified; {asset.terms}",
                    "pull them again with a network connection",
                )
            case State.MISSING if asset.without is not None:
                yield warning(name, f"missing: {asset.without}", install.pull_command(asset))
            case State.MISSING:
                yield failed(name, f"missing from {settings.model_dir}", install.pull_command(asset))
            case State.DAMAGED:
                yield failed(name, "damaged", "; ".join(line for line in lines if line.startswith(f"{asset.name}:")))

    for path in own:
        if Path(path).exists():
            yield ok(f"weights {path}", "your own; neither content nor licence is known here")
        else:
            yield failed(f"weights {path}", "missing", "name weights of models list, or a path that exists")
    terms = licence(wanted, own)
    if any(asset.non_commercial for asset in wanted):
        yield warning("licence", f"the weights are {terms}", "for commercial use: --profile embedded, light or open")
    else:
        yield ok("licence", f"the weights {terms}")


def _folder(name: str, folder: Path, setting: str) -> Iterator[Check]:
    """Check that a folder, or the one it will be created in, is writable and has space."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
        free = shutil.disk_usage(there).free
    except OSError as error:
        yield failed(
            name,
            f"{there}: {error.strerror}",
            f"make it writable for the server's user, or set {setting} to another folder",
        )
        return
    if free < _FREE_BYTES:
        yield warning(name, f"{folder}: only {megabytes(free)} MB free", "free some disk space")
    else:
        yield ok(name, f"{folder}: writable, {megabytes(free)} MB free")


def _open_files(settings: Settings) -> Check:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_clients * _FILES_PER_CLIENT + _FILES_BESIDE
    if limit != resource.RLIM_INFINITY and limit < needed:
        return warning(
            "open files",
            f"limit {limit}; {settings.max_clients} clients may need {needed}",
            f"run ulimit -n {needed}, or set LimitNOFILE={needed} in the unit",
        )
    return ok("open files", f"limit {limit}; {needed} are enough")


def _certificate(settings: Settings) -> Check:
    own = settings.tls_cert is not None or settings.tls_key is not None
    if not own and settings.tls == "off":
        return ok("certificate", "none: the server uses plain HTTP")
    if not own and not (settings.state_dir / "tls").exists():
        return ok("certificate", "will be created at the first start")
    path = settings.tls_cert or settings.state_dir / "tls" / "server.pem"
    try:
        certificate_of(settings)
        return judge(x509.load_pem_x509_certificate(path.read_bytes()), str(path))
    except (BabbleFishError, OSError, ValueError) as error:
        return failed("certificate", str(error), "HTTPS needs it; behind a proxy, set BABBLEFISH_TLS=off")


def _microphones(settings: Settings) -> Check:
    secure = settings.tls == "auto" or settings.tls_cert is not None
    opened_at = invitation.bases(settings.host, settings.port, secure, this_machine())
    if is_loopback(settings.host):
        return warning(
            "microphones",
            f"only this machine can open {opened_at[0]}",
            "fine behind a proxy; for phones: babblefish serve --host 0.0.0.0 --tls auto",
        )
    if not secure:
        return warning(
            "microphones",
            f"browsers do not allow other devices to use one at {opened_at[0]}, which is not secure",
            "run babblefish serve --tls auto, or use a proxy with a certificate",
        )
    return ok("microphones", f"browsers allow them at {', '.join(opened_at)}")


Say = Callable[[Check], None]
"""Called with each check as soon as it is done."""
