"""The domain's types: utterances, transcripts, captions, speech, speakers."""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from babblefish.errors import DeadlineExceededError

Samples = NDArray[np.float32]
"""Mono audio, shape ``[n]``, float32 in [-1, 1]."""

SAMPLE_RATE_HZ = 16_000
"""Sample rate of all audio between the socket and the engines."""

_T = TypeVar("_T")

_LOOK_S = 0.05
"""How often a wait checks whether it has been cancelled."""

UNKNOWN_SPEAKER_ID = "unknown"

Interpreting = Literal["simultaneous", "consecutive"]
"""When a listener gets the translation of long speech: clause by clause while it goes on, or when it has ended."""

Shed = Literal["interim", "early_speech", "speech"]
"""What a room goes without while it is behind, in the order in which it goes: interim captions, the speech of clauses
whose speaker goes on, and the speech of all new results."""


class Quality(StrEnum):
    """How far a caption can be trusted as a translation of what was said."""

    ORIGINAL = "original"
    """The words as spoken; no translation was needed."""
    GOOD = "good"
    DRAFT = "draft"
    """Good for the gist only: a rule-based path between distant languages, a path with more than one hop, or a language
    that the translator is not known to write well."""
    UNTRANSLATED = "untranslated"
    """There is no path to the requested language; the text is in another one."""


class Owner(NamedTuple):
    """Whose work it is, from the outside in: whoever waits takes turns by address, then by room, then by client.

    Attributes:
        address: Network address, or the network that one owner has; empty for a program's own work.
        room: Name of the room.
        client_id: The client whose microphone recorded what the work is about.
    """

    address: str = ""
    room: str = ""
    client_id: str = ""


NOBODY = Owner()
"""Owns what a program does of its own accord."""


_NO_SAMPLES: Samples = np.zeros(0, dtype=np.float32)

TYPED_CHARACTERS_PER_S = 15.0
"""How fast people say what somebody has typed, about: by this a text costs as much as the same words spoken."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of speech by one client, or words that somebody typed instead.

    Attributes:
        utterance_id: Unique while the server runs.
        client_id: The client whose microphone or keyboard it came from.
        samples: Shape ``[n]``, float32, mono, 16 kHz; none where it was typed.
        source_langs: ISO 639-3 codes of the languages it may be in: the one that the client declared, several to
            choose from, or none if it may be any.
        ended_at_s: ``time.monotonic()`` of the last speech sample's arrival, or the text's; latencies count from here.
        speech_s: Seconds of speech in it, if a voice detector has already measured them; else the pipeline does.
        owner: Whose turn its work takes.
        typed: The words where they were typed, else None.
        pauses: Where in ``samples`` another language may begin: the middle of each pause that was too short to end it.
    """

    utterance_id: str
    client_id: str
    samples: Samples
    source_langs: frozenset[str]
    ended_at_s: float
    speech_s: float | None = None
    owner: Owner = NOBODY
    typed: str | None = None
    pauses: tuple[int, ...] = ()

    @classmethod
    def of_text(
        cls,
        utterance_id: str,
        client_id: str,
        text: str,
        source_langs: frozenset[str],
        arrived_s: float,
        owner: Owner = NOBODY,
    ) -> Utterance:
        """Return words that somebody typed."""
        return cls(utterance_id, client_id, _NO_SAMPLES, source_langs, arrived_s, 0.0, owner, text)

    def cut(self, pause: int) -> tuple[Utterance, Utterance]:
        """Return what is before one of its pauses, which keeps the id, and what is after it."""
        total, speech_s = len(self.samples), self.speech_s or 0.0
        before = replace(
            self,
            samples=self.samples[:pause],
            ended_at_s=self.ended_at_s - (total - pause) / SAMPLE_RATE_HZ,
            speech_s=speech_s * pause / total,
            pauses=(),
        )
        after = replace(
            self,
            utterance_id=new_utterance_id(),
            samples=self.samples[pause:],
            speech_s=speech_s * (total - pause) / total,
            pauses=(),
        )
        return before, after

    @property
    def duration_s(self) -> float:
        """Length of the audio in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ

    @property
    def cost_s(self) -> float:
        """What it counts for where turns are taken: the seconds that it takes to say it."""
        return self.duration_s if self.typed is None else len(self.typed) / TYPED_CHARACTERS_PER_S


def new_utterance_id() -> str:
    """Return an id that no other utterance has."""
    return uuid.uuid4().hex[:12]


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said, in its own language.

    Attributes:
        text: Never empty; an utterance without words raises ``NoSpeechError`` instead.
        lang: ISO 639-3.
        lang_confidence: Probability of ``lang`` in [0, 1]; 1.0 if the client declared it.
        confidence: Mean token probability in [0, 1].
    """

    text: str
    lang: str
    lang_confidence: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Caption:
    """The text of an utterance in one language.

    Attributes:
        text: The words.
        lang: ISO 639-3 code of the language of ``text``.
        quality: How far it can be trusted.
        path: Languages passed through, the spoken one first, e.g. ``("fra", "cat", "eng")``.
    """

    text: str
    lang: str
    quality: Quality
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """A word or a name of a room's glossary.

    Attributes:
        text: As it is written where ``translations`` has nothing else; a name is the same in most languages.
        translations: ISO 639-3 → how it is written in that language.
        spoken: ISO 639-3 → how it is spelled for a voice of that language to say it right.
    """

    text: str
    translations: Mapping[str, str] = field(default_factory=dict)
    spoken: Mapping[str, str] = field(default_factory=dict)

    def written(self, lang: str) -> str:
        """Return how it is written in a language."""
        return self.translations.get(lang, self.text)


@dataclass(frozen=True, slots=True)
class Speech:
    """Synthesized audio of a caption, or of a piece of it.

    Attributes:
        samples: Shape ``[n]``, float32, mono.
        sample_rate_hz: Rate of ``samples``.
        lang: ISO 639-3.
        voice: ``<engine>:<voice name>``.
    """

    samples: Samples
    sample_rate_hz: int
    lang: str
    voice: str

    @property
    def duration_s(self) -> float:
        """Length of the audio in seconds."""
        return len(self.samples) / self.sample_rate_hz


@dataclass(frozen=True, slots=True)
class SpeakerMatch:
    """Whose voice an utterance is.

    Attributes:
        speaker_id: ``speaker_<n>``, or ``unknown``.
        name: The name shown to people.
        confidence: Similarity to the speaker's centroid, corrected for length and clipped to [0, 1]; 1.0 for a new
            speaker.
        is_new: Whether the speaker is first heard in this utterance.
        is_likely: Whether there is too little speech to be sure, and the name is the likely one.
        corrects: Earlier utterances that are this voice's as well, whatever they were taken for.
    """

    speaker_id: str
    name: str
    confidence: float
    is_new: bool = False
    is_likely: bool = False
    corrects: tuple[str, ...] = ()


UNKNOWN_SPEAKER = SpeakerMatch(UNKNOWN_SPEAKER_ID, "Unknown speaker", 0.0)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment after which work on an utterance is no longer worth doing.

    Cancelling an ``await`` does not stop a thread, so engines call ``check`` before each expensive step.

    Attributes:
        at_s: ``time.monotonic()`` of that moment.
    """

    at_s: float
    _cancelled: list[bool] = field(default_factory=lambda: [False])

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return a deadline this many seconds from now."""
        return cls(time.monotonic() + seconds)

    def later(self, seconds: float) -> Deadline:
        """Return a deadline this much later; who cancels one cancels both."""
        return replace(self, at_s=self.at_s + seconds)

    def cancel(self) -> None:
        """Mark the result as no longer needed; safe from any thread."""
        self._cancelled[0] = True

    def take(self, items: queue.Queue[_T]) -> _T:
        """Wait for an item of a queue that several threads share, until the deadline.

        Raises:
            DeadlineExceededError: The moment has passed or the work was cancelled.
        """
        while True:
            self.check()
            try:
                return items.get(timeout=_LOOK_S)
            except queue.Empty:
                continue

    @property
    def is_over(self) -> bool:
        """Whether the moment has passed or the work was cancelled; once it is, it stays so."""
        return self._cancelled[0] or time.monotonic() > self.at_s

    def check(self) -> None:
        """Check the deadline.

        Raises:
            DeadlineExceededError: The moment has passed or the work was cancelled.
        """
        if self.is_over:
            raise DeadlineExceededError("the utterance took too long and was given up")
