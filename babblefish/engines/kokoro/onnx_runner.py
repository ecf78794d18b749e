"""Kokoro on ONNX Runtime, from an ``.onnx`` file of any precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from kokoro_onnx import Kokoro

from babblefish.domain import Samples, SetupError
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
            SetupError: A file is missing or is not what it should be.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Waiting threads would otherwise keep the CPUs busy that the other engines need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])
            self._kokoro = Kokoro.from_session(session, str(voices_path))
            # Read once: the archive of voices is a file that the calls would otherwise share.
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
        # Pauses it would put at every mark, where a model tells its durations, that other models do not get.
        samples, _ = self._kokoro.create(
            phonemes, self._styles[voice], is_phonemes=True, trim=False, sentence_pause=0.0, clause_pause=0.0
        )
        return np.asarray(samples, dtype=np.float32)
