"""The command ``babblefish models``: which weights there are, pulling them, and verifying them."""

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
    models = commands.add_parser("models", help="the weights: list, pull, verify")
    actions = models.add_subparsers(required=True, metavar="ACTION")

    show = actions.add_parser("list", help="what each profile needs, its size and licence, and whether it is there")
    show.add_argument("--profile", choices=PROFILES, help="of this profile only")
    show.set_defaults(run=_list)

    pull = actions.add_parser("pull", help="install what is missing")
    pull.add_argument("names", nargs="*", metavar="NAME", help="these weights only, as the list names them")
    pull.add_argument("--profile", choices=PROFILES, default="embedded", help="what to install (default embedded)")
    pull.add_argument(
        "--from", type=Path, dest="source", metavar="FOLDER", help="copy out of a folder that is laid out like the list"
    )
    pull.set_defaults(run=_pull)

    verify = actions.add_parser("verify", help="hash what is installed")
    verify.add_argument("--profile", choices=PROFILES, help="of this profile only")
    verify.set_defaults(run=_verify)


def _of_profile(profile: str | None) -> list[Asset]:
    """Return what a profile can use, whether pulled for it or optional; everything for None."""
    return [asset for asset in CATALOGUE if profile is None or profile in asset.needed_by + asset.optional_in]


def _list(parsed: argparse.Namespace) -> None:
    folder = Settings().model_dir
    for asset in _of_profile(parsed.profile):
        there = "present" if install.is_installed(asset, folder) else "missing"
        profiles = [*asset.needed_by, *(f"({profile})" for profile in asset.optional_in)]
        print(
            f"{asset.name:30} {install.size_text(asset, folder):>13}  {there:8} {' '.join(profiles):21}  {asset.terms}"
        )
    print(f"(in brackets: optional, pulled by name only; the weights are in {folder})", file=sys.stderr)


def _pull(parsed: argparse.Namespace) -> None:
    folder = Settings().model_dir
    unknown = set(parsed.names) - {asset.name for asset in CATALOGUE}
    if unknown:
        known = ", ".join(asset.name for asset in CATALOGUE)
        raise SetupError(f"no such weights: {', '.join(sorted(unknown))}; there are {known}")
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
