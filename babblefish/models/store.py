"""The model folder: one installer at a time, room on its disk, and what state its weights are in.

Each asset that is pulled or converted has a folder of its own, and beside its files a manifest that states the size and
hash of each; a hash of the catalogue goes before the manifest's. A folder that was copied by hand may have none; then
the files themselves are asked: a format that states its own length shows when a file was cut short.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from babblefish.errors import SetupError
from babblefish.models.catalogue import Asset, FolderAsset

MANIFEST_NAME = "babblefish-manifest.json"
"""Of the manifest in its folder; it travels with the folder."""

SCRATCH_PREFIX = ".install-"
"""Of temporary folders; what a killed installation leaves in one is of no use to the next."""

_INDEX_SUFFIX = ".safetensors.index.json"
_SHARD = re.compile(r"(?P<weights>.+)-\d{5}-of-\d{5}\.safetensors")
"""One of several files with the tensors of a model; without their index nobody knows how many there are."""

_RESERVE_BYTES = 64 * 1024 * 1024

_HASHED_PREFIX = ".hashed-"
"""Of what is remembered in the model folder about files whose hashes were right."""

Report = Callable[[str], None]
"""Is given one line of progress at a time."""


class State(StrEnum):
    """What ``verify`` found."""

    GOOD = "good"
    UNVERIFIED = "unverified"
    """Complete as far as the files themselves tell, but of some nothing states the hash."""
    MISSING = "missing"
    DAMAGED = "damaged"
    """Not what was published."""


class FetchError(SetupError):
    """Something could not be fetched: its client is missing or failed, or the folder does not hold it."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file as it was published.

    Attributes:
        size_bytes: Exact.
        sha256: In hexadecimal digits.
    """

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a pull or a conversion put into a folder.

    Attributes:
        repository: Its name at the hub.
        commit: Of the repository, as the hub named it; empty where it was converted from files without a manifest.
        files: By their path below the folder.
    """

    repository: str
    commit: str
    files: Mapping[str, FileRecord]


@contextmanager
def exclusive(model_dir: Path, report: Report) -> Iterator[None]:
    """Wait until no other process installs here, saying so, then clear away what a killed one left."""
    with (model_dir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting: another process is installing weights in {model_dir}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in model_dir.glob(f"{SCRATCH_PREFIX}*"):
            shutil.rmtree(leftover)
        yield


def check_space(model_dir: Path, needed_bytes: int) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        SetupError: Fewer bytes are free than needed, with a reserve.
    """
    needed, free = needed_bytes + _RESERVE_BYTES, shutil.disk_usage(model_dir).free
    if free < needed:
        raise SetupError(
            f"the weights need {megabytes(needed)} MB in {model_dir}, and its disk has {megabytes(free)} MB left"
        )


def remove(path: Path) -> None:
    """Delete a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the hash of a file in hexadecimal digits."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def megabytes(size_bytes: int) -> int:
    """Return a size as it is shown to people."""
    return round(size_bytes / 1_000_000)


def first_line(error: Exception) -> str:
    """Return what an error says in one line; its type where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def work_folder(asset: Asset, model_dir: Path) -> Path:
    """Return where an asset is put together before it is renamed into its place."""
    return model_dir / f".pull-{asset.path}"


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, None where it has none.

    Raises:
        SetupError: It is damaged, or names a file outside the folder.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = {
            name: FileRecord(int(file["size_bytes"]), str(file["sha256"])) for name, file in content["files"].items()
        }
        manifest = Manifest(str(content["repository"]), str(content["commit"]), files)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(f"{path} is damaged: delete the file or the folder, and pull again") from error
    for name in manifest.files:
        require_inside(name, str(path))
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest beside its files; the caller sees to it that the folder counts only when it is complete."""
    (folder / MANIFEST_NAME).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")


def require_inside(name: str, origin: str) -> None:
    """Refuse a file name that leads out of the folder it is put into.

    Raises:
        SetupError: It does; ``origin`` is blamed for it.
    """
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable():
        raise SetupError(f"{origin} names the file {name!r}, which is not a path inside its folder")


def wanted(asset: FolderAsset, names: Collection[str]) -> list[str]:
    """Return those of the files that belong to the asset, in alphabetical order."""
    return sorted(name for name in names if any(fnmatchcase(name, pattern) for pattern in asset.files))


def lacking(asset: FolderAsset, names: Collection[str]) -> list[str]:
    """Return the needed patterns that no file matches, and the indexes of weights in several files."""
    shards = filter(None, map(_SHARD.fullmatch, names))
    indexes = {f"{shard['weights']}{_INDEX_SUFFIX}" for shard in shards}
    patterns = [pattern for pattern in asset.needed if not any(fnmatchcase(name, pattern) for name in names)]
    return patterns + sorted(indexes.difference(names))


def files_there(asset: FolderAsset, folder: Path) -> list[str]:
    """Return the files in a folder that belong to the asset."""
    return wanted(asset, [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()])


def size_bytes(asset: FolderAsset, model_dir: Path) -> int:
    """Return what the asset's files take on the disk."""
    folder = model_dir / asset.path
    return sum((folder / name).stat().st_size for name in files_there(asset, folder))


def is_present(asset: FolderAsset, model_dir: Path) -> bool:
    """Say whether all of an asset is there, by sizes alone; no half-copied or cut-short file passes."""
    folder = model_dir / asset.path
    try:
        return folder.is_dir() and not _faults(asset, folder, read_manifest(folder))
    except SetupError:
        return False


def verify(asset: FolderAsset, model_dir: Path) -> tuple[State, list[str]]:
    """Hash what is there; gigabytes take their time.

    Returns:
        Its state, and the files that are damaged or missing, below the model folder.
    """
    folder = model_dir / asset.path
    if not folder.exists():
        return State.MISSING, []
    try:
        manifest = read_manifest(folder)
    except SetupError:
        return State.DAMAGED, [f"{asset.path}/{MANIFEST_NAME}"]
    faults = _faults(asset, folder, manifest)
    known = _hashes(asset, folder, manifest)
    faults += [name for name, digest in known.items() if name not in faults and sha256(folder / name) != digest]
    if faults:
        return State.DAMAGED, [f"{asset.path}/{name}" for name in faults]
    return (State.GOOD if known.keys() >= set(files_there(asset, folder)) else State.UNVERIFIED), []


def expected_hashes(asset: FolderAsset, folder: Path) -> dict[str, str]:
    """Return the hash that each file of a folder must have, by its path below it: the catalogue's or the manifest's.

    Raises:
        SetupError: The manifest is damaged.
    """
    return _hashes(asset, folder, read_manifest(folder))


def _hashes(asset: FolderAsset, folder: Path, manifest: Manifest | None) -> dict[str, str]:
    stated = {} if manifest is None else {name: record.sha256 for name, record in manifest.files.items()}
    return stated | {name: digest for name, digest in asset.sha256.items() if (folder / name).is_file()}


def all_known(asset: FolderAsset, folder: Path) -> bool:
    """Say whether something states the hash of every file of an asset that is there.

    Raises:
        SetupError: The manifest is damaged.
    """
    return expected_hashes(asset, folder).keys() >= set(files_there(asset, folder))


def has_changed(name: str, model_dir: Path, expected: Mapping[Path, str]) -> bool:
    """Say whether an asset's files may differ from those that ``remember`` was told of; no content is read."""
    try:
        remembered = json.loads(_hashed(name, model_dir).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return bool(remembered != _fingerprint(model_dir, expected))


def remember(name: str, model_dir: Path, expected: Mapping[Path, str]) -> None:
    """Note that an asset's files have these hashes; they are hashed again where this cannot be written.

    Raises:
        OSError: It cannot.
    """
    hashed = _hashed(name, model_dir)
    new = hashed.with_name(f"{hashed.name}.{os.getpid()}")
    new.write_text(json.dumps(_fingerprint(model_dir, expected)), encoding="utf-8")
    new.replace(hashed)


def _hashed(name: str, model_dir: Path) -> Path:
    return model_dir / f"{_HASHED_PREFIX}{name}.json"


def _fingerprint(model_dir: Path, expected: Mapping[Path, str]) -> dict[str, list[int | str]]:
    """Return what the system says of files; it sets the time of a file's last change (ctime), and nobody else can."""
    found = {path.relative_to(model_dir).as_posix(): (digest, path.stat()) for path, digest in expected.items()}
    return {
        name: [digest, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        for name, (digest, status) in found.items()
    }


def copy(asset: FolderAsset, model_dir: Path, source: Path, report: Report) -> None:
    """Copy an asset out of a folder that is laid out like the model folder.

    Args:
        asset: What to copy.
        model_dir: The model folder, in which no other installation runs.
        source: Holds the asset's folder; with its manifest, if it comes from a pull.
        report: Given a line at the end.

    Raises:
        FetchError: The folder does not hold the asset, or not all of it.
        SetupError: A file has not the hash that the catalogue or its manifest states, or the disk has no room.
        OSError: The disk cannot be read or written to, or is full.
    """
    origin, work, target = source / asset.path, work_folder(asset, model_dir), model_dir / asset.path
    manifest = _complete(asset, origin)
    expected = _hashes(asset, origin, manifest)
    names = files_there(asset, origin) if manifest is None else list(manifest.files)
    remove(work)
    check_space(model_dir, sum((origin / name).stat().st_size for name in names))
    for name in names:
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(origin / name, path)
        good = sha256(path) == expected[name] if name in expected else is_complete(path)
        if not good:
            path.unlink()
            raise SetupError(f"{origin / name} is damaged: it is not the file that was published")
    if manifest is not None:
        write_manifest(work, manifest)
    verified = "verified" if expected.keys() >= set(names) else "unverified, as it came without a manifest"
    remove(target)
    work.rename(target)
    report(f"{asset.name}: copied, {verified}")


def _complete(asset: FolderAsset, folder: Path) -> Manifest | None:
    """Return the manifest of a folder to copy, None where it has none.

    Raises:
        FetchError: The folder does not hold all of the asset, or its manifest is damaged.
    """
    refused = FetchError(f"{folder} does not hold a complete copy of {asset.name}")
    try:
        manifest = read_manifest(folder)
    except SetupError:
        raise refused from None
    if not folder.is_dir() or _faults(asset, folder, manifest):
        raise refused
    return manifest


def _faults(asset: FolderAsset, folder: Path, manifest: Manifest | None) -> list[str]:
    """Return the files that are missing or of the wrong size."""
    if manifest is not None:
        return lacking(asset, manifest.files) + [
            name for name, record in manifest.files.items() if not has_size(folder / name, record.size_bytes)
        ]
    names = files_there(asset, folder)
    faults = lacking(asset, names) + [name for name in names if not is_complete(folder / name)]
    for name in names:
        if name.endswith(_INDEX_SUFFIX) and name not in faults:
            faults += [shard for shard in _shards(folder / name) if not (folder / shard).is_file()]
    return faults


def has_size(path: Path, size_bytes: int) -> bool:
    """Say whether there is a file of exactly this size."""
    return path.is_file() and path.stat().st_size == size_bytes


def is_complete(path: Path) -> bool:
    """Say whether a file ends where its own format says that it ends.

    A safetensors file states its tensors' places in a header behind eight bytes that hold the header's length; the
    archives that ``torch.save`` writes end with their table of contents. In formats that say nothing, only an empty
    file is noticed.
    """
    try:
        if path.suffix == ".safetensors":
            return _safetensors_bytes(path) == path.stat().st_size
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix in {".pt", ".pth", ".bin"} and _begins_as_zip(path):
            zipfile.ZipFile(path).close()
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile):
        return False
    return path.stat().st_size > 0


def _shards(index: Path) -> list[str]:
    """Return the files that an index says its tensors are in."""
    content = json.loads(index.read_text(encoding="utf-8"))
    weights = content.get("weight_map") if isinstance(content, dict) else None
    return sorted({str(shard) for shard in weights.values()}) if isinstance(weights, dict) else []


def _begins_as_zip(path: Path) -> bool:
    """Tell the archives of ``torch.save`` from the bare pickles of its first years, which state no length."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _safetensors_bytes(path: Path) -> int:
    """Return the length that a safetensors file's header states."""
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        if header_bytes > path.stat().st_size:
            raise ValueError("shorter than its header")
        header = json.loads(file.read(header_bytes))
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    return 8 + header_bytes + int(max(ends, default=0))
