"""The systemd unit, as systemd itself reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from babblefish.settings import Settings

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "babblefish.service"

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists on every machine."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/babblefish/.venv/bin/babblefish", sys.executable))
    return path


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_systemd_understands_every_line_of_the_unit(unit: Path) -> None:
    done = analyze("verify", "--man=no", str(unit))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_is_exposed_to_little(unit: Path) -> None:
    done = analyze("security", "--offline=true", "--threshold=30", str(unit))
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_the_units_times_fit_the_servers() -> None:
    text = UNIT.read_text()

    def number(key: str) -> float:
        found = re.search(rf"^(?:Environment=)?{key}=(\d+)$", text, re.MULTILINE)
        assert found is not None
        return float(found[1])

    # An engine may take as long as an utterance, and half the watchdog's time without progress counts as hanging.
    assert number("WatchdogSec") / 2 > Settings().utterance_deadline_s
    # What was said, then the sockets and the threads, before systemd or a container's engine kills what is left.
    longest_s = Settings().utterance_deadline_s + number("BABBLEFISH_DRAIN_S") + 5
    assert number("TimeoutStopSec") > longest_s
    assert f"stop_grace_period: {number('TimeoutStopSec'):.0f}s" in (UNIT.parent / "compose.yaml").read_text()
