"""Kokoro on PyTorch, from a local folder laid out as the published repository hexgrad/Kokoro-82M."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kokoro import KModel
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import remove_weight_norm

from babblefish.domain import Samples
from babblefish.engines.kokoro.frames import Predicted, Prediction
from babblefish.engines.kokoro.voices import STYLES
from babblefish.engines.torch_threads import use_threads
from babblefish.errors import SetupError

_REPOSITORY = "hexgrad/Kokoro-82M"
_CONFIG = "config.json"
_WEIGHTS = "kokoro-v1_0.pth"

_TIMBRE_VALUES = 128
_STYLE_VALUES = 256
"""Of a voice, per length of text: 128 for the timbre, 128 for the prosody (``KModel.forward_with_tokens``)."""


class TorchRunner:
    """Computes Kokoro with PyTorch in float32; calls may run side by side."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Load the model, which takes some seconds; nothing is fetched from a network.

        Args:
            folder: Holds ``config.json``, ``kokoro-v1_0.pth`` and ``voices/<voice>.pt``.
            threads: Threads of one call.

        Raises:
            SetupError: A file is missing or damaged.
        """
        for name in (_CONFIG, _WEIGHTS):
            if not (folder / name).is_file():
                raise SetupError(f"{folder / name} is missing; copy {name} of {_REPOSITORY} there")
        self._threads = threads
        config = _read(folder / _CONFIG, _load_config)
        paths = {voice: folder / "voices" / f"{voice}.pt" for voice in STYLES}
        self._styles = {voice: _read(path, _load_voice) for voice, path in paths.items() if path.is_file()}
        self.voices = frozenset(self._styles)
        self._model: Any = _read(folder / _WEIGHTS, lambda path: _load(config, path))
        self._decoder, self._model.decoder = self._model.decoder, _Packed()

    def predict(self, phonemes: str, voice: str) -> Prediction:
        """Predict how up to 510 phonemes are spoken, with the silence that the model puts around them.

        Raises:
            ValueError: The model knows none of these phonemes.
        """
        use_threads(self._threads)
        known = "".join(phoneme for phoneme in phonemes if phoneme in self._model.vocab)
        if not known:
            raise ValueError("the model knows none of these phonemes")
        styles = self._styles[voice]
        style = styles[min(len(known), len(styles)) - 1]
        packed = self._model(known, style)
        text, (pitch, energies) = packed[:-4], packed[-4:].unflatten(0, (2, 2))

        def decode(*predicted: NDArray[np.float32]) -> Samples:
            use_threads(self._threads)
            with torch.no_grad():
                made = self._decoder(*map(torch.from_numpy, predicted), style[:, :_TIMBRE_VALUES])
            samples: Samples = made.ravel().numpy()
            return samples

        # The two halves of each frame become neighbours again.
        return Predicted(
            text[None].numpy(), pitch.T.reshape(1, -1).numpy(), energies.T.reshape(1, -1).numpy(), decode=decode
        )


class _Packed(torch.nn.Module):  # type: ignore[misc]
    """In place of the decoder: returns what that is given, as one tensor."""

    def forward(self, text: Tensor, pitch: Tensor, energies: Tensor, style: Tensor) -> Tensor:
        halves = [values.reshape(1, -1, 2).transpose(1, 2) for values in (pitch, energies)]
        return torch.cat([text, *halves], dim=1)


def _read(path: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(path)
    except Exception as error:
        raise SetupError(f"{path} is damaged: copy it again from {_REPOSITORY} ({error})") from error


_CONFIG_KEYS = (
    *("dropout", "hidden_dim", "istftnet", "max_dur", "n_layer", "n_mels", "n_token", "plbert", "style_dim"),
    *("text_encoder_kernel_size", "vocab"),
)
"""What ``KModel`` takes from the configuration."""


def _load_config(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if missing := [key for key in _CONFIG_KEYS if key not in config]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    return config


def _load(config: dict[str, Any], path: Path) -> Any:
    """Make the model and check that the file's weights are in it.

    ``KModel`` ignores what does not fit and leaves random weights there. Some gaps are normal: the published file has
    no scale and shift for the normalisations inside AdaIN, whose defaults do nothing.

    Raises:
        ValueError: The file holds weights of another model.
    """
    model = KModel(repo_id=_REPOSITORY, config=config, model=str(path)).eval()
    parts = torch.load(path, map_location="cpu", weights_only=True)
    for name, module in model.named_children():
        stored = {key.removeprefix("module."): value for key, value in parts.get(name, {}).items()}
        loaded = [torch.equal(value, stored[key]) for key, value in module.state_dict().items() if key in stored]
        if not all(loaded) or 2 * len(loaded) < len(module.state_dict()):
            raise ValueError(f"it does not hold the weights of {name!r}")
    for module in model.modules():
        if hasattr(module, "weight_g"):  # else every call would compute the weight from its norm and direction
            remove_weight_norm(module)
    return model


def _load_voice(path: Path) -> torch.Tensor:
    """Read a voice: float32, shape ``[lengths, 1, 256]``, row n - 1 for a text of n phonemes."""
    styles = torch.load(path, map_location="cpu", weights_only=True)
    if styles.ndim != 3 or styles.shape[1:] != (1, _STYLE_VALUES) or not styles.is_floating_point():
        raise ValueError(f"it has the shape {tuple(styles.shape)}")
    return styles.float()
