"""Text is translated: each client's in its order, what is interim only while nobody else needs the translator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from weakref import WeakValueDictionary

from babblefish import names
from babblefish.domain import NOBODY, Caption, Deadline, Owner, Quality
from babblefish.engines.contracts import ConversationTranslator, Engines, Route, TextRequest, TextTranslation
from babblefish.errors import BabbleFishError, EngineError, NoPathError
from babblefish.pipeline.job import UtteranceJob, until
from babblefish.pipeline.phrasebook import Phrasebook
from babblefish.pipeline.recognition import Recognition, as_written
from babblefish.pipeline.workers import Workers
from babblefish.settings import Settings


class Texts:
    """The text translator, on its worker, and the phrasebook, which knows some texts without it."""

    def __init__(self, engines: Engines, workers: Workers, settings: Settings) -> None:
        """Use engines that are loaded and warm."""
        self._translator = engines.text_translator
        self._workers = workers
        self._deadline_s = settings.utterance_deadline_s
        self._phrasebook = Phrasebook()
        self._in_turn: WeakValueDictionary[tuple[Owner, tuple[str, ...]], asyncio.Lock] = WeakValueDictionary()
        """By whose utterances are translated, and how."""
        self._ready: set[tuple[str, ...]] = set()
        """Paths that the translator is prepared for."""
        self._preparing: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()
        """By the paths that it is being prepared for."""
        self._interim_is_over = asyncio.Event()
        """Set while the text translator has no interim caption."""
        self._interim_is_over.set()

    async def prepare(self, route: Route, owner: Owner = NOBODY) -> None:
        """Get the text translator ready for a route, which is done once.

        Args:
            route: The text translator's.
            owner: Whose work it is.

        Raises:
            OverloadedError: Too many texts are waiting.
            EngineError: The text translator failed.
            DeadlineExceededError: It took longer than an utterance may.
        """
        if self._translator is None or route.path in self._ready:
            return
        deadline = Deadline.after(self._deadline_s)
        async with until(deadline), self._preparing.setdefault(route.path, asyncio.Lock()):
            if route.path not in self._ready:
                await self._workers.text.run(self._translator.prepare, route, deadline, owner=owner)
                self._ready.add(route.path)

    async def translate(self, text: str, source_lang: str, target_lang: str) -> Caption:
        """Translate text that nobody spoke; line breaks stay.

        Args:
            text: In the source language.
            source_lang: ISO 639-3.
            target_lang: ISO 639-3.

        Raises:
            NoPathError: The text translator has no route between the two languages.
            OverloadedError: Too many texts are waiting.
            EngineError: The text translator failed.
            DeadlineExceededError: It took too long.
        """
        if source_lang == target_lang:
            return Caption(text, target_lang, Quality.ORIGINAL, (source_lang,))
        route = self._translator.route(source_lang, target_lang) if self._translator else None
        if route is None:
            raise NoPathError(f"no text translator of this profile leads from {source_lang} to {target_lang}")
        if (phrase := self._phrasebook.translation(text, source_lang, target_lang)) is not None:
            return Caption(phrase, target_lang, Quality.GOOD, (source_lang, target_lang))
        await self.prepare(route)
        translated = await self._translated(text, route, Deadline.after(self._deadline_s))
        return Caption(translated.text, target_lang, route.quality, route.path)

    def phrase(self, recognition: Recognition, lang: str) -> str | None:
        """Return what the phrasebook makes of a transcript, where the glossary has nothing to say to it."""
        transcript = recognition.transcript
        if recognition.job.terms.between(transcript.text, transcript.lang, lang):
            return None
        return self._phrasebook.translation(transcript.text, transcript.lang, lang)

    async def translate_utterance(
        self, text: str, route: Route, job: UtteranceJob, on_clause: Callable[[str], None]
    ) -> TextTranslation:
        """Translate what was said in an utterance that has ended.

        Its deadline is put off by as long as the translator has to be prepared for the route: on a slow machine that
        takes a language model longer than the utterance, and happens once.

        Args:
            text: In the route's first language.
            route: The text translator's.
            job: The utterance.
            on_clause: Called with the translation so far whenever a further clause is finished, where the translator
                tells.

        Raises:
            OverloadedError: Too many texts are waiting.
            EngineError: The text translator failed.
            DeadlineExceededError: It took too long.
        """
        started_s = time.monotonic()
        await self.prepare(route, job.utterance.owner)
        job.deadline = job.deadline.later(time.monotonic() - started_s)
        return await self._translated(text, route, job.deadline, job, on_clause)

    async def translate_interim(self, text: str, route: Route, job: UtteranceJob) -> str | None:
        """Return the translation of what was said so far, or None where the text translator is busy or fails."""
        if self._workers.text.pending:
            return None
        try:
            await self.prepare(route, job.utterance.owner)
        except BabbleFishError:
            return None
        self._interim_is_over.clear()
        try:
            return (await self._translated(text, route, job.deadline, job)).text
        except BabbleFishError:
            return None
        finally:
            self._interim_is_over.set()

    async def _translated(
        self,
        text: str,
        route: Route,
        deadline: Deadline,
        of: UtteranceJob | None = None,
        on_clause: Callable[[str], None] = lambda _: None,
    ) -> TextTranslation:
        translator = self._translator
        if translator is None:
            raise EngineError("there is no text translator")
        ends = route.path[0], route.path[-1]
        owner, cost_s = (of.utterance.owner, of.utterance.cost_s) if of else (NOBODY, 1.0)
        run = partial(self._workers.text.run, owner=owner, cost_s=cost_s)
        async with until(deadline):
            if of is None or not of.is_interim:
                # One that runs has been given up and stops at its next token. A language model that began beside it
                # would have to read the examples of the pair a second time, for seconds.
                await self._interim_is_over.wait()
            if of is None or not isinstance(translator, ConversationTranslator):
                translated = TextTranslation(await run(translator.translate, text, route, deadline))
            else:
                loop = asyncio.get_running_loop()

                def tell(so_far: str) -> None:
                    loop.call_soon_threadsafe(on_clause, as_written(so_far, text, *ends))

                # What one client says comes in its order, so the next utterance gains nothing beside this one.
                # After it, it has its context, and finds what the model has read.
                async with self._in_turn.setdefault((owner, route.path), asyncio.Lock()):
                    request = TextRequest(
                        text,
                        route,
                        deadline,
                        of.context(*ends),
                        of.terms.between(text, *ends),
                        names.said(text, ends[0], of.names),
                        tell,
                    )
                    translated = await run(translator.translate_utterance, request)
        return replace(translated, text=as_written(translated.text, text, *ends))
