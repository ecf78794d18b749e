"""Pulling repositories of the model hub, over the network with the hub's own client.

An asset is put together in a folder beside its place, and renamed into it when every file has the hash that the
catalogue and the hub state: it is there complete, or not at all. What an interrupted pull has fetched stays in that
folder, and the next one fetches the rest.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Literal

from babblefish.errors import SetupError
from babblefish.models import store
from babblefish.models.catalogue import HubAsset
from babblefish.models.store import FetchError, FileRecord, Manifest, Report

_PARTIAL = ".partial"
"""Folder of files that are being fetched, each named by its hash: no part of one is ever taken for another's."""

_TIMEOUT_S = 30.0

_PATIENCE_S = 3.0
"""For the question whether there is a hub at all, the interpreter's start included."""

_ASK = """
import json, sys, urllib.request
address, name = sys.argv[1:]
request = urllib.request.Request(f"{address}/api/models/{name}", headers={"User-Agent": "babblefish"})
sys.exit(json.load(urllib.request.urlopen(request))["id"] != name)
"""

_ATTEMPTS = 5
_PAUSE_S = 1.0
"""Connections in a row that bring nothing before a pull gives up, and the pause between them."""


@dataclass(frozen=True, slots=True)
class _Published:
    """One file as the hub states it.

    Attributes:
        path: Below the repository.
        size_bytes: Exact.
        digest: SHA-256 of a large file, SHA-1 of the Git blob of a small one.
        pinned: Its SHA-256 in the catalogue, if that states one.
    """

    path: str
    size_bytes: int
    digest: str
    pinned: str | None

    def genuine_sha256(self, path: Path) -> str | None:
        """Return the SHA-256 of a file of the right size if it is what was published, else None."""
        digest = store.sha256(path)
        if self.pinned not in (None, digest):
            return None
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
    """Fetch what is missing of an asset; its good files stay, and so does what an interrupted pull has fetched.

    Args:
        asset: What to fetch.
        model_dir: The model folder, in which no other installation runs.
        report: Given a line before each file that is fetched, unless the progress is drawn on a terminal.

    Raises:
        FetchError: The hub or its mirror cannot be reached, or does not serve the files.
        SetupError: The client is not installed, the hub asks for a token, the disk has no room, or a file is not what
            the catalogue or the hub says.
        OSError: The disk cannot be written to, or is full.
    """
    with _client_errors(asset):
        listing = _list_files(asset)
    work, target = store.work_folder(asset, model_dir), model_dir / asset.path
    if target.exists() and not work.exists():
        target.rename(work)
    (work / _PARTIAL).mkdir(parents=True, exist_ok=True)
    # A file of another commit or of another layout would be read beside the ones that are fetched.
    for name in set(store.files_there(asset, work)) - {file.path for file in listing.files}:
        (work / name).unlink()
    missing = [file for file in listing.files if not store.has_size(work / file.path, file.size_bytes)]
    store.check_space(model_dir, sum(file.size_bytes - _size(work / _PARTIAL / file.digest) for file in missing))
    records = {}
    for number, file in enumerate(listing.files, start=1):
        path = work / file.path
        digest = file.genuine_sha256(path) if store.has_size(path, file.size_bytes) else None
        if digest is None:
            if not sys.stderr.isatty():
                size = (
                    f"{store.megabytes(file.size_bytes)} MB"
                    if file.size_bytes > 1_000_000
                    else f"{file.size_bytes} bytes"
                )
                report(f"{asset.name}: fetching {file.path}, {size} ({number} of {len(listing.files)})")
            digest = _fetch(asset, file, listing, work)
        records[file.path] = FileRecord(file.size_bytes, digest)
    store.remove(work / _PARTIAL)
    store.write_manifest(work, Manifest(asset.repository, listing.commit, records))
    store.remove(target)
    work.rename(target)
    total = sum(record.size_bytes for record in records.values())
    report(f"{asset.name}: installed and verified, {store.megabytes(total)} MB, commit {listing.commit[:12]}")


def serves(asset: HubAsset) -> bool:
    """Say whether the hub, or its mirror, has a repository; a few seconds without an answer mean no.

    A program of its own asks: where a network swallows questions, no call that resolves a name could be ended here.
    """
    try:
        from huggingface_hub import constants
    except ImportError:
        return False
    if constants.HF_HUB_OFFLINE:
        return False
    command = [sys.executable, "-c", _ASK, _endpoint() or constants.ENDPOINT, asset.repository]
    try:
        done = subprocess.run(command, timeout=_PATIENCE_S, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@contextmanager
def _client_errors(asset: HubAsset) -> Iterator[None]:
    """Turn what the client raises into our own errors; the disk's errors pass."""
    # Read when the client is first imported, which then tells the hub nothing about this machine.
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
            f"{asset.repository} cannot be fetched because HF_HUB_OFFLINE is set; unset it, or copy the model out of "
            f"a folder: babblefish models pull {asset.name} --from FOLDER"
        ) from error
    except errors.GatedRepoError as error:
        raise SetupError(_gated(asset)) from error
    except Exception as error:
        # A server that cannot be reached, or is not a hub, raises whatever the client's HTTP library has for it.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FetchError(
            f"{asset.repository} could not be fetched from the model hub ({store.first_line(error)}); what has been "
            f"downloaded is kept, and this command fetches the rest: babblefish models pull {asset.name}"
        ) from error


def _gated(asset: HubAsset) -> str:
    return (
        f"{asset.repository} is gated: log in at the model hub, accept the conditions on the page of "
        f"{asset.repository}, create an access token with read permission there, then run: "
        f"HF_TOKEN=... babblefish models pull {asset.name}"
    )


def _endpoint() -> str | None:
    """Return the mirror to be used instead of the hub, None for the hub itself."""
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
    """Ask the hub what it has: the exact size and hash of every file at the asset's commit, or the newest."""
    from huggingface_hub import HfApi

    # Public models need no token: without one an expired token does no harm, and nobody learns who fetches them.
    token = _token() if asset.gated else False
    info = HfApi(endpoint=_endpoint(), library_name="babblefish").model_info(
        asset.repository, revision=asset.commit, files_metadata=True, token=token, timeout=_TIMEOUT_S
    )
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    names = store.wanted(asset, siblings)
    absent = store.lacking(asset, names)
    if absent or not info.sha:
        raise FetchError(f"the hub's copy of {asset.repository} lacks {', '.join(absent) or 'a commit'}")
    files = []
    for name in names:
        store.require_inside(name, asset.repository)
        sibling = siblings[name]
        digest = sibling.blob_id if sibling.lfs is None else sibling.lfs.sha256
        size_bytes = sibling.size if sibling.lfs is None else sibling.lfs.size
        if size_bytes is None or not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", digest or ""):
            raise FetchError(f"the hub states no size or hash for {asset.repository}/{name}, so it cannot be verified")
        files.append(_Published(name, size_bytes, str(digest), asset.sha256.get(name)))
        _require_pinned(asset, files[-1])
    return _Listing(info.sha, token or (_token() if info.gated else False), files)


def _require_pinned(asset: HubAsset, file: _Published) -> None:
    """Refuse a file before anything of it is fetched if the hub says that it is another than the catalogue's.

    Raises:
        SetupError: It is.
    """
    if file.pinned is not None and len(file.digest) == len(file.pinned) and file.digest != file.pinned:
        whose = f"the mirror {_endpoint()}" if _endpoint() else "the hub"
        raise SetupError(
            f"{whose} has another {file.path} of {asset.repository} than the one that is known here: its SHA-256 is "
            f"{file.digest} and should be {file.pinned}. Nothing was fetched, and nothing here has changed; "
            "take it from elsewhere, or update BabbleFish if the file was replaced on purpose"
        )


def _fetch(asset: HubAsset, file: _Published, listing: _Listing, work: Path) -> str:
    """Fetch what is missing of a file, check it, and put it into its place.

    Returns:
        Its SHA-256.
    """
    from huggingface_hub import hf_hub_url

    partial = work / _PARTIAL / file.digest
    if _size(partial) > file.size_bytes:
        partial.unlink()
    url = hf_hub_url(asset.repository, file.path, revision=listing.commit, endpoint=_endpoint())
    # Compressed, the rest of a file could not be asked for by its length so far.
    headers = {"User-Agent": "babblefish", "Accept-Encoding": "identity"}
    if listing.token:
        headers["Authorization"] = f"Bearer {listing.token}"  # the client drops it on a redirect to another host
    with _client_errors(asset), partial.open("ab") as out:
        _download(url, headers, file, out)
    digest = file.genuine_sha256(partial) if store.has_size(partial, file.size_bytes) else None
    if digest is None:
        partial.unlink()
        raise SetupError(
            f"{file.path} of {asset.repository} is damaged: its hash is not the one that is stated of it. What came "
            f"has been deleted; to fetch it again, run: babblefish models pull {asset.name}"
        )
    path = work / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(path)
    return digest


def _download(url: str, headers: dict[str, str], file: _Published, out: BinaryIO) -> None:
    """Append what is missing of a file; a connection that breaks is resumed.

    The client's own download to a folder cannot resume what an earlier process has fetched.
    """
    from huggingface_hub.utils import hf_raise_for_status, http_stream_backoff, tqdm

    attempts = _ATTEMPTS
    with tqdm(
        desc=file.path, total=file.size_bytes, initial=out.tell(), unit="B", unit_scale=True, disable=None
    ) as bar:
        while (begin := out.tell()) < file.size_bytes:
            rest = {"Range": f"bytes={begin}-"} if begin else {}
            try:
                # What breaks while the body is read is not the client's to retry.
                with http_stream_backoff(
                    "GET", url, retry_on_exceptions=(), headers=headers | rest, timeout=_TIMEOUT_S
                ) as response:
                    hf_raise_for_status(response)
                    if begin and response.status_code == HTTPStatus.OK:  # all of it, from a server without ranges
                        out.seek(0)
                        out.truncate()
                        bar.reset()
                    for chunk in response.iter_bytes():
                        bar.update(out.write(chunk))
                return
            except OSError:  # the hub's refusals, and the disk's
                raise
            except Exception:
                attempts = attempts - 1 if out.tell() <= begin else _ATTEMPTS
                if not attempts:
                    raise
                time.sleep(_PAUSE_S)
