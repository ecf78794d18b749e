"""The command ``babblefish models``: lists, installs and verifies the weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from babblefish.domain import SetupError
from babblefish.models import install
from babblefish.models.catalogue import CATALOGUE, PROFILES, Asset
from babblefish.models.store import State
from babblefish.settings import Settings


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of ``babblefish``."""
    models = commands.add_parser("models", help="list, install or verify the model weights")
    actions = models.add_subparsers(required=True, metavar="ACTION")

    show = actions.add_parser("list", help="list what each profile needs, with size, status and licence")
    show.add_argument("--profile", choices=PROFILES, help="only this profile's")
    show.set_defaults(run=_list)

    pull = actions.add_parser("pull", help="install missing weights")
    pull.add_argument("names", nargs="*", metavar="NAME", help="only these, as named by the list")
    pull.add_argument("--profile", choices=PROFILES, default="embedded", help="profile to install (default embedded)")
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


def _list(parsed: argparse.Namespace) -> None:
    folder = Settings().model_dir
    for asset in _of_profile(parsed.profile):
        there = "present" if install.is_installed(asset, folder) else "missing"
        profiles = [*asset.needed_by, *(f"({profile})" for profile in asset.optional_in)]
        print(
            f"{asset.name:30} {install.size_text(asset, folder):>13}  {there:8} {' '.join(profiles):21}  {asset.terms}"
        )
    print(f"(profiles in brackets: optional, installed by name only; model folder: {folder})", file=sys.stderr)


def _pull(parsed: argparse.Namespace) -> None:
    folder = Settings().model_dir
    unknown = set(parsed.names) - {asset.name for asset in CATALOGUE}
    if unknown:
        known = ", ".join(asset.name for asset in CATALOGUE)
        raise SetupError(f"unknown weights: {', '.join(sorted(unknown))}; known are {known}")
    if parsed.names:
        chosen = [asset for asset in CATALOGUE if asset.name in parsed.names]
    else:
        chosen = [asset for asset in CATALOGUE if parsed.profile in asset.needed_by]
    install.install(folder, chosen, print, parsed.source)
    refused = [name for name in parsed.names if not install.is_installed(_named(name), folder)]
    if refused:
        raise SetupError(f"not installed: {', '.join(refused)}")
    print(f"the weights are in {folder}")


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
