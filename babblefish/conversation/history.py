"""What a room said lately, for clients that come back: captions in memory, bounded in number, without audio."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

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
        speaker: As it was known when the utterance ended.
        due: Captions that are not made yet.
        captions: What was made, by the language it is in; the transcript is there from the beginning.
        made_s: Time of ``steady_unix_s`` at which it became a result; links are compared by it.
        complete: Set when no further caption comes.
        made_at: The same by the machine's clock, UTC.
    """

    seq: int
    utterance_id: str
    client_id: str
    speaker: SpeakerMatch
    transcript: Transcript
    due: int
    captions: dict[str, KeptCaption]
    made_s: float
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def add(self, caption: KeptCaption) -> None:
        """Keep a caption; the last one that is due completes the entry."""
        if caption.caption.lang != self.transcript.lang:
            self.captions[caption.caption.lang] = caption
        self.due -= 1
        if self.due <= 0:
            self.complete.set()

    def best_for(self, lang: str) -> KeptCaption:
        """Return what a listener of a language can read best: that language, else English, else the transcript."""
        captions = self.captions
        return captions.get(lang) or captions.get("eng") or captions[self.transcript.lang]


class History:
    """The newest results of one room; numbers them.

    Attributes:
        history_id: Of this room's life: the room of another server, or one made anew, has another.
        newest_seq: Number of the newest result; 0 before the first.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = steady_unix_s) -> None:
        """Keep up to ``limit`` results; older ones are forgotten."""
        self._clock = clock
        self.history_id = secrets.token_hex(8)
        self.newest_seq = 0
        self._entries: deque[HistoryEntry] = deque(maxlen=limit)

    def append(self, job: UtteranceJob, transcript: Transcript, speaker: SpeakerMatch, due: int) -> HistoryEntry:
        """Give an utterance the next number and keep it.

        Args:
            job: The utterance, recognised.
            transcript: What was said.
            speaker: Whose voice it was.
            due: Captions that will be added.
        """
        self.newest_seq += 1
        original = Caption(transcript.text, transcript.lang, Quality.ORIGINAL, (transcript.lang,))
        entry = HistoryEntry(
            seq=self.newest_seq,
            utterance_id=job.utterance_id,
            client_id=job.utterance.client_id,
            speaker=speaker,
            transcript=transcript,
            due=due,
            captions={transcript.lang: KeptCaption(original, job.latency_ms(), job.timings.all_ms)},
            made_s=self._clock(),
        )
        self._entries.append(entry)
        return entry

    def between(self, after_seq: int, until_seq: int, since_s: float) -> tuple[list[HistoryEntry], int]:
        """Return what there is with ``after_seq`` < seq ≤ ``until_seq``, in order, and how many of them are missing.

        Args:
            after_seq: Newest number the client has seen.
            until_seq: Newest number it is to be shown.
            since_s: Time of ``steady_unix_s`` since when it might have been in the room; what is older is not for it.
        """
        shown = [entry for entry in self._entries if after_seq < entry.seq <= until_seq and entry.made_s >= since_s]
        return shown, max(0, until_seq - after_seq) - len(shown)

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
        for entry in reversed(self._entries):
            if len(context) == _CONTEXT_UTTERANCES or now_s - entry.made_s > _CONTEXT_S:
                break
            source, target = (_sure_text(entry, lang) for lang in (source_lang, target_lang))
            if source is None or target is None or (before_seq is not None and entry.seq >= before_seq):
                continue
            characters += len(source) + len(target)
            if characters > _CONTEXT_CHARACTERS:
                break
            context.append((source, target))
        return tuple(reversed(context))


def _sure_text(entry: HistoryEntry, lang: str) -> str | None:
    kept = entry.captions.get(lang)
    return kept.caption.text if kept and kept.caption.quality in (Quality.ORIGINAL, Quality.GOOD) else None
