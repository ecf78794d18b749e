"""SeamlessM4T v2's folder as it is published: the tensors of its safetensors files, and the model they belong to.

Tensors are read one at a time, so that a model of another type can be made without holding the whole float model in
memory. Every tensor must be there, so that no layer keeps random weights unnoticed.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import AutoConfig, GenerationConfig, SeamlessM4Tv2Model

from babblefish.errors import EngineError

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
"""What ``save_pretrained`` calls the file of weights, or the index of several."""

_NAMED = 5
"""How many missing tensors an error names."""


def empty_model(model_dir: Path) -> SeamlessM4Tv2Model:
    """Build the model of a folder's configuration without weights, on the meta device.

    The position tables are there already: they are computed, not stored.

    Raises:
        OSError: There is no configuration.
        ValueError: It is not one of this architecture.
    """
    config = AutoConfig.from_pretrained(model_dir, local_files_only=True)
    if config.model_type != "seamless_m4t_v2":
        raise ValueError(f"its configuration is of {config.model_type}")
    with torch.device("meta"):
        model = SeamlessM4Tv2Model(config)
    for part in (model.text_encoder, model.text_decoder, model.t2u_model.model.decoder):
        for name, child in part.named_children():
            if name.endswith("positions"):
                made = type(child)(child.num_positions, child.embedding_dim, child.padding_idx)
                part.set_submodule(name, made)
    model.generation_config = GenerationConfig.from_pretrained(model_dir, local_files_only=True)
    return model.eval().requires_grad_(False)


class Checkpoint:
    """The float tensors of a folder, by the names of the model's ``state_dict``.

    Of tied tensors only one is stored, under a name that depends on the version that saved it. Further tensors, such as
    the position tables that older versions stored, are ignored.
    """

    def __init__(self, model_dir: Path, model: SeamlessM4Tv2Model) -> None:
        """Find every tensor of a model in the folder.

        Raises:
            EngineError: A tensor is in none of the files.
            OSError: There are no safetensors files, or one cannot be read.
        """
        stored = _files(model_dir)
        self._places: dict[str, tuple[Path, str]] = {}
        self._shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
        tied: dict[str, str] = model.all_tied_weights_keys
        missing = []
        for name in self._shapes:
            shared = tied.get(name, name)
            names = (name, shared, *(other for other, same in tied.items() if same == shared))
            found = next((each for each in names if each in stored), None)
            if found is None:
                missing.append(name)
            else:
                self._places[name] = stored[found], found
        if missing:
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            raise EngineError(f"the weights in {model_dir.name} lack {', '.join(missing[:_NAMED])}{more}")

    def tensor(self, name: str) -> Tensor:
        """Map a tensor into memory, in the type it is stored in.

        Raises:
            EngineError: Its shape is not the model's, or its file is damaged.
        """
        file, stored = self._places[name]
        try:
            # Opened each time, as a file stays mapped, and counts as memory, while it is open.
            with safe_open(str(file), framework="pt") as opened:
                tensor: Tensor = opened.get_tensor(stored)
        except SafetensorError as error:
            raise EngineError(f"{file.name} is damaged: {error}") from error
        if tensor.shape != self._shapes[name]:
            raise EngineError(
                f"{stored} in {file.name} has shape {tuple(tensor.shape)}, not {tuple(self._shapes[name])}"
            )
        return tensor


def _files(model_dir: Path) -> dict[str, Path]:
    """Return which file holds each stored tensor."""
    single, index = model_dir / _SINGLE, model_dir / _INDEX
    if not single.is_file() and index.is_file():
        listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {name: model_dir / file for name, file in listed.items()}
    try:
        with safe_open(str(single), framework="pt") as opened:
            return dict.fromkeys(opened.keys(), single)
    except SafetensorError as error:
        raise OSError(f"{single.name} is damaged: {error}") from error
