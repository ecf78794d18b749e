"""What is measured of utterances, from the end of speech to the first sound at a listener's; no word of what was said.

The event loop alone calls it. Everything it keeps is bounded.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from babblefish.domain import SAMPLE_RATE_HZ, Shed, Utterance
from babblefish.telemetry.prometheus import CANCELLED, RESULT, Metrics

_log = logging.getLogger(__name__)

TRACES_LIMIT = 1000
"""Utterances remembered: more than a minute's on the largest machine that is planned for."""

_FAULTS_LIMIT = 1000

_PLAYED_WITHIN_S = 120.0
"""A listener who hears others out first may be late; what comes later than this says nothing about the server."""

Part = Literal["speech", "caption", "speaker"]

HARMLESS = frozenset({"no_speech", "too_short", "echo", "duplicate"})
"""Codes that belong to a conversation: nothing is wrong with the server, the client or the network."""


@dataclass
class Trace:
    """One utterance on its way.

    Attributes:
        began_at: Unix time at which its speech ended.
        ended_at_s: ``time.monotonic()`` of the same moment; the other moments count from it, in seconds.
        duration_s: Length of its audio.
        timings_ms: Stages of the way that spoke first, or where none speaks, had its caption first.
        caption_s: When the first caption was in its listeners' outboxes.
        speech_s: When the first spoken word was.
        played_s: When the first listener said that it plays.
        finished_s: When all was done.
        outcome: ``result``, ``cancelled``, the code of an error, or None while it is under way.
    """

    utterance_id: str
    began_at: float
    ended_at_s: float
    duration_s: float
    timings_ms: dict[str, float] = field(default_factory=dict)
    caption_s: float | None = None
    speech_s: float | None = None
    played_s: float | None = None
    finished_s: float | None = None
    outcome: str | None = None
    listening: set[str] = field(default_factory=set)
    """Clients that were given its speech and have not said yet that they play it."""

    def since_s(self) -> float:
        """Return the seconds since its speech ended."""
        return time.monotonic() - self.ended_at_s


class Recorder:
    """Takes note of what happens to utterances, for the metrics and the dashboard."""

    def __init__(self, metrics: Metrics) -> None:
        """Begin with nothing."""
        self.metrics = metrics
        self.traces: OrderedDict[str, Trace] = OrderedDict()
        self.faults: deque[tuple[float, str]] = deque(maxlen=_FAULTS_LIMIT)
        """``time.monotonic()`` and code of the newest errors that were not harmless, and parts that were lost."""
        self.results = 0
        self.captions = 0
        self.captions_s = 0.0
        self.errors: dict[str, int] = {}

    def audio(self, samples: int) -> None:
        """Note audio received: samples at 16 kHz."""
        self.metrics.audio.inc(samples / SAMPLE_RATE_HZ)

    def began(self, utterance: Utterance) -> None:
        """Note that an utterance is taken up."""
        ago_s = time.monotonic() - utterance.ended_at_s
        trace = Trace(utterance.utterance_id, time.time() - ago_s, utterance.ended_at_s, utterance.duration_s)
        self.traces[utterance.utterance_id] = trace
        if len(self.traces) > TRACES_LIMIT:
            self.traces.popitem(last=False)

    def stages(self, timings_ms: Mapping[str, float]) -> None:
        """Note the time of each stage."""
        for stage, took_ms in timings_ms.items():
            self.metrics.stage.labels(stage).observe(took_ms / 1000.0)

    def captioned(self, utterance_id: str, timings_ms: Mapping[str, float]) -> None:
        """Note that a caption is in the outboxes of those who share its language and audio format."""
        if trace := self.traces.get(utterance_id):
            since_s = trace.since_s()
            self.metrics.caption.observe(since_s)
            self.captions += 1
            self.captions_s += since_s
            if trace.caption_s is None:
                trace.caption_s = since_s
                trace.timings_ms = dict(timings_ms)

    def spoke(self, utterance_id: str, timings_ms: Mapping[str, float], client_ids: Iterable[str]) -> None:
        """Note that the first spoken word is in these clients' outboxes."""
        if trace := self.traces.get(utterance_id):
            since_s = trace.since_s()
            self.metrics.first_speech.observe(since_s)
            trace.listening.update(client_ids)
            if trace.speech_s is None:
                trace.speech_s = since_s
                trace.timings_ms = dict(timings_ms)

    def played(self, utterance_id: str, client_id: str) -> None:
        """Note that a client plays an utterance's first sound; what it was not given or has told already is ignored."""
        trace = self.traces.get(utterance_id)
        if trace is None or client_id not in trace.listening:
            return
        trace.listening.discard(client_id)
        since_s = trace.since_s()
        if since_s > _PLAYED_WITHIN_S:
            return
        self.metrics.playback.observe(since_s)
        if trace.played_s is None:
            trace.played_s = since_s

    def ended(self, utterance_id: str, outcome: str) -> None:
        """Note how an utterance ended: ``result``, ``cancelled``, or the code of the error its speaker was told."""
        self.metrics.utterances.labels(outcome).inc()
        if outcome == RESULT:
            self.results += 1
        elif outcome != CANCELLED:
            self.failed(outcome)
        if trace := self.traces.get(utterance_id):
            trace.finished_s = trace.since_s()
            trace.outcome = outcome
            rounded_ms = {stage: round(ms, 1) for stage, ms in trace.timings_ms.items()}
            _log.info("ended with %s after %.2f s", outcome, trace.finished_s, extra={"timings_ms": rounded_ms})

    def failed(self, code: str) -> None:
        """Note an error that a client is told."""
        self.metrics.errors.labels(code).inc()
        self.errors[code] = self.errors.get(code, 0) + 1
        if code not in HARMLESS:
            self.faults.append((time.monotonic(), code))

    def lost(self, part: Part) -> None:
        """Note that a part of a result could not be made; its listeners get what there is."""
        self.metrics.lost.labels(part).inc()
        self.faults.append((time.monotonic(), f"lost {part}"))

    def mistranslated(self, faults: Iterable[str]) -> None:
        """Note what was found wrong with translations of a caption."""
        for fault in faults:
            self.metrics.mistranslated.labels(fault).inc()

    def shed(self, what: Shed) -> None:
        """Note that a room that is behind goes without something from now on."""
        self.metrics.shed.labels(what).inc()

    def refused(self, code: str) -> None:
        """Note a connection that was refused."""
        self.metrics.refused.labels(code).inc()
