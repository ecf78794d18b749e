"""What is said in a room, from the end of an utterance until its results are with those who listen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from structlog.contextvars import bind_contextvars

from babblefish.conversation.audience import Audience
from babblefish.conversation.delivery import Channel, Delivery, Show, open_channels
from babblefish.conversation.early import BegunRecognition, EarlyRecognition
from babblefish.conversation.echo import EchoGuard
from babblefish.conversation.expected_languages import expected_langs, expected_of_typed, remember
from babblefish.conversation.glossary import Glossary
from babblefish.conversation.heard_voices import HeardVoice
from babblefish.conversation.history import History, HistoryEntry
from babblefish.conversation.interim import show, take_back
from babblefish.conversation.known_voices import KnownVoices
from babblefish.conversation.lag import Lag
from babblefish.conversation.members import Backlogs, Member
from babblefish.conversation.passages import Passages, Place
from babblefish.conversation.turns import Turns
from babblefish.conversation.voice_cast import VoiceCast
from babblefish.domain import (
    TYPED_CHARACTERS_PER_S,
    UNKNOWN_SPEAKER,
    UNKNOWN_SPEAKER_ID,
    SpeakerMatch,
    Utterance,
    new_utterance_id,
)
from babblefish.engines.text_splitting import split_to_fit
from babblefish.errors import BabbleFishError, OverloadedError, TwoLanguagesError
from babblefish.languages import spoken
from babblefish.pipeline.fair_queue import FairQueue, Waiting
from babblefish.pipeline.job import UtteranceJob
from babblefish.pipeline.pipeline import Pipeline
from babblefish.pipeline.recognition import Recognition, joined
from babblefish.settings import Settings
from babblefish.telemetry.prometheus import CANCELLED, RESULT
from babblefish.telemetry.recorder import Recorder
from babblefish.wire import server_messages

_log = logging.getLogger(__name__)


class _Said(Waiting):
    """An utterance that has ended and waits for its turn."""

    def __init__(
        self,
        job: UtteranceJob,
        sender: Member,
        begun: BegunRecognition | None,
        place: Place,
        rest: tuple[Utterance, ...],
    ) -> None:
        # Needed alike: what one client says keeps the order in which it came.
        super().__init__(job.utterance.owner, job.utterance.cost_s, needed_s=0.0)
        self.job = job
        self.sender = sender
        self.begun = begun
        self.place = place
        self.rest = rest
        """The rest of a text that this is the beginning of."""


@dataclass(frozen=True, slots=True)
class _Due:
    """A result that is to be delivered."""

    channels: list[Channel]
    entry: HistoryEntry
    recognition: Recognition
    readers: Callable[[], list[Member]]
    """Returns those who may read what is finished of its captions."""
    is_early: bool = False
    """Whether its speaker went on."""


class Utterances:
    """The utterances of one room: they wait for their turn, are recognised, become results, and are delivered."""

    def __init__(
        self,
        audience: Audience,
        voices: KnownVoices,
        history: History,
        glossary: Glossary,
        backlogs: Backlogs,
        lag: Lag,
        echo: EchoGuard,
        cast: VoiceCast,
        pipeline: Pipeline,
        settings: Settings,
        recorder: Recorder,
        when_done: Callable[[], None],
    ) -> None:
        """Serve a room in which nothing has been said.

        Args:
            audience: Who listens.
            voices: Known in the room.
            history: That the results become part of.
            glossary: Of the room.
            backlogs: Of its clients.
            lag: Is told what waits.
            echo: Knows what was spoken in the room.
            cast: Of the voices that speak in it.
            pipeline: Where utterances go.
            settings: The server's.
            recorder: Hears of what happens.
            when_done: Called whenever one has been served.
        """
        self.turns = Turns()
        self.passages = Passages(settings.max_utterance_s)
        self._audience = audience
        self._members = audience.members
        self._voices = voices
        self._speakers = voices.speakers
        self._history = history
        self._glossary = glossary
        self._backlogs = backlogs
        self._lag = lag
        self._echo = echo
        self._cast = cast
        self._pipeline = pipeline
        self._settings = settings
        self._recorder = recorder
        self._when_done = when_done
        self._delivery = Delivery(pipeline, echo, recorder, lag)
        self._waiting: FairQueue[_Said] = FairQueue()
        self._recognising = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> bool:
        """Whether any has not been served."""
        return bool(self._tasks)

    async def has_room(self, sender: Member) -> None:
        """Wait until another utterance of a client that is in no hurry has something to gain from ``begin``.

        Those before it then are being recognised, translated and spoken. It would only wait behind more of them, until
        its deadline perhaps, which counts from ``begin``.
        """
        underway = self._pipeline.recognised_at_once + 2
        await sender.backlog.below(min(underway, self._settings.utterances_per_client))

    def begin(
        self, utterance: Utterance, sender: Member, early: EarlyRecognition | None = None, goes_on: bool = False
    ) -> None:
        """Take an utterance to every member in their language; whatever fails, only this utterance is lost.

        It goes on when its sender has gone, for the others' sake and for those who come back.

        Args:
            utterance: That has ended.
            sender: Who said it.
            early: What may have begun to recognise it.
            goes_on: Whether it is a clause of speech that goes on.

        Raises:
            OverloadedError: Too many utterances of this client are not finished.
        """
        place = self.passages.place(utterance, goes_on)
        try:
            self._admit(sender, utterance.utterance_id)
        except OverloadedError:
            take_back(sender, self._members, utterance.utterance_id)
            if early is not None:
                early.give_up()
            self.passages.ended(place)
            raise
        self._take_up(utterance, sender, place, early)

    def say(self, text: str, lang: str | None, sender: Member, arrived_s: float) -> list[str]:
        """Take typed words to every member as if they had been spoken.

        What would take longer to say than an utterance may is several utterances, each begun when the one before it has
        been served, as each has its own deadline.

        Args:
            text: That was typed.
            lang: ISO 639-3 of the text, where that was said.
            sender: Who typed it.
            arrived_s: ``time.monotonic()`` of its arrival.

        Returns:
            The ids of the utterances.

        Raises:
            OverloadedError: Too many utterances of this client are not finished; nothing is taken.
        """
        source_langs = frozenset({spoken(lang)}) if lang else self._audience.may_speak(sender)
        first, *rest = (
            Utterance.of_text(new_utterance_id(), sender.client_id, part, source_langs, arrived_s, sender.owner)
            for part in split_to_fit(text, int(self._settings.max_utterance_s * TYPED_CHARACTERS_PER_S))
        )
        self._admit(sender, first.utterance_id, 1 + len(rest))
        self._take_up(first, sender, Place(), rest=tuple(rest))
        return [utterance.utterance_id for utterance in (first, *rest)]

    def _admit(self, sender: Member, utterance_id: str, count: int = 1) -> None:
        """Count utterances, of which this is the first, as a client's.

        Raises:
            OverloadedError: It would have too many.
        """
        backlog = sender.backlog
        if backlog.in_flight + count > self._settings.utterances_per_client:
            self._recorder.ended(utterance_id, OverloadedError.code)
            raise OverloadedError(f"{backlog.in_flight} of your utterances are waiting; please try again in a moment")
        backlog.in_flight += count

    def _take_up(
        self,
        utterance: Utterance,
        sender: Member,
        place: Place,
        early: EarlyRecognition | None = None,
        rest: tuple[Utterance, ...] = (),
        after: _Said | None = None,
    ) -> None:
        self._recorder.began(utterance)
        self._lag.waits(utterance.utterance_id)
        begun = early.take(utterance) if early is not None else None
        job = begun.job if begun is not None else self._pipeline.begin(utterance, self._glossary.terms)
        said = _Said(job, sender, begun, place, rest)
        if after is not None:
            said.number = after.number  # before all that the client has said since
        self._waiting.put(said)
        self._begin_next()

    def _begin_next(self) -> None:
        """Give what waits its turn, as much as is recognised at once, fairly between addresses and clients.

        Results come in the order of turns, so a turn is taken no sooner than it can be used: whoever says a lot holds
        up the others by what is being recognised, not by all of it. The listeners are those of this moment: who changes
        language meanwhile still gets it once. Where nobody is left to listen or to come back, there is nothing to do.
        """
        while self._recognising < self._pipeline.recognised_at_once and (said := self._waiting.take()):
            if not self._audience.langs():
                if said.begun is not None:
                    said.begun.recognising.cancel()
                self._end(said, CANCELLED)
                continue
            self._recognising += 1
            said.job.turn = self.turns.take()
            members = self._members.values()
            channels, waiting = (open_channels(given) for given in said.place.shared_among(members))
            task = asyncio.create_task(self._serve(said, channels, waiting))
            self._tasks.add(task)
            task.add_done_callback(self._served)

    async def _serve(self, said: _Said, channels: list[Channel], waiting: list[Channel]) -> None:
        """Have an utterance recognised, find out which results come of it, and have them delivered.

        Args:
            said: The utterance.
            channels: Those who get it by itself.
            waiting: Those who get the whole passage that ends with it.
        """
        job, sender = said.job, said.sender
        outcome = CANCELLED
        due: list[_Due] = []
        try:
            bind_contextvars(utterance_id=job.utterance_id, client_id=job.utterance.client_id)
            try:
                due.append(await self._become_result(said, channels, waiting))
                outcome = RESULT
            except BabbleFishError as error:
                outcome = self._tell(job, sender, error)
            await self.turns.all_passed(job.turn)
            due += self._become_whole(said, waiting)
            self.turns.pass_on(job.turn)
            await self._deliver(sender, due)
            if due:
                sender.captioned.discard(job.utterance_id)
        except BabbleFishError as error:
            outcome = self._tell(job, sender, error)
        except Exception:
            _log.exception("unhandled error in an utterance")
            outcome = self._tell(job, sender, BabbleFishError("the server failed on this utterance"))
        finally:
            self.turns.pass_on(job.turn)
            for result in due:
                result.entry.complete.set()
            for channel in channels + waiting:
                channel.settle()
            self._end(said, outcome)

    async def _become_result(self, said: _Said, channels: list[Channel], waiting: list[Channel]) -> _Due:
        """Recognise an utterance and number its result.

        Raises:
            BabbleFishError: It becomes none.
        """
        away = self._audience.langs_away() if said.place.passage is None else self._audience.langs_away("simultaneous")
        own_langs = {channel.lang for channel in channels} | away
        recognition = await self._recognise(said, own_langs | {channel.lang for channel in waiting})
        await self.turns.all_passed(said.job.turn)
        await self._refuse_what_was_heard(recognition)
        remember(said.sender, recognition.transcript)
        speaker = self._identify(recognition, said.sender)
        await self._cast_voice(recognition, speaker)
        own = self._pipeline.also_in(recognition, own_langs)
        entry = self._remember(own, speaker, said.place)
        if said.place.passage is not None:
            said.place.passage.parts.append((recognition, entry))
        return _Due(
            channels, entry, own, lambda: said.place.shared_among(self._members.values())[0], said.place.goes_on
        )

    def _become_whole(self, said: _Said, waiting: list[Channel]) -> list[_Due]:
        """Number the result of the passage that ends with an utterance, where somebody waits for it."""
        passage = said.place.passage
        langs = {channel.lang for channel in waiting} | self._audience.langs_away("consecutive")
        if passage is None or not (said.place.is_last and passage.parts and langs):
            return []
        job = replace(said.job, timings=said.job.timings.branch())
        whole = self._pipeline.also_in(joined([recognition for recognition, _ in passage.parts], job), langs)
        _, longest = max(passage.parts, key=lambda part: part[0].job.utterance.duration_s)
        entry = self._remember(whole, longest.speaker, said.place, is_whole=True)
        job.context = partial(self._history.context, before_seq=passage.parts[0][1].seq)
        return [_Due(waiting, entry, whole, lambda: said.place.shared_among(self._members.values())[1])]

    async def _deliver(self, sender: Member, due: list[_Due]) -> None:
        """Deliver results side by side; what breaks one does not reach the other."""

        def showing(result: _Due) -> Show:
            continues = result.entry.continues
            return lambda lang, targets, text: show(
                sender, result.readers(), result.recognition, lang, targets, text, continues
            )

        served = (
            self._delivery.serve(result.channels, result.entry, result.recognition, showing(result), result.is_early)
            for result in due
        )
        for outcome in await asyncio.gather(*served, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _refuse_what_was_heard(self, recognition: Recognition) -> None:
        """Accept an utterance as new.

        Raises:
            DuplicateUtteranceError, EchoError: As ``EchoGuard.check``.
        """
        utterance, transcript = recognition.job.utterance, recognition.transcript
        if utterance.typed is not None:  # no microphone hears that
            return
        voice = self._echo.voice_repeated(utterance, transcript)
        is_person = voice is not None and await self._is_person(recognition, voice)
        self._echo.check(utterance, transcript, is_person)

    async def _is_person(self, recognition: Recognition, voice: str) -> bool:
        """Say whether an utterance sounds like a person known here, and more so than like a synthetic voice."""
        if recognition.embedding is None:
            return False
        utterance = recognition.job.utterance
        speech_s = utterance.speech_s or 0.0
        likeness = self._speakers.likeness_of_person(recognition.embedding, speech_s, utterance.client_id)
        if likeness is None:
            return False
        synthetic = await self._pipeline.voices.likeness(voice, recognition.embedding, speech_s)
        return likeness > (self._speakers.threshold if synthetic is None else synthetic)

    async def _recognise(self, said: _Said, target_langs: set[str]) -> Recognition:
        """Recognise an utterance, and let what waits take its turn then."""
        try:
            if said.begun is not None:
                recognition = self._pipeline.also_in(await said.begun.recognising, target_langs)
                if said.begun.text is not None:
                    recognition = recognition.written(said.begun.text)
            else:
                expected = expected_langs if said.job.utterance.typed is None else expected_of_typed
                said.job.expected_langs = expected(said.sender, self._members.values())
                recognition = await self._pipeline.recognise(said.job, target_langs)
        except TwoLanguagesError as found:
            self._divide(said, found.pause)
            recognition = await self._pipeline.recognise(said.job, target_langs)
        finally:
            self._recognising -= 1
            self._begin_next()
        self._recorder.stages(said.job.timings.own_ms)
        if self._settings.log_transcripts:
            _log.info("%s: %s", recognition.transcript.lang, recognition.transcript.text)
        return recognition

    def _divide(self, said: _Said, pause: int) -> None:
        """Leave of an utterance what is before a pause; what is after it is the next thing its client said."""
        before, after = said.job.utterance.cut(pause)
        rest = replace(said.place, continues=False)
        said.job.utterance = before
        # The passage ends with the rest, if it ends here.
        said.place = replace(said.place, is_last=said.place.passage is None)
        said.sender.backlog.in_flight += 1
        self._take_up(after, said.sender, rest, after=said)

    def _tell(self, job: UtteranceJob, sender: Member, error: BabbleFishError) -> str:
        """Tell a sender why an utterance is lost, and return that as its outcome."""
        sender.send(server_messages.error_message(error, job.utterance_id))
        return error.code

    def _end(self, said: _Said, outcome: str) -> None:
        """Be done with an utterance, whatever became of it, and go on with the rest of its text."""
        job, sender = said.job, said.sender
        self.passages.ended(said.place)
        self._lag.served(job.utterance_id)
        self._pipeline.end(job)
        sender.backlog.one_ended()
        take_back(sender, self._members, job.utterance_id)
        self._recorder.ended(job.utterance_id, outcome)
        if said.rest and outcome != CANCELLED:
            self._take_up(said.rest[0], sender, Place(), rest=said.rest[1:])
        else:
            for utterance in said.rest:
                sender.backlog.one_ended()
                self._recorder.ended(utterance.utterance_id, outcome)
        self._backlogs.forget(sender.client_id)

    def _identify(self, recognition: Recognition, sender: Member) -> SpeakerMatch:
        if recognition.job.utterance.typed is not None:
            return self._who_types(sender)
        if recognition.embedding is None:
            self._recorder.lost("speaker")
            return UNKNOWN_SPEAKER
        utterance = recognition.job.utterance
        speech_s = self._pipeline.engines.speaker_encoder.scale.used_s(utterance.speech_s or 0.0)
        heard = HeardVoice(utterance.utterance_id, recognition.embedding, speech_s, sender.client_id)
        match = self._voices.identify(heard, sender)
        if match.speaker_id != UNKNOWN_SPEAKER_ID and not match.is_likely and self._echo.is_quiet(utterance):
            self._speakers.heard_in_quiet(match.speaker_id)
        return match

    async def _cast_voice(self, recognition: Recognition, speaker: SpeakerMatch) -> None:
        """Find out how high a speaker's voice is where that is not known, for one like it to speak for them."""
        utterance = recognition.job.utterance
        is_sure = speaker.speaker_id != UNKNOWN_SPEAKER_ID and not speaker.is_likely
        if is_sure and utterance.typed is None and not self._cast.knows(speaker.speaker_id):
            pitch_hz = await self._pipeline.voices.pitch_hz(utterance)
            if pitch_hz is not None:
                self._cast.heard(speaker.speaker_id, pitch_hz)

    def _who_types(self, sender: Member) -> SpeakerMatch:
        """Return who typed something: the member by its name, and its voice if it has only ever carried one."""
        speaker_id = self._speakers.only_voice_of(sender.client_id) or UNKNOWN_SPEAKER_ID
        return SpeakerMatch(speaker_id, sender.name or UNKNOWN_SPEAKER.name, 1.0)

    def _remember(
        self, recognition: Recognition, speaker: SpeakerMatch, place: Place, is_whole: bool = False
    ) -> HistoryEntry:
        """Make an utterance a result, with its number; turns come here one after another."""
        job, passage = recognition.job, place.passage
        entry = self._history.append(
            job,
            recognition.transcript,
            speaker,
            len(recognition.targets_by_plan()),
            recognition.is_doubtful,
            passage=passage.passage_id if passage else "",
            continues=passage.continues if passage and is_whole else place.continues,
            is_whole=is_whole,
        )
        if speaker.speaker_id != UNKNOWN_SPEAKER_ID:
            job.voice_in = partial(self._cast.voice, speaker.speaker_id)
        job.context = partial(self._history.context, before_seq=entry.seq)
        job.names = self.names()
        for member in self._members.values():
            if member.joined_turn >= job.turn:
                member.missed_until = entry.seq
        return entry

    def names(self) -> frozenset[str]:
        """Return the names that people here go by: the members and the voices."""
        voices = {known.name for known in self._speakers.list()}
        return frozenset(voices.union(member.name for member in self._members.values()))

    async def drain(self) -> None:
        """Wait until every utterance in flight has reached its listeners' outboxes."""
        while self._tasks:  # one that waits for its sender's last one begins before that ends
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Give up the utterances in flight."""
        self._waiting = FairQueue()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._when_done()
