"""The files that the server's owner gives it, and those that it makes: reading and locking them without hanging."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from babblefish.errors import SetupError

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.1

_KEY_BYTES = 32
_KEY = re.compile(rb"[0-9a-fA-F]{64,}")


def read_file(path: Path) -> bytes:
    """Read a file that must be one: a pipe in its place would be waited for, and nobody would know why.

    Raises:
        OSError: It cannot be read, or is no regular file.
    """
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        return file.read()


def read_key(path: Path, is_ours: bool) -> bytes:
    """Read a key of the server, in hexadecimal digits.

    Args:
        path: Its file.
        is_ours: Whether it is made where there is none.

    Raises:
        OSError: It cannot be read or made.
        ValueError: The file does not hold a key.
    """
    if is_ours and not path.exists():
        _make_key(path)
    written = read_file(path).strip()
    if path.stat().st_mode & 0o007:
        _log.warning("the server's key is readable by everyone on this machine; run chmod 600 %s", path)
    if not _KEY.fullmatch(written):
        raise ValueError("it must be at least 64 hexadecimal digits (openssl rand -hex 32)")
    return written


def _make_key(path: Path) -> None:
    """Create a key atomically; if two servers start at once, the first one's key stays."""
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


@contextmanager
def locked(path: Path, wait_s: float) -> Iterator[None]:
    """Hold a lock against other processes of this machine; the file says which one holds it.

    Args:
        path: Of the lock's file, which is made.
        wait_s: How long it is waited for.

    Raises:
        SetupError: Another process holds it, and did so all the time that is waited for it.
        OSError: The lock file cannot be written to, or is no regular file.
    """
    with open(path, "r+b", buffering=0, opener=lambda name, flags: _at_once(name, flags | os.O_CREAT)) as lock:
        if not stat.S_ISREG(os.fstat(lock.fileno()).st_mode):
            raise OSError(errno.EINVAL, "its lock is not a regular file")
        give_up_s = time.monotonic() + wait_s
        has_said = False
        while not _take(lock.fileno()):
            holder = os.pread(lock.fileno(), 20, 0).decode("ascii", "replace").strip()
            who = f"process {holder}" if holder.isdigit() else "another process"
            if time.monotonic() >= give_up_s:
                raise SetupError(f"{who} holds {path} and does not let go of it; end that process, or remove the file")
            if not has_said:
                _log.warning("waiting for %s, which holds %s", who, path)
                has_said = True
            time.sleep(_LOOK_EVERY_S)
        os.ftruncate(lock.fileno(), 0)
        os.pwrite(lock.fileno(), str(os.getpid()).encode(), 0)
        yield


def _at_once(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NONBLOCK, 0o600)


def _take(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
