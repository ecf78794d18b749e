"""What a room said lately, for clients that come back: captions in memory, bounded in number, without audio."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from babblefish.clock import steady_unix_s
from babblefish.domain import Caption, Quality, SpeakerMatch, Transcript
from babblefish.pipeline.job import UtteranceJob


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
        complete: Set when no further caption comes.
        made_at: Time at which it became a result, UTC.
        made_s: The same by ``steady_unix_s``, which links are compared by.
    """

    seq: int
    utterance_id: str
    client_id: str
    speaker: SpeakerMatch
    transcript: Transcript
    due: int
    captions: dict[str, KeptCaption]
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    made_s: float = field(default_factory=steady_unix_s)

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

    def __init__(self, limit: int) -> None:
        """Keep up to ``limit`` results; older ones are forgotten."""
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
