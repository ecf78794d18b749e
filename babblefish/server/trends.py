"""The past hour in points of ten seconds: latencies, backlog, and what the process uses."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from babblefish.pipeline.workers import Worker
from babblefish.telemetry.recorder import Recorder, Trace
from babblefish.telemetry.usage import Usage

EVERY_S = 10.0
_POINTS = 360
_MINUTE_S = 60.0
"""Each point covers the utterances of this long before it: ten seconds have too few for a percentile."""

Percentiles = tuple[float, float]
"""Median and 95th percentile, in seconds."""


@dataclass(frozen=True, slots=True)
class Point:
    """The server's state at one moment.

    Attributes:
        at: Unix time.
        caption: From the end of speech to the first caption of each utterance of the last minute; None without any.
        speech: The same to the first spoken word.
        playback: The same to the first sound that a client played.
        stages: The same for each stage, by name.
        utterances: Results of the last minute.
        errors: Errors sent to clients since the point before, except harmless ones.
        failures: Failed engine calls since the point before.
        pending: Jobs running or waiting, by worker.
        cpu_percent: Percent of one CPU since the point before, by group.
        memory_mb: Memory of the process.
        programs_mb: Memory of its child processes.
        clients: Connected clients.
        lag_ms: The longest lag of the event loop since the point before.
        behind_s: The longest that anything waited, in any room, since the point before.
    """

    at: float
    caption: Percentiles | None
    speech: Percentiles | None
    playback: Percentiles | None
    stages: Mapping[str, Percentiles]
    utterances: int
    errors: int
    failures: int
    pending: Mapping[str, int]
    cpu_percent: Mapping[str, float]
    memory_mb: float
    programs_mb: float
    clients: int
    lag_ms: float
    behind_s: float


class Trends:
    """Keeps the points of the past hour."""

    def __init__(self, recorder: Recorder, workers: Sequence[Worker]) -> None:
        """Start with none."""
        self.points: deque[Point] = deque(maxlen=_POINTS)
        self._recorder = recorder
        self._workers = workers
        self._before: tuple[float, Usage] | None = None
        self._failures = 0

    def add(self, at: float, now_s: float, usage: Usage, clients: int, lag_s: float, behind_s: float) -> None:
        """Add a point.

        Args:
            at: Unix time.
            now_s: ``time.monotonic()``.
            usage: A reading of this moment.
            clients: Connected clients.
            lag_s: The longest lag of the event loop since the point before, in seconds.
            behind_s: The longest that anything waited since then, in seconds.
        """
        before_s, before = self._before or (now_s - EVERY_S, usage)
        self._before = (now_s, usage)
        failures = sum(worker.failures for worker in self._workers)
        lately = self.ended_within(_MINUTE_S, now_s)
        stages = sorted({stage for trace in lately for stage in trace.timings_ms})
        found = {stage: percentiles(trace.timings_ms.get(stage, None) for trace in lately) for stage in stages}
        self.points.append(
            Point(
                at=round(at, 1),  # as it is sent, so that a client can ask for later ones
                caption=percentiles(trace.caption_s for trace in lately),
                speech=percentiles(trace.speech_s for trace in lately),
                playback=percentiles(trace.played_s for trace in lately),
                stages={stage: (pair[0] / 1000, pair[1] / 1000) for stage, pair in found.items() if pair},
                utterances=sum(trace.outcome == "result" for trace in lately),
                errors=sum(1 for _ in takewhile(lambda fault: fault[0] > before_s, reversed(self._recorder.faults))),
                failures=failures - self._failures,
                pending={worker.name: worker.pending for worker in self._workers},
                cpu_percent={
                    group: 100 * (cpu_s - before.cpu_s[group]) / (now_s - before_s)
                    for group, cpu_s in usage.cpu_s.items()
                },
                memory_mb=usage.memory_mb,
                programs_mb=usage.programs_mb,
                clients=clients,
                lag_ms=lag_s * 1000,
                behind_s=behind_s,
            )
        )
        self._failures = failures

    def failures_since(self, at: float) -> int:
        """Return how many engine calls have failed since a Unix time within the past hour."""
        now = sum(worker.failures for worker in self._workers)
        return now - self._failures + sum(point.failures for point in self.points if point.at > at)

    def ended_within(self, seconds: float, now_s: float) -> list[Trace]:
        """Return the recorded utterances that ended within so many seconds before now."""
        traces = self._recorder.traces.values()
        return [
            trace
            for trace in traces
            if trace.finished_s is not None and now_s - trace.ended_at_s - trace.finished_s <= seconds
        ]


def percentiles(values: Iterable[float | None]) -> Percentiles | None:
    """Return median and 95th percentile of the known values, in their unit; None if there are none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    median, p95 = np.percentile(known, [50, 95])
    return float(median), float(p95)
