"""The command ``babblefish models``: which weights there are, pulling them, and verifying them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from babblefish.domain import SetupError
from babblefish.models import install
from babblefish.models.catalogue import CATALOGUE
from babblefish.models.entries import PROFILES, Entry
from babblefish.models.folder import State
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


def _of_profile(profile: str | None) -> list[Entry]:
    """Return what a profile can use, whether pulled for it or optional; everything for None."""
    return [entry for entry in CATALOGUE if profile is None or profile in entry.needed_by + entry.optional_in]


def _list(parsed: argparse.Namespace) -> None:
    folder = Settings().model_dir
    for entry in _of_profile(parsed.profile):
        there = "present" if install.is_installed(entry, folder) else "missing"
        profiles = [*entry.needed_by, *(f"({profile})" for profile in entry.optional_in)]
        print(
            f"{entry.name:30} {install.size_text(entry, folder):>13}  {there:8} {' '.join(profiles):21}  {entry.terms}"
        )
    print(f"(in brackets: optional, pulled by name only; the weights are in {folder})", file=sys.stderr)


def _pull(parsed: argparse.Namespace) -> None:
    folder = Settings().model_dir
    unknown = set(parsed.names) - {entry.name for entry in CATALOGUE}
    if unknown:
        known = ", ".join(entry.name for entry in CATALOGUE)
        raise SetupError(f"no such weights: {', '.join(sorted(unknown))}; there are {known}")
    if parsed.names:
        chosen = [entry for entry in CATALOGUE if entry.name in parsed.names]
    else:
        chosen = [entry for entry in CATALOGUE if parsed.profile in entry.needed_by]
    install.install(folder, print, None, chosen, parsed.source)
    refused = [name for name in parsed.names if not install.is_installed(_named(name), folder)]
    if refused:
        raise SetupError(f"not installed: {', '.join(refused)}")
    print(f"the weights are in {folder}")


def _named(name: str) -> Entry:
    return next(entry for entry in CATALOGUE if entry.name == name)


def _verify(parsed: argparse.Namespace) -> None:
    states = install.verify(
        Settings().model_dir, _of_profile(parsed.profile), lambda line: print(line, file=sys.stderr)
    )
    for name, state in states.items():
        print(f"{name:30} {state}")
    if State.DAMAGED in states.values():
        sys.exit(1)
