"""Tells from speech itself that it was recorded at another sample rate than it is read at.

Samples at 48 kHz that are read at 16 kHz are three times as slow: the voice is deep and dark as nobody's is. Samples at
8 kHz are twice as fast. Pitch and colour are both looked at, as one alone says who speaks; and only what moves as a
voice does is looked at, as instruments and machines have any pitch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from babblefish.domain import SAMPLE_RATE_HZ, Samples

LEAST_S, _MOST_S = 2.0, 4.0
"""What is looked at of a recording; less says too little, more would take too long."""

_WINDOW, _STEP = 2048, 1024
"""Of samples: 128 ms hold five periods of 40 Hz."""

_LOUD = 0.25
"""Share of the loudest windows' level from which a window is looked at."""

_PITCH_HZ = (25.0, 700.0)
_PERIODIC = 0.6
_NEARLY_AS_PERIODIC = 0.9
"""Autocorrelation of a voice, and the share of its highest peak that the first has; the others are its multiples."""

_VOICED = (0.3, 0.985)
_MOVES = (0.009, 0.08)
"""Share of the windows that have a pitch, and by how much it changes from one to the next, as a natural logarithm. An
instrument keeps it, noise has none, and an engine has it all the time."""

_SLOW_PITCH_HZ, _SLOW_COLOUR_HZ = 85.0, 300.0
_FAST_PITCH_HZ, _FAST_COLOUR_HZ = 380.0, 700.0
"""Of 544 stretches of recorded speech the deepest is at 93 Hz, the darkest at 355 and the highest at 275 Hz; none is
beyond these limits. Read at 16 kHz, 75 % of those at 44.1 kHz are both deeper and darker, 80 % at 48 kHz and 8 % at
32 kHz, and 35 % of those at 8 kHz are higher and brighter."""

_STRETCHES = 8
"""As many are looked at of a long recording, and their medians count."""

_RATES_HZ = (8000, 11025, SAMPLE_RATE_HZ, 22050, 24000, 32000, 44100, 48000)
_TOO_SLOW, _TOO_FAST = (2.5, 3.1), (0.33, 0.55)
"""How many times the stated rate the other one is where a voice is too slow, and too fast."""

_COLOUR_HZ = 60.0
_THIRDS = 21
"""The lowest of the thirds of octaves in which the colour is measured, and how many there are, up to 7.7 kHz."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How speech sounds.

    Attributes:
        pitch_hz: Median of its pitch.
        colour_hz: Centre of its spectrum, on a logarithmic scale.
    """

    pitch_hz: float
    colour_hz: float


def looks_like(samples: Samples) -> str | None:
    """Return what a recording looks like if it is surely not at 16 kHz, as "sound at 8000 Hz", else None.

    Args:
        samples: Shape ``[n]``, as they are read at 16 kHz.
    """
    voice = measured(samples)
    speed = None if voice is None else _speed(voice)
    return {"slow": "sound at 44100 or 48000 Hz", "fast": "sound at 8000 Hz", None: None}[speed]


def likelier_than(stated_hz: int, samples: Samples) -> tuple[int, ...]:
    """Return the rates that a recording was made at, if that was surely not the one stated, else none.

    Args:
        stated_hz: By its header.
        samples: Shape ``[n]``, of any length, brought to 16 kHz from the rate that was stated.
    """
    length = int(_MOST_S * SAMPLE_RATE_HZ)
    starts = np.linspace(0, max(0, len(samples) - length), _STRETCHES if len(samples) > length else 1).astype(int)
    voices = [voice for start in starts if (voice := measured(samples[start : start + length])) is not None]
    if not voices:
        return ()
    typical = Voice(
        float(np.median([voice.pitch_hz for voice in voices])), float(np.median([voice.colour_hz for voice in voices]))
    )
    if (speed := _speed(typical)) is None:
        return ()
    least, most = _TOO_SLOW if speed == "slow" else _TOO_FAST
    return tuple(rate_hz for rate_hz in _RATES_HZ if least <= rate_hz / stated_hz <= most)


def _speed(voice: Voice) -> Literal["slow", "fast"] | None:
    """Say whether somebody speaks slower or faster than anybody can; None where they may speak so."""
    if voice.pitch_hz < _SLOW_PITCH_HZ and voice.colour_hz < _SLOW_COLOUR_HZ:
        return "slow"
    if voice.pitch_hz > _FAST_PITCH_HZ and voice.colour_hz > _FAST_COLOUR_HZ:
        return "fast"
    return None


def measured(samples: Samples) -> Voice | None:
    """Return how the beginning of a recording sounds, or None where it is too short or no voice."""
    if len(samples) < LEAST_S * SAMPLE_RATE_HZ:
        return None
    windows = np.lib.stride_tricks.sliding_window_view(samples[: int(_MOST_S * SAMPLE_RATE_HZ)], _WINDOW)[::_STEP]
    levels = np.sqrt(np.mean(np.square(windows), axis=1))
    is_loud = levels > _LOUD * np.quantile(levels, 0.95)
    shape = np.hanning(_WINDOW)
    spectra = np.square(np.abs(np.fft.rfft(windows[is_loud] * shape, 2 * _WINDOW)))
    pitches_hz = _pitches_hz(spectra, shape)
    changes = np.abs(np.diff(np.log(pitches_hz)))[np.diff(np.flatnonzero(is_loud)) == 1]
    changes = changes[changes < 0.3]  # what is more is a mistake, or a breath between
    is_voice = len(changes) > 3 and _MOVES[0] < np.median(changes) < _MOVES[1]
    if not is_voice or not _VOICED[0] < np.mean(np.isfinite(pitches_hz)) < _VOICED[1]:
        return None
    return Voice(float(np.nanmedian(pitches_hz)), _colour_hz(spectra.mean(axis=0)))


def _pitches_hz(spectra: NDArray[np.float64], shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pitch of each window, not a number where it has none (Boersma 1993, without his search for a path)."""
    shortest, longest = (int(SAMPLE_RATE_HZ / hz) for hz in reversed(_PITCH_HZ))
    of_shape = np.correlate(shape, shape, "full")[_WINDOW - 1 :]
    likeness = np.fft.irfft(spectra)[:, : longest + 2]
    likeness = likeness / np.maximum(likeness[:, :1], 1e-12) / (of_shape[: longest + 2] / of_shape[0])
    pitches_hz = np.full(len(spectra), np.nan)
    for at, one in enumerate(likeness):
        middle = one[shortest : longest + 1]
        peaks = shortest + np.flatnonzero(
            (middle > one[shortest - 1 : longest]) & (middle >= one[shortest + 1 : longest + 2])
        )
        if len(peaks) and (highest := one[peaks].max()) > _PERIODIC:
            peak = peaks[np.argmax(one[peaks] >= _NEARLY_AS_PERIODIC * highest)]
            before, here, after = one[peak - 1 : peak + 2]
            pitches_hz[at] = SAMPLE_RATE_HZ / (peak + 0.5 * (before - after) / (before - 2 * here + after - 1e-9))
    return pitches_hz


def _colour_hz(spectrum: NDArray[np.float64]) -> float:
    """Return the centre of the amplitudes in thirds of octaves."""
    edges_hz = _COLOUR_HZ * 2.0 ** (np.arange(_THIRDS + 1) / 3)
    at = np.searchsorted(np.arange(len(spectrum)) * SAMPLE_RATE_HZ / (2 * _WINDOW), edges_hz)
    power = np.array([spectrum[start:end].mean() for start, end in pairwise(at)])
    amplitudes = np.sqrt(power * edges_hz[1:])
    return float(2 ** (np.sum(np.log2(edges_hz[1:]) * amplitudes) / max(amplitudes.sum(), 1e-12)))
