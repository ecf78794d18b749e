"""What the benchmarks share: the machine's name, the clips of real speech, medians, and how results are printed."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babblefish.cli.demo import read_speech
from babblefish.domain import SAMPLE_RATE_HZ, Samples

_ROOT = Path(__file__).resolve().parents[1]
SHARED_AUDIO = _ROOT.parent / "shared" / "audio"


@dataclass(frozen=True)
class Clip:
    """A recorded utterance with its references: ``texts`` maps ISO 639-3 codes to what was said and means."""

    name: str
    lang: str
    texts: dict[str, str]
    samples: Samples

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ


def clips(langs: Sequence[str] | None = None) -> list[Clip]:
    """Read the manifest's utterances, all or those of some languages; ends the program where there are none."""
    manifest = SHARED_AUDIO / "manifest.json"
    if not manifest.is_file():
        sys.exit(
            f"this benchmark needs recorded speech in {SHARED_AUDIO.parent.name}/{SHARED_AUDIO.name} beside the project"
        )
    found = []
    for entry in json.loads(manifest.read_text())["utterances"]:
        if langs is None or entry["lang"] in langs:
            texts = {key: value for key, value in entry.items() if len(key) == 3} | {entry["lang"]: entry["text"]}
            found.append(Clip(entry["file"], entry["lang"], texts, read_speech(SHARED_AUDIO / entry["file"])))
    return found


def machine() -> str:
    """Name the machine a figure was measured on."""
    cpu = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return f"{len(os.sched_getaffinity(0))} cores, {cpu}, Python {platform.python_version()}"


def spread(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """Return median, 95th percentile and number of values."""
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"median": round(statistics.median(ordered), digits), "p95": round(p95, digits), "n": len(ordered)}


@contextlib.contextmanager
def server_process(**settings: str) -> Iterator[tuple[int, int]]:
    """Run the server as its owner does, on a free loopback port, until it is left; yields port and process id.

    Args:
        settings: By name, beside those of the environment.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(_ROOT / "server_cpu.py"), "--port", str(port), "--profile", "embedded"]
    environment = os.environ | {f"BABBLEFISH_{name.upper()}": value for name, value in settings.items()}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        give_up_s = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                if time.monotonic() > give_up_s or process.poll() is not None:
                    sys.exit("the server did not become ready; start it with `make run` to see why")
                time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def main(description: str, measure: Callable[[argparse.Namespace], dict[str, Any]], **numbers: int) -> None:
    """Run a benchmark from the command line.

    Args:
        description: For ``--help``.
        measure: Returns the figures.
        numbers: Options ``--name N`` with their defaults.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    parsed = parser.parse_args()
    figures = {"machine": machine(), **measure(parsed)}
    if parsed.json:
        print(json.dumps(figures, ensure_ascii=False, indent=2))
        return
    _print(figures, "")


def _print(value: Any, indent: str) -> None:
    for key, item in value.items():
        if isinstance(item, dict) and any(isinstance(inner, dict | list) for inner in item.values()):
            print(f"{indent}{key}:")
            _print(item, indent + "  ")
        elif isinstance(item, dict):
            print(f"{indent}{key}: " + ", ".join(f"{name} {inner}" for name, inner in item.items()))
        elif isinstance(item, list):
            print(f"{indent}{key}:")
            for entry in item:
                print(f"{indent}  {entry}")
        else:
            print(f"{indent}{key}: {item}")
