"""Metrics for Prometheus, in the server's own registry; no label names a user, a room or an utterance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from babblefish.domain import Shed
from babblefish.errors import BabbleFishError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

RESULT = "result"
CANCELLED = "cancelled"
"""Dropped because the server stops."""

ENGINE_STATES = ("loading", "ready", "missing", "failed", "stalled")

_LATENCY_S = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 30.0)
_STAGE_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


def error_codes() -> Iterator[str]:
    """Return the code of every error that can reach a client."""
    waiting: list[type[BabbleFishError]] = [BabbleFishError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        yield kind.code


class _Totals(Collector):
    """A counter whose totals are kept elsewhere, with one label."""

    def __init__(self, name: str, meaning: str, label: str) -> None:
        self._about = (name, meaning)
        self._label = label
        self.values: Mapping[str, float] = {}

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(*self._about, labels=[self._label])
        for value, total in self.values.items():
            family.add_metric([value], total)
        yield family


class Metrics:
    """The metrics of one server; DEPLOYMENT.md says what they mean."""

    def __init__(self) -> None:
        """Start at zero."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series, and nobody needs the time
        registry = CollectorRegistry()
        self._registry = registry
        self.utterances = Counter(
            "babblefish_utterances", "Utterances that ended, by outcome.", ["outcome"], registry=registry
        )
        self.stage = Histogram(
            "babblefish_stage_seconds", "Time in one stage.", ["stage"], registry=registry, buckets=_STAGE_S
        )
        self.caption = Histogram(
            "babblefish_caption_seconds",
            "From the end of speech to a caption in its listeners' outboxes.",
            registry=registry,
            buckets=_LATENCY_S,
        )
        self.first_speech = Histogram(
            "babblefish_first_speech_seconds",
            "From the end of speech to the first spoken word in its listeners' outboxes.",
            registry=registry,
            buckets=_LATENCY_S,
        )
        self.playback = Histogram(
            "babblefish_playback_seconds",
            "From the end of speech to a client's report that it plays the first sound.",
            registry=registry,
            buckets=_LATENCY_S,
        )
        self.audio = Counter("babblefish_audio_seconds", "Audio received from clients.", registry=registry)
        self.errors = Counter("babblefish_errors", "Errors sent to clients, by code.", ["code"], registry=registry)
        self.refused = Counter(
            "babblefish_refused_connections", "Connections refused, by code.", ["code"], registry=registry
        )
        self.lost = Counter(
            "babblefish_lost_parts", "Parts of results that could not be made.", ["part"], registry=registry
        )
        self.mistranslated = Counter(
            "babblefish_translation_faults",
            "Translations that were found wrong and made again, or are shown as drafts, by fault.",
            ["fault"],
            registry=registry,
        )
        self.behind = Gauge(
            "babblefish_behind_seconds",
            "Age of what waits longest in any room for its captions or its first spoken word.",
            registry=registry,
        )
        self.shed = Counter(
            "babblefish_shed", "Times that a room that was behind went without something.", ["what"], registry=registry
        )
        self.clients = Gauge("babblefish_clients", "Connected clients.", registry=registry)
        self.rooms = Gauge("babblefish_rooms", "Rooms with somebody in them.", registry=registry)
        self.pending = Gauge(
            "babblefish_pending_jobs", "Jobs running or waiting, by worker.", ["worker"], registry=registry
        )
        self.failures = _Totals("babblefish_worker_failures", "Failed engine calls, by worker.", "worker")
        self.cpu = _Totals("babblefish_cpu_seconds", "CPU time by group of threads.", "group")
        self.programs_memory = Gauge(
            "babblefish_programs_memory_bytes", "Resident memory of the child processes.", registry=registry
        )
        self.loop_lag = Histogram(
            "babblefish_event_loop_lag_seconds",
            "How late the event loop woke up.",
            registry=registry,
            buckets=_LAG_S,
        )
        self.engine_state = Gauge(
            "babblefish_engine_state", "1 for the current state of an engine.", ["engine", "state"], registry=registry
        )
        for totals in (self.failures, self.cpu):
            registry.register(totals)
        ProcessCollector(registry=registry)
        for code in error_codes():
            self.errors.labels(code)
        for outcome in (RESULT, CANCELLED):
            self.utterances.labels(outcome)
        for what in get_args(Shed):
            self.shed.labels(what)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format; takes milliseconds, so not on the event loop."""
        return generate_latest(self._registry)

    def names(self) -> set[str]:
        """Return the metrics' names; those of histograms without the suffixes of their series."""
        return {
            f"{family.name}_total" if family.type == "counter" else family.name for family in self._registry.collect()
        }
