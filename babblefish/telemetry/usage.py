"""What the process uses of the machine: CPU seconds by group of threads, and memory.

A group is a worker's threads together with the native threads of its libraries. Linux gives a new thread the name of
the thread that created it, so the pools that CTranslate2, ONNX Runtime and OpenMP create within a named thread carry
its name. It is read from ``/proc``: psutil has the threads' times, but neither their names nor when they started.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

EVENT_LOOP = "event-loop"
PROGRAMS = "programs"
"""Child processes: Apertium's programs."""
OTHER = "other"
"""Threads that no worker created, and those that libraries create when they are imported."""

_NAME_LIMIT = 15
"""Characters of a thread's name that Linux keeps."""

_TICKS_HZ = os.sysconf("SC_CLK_TCK")
_MB = 1024 * 1024

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")

_T = TypeVar("_T")


def name_thread(name: str) -> None:
    """Name the calling thread, and those it will create, for the operating system."""
    with contextlib.suppress(OSError):  # where a container forbids it, only this figure is lost
        Path("/proc/thread-self/comm").write_text(name[:_NAME_LIMIT])


def join_group(name: str, cpus: Iterable[int] | None) -> None:
    """Have the calling thread, and those it will create, count towards a group and run on its CPUs.

    Args:
        name: Name of the group.
        cpus: CPU numbers; None for all that the process may use.
    """
    name_thread(name)
    wanted = set(cpus or os.sched_getaffinity(os.getpid()))
    # Set only if it changes something, so that a system that forbids it does not break a thread for nothing.
    if os.sched_getaffinity(0) != wanted:
        os.sched_setaffinity(0, wanted)


def in_group(name: str, load: Callable[[], _T], cpus: Iterable[int] | None = None) -> Callable[[], _T]:
    """Wrap ``load`` so that the native threads it creates belong to a group, see ``join_group``."""

    def joined() -> _T:
        join_group(name, cpus)
        return load()

    return joined


def this_thread() -> int:
    """Return the operating system's id of the calling thread."""
    return int(os.readlink("/proc/thread-self").rpartition("/")[2])


def memory_limit_bytes() -> int:
    """Return the memory that this process may use: the machine's, or what a container or a service is allowed of it."""
    limits = [psutil.virtual_memory().total]
    with contextlib.suppress(OSError):
        for line in _OWN_CGROUPS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                top, name = _CGROUPS, "memory.max"
            elif "memory" in controllers.split(","):
                top, name = _CGROUPS / "memory", "memory.limit_in_bytes"
            else:
                continue
            # A limit holds for everything below it. In a container the path may be that of the host.
            own = top / path.strip("/")
            limits += [limit for folder in (own, *own.parents) if (limit := _limit(folder / name)) is not None]
    return min(limits)


def _limit(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return None


@dataclass(frozen=True, slots=True)
class Usage:
    """A reading of the process's usage.

    Attributes:
        cpu_s: CPU seconds by group since the first reading; never falling.
        memory_mb: Resident memory of this process.
        programs_mb: Resident memory of its child processes; shared pages count once for each.
        threads: Of this process, native ones included.
        machine_cpu_percent: Of all CPUs together, since the reading before.
        machine_memory_mb: Memory in use on the machine.
        machine_memory_free: Available memory, as a fraction of the machine's.
    """

    cpu_s: Mapping[str, float]
    memory_mb: float
    programs_mb: float
    threads: int
    machine_cpu_percent: float
    machine_memory_mb: float
    machine_memory_free: float


class UsageReader:
    """Reads the usage of this process; from one thread at a time, and not on the event loop, as it takes a while."""

    def __init__(self, groups: Iterable[str], loop_thread: int) -> None:
        """Start counting.

        Args:
            groups: Names of the workers.
            loop_thread: Id of the thread that runs the event loop.
        """
        self._groups = {name[:_NAME_LIMIT]: name for name in groups}
        self._loop_thread = loop_thread
        self._cpu_s = {name: 0.0 for name in (*self._groups.values(), EVENT_LOOP, PROGRAMS, OTHER)}
        self._before_s: dict[tuple[int, float], float] = {}
        self._process = psutil.Process()
        psutil.cpu_percent()  # the first call has nothing to compare with

    def read(self) -> Usage:
        """Read the usage; what a thread used between the last reading and its end is missed."""
        now_s: dict[tuple[int, float], float] = {}
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                name, started, cpu_s = _stat(Path(f"/proc/self/task/{thread}/stat").read_text())
                now_s[int(thread), started] = cpu_s
                group = EVENT_LOOP if int(thread) == self._loop_thread else self._groups.get(name, OTHER)
                self._cpu_s[group] += max(0.0, cpu_s - self._before_s.get((int(thread), started), 0.0))
        threads = len(now_s)
        programs_mb = 0.0
        for program in self._process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                key = (program.pid, program.create_time())
                times = program.cpu_times()
                now_s[key] = times.user + times.system
                self._cpu_s[PROGRAMS] += max(0.0, now_s[key] - self._before_s.get(key, 0.0))
                programs_mb += program.memory_info().rss / _MB
        self._before_s = now_s
        machine = psutil.virtual_memory()
        return Usage(
            cpu_s=dict(self._cpu_s),
            memory_mb=self._process.memory_info().rss / _MB,
            programs_mb=programs_mb,
            threads=threads,
            machine_cpu_percent=psutil.cpu_percent(),
            machine_memory_mb=machine.used / _MB,
            machine_memory_free=machine.available / machine.total,
        )


def _stat(line: str) -> tuple[str, float, float]:
    """Return name, start (in ticks since boot) and CPU seconds of a thread; the fields are those of proc(5)."""
    name = line[line.index("(") + 1 : line.rindex(")")]
    fields = line[line.rindex(")") + 2 :].split()
    return name, float(fields[19]), (int(fields[11]) + int(fields[12])) / _TICKS_HZ
