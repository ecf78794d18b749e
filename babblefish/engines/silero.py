"""Voice activity detection by Silero VAD v6, from the ONNX file that comes with faster-whisper.

The network reads 512 samples and the 64 before them, and passes a 128-dimensional LSTM state from chunk to chunk.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime

from babblefish.domain import Samples
from babblefish.engines.onnx_session import open_session
from babblefish.errors import SetupError

_CHUNK = 512
_CONTEXT = 64
_STATE = (1, 1, 128)


def _model_path() -> Path:
    """Find the file without importing faster-whisper, which would load CTranslate2.

    Raises:
        SetupError: faster-whisper is not installed, or its version does not have this file.
    """
    spec = find_spec("faster_whisper")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "assets" / "silero_vad_v6.onnx"
        if path.is_file():
            return path
    raise SetupError("Silero's model is missing; it comes with faster-whisper 1.2: pip install 'faster-whisper>=1.2.1'")


class SileroStream:
    """Voice activity of one stream; used by one thread at a time."""

    chunk_samples = _CHUNK

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._input = np.zeros((1, _CONTEXT + _CHUNK), dtype=np.float32)
        self._hidden = np.zeros(_STATE, dtype=np.float32)
        self._cell = np.zeros(_STATE, dtype=np.float32)

    def probability(self, chunk: Samples) -> float:
        """Return the probability in [0, 1] that ``chunk`` (shape ``[512]``) holds speech, given what came before it.

        Raises:
            ValueError: The chunk has another length.
        """
        self._input[0, :_CONTEXT] = self._input[0, -_CONTEXT:]
        self._input[0, _CONTEXT:] = chunk
        inputs = {"input": self._input, "h": self._hidden, "c": self._cell}
        probability, self._hidden, self._cell = self._session.run(None, inputs)
        return float(probability[0])


class Silero:
    """Voice detector; all its streams share the weights.

    Raises:
        SetupError: The model file is not installed.
    """

    name = "silero"

    def __init__(self) -> None:
        # A chunk takes well under a millisecond; waking more threads would cost more than they save.
        self._session = open_session(_model_path(), threads=1)

    def open_stream(self) -> SileroStream:
        """Return fresh state for one stream."""
        return SileroStream(self._session)
