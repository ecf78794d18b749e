"""Kokoro on ONNX Runtime, from an ``.onnx`` file of any precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from kokoro_onnx import Kokoro

from babblefish.domain import Samples, SetupError
from babblefish.engines.onnx_session import open_session
from babblefish.languages import KOKORO_VOICES


class OnnxRunner:
    """Computes Kokoro with ONNX Runtime; calls may run side by side."""

    def __init__(self, model_path: Path, voices_path: Path, threads: int) -> None:
        """Load the model, which takes about a second.

        Args:
            model_path: The ``.onnx`` file, int8 or float32, as kokoro-onnx publishes them.
            voices_path: The ``.npz`` file of voices.
            threads: Threads of one call.

        Raises:
            SetupError: A file is missing or damaged.
        """
        try:
            self._kokoro = Kokoro.from_session(open_session(model_path, threads), str(voices_path))
            # Read once, as calls side by side would otherwise share the open archive of voices.
            self._styles = {
                voice: self._kokoro.get_voice_style(voice) for voice in KOKORO_VOICES if voice in self._kokoro.voices
            }
        except Exception as error:
            raise SetupError(f"Kokoro cannot be loaded from {model_path} and {voices_path}: {error}") from error
        self.voices = frozenset(self._styles)

    def run(self, phonemes: str, voice: str) -> Samples:
        """Speak up to 510 phonemes, with the silence that the model makes around them; shape ``[n]``, 24 kHz.

        Raises:
            ValueError: The model knows none of these phonemes.
        """
        # Without the pauses it adds at punctuation, which it can only do with models that return durations.
        samples, _ = self._kokoro.create(
            phonemes, self._styles[voice], is_phonemes=True, trim=False, sentence_pause=0.0, clause_pause=0.0
        )
        return np.asarray(samples, dtype=np.float32)
