"""Taking an utterance's captions and speech to its listeners, in the order of the room."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from babblefish.audio import pcm
from babblefish.conversation.echo import EchoGuard
from babblefish.conversation.history import Entry
from babblefish.conversation.members import Member, deliver
from babblefish.domain import BabbleFishError, Caption, Quality, SpeakerMatch, Speech, Utterance
from babblefish.pipeline.pipeline import Pipeline, Recognised
from babblefish.pipeline.routing import Way
from babblefish.pipeline.workers import Workers
from babblefish.telemetry.recorder import Recorder
from babblefish.wire import server_messages

_log = logging.getLogger(__name__)

Channel = tuple[str, server_messages.AudioFormat]
"""Listeners who get the same messages: those of one target language and one audio format."""


@dataclass
class Turn:
    """The place of an utterance in the order of its room.

    Each listener gets results in the order in which the utterances ended, however long each took; a turn that fails
    releases those behind it.

    Attributes:
        number: 1, 2, 3 … in the room; not every turn becomes a result.
        audience: Who listens, as it was when the utterance ended.
        before: What each channel's listeners have yet to get from earlier utterances; all of it, because a turn in
            between may fail while those before it still work.
        known_before: The same for voices, which become known in the order of the utterances.
        done: Set when the channel has got its result, or will get none.
        known: Set when the voice of this one is known and it has become a result, or it will not.
        entry: Its place in the room's history, from the moment it is known.
    """

    number: int
    audience: dict[Channel, list[Member]]
    before: dict[Channel, set[asyncio.Event]]
    known_before: set[asyncio.Event]
    done: dict[Channel, asyncio.Event] = field(init=False)
    known: asyncio.Event = field(default_factory=asyncio.Event)
    entry: Entry | None = None

    def __post_init__(self) -> None:
        self.done = {channel: asyncio.Event() for channel in self.audience}

    def end(self) -> None:
        """Release whoever waits for this turn."""
        self.known.set()
        if self.entry is not None:
            self.entry.complete.set()
        for done in self.done.values():
            done.set()


async def all_set(events: Iterable[asyncio.Event]) -> None:
    """Wait until every event is set."""
    for event in events:
        await event.wait()


class Delivery:
    """Makes the captions and the speech of a room's utterances and sends them to those who listen.

    Nothing that fails for one language reaches another: each way ends with what it could make.
    """

    def __init__(self, pipeline: Pipeline, workers: Workers, echo: EchoGuard, recorder: Recorder) -> None:
        """Serve one room; ``echo`` is told what is spoken in it, ``recorder`` when."""
        self._recorder = recorder
        self._pipeline = pipeline
        self._workers = workers
        self._echo = echo

    async def serve_way(
        self, turn: Turn, entry: Entry, recognised: Recognised, way: Way, targets: frozenset[str]
    ) -> None:
        """Make one caption and its speech, keep the caption, and send both to all who hear them."""
        timings_ms = dict(recognised.timings_ms)
        caption = await self._pipeline.caption(recognised, way, timings_ms)
        result = _captioned(entry.transcript, recognised, caption, timings_ms)
        entry.add(result)
        if caption.lang != way.lang:
            self._recorder.lost("caption")
        channels = [channel for channel in turn.audience if channel[0] in targets]
        voice = None
        if caption.lang != recognised.transcript.lang and any(audio_format != "none" for _, audio_format in channels):
            voice = self._pipeline.voice(caption.lang)
        streaming = [channel for channel in channels if voice and channel[1] == "stream"]
        whole = [channel for channel in channels if voice and channel[1] == "wav"]
        async with asyncio.TaskGroup() as group:
            for channel in channels:
                if channel not in whole:
                    update = {"status": "speaking", "tts_voice": voice} if channel in streaming else {}
                    group.create_task(self._publish(turn, channel, recognised, result, timings_ms, update))
            if streaming or whole:
                pieces = await self._speak(turn, entry, recognised, caption, streaming, timings_ms)
                encoded = await self._encode(pieces) if whole else None
                for channel in whole:
                    update = {"tts_audio": encoded, "tts_voice": pieces[0].voice} if encoded else {}
                    group.create_task(self._publish(turn, channel, recognised, result, timings_ms, update))
        self._recorder.stages(timings_ms, recognised.timings_ms)

    async def _speak(
        self,
        turn: Turn,
        entry: Entry,
        recognised: Recognised,
        caption: Caption,
        streaming: list[Channel],
        timings_ms: dict[str, float],
    ) -> list[Speech]:
        """Synthesize a caption, sending each piece on as it is made; what is made before a failure counts."""
        pieces: list[Speech] = []
        spoken_ms: dict[str, float] = {}
        sent = 0
        try:
            async for piece in self._pipeline.speak(recognised, caption, spoken_ms):
                pieces.append(piece)
                self._echo.spoke(caption.text, caption.lang, piece.duration_s)
                if streaming and (encoded := await self._encode([piece])):
                    await all_set(turn.done[channel] for channel in streaming)  # their result goes first
                    self._send_piece(turn, entry, recognised, streaming, sent, encoded, spoken_ms)
                    if sent == 0:
                        heard_by = (member.client_id for channel in streaming for member in turn.audience[channel])
                        self._recorder.spoke(entry.transcript.utterance_id, timings_ms | spoken_ms, heard_by)
                    sent += 1
        except BabbleFishError as error:
            _log.warning("no speech in %s: %s", caption.lang, error)
            self._recorder.lost("speech")
        await all_set(turn.done[channel] for channel in streaming)
        self._send_piece(turn, entry, recognised, streaming, sent, None, spoken_ms)
        timings_ms.update(spoken_ms)
        return pieces

    async def _encode(self, pieces: list[Speech]) -> str | None:
        """Encode pieces as one WAV file; without it the caption still goes out."""
        try:
            return await self._workers.sockets.run(_wav_base64, pieces) if pieces else None
        except BabbleFishError as error:
            _log.warning("speech is lost: %s", error)
            return None

    def _send_piece(
        self,
        turn: Turn,
        entry: Entry,
        recognised: Recognised,
        streaming: list[Channel],
        index: int,
        encoded: str | None,
        timings_ms: dict[str, float],
    ) -> None:
        """Send a piece of speech to those who stream; no ``encoded`` means that it was the last."""
        for channel in streaming:
            piece = server_messages.SpeechPiece(
                utterance_id=recognised.utterance.utterance_id,
                seq=entry.seq,
                target_lang=channel[0],
                index=index,
                audio=encoded,
                last=encoded is None,
                latency_ms=_latency_ms(recognised.utterance),
                timings=_rounded(timings_ms),
            )
            deliver(turn.audience[channel], piece)

    async def _publish(
        self,
        turn: Turn,
        channel: Channel,
        recognised: Recognised,
        result: server_messages.Result,
        timings_ms: dict[str, float],
        update: dict[str, str | None],
    ) -> None:
        """Send a result to one channel's listeners once they have those of earlier utterances."""
        await all_set(turn.before[channel])
        now = {"latency_ms": _latency_ms(recognised.utterance), "timings": _rounded(timings_ms)}
        deliver(turn.audience[channel], result.addressed_to(channel[0], {**update, **now}))
        self._recorder.captioned(result.utterance_id, timings_ms)
        if "tts_audio" in update:
            heard_by = (member.client_id for member in turn.audience[channel])
            self._recorder.spoke(result.utterance_id, timings_ms, heard_by)
        turn.done[channel].set()


def transcribed(recognised: Recognised, speaker: SpeakerMatch) -> server_messages.Result:
    """Return the result for a listener of the language spoken; the history gives it its ``seq``."""
    transcript = recognised.transcript
    return server_messages.Result(
        utterance_id=recognised.utterance.utterance_id,
        seq=0,
        client_id=recognised.utterance.client_id,
        speaker_id=speaker.speaker_id,
        speaker_name=speaker.name,
        speaker_confidence=round(speaker.confidence, 3),
        source_text=transcript.text,
        source_lang=transcript.lang,
        source_confidence=round(transcript.confidence, 3),
        source_lang_confidence=round(transcript.lang_confidence, 3),
        path=(transcript.lang,),
        translation=transcript.text,
        target_lang=transcript.lang,
        requested_lang=transcript.lang,
        quality=Quality.ORIGINAL,
        status="final",
        tts_audio=None,
        tts_voice=None,
        latency_ms=_latency_ms(recognised.utterance),
        timings=_rounded(recognised.timings_ms),
        timestamp=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _captioned(
    transcript: server_messages.Result, recognised: Recognised, caption: Caption, timings_ms: Mapping[str, float]
) -> server_messages.Result:
    return transcript.model_copy(
        update={
            "path": caption.path,
            "translation": caption.text,
            "target_lang": caption.lang,
            "requested_lang": caption.lang,
            "quality": caption.quality,
            "latency_ms": _latency_ms(recognised.utterance),
            "timings": _rounded(timings_ms),
        }
    )


def _wav_base64(pieces: list[Speech]) -> str:
    samples = np.concatenate([piece.samples for piece in pieces])
    return base64.b64encode(pcm.wav_bytes(samples, pieces[0].sample_rate_hz)).decode("ascii")


def _latency_ms(utterance: Utterance) -> float:
    return round((time.monotonic() - utterance.ended_at_s) * 1000.0, 1)


def _rounded(timings_ms: Mapping[str, float]) -> dict[str, float]:
    return {step: round(ms, 1) for step, ms in timings_ms.items()}
