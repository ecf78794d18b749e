"""One utterance and a set of target languages become captions and speech, each language once.

A job begins at the end of speech (``begin``) and is recognised (``recognise``: recognition, translation from speech and
the voice's embedding, side by side). For each distinct plan a caption is made (``caption``, with ``texts``) and spoken
(``voices``). It is all bounded by the job's deadline.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from babblefish import languages
from babblefish.audio import pcm
from babblefish.audio.segmenter import Segment, SpeechMeter
from babblefish.domain import Caption, Deadline, Owner, Quality, Transcript, Utterance
from babblefish.engines.contracts import (
    BatchSpeechTranslator,
    Embedding,
    Engines,
    SpeechRequest,
    SpeechTranslation,
)
from babblefish.errors import BabbleFishError, MistranslatedError, NoSpeechError
from babblefish.pipeline.idle_gate import IdleGate
from babblefish.pipeline.job import Timings, UtteranceJob, since_ms, until
from babblefish.pipeline.pace import Pace
from babblefish.pipeline.recognition import Recognition, as_written, recognised
from babblefish.pipeline.routing import CaptionPlan, plan_captions
from babblefish.pipeline.texts import Texts
from babblefish.pipeline.typed import transcribed
from babblefish.pipeline.voice_change import by_voice, may_change
from babblefish.pipeline.voices import Voices
from babblefish.pipeline.workers import Workers
from babblefish.settings import Settings
from babblefish.terms import NO_TERMS, Terms

_log = logging.getLogger(__name__)

_VOICE_WAIT_S = 3.0
"""A transcript that is there waits this long for its voice, which takes some 50 ms: it then has no name rather than no
listeners."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """A caption, as it is shown and spoken.

    Attributes:
        job: The utterance.
        caption: The text.
        voice: That will speak it, or None where it is not to be spoken: nobody needs to hear the language that was
            spoken, and some languages have no voice.
        timings: The job's stages and its own.
        faults: What the translator found wrong with what it had made, and made again.
    """

    job: UtteranceJob
    caption: Caption
    voice: str | None
    timings: Timings
    faults: tuple[str, ...] = ()


class Pipeline:
    """The engines in the order an utterance meets them."""

    def __init__(self, engines: Engines, workers: Workers, settings: Settings, pace: Pace | None = None) -> None:
        """Use engines that are loaded and warm."""
        pace = pace or Pace()
        self.engines = engines
        self._gate = IdleGate(settings.hangover_ms / 1000.0, pace.interim_cost_valid_s)
        self._workers = workers
        self._settings = settings
        self.texts = Texts(engines, workers, settings)
        self.voices = Voices(engines, workers)
        self._preparing = asyncio.Semaphore(1)
        self._idle = asyncio.Event()
        """Set while no utterance is being served."""
        self._idle.set()

    @property
    def recognised_at_once(self) -> int:
        """Utterances that the speech translator works on at the same time."""
        batches = isinstance(self.engines.speech_translator, BatchSpeechTranslator)
        return self._settings.parallel_utterances if batches else 1

    @property
    def is_idle(self) -> bool:
        """Whether no utterance is being served."""
        return self._gate.is_idle

    @property
    def takes_drafts(self) -> bool:
        """Whether nothing is being recognised, so that a draft would be made at once."""
        return self._gate.is_open_for_drafts and not self._workers.translation.pending

    def begin(self, utterance: Utterance, terms: Terms = NO_TERMS) -> UtteranceJob:
        """Take up an utterance that has ended; interim recognition makes way until ``end``.

        Args:
            utterance: The whole of it.
            terms: The glossary of its conversation.
        """
        self._gate.utterance_begins()
        self._idle.clear()
        return UtteranceJob(utterance, Deadline.after(self._settings.utterance_deadline_s), terms=terms)

    def begin_interim(
        self, utterance: Utterance, terms: Terms = NO_TERMS, is_draft: bool = False
    ) -> UtteranceJob | None:
        """Take up an utterance that goes on, unless somebody would have to wait for that.

        Args:
            utterance: So far.
            terms: The glossary of its conversation.
            is_draft: Whether it decides where speech is cut, so that less is waited for.
        """
        is_open = self.takes_drafts if is_draft else self._gate.is_open(utterance.duration_s)
        if self._workers.translation.pending or not is_open:
            return None
        deadline = Deadline.after(self._settings.utterance_deadline_s)
        job = UtteranceJob(utterance, deadline, is_interim=True, terms=terms)
        self._gate.interim_begins(job.deadline)
        return job

    def end(self, job: UtteranceJob) -> None:
        """Be done with a job, however it went."""
        if job.is_interim:
            self._gate.interim_is_over()
        else:
            self._is_recognised(job)
            self._gate.utterance_is_served()
            if self._gate.is_idle:
                self._idle.set()

    def _is_recognised(self, job: UtteranceJob) -> None:
        if not job.is_recognised:
            job.is_recognised = True
            self._gate.utterance_is_recognised()

    async def by_voice(self, segment: Segment, owner: Owner) -> list[Segment]:
        """Cut a segment where another voice goes on; it stays whole where that cannot be told.

        Args:
            segment: That a stream was cut into.
            owner: Whose work it is.
        """
        if not may_change(segment, self.engines.speaker_encoder):
            return [segment]
        listening = self._workers.speaker.run(by_voice, segment, self.engines.speaker_encoder, owner=owner)
        try:
            return await asyncio.wait_for(listening, _VOICE_WAIT_S)
        except (BabbleFishError, TimeoutError) as error:
            _log.warning("nobody knows whether another voice goes on: %s", error)
            return [segment]

    async def recognise(self, job: UtteranceJob, target_langs: Collection[str], with_voice: bool = True) -> Recognition:
        """Find out what was said and by what voice, and translate what the speech translator can.

        Of what was typed only the language is to be found out; all its translations come from the text.

        Args:
            job: An utterance of at most ``max_utterance_s``, or a typed one.
            target_langs: ISO 639-3 codes.
            with_voice: Whether the voice is wanted; without, ``embedding`` is None.

        Raises:
            NoSpeechError: Nobody says a word in it.
            TwoLanguagesError: It is to be cut at one of its pauses.
            OverloadedError: Too many utterances are waiting.
            EngineError: The speech translator failed.
            DeadlineExceededError: It took too long.
        """
        job.timings.add({"endpoint": (time.monotonic() - job.utterance.ended_at_s) * 1000.0})
        embedding: asyncio.Task[Embedding | None] | None = None
        try:
            if job.utterance.typed is not None:
                return await self._read(job, job.utterance.typed, target_langs)
            async with until(job.deadline):
                if job.utterance.speech_s is None:
                    await self._measure_speech(job)
                if with_voice:
                    embedding = asyncio.create_task(self._embed(job))
                plans, translation = await self._translate_speech(job, target_langs)
                if embedding:
                    await asyncio.wait([embedding], timeout=_VOICE_WAIT_S)
            voice = embedding.result() if embedding and embedding.done() else None
            return recognised(job, plans, translation, voice)
        except asyncio.CancelledError:
            job.deadline.cancel()
            raise
        finally:
            self._is_recognised(job)
            if embedding:
                embedding.cancel()

    async def _read(self, job: UtteranceJob, text: str, target_langs: Collection[str]) -> Recognition:
        utterance = job.utterance
        detector = self.engines.language_detector
        async with until(job.deadline):
            with job.timings.stage("detect_language"):
                transcript = await self._workers.sockets.run(
                    transcribed, text, utterance.source_langs, job.expected_langs, detector, owner=utterance.owner
                )
        plans = plan_captions(transcript.lang, target_langs, self.engines, is_typed=True)
        return recognised(job, plans, SpeechTranslation(transcript, {}), None)

    def also_in(self, recognition: Recognition, target_langs: Collection[str]) -> Recognition:
        """Return a recognition whose captions are for these languages, which may have changed since it began."""
        lang, is_doubtful = recognition.transcript.lang, recognition.is_doubtful
        plans = {
            target: recognition.plans.get(target) or self._plan_from_transcript(lang, target, is_doubtful)
            for target in target_langs
        }
        return replace(recognition, plans=plans)

    async def recognise_interim(self, job: UtteranceJob, target_langs: Collection[str]) -> Recognition:
        """Recognise and translate an utterance that goes on, as far as it goes, and without its voice.

        An engine with continuous batching takes an utterance that ends after its present step and lets the interim one
        go then, so that what it can be held for is the encoding. Any other engine is held from start to end.

        Args:
            job: From ``begin_interim``.
            target_langs: The languages it is wanted in.

        Raises:
            NoSpeechError, OverloadedError, EngineError, DeadlineExceededError: As ``recognise``.
        """
        batches = isinstance(self.engines.speech_translator, BatchSpeechTranslator)
        started_s = time.perf_counter()
        try:
            plans, translation = await self._translate_speech(job, target_langs)
        finally:
            encode_ms = job.timings.own_ms.get("encode")
            if not batches:
                self._gate.measured(job.utterance.duration_s, time.perf_counter() - started_s)
            elif encode_ms is not None:  # one that was given up says nothing of what it costs
                self._gate.measured(job.utterance.duration_s, encode_ms / 1000.0)
        return recognised(job, plans, translation, None)

    async def interim_text(self, recognition: Recognition, plan: CaptionPlan) -> str | None:
        """Return the text of an interim caption, or None where the text translator is busy, is needed, or fails."""
        text = recognition.texts.get(plan.start)
        if text is None or plan.route is None:
            return text
        if not self.is_idle:
            return None
        return await self.texts.translate_interim(text, plan.route, recognition.job)

    async def caption(
        self, recognition: Recognition, plan: CaptionPlan, on_clause: Callable[[str], None] = lambda _: None
    ) -> Rendition:
        """Make one caption; where the text translator fails, the transcript stands in.

        Args:
            recognition: The utterance.
            plan: One of ``recognition.plans``.
            on_clause: Called with the caption so far whenever a further clause is finished, where the translator tells.
        """
        timings = recognition.job.timings.branch()
        caption, faults = await self._caption(recognition, plan, timings, on_clause)
        return Rendition(recognition.job, caption, self.voice_of(recognition, caption.lang), timings, faults)

    def voice_of(self, recognition: Recognition, lang: str) -> str | None:
        """Return the voice for a caption in this language, or None where it is what was said, or nothing speaks it."""
        said_in = languages.spoken(recognition.transcript.lang)
        if languages.spoken(lang) == said_in or not (voices := self.voices.of(lang)):
            return None
        return recognition.job.voice_in(lang) or voices[0].name

    async def _caption(
        self, recognition: Recognition, plan: CaptionPlan, timings: Timings, on_clause: Callable[[str], None]
    ) -> tuple[Caption, tuple[str, ...]]:
        transcript = recognition.transcript
        if (phrase := self.texts.phrase(recognition, plan.lang)) is not None:
            quality = Quality.DRAFT if recognition.is_doubtful else Quality.GOOD
            return Caption(phrase, plan.lang, quality, (transcript.lang, plan.lang)), ()
        text = recognition.texts.get(plan.start)
        faults: tuple[str, ...] = ()
        try:
            if text is not None and plan.route is not None:
                with timings.stage("translate"):
                    translated = await self.texts.translate_utterance(text, plan.route, recognition.job, on_clause)
                quality = Quality.DRAFT if translated.is_doubtful else plan.quality
                return Caption(translated.text, plan.lang, quality, plan.path(transcript.lang)), translated.faults
            if text is not None:
                return Caption(text, plan.lang, plan.quality, plan.path(transcript.lang)), faults
        except BabbleFishError as error:
            _log.warning("no caption in %s: %s", plan.lang, error)
            if isinstance(error, MistranslatedError):
                faults = error.faults
                if (caption := await self._caption_from_speech(recognition, plan.lang)) is not None:
                    return caption, faults
        return Caption(transcript.text, transcript.lang, Quality.ORIGINAL, (transcript.lang,)), faults

    async def _caption_from_speech(self, recognition: Recognition, lang: str) -> Caption | None:
        """Translate from the speech itself what could not be translated from the transcript, or return None."""
        spoken, job = recognition.transcript.lang, recognition.job
        quality = self.engines.speech_translator.targets(spoken).get(lang)
        if quality is None or job.utterance.typed is not None:
            return None
        request = SpeechRequest(job.utterance.samples, job.deadline, lambda _: {lang}, frozenset({spoken}))
        try:
            translation = await self._ask_speech_translator(request, job.utterance)
        except BabbleFishError as error:
            _log.warning("no caption in %s from speech: %s", lang, error)
            return None
        text = translation.translations.get(lang)
        # Declared here, the language is as much in doubt as it was when it was detected.
        quality = replace(translation, transcript=recognition.transcript).quality(lang, quality)
        if not text:
            return None
        return Caption(as_written(text, recognition.transcript.text, spoken, lang), lang, quality, (spoken, lang))

    async def prepare(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Get the routes ready that lead from languages spoken to languages heard.

        Args:
            pairs: Spoken and heard language.
        """
        routes = {plan_captions(spoken, [heard], self.engines)[heard].route for spoken, heard in pairs}
        for route in filter(None, routes):
            try:
                async with self._preparing:  # one at a time, so that captions always find a free thread
                    await self._idle.wait()  # a language model reads its examples at the cost of everybody's captions
                    await self.texts.prepare(route)
            except BabbleFishError as error:
                _log.warning("%s is not ready: %s", " → ".join(route.path), error)

    async def _translate_speech(
        self, job: UtteranceJob, target_langs: Collection[str]
    ) -> tuple[dict[str, CaptionPlan], SpeechTranslation]:
        asked_s = time.perf_counter()
        plans: dict[str, CaptionPlan] = {}

        def targets(lang: str) -> Collection[str]:
            plans.update(plan_captions(lang, target_langs, self.engines))
            return {plan.start for plan in plans.values() if plan.start != lang}

        utterance = job.utterance
        request = SpeechRequest(
            utterance.samples,
            job.deadline,
            targets,
            utterance.source_langs,
            job.is_interim,
            job.terms.written,
            job.expected_langs,
            utterance.pauses,
        )
        translation = await self._ask_speech_translator(request, utterance)
        translation = replace(translation, transcript=_corrected(translation.transcript, job.terms))
        job.timings.add(translation.timings_ms)
        # What the engine's own steps leave is the time before it took the utterance up.
        job.timings.add({"queue": max(0.0, since_ms(asked_s) - sum(translation.timings_ms.values()))})
        # A translation the engine could not make after all is made from the transcript instead, where that is possible.
        made = {translation.transcript.lang, *translation.translations}
        for target, plan in plans.items():
            if plan.start not in made:
                plans[target] = self._plan_from_transcript(translation.transcript.lang, target)
        return plans, translation

    async def _ask_speech_translator(self, request: SpeechRequest, utterance: Utterance) -> SpeechTranslation:
        translator = self.engines.speech_translator
        owner, cost_s = utterance.owner, utterance.duration_s
        if isinstance(translator, BatchSpeechTranslator):
            return await self._workers.translation.share(translator.translate_batch, request, owner, cost_s)
        return await self._workers.translation.run(translator.translate, request, owner=owner, cost_s=cost_s)

    def _plan_from_transcript(self, source_lang: str, target: str, is_doubtful: bool = False) -> CaptionPlan:
        translator = self.engines.text_translator
        route = translator.route(source_lang, target) if translator else None
        if route is None:
            return CaptionPlan(source_lang, None, Quality.ORIGINAL)
        return CaptionPlan(source_lang, route, Quality.DRAFT if is_doubtful else route.quality)

    async def _measure_speech(self, job: UtteranceJob) -> None:
        meter = SpeechMeter(self.engines.voice_detector.open_stream(), self._settings)
        with job.timings.stage("voice"):
            for second in pcm.by_second(job.utterance.samples):  # others wait for the threads
                await self._workers.sockets.run(meter.feed, second, owner=job.utterance.owner)
        if meter.speech_s * 1000 < self._settings.min_speech_ms:
            raise NoSpeechError("nobody speaks in this audio")
        job.utterance = replace(job.utterance, speech_s=meter.speech_s)

    async def _embed(self, job: UtteranceJob) -> Embedding | None:
        try:
            with job.timings.stage("speaker"):
                utterance = job.utterance
                encode = self.engines.speaker_encoder.embed
                return await self._workers.speaker.run(
                    encode, utterance.samples, owner=utterance.owner, cost_s=utterance.duration_s
                )
        except BabbleFishError as error:
            _log.warning("the voice stays unknown: %s", error)
            return None


def _corrected(transcript: Transcript, terms: Terms) -> Transcript:
    return replace(transcript, text=terms.corrected(transcript.text, transcript.lang))
