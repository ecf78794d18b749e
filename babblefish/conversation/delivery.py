"""Taking an utterance's captions and speech to its listeners, in the order of the room."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from babblefish.conversation.echo import EchoGuard
from babblefish.conversation.history import HistoryEntry, KeptCaption
from babblefish.conversation.lag import Lag
from babblefish.conversation.members import Member
from babblefish.conversation.outbox import Envelope, Slot
from babblefish.conversation.results import result_message, speech_message
from babblefish.errors import BabbleFishError
from babblefish.pipeline.job import Timings, UtteranceJob
from babblefish.pipeline.pipeline import Pipeline, Rendition
from babblefish.pipeline.recognition import Recognition
from babblefish.pipeline.routing import CaptionPlan
from babblefish.pipeline.spoken_text import SpokenText
from babblefish.pipeline.voices import SpeechEnd
from babblefish.telemetry.recorder import Recorder
from babblefish.wire.server_messages import AudioFormat, Result

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Channel:
    """Listeners who get the same messages: those of one language and one audio format when the utterance ended.

    Attributes:
        lang: ISO 639-3 of the language they hear.
        audio: How they want speech.
        client_ids: Who they are.
        slots: Their places for the result, one each.
    """

    lang: str
    audio: AudioFormat
    client_ids: tuple[str, ...]
    slots: tuple[Slot, ...]

    async def released(self) -> None:
        """Wait until each of them has got the result, behind those of earlier utterances."""
        for slot in self.slots:
            await slot.released.wait()

    def settle(self) -> None:
        """Let nobody wait any longer for a result that will not come."""
        for slot in self.slots:
            slot.settle()


def open_channels(members: Iterable[Member]) -> list[Channel]:
    """Reserve a slot with everybody who listens now, grouped by what they get."""
    groups: dict[tuple[str, AudioFormat], list[Member]] = {}
    for member in members:
        groups.setdefault((member.target_lang, member.audio), []).append(member)
    return [
        Channel(
            lang,
            audio,
            tuple(member.client_id for member in group),
            tuple(member.outbox.reserve() for member in group),
        )
        for (lang, audio), group in groups.items()
    ]


Show = Callable[[str, frozenset[str], str], None]
"""Is given the language of a caption, the languages of those who get it, and what is finished of it."""


class Delivery:
    """Makes the captions and the speech of a room's utterances and sends them to those who listen.

    Nothing that fails for one language reaches another: each plan ends with what it could make.
    """

    def __init__(self, pipeline: Pipeline, echo: EchoGuard, recorder: Recorder, lag: Lag) -> None:
        """Serve one room; ``echo`` is told what is spoken in it, ``recorder`` and ``lag`` when."""
        self._lag = lag
        self._pipeline = pipeline
        self._echo = echo
        self._recorder = recorder

    async def serve(
        self,
        channels: Collection[Channel],
        entry: HistoryEntry,
        recognition: Recognition,
        show: Show,
        is_early: bool = False,
    ) -> None:
        """Make every caption side by side and take it to its listeners; what breaks one does not reach the others.

        Args:
            channels: The listeners.
            entry: Of the history.
            recognition: The utterance.
            show: Called with what is finished of a caption.
            is_early: Whether its speaker went on, so that its speech is the first to be shed.

        Raises:
            Exception: The first of what went wrong, when all the others are done.
        """
        shed = self._lag.sheds("speech") or (is_early and self._lag.sheds("early_speech"))
        served = (
            self._serve_plan(
                [channel for channel in channels if channel.lang in targets],
                entry,
                recognition,
                plan,
                partial(show, plan.lang, targets),
                speaks=not shed,
            )
            for plan, targets in recognition.targets_by_plan().items()
        )
        try:
            outcomes = await asyncio.gather(*served, return_exceptions=True)
        except asyncio.CancelledError:
            recognition.job.deadline.cancel()
            raise
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _serve_plan(
        self,
        channels: list[Channel],
        entry: HistoryEntry,
        recognition: Recognition,
        plan: CaptionPlan,
        show: Callable[[str], None],
        speaks: bool,
    ) -> None:
        """Make one caption and its speech, keep the caption, and send both to all who hear them.

        It is spoken from its first clause on, while the rest is being translated. Pieces are sent after the result, so
        nobody hears the beginning of a translation that turned out to be wrong.
        """
        listening = [channel for channel in channels if speaks and channel.audio != "none"]
        whole = any(channel.audio == "wav" for channel in listening)
        streaming = [channel for channel in listening if channel.audio == "stream"]
        made: asyncio.Future[Rendition] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:

            def begin(text: SpokenText) -> asyncio.Task[str | None]:
                return group.create_task(self._speak(streaming, whole, entry, recognition.job, text, made))

            def on_clause(so_far: str) -> None:
                show(so_far)
                text.grow(so_far)

            text = SpokenText(plan.lang)
            speaking = begin(text) if listening and self._pipeline.voice_of(recognition, plan.lang) else None
            rendition = await self._pipeline.caption(recognition, plan, on_clause)
            made.set_result(rendition)
            entry.add(_kept(rendition))
            if entry.complete.is_set():
                self._lag.served(recognition.job.utterance_id)
            self._recorder.mistranslated(rendition.faults)
            if rendition.caption.lang != plan.lang:
                self._recorder.lost("caption")
            if speaking and not (rendition.voice and text.complete(rendition.caption.text)):
                speaking.cancel()
                complete = SpokenText(rendition.caption.lang, rendition.caption.text)
                speaking = begin(complete) if rendition.voice else None
            for channel in channels:
                if speaking is None or channel not in listening:
                    group.create_task(self._hand_over(channel, entry, rendition))
                elif channel.audio == "stream":
                    group.create_task(self._hand_over(channel, entry, rendition, is_spoken=True))
            if speaking and whole:
                wav = await speaking
                for channel in listening:
                    if channel.audio == "wav":
                        group.create_task(self._hand_over(channel, entry, rendition, wav))
        self._recorder.stages(rendition.timings.own_ms)

    async def _speak(
        self,
        streaming: list[Channel],
        whole: bool,
        entry: HistoryEntry,
        job: UtteranceJob,
        text: SpokenText,
        made: asyncio.Future[Rendition],
    ) -> str | None:
        """Speak a caption, sending each piece as it is made, and return all of it as one where that is wanted.

        Args:
            streaming: Those who get pieces.
            whole: Whether all of it is wanted as one.
            entry: Of the history.
            job: The utterance.
            text: What is spoken.
            made: The caption, as soon as it is complete.
        """
        index = 0
        wav = None
        timings = Timings()
        self._lag.waits(job.utterance_id, text.lang)
        try:
            speaking = self._pipeline.voices.speak(job, text, timings, pieces=bool(streaming), whole=whole)
            async with contextlib.aclosing(speaking):
                async for piece in speaking:
                    rendition = await asyncio.shield(made)
                    if isinstance(piece, SpeechEnd):
                        wav = piece.wav
                        rendition.timings.add(piece.timings_ms)
                        await self._send_piece(streaming, entry, rendition, index, None, piece.timings_ms)
                        continue
                    self._lag.served(job.utterance_id, text.lang)
                    self._echo.spoke(rendition.caption.text, text.lang, piece.voice, piece.duration_s)
                    if piece.wav is not None:
                        await self._send_piece(streaming, entry, rendition, index, piece.wav, piece.timings_ms)
                        index += 1
        except BabbleFishError as error:
            _log.warning("no speech in %s: %s", text.lang, error)
            self._recorder.lost("speech")
        finally:
            self._lag.served(job.utterance_id, text.lang)
        return wav

    async def _hand_over(
        self,
        channel: Channel,
        entry: HistoryEntry,
        rendition: Rendition,
        wav: str | None = None,
        is_spoken: bool = False,
    ) -> None:
        """Put a result into its listeners' slots, and see it on its way behind those of earlier utterances."""
        voice = rendition.voice if is_spoken or wav else None
        status: Literal["final", "speaking"] = "speaking" if is_spoken else "final"
        timings_ms = rendition.timings.all_ms

        def make() -> Result:
            kept = KeptCaption(rendition.caption, rendition.job.latency_ms(), timings_ms)
            return result_message(entry, kept, channel.lang, status=status, tts_audio=wav, tts_voice=voice)

        result = Envelope(make)
        await entry.kept.wait()
        for slot in channel.slots:
            slot.fill(result)
        await channel.released()
        self._recorder.captioned(entry.utterance_id, timings_ms)
        if wav is not None:
            self._recorder.spoke(entry.utterance_id, timings_ms, channel.client_ids)

    async def _send_piece(
        self,
        streaming: list[Channel],
        entry: HistoryEntry,
        rendition: Rendition,
        index: int,
        wav: str | None,
        timings_ms: Mapping[str, float],
    ) -> None:
        """Send a piece of speech to those who stream, after their result; without ``wav`` it was the last."""
        for channel in streaming:
            await channel.released()
            latency_ms = rendition.job.latency_ms()
            piece = Envelope(partial(speech_message, entry, channel.lang, index, wav, latency_ms, timings_ms))
            for slot in channel.slots:
                slot.send(piece)
        if streaming and index == 0 and wav is not None:
            heard_by = [client_id for channel in streaming for client_id in channel.client_ids]
            self._recorder.spoke(entry.utterance_id, {**rendition.timings.all_ms, **timings_ms}, heard_by)


def _kept(rendition: Rendition) -> KeptCaption:
    return KeptCaption(rendition.caption, rendition.job.latency_ms(), rendition.timings.all_ms)
