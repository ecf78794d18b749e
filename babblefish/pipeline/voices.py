"""Captions are spoken: text in, pieces of speech out, and what the voices that speak sound like."""

from __future__ import annotations

import base64
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from babblefish.audio import pcm
from babblefish.audio.voice_sound import measured
from babblefish.domain import Owner, Samples, Speech, Utterance
from babblefish.engines.contracts import Embedding, Engines, Synthesizer, SyntheticVoice
from babblefish.errors import BabbleFishError
from babblefish.pipeline.job import Timings, UtteranceJob, since_ms, until
from babblefish.pipeline.spoken_text import SpokenText
from babblefish.pipeline.synthetic_voices import SyntheticVoices
from babblefish.pipeline.workers import Workers
from babblefish.spoken_form import spoken_form

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpokenPiece:
    """A piece of speech.

    Attributes:
        duration_s: Length in seconds.
        voice: ``<engine>:<voice name>``.
        timings_ms: Stages of the synthesis so far.
        wav: Base64 of a WAV file, or None where nobody wants pieces, or encoding failed.
    """

    duration_s: float
    voice: str
    timings_ms: Mapping[str, float]
    wav: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SpeechEnd:
    """Comes after the pieces, and after a failure as well.

    Attributes:
        timings_ms: Stages of the synthesis.
        wav: Base64 of a WAV file with all pieces, or None where nobody wants it, nothing was made, or encoding failed.
    """

    timings_ms: Mapping[str, float]
    wav: str | None = field(repr=False)


class Voices:
    """The synthesizers, on their worker."""

    def __init__(self, engines: Engines, workers: Workers) -> None:
        """Use engines that are loaded and warm."""
        self._engines = engines
        self._workers = workers
        self._synthetic = SyntheticVoices(engines.speaker_encoder, workers.speaker)

    def of(self, lang: str) -> Sequence[SyntheticVoice]:
        """Return the voices that speak this language, the default one first; none where no engine does."""
        synthesizer = self._engines.synthesizer_for(lang)
        return synthesizer.voices(lang) if synthesizer else ()

    async def pitch_hz(self, utterance: Utterance) -> float | None:
        """Return how high the voice of an utterance is, or None where it says too little, or too much is waiting."""
        try:
            heard = await self._workers.sockets.run(measured, utterance.samples, owner=utterance.owner)
        except BabbleFishError as error:
            _log.warning("the pitch of a voice stays unknown: %s", error)
            return None
        return heard.pitch_hz if heard else None

    async def likeness(self, voice: str, embedding: Embedding, speech_s: float) -> float | None:
        """Return how much an utterance sounds like a voice that speaks, or None where nobody can tell.

        Args:
            voice: Its name.
            embedding: Of the utterance.
            speech_s: Seconds of speech in it.

        Returns:
            A similarity as ``VoiceScale`` has it.
        """
        return await self._synthetic.likeness(voice, embedding, speech_s)

    async def speak(
        self, job: UtteranceJob, text: SpokenText, timings: Timings, pieces: bool = True, whole: bool = False
    ) -> AsyncGenerator[SpokenPiece | SpeechEnd, None]:
        """Synthesize a caption, which may still be growing; yield its pieces as they are made, and then the end.

        Args:
            job: The utterance.
            text: What is to be spoken.
            timings: The stages ``synthesis_queue``, ``first_speech`` and ``synthesize`` are added to them.
            pieces: Whether each piece is encoded.
            whole: Whether the end holds all of them as one; what was made before a failure counts.

        Raises:
            EngineError: The synthesizer failed; what was yielded stays valid.
            OverloadedError: Too many captions wait to be spoken.
            DeadlineExceededError: It took too long.
        """
        made: list[Speech] = []
        owner = job.utterance.owner
        failure: BabbleFishError | None = None
        own = Timings()
        try:
            async with contextlib.aclosing(self._synthesize(job, text, own)) as synthesizing:
                async for speech in synthesizing:
                    made.append(speech)
                    self._synthetic.spoke(speech)
                    wav = await self._encode([speech], owner) if pieces else None
                    yield SpokenPiece(speech.duration_s, speech.voice, own.own_ms, wav)
        except BabbleFishError as error:
            failure = error
        timings.add(own.own_ms)
        yield SpeechEnd(own.own_ms, await self._encode(made, owner) if whole and made else None)
        if failure is not None:
            raise failure

    async def _synthesize(self, job: UtteranceJob, text: SpokenText, timings: Timings) -> AsyncGenerator[Speech, None]:
        synthesizer = self._engines.synthesizer_for(text.lang)
        if synthesizer is None:
            return
        began_s: float | None = None
        async for stretch in text.stretches():
            asked_s = time.perf_counter()
            began_s = asked_s if began_s is None else began_s
            spelled = job.terms.respelled(stretch, text.lang)
            synthesize = partial(_begin_synthesis, synthesizer, spelled, text.lang, job, timings, asked_s)
            speeches = self._workers.synthesis.stream(synthesize, lambda speech: speech.duration_s, job.utterance.owner)
            async with contextlib.aclosing(speeches):
                while True:
                    async with until(job.deadline):
                        speech = await anext(speeches, None)
                    if speech is None:
                        break
                    if "first_speech" not in timings.own_ms:
                        timings.add({"first_speech": since_ms(asked_s)})
                    yield speech
            timings.add({"synthesize": since_ms(began_s)})

    async def _encode(self, speeches: list[Speech], owner: Owner) -> str | None:
        """Encode speech as one WAV file; without it the caption still goes out."""
        try:
            return await self._workers.sockets.run(_wav_base64, speeches, owner=owner)
        except BabbleFishError as error:
            _log.warning("speech is lost: %s", error)
            return None


def _begin_synthesis(
    synthesizer: Synthesizer, text: str, lang: str, job: UtteranceJob, timings: Timings, asked_s: float
) -> Iterator[Speech]:
    """Begin to speak a text, in the worker's thread; numbers and signs become words for the voice alone."""
    if "synthesis_queue" not in timings.own_ms:
        timings.add({"synthesis_queue": since_ms(asked_s)})
    return synthesizer.synthesize(spoken_form(text, lang), lang, job.deadline, job.voice_in(lang))


def _wav_base64(speeches: list[Speech]) -> str:
    samples: Samples = np.concatenate([speech.samples for speech in speeches])
    return base64.b64encode(pcm.wav_bytes(samples, speeches[0].sample_rate_hz)).decode("ascii")
