"""Pulling repositories of the model hub, over the network with the hub's own client or out of a folder.

An asset is put together in a folder beside its place, and renamed into it when every file has the hash that the hub
states: it is there whole, or not at all. What a broken pull has fetched stays in that folder, and the next one fetches
the rest.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from babblefish.domain import SetupError
from babblefish.models.entries import FolderAsset, HubAsset
from babblefish.models.folder import FetchError, Report, check_space, megabytes, remove, sha256
from babblefish.models.repository import (
    FileRecord,
    Manifest,
    files_there,
    is_present,
    is_whole,
    lacking,
    read_manifest,
    require_inside,
    wanted,
    write_manifest,
)

_PARTIAL = ".partial"
"""Folder of files that are being fetched, each named by its hash: what is there of one is never taken for another."""

_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class _Published:
    """One file as the hub states it.

    Attributes:
        path: Below the repository.
        size_bytes: Exact.
        digest: SHA-256 of a large file, SHA-1 of the Git blob of a small one.
    """

    path: str
    size_bytes: int
    digest: str

    def genuine_sha256(self, path: Path) -> str | None:
        """Return the SHA-256 of a file of the right size if it is what was published, and None if it is not."""
        digest = sha256(path)
        if len(self.digest) == len(digest):
            return digest if digest == self.digest else None
        blob = hashlib.sha1(b"blob %d\0" % self.size_bytes + path.read_bytes(), usedforsecurity=False)
        return digest if blob.hexdigest() == self.digest else None


@dataclass(frozen=True, slots=True)
class _Listing:
    commit: str
    token: str | Literal[False]
    files: list[_Published]


def pull(asset: HubAsset, model_dir: Path, report: Report) -> None:
    """Fetch an asset that is not there whole; its good files stay, and so does what a broken pull has fetched.

    Args:
        asset: What to fetch.
        model_dir: The model folder, in which no other installation runs.
        report: Given a line before each file that is fetched, unless the client draws its progress on a terminal.

    Raises:
        FetchError: The hub or its mirror cannot be reached, or does not give the files.
        SetupError: The client is not installed, the hub asks for a token, the disk has no room, or a file is not what
            the hub says.
        OSError: The disk cannot be written to, or is full.
    """
    with _client_errors(asset):
        listing = _list_files(asset)
    work, target = _work(asset, model_dir), model_dir / asset.path
    if target.exists() and not work.exists():
        target.rename(work)
    (work / _PARTIAL).mkdir(parents=True, exist_ok=True)
    # A file of another commit or of another layout would be read beside the ones that are fetched.
    for name in set(files_there(asset, work)) - {file.path for file in listing.files}:
        (work / name).unlink()
    missing = [file for file in listing.files if not _has_size(work / file.path, file.size_bytes)]
    check_space(model_dir, sum(file.size_bytes - _size(work / _PARTIAL / file.digest) for file in missing))
    records = {}
    for number, file in enumerate(listing.files, start=1):
        path = work / file.path
        digest = file.genuine_sha256(path) if _has_size(path, file.size_bytes) else None
        if digest is None:
            if not sys.stderr.isatty():
                size = f"{megabytes(file.size_bytes)} MB" if file.size_bytes > 1_000_000 else f"{file.size_bytes} bytes"
                report(f"{asset.name}: fetching {file.path}, {size} ({number} of {len(listing.files)})")
            digest = _fetch(asset, file, listing, work)
        records[file.path] = FileRecord(file.size_bytes, digest)
    remove(work / _PARTIAL)
    write_manifest(work, Manifest(asset.repository, listing.commit, records))
    remove(target)
    work.rename(target)
    total = sum(record.size_bytes for record in records.values())
    report(f"{asset.name}: installed and verified, {megabytes(total)} MB, commit {listing.commit[:12]}")


def copy(asset: FolderAsset, model_dir: Path, source: Path, report: Report) -> None:
    """Copy an asset out of a folder that is laid out like the model folder.

    Args:
        asset: What to copy.
        model_dir: The model folder, in which no other installation runs.
        source: Holds the asset's folder; with its manifest, if it comes from a pull.
        report: Given a line at the end.

    Raises:
        FetchError: The folder does not hold the asset, or not all of it.
        SetupError: A file is not the one of its manifest, or the disk has no room.
        OSError: The disk cannot be read or written to, or is full.
    """
    origin, work, target = source / asset.path, _work(asset, model_dir), model_dir / asset.path
    if not is_present(asset, source):
        raise FetchError(f"{origin} does not hold {asset.name}, or not all of it")
    manifest = read_manifest(origin)
    names = files_there(asset, origin) if manifest is None else list(manifest.files)
    remove(work)
    check_space(model_dir, sum(_size(origin / name) for name in names))
    for name in names:
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(origin / name, path)
        good = is_whole(path) if manifest is None else sha256(path) == manifest.files[name].sha256
        if not good:
            path.unlink()
            raise SetupError(f"{origin / name} is damaged: it is not the file that was published")
    if manifest is not None:
        write_manifest(work, manifest)
    remove(target)
    work.rename(target)
    verified = "unverified, for no manifest came with it" if manifest is None else "verified by its manifest"
    report(f"{asset.name}: copied, {verified}")


def _work(asset: FolderAsset, model_dir: Path) -> Path:
    return model_dir / f".pull-{asset.path}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


@contextmanager
def _client_errors(asset: HubAsset) -> Iterator[None]:
    """Turn what the client raises into our own errors; the disk's errors pass."""
    # Read when the client is first imported: it then says nothing of the machine to the hub.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise SetupError(
            f"the model hub's client is not installed: run {sys.executable} -m pip install huggingface_hub"
        ) from error
    try:
        yield
    except SetupError:
        raise
    except errors.OfflineModeIsEnabled as error:
        raise FetchError(
            f"{asset.repository} cannot be fetched, for HF_HUB_OFFLINE is set; unset it, or copy the model out of a "
            f"folder: babblefish models pull {asset.name} --from FOLDER"
        ) from error
    except errors.GatedRepoError as error:
        raise SetupError(_gated(asset)) from error
    except Exception as error:
        # What cannot be reached, and what answers but is no hub, raise whatever the client's HTTP library has for it.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise FetchError(
            f"{asset.repository} could not be fetched from the model hub ({said}); what has come is kept, and this "
            f"fetches the rest: babblefish models pull {asset.name}"
        ) from error


def _gated(asset: HubAsset) -> str:
    return (
        f"{asset.repository} is gated: log in at the model hub, accept the conditions on the page of "
        f"{asset.repository}, make an access token there that may read, then run: "
        f"HF_TOKEN=... babblefish models pull {asset.name}"
    )


def _endpoint() -> str | None:
    """Return the mirror to be used in the hub's place, None for the hub itself."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _token() -> str | Literal[False]:
    """Return the token for a gated model, False for none.

    A mirror is somebody else's server, so it gets only a token that was given with the command, never the one of the
    client's login.
    """
    from huggingface_hub import get_token

    given = os.environ.get("HF_TOKEN") if _endpoint() else get_token()
    return given or False


def _list_files(asset: HubAsset) -> _Listing:
    """Ask the hub what it has: the exact size and hash of every file at the newest commit."""
    from huggingface_hub import HfApi

    # Public models need no token, and so an outdated one does no harm and nobody learns who fetches them.
    token = _token() if asset.gated else False
    info = HfApi(endpoint=_endpoint(), library_name="babblefish").model_info(
        asset.repository, files_metadata=True, token=token, timeout=_TIMEOUT_S
    )
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    names = wanted(asset, siblings)
    absent = lacking(asset, names)
    if absent or not info.sha:
        raise FetchError(f"{asset.repository} as the hub has it lacks {', '.join(absent) or 'a commit'}")
    files = []
    for name in names:
        require_inside(name, asset.repository)
        sibling = siblings[name]
        digest = sibling.blob_id if sibling.lfs is None else sibling.lfs.sha256
        size_bytes = sibling.size if sibling.lfs is None else sibling.lfs.size
        if size_bytes is None or not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", digest or ""):
            raise FetchError(f"the hub states no size or hash of {asset.repository}/{name}, so it cannot be verified")
        files.append(_Published(name, size_bytes, str(digest)))
    return _Listing(info.sha, token or (_token() if info.gated else False), files)


def _fetch(asset: HubAsset, file: _Published, listing: _Listing, work: Path) -> str:
    """Fetch what is not there of a file yet, check it, and put it into its place.

    Returns:
        Its SHA-256.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get

    partial = work / _PARTIAL / file.digest
    if _size(partial) > file.size_bytes:
        partial.unlink()
    url = hf_hub_url(asset.repository, file.path, revision=listing.commit, endpoint=_endpoint())
    # Compressed, what is there could not be continued from its length.
    headers = {"User-Agent": "babblefish", "Accept-Encoding": "identity"}
    if listing.token:
        headers["Authorization"] = f"Bearer {listing.token}"  # the client drops it where it is sent on elsewhere
    # The client's own download to a folder begins a broken file anew, so its function below that is called.
    with _client_errors(asset), partial.open("ab") as out:
        http_get(
            url,
            out,
            resume_size=out.tell(),
            headers=headers,
            expected_size=file.size_bytes,
            displayed_filename=file.path,
        )
    digest = file.genuine_sha256(partial)
    if digest is None:
        partial.unlink()
        raise SetupError(
            f"{file.path} of {asset.repository} is damaged: it has not the hash that the hub states, and was deleted. "
            f"Pull it again: babblefish models pull {asset.name}"
        )
    path = work / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(path)
    return digest
