"""Recognises what a room has heard already: through a second microphone, or from its own loudspeakers.

It goes by words and time. People repeat what a loudspeaker says, too, to confirm it: whether a voice is a person's is
for others to say (``SpeakerRegistry.likeness_of_person``, ``SyntheticVoices``).
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher

from babblefish.domain import Transcript, Utterance
from babblefish.errors import DuplicateUtteranceError, EchoError

_SIMILAR = 0.8
"""Share of matching characters from which two recognitions are of the same words; other words rarely reach it."""

_CHANCE = 4
"""Shorter runs of equal characters are found between any two texts."""

_MIN_WORDS = 3
"""Two people may well say "yes" or "good morning" at once; three equal words at one moment are one voice."""

_ECHO_TAIL_S = 3.0
"""Time a loudspeaker may lag behind: a playback queue, a Bluetooth headset."""

_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class _Heard:
    client_id: str
    words: str
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class _Spoken:
    words: str
    lang: str
    voice: str
    until_s: float


class EchoGuard:
    """What was said and spoken in one room lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing heard; ``clock`` is in seconds, as ``Utterance.ended_at_s``."""
        self._clock = clock
        self._heard: deque[_Heard] = deque(maxlen=_REMEMBERED)
        self._spoken: deque[_Spoken] = deque(maxlen=_REMEMBERED)

    def check(self, utterance: Utterance, transcript: Transcript, is_person: bool = False) -> None:
        """Accept an utterance as new, and remember it.

        Args:
            utterance: That was said.
            transcript: Its words.
            is_person: Whether it sounds like a person, who may repeat what a loudspeaker says.

        Raises:
            DuplicateUtteranceError, EchoError: As ``compare``.
        """
        self.compare(utterance, transcript, is_person)
        words = _normal(transcript.text)
        self._heard.append(_Heard(utterance.client_id, words, *_times(utterance)))

    def compare(self, utterance: Utterance, transcript: Transcript, is_person: bool = False) -> None:
        """Compare an utterance, or the beginning of one, with what is remembered.

        Args:
            utterance: That was said.
            transcript: Its words.
            is_person: As ``check`` has it.

        Raises:
            DuplicateUtteranceError: Another member's microphone heard the same words at the same time.
            EchoError: They are what a loudspeaker in the room has just said.
        """
        words = _normal(transcript.text)
        from_s, until_s = _times(utterance)
        if len(words.split()) >= _MIN_WORDS:
            for said in self._heard:
                overlap = said.client_id != utterance.client_id and said.from_s < until_s and from_s < said.until_s
                if overlap and _same(words, said.words):
                    raise DuplicateUtteranceError("another microphone in the room has already heard this")
        if not is_person and self.voice_repeated(utterance, transcript) is not None:
            raise EchoError("this is the server's own speech, heard from a loudspeaker")

    def voice_repeated(self, utterance: Utterance, transcript: Transcript) -> str | None:
        """Return the voice that has just said these words from a loudspeaker in the room, whoever says them now."""
        words = _normal(transcript.text)
        from_s, _ = _times(utterance)
        if len(words.split()) < _MIN_WORDS:
            return None
        said = (
            spoken.voice
            for spoken in self._spoken
            if spoken.lang == transcript.lang and from_s < spoken.until_s and _same(words, spoken.words)
        )
        return next(said, None)

    def is_quiet(self, utterance: Utterance) -> bool:
        """Say whether no loudspeaker in the room can have been heard in an utterance."""
        from_s, _ = _times(utterance)
        return all(spoken.until_s <= from_s for spoken in self._spoken)

    def spoke(self, text: str, lang: str, voice: str, duration_s: float) -> None:
        """Remember that speech of this length is being played to the room from now on, in a voice by its name."""
        now_s = self._clock()
        # A listener's loudspeaker plays one piece after another; other languages play on other loudspeakers.
        playing = (spoken.until_s - _ECHO_TAIL_S for spoken in self._spoken if spoken.lang == lang)
        playing_until_s = max(playing, default=now_s)
        until_s = max(now_s, playing_until_s) + duration_s + _ECHO_TAIL_S
        spoken = _Spoken(_normal(text), lang, voice, until_s)
        if self._spoken and (self._spoken[-1].words, self._spoken[-1].lang) == (spoken.words, lang):
            self._spoken.pop()  # a further piece of the same caption
        self._spoken.append(spoken)


def _times(utterance: Utterance) -> tuple[float, float]:
    """Return when an utterance began and ended, in seconds of the clock."""
    return utterance.ended_at_s - utterance.duration_s, utterance.ended_at_s


def _normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _same(left: str, right: str) -> bool:
    """Say whether the shorter of two texts is, but for a few mishearings, part of the longer one."""
    blocks = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    matched = sum(block.size for block in blocks if block.size >= _CHANCE)
    return matched >= _SIMILAR * min(len(left), len(right))
