"""Pure functions on audio: PCM, WAV, resampling and level."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator

import numpy as np
import soxr

from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.errors import InvalidAudioError


def pcm16_to_float(data: bytes) -> Samples:
    """Decode Int16 little-endian mono PCM.

    Args:
        data: Two bytes per sample.

    Returns:
        Shape ``[len(data) // 2]``, float32 in [-1, 1).

    Raises:
        InvalidAudioError: No audio, or half a sample at the end.
    """
    if not data:
        raise InvalidAudioError("the audio frame is empty")
    if len(data) % 2:
        raise InvalidAudioError(f"{len(data)} bytes are not whole Int16 samples")
    return np.frombuffer(data, dtype="<i2").astype(np.float32) / np.float32(32768.0)


class Pcm16Stream:
    """Decodes a stream of Int16 little-endian mono PCM that may be cut anywhere, within a sample as well.

    Attributes:
        samples: How many there have been.
        recorded: How many there had been at the end of the newest frame that is longer than a second. A microphone
            sends less at a time, so nobody was speaking meanwhile.
    """

    def __init__(self) -> None:
        """Begin with a whole sample."""
        self.samples = self.recorded = 0
        self._half = b""

    def feed(self, data: bytes) -> Samples:
        """Decode the next frame; half a sample at its end is completed by the frame after it.

        Returns:
            Shape ``[n]``, float32 in [-1, 1); none where the frame completes no sample.

        Raises:
            InvalidAudioError: No audio.
        """
        if not data:
            raise InvalidAudioError("the audio frame is empty")
        joined = self._half + data
        whole = len(joined) - len(joined) % 2
        self._half = joined[whole:]
        samples = pcm16_to_float(joined[:whole]) if whole else np.empty(0, dtype=np.float32)
        self.samples += len(samples)
        if len(samples) > SAMPLE_RATE_HZ:
            self.recorded = self.samples
        return samples


def by_second(samples: Samples) -> Iterator[Samples]:
    """Cut audio into seconds, so that nobody's work is longer than that; the last one may be shorter."""
    for start in range(0, len(samples), SAMPLE_RATE_HZ):
        yield samples[start : start + SAMPLE_RATE_HZ]


def float_to_pcm16(samples: Samples) -> bytes:
    """Encode float samples as Int16 little-endian PCM; values outside [-1, 1] are clipped, NaN becomes silence.

    What ``pcm16_to_float`` decoded comes out again bit by bit.
    """
    scaled = np.rint(np.clip(np.nan_to_num(samples, nan=0.0), -1.0, 1.0) * 32768.0)
    pcm: bytes = np.minimum(scaled, 32767.0).astype("<i2").tobytes()
    return pcm


def resample(samples: Samples, from_hz: int, to_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """Change the sample rate; shape ``[n]`` → ``[n · to_hz / from_hz]``."""
    if from_hz == to_hz:
        return samples
    return np.asarray(soxr.resample(samples, from_hz, to_hz), dtype=np.float32)


def wav_bytes(samples: Samples, sample_rate_hz: int) -> bytes:
    """Encode mono float samples as a 16-bit WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(float_to_pcm16(samples))
    return out.getvalue()
