"""The package as a library: a profile's engines, their workers and the pipeline, without rooms and without a server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

from babblefish.audio.file_check import looks_like
from babblefish.audio.segmenter import Segment, Segmenter, open_segmenter
from babblefish.audio.sound_file import decode
from babblefish.domain import SAMPLE_RATE_HZ, Caption, Samples, Transcript, Utterance, new_utterance_id
from babblefish.engines.contracts import Engines
from babblefish.engines.profiles import Profile
from babblefish.errors import EngineError, MislabelledError, NoPathError, NoSpeechError
from babblefish.pipeline.pipeline import Pipeline, Rendition
from babblefish.pipeline.recognition import Recognition
from babblefish.pipeline.runtime import Runtime
from babblefish.pipeline.workers import Workers
from babblefish.settings import Settings


@dataclass(frozen=True, slots=True)
class Line:
    """One utterance of a recording.

    Attributes:
        start_s: Of its speech, in seconds from the recording's start.
        end_s: Of its speech.
        transcript: What was said.
        caption: Its translation, where one was asked for.
    """

    start_s: float
    end_s: float
    transcript: Transcript
    caption: Caption | None


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What a program of its own needs to recognise, translate and speak.

    Attributes:
        settings: That the rest was made with.
        profile: The engines' names.
        workers: The threads of the engines.
        pipeline: The engines themselves, and the steps of an utterance.
    """

    settings: Settings
    profile: Profile
    workers: Workers
    pipeline: Pipeline

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: Settings, engines: Engines | None = None) -> AsyncIterator[Self]:
        """Load the engines of the settings' profile, and end their threads and processes afterwards.

        Args:
            settings: Of this program.
            engines: Loaded ones, for tests and for embedding.

        Raises:
            SetupError: Something the profile needs is not installed.
        """
        runtime = Runtime(settings, engines)
        try:
            pipeline = await runtime.load()
            yield cls(settings, runtime.profile, runtime.workers, pipeline)
        finally:
            await runtime.close()

    def segmenter(self) -> Segmenter:
        """Return what finds the utterances of one stream; call it in ``workers.sockets``."""
        return open_segmenter(self.pipeline.engines, self.settings)

    async def read(self, data: bytes, longest_s: float) -> Samples:
        """Decode a sound file of any format, off the event loop; see ``sound_file.decode``."""
        return await self.workers.sockets.run(decode, data, longest_s)

    async def doubt(self, data: bytes, samples: Samples) -> MislabelledError | None:
        """Say what is wrong with the header of a sound file, where that is certain; off the event loop.

        Args:
            data: The file.
            samples: That ``read`` made of it.
        """
        found = await self.workers.sockets.run(looks_like, data, samples)
        return MislabelledError(found) if found else None

    async def recognise(
        self, segment: Segment, source_lang: str | None, target_lang: str | None = None, with_voice: bool = False
    ) -> Recognition:
        """Find out what was said in a segment; see ``Pipeline.recognise``.

        Args:
            segment: As a segmenter cuts it.
            source_lang: ISO 639-3, or None where it may be any language.
            target_lang: ISO 639-3 of the translation that will be asked for.
            with_voice: Whether the voice's embedding is wanted.
        """
        utterance = Utterance(
            utterance_id=new_utterance_id(),
            client_id="",
            samples=segment.samples,
            source_langs=frozenset({source_lang} if source_lang else ()),
            ended_at_s=time.monotonic(),
            speech_s=segment.speech_s,
        )
        job = self.pipeline.begin(utterance)
        try:
            return await self.pipeline.recognise(job, [target_lang] if target_lang else [], with_voice)
        finally:
            self.pipeline.end(job)

    async def translation(self, recognition: Recognition, target_lang: str) -> Rendition:
        """Make the caption in a language that ``recognise`` was given, and in no other.

        Raises:
            NoPathError: No engine of the profile leads from the language spoken to this one.
            EngineError: The text translator failed.
        """
        plan = recognition.plans[target_lang]
        spoken = recognition.transcript.lang
        if plan.lang != target_lang:
            raise NoPathError(f"no engine of this profile leads from {spoken} to {target_lang}")
        rendition = await self.pipeline.caption(recognition, plan)
        if rendition.caption.lang != target_lang:
            raise EngineError(f"the translation from {spoken} to {target_lang} failed")
        return rendition

    async def transcribe(
        self, samples: Samples, source_lang: str | None = None, target_lang: str | None = None
    ) -> list[Line]:
        """Transcribe a recording of one language and any length, and translate it where that is asked for.

        Args:
            samples: Shape ``[n]``, 16 kHz.
            source_lang: ISO 639-3; None takes the language of the longest utterance for all, as a short one may be
                mistaken for another language.
            target_lang: ISO 639-3, or None.

        Returns:
            The utterances in their order; those without words are left out.

        Raises:
            NoSpeechError: Nobody says a word in it.
            NoPathError: No engine of the profile leads to the target.
            OverloadedError: Too many utterances of others are waiting.
            EngineError: An engine failed.
            DeadlineExceededError: One of the utterances took too long.
        """
        segmenter = self.segmenter()
        segments = await self.workers.sockets.run(lambda: [*segmenter.feed(samples), *segmenter.flush()])
        lines = []
        for segment in sorted(segments, key=lambda segment: segment.speech_s, reverse=True):
            try:
                recognition = await self.recognise(segment, source_lang, target_lang)
            except NoSpeechError:
                continue
            source_lang = recognition.transcript.lang
            translation = await self.translation(recognition, target_lang) if target_lang else None
            start_s, end_s = segment.start_sample / SAMPLE_RATE_HZ, segment.end_sample / SAMPLE_RATE_HZ
            caption = translation.caption if translation else None
            lines.append(Line(start_s, end_s, recognition.transcript, caption))
        if not lines:
            raise NoSpeechError("nobody speaks in this recording")
        return sorted(lines, key=lambda line: line.start_s)
