"""Speaker encoder CAM++, trained by 3D-Speaker on the voices of 200 000 people, Chinese and English."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.engines.campplus.graph import MELS, Pooling, campplus
from babblefish.engines.contracts import Embedding, StretchEmbedder, VoiceScale, weights_version
from babblefish.engines.onnx_session import open_session
from babblefish.engines.torch_archive import read_tensors
from babblefish.errors import SetupError

_FFT = 512
_WINDOW = 400
_HOP = 160
_LOWEST_HZ = 20.0
_PRE_EMPHASIS = 0.97
_POVEY = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_WINDOW) / (_WINDOW - 1))).astype(np.float32) ** np.float32(0.85)
"""Kaldi's own window: a Hann window raised to 0.85."""

_POWER_FLOOR = np.finfo(np.float32).eps

_EDGE = 10.0**-3
"""Frames this far (30 dB) below the loud ones are silence when they are at an end."""

_LEAST_FRAMES = 50

_MOST_FRAMES = 400
"""More of a long utterance takes time and adds no accuracy that could be measured."""

_SCALE = VoiceScale(threshold=0.55, plausible=0.35, half_reliable_s=1.1, most_used_s=4.0)
"""Measured with ``benchmarks.speaker_identification``. Half reliable: by the median cosine of one voice, which is 0.57
where each utterance has 1.5 s and 0.73 where it has 3 s."""

_STATE_SAMPLES = 2 * _HOP
"""From one of the network's states to the next."""

_FEATURES = 1
"""Another number wherever what is computed here makes other embeddings with the same weights."""

_ANOTHER_VOICE = 0.65
"""Measured with ``benchmarks.voice_changes``."""

Features = NDArray[np.float32]
"""Log-mel spectrogram, shape ``[frames, 80]``, float32, natural logarithm of power."""


def _mel_filters() -> NDArray[np.float32]:
    """Return Kaldi's triangles over the FFT's bins, shape ``[257, 80]``: of equal height, and straight in mels."""

    def mels(hz: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(1127.0 * np.log1p(hz / 700.0))

    lowest, highest = mels(np.array([_LOWEST_HZ, SAMPLE_RATE_HZ / 2]))
    edges = np.linspace(lowest, highest, MELS + 2)
    bins = mels(np.fft.rfftfreq(_FFT, 1.0 / SAMPLE_RATE_HZ))[:, None]
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))
    return np.asarray(np.maximum(0.0, triangles), dtype=np.float32)


_FILTERS = _mel_filters()


def log_mel(samples: Samples) -> Features:
    """Return the log-mel spectrogram that Kaldi makes without dither, one frame per 10 ms.

    Args:
        samples: Shape ``[n]``, 16 kHz; padded with silence to one frame (400 samples).

    Returns:
        Shape ``[1 + (n - 400) // 160, 80]``.
    """
    padded = np.pad(samples, (0, max(0, _WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectrum = np.fft.rfft((frames - np.float32(_PRE_EMPHASIS) * before) * _POVEY, _FFT, axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    mel: Features = np.log(np.maximum(power.astype(np.float32) @ _FILTERS, _POWER_FLOOR))
    return mel


def _voiced(mel: Features) -> Features:
    """Cut the silence off both ends."""
    power = np.exp(mel, dtype=np.float64).sum(axis=1)
    loud = np.flatnonzero(power >= _EDGE * np.percentile(power, 95))
    return mel[loud[0] : loud[-1] + 1]


def _unit(vector: NDArray[np.float32]) -> Embedding:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


class CamPlusPlus:
    """Speaker encoder with 192-dimensional embeddings, which can track a voice through a recording.

    Args:
        model_path: The published weights, a state dictionary.
        threads: Threads of one call.

    Raises:
        SetupError: The file holds other weights.
    """

    name = "campplus"
    dimensions = 192
    scale = _SCALE
    another_voice = _ANOTHER_VOICE

    def __init__(self, model_path: Path, threads: int) -> None:
        try:
            weights = read_tensors(model_path)
            self.version = f"{_FEATURES}-{weights_version(model_path.read_bytes())}"
            model = campplus(weights)
            self._pooled = Pooling(weights)
        except (pickle.UnpicklingError, zipfile.BadZipFile, ValueError, KeyError) as error:
            raise SetupError(f"{model_path} does not hold the weights of CAM++: {error}") from error
        self._session = open_session(model, threads)

    def embed(self, samples: Samples) -> Embedding:
        """Embed speech as a unit vector; safe to call from several threads.

        Silence at either end and the level of the microphone do not matter.

        Args:
            samples: Shape ``[n]``, n > 0, 16 kHz; speech of less than half a second is repeated until it is that long,
                and of more than four seconds those in the middle count.

        Returns:
            Shape ``[192]``, float32, of length 1.

        Raises:
            ValueError: There is no audio at all.
        """
        if not len(samples):
            raise ValueError("no audio to embed")
        mel = _voiced(log_mel(samples))
        if len(mel) < _LEAST_FRAMES:
            mel = np.resize(mel, (_LEAST_FRAMES, MELS))
        first = max(0, len(mel) - _MOST_FRAMES) // 2
        mel = mel[first : first + _MOST_FRAMES]
        (vectors,) = self._session.run(["embedding"], {"features": (mel - mel.mean(axis=0))[None]})
        return _unit(vectors[0])

    def track(self, samples: Samples) -> StretchEmbedder:
        """Listen to a recording once; safe to call from several threads.

        Args:
            samples: Shape ``[n]``, 16 kHz, of 0.1 s or more.

        Returns:
            What embeds stretches of it, of 0.1 s or more, from their first sample to before their last.
        """
        mel = log_mel(samples)
        (states,) = self._session.run(["states"], {"features": (mel - mel.mean(axis=0))[None]})

        def embed(first: int, last: int) -> Embedding:
            return _unit(self._pooled(states[0, :, first // _STATE_SAMPLES : last // _STATE_SAMPLES]))

        return embed
