"""SeamlessM4T v2 with int8 weights: conversion, the file that keeps them for the next start, and the modules.

A decoder step is bound by reading the weights once, so their size is its cost: int8 reads a quarter of float32. Weights
have one scale per output channel (symmetric, ``max|w| / 127``); activations are quantized at each call by the kernel.
The first start converts layer by layer, dropping each float layer as its int8 weights are made, and both starts build
the model from those tensors alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoConfig, GenerationConfig, SeamlessM4Tv2ForSpeechToText

from babblefish.domain import EngineError

FILE_NAME = "babblefish-int8.safetensors"

_FORMAT = 1
"""Goes up when what is in the file changes, so that older files are made anew."""

_DECODER_KERNELS = ("fbgemm", "qnnpack")
_ENCODER_KERNELS = ("onednn", "fbgemm", "qnnpack")
"""Kernels by preference. fbgemm is the faster for the few rows of a decoder step, oneDNN for the hundreds of frames of
the encoder (``benchmarks/seamless_cost.py`` on AVX-512 VNNI)."""

_log = logging.getLogger(__name__)


class Int8Linear(nn.Module):
    """``x @ weight.T + bias`` with int8 weights; the activations of a call share one scale."""

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None, kernels: tuple[str, ...]) -> None:
        """Pack the weights for the processor at hand.

        Args:
            weight: Shape ``[out, in]``, int8.
            scale: Shape ``[out]``, float32.
            bias: Shape ``[out]``, float32, or None.
            kernels: Kernel libraries by preference.
        """
        super().__init__()
        self.out_features, self.in_features = weight.shape
        zero_point = torch.zeros(len(scale), dtype=torch.long)
        quantized = torch._make_per_channel_quantized_tensor(weight.contiguous(), scale.double(), zero_point, 0)
        supported = torch.backends.quantized.supported_engines
        before = torch.backends.quantized.engine
        torch.backends.quantized.engine = next(name for name in kernels if name in supported)
        try:  # the packed weights remember whose they are; the setting is the process's
            self._packed = torch.ops.quantized.linear_prepack(quantized, bias)
        finally:
            torch.backends.quantized.engine = before

    weight = None
    """The feed-forward network of transformers asks for the weight's type."""

    @classmethod
    def joined(cls, parts: Sequence[Int8Linear]) -> Int8Linear:
        """Return one layer whose output is that of several side by side; each has a bias."""
        weights, scales, biases = zip(*(part._unpacked() for part in parts), strict=True)
        return cls(torch.cat(weights), torch.cat(scales), torch.cat(biases), _DECODER_KERNELS)

    def parts(self, outputs: Sequence[Tensor]) -> list[Int8Linear]:
        """Return a layer for each of several sets of this layer's outputs, given by their indices; without biases."""
        weight, scale, _ = self._unpacked()
        return [Int8Linear(weight[part], scale[part], None, _DECODER_KERNELS) for part in outputs]

    def _unpacked(self) -> tuple[Tensor, Tensor, Tensor | None]:
        weight, bias = torch.ops.quantized.linear_unpack(self._packed)
        return weight.int_repr(), weight.q_per_channel_scales(), bias

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 ``[..., in]`` to float32 ``[..., out]``."""
        return torch.ops.quantized.linear_dynamic(x, self._packed, False)


class Int8Pointwise(nn.Module):
    """A convolution of width one as the matrix product it is."""

    def __init__(self, linear: Int8Linear) -> None:
        super().__init__()
        self._linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 ``[batch, in, time]`` to ``[batch, out, time]``."""
        return self._linear(x.transpose(1, 2).contiguous()).transpose(1, 2)


class Int8Embedding(nn.Module):
    """Word embeddings kept as int8 rows, each with its scale."""

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        super().__init__()
        self._weight = weight
        self._scale = scale

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids of any shape to float32 ``[..., width]``."""
        return self._weight[ids].float() * self._scale[ids][..., None]


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 weights ``[out, in]`` and their scales ``[out]`` for float weights ``[out, in]``."""
    scale = weight.abs().amax(dim=1).float().clamp_min(torch.finfo(torch.float32).tiny) / 127.0
    return torch.round(weight.float() / scale[:, None]).to(torch.int8), scale


def load(model_dir: Path) -> SeamlessM4Tv2ForSpeechToText:
    """Load the model with int8 weights, from the file of an earlier start or from the float weights.

    The file is written beside the model and replaced where it is damaged, or where the model's files have changed.
    Where the folder cannot be written to, the model loads all the same and the next start converts again.

    Raises:
        EngineError: The folder's weights are not those of its configuration.
    """
    file, key = model_dir / FILE_NAME, _key(model_dir)
    tensors = _read(file, key)
    if tensors is not None:
        try:
            return _assemble(model_dir, tensors)
        except (KeyError, RuntimeError) as error:
            _log.warning("%s does not fit the model (%s): converting again", file.name, error)
    _log.info("converting the weights in %s to int8, once", model_dir.name)
    tensors = _convert(model_dir)
    try:
        _write(file, tensors, key)
        # What is mapped from the file need not be held in memory while the weights are packed.
        tensors = _read(file, key) or tensors
    except OSError as error:
        _log.warning("the int8 weights cannot be kept for the next start: %s", error)
    try:
        return _assemble(model_dir, tensors)
    except (KeyError, RuntimeError) as error:
        raise EngineError(f"the weights in {model_dir.name} do not fit its configuration: {error}") from error


def _key(model_dir: Path) -> str:
    """Name the float weights by configuration, and by size and time of each file: hashing gigabytes takes too long."""
    files = sorted(path for path in model_dir.glob("*") if path.suffix in {".safetensors", ".bin"})
    sizes = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.name != FILE_NAME]
    described = json.dumps([_FORMAT, (model_dir / "config.json").read_text(encoding="utf-8"), sizes])
    return hashlib.sha256(described.encode()).hexdigest()


def _read(file: Path, key: str) -> dict[str, Tensor] | None:
    """Map the file's tensors into memory, or return None where it is missing, damaged or of other weights."""
    if not file.is_file():
        return None
    try:
        with safe_open(str(file), framework="pt") as opened:
            if (opened.metadata() or {}).get("key") != key:
                _log.info("%s was made from other weights: converting again", file.name)
                return None
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dict
    except (SafetensorError, OSError) as error:
        _log.warning("%s is damaged (%s): converting again", file.name, error)
        return None


def _write(file: Path, tensors: dict[str, Tensor], key: str) -> None:
    """Write a file that is there whole or not at all."""
    descriptor, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{FILE_NAME}.")
    os.close(descriptor)
    try:
        save_file(tensors, partial, metadata={"key": key})
        os.replace(partial, file)
    except BaseException as error:
        Path(partial).unlink(missing_ok=True)
        if isinstance(error, SafetensorError):  # how it reports a full disk
            raise OSError(str(error)) from error
        raise


def _is_matrix(module: nn.Module) -> bool:
    pointwise = isinstance(module, nn.Conv1d) and module.kernel_size == (1,) and module.groups == 1
    return isinstance(module, nn.Linear) or pointwise


def _convert(model_dir: Path) -> dict[str, Tensor]:
    """Return the tensors of the int8 model; the float model's are let go of one by one, so memory hardly grows."""
    model = SeamlessM4Tv2ForSpeechToText.from_pretrained(model_dir, dtype=torch.float32, local_files_only=True)
    # Tied to the output layer, whose int8 rows serve both.
    del model.shared, model.text_decoder.embed_tokens
    tensors: dict[str, Tensor] = {}
    with torch.inference_mode():
        for name, module in model.named_modules():
            if _is_matrix(module):
                weight = module.weight.flatten(1)
                tensors[f"{name}.weight"], tensors[f"{name}.scale"] = quantize(weight)
                if module.bias is not None:
                    tensors[f"{name}.bias"] = module.bias.detach()
                del module.weight, weight
        tensors |= {name: kept.detach().contiguous() for name, kept in model.state_dict().items()}
    return tensors


def _assemble(model_dir: Path, tensors: dict[str, Tensor]) -> SeamlessM4Tv2ForSpeechToText:
    """Build the model around its tensors, never allocating its float weights.

    Raises:
        KeyError: A tensor is missing.
        RuntimeError: A tensor has another shape than the configuration says.
    """
    config = AutoConfig.from_pretrained(model_dir, local_files_only=True)
    with torch.device("meta"):
        model = SeamlessM4Tv2ForSpeechToText(config)
    decoder = model.text_decoder
    for name, module in list(model.named_modules()):
        if _is_matrix(module):
            weight, scale = tensors[f"{name}.weight"], tensors[f"{name}.scale"]
            if weight.numel() != module.weight.numel():
                raise RuntimeError(f"{name} has shape {tuple(weight.shape)}")
            kernels = _ENCODER_KERNELS if name.startswith("speech_encoder.") else _DECODER_KERNELS
            linear = Int8Linear(weight, scale, tensors.get(f"{name}.bias"), kernels)
            model.set_submodule(name, linear if isinstance(module, nn.Linear) else Int8Pointwise(linear))
    embedding = Int8Embedding(tensors["lm_head.weight"], tensors["lm_head.scale"] * decoder.embed_tokens.embed_scale)
    decoder.embed_tokens = embedding
    model.shared = embedding
    # Computed, not stored, so it is empty after building on the meta device.
    positions = decoder.embed_positions
    decoder.embed_positions = type(positions)(positions.num_positions, positions.embedding_dim, positions.padding_idx)
    kept = {name: tensors[name] for name in model.state_dict()}
    model.load_state_dict(kept, strict=True, assign=True)
    left = [name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta]
    if left:
        raise KeyError(", ".join(left))
    model.generation_config = GenerationConfig.from_pretrained(model_dir, local_files_only=True)
    return model.eval()
