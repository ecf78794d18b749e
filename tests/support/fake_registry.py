"""A registry of packages that makes small archives in place of fetching them, and weights that are in them."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from babblefish.models.catalogue import VOICE_SHAPE, Package, PackagedAsset, WeightFile

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


def ignore(line: str) -> None:
    """Take a line of progress nobody reads."""


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def counted(folder: Path) -> set[str]:
    """Return what the server would take for weights: not the hidden folder that an interrupted installation keeps."""
    return {name for name in visible(folder) if not name.startswith(".pull-")}
