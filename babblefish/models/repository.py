"""A folder with the files of one model: whether it is whole, and whether it is what was published, or made here.

A pull or a conversion leaves a manifest beside the files, which states the size and the hash of each. A folder that
somebody copied by hand may have none; then its files are asked themselves: formats that state their own length cannot
be cut short unnoticed.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from babblefish.domain import SetupError
from babblefish.models.entries import FolderAsset
from babblefish.models.folder import State, sha256

MANIFEST_NAME = "babblefish-manifest.json"
"""Of the manifest in its folder; it travels with the folder."""

_INDEX_SUFFIX = ".safetensors.index.json"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What was published as one file.

    Attributes:
        size_bytes: Exact.
        sha256: In hexadecimal digits.
    """

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a pull or a conversion has put into a folder.

    Attributes:
        repository: Its name at the hub.
        commit: Of the repository, as the hub named it; empty where it was converted from files without a manifest.
        files: By their path below the folder.
    """

    repository: str
    commit: str
    files: Mapping[str, FileRecord]


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
    """Write the manifest beside its files; the caller sees to it that the folder counts only when it is whole."""
    (folder / MANIFEST_NAME).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")


def require_inside(name: str, origin: str) -> None:
    """Refuse a file name that leads out of the folder it is put into.

    Raises:
        SetupError: It does; the origin is named as who asked for it.
    """
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable():
        raise SetupError(f"{origin} names the file {name!r}, which is no path inside its folder")


def wanted(asset: FolderAsset, names: Collection[str]) -> list[str]:
    """Return those of the files that belong to the asset, in the order of their names."""
    return sorted(name for name in names if any(fnmatchcase(name, pattern) for pattern in asset.files))


def lacking(asset: FolderAsset, names: Collection[str]) -> list[str]:
    """Return the needed patterns that no file matches."""
    return [pattern for pattern in asset.needed if not any(fnmatchcase(name, pattern) for name in names)]


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
    if manifest is not None:
        hashed = {name: record for name, record in manifest.files.items() if name not in faults}
        faults += [name for name, record in hashed.items() if sha256(folder / name) != record.sha256]
    if faults:
        return State.DAMAGED, [f"{asset.path}/{name}" for name in faults]
    return (State.UNVERIFIED if manifest is None else State.GOOD), []


def _faults(asset: FolderAsset, folder: Path, manifest: Manifest | None) -> list[str]:
    """Return the files that are missing or of the wrong size."""
    if manifest is not None:
        return lacking(asset, manifest.files) + [
            name for name, record in manifest.files.items() if _size(folder / name) != record.size_bytes
        ]
    names = files_there(asset, folder)
    faults = lacking(asset, names) + [name for name in names if not is_whole(folder / name)]
    for name in names:
        if name.endswith(_INDEX_SUFFIX) and name not in faults:
            faults += [shard for shard in _shards(folder / name) if not (folder / shard).is_file()]
    return faults


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _shards(index: Path) -> list[str]:
    """Return the files that an index says its tensors are in."""
    content = json.loads(index.read_text(encoding="utf-8"))
    weights = content.get("weight_map") if isinstance(content, dict) else None
    return sorted({str(shard) for shard in weights.values()}) if isinstance(weights, dict) else []


def is_whole(path: Path) -> bool:
    """Say whether a file ends where its own format says that it ends.

    A safetensors file states its tensors' places in a header behind eight bytes that hold the header's length; the
    archives that ``torch.save`` writes end with their table of contents. Of formats that say nothing, only an empty
    file is found out.
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
