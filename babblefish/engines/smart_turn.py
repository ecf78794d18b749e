"""Whether a speaker has finished, by Smart Turn v3.2 of pipecat-ai: an audio model of 8 M parameters for 23 languages.

The encoder of Whisper tiny with a head of its own, in int8. It hears the last eight seconds, melody and all, and knows
no text. It was trained on speech with about 200 ms of silence after it, in normalised samples, with silence before them
where there are fewer than eight seconds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor

from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.engines.onnx_session import open_session

_HEARD = 8 * SAMPLE_RATE_HZ
_LEAST_VARIANCE = 1e-7


class SmartTurn:
    """Turn detector.

    Args:
        model_path: The ONNX file; input ``input_features`` of shape ``[batch, 80, 800]``, output ``[batch, 1]``.
    """

    name = "smart-turn"

    def __init__(self, model_path: Path) -> None:
        # Whisper's own 80 mel bands, 100 frames a second.
        self._features = FeatureExtractor()
        # It runs where the sockets' threads are counted, beside the other engines.
        self._session = open_session(model_path, threads=1)

    def completeness(self, samples: Samples) -> float:
        """Return the probability in [0, 1] that whoever spoke has finished; safe to call from several threads.

        Args:
            samples: What they said, shape ``[n]``, n > 0, 16 kHz, with some 200 ms of silence at its end. The last
                eight seconds count.
        """
        heard = np.zeros(_HEARD, dtype=np.float32)
        last = samples[-_HEARD:]
        heard[-len(last) :] = last
        heard = (heard - heard.mean()) / np.sqrt(heard.var() + _LEAST_VARIANCE)
        features = np.asarray(self._features(heard, padding=0)[None], dtype=np.float32)
        (answer,) = self._session.run(None, {"input_features": features})
        return float(answer[0, 0])
