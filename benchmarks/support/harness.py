"""What the benchmarks share: the machine, clips of real speech, servers to measure, medians, how results are printed.

What is measured runs in a process of its own. The clients that load it are in another one, and read and prepare their
recordings before anything is timed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

import psutil
import uvicorn
from fastapi import FastAPI

from babblefish.cli.demo import read_speech
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.server.app import server_config
from babblefish.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SHARED_AUDIO = ROOT.parent / "shared" / "audio"

NOT_MEASURED = "not measured: "
MISSING = 77
"""Exit status of a benchmark that lacks something that this machine or checkout need not have."""

_READY_S = 180.0
_LOOK_S = 0.05
_END_S = 30.0


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


def missing(what: str) -> NoReturn:
    """End the program, as something it needs is not here."""
    print(NOT_MEASURED + what, file=sys.stderr)
    sys.exit(MISSING)


def has_clips() -> bool:
    """Say whether the recorded speech is here, for a benchmark that has figures without it, too."""
    return (SHARED_AUDIO / "manifest.json").is_file()


def clips(langs: Sequence[str] | None = None) -> list[Clip]:
    """Read the manifest's utterances, all or those of some languages; ends the program where there are none."""
    if not has_clips():
        missing(f"it needs recorded speech in {SHARED_AUDIO.parent.name}/{SHARED_AUDIO.name} beside the project")
    found = []
    for entry in json.loads((SHARED_AUDIO / "manifest.json").read_text())["utterances"]:
        if langs is None or entry["lang"] in langs:
            texts = {key: value for key, value in entry.items() if len(key) == 3} | {entry["lang"]: entry["text"]}
            found.append(Clip(entry["file"], entry["lang"], texts, read_speech(SHARED_AUDIO / entry["file"])))
    return found


def machine() -> dict[str, Any]:
    """Describe the machine a figure was measured on."""
    cpu = {"model name": platform.machine(), "flags": ""}
    for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        cpu[name.strip()] = value.strip()
    generation = f", family {cpu['cpu family']} model {cpu['model']}" if "model" in cpu else ""
    return {
        "processor": cpu["model name"] + generation,
        "instruction_set": instruction_set(cpu["flags"].split()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in ("ctranslate2", "onnxruntime", "numpy")},
    }


def instruction_set(flags: Sequence[str]) -> str:
    """Name the widest vector instructions that int8 kernels choose by, from the flags of ``/proc/cpuinfo``.

    Their sums differ from one to the next, and with them, now and then, a word that a model says.
    """
    has = set(flags)
    width = "AVX-512" if {"avx512f", "avx512bw", "avx512vl"} <= has else "AVX2" if "avx2" in has else "baseline"
    vnni = "avx512_vnni" in has if width == "AVX-512" else "avx_vnni" in has
    return f"{width} {'with' if vnni else 'without'} VNNI"


def spread(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """Return median, 95th percentile and number of values; of no values only the number."""
    if not values:
        return {"n": 0}
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"median": round(statistics.median(ordered), digits), "p95": round(p95, digits), "n": len(ordered)}


def alone(call: Callable[..., Any], *arguments: Any, environment: Mapping[str, str] | None = None) -> Any:
    """Call a function in a fresh process and return what it returns; all of it has to be such that it can be pickled.

    Args:
        call: Of the top level of a module.
        arguments: For it.
        environment: Variables that the process has beside those of this one.
    """
    before = dict(os.environ)
    os.environ.update(environment or {})
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(call, *arguments).result()
    finally:
        for name in environment or {}:
            del os.environ[name]
        os.environ.update(before)


def url(port: int) -> str:
    """Return the address of a server of this machine."""
    return f"http://127.0.0.1:{port}/"


@contextlib.contextmanager
def server_process(**settings: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run the server as its owner does, on a free loopback port, until it is left; yields port and process.

    Args:
        settings: By name, beside those of the environment.
    """
    command = (str(ROOT / "server_cpu.py"), "--profile", "embedded")
    with program(*command, ready="readyz", **settings) as running:
        yield running


@contextlib.contextmanager
def program(*command: str, ready: str, **settings: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a program that serves HTTP on a free loopback port until it is left; yields port and process.

    Args:
        command: What Python is to run; the port goes after it.
        ready: Where it answers with success as soon as it is ready.
        settings: By name, beside those of the environment.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)],
        cwd=ROOT,
        env=os.environ | {f"BABBLEFISH_{name.upper()}": value for name, value in settings.items()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until_ready(url(port) + ready, lambda: process.poll() is None)
        yield port, process
    finally:
        process.terminate()
        process.wait(_END_S)


@contextlib.contextmanager
def serving(serve: Callable[..., None], *arguments: Any) -> Iterator[tuple[int, BaseProcess]]:
    """Run a server of the benchmark's own making in a new process until it is left; yields port and process.

    Args:
        serve: Called in the process with a listening socket and the arguments; ends on SIGTERM, as ``serve_app`` does.
        arguments: Whatever can be pickled.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(listener, *arguments))
        process.start()
    try:
        _until_ready(url(port) + "readyz", process.is_alive)
        yield port, process
    finally:
        process.terminate()
        process.join(_END_S)
        process.kill()  # where a call of an engine hangs


def serve_app(listener: socket.socket, app: FastAPI, settings: Settings) -> None:
    """Serve an application in this process until SIGTERM comes, then return."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # uvicorn takes it meanwhile, and raises it again at its end
    uvicorn.Server(server_config(app, settings)).run([listener])


def _until_ready(address: str, is_alive: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + _READY_S
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > give_up_s or not is_alive():
                sys.exit("the server did not become ready; start it by itself to see why")
            time.sleep(_LOOK_S)


def main(description: str, measure: Callable[[argparse.Namespace], dict[str, Any]], **options: int | str) -> None:
    """Run a benchmark from the command line.

    Args:
        description: For ``--help``.
        measure: Returns the figures.
        options: Those that take a value, ``--name VALUE``, with their defaults; ``_`` is written ``-``.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    for name, default in options.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(default), default=default, help=f"default {default}"
        )
    parsed = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine()}
    started_s = time.monotonic()
    with _figures_alone():
        figures |= measure(parsed)
    figures["took_s"] = round(time.monotonic() - started_s)
    if parsed.json:
        print(json.dumps(figures, ensure_ascii=False, indent=2))
    else:
        show(figures)


@contextlib.contextmanager
def _figures_alone() -> Iterator[None]:
    """Send to standard error what libraries, and processes that are started, write to standard output."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def show(figures: dict[str, Any]) -> None:
    """Print figures for people."""
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
