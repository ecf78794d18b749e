"""A room: who hears whom, in which order, and each result serialized once for all who share a language."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from itertools import product

from structlog.contextvars import bind_contextvars

from babblefish.conversation.delivery import Channel, Delivery, Turn, all_set, transcribed
from babblefish.conversation.echo import EchoGuard
from babblefish.conversation.history import Entry, History
from babblefish.conversation.interim import Interim, take_back
from babblefish.conversation.members import Member, broadcast
from babblefish.conversation.speakers import SpeakerRegistry
from babblefish.domain import (
    UNKNOWN_SPEAKER,
    BabbleFishError,
    OverloadedError,
    SpeakerMatch,
    Utterance,
)
from babblefish.pipeline.pipeline import Pipeline, Recognised
from babblefish.pipeline.workers import Workers
from babblefish.settings import Settings
from babblefish.telemetry.prometheus import CANCELLED, RESULT
from babblefish.telemetry.recorder import Recorder
from babblefish.wire import client_messages, server_messages

_log = logging.getLogger(__name__)

_NEWS_DELAY_S = 0.05
"""Changes of members and names this close together are told once."""

_TALKING_DELAY_S = 0.2
"""Who talks is told this often at most, so that nobody can flood the room by speaking in bursts."""

_AWAY_S = 60.0
"""Captions are made for a language this long after its last listener left: a lost connection mostly is back by then."""


class Room:
    """One conversation: its members, its known voices and its utterances in flight."""

    def __init__(
        self,
        name: str,
        pipeline: Pipeline,
        workers: Workers,
        settings: Settings,
        recorder: Recorder,
        when_idle: Callable[[], None],
    ) -> None:
        """Open an empty room; ``when_idle`` is called whenever nobody is left and nothing in flight."""
        self.name = name
        self.recorder = recorder
        self._when_idle = when_idle
        self.members: dict[str, Member] = {}
        scale = pipeline.engines.speaker_encoder.scale
        self.speakers = SpeakerRegistry(scale, settings.speaker_min_s, settings.speaker_threshold)
        self._pipeline = pipeline
        self._echo = EchoGuard()
        self._delivery = Delivery(pipeline, workers, self._echo, recorder)
        self.history = History(settings.history_limit if settings.retain else 0)
        self._away_s = _AWAY_S if settings.retain else 0.0
        self._news_due: asyncio.TimerHandle | None = None
        self._talking_due: asyncio.TimerHandle | None = None
        self._left_s: dict[str, float] = {}
        self._renamed: set[str] = set()
        self._prepared: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._preparations: set[asyncio.Task[None]] = set()
        self._turns = 0
        self._unknown: set[asyncio.Event] = set()
        self._settings = settings

    def join(self, member: Member) -> None:
        """Let a member in and tell everyone; it hears what ends from now on."""
        member.joined_turn = self._turns
        member.unknown = {event for event in self._unknown if not event.is_set()}
        member.missed_until = self.history.newest_seq
        for other in self.members.values():
            if other.told_talking:
                member.send(server_messages.Talking(client_id=other.client_id, talking=True))
        self.members[member.client_id] = member
        self.tell_presence()

    def leave(self, member: Member) -> None:
        """Let a member go and tell everyone; one that has gone already stays gone."""
        if self.members.pop(member.client_id, None) is not None:
            self._left_s[member.target_lang] = time.monotonic()
            if member.told_talking:
                broadcast(self.members.values(), server_messages.Talking(client_id=member.client_id, talking=False))
            self.tell_presence()
            self._look_whether_idle()

    def tell_talking(self, member: Member, is_talking: bool) -> None:
        """Tell the others, in a moment, whether a member talks."""
        member.is_talking = is_talking
        if self._talking_due is None and is_talking != member.told_talking:
            self._talking_due = asyncio.get_running_loop().call_later(_TALKING_DELAY_S, self._tell_talking)

    def _tell_talking(self) -> None:
        self._talking_due = None
        for member in self.members.values():
            if member.is_talking != member.told_talking:
                member.told_talking = member.is_talking
                others = (other for other in self.members.values() if other is not member)
                broadcast(others, server_messages.Talking(client_id=member.client_id, talking=member.is_talking))

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

    def tell_presence(self) -> None:
        """Tell everyone, in a moment, who is here and what they hear."""
        if self._news_due is None:
            self._news_due = asyncio.get_running_loop().call_later(_NEWS_DELAY_S, self._tell_news)

    def _tell_news(self) -> None:
        self._news_due = None
        self._prepare()
        for known in self.speakers.list():
            if known.speaker_id in self._renamed:
                renamed = server_messages.Speaker(speaker_id=known.speaker_id, name=known.name)
                broadcast(self.members.values(), renamed)
        self._renamed.clear()
        members = [
            server_messages.MemberInfo(
                client_id=member.client_id,
                name=member.name,
                target_lang=member.target_lang,
                source_lang=member.source_lang,
            )
            for member in self.members.values()
        ]
        broadcast(self.members.values(), server_messages.Presence(members=members))

    def follow(self, member: Member) -> Interim:
        """Return what tells the others what a member is saying."""
        return Interim(member, self.members, self._pipeline, self._echo, self._settings)

    def rename_speaker(self, speaker_id: str, name: str) -> None:
        """Give a voice its name for everyone.

        Raises:
            UnknownSpeakerError: No such voice in this room.
        """
        self.speakers.rename(speaker_id, name)
        self._renamed.add(speaker_id)
        self.tell_presence()

    def start(self, utterance: Utterance, sender: Member) -> None:
        """Take an utterance to every member in their language; whatever fails, only this utterance is lost.

        The listeners are those of this moment: who changes language meanwhile still gets it once. It goes on when its
        sender has gone, for the others' sake and for those who come back; where nobody is left to do so, there is
        nothing to do.

        Raises:
            OverloadedError: Too many utterances of this client are not finished.
        """
        if not self.members and not self._langs_away():
            return
        if sender.in_flight >= self._settings.utterances_per_client:
            take_back(sender, self.members, utterance.utterance_id)
            raise OverloadedError(f"{sender.in_flight} of your utterances are waiting; please speak again in a moment")
        sender.in_flight += 1
        self._pipeline.spare.claim()
        self._spawn(self._serve(utterance, sender, self._take_turn()), self._tasks)

    async def replay(self, member: Member, request: client_messages.Resume) -> None:
        """Send a member that came back what it missed, in order and once, and only then what is new.

        Turns taken after it joined reach it by themselves, so only earlier ones are looked at. Those of them that are
        in flight are waited for, no longer than an utterance may take.
        """
        member.held = deque()
        await all_set(member.unknown)
        after_seq = request.after_seq if request.history_id == self.history.history_id else 0
        missed, lost = self.history.between(after_seq, member.missed_until, member.allowed_since_s)
        for entry in missed:
            await entry.complete.wait()
            await member.outbox.has_room()
            result = entry.best_for(member.target_lang)
            update = {"replayed": True, "speaker_name": self._name_now(result)}
            member.send(result.addressed_to(member.target_lang, update))
        member.missed_until = min(member.missed_until, after_seq)
        member.send(server_messages.Resumed(replayed=len(missed), lost=lost))
        await member.release()

    def _name_now(self, result: server_messages.Result) -> str:
        names = (known.name for known in self.speakers.list() if known.speaker_id == result.speaker_id)
        return next(names, result.speaker_name)

    def _langs_away(self) -> set[str]:
        """Return the languages of those who left so lately that they may come back."""
        now_s = time.monotonic()
        return {lang for lang, left_s in self._left_s.items() if now_s - left_s < self._away_s}

    @property
    def is_idle(self) -> bool:
        """Whether nobody is here and nothing is in flight."""
        return not self.members and not self._tasks and not self._preparations

    async def drain(self) -> None:
        """Wait until every utterance in flight has reached its listeners' outboxes."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Give up the utterances in flight."""
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
        heard = {member.target_lang for member in self.members.values()}
        wanted = set(product(self._spoken_here(), heard)) - self._prepared
        if wanted:
            self._prepared |= wanted
            self._spawn(self._pipeline.prepare(wanted), self._preparations)

    async def _serve(self, utterance: Utterance, sender: Member, turn: Turn) -> None:
        bind_contextvars(utterance_id=utterance.utterance_id, client_id=utterance.client_id)
        self.recorder.began(utterance)
        outcome = CANCELLED
        try:
            target_langs = {target for target, _ in turn.audience} | self._langs_away()
            recognised = await self._pipeline.recognise(utterance, target_langs)
            self.recorder.stages(recognised.timings_ms)
            if self._settings.log_transcripts:
                _log.info("%s: %s", recognised.transcript.lang, recognised.transcript.text)
            await all_set(turn.known_before)
            self._echo.check(utterance, recognised.transcript)
            speaker = self._identify(recognised, sender)
            entry = self._remember(turn, recognised, speaker)
            sender.announced.discard(utterance.utterance_id)
            turn.known.set()
            await self._deliver(turn, entry, recognised)
            outcome = RESULT
        except BabbleFishError as error:
            outcome = error.code
            sender.send(server_messages.error_message(error, utterance.utterance_id))
        except Exception:
            _log.exception("lost by a fault of the server")
            fault = BabbleFishError("the server failed on this utterance")
            outcome = fault.code
            sender.send(server_messages.error_message(fault, utterance.utterance_id))
        finally:
            take_back(sender, self.members, utterance.utterance_id)
            self.recorder.ended(utterance.utterance_id, outcome)
            sender.in_flight -= 1
            self._pipeline.spare.release()
            turn.end()

    def _remember(self, turn: Turn, recognised: Recognised, speaker: SpeakerMatch) -> Entry:
        """Make an utterance a result, with its number; turns come here one after another."""
        entry = self.history.append(transcribed(recognised, speaker), len(recognised.targets_by_way()))
        turn.entry = entry
        for member in self.members.values():
            if member.joined_turn >= turn.number:
                member.missed_until = entry.seq
        return entry

    async def _deliver(self, turn: Turn, entry: Entry, recognised: Recognised) -> None:
        """Serve every way side by side; what breaks one of them does not reach the others."""
        ways = recognised.targets_by_way()
        try:
            outcomes = await asyncio.gather(
                *(self._delivery.serve_way(turn, entry, recognised, way, targets) for way, targets in ways.items()),
                return_exceptions=True,
            )
        except asyncio.CancelledError:
            recognised.deadline.cancel()
            raise
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def _take_turn(self) -> Turn:
        audience: dict[Channel, list[Member]] = {}
        for member in self.members.values():
            audience.setdefault((member.target_lang, member.audio), []).append(member)
        self._turns += 1
        before: dict[Channel, set[asyncio.Event]] = {}
        for channel, members in audience.items():
            before[channel] = {event for member in members for event in member.due}
        self._unknown = {event for event in self._unknown if not event.is_set()}
        turn = Turn(self._turns, audience, before, self._unknown)
        self._unknown = {*self._unknown, turn.known}
        for channel, members in audience.items():
            for member in members:
                member.due = {event for event in member.due if not event.is_set()} | {turn.done[channel]}
        return turn

    def _identify(self, recognised: Recognised, sender: Member) -> SpeakerMatch:
        if recognised.embedding is None:
            self.recorder.lost("speaker")
            return UNKNOWN_SPEAKER
        speech_s = recognised.utterance.speech_s or 0.0
        match = self.speakers.identify(recognised.embedding, speech_s, sender.client_id, sender.name)
        if match.is_new:
            broadcast(self.members.values(), server_messages.Speaker(speaker_id=match.speaker_id, name=match.name))
        return match
