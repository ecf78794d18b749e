"""Models that are pulled and then converted, by the real converter out of a hub on the loopback interface."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from babblefish.errors import SetupError
from babblefish.models import conversion, install, store
from babblefish.models.catalogue import CATALOGUE, ConvertedAsset
from babblefish.models.store import FetchError, State
from tests.support.fake_hub import FakeHub, hashes, pinned_to

NAME = "nllb-200-distilled-600M-int8"
(ASSET,) = (entry for entry in CATALOGUE if isinstance(entry, ConvertedAsset) and entry.name == NAME)
ORIGIN = ASSET.origin
HASHED = f".hashed-{ORIGIN.name}.json"
"""What is remembered of the pickle, which was hashed before it was converted."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A tiny repository; with its real neighbours, which nobody needs."""
    pytest.importorskip("torch", reason="the cascade extra is not installed")
    pytest.importorskip("transformers", reason="the cascade extra is not installed")
    from tests.support.tiny_nllb import make_checkpoint

    folder = tmp_path_factory.mktemp("published")
    make_checkpoint(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()} | {"README.md": b"# NLLB"}


def pinned(files: dict[str, bytes]) -> ConvertedAsset:
    """Return what is converted, from these files in place of the published ones."""
    (asset,) = (entry for entry in pinned_to(hashes({ORIGIN.repository: files})) if entry.name == NAME)
    assert isinstance(asset, ConvertedAsset)
    return asset


def pull(model_dir: Path, files: dict[str, bytes], source: Path | None = None) -> list[str]:
    lines: list[str] = []
    install.install(model_dir, (pinned(files),), lines.append, source)
    return lines


def without_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        conversion.importlib.util, "find_spec", lambda name: None if name == "torch" else find_spec(name)
    )


def test_both_sizes_are_listed_with_what_the_licence_forbids() -> None:
    listed = {entry.name: entry for entry in CATALOGUE if entry.name.startswith("nllb")}
    assert set(listed) == {f"nllb-200-distilled-{size}" for size in ("600M", "600M-int8", "1.3B", "1.3B-int8")}
    assert all(entry.terms == "CC-BY-NC-4.0 (Meta): NOT FOR COMMERCIAL USE" for entry in listed.values())
    assert [name for name, entry in listed.items() if "cascade" in entry.needed_by] == [NAME]


def test_without_the_converter_nothing_is_fetched_and_the_command_is_said(
    hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_converter(monkeypatch)
    with pytest.raises(SetupError, match=r"needs torch: run pip install .*\[embedded,cascade\].*models pull nllb"):
        pull(model_dir, {})
    assert hub.requests == []
    assert not install.is_installed(ASSET, model_dir)


@pytest.mark.slow
def test_a_model_is_pulled_converted_once_and_verified(
    hub: FakeHub, model_dir: Path, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[ORIGIN.repository] = published
    lines = pull(model_dir, published)

    assert "NOT FOR COMMERCIAL USE" in lines[0]
    assert any(line.startswith(f"{NAME}: converted") for line in lines)
    assert {path.name for path in model_dir.iterdir()} == {NAME, ORIGIN.name, ".lock", HASHED}
    assert "README.md" not in hub.fetched()
    manifest = json.loads((model_dir / NAME / store.MANIFEST_NAME).read_text())
    assert (manifest["repository"], manifest["commit"]) == (ORIGIN.repository, ORIGIN.commit)
    assert set(manifest["files"]) == {"config.json", "model.bin", "shared_vocabulary.json", "tokenizer.json"}
    assert install.verify(model_dir, (pinned(published).origin, ASSET)) == {ORIGIN.name: State.GOOD, NAME: State.GOOD}

    hub.requests.clear()
    shutil.rmtree(model_dir / ORIGIN.name)
    without_converter(monkeypatch)
    assert pull(model_dir, published) == []
    assert hub.requests == []
    assert install.locate(NAME, model_dir) == model_dir / NAME


@pytest.mark.slow
def test_a_damaged_conversion_is_found_and_made_again_without_the_hub(
    hub: FakeHub, model_dir: Path, published: dict[str, bytes]
) -> None:
    hub.files[ORIGIN.repository] = published
    pull(model_dir, published)
    hub.requests.clear()
    model = model_dir / NAME / "model.bin"
    good = model.read_bytes()
    model.write_bytes(good[:100] + b"\xff" + good[101:])
    lines: list[str] = []
    assert install.verify(model_dir, (ASSET,), lines.append) == {NAME: State.DAMAGED}
    assert f"{NAME}/model.bin is damaged" in lines[0]
    assert "babblefish models pull --profile cascade" in lines[0]
    model.write_bytes(good[:100])
    pull(model_dir, published)
    assert install.verify(model_dir, (ASSET,)) == {NAME: State.GOOD}
    assert hub.requests == []


@pytest.mark.slow
def test_what_is_interrupted_leaves_nothing_that_counts(
    hub: FakeHub, model_dir: Path, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[ORIGIN.repository] = published

    write = store.write_manifest

    def dies_in_the_conversion(folder: Path, manifest: store.Manifest) -> None:
        if folder.name == "made":
            raise KeyboardInterrupt
        write(folder, manifest)

    with monkeypatch.context() as broken:
        broken.setattr(store, "write_manifest", dies_in_the_conversion)
        with pytest.raises(KeyboardInterrupt):
            pull(model_dir, published)
    assert {path.name for path in model_dir.iterdir()} == {ORIGIN.name, ".lock", HASHED}
    pull(model_dir, published)
    assert install.is_installed(ASSET, model_dir)


@pytest.mark.slow
def test_a_conversion_of_another_machine_is_copied_and_needs_no_converter(
    hub: FakeHub, model_dir: Path, tmp_path: Path, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[ORIGIN.repository] = published
    pull(tmp_path / "other", published)
    without_converter(monkeypatch)
    pull(model_dir, published, source=tmp_path / "other")
    assert install.verify(model_dir, (ASSET,)) == {NAME: State.GOOD}
    assert not (model_dir / ORIGIN.name).exists()


@pytest.mark.slow
def test_published_files_of_a_folder_are_copied_and_converted(
    model_dir: Path, tmp_path: Path, published: dict[str, bytes]
) -> None:
    with pytest.raises(FetchError, match=f"does not hold a complete copy of {ORIGIN.name}"):
        pull(model_dir, published, source=tmp_path)
    (tmp_path / ORIGIN.name).mkdir()
    for name, content in published.items():
        (tmp_path / ORIGIN.name / name).write_bytes(content)
    pull(model_dir, published, source=tmp_path)
    assert install.verify(model_dir, (pinned(published).origin, ASSET)) == {
        ORIGIN.name: State.UNVERIFIED,
        NAME: State.GOOD,
    }


@pytest.mark.slow
@pytest.mark.parametrize(("file", "content"), [("config.json", b'{"model_type": "bert"}'), ("tokenizer.json", b"{}")])
def test_what_is_no_nllb_is_refused_in_one_line(
    hub: FakeHub, model_dir: Path, published: dict[str, bytes], file: str, content: bytes
) -> None:
    files = hub.files[ORIGIN.repository] = {**published, file: content}
    with pytest.raises(SetupError, match="cannot be converted") as caught:
        pull(model_dir, files)
    assert "\n" not in str(caught.value)
    assert not install.is_installed(ASSET, model_dir)


@pytest.mark.slow
def test_a_pickle_that_is_not_the_published_one_is_not_converted(model_dir: Path, published: dict[str, bytes]) -> None:
    folder = model_dir / ORIGIN.name
    folder.mkdir(parents=True)
    for name, content in published.items():
        (folder / name).write_bytes(content)
    weights = folder / "pytorch_model.bin"
    weights.write_bytes(published[weights.name].replace(b"shared.weight", b"shared.weighs"))

    with pytest.raises(SetupError, match=r"pytorch_model\.bin is damaged or not what was published"):
        pull(model_dir, published)

    assert weights.exists()
    assert not (model_dir / NAME).exists()


def test_looking_for_the_converter_loads_neither_of_its_libraries() -> None:
    script = (
        "import sys; from babblefish.models import conversion; from babblefish.models.catalogue import CATALOGUE\n"
        f"conversion.require_converter(next(e for e in CATALOGUE if e.name == {NAME!r}))\n"
        "print({'torch', 'transformers', 'ctranslate2'} & sys.modules.keys())"
    )
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers", "ctranslate2")):
        pytest.skip("the cascade extra is not installed")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
