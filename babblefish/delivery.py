"""Taking an utterance's captions and speech to its listeners, in the order of the room."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from babblefish import audio, protocol
from babblefish.domain import BabbleFishError, Caption, SpeakerMatch, Speech, Utterance
from babblefish.echo import EchoGuard
from babblefish.members import Member, broadcast
from babblefish.pipeline import Pipeline, Recognised
from babblefish.routing import Way
from babblefish.workers import Workers

_log = logging.getLogger(__name__)

Channel = tuple[str, protocol.AudioFormat]
"""Listeners who get the same messages: those of one target language and one audio format."""

EARS: Channel = ("", "none")
"""The room itself as a listener: voices become known, and echoes are found, in the order of the utterances."""


@dataclass
class Turn:
    """The place of an utterance in the order of its room.

    Listeners of one language and audio format get results in the order in which the utterances ended, however long
    each took; a turn that fails releases those behind it.
    """

    seq: int
    audience: dict[Channel, list[Member]]
    before: dict[Channel, asyncio.Event]
    done: dict[Channel, asyncio.Event] = field(init=False)

    def __post_init__(self) -> None:
        self.done = {channel: asyncio.Event() for channel in self.audience}

    @property
    def target_langs(self) -> set[str]:
        """Languages that somebody listens in."""
        return {target for target, _ in self.audience if target}

    async def wait(self, channel: Channel) -> None:
        """Wait until the channel has got what is due to it from earlier utterances."""
        before = self.before.get(channel)
        if before is not None:
            await before.wait()


class Delivery:
    """Makes the captions and the speech of a room's utterances and sends them to those who listen."""

    def __init__(self, pipeline: Pipeline, workers: Workers, echo: EchoGuard) -> None:
        """Serve one room; ``echo`` is told what is spoken in it."""
        self._pipeline = pipeline
        self._workers = workers
        self._echo = echo

    async def serve_way(
        self, turn: Turn, recognised: Recognised, speaker: SpeakerMatch, way: Way, targets: frozenset[str]
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
        turn: Turn,
        recognised: Recognised,
        caption: Caption,
        streaming: list[Channel],
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

    async def _publish(self, turn: Turn, channel: Channel, recognised: Recognised, result: protocol.Result) -> None:
        """Send a result to one channel's listeners once those of earlier utterances are out."""
        await turn.wait(channel)
        addressed = result.model_copy(
            update={"requested_lang": channel[0], "latency_ms": _latency_ms(recognised.utterance)}
        )
        broadcast(turn.audience[channel], addressed)
        turn.done[channel].set()


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
