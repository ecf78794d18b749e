"""The model folder: one installer at a time, room on its disk, and in what state its weights may be."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from babblefish.domain import SetupError

WORK_PREFIX = ".install-"
"""Of the folders in which packages are unpacked; what a killed installation left there is of no use to the next."""

CHUNK_BYTES = 1024 * 1024
"""Read and copied at once."""

_SPARE_BYTES = 64 * 1024 * 1024

Report = Callable[[str], None]
"""Is given one line of progress at a time."""


class State(StrEnum):
    """What ``verify`` found."""

    GOOD = "good"
    UNVERIFIED = "unverified"
    """Whole as far as its files say themselves, but copied here without the manifest that states their hashes."""
    MISSING = "missing"
    DAMAGED = "damaged"
    """Not what was published; delete it and install again."""


class FetchError(SetupError):
    """What was asked for could not be had: its client is not installed, or failed, or the folder does not hold it."""


@contextmanager
def alone(model_dir: Path, report: Report) -> Iterator[None]:
    """Wait until no other process installs here, saying so, then clear away what a killed one left."""
    with (model_dir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting: somebody else installs weights in {model_dir}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in model_dir.glob(f"{WORK_PREFIX}*"):
            shutil.rmtree(leftover)
        yield


def check_space(model_dir: Path, needed_bytes: int) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        SetupError: Less than the bytes needed and some to spare is free.
    """
    needed, free = needed_bytes + _SPARE_BYTES, shutil.disk_usage(model_dir).free
    if free < needed:
        raise SetupError(
            f"{model_dir} needs {megabytes(needed)} MB for the weights, and its disk has {megabytes(free)} MB left"
        )


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the hash of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def megabytes(size_bytes: int) -> int:
    """Return a size as people are told it."""
    return round(size_bytes / 1_000_000)
