"""What a room said lately, for clients that come back: captions in memory, bounded in number, without audio."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from dataclasses import dataclass, field

from babblefish.wire import server_messages


@dataclass(eq=False)
class Entry:
    """One utterance that became a result.

    Attributes:
        transcript: The result for a listener of the language spoken.
        due: Captions that are not made yet.
        captions: What was made, by the language it is in.
        complete: Set when no further caption comes.
        made_s: Unix time.
    """

    transcript: server_messages.Result
    due: int
    captions: dict[str, server_messages.Result] = field(default_factory=dict)
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    made_s: float = field(default_factory=time.time)

    @property
    def seq(self) -> int:
        """Its number in the room."""
        return self.transcript.seq

    def add(self, caption: server_messages.Result) -> None:
        """Keep a caption; the last one that is due completes the entry."""
        self.captions[caption.target_lang] = caption
        self.due -= 1
        if self.due <= 0:
            self.complete.set()

    def best_for(self, lang: str) -> server_messages.Result:
        """Return what a listener of a language can read best: that language, else English, else the transcript."""
        if lang == self.transcript.target_lang:
            return self.transcript
        return self.captions.get(lang) or self.captions.get("eng") or self.transcript


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
        self._entries: deque[Entry] = deque(maxlen=limit)

    def append(self, transcript: server_messages.Result, due: int) -> Entry:
        """Give an utterance the next number and keep it.

        Args:
            transcript: The result for a listener of the language spoken; its ``seq`` is set here.
            due: Captions that will be added.
        """
        self.newest_seq += 1
        entry = Entry(transcript.model_copy(update={"seq": self.newest_seq}), due)
        self._entries.append(entry)
        return entry

    def between(self, after_seq: int, until_seq: int, since_s: float) -> tuple[list[Entry], int]:
        """Return what there is with ``after_seq`` < seq ≤ ``until_seq``, in order, and how many of them are missing.

        Args:
            after_seq: Newest number the client has seen.
            until_seq: Newest number it is to be shown.
            since_s: Unix time since when it might have been in the room; what is older is not for it.
        """
        shown = [entry for entry in self._entries if after_seq < entry.seq <= until_seq and entry.made_s >= since_s]
        return shown, max(0, until_seq - after_seq) - len(shown)
