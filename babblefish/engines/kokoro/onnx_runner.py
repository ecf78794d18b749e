"""Kokoro on ONNX Runtime, from an ``.onnx`` file of any precision."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from kokoro_onnx.session import embedded_vocab, input_dtypes
from kokoro_onnx.tokenizer import Tokenizer
from numpy.typing import NDArray
from onnx.helper import make_tensor_value_info
from onnx.utils import Extractor

from babblefish.domain import Samples
from babblefish.engines.kokoro.frames import Predicted, Prediction
from babblefish.engines.kokoro.voices import STYLES
from babblefish.engines.onnx_session import open_session
from babblefish.errors import SetupError

_log = logging.getLogger(__name__)

_PREDICTED: dict[str, list[str | int]] = {
    "/decoder/Concat": [1, "channels", "frames"],
    "/decoder/Unsqueeze": [1, "halves"],
    "/decoder/Unsqueeze_1": [1, "halves"],
}
"""Where the two halves of the model meet: how the names end of the nodes whose first input is the text, the pitch and
the energy, and their shapes. PyTorch's exporter names nodes by the module they come from."""


class OnnxRunner:
    """Computes Kokoro with ONNX Runtime; calls may run side by side."""

    def __init__(self, model_path: Path, voices_path: Path, threads: int) -> None:
        """Load the model, which takes about two seconds.

        Args:
            model_path: The ``.onnx`` file, int8 or float32. One that cannot be divided where the sound begins, because
                its nodes have other names, makes the sound of a text as a whole.
            voices_path: The ``.npz`` file of voices.
            threads: Threads of one call.

        Raises:
            SetupError: A file is missing or damaged.
        """
        try:
            halves = _divide(onnx.load(model_path))
            if halves is None:
                _log.warning("%s cannot be divided: its first spoken word comes later", model_path)
            self._session = open_session(halves[0] if halves else model_path, threads)
            self._decoder = open_session(halves[1], threads) if halves else None
            self._tokenizer = Tokenizer(vocab=embedded_vocab(self._session))
            with np.load(voices_path) as voices:
                self._styles = {voice: voices[voice] for voice in STYLES if voice in voices}
        except Exception as error:
            raise SetupError(f"Kokoro cannot be loaded from {model_path} and {voices_path}: {error}") from error
        self._dtypes = input_dtypes(self._session)
        self.voices = frozenset(self._styles)

    def predict(self, phonemes: str, voice: str) -> Prediction:
        """Predict how up to 510 phonemes are spoken, with the silence that the model puts around them.

        Raises:
            ValueError: The model knows none of these phonemes.
        """
        tokens = self._tokenizer.tokenize(phonemes)
        if not tokens:
            raise ValueError("the model knows none of these phonemes")
        styles = self._styles[voice]
        style = styles[min(len(tokens), len(styles)) - 1].reshape(1, -1)
        # Older exports call the phonemes "tokens", newer ones "input_ids".
        values = {"style": style, "speed": [1]}
        given = {
            name: np.asarray(values.get(name, [[0, *tokens, 0]]), dtype=dtype) for name, dtype in self._dtypes.items()
        }
        if self._decoder is None:
            return _Whole(lambda: np.asarray(self._session.run(None, given)[0], dtype=np.float32).ravel())
        decoder = self._decoder
        names = [output.name for output in self._session.get_outputs()]

        def decode(*predicted: NDArray[np.float32]) -> Samples:
            made = decoder.run(None, {**dict(zip(names, predicted, strict=True)), "style": given["style"]})
            return np.asarray(made[0], dtype=np.float32).ravel()

        text, pitch, energies = self._session.run(None, given)
        return Predicted(text, pitch, energies, decode)


@dataclass(frozen=True)
class _Whole:
    """A prediction by a model that cannot be divided."""

    make: Callable[[], Samples]

    @property
    def energy(self) -> NDArray[np.float32]:
        return np.zeros(0, dtype=np.float32)

    def sound(self, frames: NDArray[np.intp]) -> Samples:
        return self.make()

    def at_pitch(self, times: float) -> _Whole:
        return self


def _divide(model: Any) -> tuple[bytes, bytes] | None:
    """Divide a model into what predicts and what makes the sound; None if it has other nodes than expected."""
    inputs = {end: [node.input[0] for node in model.graph.node if node.name.endswith(end)] for end in _PREDICTED}
    if any(len(found) != 1 for found in inputs.values()):
        return None
    parts = Extractor(model)
    for end, (name,) in inputs.items():
        parts.value_infos[name] = make_tensor_value_info(name, onnx.TensorProto.FLOAT, _PREDICTED[end])
    names = [name for (name,) in inputs.values()]
    first = parts.extract_model([given.name for given in model.graph.input], names)
    first.metadata_props.extend(model.metadata_props)
    second = parts.extract_model([*names, "style"], [model.graph.output[0].name])
    return first.SerializeToString(), second.SerializeToString()
