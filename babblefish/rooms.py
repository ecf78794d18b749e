"""Rooms: who hears whom, in which order, and each result serialized once for all who share a language."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from babblefish import audio, protocol
from babblefish.domain import UNKNOWN_SPEAKER, BabbleFishError, Caption, SpeakerMatch, Speech, Utterance
from babblefish.echo import EchoGuard
from babblefish.members import Member, broadcast
from babblefish.pipeline import Pipeline, Recognised
from babblefish.routing import Way
from babblefish.settings import Settings
from babblefish.speakers import SpeakerRegistry
from babblefish.workers import Workers

_log = logging.getLogger(__name__)

_Channel = tuple[str, protocol.AudioFormat]
"""Listeners who get the same messages: those of one target language and one audio format."""

_EARS: _Channel = ("", "none")
"""The room itself as a listener: voices become known, and echoes are found, in the order of the utterances."""

_PRESENCE_DELAY_S = 0.05
"""Changes of membership this close together are told once."""


@dataclass
class _Turn:
    """The place of an utterance in the order of its room.

    Listeners of one language and audio format get results in the order in which the utterances ended, however long
    each took; a turn that fails releases those behind it.
    """

    seq: int
    audience: dict[_Channel, list[Member]]
    before: dict[_Channel, asyncio.Event]
    done: dict[_Channel, asyncio.Event] = field(init=False)

    def __post_init__(self) -> None:
        self.done = {channel: asyncio.Event() for channel in self.audience}

    @property
    def target_langs(self) -> set[str]:
        """Languages that somebody listens in."""
        return {target for target, _ in self.audience if target}

    async def wait(self, channel: _Channel) -> None:
        """Wait until the channel has got what is due to it from earlier utterances."""
        before = self.before.get(channel)
        if before is not None:
            await before.wait()


class Room:
    """One conversation: its members, its known voices and its utterances in flight."""

    def __init__(self, name: str, pipeline: Pipeline, workers: Workers, settings: Settings) -> None:
        """Open an empty room."""
        self.name = name
        self.members: dict[str, Member] = {}
        self.speakers = SpeakerRegistry(settings.speaker_threshold, settings.speaker_min_s)
        self._pipeline = pipeline
        self._workers = workers
        self._echo = EchoGuard()
        self._presence_due: asyncio.TimerHandle | None = None
        self._seq = 0
        self._last: dict[_Channel, asyncio.Event] = {}

    def join(self, member: Member) -> None:
        """Let a member in and tell everyone."""
        self.members[member.client_id] = member
        self.tell_presence()

    def leave(self, member: Member) -> None:
        """Let a member go and tell everyone."""
        self.members.pop(member.client_id, None)
        self.tell_presence()

    def tell_presence(self) -> None:
        """Tell everyone, in a moment, who is here and what they hear."""
        if self._presence_due is None:
            loop = asyncio.get_running_loop()
            self._presence_due = loop.call_later(_PRESENCE_DELAY_S, self._tell_presence)

    def _tell_presence(self) -> None:
        self._presence_due = None
        members = [
            protocol.Member(
                client_id=member.client_id,
                name=member.name,
                target_lang=member.target_lang,
                source_lang=member.source_lang or protocol.AUTO,
            )
            for member in self.members.values()
        ]
        broadcast(self.members.values(), protocol.Presence(members=members))

    def rename_speaker(self, speaker_id: str, name: str) -> None:
        """Give a voice its name for everyone.

        Raises:
            UnknownSpeakerError: No such voice in this room.
        """
        self.speakers.rename(speaker_id, name)
        broadcast(self.members.values(), protocol.Speaker(speaker_id=speaker_id, name=name))

    async def serve(self, utterance: Utterance, sender: Member) -> None:
        """Take an utterance to every member in their language; whatever fails, only this utterance is lost.

        The listeners are those of the moment it ended: who changes language meanwhile still gets it once.
        """
        turn = self._take_turn()
        try:
            recognised = await self._pipeline.recognise(utterance, turn.target_langs)
            await turn.wait(_EARS)
            self._echo.check(utterance, recognised.transcript)
            speaker = self._identify(recognised, sender)
            turn.done[_EARS].set()
            async with asyncio.TaskGroup() as group:
                for way, targets in recognised.targets_by_way().items():
                    group.create_task(self._serve_way(turn, recognised, speaker, way, targets))
        except BabbleFishError as error:
            _log.info("%s: %s", utterance.utterance_id, error.code)
            sender.send(protocol.error_message(error, utterance.utterance_id))
        except Exception:
            _log.exception("%s: lost by a fault of the server", utterance.utterance_id)
            fault = BabbleFishError("the server failed on this utterance")
            sender.send(protocol.error_message(fault, utterance.utterance_id))
        finally:
            self._end_turn(turn)

    def _take_turn(self) -> _Turn:
        audience: dict[_Channel, list[Member]] = {_EARS: []}
        for member in self.members.values():
            audience.setdefault((member.target_lang, member.audio), []).append(member)
        self._seq += 1
        before = {channel: self._last[channel] for channel in audience if channel in self._last}
        turn = _Turn(self._seq, audience, before)
        self._last.update(turn.done)
        return turn

    def _end_turn(self, turn: _Turn) -> None:
        for channel, done in turn.done.items():
            done.set()
            if self._last.get(channel) is done:
                del self._last[channel]

    def _identify(self, recognised: Recognised, sender: Member) -> SpeakerMatch:
        if recognised.embedding is None:
            return UNKNOWN_SPEAKER
        match = self.speakers.identify(
            recognised.embedding, recognised.utterance.duration_s, sender.client_id, sender.name
        )
        if match.is_new:
            broadcast(self.members.values(), protocol.Speaker(speaker_id=match.speaker_id, name=match.name))
        return match

    async def _serve_way(
        self, turn: _Turn, recognised: Recognised, speaker: SpeakerMatch, way: Way, targets: frozenset[str]
    ) -> None:
        """Make one caption and its speech, and send them to all who hear them."""
        timings_ms = dict(recognised.timings_ms)
        caption = await self._pipeline.caption(recognised, way, timings_ms)
        channels = [channel for channel in turn.audience if channel[0] in targets]
        voice = None
        if caption.lang != recognised.transcript.lang and any(audio_format != "none" for _, audio_format in channels):
            voice = self._pipeline.voice(caption.lang)
        result = _result(turn.seq, recognised, speaker, caption, timings_ms)
        waiting = []
        async with asyncio.TaskGroup() as group:
            for channel in channels:
                if voice is None or channel[1] == "none":
                    group.create_task(self._publish(turn, channel, recognised, result))
                elif channel[1] == "stream":
                    speaking = result.model_copy(update={"status": "speaking", "tts_voice": voice})
                    group.create_task(self._publish(turn, channel, recognised, speaking))
                else:
                    waiting.append(channel)
            if voice is not None:
                streaming = [channel for channel in channels if channel[1] == "stream"]
                speech = await self._speak(turn, recognised, caption, streaming, timings_ms)
                whole = await self._workers.sockets.run(_wav_base64, speech) if speech and waiting else None
                update = {"tts_audio": whole, "tts_voice": voice if whole else None, "timings": _rounded(timings_ms)}
                for channel in waiting:
                    group.create_task(self._publish(turn, channel, recognised, result.model_copy(update=update)))

    async def _speak(
        self,
        turn: _Turn,
        recognised: Recognised,
        caption: Caption,
        streaming: list[_Channel],
        timings_ms: dict[str, float],
    ) -> list[Speech]:
        """Synthesize a caption, sending each piece on as it is made; what is made before a failure counts."""
        started_s = time.perf_counter()
        pieces: list[Speech] = []
        listeners = {channel: turn.audience[channel] for channel in streaming}

        def send(encoded: str | None, last: bool) -> None:
            for (target, _), members in listeners.items():
                piece = protocol.SpeechPiece(
                    utterance_id=recognised.utterance.utterance_id,
                    seq=turn.seq,
                    target_lang=target,
                    index=len(pieces) - (0 if last else 1),
                    audio=encoded,
                    last=last,
                    latency_ms=_latency_ms(recognised.utterance),
                )
                broadcast(members, piece)

        try:
            async for piece in self._pipeline.speak(recognised, caption):
                pieces.append(piece)
                timings_ms.setdefault("first_speech", (time.perf_counter() - started_s) * 1000.0)
                self._echo.spoke(caption.text, caption.lang, piece.duration_s)
                for channel in streaming:
                    await turn.done[channel].wait()  # the result goes first, and may wait for an earlier one
                if streaming:
                    send(await self._workers.sockets.run(_wav_base64, [piece]), last=False)
        except BabbleFishError as error:
            _log.warning("%s: no speech in %s: %s", recognised.utterance.utterance_id, caption.lang, error)
        timings_ms["synthesize"] = (time.perf_counter() - started_s) * 1000.0
        send(None, last=True)
        return pieces

    async def _publish(self, turn: _Turn, channel: _Channel, recognised: Recognised, result: protocol.Result) -> None:
        """Send a result to one channel's listeners once those of earlier utterances are out."""
        await turn.wait(channel)
        addressed = result.model_copy(
            update={"requested_lang": channel[0], "latency_ms": _latency_ms(recognised.utterance)}
        )
        broadcast(turn.audience[channel], addressed)
        turn.done[channel].set()


class Rooms:
    """The rooms of a server; one that is empty is kept, with its voices, until its place is needed."""

    def __init__(self, pipeline: Pipeline, workers: Workers, settings: Settings) -> None:
        """Open a house without rooms."""
        self._room_parts = (pipeline, workers, settings)
        self._limit = settings.max_clients + settings.kept_rooms
        self._rooms: OrderedDict[str, Room] = OrderedDict()
        self._in_flight: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Room]:
        """Iterate over the rooms, the longest unused first."""
        return iter(self._rooms.values())

    def serve(self, room: Room, utterance: Utterance, sender: Member) -> None:
        """Start an utterance on its way; it goes on when its sender has gone, for the others' sake."""
        task = asyncio.create_task(room.serve(utterance, sender), name=utterance.utterance_id)
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def drain(self) -> None:
        """Wait until every utterance in flight has reached its listeners' outboxes."""
        await asyncio.gather(*self._in_flight)

    async def close(self) -> None:
        """Give up the utterances in flight."""
        for task in self._in_flight:
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)

    def open(self, name: str) -> Room:
        """Return the room of this name, made if there is none."""
        if name not in self._rooms:
            if len(self._rooms) >= self._limit:
                empty = next(key for key, room in self._rooms.items() if not room.members)
                del self._rooms[empty]
            self._rooms[name] = Room(name, *self._room_parts)
        self._rooms.move_to_end(name)
        return self._rooms[name]


def _result(
    seq: int, recognised: Recognised, speaker: SpeakerMatch, caption: Caption, timings_ms: dict[str, float]
) -> protocol.Result:
    return protocol.Result(
        utterance_id=recognised.utterance.utterance_id,
        seq=seq,
        client_id=recognised.utterance.client_id,
        speaker_id=speaker.speaker_id,
        speaker_name=speaker.name,
        speaker_confidence=round(speaker.confidence, 3),
        source_text=recognised.transcript.text,
        source_lang=recognised.transcript.lang,
        translation=caption.text,
        target_lang=caption.lang,
        requested_lang=caption.lang,
        quality=caption.quality,
        status="final",
        tts_audio=None,
        tts_voice=None,
        latency_ms=0.0,
        timings=_rounded(timings_ms),
        timestamp=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _wav_base64(pieces: list[Speech]) -> str:
    samples = np.concatenate([piece.samples for piece in pieces])
    return base64.b64encode(audio.wav_bytes(samples, pieces[0].sample_rate_hz)).decode("ascii")


def _latency_ms(utterance: Utterance) -> float:
    return round((time.monotonic() - utterance.ended_at_s) * 1000.0, 1)


def _rounded(timings_ms: dict[str, float]) -> dict[str, float]:
    return {step: round(ms, 1) for step, ms in timings_ms.items()}
