"""Which synthetic voice speaks for whom, so that listeners hear who is talking."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from babblefish.engines.contracts import SyntheticVoice

_ALIKE = 0.25
"""Octaves within which two voices are about as high: the one that its engine names first is taken of those."""

_MOST_SPEAKERS = 100
"""The one that was cast first is forgotten for one more."""


class VoiceCast:
    """The speakers of a room and the voices that speak for them, one in each language, which they keep.

    Args:
        voices: Returns an engine's voices for a language (ISO 639-3), the default one first.
    """

    def __init__(self, voices: Callable[[str], Sequence[SyntheticVoice]]) -> None:
        """Begin with nobody."""
        self._voices = voices
        self._pitches_hz: dict[str, float] = {}
        self._cast: dict[str, dict[str, str]] = {}
        """By language and speaker."""

    def knows(self, speaker_id: str) -> bool:
        """Say whether it is known how high a speaker's voice is."""
        return speaker_id in self._pitches_hz

    def heard(self, speaker_id: str, pitch_hz: float) -> None:
        """Learn how high a speaker's voice is, as the median of its pitch."""
        self._pitches_hz[speaker_id] = pitch_hz
        if len(self._pitches_hz) > _MOST_SPEAKERS:
            self.forget(next(iter(self._pitches_hz)))

    def voice(self, speaker_id: str, lang: str) -> str | None:
        """Return the name of the voice that speaks for a speaker.

        Of the voices that speak for the fewest others here, it is the one nearest in pitch.

        Args:
            speaker_id: Of the speaker.
            lang: ISO 639-3.

        Returns:
            None where it is not known how high the speaker's voice is, or no engine speaks the language.
        """
        pitch_hz = self._pitches_hz.get(speaker_id)
        voices = self._voices(lang)
        if pitch_hz is None or not voices:
            return None
        cast = self._cast.setdefault(lang, {})
        if speaker_id not in cast:
            taken = Counter(cast.values())
            cast[speaker_id] = min(voices, key=lambda voice: (taken[voice.name], _distance(voice, pitch_hz))).name
        return cast[speaker_id]

    def forget(self, speaker_id: str) -> None:
        """Delete what is known of a speaker; one who is not known stays so."""
        self._pitches_hz.pop(speaker_id, None)
        for cast in self._cast.values():
            cast.pop(speaker_id, None)


def _distance(voice: SyntheticVoice, pitch_hz: float) -> int:
    """Return how far a voice is from a pitch, in steps of ``_ALIKE``."""
    return 0 if voice.pitch_hz is None else int(abs(math.log2(voice.pitch_hz / pitch_hz)) / _ALIKE)
