"""One utterance and a set of target languages become captions and speech, each language once.

Three steps, each bounded by the utterance's deadline: ``recognise`` (speech recognition, translation from speech and
the voice's embedding, side by side), ``caption`` for each distinct way to a language, ``speak`` for each caption.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from babblefish.audio.segmenter import speech_seconds
from babblefish.domain import (
    BabbleFishError,
    Caption,
    Deadline,
    DeadlineExceededError,
    EngineError,
    NoPathError,
    NoSpeechError,
    Quality,
    Samples,
    Speech,
    Transcript,
    Utterance,
)
from babblefish.engines.contracts import (
    BatchSpeechTranslator,
    Embedding,
    Engines,
    Route,
    SpeechRequest,
    SpeechTranslation,
)
from babblefish.pipeline.idle_gate import SpareTime
from babblefish.pipeline.routing import Way, plan
from babblefish.pipeline.workers import Workers
from babblefish.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What was said, by what voice, and the ways to the listeners' languages.

    Attributes:
        embedding: Of the voice, or None where the encoder failed, which costs the name and nothing else.
        texts: Language → text made from the speech itself; holds the transcript too.
        ways: Target language → way.
        timings_ms: Milliseconds per step so far.
    """

    utterance: Utterance
    transcript: Transcript
    embedding: Embedding | None
    texts: Mapping[str, str]
    ways: Mapping[str, Way]
    deadline: Deadline
    timings_ms: Mapping[str, float]

    def targets_by_way(self) -> dict[Way, frozenset[str]]:
        """Group the target languages that share a caption."""
        groups: dict[Way, set[str]] = defaultdict(set)
        for target, way in self.ways.items():
            groups[way].add(target)
        return {way: frozenset(targets) for way, targets in groups.items()}


class Pipeline:
    """The engines in the order an utterance meets them."""

    def __init__(self, engines: Engines, workers: Workers, settings: Settings) -> None:
        """Use engines that are loaded and warm."""
        self.engines = engines
        self.spare = SpareTime(settings.hangover_ms / 1000.0)
        self._workers = workers
        self._settings = settings
        self._preparing = asyncio.Semaphore(1)

    async def recognise(
        self, utterance: Utterance, target_langs: Collection[str], with_voice: bool = True
    ) -> Recognised:
        """Find out what was said and by what voice, and translate what the speech translator can.

        Args:
            utterance: Of at most ``max_utterance_s``.
            target_langs: ISO 639-3 codes.
            with_voice: Whether the voice is wanted; without, ``embedding`` is None.

        Raises:
            NoSpeechError: Nobody says a word in it.
            OverloadedError: Too many utterances are waiting.
            EngineError: The speech translator failed.
            DeadlineExceededError: It took too long.
        """
        deadline = Deadline.after(self._settings.utterance_deadline_s)
        timings_ms = {"endpoint": (time.monotonic() - utterance.ended_at_s) * 1000.0}
        if utterance.speech_s is None:
            utterance = await self._measure_speech(utterance, timings_ms)
        embedding = asyncio.create_task(self._embed(utterance.samples, timings_ms)) if with_voice else None
        try:
            async with _until(deadline):
                ways, translation = await self._translate_speech(utterance, target_langs, deadline, timings_ms)
                voice = await embedding if embedding else None
            return _recognised(utterance, ways, translation, voice, deadline, timings_ms)
        except asyncio.CancelledError:
            deadline.cancel()
            raise
        finally:
            if embedding:
                embedding.cancel()

    def can_draft(self, audio_s: float) -> bool:
        """Say whether speech of this length can be recognised in passing, without making an utterance wait."""
        return self._workers.translation.pending == 0 and self.spare.suffices(audio_s)

    async def draft(self, utterance: Utterance, target_langs: Collection[str], deadline: Deadline) -> Recognised:
        """Recognise and translate an utterance that goes on, as far as it goes, in spare time and without its voice.

        In an engine that serves several at once, an utterance that ends joins after the present step, and what is
        being drafted leaves after it; its encoding is the longest one. Any other engine is held from start to end.

        Args:
            utterance: So far.
            target_langs: The languages it is wanted in.
            deadline: Cancelled when the utterance, or another, ends.

        Raises:
            NoSpeechError, OverloadedError, EngineError, DeadlineExceededError: As ``recognise``.
        """
        together = isinstance(self.engines.speech_translator, BatchSpeechTranslator)
        timings_ms: dict[str, float] = {}
        started_s = time.perf_counter()
        try:
            ways, translation = await self._translate_speech(
                utterance, target_langs, deadline, timings_ms, interim=True
            )
        finally:
            longest_ms = timings_ms.get("encode", 0.0) if together else _since_ms(started_s)
            self.spare.measured(utterance.duration_s, longest_ms / 1000.0)
        return _recognised(utterance, ways, translation, None, deadline, timings_ms)

    async def draft_text(self, draft: Recognised, way: Way) -> str | None:
        """Return the text of one way, or None where the text translator has something else to do or fails."""
        text = draft.texts.get(way.start)
        if not text or way.route is None:
            return text
        if self._workers.text.pending:
            return None
        try:
            return await self._through_text(text, way.route, draft.deadline)
        except BabbleFishError:
            return None

    async def caption(self, recognised: Recognised, way: Way, timings_ms: dict[str, float]) -> Caption:
        """Make the caption of one way; where the translator fails, the transcript stands in.

        Args:
            recognised: The utterance.
            way: One of ``recognised.ways``.
            timings_ms: ``translate`` is added to it.
        """
        transcript = recognised.transcript
        text = recognised.texts.get(way.start)
        if text is not None and way.route is None:
            return Caption(text, way.lang, way.quality, way.path(transcript.lang))
        if text is not None and way.route is not None:
            started_s = time.perf_counter()
            try:
                translated = await self._through_text(text, way.route, recognised.deadline)
                timings_ms["translate"] = _since_ms(started_s)
                return Caption(translated, way.lang, way.quality, way.path(transcript.lang))
            except BabbleFishError as error:
                _log.warning("no caption in %s: %s", way.lang, error)
        return Caption(transcript.text, transcript.lang, Quality.ORIGINAL, (transcript.lang,))

    async def translate(self, text: str, source_lang: str, target_lang: str) -> Caption:
        """Translate text that nobody spoke; line breaks stay.

        Args:
            text: In the source language.
            source_lang: ISO 639-3.
            target_lang: ISO 639-3.

        Raises:
            NoPathError: The text translator has no way between the two languages.
            OverloadedError: Too many texts are waiting.
            EngineError: The text translator failed.
            DeadlineExceededError: It took too long.
        """
        if source_lang == target_lang:
            return Caption(text, target_lang, Quality.ORIGINAL, (source_lang,))
        translator = self.engines.text_translator
        route = translator.route(source_lang, target_lang) if translator else None
        if route is None:
            raise NoPathError(f"no text translator of this profile leads from {source_lang} to {target_lang}")
        deadline = Deadline.after(self._settings.utterance_deadline_s)
        return Caption(await self._through_text(text, route, deadline), target_lang, route.quality, route.path)

    async def _through_text(self, text: str, route: Route, deadline: Deadline) -> str:
        translator = self.engines.text_translator
        if translator is None:
            raise EngineError("there is no text translator")
        async with _until(deadline):
            return await self._workers.text.run(translator.translate, text, route, deadline)

    async def prepare(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Get the routes ready that lead from languages spoken to languages heard.

        Args:
            pairs: Spoken and heard language.
        """
        translator = self.engines.text_translator
        routes = {plan(spoken, [heard], self.engines)[heard].route for spoken, heard in pairs}
        for route in routes:
            if route is None or translator is None:
                continue
            try:
                deadline = Deadline.after(self._settings.utterance_deadline_s)
                async with self._preparing:  # one at a time, so that captions always find a free thread
                    await self._workers.text.run(translator.prepare, route, deadline)
            except BabbleFishError as error:
                _log.warning("%s is not ready: %s", " → ".join(route.path), error)

    def voice(self, lang: str) -> str | None:
        """Return the voice that speaks this language, or None where no engine does."""
        synthesizer = self.engines.synthesizer_for(lang)
        return synthesizer.voice(lang) if synthesizer else None

    async def speak(
        self, recognised: Recognised, caption: Caption, timings_ms: dict[str, float]
    ) -> AsyncGenerator[Speech, None]:
        """Synthesize a caption and yield its pieces in order as they are made.

        Args:
            recognised: The utterance.
            caption: In a language that ``voice`` has a voice for.
            timings_ms: ``synthesis_queue``, ``first_speech`` and, at the end, ``synthesize`` are added to it.

        Raises:
            EngineError: The synthesizer failed; pieces before stay valid.
            OverloadedError: Too many captions wait to be spoken.
            DeadlineExceededError: It took too long.
        """
        synthesizer = self.engines.synthesizer_for(caption.lang)
        if synthesizer is None:
            return
        asked_s = time.perf_counter()

        def synthesize() -> Iterator[Speech]:
            timings_ms["synthesis_queue"] = _since_ms(asked_s)
            return synthesizer.synthesize(caption.text, caption.lang, recognised.deadline)

        pieces = self._workers.synthesis.stream(synthesize, lambda piece: piece.duration_s)
        async with contextlib.aclosing(pieces):
            while True:
                async with _until(recognised.deadline):
                    piece = await anext(pieces, None)
                if piece is None:
                    break
                timings_ms.setdefault("first_speech", _since_ms(asked_s))
                yield piece
        timings_ms["synthesize"] = _since_ms(asked_s)

    async def _translate_speech(
        self,
        utterance: Utterance,
        target_langs: Collection[str],
        deadline: Deadline,
        timings_ms: dict[str, float],
        interim: bool = False,
    ) -> tuple[dict[str, Way], SpeechTranslation]:
        asked_s = time.perf_counter()
        ways: dict[str, Way] = {}

        def starts(lang: str) -> Collection[str]:
            ways.update(plan(lang, target_langs, self.engines))
            return {way.start for way in ways.values() if way.start != lang}

        translator = self.engines.speech_translator
        request = SpeechRequest(utterance.samples, deadline, starts, utterance.source_langs, interim)
        if isinstance(translator, BatchSpeechTranslator):
            translation = await self._workers.translation.share(translator.translate_together, request)
        else:
            translation = await self._workers.translation.run(translator.translate, request)
        timings_ms.update(translation.timings_ms)
        # What the engine's own steps leave is the time before it took the utterance up.
        timings_ms["queue"] = max(0.0, _since_ms(asked_s) - sum(translation.timings_ms.values()))
        # A translation the engine could not make after all takes the way through text instead, if there is one.
        made = {translation.transcript.lang, *translation.translations}
        for target, way in ways.items():
            if way.start not in made:
                ways[target] = self._without_speech(translation.transcript.lang, target)
        return ways, translation

    def _without_speech(self, source_lang: str, target: str) -> Way:
        translator = self.engines.text_translator
        route = translator.route(source_lang, target) if translator else None
        return Way(source_lang, route, route.quality if route else Quality.ORIGINAL)

    async def _measure_speech(self, utterance: Utterance, timings_ms: dict[str, float]) -> Utterance:
        started_s = time.perf_counter()
        voice = self.engines.voice_detector.open_stream()
        speech_s = await self._workers.sockets.run(speech_seconds, voice, utterance.samples, self._settings)
        timings_ms["voice"] = _since_ms(started_s)
        if speech_s * 1000 < self._settings.min_speech_ms:
            raise NoSpeechError("nobody speaks in this audio")
        return replace(utterance, speech_s=speech_s)

    async def _embed(self, samples: Samples, timings_ms: dict[str, float]) -> Embedding | None:
        started_s = time.perf_counter()
        try:
            embedding = await self._workers.speaker.run(self.engines.speaker_encoder.embed, samples)
        except BabbleFishError as error:
            _log.warning("the voice stays unknown: %s", error)
            return None
        timings_ms["speaker"] = _since_ms(started_s)
        return embedding


def _recognised(
    utterance: Utterance,
    ways: Mapping[str, Way],
    translation: SpeechTranslation,
    embedding: Embedding | None,
    deadline: Deadline,
    timings_ms: Mapping[str, float],
) -> Recognised:
    transcript = translation.transcript
    texts = {**translation.translations, transcript.lang: transcript.text}
    return Recognised(utterance, transcript, embedding, texts, ways, deadline, timings_ms)


@contextlib.asynccontextmanager
async def _until(deadline: Deadline) -> AsyncGenerator[None, None]:
    """Give up waiting at the deadline, even for an engine that does not look at it.

    Raises:
        DeadlineExceededError: The moment has passed.
    """
    try:
        async with asyncio.timeout(max(0.0, deadline.at_s - time.monotonic())):
            yield
    except TimeoutError:
        deadline.cancel()
        raise DeadlineExceededError("the utterance took too long and was given up") from None


def _since_ms(started_s: float) -> float:
    return (time.perf_counter() - started_s) * 1000.0
