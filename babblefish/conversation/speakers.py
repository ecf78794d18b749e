"""The voices a room knows: match, create, rename, merge, forget. In memory; ``Keeper`` is the seam for a store.

The cosine of two embeddings of one voice is the lower, the less speech they were made from, so a fixed limit on it
either splits a voice that says short things or merges two that talk at length. Dividing by the root of both
reliabilities takes that effect away (Spearman's correction for attenuation, 1904); the reliability of a mean over d
seconds is d / (d + d₀) (the Spearman-Brown formula). What is compared with the threshold is that corrected similarity.
Both the threshold and d₀ are the encoder's, in its ``VoiceScale``.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from babblefish.conversation.heard_voices import HeardVoice, HeardVoices, together
from babblefish.domain import UNKNOWN_SPEAKER, SpeakerMatch
from babblefish.engines.contracts import Embedding, VoiceScale, mean_voice
from babblefish.errors import NotYoursError, UnknownSpeakerError

_ID = "speaker_"

_MEMORY_S = 60.0
"""A centroid counts as no more speech than this, so that a voice known for long still moves with its microphone."""

_UPDATE_MARGIN = 0.1
"""An utterance moves a centroid only if it is this far above the threshold: a doubtful match must not pull it away.
Neither is it added to what too little is known of."""

_SAME_CLIENT_BONUS = 0.05
"""Added for the voice last heard through the same client. Measured with ``benchmarks.speaker_identification``: more
accurate even if all speakers share one client; twice as much would merge voices there."""


_ONLY_VOICE_BONUS = 0.25
"""Added instead for the only voice that a client has carried, where there is too little speech to be sure: a phone
mostly stays with one person, and what is said of that is marked as likely."""

_MOST_GLIMPSES = 32
"""Voices of which too little was heard; further ones take the place of the oldest."""


@dataclass(frozen=True, slots=True, eq=False)
class _Glimpse:
    """A voice of which too little was heard to make it known: its embedding, seconds of speech, client, utterances."""

    embedding: Embedding
    speech_s: float
    client_id: str
    utterance_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownSpeaker:
    """A voice, as people may see it; its embedding is not among it.

    Attributes:
        speaker_id: ``speaker_<n>``; never given to another voice.
        name: Given by a client or a person, else ``Speaker <n>``.
        samples: Utterances that were recognised as this voice.
        last_heard_s: Unix time of the last of them.
    """

    speaker_id: str
    name: str
    samples: int
    last_heard_s: float


@dataclass(frozen=True, slots=True)
class Consent:
    """Somebody has agreed that their voice is stored.

    Attributes:
        voice_id: Under which it is stored; random, as the numbers of voices begin anew where nothing else is stored.
        given_s: Unix time at which they did.
    """

    voice_id: str
    given_s: float


@dataclass(frozen=True, slots=True)
class SpeakerRecord:
    """All that is known of one voice.

    Attributes:
        known: What people may see.
        is_named: Whether a client or a person gave the name.
        name_from: The client that lends it its name; empty where a person gave that, or nobody.
        centroid: Unit vector; comparable only with embeddings of the same encoder.
        speech_s: Seconds of speech in the centroid, at most a minute.
        first_client_id: The client through which the voice was first heard.
        last_client_id: The client through which it was last heard.
        is_person: Whether it was heard while no loudspeaker was speaking.
        consent: To its being stored; nobody else's voice is.
    """

    known: KnownSpeaker
    is_named: bool
    centroid: Embedding
    speech_s: float
    first_client_id: str
    last_client_id: str
    is_person: bool = False
    consent: Consent | None = None
    name_from: str = ""


class VoiceChange(NamedTuple):
    """A voice that is stored has changed.

    Attributes:
        room: In which it is known.
        voice_id: Under which it is stored.
        encoder: Name and version of what made its embedding.
        record: What is known of it now; None where it is to be deleted.
    """

    room: str
    voice_id: str
    encoder: str
    record: SpeakerRecord | None


class Keeper(Protocol):
    """Keeps voices for longer than the process lives."""

    def put(self, change: VoiceChange) -> None:
        """Have a change stored."""

    async def load(self, room: str, encoder: str) -> tuple[SpeakerRecord, ...]:
        """Return the voices of a room that are stored with embeddings of this encoder."""

    async def flush(self) -> bool:
        """Wait until all changes are stored; false where that is not possible at the moment."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a registry.

    Attributes:
        records: Every voice.
        next_number: Number of the next new voice; numbers of forgotten voices do not come back.
    """

    records: tuple[SpeakerRecord, ...] = ()
    next_number: int = 1


class SpeakerRegistry:
    """Tells whose voice an embedding is; not for several threads, and cheap enough for the event loop.

    Attributes:
        scale: Of the encoder that makes the embeddings.

    Args:
        scale: Of the encoder that makes the embeddings.
        min_s: Speech shorter than this, all utterances of a voice together, never makes a new voice.
        threshold: Corrected similarity from which an utterance belongs to a known voice; None takes the scale's.
        limit: Most voices known at once. One more, and the one not heard for longest is forgotten, of those
            without a given name first, and of those whose person had them stored last.
        when_changed: Told of a voice whose person has agreed that it is stored, and what it is now; None where it is
            forgotten.
        clock: Gives the Unix time in seconds.
    """

    def __init__(
        self,
        scale: VoiceScale,
        min_s: float,
        threshold: float | None = None,
        limit: int = 100,
        when_changed: Callable[[str, SpeakerRecord | None], None] = lambda voice_id, record: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.scale = scale
        self._threshold = scale.threshold if threshold is None else threshold
        self._min_s = min_s
        self._limit = limit
        self._clock = clock
        self._when_changed = when_changed
        self._records: dict[str, SpeakerRecord] = {}
        self._next_number = 1
        self._glimpses: deque[_Glimpse] = deque(maxlen=_MOST_GLIMPSES)
        self._heard = HeardVoices()

    def identify(
        self, embedding: Embedding, duration_s: float, client_id: str, suggested_name: str = "", utterance_id: str = ""
    ) -> SpeakerMatch:
        """Find the voice of an utterance, or make it known.

        Args:
            embedding: Unit vector of the utterance.
            duration_s: Length of the utterance in seconds.
            client_id: The client it came from.
            suggested_name: The client's name. The first voice that is new on this client gets it, unless another
                voice bears it; further voices on the client get a number.
            utterance_id: By which it can be told later that it was another voice after all.

        Returns:
            The voice with the highest corrected similarity if that reaches the threshold, else a new one. Speech too
            short to make one is added to what was heard of the same voice through this client before, and makes one
            together with it once that is enough. Until then it is likely that voice where that is plausible and known
            on this client; likely the client's own name, without an id, where the client has carried no voice yet;
            or ``unknown``. ``corrects`` has earlier utterances that are this voice's after all.
        """
        speech_s = self.scale.used_s(duration_s)
        heard = HeardVoice(utterance_id, embedding, speech_s, client_id)
        match = self._known(embedding, speech_s, client_id)
        gathered_from: tuple[str, ...] = ()
        if match is None and duration_s < self._min_s:
            gathered = self._gathered(heard)
            if gathered.speech_s < self._min_s:
                match = self._likely(gathered.embedding, gathered.speech_s, client_id, suggested_name)
                heard.speaker_id = match.speaker_id
                self._heard.add(heard)
                return match
            embedding, speech_s, gathered_from = gathered.embedding, gathered.speech_s, gathered.utterance_ids
            match = self._known(embedding, speech_s, client_id)
        if match is None:
            known = self._create(embedding, speech_s, client_id, suggested_name)
            match = SpeakerMatch(known.speaker_id, known.name, 1.0, is_new=True)
        heard.speaker_id = match.speaker_id
        record = self.get(match.speaker_id)
        # One that it was not learnt from is doubtful: it may be another voice's, which is not known yet.
        heard.is_sure = match.is_new or self._similarity(record, heard) >= self._threshold + _UPDATE_MARGIN
        corrects = self._corrected(record, gathered_from)
        self._heard.add(heard)
        return replace(match, corrects=tuple(one for one in corrects if one != utterance_id))

    def _corrected(self, record: SpeakerRecord, gathered_from: Collection[str]) -> tuple[str, ...]:
        """Return doubtful utterances that are a voice's after all, now that more is known of it.

        Args:
            record: The voice.
            gathered_from: Utterances that have made it known together.
        """
        speaker_id = record.known.speaker_id
        corrected = []
        for heard in self._heard:
            if heard.is_sure:
                continue
            is_sure = heard.utterance_id in gathered_from
            if not is_sure:
                if self._similarity(record, heard) < self._threshold - _SAME_CLIENT_BONUS:
                    continue  # whatever the other voices are
                best, similarity, score = self._best(heard.embedding, heard.speech_s, heard.client_id)
                if best is not record or score < self._threshold:
                    continue
                is_sure = similarity >= self._threshold + _UPDATE_MARGIN
            if is_sure or heard.speaker_id != speaker_id:
                corrected.append(heard.utterance_id)
            heard.speaker_id, heard.is_sure = speaker_id, is_sure
        return tuple(corrected)

    def _similarity(self, record: SpeakerRecord, heard: HeardVoice) -> float:
        return self.scale.similarity(heard.embedding, heard.speech_s, record.centroid, record.speech_s)

    def _known(self, embedding: Embedding, speech_s: float, client_id: str) -> SpeakerMatch | None:
        """Return the known voice that this surely is, having learnt from it, or None."""
        best, similarity, score = self._best(embedding, speech_s, client_id)
        if best is None or score < self._threshold:
            return None
        best = self._heard_again(best, client_id)
        if score >= self._threshold + _UPDATE_MARGIN:
            centroid = mean_voice(best.centroid, best.speech_s, embedding, speech_s)
            best = replace(best, centroid=centroid, speech_s=min(best.speech_s + speech_s, _MEMORY_S))
        self._put(best)
        return SpeakerMatch(best.known.speaker_id, best.known.name, _clipped(similarity))

    def _gathered(self, heard: HeardVoice) -> _Glimpse:
        """Add what was said to what was heard of the same voice through the same client before; keep the sum."""
        gathered = _Glimpse(heard.embedding, heard.speech_s, heard.client_id, (heard.utterance_id,))
        best: _Glimpse | None = None
        best_similarity = self._threshold + _UPDATE_MARGIN
        for glimpse in self._glimpses:
            if glimpse.client_id != heard.client_id:
                continue
            similarity = self.scale.similarity(heard.embedding, heard.speech_s, glimpse.embedding, glimpse.speech_s)
            if similarity >= best_similarity:
                best, best_similarity = glimpse, similarity
        if best is not None:
            self._glimpses.remove(best)
            gathered = _Glimpse(
                mean_voice(best.embedding, best.speech_s, heard.embedding, heard.speech_s),
                best.speech_s + heard.speech_s,
                heard.client_id,
                (*best.utterance_ids, heard.utterance_id),
            )
        if gathered.speech_s < self._min_s:
            self._glimpses.append(gathered)
        return gathered

    def _likely(self, embedding: Embedding, speech_s: float, client_id: str, suggested_name: str) -> SpeakerMatch:
        """Return whose voice it likely is that said too little to be sure."""
        carried = self._carried(client_id)
        bonus = _ONLY_VOICE_BONUS if len(carried) == 1 else _SAME_CLIENT_BONUS
        best, similarity, score = self._best(embedding, speech_s, client_id, bonus)
        confidence = _clipped(similarity)
        # On another client than its own a short word is not taken: a stranger's would bear somebody else's name.
        if best is not None and score >= self.scale.plausible and best.known.speaker_id in carried:
            return SpeakerMatch(best.known.speaker_id, best.known.name, confidence, is_likely=True)
        if suggested_name and not carried and not self._is_shared(embedding, speech_s, client_id):
            return replace(UNKNOWN_SPEAKER, name=suggested_name, is_likely=True)
        return replace(UNKNOWN_SPEAKER, confidence=confidence)

    def only_voice_of(self, client_id: str) -> str | None:
        """Return the id of the only voice that a client has carried, or None where it carried none or several."""
        carried = self._carried(client_id)
        return next(iter(carried)) if len(carried) == 1 else None

    def _carried(self, client_id: str) -> set[str]:
        """Return the ids of the voices that a client has carried, as far as is remembered."""
        return {
            record.known.speaker_id
            for record in self._records.values()
            if client_id in (record.first_client_id, record.last_client_id)
        }

    def _is_shared(self, embedding: Embedding, speech_s: float, client_id: str) -> bool:
        """Say whether what was heard through a client so far is implausible as one voice."""
        return any(
            self.scale.similarity(embedding, speech_s, glimpse.embedding, glimpse.speech_s)
            < self.scale.plausible - _ONLY_VOICE_BONUS
            for glimpse in self._glimpses
            if glimpse.client_id == client_id
        )

    def heard_in_quiet(self, speaker_id: str) -> None:
        """Take a voice for a person's, as no loudspeaker was speaking when it was heard.

        Raises:
            UnknownSpeakerError: No voice has this id.
        """
        self._put(replace(self.get(speaker_id), is_person=True))

    @property
    def threshold(self) -> float:
        """Corrected similarity from which two utterances are surely one voice."""
        return self._threshold

    def likeness_of_person(self, embedding: Embedding, duration_s: float, client_id: str) -> float | None:
        """Return the corrected similarity to the person on this client it sounds most like, or None where to none.

        In noise a voice is less like itself, but still more like itself than like another: what is halfway between
        plausible and sure (``threshold``) is returned, for the caller to compare it with another voice. In noise 10 dB
        below and reverberation of 0.4 s, 96 % of what people say are then more like them than like Kokoro, and 48 % if
        it had to be sure; of 120 times that Kokoro was heard so, none was more like a person, either way.

        Args:
            embedding: Unit vector of the utterance.
            duration_s: Length of the utterance in seconds.
            client_id: The client it came from; among more voices, a loudspeaker sounds the sooner like one of them.
        """
        speech_s = self.scale.used_s(duration_s)
        similarities = (
            self.scale.similarity(embedding, speech_s, record.centroid, record.speech_s)
            for record in self._records.values()
            if record.is_person and client_id in (record.first_client_id, record.last_client_id)
        )
        likeness = max(similarities, default=-math.inf)
        return likeness if likeness >= (self._threshold + self.scale.plausible) / 2 else None

    def rename(self, speaker_id: str, name: str) -> None:
        """Give a voice a name.

        Raises:
            UnknownSpeakerError: No voice has this id.
        """
        record = self.get(speaker_id)
        self._put(replace(record, known=replace(record.known, name=name), is_named=True, name_from=""))

    def lend_name(self, client_id: str, name: str, present: Collection[str]) -> str | None:
        """Give the only voice that a client carries the name that the client has now.

        A name that a person gave stays, and so does one that another client lends it that is still here.

        Args:
            client_id: The client.
            name: Its name; an empty one is lent to nobody.
            present: The clients that are here.

        Returns:
            The voice's id if it has got another name by this.
        """
        speaker_id = self.only_voice_of(client_id)
        if not name or speaker_id is None:
            return None
        record = self.get(speaker_id)
        is_lent = record.is_named and bool(record.name_from)
        is_others = record.name_from != client_id and record.name_from in present
        taken = any(other.known.name == name for other in self._records.values())
        if taken or is_others or not is_lent:
            return None
        self._put(replace(record, known=replace(record.known, name=name), name_from=client_id))
        return speaker_id

    def enrol(self, said: Sequence[HeardVoice], name: str, consent: Consent, own: Collection[str] = ()) -> str:
        """Make a voice known by what its person has said for that, by a name that is theirs, and have it stored.

        Args:
            said: What they said, all of one voice.
            name: Of the person.
            consent: To its being stored.
            own: Ids of stored voices that are known to be this person's; one of them is learnt anew.

        Returns:
            Its id: that of the known voice that it surely is, or of a new one.

        Raises:
            NotYoursError: It sounds like a voice that somebody else has had stored.
        """
        embedding, speech_s = together(said)
        client_id = said[-1].client_id
        best, similarity, _ = self._best(embedding, speech_s, client_id, bonus=0.0)
        if best is None or similarity < self._threshold:
            known = self._create(embedding, speech_s, client_id, name)
            best = self.get(known.speaker_id)
        elif best.consent is not None and best.consent.voice_id not in own:
            raise NotYoursError("a voice like this one is stored already; who had it stored can have it forgotten")
        else:
            if best.consent is not None:
                self._when_changed(best.consent.voice_id, None)  # it is stored under the new id alone
            best = replace(best, centroid=mean_voice(best.centroid, best.speech_s, embedding, speech_s))
        speaker_id = best.known.speaker_id
        known = replace(best.known, name=name, last_heard_s=self._clock())
        self._put(replace(best, known=known, is_named=True, name_from="", is_person=True, consent=consent))
        return speaker_id

    def bring(self, record: SpeakerRecord) -> str:
        """Make a voice known that was exported; returns its id.

        Raises:
            NotYoursError: It sounds like a voice that somebody else has had stored.
        """
        best, similarity, _ = self._best(record.centroid, record.speech_s, "", bonus=0.0)
        if best is not None and similarity >= self._threshold and best.consent is not None:
            raise NotYoursError("a voice like this one is stored already; who had it stored can have it forgotten")
        self._make_place()
        known = replace(record.known, speaker_id=self._new_id())
        self._put(replace(record, known=known))
        return known.speaker_id

    def belongs(self, utterance_ids: Collection[str], speaker_id: str) -> None:
        """Take utterances for a voice's, as somebody who must know has said so."""
        for heard in self._heard:
            if heard.utterance_id in utterance_ids:
                heard.speaker_id, heard.is_sure = speaker_id, True

    def split(self, speaker_id: str, utterance_id: str) -> tuple[str, tuple[str, ...]]:
        """Make two voices of one that two people were taken for.

        Args:
            speaker_id: The voice.
            utterance_id: Said by the one whose voice it is not.

        Returns:
            The id of the other voice, and its utterances as far as they are remembered.

        Raises:
            UnknownSpeakerError: No voice has this id, or it is not remembered what both sounded like.
        """
        record = self.get(speaker_id)
        anchor = record.centroid if record.consent is not None else None
        theirs, others = self._heard.apart(speaker_id, utterance_id, anchor)
        if not others or (anchor is None and not theirs):
            raise UnknownSpeakerError("too little is remembered of what this voice has said")
        if anchor is None:
            centroid, speech_s = together(theirs)
            self._put(replace(record, centroid=centroid, speech_s=min(speech_s, _MEMORY_S)))
        embedding, speech_s = together(others)
        other = self._create(embedding, min(speech_s, _MEMORY_S), others[-1].client_id, "")
        ids = tuple(heard.utterance_id for heard in others)
        self.belongs(ids, other.speaker_id)
        return other.speaker_id, ids

    def unheard(self, before_s: float) -> list[str]:
        """Return the voices that are stored and were last heard before a Unix time."""
        return [
            record.known.speaker_id
            for record in self._records.values()
            if record.consent is not None and record.known.last_heard_s < before_s
        ]

    def speaker_of(self, utterance_id: str) -> str | None:
        """Return whose voice an utterance is taken for by now, as far as it is remembered."""
        return next((heard.speaker_id for heard in self._heard if heard.utterance_id == utterance_id), None)

    def agree(self, speaker_id: str, consent: Consent) -> None:
        """Have a voice stored from now on, as its person has agreed to that.

        Raises:
            UnknownSpeakerError: No voice has this id.
        """
        self._put(replace(self.get(speaker_id), consent=consent))

    def adopt(self, snapshot: Snapshot) -> None:
        """Go on from a state; a voice whose id is taken gets another."""
        for record in snapshot.records:
            known = record.known
            if known.speaker_id in self._records:
                known = replace(known, speaker_id=self._new_id())
            self._records[known.speaker_id] = replace(record, known=known)
            self.number_from(int(known.speaker_id.removeprefix(_ID)) + 1)
        self.number_from(snapshot.next_number)

    def number_from(self, number: int) -> None:
        """Give no new voice a lower number; those below are of voices that were known once."""
        self._next_number = max(self._next_number, number)

    def merge(self, keep_id: str, drop_id: str) -> None:
        """Make one voice of two that turned out to be the same; a given name outlives ``Speaker <n>``.

        Raises:
            UnknownSpeakerError: No voice has one of the ids.
        """
        keep, drop = self.get(keep_id), self.get(drop_id)
        if keep is drop:
            return
        name = drop.known.name if drop.is_named and not keep.is_named else keep.known.name
        latest = max(keep, drop, key=lambda record: record.known.last_heard_s)
        known = KnownSpeaker(
            keep_id, name, keep.known.samples + drop.known.samples, last_heard_s=latest.known.last_heard_s
        )
        merged = SpeakerRecord(
            known=known,
            is_named=keep.is_named or drop.is_named,
            centroid=mean_voice(keep.centroid, keep.speech_s, drop.centroid, drop.speech_s),
            speech_s=min(keep.speech_s + drop.speech_s, _MEMORY_S),
            first_client_id=keep.first_client_id,
            last_client_id=latest.last_client_id,
            is_person=keep.is_person or drop.is_person,
            consent=keep.consent or drop.consent,
            name_from=drop.name_from if name == drop.known.name else keep.name_from,
        )
        self._heard.replace(drop_id, keep_id)
        self._drop(drop_id)
        self._put(merged)

    def forget(self, speaker_id: str) -> None:
        """Delete what is known of a voice, and what was heard of it.

        Raises:
            UnknownSpeakerError: No voice has this id.
        """
        self.get(speaker_id)
        self._drop(speaker_id)

    def list(self) -> tuple[KnownSpeaker, ...]:
        """Return every voice, the oldest first."""
        return tuple(record.known for record in self._records.values())

    def snapshot(self) -> Snapshot:
        """Return the whole state, embeddings and all; a registry made from it goes on where this one is."""
        return Snapshot(tuple(self._records.values()), self._next_number)

    def voice_of(self, voice_id: str) -> SpeakerRecord | None:
        """Return the voice that is stored under an id, or None where none is known."""
        return next((one for one in self._records.values() if one.consent and one.consent.voice_id == voice_id), None)

    def get(self, speaker_id: str) -> SpeakerRecord:
        """Return what is known of a voice.

        Raises:
            UnknownSpeakerError: No voice has this id.
        """
        try:
            return self._records[speaker_id]
        except KeyError:
            raise UnknownSpeakerError(f"no speaker {speaker_id[:40]!r}") from None

    def _put(self, record: SpeakerRecord) -> None:
        self._records[record.known.speaker_id] = record
        if record.consent is not None:
            self._when_changed(record.consent.voice_id, record)

    def _drop(self, speaker_id: str) -> None:
        consent = self._records.pop(speaker_id).consent
        gone = self._heard.forget(speaker_id)
        kept = [glimpse for glimpse in self._glimpses if gone.isdisjoint(glimpse.utterance_ids)]
        self._glimpses = deque(kept, maxlen=_MOST_GLIMPSES)
        if consent is not None:
            self._when_changed(consent.voice_id, None)

    def _new_id(self) -> str:
        self._next_number += 1
        return f"{_ID}{self._next_number - 1}"

    def _best(
        self, embedding: Embedding, speech_s: float, client_id: str, bonus: float = _SAME_CLIENT_BONUS
    ) -> tuple[SpeakerRecord | None, float, float]:
        """Return the best match, its corrected similarity, and that with the bonus of the client."""
        best: tuple[SpeakerRecord | None, float, float] = (None, 0.0, -math.inf)
        for record in self._records.values():
            similarity = self.scale.similarity(embedding, speech_s, record.centroid, record.speech_s)
            score = similarity + (bonus if record.last_client_id == client_id else 0.0)
            if score > best[2]:
                best = (record, similarity, score)
        return best

    def _heard_again(self, record: SpeakerRecord, client_id: str) -> SpeakerRecord:
        known = replace(record.known, samples=record.known.samples + 1, last_heard_s=self._clock())
        # A voice that was stored is first heard now, as far as the clients here are concerned.
        return replace(
            record, known=known, first_client_id=record.first_client_id or client_id, last_client_id=client_id
        )

    def _create(self, embedding: Embedding, speech_s: float, client_id: str, suggested_name: str) -> KnownSpeaker:
        self._make_place()
        speaker_id = self._new_id()
        is_named = bool(suggested_name) and not any(
            record.first_client_id == client_id or record.known.name == suggested_name
            for record in self._records.values()
        )
        name = suggested_name if is_named else self._free_name()
        known = KnownSpeaker(speaker_id, name, samples=1, last_heard_s=self._clock())
        name_from = client_id if is_named else ""
        self._put(SpeakerRecord(known, is_named, embedding, speech_s, client_id, client_id, name_from=name_from))
        return known

    def _make_place(self) -> None:
        while len(self._records) >= self._limit:
            stalest = min(self._records.values(), key=_worth_keeping)
            self._drop(stalest.known.speaker_id)

    def _free_name(self) -> str:
        """Return ``Speaker <n>`` for the newest voice that nobody bears, even where somebody chose such a name."""
        taken = {record.known.name for record in self._records.values()}
        newest = self._next_number - 1
        return next(name for free in itertools.count(newest) if (name := f"Speaker {free}") not in taken)


def _worth_keeping(record: SpeakerRecord) -> tuple[bool, bool, float]:
    return record.consent is not None, record.is_named, record.known.last_heard_s


def _clipped(similarity: float) -> float:
    return min(1.0, max(0.0, similarity))
