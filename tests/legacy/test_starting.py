"""The two ways to start a V1 server: by its file, from any folder, and as a module of the project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.legacy import ROOT

pytestmark = pytest.mark.slow

PROGRAMS = ("main", "realtime_server", "realtime_server_tts", "realtime_server_multispeaker")


def started(*command: str, folder: Path) -> str:
    """Start a program of which only the help is wanted, with nothing but its own folder to import from."""
    done = subprocess.run(
        [sys.executable, *command, "--help"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_server_starts_by_its_file_from_any_folder(tmp_path: Path) -> None:
    for program in PROGRAMS:
        assert "--port" in started(str(ROOT / "legacy" / f"{program}.py"), folder=tmp_path)


def test_each_server_starts_as_a_module_of_the_project() -> None:
    for program in PROGRAMS:
        assert "--port" in started("-m", f"legacy.{program}", folder=ROOT)
