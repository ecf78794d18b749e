"""Pulling from a model hub with its real client: the hub is a small one on the loopback interface."""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from babblefish.errors import SetupError
from babblefish.models import hub as hub_module
from babblefish.models import install, store
from babblefish.models.catalogue import HubAsset
from babblefish.models.store import FetchError, State
from tests.support.fake_hub import COMMIT, REPOSITORY, SPEECH, FakeHub, safetensors, sha256, speech_files

FIRST, SECOND = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
PULLED = set(speech_files()) - {"original_checkpoint.pt", "README.md"}


def pull(model_dir: Path) -> list[str]:
    lines: list[str] = []
    install.install(model_dir, (SPEECH,), lines.append)
    return lines


def state(model_dir: Path) -> State:
    return install.verify(model_dir, (SPEECH,))["speech"]


def is_there(model_dir: Path) -> bool:
    return install.is_installed(SPEECH, model_dir)


def limit_disk(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    usage = namedtuple("usage", "total used free")
    spare = 64 * 1024 * 1024
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - spare - free_bytes, spare + free_bytes))


def test_the_files_of_the_catalogue_are_pulled_and_no_others(hub: FakeHub, model_dir: Path) -> None:
    lines = pull(model_dir)

    files = hub.files[REPOSITORY]
    folder = model_dir / "speech"
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == PULLED | {store.MANIFEST_NAME}
    assert {name: (folder / name).read_bytes() for name in PULLED} == {name: files[name] for name in PULLED}
    assert {path.name for path in model_dir.iterdir()} == {"speech", ".lock"}
    assert is_there(model_dir)
    assert state(model_dir) is State.GOOD
    assert "NOT FOR COMMERCIAL USE" in lines[0]
    assert any(f"fetching {FIRST}" in line for line in lines)


def test_the_manifest_says_what_was_pulled(hub: FakeHub, model_dir: Path) -> None:
    pull(model_dir)

    manifest = json.loads((model_dir / "speech" / store.MANIFEST_NAME).read_text())
    assert (manifest["repository"], manifest["commit"]) == (REPOSITORY, COMMIT)
    assert {name: file["size_bytes"] for name, file in manifest["files"].items()} == {
        name: len(hub.files[REPOSITORY][name]) for name in PULLED
    }


def test_the_commit_of_the_catalogue_is_fetched_and_not_the_newest(hub: FakeHub, model_dir: Path) -> None:
    install.install(model_dir, (replace(SPEECH, commit=COMMIT),), lambda _: None)
    assert hub.requests[0].path == f"/api/models/{REPOSITORY}/revision/{COMMIT}"
    assert is_there(model_dir)

    shutil.rmtree(model_dir / "speech")
    with pytest.raises(FetchError):
        install.install(model_dir, (replace(SPEECH, commit="f" * 40),), lambda _: None)
    assert not is_there(model_dir)


def stating(**hashes: str) -> HubAsset:
    """Return the asset with a hash for the file of each short name."""
    paths = {"shard": FIRST, "config": "config.json"}
    return replace(SPEECH, sha256={paths[name]: digest for name, digest in hashes.items()})


def test_files_with_the_hashes_of_the_catalogue_are_pulled(hub: FakeHub, model_dir: Path) -> None:
    files = hub.files[REPOSITORY]

    install.install(model_dir, (stating(shard=sha256(files[FIRST]), config=sha256(files["config.json"])),), print)

    assert is_there(model_dir)


def test_what_the_hub_has_in_place_of_a_known_file_is_not_fetched(
    hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(model_dir)
    (model_dir / "speech" / "config.json").unlink()
    before = {path: path.read_bytes() for path in model_dir.rglob("*") if path.is_file()}
    hub.requests.clear()

    with pytest.raises(SetupError, match=rf"has another {FIRST} of {REPOSITORY} .* should be {'0' * 64}\. Nothing was"):
        install.install(model_dir, (stating(shard="0" * 64),), print)

    assert hub.fetched() == []
    assert {path: path.read_bytes() for path in model_dir.rglob("*") if path.is_file()} == before


def test_a_small_file_that_is_not_the_known_one_does_not_count(hub: FakeHub, model_dir: Path) -> None:
    with pytest.raises(SetupError, match=r"config\.json of somebody/speech is damaged"):
        install.install(model_dir, (stating(config="0" * 64),), print)

    assert not is_there(model_dir)


def test_two_pulls_at_once_take_turns_and_fetch_everything_once(hub: FakeHub, model_dir: Path) -> None:
    hub.hold.clear()
    pulled: list[list[str]] = []
    first = threading.Thread(target=lambda: pulled.append(pull(model_dir)))
    first.start()
    assert hub.reached.wait(60)

    def let_the_first_go_on(line: str) -> None:
        assert "waiting" in line
        hub.hold.set()

    install.install(model_dir, (SPEECH,), let_the_first_go_on)

    first.join()
    assert len(pulled) == 1
    assert sorted(hub.fetched()) == sorted(PULLED)


def test_a_second_pull_asks_the_hub_nothing(hub: FakeHub, model_dir: Path) -> None:
    pull(model_dir)
    hub.requests.clear()

    assert pull(model_dir) == []
    assert hub.requests == []


def test_a_broken_pull_is_no_model_and_the_next_fetches_only_the_rest(hub: FakeHub, model_dir: Path) -> None:
    hub.cut_after = 2500
    with pytest.raises(FetchError, match="and this command fetches the rest: babblefish models pull speech"):
        pull(model_dir)
    assert not is_there(model_dir)
    assert state(model_dir) is State.MISSING
    hub.cut_after = None
    hub.requests.clear()

    pull(model_dir)

    assert "config.json" not in hub.fetched()
    first = [request for request in hub.requests if request.path.endswith(FIRST)]
    assert {(request.range, request.accept_encoding) for request in first} == {("bytes=2500-", "identity")}
    assert state(model_dir) is State.GOOD


def test_a_server_without_ranges_sends_a_broken_file_anew(hub: FakeHub, model_dir: Path) -> None:
    hub.cut_after = 2500
    with pytest.raises(FetchError):
        pull(model_dir)
    hub.cut_after = None
    hub.knows_ranges = False

    pull(model_dir)

    assert state(model_dir) is State.GOOD


def test_a_broken_pull_wins_over_a_half_copied_folder(hub: FakeHub, model_dir: Path) -> None:
    hub.cut_after = 2500
    with pytest.raises(FetchError):
        pull(model_dir)
    hub.cut_after = None
    (model_dir / "speech").mkdir()
    (model_dir / "speech" / "config.json").write_bytes(b"{}")

    pull(model_dir)

    assert state(model_dir) is State.GOOD


def test_a_connection_that_keeps_breaking_is_resumed_at_once(hub: FakeHub, model_dir: Path) -> None:
    hub.cut_every = 900

    pull(model_dir)

    ranges = [request.range for request in hub.requests if request.path.endswith(f"//{FIRST}")]
    assert ranges == [None, *(f"bytes={begin}-" for begin in range(900, 4200, 900))]
    assert state(model_dir) is State.GOOD


@pytest.mark.parametrize("name", [FIRST, "config.json"], ids=["large file", "small file"])
def test_a_file_with_the_wrong_hash_is_deleted_and_named(hub: FakeHub, model_dir: Path, name: str) -> None:
    content = hub.files[REPOSITORY][name]
    hub.stated[name] = content[:-1] + b"?"

    with pytest.raises(SetupError, match=rf"{name} of somebody/speech is damaged.*models pull speech"):
        pull(model_dir)

    assert not is_there(model_dir)
    assert content not in [path.read_bytes() for path in model_dir.rglob("*") if path.is_file()]
    hub.stated.clear()
    pull(model_dir)
    assert state(model_dir) is State.GOOD


def test_a_damaged_file_is_found_and_alone_is_fetched_again(hub: FakeHub, model_dir: Path) -> None:
    pull(model_dir)
    damaged = model_dir / "speech" / SECOND
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    lines: list[str] = []

    assert install.verify(model_dir, (SPEECH,), lines.append) == {"speech": State.DAMAGED}

    (line,) = lines
    assert str(damaged) in line
    assert "babblefish models pull --profile full" in line
    damaged.unlink()
    hub.requests.clear()
    pull(model_dir)
    assert hub.fetched() == [SECOND]
    assert state(model_dir) is State.GOOD


def test_a_file_cut_short_is_noticed_without_hashing_and_fetched_again(hub: FakeHub, model_dir: Path) -> None:
    pull(model_dir)
    config = model_dir / "speech" / "config.json"
    config.write_bytes(b"{}")

    assert not is_there(model_dir)
    hub.requests.clear()
    pull(model_dir)
    assert hub.fetched() == ["config.json"]


def test_what_the_repository_has_no_more_is_not_left_beside_the_new(hub: FakeHub, model_dir: Path) -> None:
    pull(model_dir)
    shutil.copy(model_dir / "speech" / FIRST, model_dir / "speech" / "model-old.safetensors")
    (model_dir / "speech" / "made-from-it.bin").write_bytes(b"kept")
    (model_dir / "speech" / SECOND).unlink()

    pull(model_dir)

    assert not (model_dir / "speech" / "model-old.safetensors").exists()
    assert (model_dir / "speech" / "made-from-it.bin").read_bytes() == b"kept"


def test_a_full_disk_is_said_before_anything_is_fetched(
    hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = sum(len(hub.files[REPOSITORY][name]) for name in PULLED)
    limit_disk(monkeypatch, needed - 1)
    with pytest.raises(SetupError, match="its disk has 67 MB left"):
        pull(model_dir)
    assert hub.fetched() == []

    limit_disk(monkeypatch, needed)
    pull(model_dir)
    assert is_there(model_dir)


def test_what_has_come_needs_no_room_any_more(hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.cut_after = 2500
    with pytest.raises(FetchError):
        pull(model_dir)
    hub.cut_after = None
    came = len(hub.files[REPOSITORY]["config.json"]) + 2500
    needed = sum(len(hub.files[REPOSITORY][name]) for name in PULLED) - came
    limit_disk(monkeypatch, needed - 1)
    with pytest.raises(SetupError, match="its disk has 67 MB left"):
        pull(model_dir)

    limit_disk(monkeypatch, needed)
    pull(model_dir)
    assert is_there(model_dir)


def test_a_disk_that_fills_up_meanwhile_is_said_and_the_next_pull_goes_on(
    hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.FileIO):
        """A file that takes a hundred bytes and no more."""

        def write(self, content: Any) -> int:
            super().write(content[:100])
            raise OSError(28, "No space left on device")

    real = hub_module._download

    def download(url: str, headers: dict[str, str], file: Any, out: Any) -> None:
        if not file.path.endswith(FIRST):
            return real(url, headers, file, out)
        with Full(out.name, "ab") as full:
            real(url, headers, file, full)

    with monkeypatch.context() as filling:
        filling.setattr(hub_module, "_download", download)
        with pytest.raises(SetupError, match=r"cannot install the weights in .*: No space left on device"):
            pull(model_dir)
    assert not is_there(model_dir)
    hub.requests.clear()

    pull(model_dir)

    assert [request.range for request in hub.requests if request.path.endswith(FIRST)] == ["bytes=100-", "bytes=100-"]
    assert state(model_dir) is State.GOOD


@pytest.mark.parametrize("name", ["voices/../../../evil.pt", "voices/..\\evil.pt"])
def test_a_file_name_that_leads_out_of_the_folder_is_refused(hub: FakeHub, model_dir: Path, name: str) -> None:
    hub.files[REPOSITORY][name] = b"evil"

    with pytest.raises(SetupError, match="not a path inside its folder"):
        pull(model_dir)

    assert hub.fetched() == []


def test_a_repository_without_the_needed_files_is_refused(hub: FakeHub, model_dir: Path) -> None:
    del hub.files[REPOSITORY]["config.json"]

    with pytest.raises(FetchError, match=r"lacks config\.json"):
        pull(model_dir)


def test_the_shards_of_the_test_are_what_the_format_says(tmp_path: Path) -> None:
    safe = pytest.importorskip("safetensors", reason="the full extra is not installed")
    (tmp_path / FIRST).write_bytes(safetensors(4001))
    with safe.safe_open(str(tmp_path / FIRST), framework="np") as opened:
        assert opened.get_tensor("weight").nbytes == 4001
