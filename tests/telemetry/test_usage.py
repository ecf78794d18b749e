"""What is read of the machine: CPU time goes to the group whose thread, or whose thread's threads, spent it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path

import psutil
import pytest

from babblefish.pipeline.interpreter import Interpreter
from babblefish.settings import Settings
from babblefish.telemetry import usage
from babblefish.telemetry.usage import UsageReader, in_group, memory_limit_bytes, name_thread, this_thread

ENOUGH = 5_000_000
SPEND = f"sum(range({4 * ENOUGH}))"

TASKS = Path("/proc/self/task")


def spend() -> None:
    sum(range(ENOUGH))


def test_what_a_named_thread_and_those_it_makes_spend_goes_to_their_group() -> None:
    reader = UsageReader(["synthesis", "a-name-longer-than-linux-keeps"], loop_thread=0)
    before = reader.read().cpu_s
    done, go_on = threading.Barrier(3), threading.Event()

    def work_and_wait() -> None:
        spend()
        done.wait()
        go_on.wait()

    def parent() -> None:
        child = threading.Thread(target=work_and_wait)
        child.start()
        work_and_wait()
        child.join()

    thread = threading.Thread(target=in_group("a-name-longer-than-linux-keeps", parent))
    thread.start()
    done.wait()
    after = reader.read().cpu_s
    go_on.set()
    thread.join()
    assert after["a-name-longer-than-linux-keeps"] - before["a-name-longer-than-linux-keeps"] >= 0.06
    assert after["synthesis"] == before["synthesis"]
    assert reader.read().cpu_s["a-name-longer-than-linux-keeps"] >= after["a-name-longer-than-linux-keeps"]


def test_the_thread_of_the_event_loop_has_a_group_of_its_own_and_the_rest_is_other() -> None:
    found: list[float] = []

    def loop() -> None:
        name_thread("python")
        reader = UsageReader([], loop_thread=this_thread())
        before = reader.read().cpu_s
        spend()
        after = reader.read().cpu_s
        found.extend(after[group] - before[group] for group in ("event-loop", "other"))

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join()
    assert found[0] >= 0.03
    assert found[1] < found[0]


def test_child_processes_are_counted_with_their_memory() -> None:
    reader = UsageReader([], loop_thread=this_thread())
    before = reader.read()
    code = f"{SPEND}; print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        after = reader.read()
        child.communicate(b"\n")
    assert after.cpu_s["programs"] - before.cpu_s["programs"] >= 0.1
    assert after.programs_mb > before.programs_mb + 3
    assert reader.read().cpu_s["programs"] >= after.cpu_s["programs"], "what ended is not forgotten"


def test_threads_of_a_group_and_those_they_make_run_on_its_cpus_and_may_change_it() -> None:
    all_of_them = os.sched_getaffinity(0)
    cpu = max(all_of_them)
    found: list[set[int]] = []

    def look() -> None:
        found.append(os.sched_getaffinity(0))

    def look_in_a_thread_of_its_own() -> None:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    def both() -> None:
        in_group("placed", look_in_a_thread_of_its_own, {cpu})()
        in_group("anywhere", look_in_a_thread_of_its_own)()

    thread = threading.Thread(target=both)
    thread.start()
    thread.join()
    assert found == [{cpu}, all_of_them]
    assert os.sched_getaffinity(0) == all_of_them


def cpus_by_name(known: set[Path]) -> dict[str, set[frozenset[int]]]:
    """Return the CPUs of this process's threads, without those that other tests' engines have left."""
    found: dict[str, set[frozenset[int]]] = defaultdict(set)
    for task in set(TASKS.iterdir()) - known:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            name = (task / "comm").read_text().strip()
            found[name].add(frozenset(os.sched_getaffinity(int(task.name))))
    return found


@pytest.mark.slow
def test_the_native_threads_of_an_engine_run_on_the_cpus_of_its_worker() -> None:
    cpu = min(os.sched_getaffinity(0))
    settings = Settings(worker_cpus={"translation": {cpu}}, translation_threads=2, log_level="error")
    known = set(TASKS.iterdir())

    async def placed() -> dict[str, set[frozenset[int]]]:
        async with Interpreter.open(settings) as interpreter:
            await interpreter.workers.translation.run(lambda: None)
            return cpus_by_name(known)

    found = asyncio.run(placed())
    assert found["translation"] == {frozenset({cpu})}
    assert found["synthesis"] == {frozenset(os.sched_getaffinity(0))}


@pytest.mark.parametrize(
    ("own", "limits", "limit"),
    [
        ("0::/room/fish\n", {"room/fish/memory.max": "max", "room/memory.max": "2000000000"}, 2_000_000_000),
        ("0::/\n", {"memory.max": "1500000000"}, 1_500_000_000),
        (
            "9:cpu,cpuacct:/\n4:memory:/of/the/host\n",
            {"memory/memory.limit_in_bytes": "1000000000", "memory.max": "1"},
            1_000_000_000,
        ),
        ("0::/\n", {"memory.max": str(2**63)}, None),
        ("0::/\n", {}, None),
        (None, {}, None),
    ],
    ids=["service", "container", "version 1", "none in effect", "no controller", "no control groups"],
)
def test_the_memory_is_what_the_control_groups_allow_of_the_machines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: str | None, limits: dict[str, str], limit: int | None
) -> None:
    monkeypatch.setattr(usage, "_CGROUPS", tmp_path)
    monkeypatch.setattr(usage, "_OWN_CGROUPS", tmp_path / "own")
    if own is not None:
        (tmp_path / "own").write_text(own)
    for name, content in limits.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    assert memory_limit_bytes() == (limit or psutil.virtual_memory().total)
