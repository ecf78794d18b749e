"""What the members of a room do with its voices (name, merge, split, enrol, forget), and what all are told of it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from babblefish.conversation.enrolment import NEEDED_S, Enrolments, new_voice_token, voice_id_of
from babblefish.conversation.heard_voices import HeardVoice
from babblefish.conversation.history import History
from babblefish.conversation.members import Member, broadcast
from babblefish.conversation.speakers import (
    Consent,
    Keeper,
    Snapshot,
    SpeakerRecord,
    SpeakerRegistry,
    VoiceChange,
)
from babblefish.conversation.voice_cast import VoiceCast
from babblefish.domain import UNKNOWN_SPEAKER, UNKNOWN_SPEAKER_ID, SpeakerMatch
from babblefish.engines.contracts import SpeakerEncoder
from babblefish.errors import InvalidMessageError, NotReadyError, NotYoursError, OverloadedError, UnknownSpeakerError
from babblefish.settings import Settings
from babblefish.wire import server_messages

_CHANGES = 20
_CHANGES_S = 10.0
"""So many changes in this time, as everyone is told of each."""

_STORED_S = 5.0
"""Nobody waits longer to be told that something is stored, or deleted."""


class KnownVoices:
    """The voices of one room, as its members deal with them.

    Attributes:
        speakers: The voices themselves.
        encoder: Name and version of what makes their embeddings.
        dimensions: Numbers in an embedding.
    """

    def __init__(
        self,
        room: str,
        members: Mapping[str, Member],
        encoder: SpeakerEncoder,
        settings: Settings,
        history: History,
        when_renamed: Callable[[str], None],
        cast: VoiceCast,
        keeper: Keeper | None = None,
    ) -> None:
        """Know no voice yet.

        Args:
            room: The room's name.
            members: Of the room, by client id.
            encoder: Makes the embeddings.
            settings: The server's.
            history: Of the room.
            when_renamed: Has everyone told of a voice's new name.
            cast: Of the synthetic voices that speak for them.
            keeper: Stores the voices of those who agree to it.
        """
        self._cast = cast
        self.encoder = f"{encoder.name} {encoder.version}"
        self.dimensions = encoder.dimensions
        self.speakers = SpeakerRegistry(
            encoder.scale, settings.speaker_min_s, settings.speaker_threshold, when_changed=self._changed
        )
        self._room = room
        self._members = members
        self._history = history
        self._when_renamed = when_renamed
        self._keeper = keeper
        self._enrolments = Enrolments(encoder.scale)
        self._changes: deque[float] = deque(maxlen=_CHANGES)
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_settled = keeper is None

    async def settle(self) -> None:
        """Wait until the voices that are stored are known."""
        self.speakers.number_from(self._history.next_voice)
        if self._keeper is not None:
            stored = await self._keeper.load(self._room, self.encoder)
            if not self.is_settled:  # somebody else may have waited for the same
                self.is_settled = True
                self.speakers.adopt(Snapshot(stored))

    def identify(self, heard: HeardVoice, sender: Member) -> SpeakerMatch:
        """Tell whose voice an utterance is, and everyone what is known better by that of earlier ones."""
        match = self.speakers.identify(
            heard.embedding, heard.speech_s, sender.client_id, sender.name, heard.utterance_id
        )
        if match.corrects:
            self._correct(match.corrects, match.speaker_id)
        elif match.is_new:
            self._tell(match.speaker_id, match.name)
        if match.speaker_id != UNKNOWN_SPEAKER_ID and not match.is_likely:
            self.member_is_called(sender)
        self._enrolments.heard(sender, heard, lambda said, name: self._learn(sender, said, name))
        return self._as_now(match, heard.utterance_id)

    def _as_now(self, match: SpeakerMatch, utterance_id: str) -> SpeakerMatch:
        """Return whose voice it is, and what that is called, after what has just been learnt."""
        speaker_id = self.speakers.speaker_of(utterance_id)
        if speaker_id is None or speaker_id == UNKNOWN_SPEAKER_ID:
            return match
        name = self.speakers.get(speaker_id).known.name
        return replace(match, name=name) if speaker_id == match.speaker_id else SpeakerMatch(speaker_id, name, 1.0)

    def member_is_called(self, member: Member) -> None:
        """Have a member's voice bear its present name, if that is lent by the client."""
        if (speaker_id := self.speakers.lend_name(member.client_id, member.name, self._members)) is not None:
            self._renamed(speaker_id)

    def rename(self, speaker_id: str, name: str, by: Member) -> None:
        """Give a voice its name for everyone.

        Raises:
            UnknownSpeakerError: No such voice in this room.
            NotYoursError: See ``_check``.
        """
        self._check(speaker_id, by)
        self.speakers.rename(speaker_id, name)
        self._renamed(speaker_id)

    def merge(self, keep_id: str, drop_id: str, by: Member) -> None:
        """Make one voice of two that are one person's.

        Raises:
            UnknownSpeakerError: No such voice in this room.
            NotYoursError: See ``_check``.
            OverloadedError: Too many changes.
        """
        for speaker_id in (keep_id, drop_id):
            self._check(speaker_id, by)
        if keep_id == drop_id:
            raise InvalidMessageError("these are one voice already")
        self._count()
        self.speakers.merge(keep_id, drop_id)
        self._cast.forget(drop_id)
        name = self.speakers.get(keep_id).known.name
        self._history.replace_voice(drop_id, SpeakerMatch(keep_id, name, 1.0))
        self._tell(keep_id, name, replaces=drop_id)

    def split(self, speaker_id: str, seq: int, by: Member) -> None:
        """Make two voices of one, of which the other one said a certain result.

        Raises:
            UnknownSpeakerError: No such voice in this room, or it is not remembered what it sounded like.
            NotYoursError: See ``_check``; whoever's client it came through may say so, too.
            OverloadedError: Too many changes.
        """
        entry = self._history.find(seq)
        if entry is None or entry.client_id != by.client_id:
            self._check(speaker_id, by)
        if entry is None:
            raise UnknownSpeakerError("too little is remembered of what this voice has said")
        self._count()
        other_id, utterance_ids = self.speakers.split(speaker_id, entry.utterance_id)
        self._correct(utterance_ids, other_id)

    async def forget(self, speaker_id: str, by: Member) -> None:
        """Forget a voice everywhere: here, where it is stored, and in what the history says of who spoke.

        Raises:
            UnknownSpeakerError: No such voice in this room.
            NotYoursError: See ``_check``.
            NotReadyError: It is forgotten here, and will be deleted when the store can be written again.
        """
        self._check(speaker_id, by)
        self._forget(speaker_id)
        await self.stored("it is forgotten here, and will be deleted from the file as soon as that can be written")

    def enrol(self, member: Member, name: str) -> None:
        """Learn a member's voice from what it says next, as it has agreed to that.

        Raises:
            InvalidMessageError: It has no name.
        """
        if not name:
            raise InvalidMessageError("a voice that is kept needs a name")
        self._enrolments.begin(member, name)

    def stop_enrolling(self, member: Member) -> None:
        """Learn nothing of a member's voice that it has not agreed to, or that it cannot say any more."""
        self._enrolments.end(member)

    def forget_unheard(self, before_s: float) -> None:
        """Forget the voices that are stored and were last heard before a Unix time, as the store does."""
        for speaker_id in self.speakers.unheard(before_s):
            self._forget(speaker_id)

    def forget_stored(self, record: SpeakerRecord) -> None:
        """Forget a voice that is stored, also one whose embedding another encoder made."""
        assert record.consent is not None
        known = self.speakers.voice_of(record.consent.voice_id)
        if known is not None:
            self._forget(known.known.speaker_id)
            return
        self._history.replace_voice(record.known.speaker_id, UNKNOWN_SPEAKER, record.known.name)
        self._changed(record.consent.voice_id, None)

    def bring(self, record: SpeakerRecord, voice_id: str) -> str:
        """Make a voice known that was exported; return the id that it has here.

        Raises:
            NotYoursError: A voice like it is stored for somebody else.
        """
        speaker_id = self.speakers.bring(replace(record, consent=Consent(voice_id, time.time())))
        self._tell(speaker_id, record.known.name)
        return speaker_id

    async def stored(self, message: str) -> None:
        """Wait until what has changed is stored.

        Raises:
            NotReadyError: It cannot be at the moment, with this message.
        """
        if not await self._is_stored():
            raise NotReadyError(message)

    async def _is_stored(self) -> bool:
        if self._keeper is None:
            return True
        try:
            async with asyncio.timeout(_STORED_S):
                return await self._keeper.flush()
        except TimeoutError:
            return False

    async def close(self) -> None:
        """Tell nobody any more whether a voice is stored."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _check(self, speaker_id: str, by: Member) -> None:
        """Check that a member may change a voice.

        Raises:
            UnknownSpeakerError: No such voice in this room.
            NotYoursError: It is stored for somebody else, or else was last heard through another member's client. The
                admin may change any.
        """
        record = self.speakers.get(speaker_id)
        if by.is_admin:
            return
        if record.consent is not None:
            if record.consent.voice_id not in by.voice_ids:
                raise NotYoursError("this voice is stored for somebody, who alone can change it")
        elif record.last_client_id != by.client_id and record.last_client_id in self._members:
            raise NotYoursError("this voice belongs to another member, who can change it")

    def _count(self) -> None:
        now_s = time.monotonic()
        if len(self._changes) == _CHANGES and now_s - self._changes[0] < _CHANGES_S:
            raise OverloadedError("the voices of this room are being changed too often; try again in a moment")
        self._changes.append(now_s)

    def _changed(self, voice_id: str, record: SpeakerRecord | None) -> None:
        if self._keeper is not None:
            self._keeper.put(VoiceChange(self._room, voice_id, self.encoder, record))

    def _renamed(self, speaker_id: str) -> None:
        self._history.renamed(speaker_id, self.speakers.get(speaker_id).known.name)
        self._when_renamed(speaker_id)

    def _forget(self, speaker_id: str) -> None:
        name = self.speakers.get(speaker_id).known.name
        self.speakers.forget(speaker_id)
        self._cast.forget(speaker_id)
        self._history.replace_voice(speaker_id, UNKNOWN_SPEAKER, name)
        self._tell(UNKNOWN_SPEAKER_ID, UNKNOWN_SPEAKER.name, replaces=speaker_id)

    def _learn(self, member: Member, said: list[HeardVoice], name: str) -> None:
        """Know a voice from now on by what its person has said for that."""
        token = new_voice_token()
        voice_id = voice_id_of(token)
        try:
            speaker_id = self.speakers.enrol(said, name, Consent(voice_id, time.time()), member.voice_ids)
        except NotYoursError as error:
            member.send(server_messages.error_message(error))
            member.send(server_messages.Enrolment(state="ended", heard_s=0.0, needed_s=NEEDED_S))
            return
        member.voice_ids.add(voice_id)
        utterance_ids = tuple(heard.utterance_id for heard in said)
        self.speakers.belongs(utterance_ids, speaker_id)
        self._correct(utterance_ids, speaker_id)
        self._renamed(speaker_id)
        done = server_messages.Enrolment(
            state="done",
            heard_s=round(sum(heard.speech_s for heard in said), 1),
            needed_s=NEEDED_S,
            speaker_id=speaker_id,
            voice_id=voice_id,
            voice_token=token,
        )
        task = asyncio.create_task(self._confirm(member, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _confirm(self, member: Member, done: server_messages.Enrolment) -> None:
        """Tell a member that its voice is known, once it is clear whether it is stored."""
        is_stored = self._keeper is not None and await self._is_stored()
        member.send(done.model_copy(update={"stored": is_stored}))

    def _correct(self, utterance_ids: Collection[str], speaker_id: str) -> None:
        """Take earlier utterances for a voice's, and tell everyone which results those are."""
        name = self.speakers.get(speaker_id).known.name
        seqs = self._history.relabel(utterance_ids, SpeakerMatch(speaker_id, name, 1.0))
        self._tell(speaker_id, name, seqs)

    def _tell(self, speaker_id: str, name: str, seqs: tuple[int, ...] = (), replaces: str | None = None) -> None:
        message = server_messages.Speaker(speaker_id=speaker_id, name=name, seqs=seqs, replaces=replaces)
        broadcast(self._members.values(), message)
