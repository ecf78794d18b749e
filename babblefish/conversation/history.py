"""What a room said lately, for clients that come back: captions in memory, bounded in number, without audio."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from babblefish.clock import steady_unix_s
from babblefish.domain import Caption, Quality, SpeakerMatch, Transcript
from babblefish.pipeline.job import UtteranceJob

_CONTEXT_UTTERANCES = 3
_CONTEXT_CHARACTERS = 200
"""Both languages together; a model reads what was said before each sentence it translates, which takes time."""

_CONTEXT_S = 120.0
"""What was said longer ago is not what somebody answers."""


@dataclass(frozen=True, slots=True)
class KeptCaption:
    """A caption and how it was made.

    Attributes:
        caption: The text.
        latency_ms: From the end of speech until it was made.
        timings_ms: Milliseconds per stage until then.
    """

    caption: Caption
    latency_ms: float
    timings_ms: Mapping[str, float]


@dataclass(eq=False)
class HistoryEntry:
    """One utterance that became a result.

    Attributes:
        seq: Its number in the room.
        speaker: As far as it is known by now.
        due: Captions that are not made yet.
        captions: What was made, by the language it is in; the transcript is there from the beginning.
        made_s: Time of ``steady_unix_s`` at which it became a result; links are compared by it.
        ended_s: The same of the end of speech.
        duration_s: Seconds of audio until then.
        is_typed: Whether it was typed and not spoken.
        is_doubtful: Whether the transcript may be wrong, and with it all that was made of it.
        passage: The utterance that begins the passage that it belongs to; empty where it is an utterance of its own.
        continues: Whether it goes on from what the same client said before.
        is_whole: Whether it is the whole of that passage, for those who wait for it, and not one of its clauses.
        complete: Set when no further caption comes.
        kept: Set when it may be sent: a number that a client has seen must not be forgotten.
        made_at: The time at which it became a result by the machine's clock, UTC.
        when_captioned: Called with each caption that is added.
    """

    seq: int
    utterance_id: str
    client_id: str
    speaker: SpeakerMatch
    transcript: Transcript
    due: int
    captions: dict[str, KeptCaption]
    made_s: float
    ended_s: float
    duration_s: float
    is_typed: bool = False
    is_doubtful: bool = False
    passage: str = ""
    continues: bool = False
    is_whole: bool = False
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    kept: asyncio.Event = field(default_factory=asyncio.Event)
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    when_captioned: Callable[[KeptCaption], None] = lambda _: None

    def add(self, caption: KeptCaption) -> None:
        """Keep a caption; the last one that is due completes the entry."""
        if caption.caption.lang != self.transcript.lang:
            self.captions[caption.caption.lang] = caption
            self.when_captioned(caption)
        self.due -= 1
        if self.due <= 0:
            self.complete.set()

    def best_for(self, lang: str) -> KeptCaption:
        """Return what a listener of a language can read best: that language, else English, else the transcript."""
        captions = self.captions
        return captions.get(lang) or captions.get("eng") or captions[self.transcript.lang]


@dataclass(frozen=True, slots=True)
class Said:
    """An utterance has become a result of a room's history."""

    room: str
    history_id: str
    entry: HistoryEntry


@dataclass(frozen=True, slots=True)
class Captioned:
    """A result has got a caption."""

    history_id: str
    seq: int
    kept: KeptCaption


@dataclass(frozen=True, slots=True)
class Renamed:
    """A voice of a history has got another name."""

    history_id: str
    speaker_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Relabelled:
    """Some results are another voice's than they were taken for."""

    history_id: str
    seqs: tuple[int, ...]
    speaker: SpeakerMatch


@dataclass(frozen=True, slots=True)
class Replaced:
    """All that a voice has said is another's: it turned out to be that one, or is to be forgotten.

    Attributes:
        room: Whose it is.
        history_id: Of the room's present history.
        was: The voice's id.
        name: What it was called; by both it is found in earlier histories of the room.
        speaker: Whose it is now.
    """

    room: str
    history_id: str
    was: str
    name: str
    speaker: SpeakerMatch


Change = Said | Captioned | Renamed | Relabelled | Replaced


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """What is stored of a room's history.

    Attributes:
        history_id: Its id.
        newest_seq: Number of the newest result, which may be older than what is kept.
        next_voice: The number that the next new voice may have.
        entries: The newest results, in order.
    """

    history_id: str
    newest_seq: int
    next_voice: int
    entries: tuple[HistoryEntry, ...]


class Keeper(Protocol):
    """Keeps histories for longer than the process lives."""

    def put(self, change: Change) -> None:
        """Have a change stored; the result's ``kept`` is set when it is."""

    async def load(self, room: str, limit: int) -> StoredHistory | None:
        """Return the history that a room goes on with."""


class History:
    """The newest results of one room; numbers them.

    Attributes:
        history_id: Of this room's life: the room of another server, or one made anew, has another.
        newest_seq: Number of the newest result; 0 before the first.
        next_voice: The number that the next new voice may have, when it is opened.
    """

    def __init__(
        self, limit: int, clock: Callable[[], float] = steady_unix_s, room: str = "", keeper: Keeper | None = None
    ) -> None:
        """Begin a history.

        Args:
            limit: Results that are kept in memory; older ones are forgotten here.
            clock: The time at which they are kept.
            room: Whose history it is.
            keeper: Stores it; what it has of the room comes with ``settle``.
        """
        self._clock = clock
        self._room = room
        self._keeper = keeper
        self._loading = asyncio.Lock()
        self._is_loaded = keeper is None
        self._newest: HistoryEntry | None = None
        self.next_voice = 1
        self.history_id = secrets.token_hex(8)
        self.newest_seq = 0
        self._entries: deque[HistoryEntry] = deque(maxlen=limit)

    @property
    def is_settled(self) -> bool:
        """Whether what is stored of it is known, and every number that was given is stored."""
        return self._is_loaded and (self._newest is None or self._newest.kept.is_set())

    async def settle(self) -> None:
        """Wait for that; a history that is stored goes on where it was."""
        async with self._loading:
            if not self._is_loaded and self._keeper is not None:
                stored = await self._keeper.load(self._room, self._entries.maxlen or 0)
                if stored is not None:
                    self.history_id, self.newest_seq = stored.history_id, stored.newest_seq
                    self.next_voice = stored.next_voice
                    self._entries.extend(stored.entries)
                self._is_loaded = True
        if self._newest is not None:
            await self._newest.kept.wait()

    def append(
        self,
        job: UtteranceJob,
        transcript: Transcript,
        speaker: SpeakerMatch,
        due: int,
        is_doubtful: bool = False,
        *,
        passage: str = "",
        continues: bool = False,
        is_whole: bool = False,
    ) -> HistoryEntry:
        """Give an utterance the next number and keep it.

        Args:
            job: The utterance, recognised.
            transcript: What was said.
            speaker: Whose voice it was.
            due: Captions that will be added.
            is_doubtful: Whether the transcript may be wrong.
            passage: As the entry has it.
            continues: As the entry has it.
            is_whole: As the entry has it.
        """
        self.newest_seq += 1
        original = Caption(transcript.text, transcript.lang, Quality.ORIGINAL, (transcript.lang,))
        made_s, latency_ms = self._clock(), job.latency_ms()
        entry = HistoryEntry(
            seq=self.newest_seq,
            utterance_id=job.utterance_id,
            client_id=job.utterance.client_id,
            speaker=speaker,
            transcript=transcript,
            due=due,
            captions={transcript.lang: KeptCaption(original, latency_ms, job.timings.all_ms)},
            made_s=made_s,
            ended_s=made_s - latency_ms / 1000.0,
            duration_s=job.utterance.duration_s,
            is_typed=job.utterance.typed is not None,
            is_doubtful=is_doubtful,
            passage=passage,
            continues=continues,
            is_whole=is_whole,
        )
        self._entries.append(entry)
        self._newest = entry
        if self._keeper is None:
            entry.kept.set()
        else:
            entry.when_captioned = partial(self._keep_caption, entry.seq)
            self._keeper.put(Said(self._room, self.history_id, entry))
        return entry

    def _keep_caption(self, seq: int, kept: KeptCaption) -> None:
        if self._keeper is not None:
            self._keeper.put(Captioned(self.history_id, seq, kept))

    def renamed(self, speaker_id: str, name: str) -> None:
        """Remember the new name of a voice for what it has said; those in memory are asked for theirs."""
        if self._keeper is not None:
            self._keeper.put(Renamed(self.history_id, speaker_id, name))

    def relabel(self, utterance_ids: Collection[str], speaker: SpeakerMatch) -> tuple[int, ...]:
        """Take what was said for another voice's; return the numbers of the results, as far as they are remembered."""
        was = {entry.utterance_id: entry.speaker.speaker_id for entry in self._entries if not entry.is_whole}
        seqs = []
        for entry in self._entries:
            if entry.utterance_id not in utterance_ids or entry.is_typed:
                continue
            # A whole bears the id of its last clause and the voice of its longest one, which may be another.
            if entry.is_whole and entry.speaker.speaker_id != was.get(entry.utterance_id):
                continue
            entry.speaker = speaker
            seqs.append(entry.seq)
        if seqs and self._keeper is not None:
            self._keeper.put(Relabelled(self.history_id, tuple(seqs), speaker))
        return tuple(seqs)

    def replace_voice(self, was: str, speaker: SpeakerMatch, name: str = "") -> None:
        """Take all that a voice has said for another's.

        Args:
            was: The voice's id.
            speaker: Whose it is now.
            name: What it was called; where given, what earlier histories of the room have of it is changed as well.
        """
        for entry in self._entries:
            if entry.speaker.speaker_id == was:
                entry.speaker = speaker
        if self._keeper is not None:
            self._keeper.put(Replaced(self._room, self.history_id, was, name, speaker))

    def find(self, seq: int) -> HistoryEntry | None:
        """Return a result by its number, or None where it is not remembered."""
        return next((entry for entry in self._entries if entry.seq == seq), None)

    def __iter__(self) -> Iterator[HistoryEntry]:
        return iter(self._entries)

    def between(self, after_seq: int, until_seq: int, since_s: float) -> tuple[list[HistoryEntry], int]:
        """Return what there is with ``after_seq`` < seq ≤ ``until_seq``, in order, and how many of them are missing.

        Args:
            after_seq: Newest number the client has seen.
            until_seq: Newest number it is to be shown.
            since_s: Time of ``steady_unix_s`` since when it might have been in the room; what is older is not for it.
        """
        shown = [entry for entry in self._entries if after_seq < entry.seq <= until_seq and entry.made_s >= since_s]
        return shown, max(0, until_seq - after_seq) - len(shown)

    def since(self, since_s: float) -> list[HistoryEntry]:
        """Return what became a result since a time of ``steady_unix_s``, in order."""
        return [entry for entry in self._entries if entry.made_s >= since_s]

    def clear(self) -> None:
        """Forget all of it; the numbers go on."""
        self._entries.clear()

    def context(self, source_lang: str, target_lang: str, before_seq: int | None = None) -> tuple[tuple[str, str], ...]:
        """Return the last utterances in two languages, oldest first; what is only the gist of one is not among them.

        Args:
            source_lang: ISO 639-3.
            target_lang: ISO 639-3.
            before_seq: Number of the utterance that they are to help with; without, the newest ones are returned.
        """
        now_s = self._clock()
        context: list[tuple[str, str]] = []
        characters = 0
        told: set[str] = set()
        for entry in reversed(self._entries):
            if len(context) == _CONTEXT_UTTERANCES or now_s - entry.made_s > _CONTEXT_S:
                break
            source, target = (_sure_text(entry, lang) for lang in (source_lang, target_lang))
            if source is None or target is None or (before_seq is not None and entry.seq >= before_seq):
                continue
            if entry.is_whole:
                told.add(entry.passage)
            elif entry.passage in told:
                continue
            characters += len(source) + len(target)
            if characters > _CONTEXT_CHARACTERS:
                break
            context.append((source, target))
        return tuple(reversed(context))


def _sure_text(entry: HistoryEntry, lang: str) -> str | None:
    if entry.is_doubtful:
        return None
    kept = entry.captions.get(lang)
    return kept.caption.text if kept and kept.caption.quality in (Quality.ORIGINAL, Quality.GOOD) else None
