"""How a voice sounds: its pitch, and its colour, which is where the middle of its spectrum lies."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from babblefish.domain import SAMPLE_RATE_HZ, Samples

LEAST_S, MOST_S = 2.0, 4.0
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


def measured(samples: Samples) -> Voice | None:
    """Return how the beginning of a recording sounds, or None where it is too short or no voice."""
    if len(samples) < LEAST_S * SAMPLE_RATE_HZ:
        return None
    windows = np.lib.stride_tricks.sliding_window_view(samples[: int(MOST_S * SAMPLE_RATE_HZ)], _WINDOW)[::_STEP]
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
