"""A room: its members, the utterances they hear, the voices and results it remembers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from itertools import product

from structlog.contextvars import bind_contextvars

from babblefish.conversation.delivery import Channel, Delivery, open_channels
from babblefish.conversation.early import BegunRecognition, EarlyRecognition
from babblefish.conversation.echo import EchoGuard
from babblefish.conversation.expected_languages import expected_langs, remember
from babblefish.conversation.glossary import Glossary
from babblefish.conversation.history import History, HistoryEntry
from babblefish.conversation.interim import InterimCaptions, show, take_back
from babblefish.conversation.members import Backlog, Member, broadcast
from babblefish.conversation.presence import PresenceNews
from babblefish.conversation.results import result_message
from babblefish.conversation.speakers import SpeakerRegistry
from babblefish.conversation.turns import Turns
from babblefish.domain import (
    UNKNOWN_SPEAKER,
    UNKNOWN_SPEAKER_ID,
    BabbleFishError,
    NotYoursError,
    OverloadedError,
    SpeakerMatch,
    Term,
    Utterance,
)
from babblefish.pipeline.fair_queue import FairQueue, Waiting
from babblefish.pipeline.job import UtteranceJob
from babblefish.pipeline.pace import Pace
from babblefish.pipeline.pipeline import Pipeline, Recognition
from babblefish.settings import Settings
from babblefish.telemetry.prometheus import CANCELLED, RESULT
from babblefish.telemetry.recorder import Recorder
from babblefish.wire import client_messages, server_messages

_log = logging.getLogger(__name__)


class _Said(Waiting):
    """An utterance that has ended and waits for its turn."""

    def __init__(self, job: UtteranceJob, sender: Member, begun: BegunRecognition | None) -> None:
        # Needed alike: what one client says keeps the order in which it came.
        super().__init__(job.utterance.owner, job.utterance.duration_s, needed_s=0.0)
        self.job = job
        self.sender = sender
        self.begun = begun


class Room:
    """One conversation: its members, its known voices and its utterances in flight."""

    def __init__(
        self,
        name: str,
        pipeline: Pipeline,
        settings: Settings,
        recorder: Recorder,
        when_idle: Callable[[], None],
        pace: Pace,
        terms: Collection[Term] = (),
    ) -> None:
        """Open an empty room.

        Args:
            name: Its name.
            pipeline: Where its utterances go.
            settings: The server's.
            recorder: Hears of what happens in it.
            when_idle: Called whenever nobody is left and nothing in flight.
            pace: How long it waits for things.
            terms: That its glossary begins with.
        """
        self.name = name
        self.recorder = recorder
        self.members: dict[str, Member] = {}
        scale = pipeline.engines.speaker_encoder.scale
        self.speakers = SpeakerRegistry(scale, settings.speaker_min_s, settings.speaker_threshold)
        self.history = History(settings.history_limit if settings.retain else 0)
        self.presence = PresenceNews(self.members, self.speakers, pace)
        self.glossary = Glossary(self.members, pace, terms)
        self._pipeline = pipeline
        self._settings = settings
        self._pace = pace
        self._when_idle = when_idle
        self._echo = EchoGuard()
        self._delivery = Delivery(pipeline, self._echo, recorder)
        self._turns = Turns()
        self._waiting: FairQueue[_Said] = FairQueue()
        self._recognising = 0
        self._backlogs: dict[str, Backlog] = {}
        """By client id: of the members, and of those that have left with something unfinished."""
        self._left_s: dict[str, float] = {}
        """Language → ``time.monotonic()`` at which the last of its listeners left."""
        self._prepared: set[tuple[str, str]] = set()
        self._preparation_due: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._preparations: set[asyncio.Task[None]] = set()

    def join(self, member: Member) -> None:
        """Let a member in and tell everyone; it hears what ends from now on."""
        member.backlog = self._backlogs.setdefault(member.client_id, member.backlog)
        member.joined_turn = self._turns.newest
        member.missed_until = self.history.newest_seq
        self.presence.greet(member)
        self.glossary.greet(member)
        self.members[member.client_id] = member
        self.languages_changed()

    def leave(self, member: Member) -> None:
        """Let a member go and tell everyone; one that has gone already stays gone."""
        if self.members.pop(member.client_id, None) is not None:
            self._forget_backlog(member.client_id)
            self._left_s[member.target_lang] = time.monotonic()
            self.presence.gone(member)
            self.languages_changed()
            self._look_whether_idle()

    def languages_changed(self) -> None:
        """Tell everyone, in a moment, who is here and what they hear, and get ready for it."""
        self.presence.changed()
        if self._preparation_due is None:
            loop = asyncio.get_running_loop()
            self._preparation_due = loop.call_later(self._pace.presence_delay_s, self._prepare)

    def may_speak(self, member: Member) -> frozenset[str]:
        """Return the languages a member may be speaking; none at all means any."""
        if member.source_lang == server_messages.AUTO:
            return frozenset()
        return self._spoken_here() if member.source_lang == server_messages.ROOM else frozenset({member.source_lang})

    def _spoken_here(self) -> frozenset[str]:
        """Return what those here declared that they speak, and where they did not, what they hear."""
        detected = (server_messages.AUTO, server_messages.ROOM)
        return frozenset(
            member.target_lang if member.source_lang in detected else member.source_lang
            for member in self.members.values()
        )

    def follow(self, member: Member) -> InterimCaptions:
        """Return what tells the others what a member is saying."""
        return InterimCaptions(
            member,
            self.members,
            self._pipeline,
            self._echo,
            self._pace,
            self.glossary,
            self.history,
            enabled=self._settings.partials,
        )

    def anticipate(self, member: Member) -> EarlyRecognition:
        """Return what recognises an utterance of one client while its end is being made sure of."""
        return EarlyRecognition(
            self._pipeline,
            self._heard_here,
            lambda: self.glossary.terms,
            lambda: expected_langs(member, self.members.values()),
        )

    def rename_speaker(self, speaker_id: str, name: str, by: Member) -> None:
        """Give a voice its name for everyone.

        Raises:
            UnknownSpeakerError: No such voice in this room.
            NotYoursError: It was last heard through another member's client. The admin may rename any.
        """
        heard_through = self.speakers.last_client_of(speaker_id)
        if heard_through != by.client_id and heard_through in self.members and not by.is_admin:
            raise NotYoursError("this voice belongs to another member, who can rename it")
        self.speakers.rename(speaker_id, name)
        self.presence.renamed(speaker_id)

    async def has_room(self, sender: Member) -> None:
        """Wait until another utterance of a client that is in no hurry has something to gain from ``begin``.

        Those before it then are being recognised, translated and spoken. It would only wait behind more of them, until
        its deadline perhaps, which counts from ``begin``.
        """
        underway = self._pipeline.recognised_at_once + 2
        await sender.backlog.below(min(underway, self._settings.utterances_per_client))

    def begin(self, utterance: Utterance, sender: Member, early: EarlyRecognition | None = None) -> None:
        """Take an utterance to every member in their language; whatever fails, only this utterance is lost.

        It goes on when its sender has gone, for the others' sake and for those who come back.

        Args:
            utterance: That has ended.
            sender: Who said it.
            early: What may have begun to recognise it.

        Raises:
            OverloadedError: Too many utterances of this client are not finished.
        """
        backlog = sender.backlog
        if backlog.in_flight >= self._settings.utterances_per_client:
            take_back(sender, self.members, utterance.utterance_id)
            if early is not None:
                early.give_up()
            raise OverloadedError(f"{backlog.in_flight} of your utterances are waiting; please speak again in a moment")
        backlog.in_flight += 1
        self.recorder.began(utterance)
        begun = early.take(utterance) if early is not None else None
        job = begun.job if begun is not None else self._pipeline.begin(utterance, self.glossary.terms)
        self._waiting.put(_Said(job, sender, begun))
        self._begin_next()

    def _begin_next(self) -> None:
        """Give what waits its turn, as much as is recognised at once, fairly between addresses and clients.

        Results come in the order of turns, so a turn is taken no sooner than it can be used: whoever says a lot holds
        up the others by what is being recognised, not by all of it. The listeners are those of this moment: who changes
        language meanwhile still gets it once. Where nobody is left to listen or to come back, there is nothing to do.
        """
        while self._recognising < self._pipeline.recognised_at_once and (said := self._waiting.take()):
            if not self._heard_here():
                if said.begun is not None:
                    said.begun.recognising.cancel()
                self._end(said.job, said.sender, CANCELLED)
                continue
            self._recognising += 1
            said.job.turn = self._turns.take()
            self._spawn(self._serve(said, open_channels(self.members.values())), self._tasks)

    async def _serve(self, said: _Said, channels: list[Channel]) -> None:
        """Have an utterance recognised, find out whether it becomes a result, and have that delivered."""
        job, sender = said.job, said.sender
        outcome = CANCELLED
        entry: HistoryEntry | None = None
        try:
            bind_contextvars(utterance_id=job.utterance_id, client_id=job.utterance.client_id)
            recognition = await self._recognise(said, channels)
            await self._turns.all_passed(job.turn)
            await self._refuse_what_was_heard(recognition)
            remember(sender, recognition.transcript)
            entry = self._remember(recognition, self._identify(recognition, sender))
            self._turns.pass_on(job.turn)
            await self._delivery.serve(channels, entry, recognition, partial(show, sender, self.members, recognition))
            sender.captioned.discard(job.utterance_id)
            outcome = RESULT
        except BabbleFishError as error:
            outcome = self._tell(job, sender, error)
        except Exception:
            _log.exception("unhandled error in an utterance")
            outcome = self._tell(job, sender, BabbleFishError("the server failed on this utterance"))
        finally:
            self._turns.pass_on(job.turn)
            if entry is not None:
                entry.complete.set()
            for channel in channels:
                channel.settle()
            self._end(job, sender, outcome)

    async def _refuse_what_was_heard(self, recognition: Recognition) -> None:
        """Accept an utterance as new.

        Raises:
            DuplicateUtteranceError, EchoError: As ``EchoGuard.check``.
        """
        utterance, transcript = recognition.job.utterance, recognition.transcript
        is_person = self._echo.repeats_speech(utterance, transcript) and await self._is_person(recognition)
        self._echo.check(utterance, transcript, is_person)

    async def _is_person(self, recognition: Recognition) -> bool:
        """Say whether an utterance sounds like a person known here, and more so than like the voice that speaks."""
        if recognition.embedding is None:
            return False
        utterance = recognition.job.utterance
        speech_s = utterance.speech_s or 0.0
        likeness = self.speakers.likeness_of_person(recognition.embedding, speech_s, utterance.client_id)
        if likeness is None:
            return False
        synthetic = await self._pipeline.voices.likeness(recognition.transcript.lang, recognition.embedding, speech_s)
        return synthetic is None or likeness > synthetic

    async def _recognise(self, said: _Said, channels: list[Channel]) -> Recognition:
        """Recognise an utterance, and let what waits take its turn then."""
        target_langs = {channel.lang for channel in channels} | self._langs_away()
        try:
            if said.begun is not None:
                recognition = self._pipeline.also_in(await said.begun.recognising, target_langs)
            else:
                said.job.expected_langs = expected_langs(said.sender, self.members.values())
                recognition = await self._pipeline.recognise(said.job, target_langs)
        finally:
            self._recognising -= 1
            self._begin_next()
        self.recorder.stages(said.job.timings.own_ms)
        if self._settings.log_transcripts:
            _log.info("%s: %s", recognition.transcript.lang, recognition.transcript.text)
        return recognition

    def _tell(self, job: UtteranceJob, sender: Member, error: BabbleFishError) -> str:
        """Tell a sender why an utterance is lost, and return that as its outcome."""
        sender.send(server_messages.error_message(error, job.utterance_id))
        return error.code

    def _end(self, job: UtteranceJob, sender: Member, outcome: str) -> None:
        """Be done with an utterance, whatever became of it."""
        self._pipeline.end(job)
        sender.backlog.one_ended()
        self._forget_backlog(sender.client_id)
        take_back(sender, self.members, job.utterance_id)
        self.recorder.ended(job.utterance_id, outcome)

    def _forget_backlog(self, client_id: str) -> None:
        if client_id not in self.members and (backlog := self._backlogs.get(client_id)) and not backlog.in_flight:
            del self._backlogs[client_id]

    def _identify(self, recognition: Recognition, sender: Member) -> SpeakerMatch:
        if recognition.embedding is None:
            self.recorder.lost("speaker")
            return UNKNOWN_SPEAKER
        utterance = recognition.job.utterance
        speech_s = utterance.speech_s or 0.0
        match = self.speakers.identify(recognition.embedding, speech_s, sender.client_id, sender.name)
        if match.speaker_id != UNKNOWN_SPEAKER_ID and not match.is_likely and self._echo.is_quiet(utterance):
            self.speakers.heard_in_quiet(match.speaker_id)
        if match.is_new:
            message = server_messages.Speaker(speaker_id=match.speaker_id, name=match.name)
            broadcast(self.members.values(), message)
        return match

    def _remember(self, recognition: Recognition, speaker: SpeakerMatch) -> HistoryEntry:
        """Make an utterance a result, with its number; turns come here one after another."""
        job = recognition.job
        captions_due = len(recognition.targets_by_plan())
        entry = self.history.append(job, recognition.transcript, speaker, captions_due)
        job.context = partial(self.history.context, before_seq=entry.seq)
        for member in self.members.values():
            if member.joined_turn >= job.turn:
                member.missed_until = entry.seq
        return entry

    async def replay(self, member: Member, request: client_messages.Resume) -> None:
        """Send a member that came back what it missed, in order and once, and only then what is new.

        Turns taken after it joined reach it by themselves, so only earlier ones are looked at. Those of them that are
        in flight are waited for, no longer than an utterance may take.
        """
        member.outbox.hold()
        await self._turns.all_passed(member.joined_turn + 1)
        knows_history = request.history_id == self.history.history_id
        after_seq = request.after_seq if knows_history else 0
        missed, lost = self.history.between(after_seq, member.missed_until, member.allowed_since_s)
        for entry in missed:
            await entry.complete.wait()
            await member.outbox.has_room()
            kept, name = entry.best_for(member.target_lang), self._name_now(entry.speaker)
            member.send(result_message(entry, kept, member.target_lang, speaker_name=name, replayed=True))
        member.missed_until = min(member.missed_until, after_seq)
        member.send(server_messages.Resumed(replayed=len(missed), lost=lost, lost_unknown=not knows_history))
        await member.outbox.release()

    def _name_now(self, speaker: SpeakerMatch) -> str:
        names = (known.name for known in self.speakers.list() if known.speaker_id == speaker.speaker_id)
        return next(names, speaker.name)

    def _heard_here(self) -> set[str]:
        """Return the languages of those here, and of those who may come back."""
        return {member.target_lang for member in self.members.values()} | self._langs_away()

    def _langs_away(self) -> set[str]:
        """Return the languages of those who left so lately that they may come back."""
        away_s = self._pace.away_s if self._settings.retain else 0.0
        now_s = time.monotonic()
        return {lang for lang, left_s in self._left_s.items() if now_s - left_s < away_s}

    @property
    def is_idle(self) -> bool:
        """Whether nobody is here and nothing is in flight."""
        return not self.members and not self._tasks and not self._preparations

    async def drain(self) -> None:
        """Wait until every utterance in flight has reached its listeners' outboxes."""
        while self._tasks:  # one that waits for its sender's last one begins before that ends
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Give up the utterances in flight."""
        self._waiting = FairQueue()
        tasks = self._tasks | self._preparations
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            self._look_whether_idle()

        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(ended)

    def _look_whether_idle(self) -> None:
        if self.is_idle:
            self._when_idle()

    def _prepare(self) -> None:
        """Get ready for the languages of those here, who mostly speak what they hear."""
        self._preparation_due = None
        heard = {member.target_lang for member in self.members.values()}
        wanted = set(product(self._spoken_here(), heard)) - self._prepared
        if wanted:
            self._prepared |= wanted
            self._spawn(self._pipeline.prepare(wanted), self._preparations)
