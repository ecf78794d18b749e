"""Interim captions: what somebody says, told to the others while it is being said."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from babblefish.audio.segmenter import Segmenter
from babblefish.conversation.echo import EchoGuard
from babblefish.conversation.members import Member, offer
from babblefish.domain import BabbleFishError, Deadline, Utterance
from babblefish.languages import scripts
from babblefish.pipeline.pipeline import Pipeline, Recognised
from babblefish.pipeline.routing import Way
from babblefish.settings import Settings
from babblefish.wire import server_messages

_log = logging.getLogger(__name__)

_MIN_SPEECH_S = 1.5
"""In less speech neither the language nor the words are sure, and it is mostly over before they could be read."""

_EVERY_S = 1.5
"""Time from one recognition of a client's to the next: readers get a few words at a time."""

_MIN_LANG_CONFIDENCE = 0.5
"""Words in a language that probably is another one would all be replaced."""

_UNSPACED = frozenset({"CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"})
"""Scripts that leave no space between words."""


class Interim:
    """What one client is saying at this moment: a recognition of it now and then, and the id its result will have.

    The captions of those whose utterance has ended come first. So an interim recognition begins only while its speaker
    speaks and the engines have nothing else to do (``SpareTime``), and it is given up when an utterance ends. It is
    lost to a client that reads slowly, and never sent after the end of its utterance.
    """

    def __init__(
        self,
        member: Member,
        members: Mapping[str, Member],
        pipeline: Pipeline,
        echo: EchoGuard,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Follow a client.

        Args:
            member: The client.
            members: Of its room, as they come and go.
            pipeline: With the engines.
            echo: Of its room.
            settings: For ``partials`` and ``utterance_deadline_s``.
            clock: In seconds.
        """
        self._member = member
        self._members = members
        self._pipeline = pipeline
        self._echo = echo
        self._enabled = settings.partials
        self._deadline_s = settings.utterance_deadline_s
        self._clock = clock
        self._utterance_id = _new_id()
        self._next_s = -float("inf")
        self._deadline = Deadline.after(0.0)
        self._task: asyncio.Task[None] | None = None
        self._shown: dict[str, str] = {}
        """Language → text, as the others read it now."""

    def hear(self, segmenter: Segmenter, source_langs: frozenset[str]) -> None:
        """Recognise what is being said, if it is time and there is time.

        Args:
            segmenter: Of this client's stream, after each frame.
            source_langs: The languages it may be in, as ``Utterance`` has them.
        """
        is_due = self._task is None and self._clock() >= self._next_s
        if not (self._enabled and is_due and segmenter.is_speaking and segmenter.speech_s >= _MIN_SPEECH_S):
            return
        target_langs = {member.target_lang for member in self._listeners()}
        samples = segmenter.so_far()
        utterance = Utterance(
            self._utterance_id, self._member.client_id, samples, source_langs, time.monotonic(), segmenter.speech_s
        )
        if not target_langs or not self._pipeline.can_draft(utterance.duration_s):
            return
        self._next_s = self._clock() + _EVERY_S
        self._deadline = Deadline.after(self._deadline_s)
        self._pipeline.spare.borrow(self._deadline)
        self._task = asyncio.create_task(self._tell(utterance, target_langs, self._deadline))
        self._task.add_done_callback(self._done)

    def end(self) -> str:
        """Give up what is being recognised, and return the id of the utterance that has ended."""
        ended = self._utterance_id
        self._deadline.cancel()
        self._utterance_id = _new_id()
        self._shown.clear()
        return ended

    async def close(self) -> None:
        """Give up what is being recognised, as the client has gone."""
        self._deadline.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._pipeline.spare.give_back()
        if not task.cancelled() and task.exception() is not None:
            _log.error("no interim caption, by a fault of the server", exc_info=task.exception())

    def _listeners(self) -> list[Member]:
        """Return those who read interim captions; who is being sent what it missed has other things to read."""
        return [member for member in self._members.values() if member.mode == "stream" and member.held is None]

    async def _tell(self, utterance: Utterance, target_langs: set[str], deadline: Deadline) -> None:
        # Whatever fails, the result will tell.
        with contextlib.suppress(BabbleFishError):
            draft = await self._pipeline.draft(utterance, target_langs, deadline)
            deadline.check()
            if draft.transcript.lang_confidence < _MIN_LANG_CONFIDENCE:
                return
            self._echo.compare(utterance, draft.transcript)
            draft = replace(draft, texts={lang: _steady(text, lang) for lang, text in draft.texts.items()})
            for way, targets in draft.targets_by_way().items():
                text = await self._pipeline.draft_text(draft, way)
                deadline.check()
                # A text that is shorter than the one that is read already says nothing new.
                if text and not self._shown.get(way.lang, "").startswith(text):
                    self._send(draft, way, targets, text)

    def _send(self, draft: Recognised, way: Way, targets: frozenset[str], text: str) -> None:
        lang = draft.transcript.lang
        self._shown[way.lang] = text
        self._member.announced.add(draft.utterance.utterance_id)
        partial = server_messages.Partial(
            utterance_id=draft.utterance.utterance_id,
            client_id=self._member.client_id,
            name=self._member.name,
            source_text=draft.texts[lang],
            source_lang=lang,
            translation=text,
            target_lang=way.lang,
        )
        offer((member for member in self._listeners() if member.target_lang in targets), partial)


def take_back(sender: Member, members: Mapping[str, Member], utterance_id: str) -> None:
    """Tell those who have read an interim caption that nothing came of the utterance; nobody, where none was sent."""
    if utterance_id in sender.announced:
        partial = server_messages.Partial(
            utterance_id=utterance_id,
            client_id=sender.client_id,
            name=sender.name,
            source_text="",
            source_lang="",
            translation="",
            target_lang="",
        )
        offer((member for member in members.values() if member.mode == "stream"), partial)
    sender.announced.discard(utterance_id)


def _steady(text: str, lang: str) -> str:
    """Leave out the end of a text, which changes most as more is heard: the last word may be half of one.

    Masking the last words is what Arivazhagan et al. found to remove most flicker of captions that are made anew again
    and again ("Re-translation versus Streaming for Simultaneous Translation", 2020).
    """
    return text[:-2] if scripts(lang) & _UNSPACED else text.strip().rpartition(" ")[0]


def _new_id() -> str:
    return uuid.uuid4().hex[:12]
