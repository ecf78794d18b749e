"""Tells what a client sends in the place of 16-bit PCM at 16 kHz, where that is certain.

Whoever sends something else mostly hears nothing at all, as there is no speech in the noise that its bytes make. Real
sound, music and noise of any kind must never be taken for a fault, so each rule asks for what no microphone delivers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from babblefish.audio import spoken_rate
from babblefish.audio.pcm import pcm16_to_float
from babblefish.audio.signatures import format_of
from babblefish.audio.voice_sound import LEAST_S
from babblefish.domain import SAMPLE_RATE_HZ

_BLOCK = SAMPLE_RATE_HZ
"""Bytes that are looked at together: half a second, or a quarter of float samples."""

_BLOCKS = 20
"""As many that are not silent are looked at; then the client is trusted."""

_FLOAT_EXPONENTS = (87, 127)
"""Of float samples between 2⁻⁴⁰ and 2; Int16 noise has others five times in six, soft Int16 sound nearly always."""

_RANDOM_RMS = (0.53, 0.62)
"""Full scale is 1; bytes with any value alike give 0.577."""

_RANDOM_ENTROPY_BITS = 7.85
"""Per byte, of 8; clipped noise has less, and white noise at exactly full scale has 7.98."""

_UNIFORM_CHI_SQUARE = 1.6
"""Per degree of freedom. With less, noise was calculated: compressed sound prefers some bytes."""

_PACKETS = 50
_PACKET_BYTES = 400
_PACKET_STARTS = 4
_PACKET_ENTROPY_BITS = 7.2
"""A packet of compressed sound is short, and begins with one of a few bytes, while the others may be any."""

_RATES_HZ = (8000, SAMPLE_RATE_HZ, 22050, 24000, 32000, 44100, 48000)
_WINDOW_S = 3.0
_WINDOWS, _MOST_WINDOWS = 5, 20
_RATE_TOLERANCE, _WINDOW_TOLERANCE = 0.02, 0.08
_PAUSE_S = 0.5
"""A microphone's samples come at its rate: on average of the windows, and roughly in each. Who sends only while
somebody speaks pauses, and a second has fewer samples then."""

_SPOKEN = 5
"""Recordings whose rate is looked for in how somebody sounds."""

_TELEPHONE_RMS, _TELEPHONE_LIKENESS = 0.3, 0.8
"""A code of the telephone has its sign in the highest bit, and soft sound has the largest codes: read as Int16 it is
loud and rough, and read as what it is, each sample is like the next. The lower bytes of Int16 are like nothing."""

_NAMES = {
    "aiff": "an AIFF file",
    "amr": "an AMR file",
    "au": "an AU file",
    "caf": "a CAF file",
    "flac": "a FLAC file",
    "matroska": "a WebM file",
    "mp3": "an MP3 file",
    "mp4": "an MP4 file",
    "ogg": "an Ogg file",
    "wav": "a WAV file, header and all",
}


def _law(name: str) -> NDArray[np.float32]:
    """Return the level of each of the 256 codes of ITU-T G.711."""
    codes = np.arange(256)
    if name == "µ-law":
        codes = ~codes & 0xFF
        level = (((codes & 0x0F) << 3) + 132 << ((codes & 0x70) >> 4)) - 132
        return np.where(codes & 0x80, -level, level).astype(np.float32)
    codes = codes ^ 0x55
    step, segment = (codes & 0x0F) << 4, (codes & 0x70) >> 4
    level = np.where(segment, (step + 264) << np.maximum(segment - 1, 0), step + 8)
    return np.where(codes & 0x80, level, -level).astype(np.float32)


_LAWS = {name: _law(name) for name in ("µ-law", "A-law")}


class BlockCheck:
    """Looks at the first samples that are not silent, and tells where they are no 16-bit PCM."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._held = b""
        self._left = _BLOCKS

    @property
    def is_open(self) -> bool:
        """Whether too little has been looked at to trust the rest."""
        return self._left > 0

    def begin_anew(self) -> None:
        """Let go of what is no whole block, as what comes next is not the rest of it."""
        self._held = b""

    def feed(self, data: bytes) -> str | None:
        """Take what comes next; returns what it looks like, or None where it may be what it should be."""
        data = self._held + data[: _BLOCK * _BLOCKS]
        whole = len(data) - len(data) % _BLOCK
        self._held = data[whole:]
        for start in range(0, whole, _BLOCK):
            block = data[start : start + _BLOCK]
            if block.count(0) == len(block):
                continue
            if guess := _guess_block(block):
                return guess
            self._left -= 1
            if not self._left:
                break
        return None


class FormatCheck:
    """Looks at the first seconds of what a client sends.

    Args:
        whole_frames: Whether each frame is a recording of its own; else they are a stream, sent as it is recorded.
    """

    def __init__(self, *, whole_frames: bool) -> None:
        self._whole_frames = whole_frames
        self._begins = True
        self._blocks = BlockCheck()
        self._packets: list[bytes] = []
        self._newest_s = self._window_start_s = float("-inf")
        self._window_samples = 0
        self._windows_left = _MOST_WINDOWS
        self._rates: list[float] = []
        self._recordings_left = _SPOKEN

    def feed(self, frame: bytes, arrived_s: float) -> str | None:
        """Take the next frame.

        Args:
            frame: As it came.
            arrived_s: When, in seconds on any clock.

        Returns:
            What it looks like, as "a WebM file"; None where it may well be what it should be, as it mostly is.
        """
        if self._begins or self._whole_frames:
            self._begins = False
            self._blocks.begin_anew()
            if (found := format_of(frame)) is not None:
                return _NAMES[found]
        guess = None
        if self._blocks.is_open:
            guess = self._blocks.feed(frame) or (None if self._whole_frames else self._guess_packets(frame))
        if guess is None and self._windows_left and not self._whole_frames:
            guess = self._guess_rate(len(frame) // 2, arrived_s)
        if guess is None and self._recordings_left and len(frame) >= 2 * SAMPLE_RATE_HZ * LEAST_S:
            self._recordings_left -= 1
            guess = spoken_rate.looks_like(pcm16_to_float(frame[: len(frame) // 2 * 2]))
        return guess

    def _guess_packets(self, frame: bytes) -> str | None:
        self._packets = [*self._packets[1 - _PACKETS :], frame] if len(frame) <= _PACKET_BYTES else []
        if len(self._packets) < _PACKETS or len({packet[:1] for packet in self._packets}) > _PACKET_STARTS:
            return None
        content = np.frombuffer(b"".join(packet[1:] for packet in self._packets), dtype=np.uint8)
        self._packets = []
        return "packets of compressed sound" if _entropy_bits(_counts(content)) > _PACKET_ENTROPY_BITS else None

    def _guess_rate(self, samples: int, arrived_s: float) -> str | None:
        paused, self._newest_s = arrived_s - self._newest_s > _PAUSE_S, arrived_s
        if paused:
            self._window_start_s, self._window_samples, self._rates = arrived_s, 0, []
            return None
        self._window_samples += samples
        elapsed_s = arrived_s - self._window_start_s
        if elapsed_s < _WINDOW_S:
            return None
        self._rates = [*self._rates[1 - _WINDOWS :], self._window_samples / elapsed_s]
        self._window_start_s, self._window_samples = arrived_s, 0
        self._windows_left -= 1
        if len(self._rates) < _WINDOWS:
            return None
        mean_hz = sum(self._rates) / _WINDOWS
        rate_hz = min(_RATES_HZ, key=lambda rate_hz: abs(rate_hz - mean_hz))
        is_steady = all(abs(one_hz - rate_hz) < _WINDOW_TOLERANCE * rate_hz for one_hz in self._rates)
        if rate_hz == SAMPLE_RATE_HZ or not is_steady or abs(mean_hz - rate_hz) > _RATE_TOLERANCE * rate_hz:
            return None
        return f"sound at {rate_hz} Hz" + (", or of two channels" if rate_hz == 2 * SAMPLE_RATE_HZ else "")


def _guess_block(block: bytes) -> str | None:
    samples = np.frombuffer(block, dtype="<i2")
    if _are_floats(block, samples):
        return "32-bit float samples"
    level = samples.astype(np.float32) / np.float32(32768.0)
    swapped = samples.byteswap().astype(np.float32)
    rms = float(np.sqrt(np.mean(level**2)))
    if _RANDOM_RMS[0] < rms < _RANDOM_RMS[1] and abs(_likeness(level)) < 0.1:
        counts = _counts(np.frombuffer(block, dtype=np.uint8))
        chi_square = float(np.mean((counts - counts.mean()) ** 2)) / float(counts.mean())
        if _entropy_bits(counts) > _RANDOM_ENTROPY_BITS and chi_square > _UNIFORM_CHI_SQUARE:
            return "compressed sound"
    if rms > 0.2 and abs(_likeness(level)) < 0.3 and _likeness(swapped) > 0.7:
        return "samples with their two bytes the other way round"
    if rms > _TELEPHONE_RMS and _likeness(level) < _TELEPHONE_LIKENESS:
        return _guess_telephone(block)
    return None


def _guess_telephone(block: bytes) -> str | None:
    """Read each byte as a sample of the telephone's, and say which of its two laws makes sound of noise."""
    codes = np.frombuffer(block, dtype=np.uint8)
    likenesses = {name: _likeness(table[codes]) for name, table in _LAWS.items()}
    law = max(likenesses, key=likenesses.__getitem__)
    return f"{law} samples of a telephone (G.711)" if likenesses[law] > _TELEPHONE_LIKENESS else None


def _are_floats(block: bytes, samples: NDArray[np.int16]) -> bool:
    words = np.frombuffer(block, dtype="<u4")
    is_sound = (words & 0x7FFF_FFFF) != 0
    exponents = (words[is_sound] >> 23) & 0xFF
    if len(exponents) < len(words) // 20:
        return False
    low, high = _FLOAT_EXPONENTS
    if np.mean((exponents >= low) & (exponents <= high)) < 0.99:
        return False
    negative = float(np.mean(words[is_sound] >> 31))
    if 0.02 < negative < 0.98 and np.count_nonzero(np.bincount(exponents) > len(exponents) // 100) >= 3:
        return True
    # One sign alone is no sound, but what a test may send; then every other sample of the Int16 is far away.
    pairs = samples.reshape(-1, 2)[is_sound].astype(np.int32)
    return abs(float(np.mean(pairs[:, 0] - pairs[:, 1]))) > 1000


def _likeness(samples: NDArray[np.float32]) -> float:
    """Correlate samples with those that follow them."""
    energy = float(np.dot(samples, samples))
    return float(np.dot(samples[1:], samples[:-1])) / energy if energy else 0.0


def _counts(data: NDArray[np.uint8]) -> NDArray[np.intp]:
    return np.bincount(data, minlength=256)


def _entropy_bits(counts: NDArray[np.intp]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return -float(np.sum(shares * np.log2(shares)))
