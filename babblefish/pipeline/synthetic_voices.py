"""What the voices that speak sound like to the speaker encoder, for telling their echo from a person."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np

from babblefish.audio import pcm
from babblefish.domain import Samples, Speech
from babblefish.engines.contracts import Embedding, SpeakerEncoder
from babblefish.errors import BabbleFishError
from babblefish.pipeline.workers import Worker

_log = logging.getLogger(__name__)

_ENOUGH_S = 4.0
"""More speech of a voice that always sounds the same makes its embedding hardly better."""


@dataclass(eq=False)
class _Voice:
    """One voice: the beginning of what it has said, and the embedding of as much of it as was embedded."""

    sample_rate_hz: int
    samples: Samples = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    embedding: Embedding | None = None
    embedded_s: float = 0.0

    @property
    def spoken_s(self) -> float:
        return len(self.samples) / self.sample_rate_hz


class SyntheticVoices:
    """Keeps a few seconds of each voice, and embeds them when they matter for the first time."""

    def __init__(self, encoder: SpeakerEncoder, worker: Worker) -> None:
        """Embed with ``encoder``, on ``worker``."""
        self._encoder = encoder
        self._worker = worker
        self._voices: dict[str, _Voice] = {}

    def spoke(self, speech: Speech) -> None:
        """Keep what a voice has said, if more of it is wanted."""
        voice = self._voices.setdefault(speech.voice, _Voice(speech.sample_rate_hz))
        missing = int(_ENOUGH_S * voice.sample_rate_hz) - len(voice.samples)
        if missing > 0:
            voice.samples = np.concatenate((voice.samples, speech.samples[:missing]))

    async def likeness(self, name: str, embedding: Embedding, speech_s: float) -> float | None:
        """Return how much an utterance sounds like a voice, as ``VoiceScale`` has it, or None where nobody can tell.

        Args:
            name: Of the voice, as ``Speech.voice``.
            embedding: Of the utterance.
            speech_s: Seconds of speech in it.
        """
        voice = self._voices.get(name)
        if voice is None:
            return None
        if (spoken_s := voice.spoken_s) > voice.embedded_s:
            try:
                voice.embedding = await self._worker.run(_embed, self._encoder, voice.samples, voice.sample_rate_hz)
            except BabbleFishError as error:
                _log.warning("the voice %s was not listened to: %s", name, error)
                return None
            voice.embedded_s = spoken_s
        if voice.embedding is None:
            return None
        return self._encoder.scale.similarity(voice.embedding, voice.embedded_s, embedding, speech_s)


def _embed(encoder: SpeakerEncoder, samples: Samples, sample_rate_hz: int) -> Embedding:
    return encoder.embed(pcm.resample(samples, sample_rate_hz))
