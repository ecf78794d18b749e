"""What the dashboard shows, as JSON in the shape of V1's dashboard with additions; never what was said."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from babblefish.conversation.history_keeper import HistoryKeeper
from babblefish.conversation.lag import Lag
from babblefish.conversation.voice_keeper import VoiceKeeper
from babblefish.domain import Shed
from babblefish.pipeline.workers import Worker
from babblefish.server.server import Server
from babblefish.server.trends import EVERY_S, Point, Trends, percentiles
from babblefish.telemetry.prometheus import ENGINE_STATES
from babblefish.telemetry.recorder import HARMLESS, Trace
from babblefish.telemetry.usage import Usage, UsageReader, this_thread

_LAG_EVERY_S = 0.25

_LATELY_S = 300.0
"""Problems this recent count for the health shown at the top."""

_SLOW_S = 5.0
"""A caption later than this no longer fits the conversation; the goal is two seconds."""

_SLOW_SPEECH_S = 8.0
"""The same for the first spoken word."""

_FAULTS = (
    "overloaded",
    "deadline_exceeded",
    "engine_failed",
    "internal",
    "lost caption",
    "lost speech",
    "lost speaker",
)
"""Errors that mean a problem of the server rather than of those who speak."""

_SHED: Mapping[Shed, str] = {
    "interim": "interim captions",
    "early_speech": "the speech of clauses",
    "speech": "the speech of new results",
}

_LATE_LOOP_MS = 500.0
"""An event loop this late delays everybody's messages by a noticeable pause."""

_LITTLE_MEMORY = 0.05

_LATEST = 12
"""Utterances that are shown one by one."""

_BESIDE = {"speaker", "first_speech", "synthesize", "synthesis_queue", "translate", "endpoint", "voice", "queue"}
"""Stages other than the speech translator's own."""

_WORKERS: Mapping[str, str] = {
    "voice_detector": "sockets",
    "turn_detector": "sockets",
    "speaker_encoder": "speaker",
    "speech_translator": "translation",
    "text_translator": "text-translation",
    "synthesizers": "synthesis",
}
"""The workers that the engines run in."""


class Dashboard:
    """Monitors a server and reports its state."""

    def __init__(self, server: Server) -> None:
        """Prepare; monitoring starts with ``watch``."""
        self._server = server
        self.trends = Trends(server.recorder, tuple(server.runtime.workers))
        self._started_s = time.monotonic()
        # Its own thread, so that it can report on workers that are overloaded.
        self._worker = Worker("dashboard", 1, 64)
        self._reader: UsageReader | None = None
        self._reading = asyncio.Lock()
        self._usage: Usage | None = None

    async def watch(self) -> None:
        """Measure how late the event loop and the rooms are, and add a point every ten seconds, until cancelled."""
        longest_s = behind_s = 0.0
        point_due_s = time.monotonic()
        while True:
            asked_s = time.monotonic()
            await asyncio.sleep(_LAG_EVERY_S)
            now_s = time.monotonic()
            lag_s = max(0.0, now_s - asked_s - _LAG_EVERY_S)
            self._server.recorder.metrics.loop_lag.observe(lag_s)
            longest_s = max(longest_s, lag_s)
            behind_s = max(behind_s, self._behind_s())
            if self._server.runtime.engines is None:
                longest_s = 0.0  # loading holds the GIL, but nobody is connected yet
            if now_s >= point_due_s:
                usage = await self._read()
                self.trends.add(time.time(), time.monotonic(), usage, len(self._server.sessions), longest_s, behind_s)
                longest_s = behind_s = 0.0
                point_due_s = now_s + EVERY_S

    def _behind_s(self) -> float:
        return max((room.lag.seconds for room in self._server.rooms or ()), default=0.0)

    async def _read(self) -> Usage:
        async with self._reading:
            if self._reader is None:
                workers = (*self._server.runtime.workers, self._worker)
                self._reader = UsageReader((worker.name for worker in workers), loop_thread=this_thread())
            self._usage = await self._worker.run(self._reader.read)
            return self._usage

    async def close(self) -> None:
        """End its thread."""
        await self._worker.close()

    async def metrics_text(self) -> bytes:
        """Return the current metrics in Prometheus' text format."""
        server, metrics = self._server, self._server.recorder.metrics
        usage = await self._read()
        metrics.clients.set(len(server.sessions))
        metrics.rooms.set(len({session.room.name for session in server.sessions.values()}))
        metrics.behind.set(self._behind_s())
        metrics.programs_memory.set(usage.programs_mb * 1024 * 1024)
        metrics.cpu.values = usage.cpu_s
        metrics.failures.values = {worker.name: worker.failures for worker in server.runtime.workers}
        for worker in server.runtime.workers:
            metrics.pending.labels(worker.name).set(worker.pending)
        for engine in self._engines():
            for state in ENGINE_STATES:
                metrics.engine_state.labels(engine["engine"], state).set(state == engine["state"])
        return await self._worker.run(metrics.text)

    async def state(self, since: float = 0.0) -> dict[str, Any]:
        """Return all that the dashboard shows.

        Args:
            since: Unix time; points up to it are left out.
        """
        server, recorder = self._server, self._server.recorder
        usage = self._usage or await self._read()
        lately = self.trends.ended_within(_LATELY_S, time.monotonic())
        health, reasons = self._health(usage, lately)
        points = [point for point in self.trends.points if point.at > since]
        return {
            "server": {
                "uptime": round(time.monotonic() - self._started_s, 1),
                "cpu_percent": usage.machine_cpu_percent,
                "memory_mb": round(usage.machine_memory_mb, 1),
                "threads_active": usage.threads,
                "process_memory_mb": round(usage.memory_mb, 1),
                "programs_memory_mb": round(usage.programs_mb, 1),
                "profile": server.runtime.profile.name,
                "profile_reason": server.runtime.profile.reason,
            },
            "clients": {
                "connected": len(server.sessions),
                "at_most": server.settings.max_clients,
                "list": [
                    {
                        "name": session.member.name,
                        "target_lang": session.member.target_lang,
                        "connected_at": session.connected_at.isoformat(timespec="seconds"),
                        "source_lang": session.member.source_lang,
                        "room": session.room.name,
                    }
                    for session in server.sessions.values()
                ],
            },
            "rooms": [
                {
                    "room": room.name,
                    "langs": Counter(member.target_lang for member in room.members.values()),
                    "behind_s": round(room.lag.seconds, 1),
                    "without": room.lag.without,
                }
                for room in server.rooms or ()
                if room.members
            ],
            "speakers": self._speakers(),
            "performance": {
                "avg_latency_ms": round(1000 * recorder.captions_s / max(1, recorder.captions), 1),
                "utterances_processed": recorder.results,
                "errors": sum(count for code, count in recorder.errors.items() if code not in HARMLESS),
                "errors_by_code": recorder.errors,
                "caption_s": _rounded(percentiles(trace.caption_s for trace in lately)),
                "speech_s": _rounded(percentiles(trace.speech_s for trace in lately)),
                "playback_s": _rounded(percentiles(trace.played_s for trace in lately)),
            },
            "health": {"state": health, "reasons": reasons},
            "engines": self._engines(),
            "pending": {worker.name: worker.pending for worker in server.runtime.workers},
            "utterances": [_shown(trace) for trace in list(recorder.traces.values())[: -_LATEST - 1 : -1]],
            "trend": {"every_s": EVERY_S, "points": [_plain(point) for point in points]},
        }

    def _speakers(self) -> dict[str, Any]:
        known = [(room.name, voice) for room in self._server.rooms or () for voice in room.speakers.list()]
        listed = [
            {"id": voice.speaker_id, "name": voice.name, "samples": voice.samples, "room": room}
            for room, voice in known
        ]
        return {"known": len(listed), "list": listed}

    def _engines(self) -> list[dict[str, str]]:
        """Return the state of each engine."""
        engines, failure = self._server.runtime.engines, self._server.failure
        kinds = tuple(_WORKERS)
        if engines is None:
            state = "failed" if failure else "loading"
            return [{"engine": kind, "name": "", "state": state} for kind in kinds]
        names = [
            engines.voice_detector.name,
            engines.turn_detector.name if engines.turn_detector else "",
            engines.speaker_encoder.name,
            engines.speech_translator.name,
            engines.text_translator.name if engines.text_translator else "",
            ", ".join(engine.name for engine in engines.synthesizers),
        ]
        states = ["stalled" if _WORKERS[kind] in self._server.runtime.hanging else "ready" for kind in kinds]
        return [
            {"engine": kind, "name": name, "state": state if name else "missing"}
            for kind, name, state in zip(kinds, names, states, strict=True)
        ]

    def _health(self, usage: Usage, lately: list[Trace]) -> tuple[str, list[str]]:
        """Return ``well``, ``degraded`` or ``not_ready``, and why."""
        if self._server.failure is not None:
            return "not_ready", [self._server.failure]
        if self._server.runtime.engines is None:
            return "not_ready", ["the engines are loading"]
        if self._server.draining:
            return "not_ready", ["shutting down: finishing utterances in progress"]
        if self._server.not_ready is not None:
            return "not_ready", [self._server.not_ready]
        reasons = [*self._complaints(usage, lately)]
        return ("degraded" if reasons else "well"), reasons

    def _complaints(self, usage: Usage, lately: list[Trace]) -> Iterator[str]:
        server, now_s = self._server, time.monotonic()
        for part, why in server.runtime.without.items():
            yield f"running without {part}: {why}"
        yield from _history_complaints(server.keeper)
        yield from _voice_complaints(server.voices)
        codes = Counter(code for at_s, code in server.recorder.faults if now_s - at_s <= _LATELY_S)
        for code in _FAULTS:
            if codes[code]:
                yield f"{code} in the last 5 minutes: {codes[code]}"
        if failures := self.trends.failures_since(time.time() - _LATELY_S):
            yield f"failed engine calls in the last 5 minutes: {failures}"
        captions = percentiles(trace.caption_s for trace in lately)
        if captions and captions[1] > _SLOW_S:
            yield f"captions are slow: 95th percentile of the last 5 minutes {captions[1]:.1f} s"
        speech = percentiles(trace.speech_s for trace in lately)
        if speech and speech[1] > _SLOW_SPEECH_S:
            yield f"speech is slow: 95th percentile of the first word in the last 5 minutes {speech[1]:.1f} s"
        for worker in server.runtime.workers:
            if worker.is_crowded:
                yield f"{worker.name} is falling behind: {worker.pending} jobs running or waiting"
        yield from _behind_complaints([room.lag for room in server.rooms or () if room.lag.without])
        late_ms = max((point.lag_ms for point in self.trends.points if time.time() - point.at <= 60), default=0.0)
        if late_ms > _LATE_LOOP_MS:
            yield f"the event loop lagged by up to {late_ms:.0f} ms in the last minute"
        if usage.machine_memory_free < _LITTLE_MEMORY:
            yield f"only {usage.machine_memory_free:.0%} of the machine's memory is free"
        if len(server.sessions) >= server.settings.max_clients:
            yield f"the server is full: {len(server.sessions)} clients"


def _behind_complaints(behind: Collection[Lag]) -> Iterator[str]:
    if behind:
        by_s = max(lag.seconds for lag in behind)
        without = ", ".join(_SHED[what] for what in max((lag.without for lag in behind), key=len))
        yield f"rooms behind what is said in them: {len(behind)}, by up to {by_s:.0f} s, without {without}"


def _history_complaints(keeper: HistoryKeeper | None) -> Iterator[str]:
    if keeper is None:
        return
    if keeper.problem is not None:
        yield f"what is said is not stored: {keeper.problem}"
    if keeper.lost:
        yield f"not stored, as too much waited: {keeper.lost} results and captions"
    if keeper.set_aside is not None:
        yield f"the history's file was damaged; it was set aside as {keeper.set_aside}"


def _voice_complaints(keeper: VoiceKeeper | None) -> Iterator[str]:
    if keeper is None:
        return
    if keeper.problem is not None:
        yield f"voices are not stored: {keeper.problem}"
    if keeper.set_aside is not None:
        yield f"the file of the voices was damaged; it was set aside as {keeper.set_aside}"


def _shown(trace: Trace) -> dict[str, Any]:
    """Return one utterance and where its time went."""
    return {
        "utterance_id": trace.utterance_id,
        "at": round(trace.began_at, 1),
        "duration_s": round(trace.duration_s, 2),
        "outcome": trace.outcome,
        "caption_s": _round(trace.caption_s),
        "speech_s": _round(trace.speech_s),
        "playback_s": _round(trace.played_s),
        "spent": [[name, round(seconds, 3)] for name, seconds in spent(trace) if seconds >= 0.0005],
    }


def spent(trace: Trace) -> Iterator[tuple[str, float]]:
    """Split the time from the end of speech to the last known moment by what it was spent on, in seconds.

    Only stages that follow one another count; ``waiting`` is the rest: for the speaker to be identified, for earlier
    utterances' turns, for the audio to be encoded.
    """
    ms = trace.timings_ms
    reached_s = trace.speech_s or trace.caption_s
    if reached_s is None:
        if trace.finished_s is not None:
            yield "until given up", trace.finished_s
        return
    left_s = reached_s
    stages = [("endpoint", "endpoint"), ("voice", "voice"), ("queue", "queue")]
    stages += [(name, name) for name in ms if name not in _BESIDE]
    stages.append(("translate", "translate"))
    if trace.speech_s is not None:
        stages.append(("synthesis queue", "synthesis_queue"))
        stages.append(("synthesis", "synthesize" if "synthesize" in ms else "first_speech"))
    for name, stage in stages:
        taken_s = ms.get(stage, 0.0) / 1000
        if name == "synthesis":
            taken_s -= ms.get("synthesis_queue", 0.0) / 1000
        taken_s = min(max(0.0, taken_s), left_s)
        left_s -= taken_s
        yield name, taken_s
    yield "waiting", left_s
    if trace.played_s is not None:
        yield "playback", max(0.0, trace.played_s - reached_s)


def _plain(point: Point) -> dict[str, Any]:
    """Return a point as JSON, with no more digits than a chart can show."""
    return {
        "at": point.at,
        "caption": _rounded(point.caption),
        "speech": _rounded(point.speech),
        "playback": _rounded(point.playback),
        "stages": {stage: _rounded(pair) for stage, pair in point.stages.items()},
        "utterances": point.utterances,
        "errors": point.errors,
        "failures": point.failures,
        "pending": {name: count for name, count in point.pending.items() if count},
        "cpu": {group: round(percent, 1) for group, percent in point.cpu_percent.items() if percent >= 0.05},
        "memory_mb": round(point.memory_mb),
        "programs_mb": round(point.programs_mb),
        "clients": point.clients,
        "lag_ms": round(point.lag_ms, 1),
        "behind_s": round(point.behind_s, 1),
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _rounded(pair: tuple[float, float] | None) -> list[float] | None:
    return None if pair is None else [round(value, 3) for value in pair]
