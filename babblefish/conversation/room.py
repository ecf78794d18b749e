"""A room: its members, what is said in it, the voices and results it remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from itertools import product

from babblefish.conversation.audience import Audience
from babblefish.conversation.clauses import Clauses
from babblefish.conversation.early import EarlyRecognition
from babblefish.conversation.echo import EchoGuard
from babblefish.conversation.expected_languages import expected_langs
from babblefish.conversation.glossary import Glossary
from babblefish.conversation.history import History, HistoryEntry, Keeper
from babblefish.conversation.interim import InterimCaptions
from babblefish.conversation.known_voices import KnownVoices
from babblefish.conversation.lag import Lag
from babblefish.conversation.members import Backlogs, Member
from babblefish.conversation.outbox import Outbox
from babblefish.conversation.passages import replayed
from babblefish.conversation.presence import PresenceNews
from babblefish.conversation.results import result_message
from babblefish.conversation.speakers import Keeper as VoicesKeeper
from babblefish.conversation.utterances import Utterances
from babblefish.conversation.voice_cast import VoiceCast
from babblefish.domain import Owner, Term
from babblefish.pipeline.pace import Pace
from babblefish.pipeline.pipeline import Pipeline
from babblefish.settings import Settings
from babblefish.telemetry.recorder import Recorder
from babblefish.wire import client_messages, server_messages


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
        keeper: Keeper | None = None,
        voices: VoicesKeeper | None = None,
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
            keeper: Stores its history; nobody may join before ``settle``.
            voices: Stores those of its voices whose person agreed.
        """
        self.name = name
        self.recorder = recorder
        self.audience = Audience(settings, pace)
        self.members = self.audience.members
        self.history = History(settings.history_limit if settings.retain else 0, room=name, keeper=keeper)
        self._cast = VoiceCast(pipeline.voices.of)
        self.voices = KnownVoices(
            name,
            self.members,
            pipeline.engines.speaker_encoder,
            settings,
            self.history,
            lambda speaker_id: self.presence.renamed(speaker_id),
            self._cast,
            voices,
        )
        self.speakers = self.voices.speakers
        self.presence = PresenceNews(self.members, self.speakers, pace)
        self.glossary = Glossary(self.members, pace, terms)
        self._pipeline = pipeline
        self._settings = settings
        self._pace = pace
        self._when_idle = when_idle
        self._echo = EchoGuard()
        self._backlogs = Backlogs(self.members)
        self.lag = Lag(self.members, pace, recorder)
        self.utterances = Utterances(
            self.audience,
            self.voices,
            self.history,
            self.glossary,
            self._backlogs,
            self.lag,
            self._echo,
            self._cast,
            pipeline,
            settings,
            recorder,
            self._look_whether_idle,
        )
        self._prepared: set[tuple[str, str]] = set()
        self._preparation_due: asyncio.TimerHandle | None = None
        self._preparations: set[asyncio.Task[None]] = set()

    @property
    def is_settled(self) -> bool:
        """Whether it knows what is stored of it, and every number that was given is stored."""
        return self.voices.is_settled and self.history.is_settled

    async def settle(self) -> None:
        """Wait for that; it goes on where it was."""
        await self.history.settle()
        await self.voices.settle()

    def join(self, member: Member) -> None:
        """Let a member in and tell everyone; it hears what ends from now on."""
        self._backlogs.adopt(member)
        member.joined_turn = self.utterances.turns.newest
        member.missed_until = self.history.newest_seq
        self.presence.greet(member)
        self.glossary.greet(member)
        self.members[member.client_id] = member
        self.voices.member_is_called(member)
        self.languages_changed()

    def leave(self, member: Member) -> None:
        """Let a member go and tell everyone; one that has gone already stays gone."""
        if self.members.pop(member.client_id, None) is not None:
            self._backlogs.forget(member.client_id)
            self.audience.left(member)
            self.presence.gone(member)
            self.voices.stop_enrolling(member)
            self.languages_changed()
            self._look_whether_idle()

    def languages_changed(self) -> None:
        """Tell everyone, in a moment, who is here and what they hear, and get ready for it."""
        self.presence.changed()
        if self._preparation_due is None:
            loop = asyncio.get_running_loop()
            self._preparation_due = loop.call_later(self._pace.presence_delay_s, self._prepare)

    def follow(self, member: Member, clauses: Clauses) -> InterimCaptions:
        """Return what tells the others, and ``clauses``, what a member is saying."""
        return InterimCaptions(
            member,
            self.members,
            self._pipeline,
            self._echo,
            self._pace,
            self.glossary,
            self.history,
            clauses,
            self.lag,
            self.utterances.names,
            enabled=self._settings.partials,
        )

    def anticipate(self, member: Member) -> EarlyRecognition:
        """Return what recognises an utterance of one client while its end is being made sure of."""
        return EarlyRecognition(
            self._pipeline,
            self.audience.langs,
            lambda: self.glossary.terms,
            lambda: expected_langs(member, self.members.values()),
        )

    def interpret(self, member: Member, early: EarlyRecognition) -> Clauses:
        """Return what cuts the speech of a member at the ends of clauses, where somebody wants that."""
        return Clauses(early, self._pipeline, partial(self.audience.wants_clauses, member))

    def guest(self, name: str, owner: Owner) -> Member:
        """Return somebody who says something here without being here, and so hears nothing and is told of no error.

        Args:
            name: Shown to the members.
            owner: Whose turn the work takes; ``client_id`` is the guest's.
        """
        detected = server_messages.AUTO
        guest = Member(
            client_id=owner.client_id,
            name=name,
            target_lang=detected,
            source_lang=detected,
            mode="utterance",
            audio="none",
            outbox=Outbox(1),
            owner=owner,
        )
        self._backlogs.adopt(guest)
        return guest

    async def replay(self, member: Member, request: client_messages.Resume) -> None:
        """Send a member that came back what it missed, in order and once, and only then what is new.

        Turns taken after it joined reach it by themselves, so only earlier ones are looked at. Those of them that are
        in flight are waited for, no longer than an utterance may take.
        """
        member.outbox.hold()
        await self.utterances.turns.all_passed(member.joined_turn + 1)
        knows_history = request.history_id == self.history.history_id
        after_seq = request.after_seq if knows_history else 0
        missed, lost = self.history.between(after_seq, member.missed_until, member.allowed_since_s)
        for entry in missed:
            await entry.complete.wait()
            await entry.kept.wait()
        shown = replayed(missed, self.history, member, self.utterances.passages)
        for entry in shown:
            await member.outbox.has_room()
            kept, name = entry.best_for(member.target_lang), self.name_now(entry)
            member.send(result_message(entry, kept, member.target_lang, speaker_name=name, replayed=True))
        member.missed_until = min(member.missed_until, after_seq)
        member.send(server_messages.Resumed(replayed=len(shown), lost=lost, lost_unknown=not knows_history))
        await member.outbox.release()

    def name_now(self, entry: HistoryEntry) -> str:
        """Return what whoever said something is called now."""
        speaker = entry.speaker
        if entry.is_typed:  # by a member, whatever its voice is called
            return speaker.name
        names = (known.name for known in self.speakers.list() if known.speaker_id == speaker.speaker_id)
        return next(names, speaker.name)

    @property
    def is_idle(self) -> bool:
        """Whether nobody is here and nothing is in flight."""
        return not self.members and not self.utterances.in_flight and not self._preparations

    async def drain(self) -> None:
        """Wait until every utterance in flight has reached its listeners' outboxes."""
        await self.utterances.drain()

    async def close(self) -> None:
        """Give up what is in flight."""
        self.lag.close()
        await self.utterances.close()
        await self.voices.close()
        preparations = set(self._preparations)
        for task in preparations:
            task.cancel()
        await asyncio.gather(*preparations, return_exceptions=True)

    def _look_whether_idle(self) -> None:
        if self.is_idle:
            self._when_idle()

    def _prepare(self) -> None:
        """Get ready for the languages of those here, who mostly speak what they hear."""
        self._preparation_due = None
        heard = {member.target_lang for member in self.members.values()}
        wanted = set(product(self.audience.spoken(), heard)) - self._prepared
        if wanted:
            self._prepared |= wanted
            task = asyncio.create_task(self._pipeline.prepare(wanted))
            self._preparations.add(task)
            task.add_done_callback(self._prepared_for)

    def _prepared_for(self, task: asyncio.Task[None]) -> None:
        self._preparations.discard(task)
        self._look_whether_idle()
