"""Speaker encoder: an LSTM that turns 0.8 s of log-mel spectrogram into a d-vector, averaged over the utterance.

The network is the speaker encoder of VoiceFilter (Wang et al. 2019, arXiv:1810.04826, section 3.1): three LSTM layers
over 80 frames of 40 mel bands. The features must be those it was trained on: librosa's defaults for a mel spectrogram,
except where a constant below says otherwise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.engines.contracts import Embedding, VoiceScale
from babblefish.engines.onnx_session import open_session

_FFT = 512
_WINDOW = 400
_HOP = 160
_MELS = 40
_POWER_FLOOR = 1e-10

_FRAMES = 80
_FRAME_HOP = 40
_MAX_WINDOWS = 12
"""More windows of a long utterance take time and add no accuracy that could be measured."""

_EDGE_DB = 30.0
"""Frames this far below the loud ones are silence when they are at an end."""

_LEVEL = 0.3
"""Mean of the mel power, log10, that speech at -24 dBFS has: the middle of the range that told voices apart best."""

_SCALE = VoiceScale(threshold=0.7, plausible=0.4, half_reliable_s=0.8, most_used_s=10.0)
"""Threshold and plausible: measured with ``benchmarks.speaker_identification``. Half reliable: the median similarity to
the speaker's centroid follows √(d / (d + 0.8)) from 0.6 s to 5 s."""

Features = NDArray[np.float32]
"""Log-mel spectrogram, shape ``[frames, 40]``, float32, log10 of power."""


def _slaney_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn Slaney's mels into Hz: linear up to 1 kHz, logarithmic above (Slaney, Auditory Toolbox, 1998)."""
    linear = mels * (200.0 / 3.0)
    logarithmic = 1000.0 * np.exp((mels - 15.0) * (np.log(6.4) / 27.0))
    return np.where(mels < 15.0, linear, logarithmic)


def _mel_filters() -> NDArray[np.float32]:
    """Return triangles of equal area over the FFT's bins, shape ``[257, 40]``."""
    top_mel = 15.0 + np.log(SAMPLE_RATE_HZ / 2 / 1000.0) * 27.0 / np.log(6.4)
    edges = _slaney_hz(np.linspace(0.0, top_mel, _MELS + 2))
    bins = np.fft.rfftfreq(_FFT, 1.0 / SAMPLE_RATE_HZ)[:, None]
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - lower) / (centre - lower)
    falling = (upper - bins) / (upper - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (upper - lower))
    return triangles.astype(np.float32)


_FILTERS = _mel_filters()
_HAMMING = (0.54 - 0.46 * np.cos(2.0 * np.pi * np.arange(_WINDOW) / _WINDOW)).astype(np.float32)


def log_mel(samples: Samples) -> Features:
    """Return the log-mel spectrogram of speech, one frame per 10 ms.

    Args:
        samples: Shape ``[n]``, 16 kHz; padded with silence to one frame (512 samples).

    Returns:
        Shape ``[1 + (n - 512) // 160, 40]``.
    """
    padded = np.pad(samples, (0, max(0, _FFT - len(samples))))
    # librosa centres a window shorter than the FFT; where the zeros are does not change the power.
    offset = (_FFT - _WINDOW) // 2
    count = 1 + (len(padded) - _FFT) // _HOP
    frames = np.lib.stride_tricks.sliding_window_view(padded[offset:], _WINDOW)[::_HOP][:count]
    spectrum = np.fft.rfft(frames * _HAMMING, _FFT, axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    mel: Features = np.log10(power.astype(np.float32) @ _FILTERS + np.float32(_POWER_FLOOR))
    return mel


def _trim_and_level(mel: Features) -> Features:
    """Cut the silence off both ends and bring the voice to the level the network was trained on."""
    power = np.power(10.0, mel, dtype=np.float64).sum(axis=1)
    floor = np.percentile(power, 95) * 10.0 ** (-_EDGE_DB / 10.0)
    voiced = np.flatnonzero(power >= floor)
    kept = slice(voiced[0], voiced[-1] + 1)
    return mel[kept] + np.float32(_LEVEL - np.log10(power[kept].mean()))


def _windows(mel: Features) -> NDArray[np.float32]:
    """Spread windows evenly from the first frame to the last, shape ``[windows, 80, 40]``."""
    if len(mel) < _FRAMES:
        mel = np.resize(mel, (_FRAMES, _MELS))
    spare = len(mel) - _FRAMES
    count = min(_MAX_WINDOWS, 1 + -(-spare // _FRAME_HOP))
    starts = np.rint(np.linspace(0, spare, count)).astype(int)
    return np.stack([mel[start : start + _FRAMES] for start in starts])


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.float32(1e-12)), dtype=np.float32)


class DVector:
    """Speaker encoder with 256-dimensional d-vectors.

    Args:
        model_path: The ONNX file; input ``mel_window`` of shape ``[batch, 80, 40]``, output ``[batch, 256]``.
        threads: Threads of one call.
    """

    name = "dvector"
    scale = _SCALE

    def __init__(self, model_path: Path, threads: int) -> None:
        self._session = open_session(model_path, threads)

    def embed(self, samples: Samples) -> Embedding:
        """Embed speech as a unit vector; safe to call from several threads.

        Silence at either end and the level of the microphone do not matter. Pauses in between stay, as cutting them out
        told voices apart worse.

        Args:
            samples: Shape ``[n]``, n > 0, 16 kHz; speech of less than 0.8 s is repeated until it fills a window.

        Returns:
            Shape ``[256]``, float32, of length 1.

        Raises:
            ValueError: There is no audio at all.
        """
        if not len(samples):
            raise ValueError("no audio to embed")
        windows = _windows(_trim_and_level(log_mel(samples)))
        (vectors,) = self._session.run(None, {"mel_window": windows})
        embedding: Embedding = _unit(_unit(vectors).mean(axis=0))
        return embedding
