"""A model hub on the loopback interface: just what its client asks for, and ways to fail."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import pytest

from babblefish.models import hub as models_hub
from babblefish.models.catalogue import CATALOGUE, Asset, ConvertedAsset, HubAsset

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_COMMITS = [asset.commit for asset in CATALOGUE if isinstance(asset, HubAsset) and asset.commit]
LARGE_BYTES = 1000
"""From this size a file is stored outside Git and served from another address, as the real hub does."""

REPOSITORY = "somebody/speech"
SPEECH = HubAsset(
    name="speech",
    path="speech",
    licence="CC-BY-NC-4.0 (somebody)",
    non_commercial=True,
    needed_by=("full",),
    repository=REPOSITORY,
    approximate_bytes=4_000_000,
    files=("config.json", "model.safetensors.index.json", "model-*.safetensors", "voices/*.pt"),
    needed=("config.json", "model-*.safetensors", "voices/*.pt"),
)


AnyAsset = TypeVar("AnyAsset", bound=Asset)


def hashes(files: Mapping[str, Mapping[str, bytes]]) -> dict[str, dict[str, str]]:
    """Return hashes of these repositories' files, by asset: of just those that the catalogue states for it."""
    return {
        asset.name: {name: sha256(content) for name, content in files[asset.repository].items() if name in asset.sha256}
        for asset in CATALOGUE
        if isinstance(asset, HubAsset) and asset.repository in files
    }


def hashes_in(model_dir: Path) -> dict[str, dict[str, str]]:
    """Return the same of a model folder, whatever made its files."""
    return {
        asset.name: {
            name: sha256((model_dir / asset.path / name).read_bytes())
            for name in asset.sha256
            if (model_dir / asset.path / name).is_file()
        }
        for asset in CATALOGUE
        if isinstance(asset, HubAsset) and (model_dir / asset.path).is_dir()
    }


def pinned_to(stated: Mapping[str, Mapping[str, str]]) -> tuple[Asset, ...]:
    """Return the catalogue with other hashes, by asset."""
    return tuple(_pinned_to(asset, stated) for asset in CATALOGUE)


def _pinned_to(asset: AnyAsset, stated: Mapping[str, Mapping[str, str]]) -> AnyAsset:
    if isinstance(asset, ConvertedAsset):
        return replace(asset, origin=_pinned_to(asset.origin, stated))
    return replace(asset, sha256=stated[asset.name]) if asset.name in stated else asset


def sha256(content: bytes) -> str:
    """Return the hash of a file in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def safetensors(data_bytes: int) -> bytes:
    """Return a file with one tensor of bytes."""
    tensor = {"dtype": "U8", "shape": [data_bytes], "data_offsets": [0, data_bytes]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "weight": tensor}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(i % 251 for i in range(data_bytes))


def archive(content: bytes) -> bytes:
    """Return a zip archive such as ``torch.save`` writes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("archive/data.pkl", content)
    return file.getvalue()


def speech_files() -> dict[str, bytes]:
    """Return a repository of two shards, their index, a voice, and what nobody needs."""
    shards = {f"model-0000{number}-of-00002.safetensors": safetensors(4000 + number) for number in (1, 2)}
    index = {"weight_map": {f"layer.{number}": name for number, name in enumerate(shards)}}
    return {
        "config.json": b'{"layers": 2}',
        "model.safetensors.index.json": json.dumps(index).encode(),
        **shards,
        "voices/alice.pt": archive(b"alice"),
        "original_checkpoint.pt": b"o" * 5000,
        "README.md": b"# Speech",
    }


@dataclass
class Request:
    """What the client asked for, and the headers it sent along, None where it sent none."""

    path: str
    range: str | None
    authorization: str | None
    accept_encoding: str | None
    user_agent: str


@dataclass
class FakeHub:
    """Repositories and their files.

    Attributes:
        files: The content of each file by its name, by repository.
        stated: What the hub says the content is where it is not what it serves, by file name.
        gated: Repositories that want the token.
        cut_after: Place in a large file behind which nothing comes but a broken connection.
        cut_every: Bytes of a large file after which each connection breaks.
        knows_ranges: Whether the rest of a file can be asked for; else all of it comes.
        reached: Set when content is asked for.
        hold: Content is not served before this is set.
        requests: In the order they came.
        commits: Those there are, the catalogue's among them; the first is the newest.
    """

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    stated: dict[str, bytes] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    token: str = "hf_token_of_the_test"
    cut_after: int | None = None
    cut_every: int | None = None
    knows_ranges: bool = True
    reached: threading.Event = field(default_factory=threading.Event)
    hold: threading.Event = field(default_factory=threading.Event)
    requests: list[Request] = field(default_factory=list)
    commits: list[str] = field(default_factory=lambda: [COMMIT, *_COMMITS])
    url: str = ""

    def fetched(self) -> list[str]:
        """Return the names of the files whose content was asked for."""
        return [
            request.path.partition("/resolve/")[2].partition("/")[2]
            for request in self.requests
            if "/resolve/" in request.path
        ]

    def info(self, repository: str, commit: str) -> dict[str, object]:
        siblings = []
        for name, served in self.files[repository].items():
            content = self.stated.get(name, served)
            sibling: dict[str, object] = {"rfilename": name, "size": len(content)}
            blob = b"blob %d\0" % len(content) + content
            sibling["blobId"] = hashlib.sha1(blob).hexdigest()
            if len(served) >= LARGE_BYTES:
                sibling["lfs"] = {
                    "size": len(content),
                    "sha256": sha256(content),
                    "pointerSize": 134,
                }
                sibling["blobId"] = hashlib.sha1(b"the pointer").hexdigest()
            siblings.append(sibling)
        return {"id": repository, "sha": commit, "gated": repository in self.gated, "siblings": siblings}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        sent = (self.headers[name] for name in ("Range", "Authorization", "Accept-Encoding", "User-Agent"))
        self.hub.requests.append(Request(path, *sent))
        if path.startswith("/api/models/"):
            repository, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            commit = revision or self.hub.commits[0]
            if repository in self.hub.files and commit in self.hub.commits:
                self._answer(200, json.dumps(self.hub.info(repository, commit)).encode())
            else:
                self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/large/"):
            repository, _, name = path.removeprefix("/large/").partition("//")
            self._serve(self.hub.files[repository][name])
        else:
            repository, _, rest = path.removeprefix("/").partition("/resolve/")
            commit, _, name = rest.partition("/")
            content = self.hub.files[repository][name]
            if repository in self.hub.gated and self.headers["Authorization"] != f"Bearer {self.hub.token}":
                code = 403 if self.headers["Authorization"] else 401
                self._answer(code, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
            elif len(content) >= LARGE_BYTES:
                # Another origin than the hub's, so that a token which follows the redirect is seen.
                elsewhere = self.hub.url.replace("127.0.0.1", "localhost")
                self._answer(302, b"", {"Location": f"{elsewhere}/large/{repository}//{name}", "X-Repo-Commit": commit})
            else:
                self._serve(content)

    def _serve(self, content: bytes) -> None:
        self.hub.reached.set()
        assert self.hub.hold.wait(60)
        asked = self.headers["Range"] if self.hub.knows_ranges else None
        begin = int((asked or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        headers = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if begin else {}
        allowed = None
        if len(content) >= LARGE_BYTES:
            if self.hub.cut_after is not None:
                allowed = max(0, self.hub.cut_after - begin)
            elif self.hub.cut_every is not None and len(content) - begin > self.hub.cut_every:
                allowed = self.hub.cut_every
        self._answer(206 if begin else 200, content[begin:], headers, allowed)

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, allowed: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:allowed])
        self.close_connection = allowed is not None


@contextmanager
def serving_hub_to_this_process(patch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Serve one repository to this process, which then does not wait between its attempts."""
    patch.delenv("HF_TOKEN", raising=False)
    patch.setattr(models_hub, "_PAUSE_S", 0.0)
    with serving_hub() as hub:
        patch.setenv("HF_ENDPOINT", hub.url)
        hub.files[REPOSITORY] = speech_files()
        yield hub


@contextmanager
def serving_hub() -> Iterator[FakeHub]:
    """Serve an empty hub on a free port."""
    hub = FakeHub()
    hub.hold.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
