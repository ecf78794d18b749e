"""The command ``babblefish models``: lists, installs and verifies the weights."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from babblefish.engines.profiles import Profile, choose, weights
from babblefish.errors import SetupError
from babblefish.models import hub, install
from babblefish.models.catalogue import CATALOGUE, PROFILES, Asset, HubAsset
from babblefish.models.store import State
from babblefish.settings import Settings

_INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended, as shells have it."""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of ``babblefish``."""
    models = commands.add_parser("models", help="list, install or verify the model weights")
    actions = models.add_subparsers(required=True, metavar="ACTION")

    show = actions.add_parser("list", help="list what each profile needs, with size, status and licence")
    show.add_argument("--profile", choices=PROFILES, help="only this profile's")
    show.set_defaults(run=_list)

    pull = actions.add_parser("pull", help="install missing weights")
    pull.add_argument("names", nargs="*", metavar="NAME", help="only these, as named by the list")
    pull.add_argument("--profile", choices=PROFILES, help="profile to install (default: the one that serve takes)")
    pull.add_argument(
        "--from", type=Path, dest="source", metavar="FOLDER", help="copy from a model folder instead of downloading"
    )
    pull.set_defaults(run=_pull)

    verify = actions.add_parser("verify", help="check the hashes of what is installed")
    verify.add_argument("--profile", choices=PROFILES, help="only this profile's")
    verify.set_defaults(run=_verify)


def _of_profile(profile: str | None) -> list[Asset]:
    """Return what a profile can use, required or optional; everything for None."""
    return [asset for asset in CATALOGUE if profile is None or profile in asset.needed_by + asset.optional_in]


def _in_use(settings: Settings) -> tuple[Profile, list[Asset], list[str]]:
    """Return the profile of the settings, what it loads of the catalogue, and the paths of what it loads besides."""
    profile = choose(settings)
    names = weights(settings, profile)
    assets = [asset for asset in CATALOGUE if asset.name in names]
    return profile, assets, [name for name in names if name not in {asset.name for asset in assets}]


def _list(parsed: argparse.Namespace) -> None:
    settings = Settings()
    folder = settings.model_dir
    for asset in _of_profile(parsed.profile):
        there = "present" if install.is_installed(asset, folder) else "missing"
        profiles = [*asset.needed_by, *(f"({profile})" for profile in asset.optional_in)]
        print(
            f"{asset.name:30} {install.size_text(asset, folder):>13}  {there:8} {' '.join(profiles):31}  "
            f"{install.hashes_text(asset):19}  {asset.terms}"
        )
    print(
        f"(profiles in brackets: optional, installed by name only; model folder: {folder}; hashes stated here: by this "
        "project; of the pull: by the hub when it is pulled, and from then on the same)",
        file=sys.stderr,
    )
    profile, used, own = _in_use(settings.model_copy(update={"profile": parsed.profile or settings.profile}))
    names = ", ".join([*(asset.name for asset in used), *own])
    print(f"the {profile.name} profile uses {names}: {licence(used, own)}", file=sys.stderr)


def licence(used: Sequence[Asset], own: Sequence[str]) -> str:
    """Say whether weights may be used commercially, together.

    Args:
        used: Of the catalogue.
        own: Paths of further ones.
    """
    forbidden = [f"{asset.name} ({asset.licence})" for asset in used if asset.non_commercial]
    if forbidden:
        return f"NOT FOR COMMERCIAL USE, because of {', '.join(forbidden)}"
    if own:
        return f"may be used commercially, if the licence of {', '.join(own)} allows it, which is not known here"
    return "may be used commercially"


def _pull(parsed: argparse.Namespace) -> None:
    settings = Settings()
    folder = settings.model_dir
    unknown = set(parsed.names) - {asset.name for asset in CATALOGUE}
    if unknown:
        known = ", ".join(asset.name for asset in CATALOGUE)
        raise SetupError(f"unknown weights: {', '.join(sorted(unknown))}; known are {known}")
    profile, chosen, _ = _in_use(settings.model_copy(update={"profile": parsed.profile or settings.profile}))
    if parsed.names:
        chosen = [asset for asset in CATALOGUE if asset.name in parsed.names]
    elif profile.name == "light" and "light" not in (parsed.profile, settings.profile):
        print(f"this machine gets the light profile: {profile.reason}")
    is_set_up = all(install.is_installed(asset, folder) for asset in chosen)
    try:
        install.install(folder, chosen, print, parsed.source)
    except KeyboardInterrupt:
        print("\nbabblefish: interrupted; the same command fetches the rest", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    refused = [name for name in parsed.names if not install.is_installed(_named(name), folder)]
    if refused:
        raise SetupError(f"not installed: {', '.join(refused)}")
    print(f"the weights are in {folder}")
    if profile.name == "embedded" and not (is_set_up or parsed.names or parsed.source):
        _offer_open(folder)


def _offer_open(folder: Path) -> None:
    """Say what could be had from the model hub, where it can be reached."""
    absent = [
        asset
        for asset in CATALOGUE
        if isinstance(asset, HubAsset) and "open" in asset.needed_by and not install.is_installed(asset, folder)
    ]
    if absent and hub.serves(absent[-1]):
        what = ", ".join(f"{asset.name} {install.size_text(asset, folder)}" for asset in absent)
        print(
            f"the model hub answers: make open brings Polish and better words ({what}; may be used commercially). "
            "Without make: babblefish models pull --profile open"
        )


def _named(name: str) -> Asset:
    return next(asset for asset in CATALOGUE if asset.name == name)


def _verify(parsed: argparse.Namespace) -> None:
    states = install.verify(
        Settings().model_dir, _of_profile(parsed.profile), lambda line: print(line, file=sys.stderr)
    )
    for name, state in states.items():
        print(f"{name:30} {state}")
    if State.DAMAGED in states.values():
        sys.exit(1)
