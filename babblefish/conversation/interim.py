"""Interim captions: what somebody says, told to the others while it is being said."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from babblefish.audio.segmenter import Segmenter
from babblefish.conversation.clauses import Clauses, Draft
from babblefish.conversation.echo import EchoGuard
from babblefish.conversation.expected_languages import expected_langs
from babblefish.conversation.glossary import Glossary
from babblefish.conversation.history import History
from babblefish.conversation.lag import Lag
from babblefish.conversation.members import Member, broadcast, offer
from babblefish.domain import Utterance
from babblefish.errors import BabbleFishError
from babblefish.languages import scripts
from babblefish.pipeline.job import UtteranceJob
from babblefish.pipeline.pace import Pace
from babblefish.pipeline.pipeline import Pipeline
from babblefish.pipeline.recognition import Recognition
from babblefish.wire.server_messages import Partial

_log = logging.getLogger(__name__)

_MIN_LANG_CONFIDENCE = 0.5
"""Words in a language that probably is another one would all be replaced."""

_UNSPACED = frozenset({"CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"})
"""Scripts that leave no space between words."""


class InterimCaptions:
    """What one client is saying at this moment, recognised now and then.

    What is recognised also tells whether a clause has ended (``Clauses``); for that it need not wait until what was
    said before is translated and spoken.

    The captions of those whose utterance has ended come first. So an interim recognition begins only while its speaker
    speaks and the engines have nothing else to do (``IdleGate``), and it is given up when an utterance ends. It is lost
    to a client that reads slowly, and never sent after the end of its utterance.
    """

    def __init__(
        self,
        member: Member,
        members: Mapping[str, Member],
        pipeline: Pipeline,
        echo: EchoGuard,
        pace: Pace,
        glossary: Glossary,
        history: History,
        clauses: Clauses,
        lag: Lag,
        names: Callable[[], Collection[str]],
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Follow a client.

        Args:
            member: The client.
            members: Of its room, as they come and go.
            pipeline: With the engines.
            echo: Of its room.
            pace: How often.
            glossary: Of its room.
            history: Of its room.
            clauses: Of this client.
            lag: Of its room, which goes without interim captions while it is behind.
            names: Returns those that people in its room go by.
            enabled: Whether there are to be any.
            clock: In seconds.
        """
        self._member = member
        self._members = members
        self._pipeline = pipeline
        self._echo = echo
        self._pace = pace
        self._glossary = glossary
        self._history = history
        self._clauses = clauses
        self._lag = lag
        self._names = names
        self._enabled = enabled
        self._clock = clock
        self._next_s = -float("inf")
        self._job: UtteranceJob | None = None
        self._task: asyncio.Task[None] | None = None
        self._shown: dict[str, str] = {}
        """Language → text, as the others read it now."""

    def hear(self, utterance_id: str, segmenter: Segmenter, source_langs: frozenset[str]) -> None:
        """Recognise what is being said, if it is time and there is time.

        Args:
            utterance_id: That the result will have.
            segmenter: Of this client's stream, after each frame.
            source_langs: The languages it may be in, as ``Utterance`` has them.
        """
        if self._task is not None:
            return
        is_draft = self._clauses.awaits_draft(segmenter)
        if not (is_draft or self._is_due(segmenter)):
            return
        target_langs = {member.target_lang for member in _reading(self._members.values())} if self._enabled else set()
        if not (is_draft or target_langs):
            return
        samples = segmenter.so_far()
        job = self._pipeline.begin_interim(
            Utterance(
                utterance_id,
                self._member.client_id,
                samples,
                source_langs,
                time.monotonic(),
                segmenter.speech_s,
                self._member.owner,
            ),
            self._glossary.terms,
            is_draft,
        )
        if job is None:
            return
        self._clauses.asked(len(samples))
        job.context = self._history.context
        job.names = self._names()
        job.expected_langs = expected_langs(self._member, self._members.values())
        self._next_s = self._clock() + self._pace.interim_every_s
        self._job = job
        self._task = asyncio.create_task(self._caption(job, target_langs))
        self._task.add_done_callback(self._done)

    def _is_due(self, segmenter: Segmenter) -> bool:
        is_enough = segmenter.is_speaking and segmenter.speech_s >= self._pace.interim_min_speech_s
        return self._enabled and is_enough and self._clock() >= self._next_s and not self._lag.sheds("interim")

    def end(self) -> None:
        """Give up what is being recognised, as the utterance has ended."""
        if self._job is not None:
            self._job.deadline.cancel()
        self._shown.clear()

    async def close(self) -> None:
        """Give up what is being recognised, as the client has gone."""
        self.end()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _done(self, task: asyncio.Task[None]) -> None:
        if self._job is not None:
            self._pipeline.end(self._job)
        self._task = self._job = None
        if not task.cancelled() and task.exception() is not None:
            _log.error("unhandled error in an interim caption", exc_info=task.exception())

    async def _caption(self, job: UtteranceJob, target_langs: set[str]) -> None:
        # Whatever fails, the result will tell.
        with contextlib.suppress(BabbleFishError):
            recognition = await self._pipeline.recognise_interim(job, target_langs)
            job.deadline.check()
            self._clauses.take(Draft(job.utterance_id, len(job.utterance.samples), recognition.transcript))
            if recognition.transcript.lang_confidence < _MIN_LANG_CONFIDENCE:
                return
            self._echo.compare(job.utterance, recognition.transcript)
            texts = {lang: _steady(text, lang) for lang, text in recognition.texts.items()}
            recognition = replace(recognition, texts=texts)
            for plan, targets in recognition.targets_by_plan().items():
                text = await self._pipeline.interim_text(recognition, plan)
                job.deadline.check()
                # A text that is shorter than the one that is read already says nothing new.
                if text and not self._shown.get(plan.lang, "").startswith(text):
                    self._send(recognition, plan.lang, targets, text)

    def _send(self, recognition: Recognition, lang: str, targets: frozenset[str], text: str) -> None:
        self._shown[lang] = text
        show(self._member, self._members.values(), recognition, lang, targets, text, self._clauses.continues)


def show(
    sender: Member,
    members: Iterable[Member],
    recognition: Recognition,
    lang: str,
    targets: frozenset[str],
    text: str,
    continues: bool = False,
) -> None:
    """Show the members who read along what is known of a caption.

    Args:
        sender: Who says it.
        members: Those who may get it.
        recognition: What is said.
        lang: Of the caption.
        targets: The languages of those who get this caption.
        text: What is known of it.
        continues: As the result will have it.
    """
    transcript = recognition.transcript
    sender.captioned.add(recognition.job.utterance_id)
    partial = Partial(
        utterance_id=recognition.job.utterance_id,
        client_id=sender.client_id,
        name=sender.name,
        source_text=recognition.texts[transcript.lang],
        source_lang=transcript.lang,
        translation=text,
        target_lang=lang,
        continues=continues,
    )
    offer((member for member in _reading(members) if member.target_lang in targets), partial)


def _reading(members: Iterable[Member]) -> list[Member]:
    """Return those who read interim captions; who is being sent what it missed has other things to read."""
    return [member for member in members if member.mode == "stream" and not member.outbox.is_catching_up]


def take_back(sender: Member, members: Mapping[str, Member], utterance_id: str) -> None:
    """Tell those who have read an interim caption that nothing came of the utterance; nobody, where none was sent."""
    if utterance_id in sender.captioned:
        sender.captioned.discard(utterance_id)
        partial = Partial(
            utterance_id=utterance_id,
            client_id=sender.client_id,
            name=sender.name,
            source_text="",
            source_lang="",
            translation="",
            target_lang="",
        )
        broadcast((member for member in members.values() if member.mode == "stream"), partial)


def _steady(text: str, lang: str) -> str:
    """Leave out the end of a text, which changes most as more is heard: the last word may be half of one.

    Masking the last words is what Arivazhagan et al. found to remove most flicker of captions that are made anew again
    and again ("Re-translation versus Streaming for Simultaneous Translation", 2020).
    """
    return text[:-2] if scripts(lang) & _UNSPACED else text.strip().rpartition(" ")[0]
