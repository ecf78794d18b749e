"""SeamlessM4T v2 with int8 weights: the modules, the conversion, and the file that keeps its result.

A decoder step is bound by reading the weights once, so their size is its cost: int8 reads a quarter of float32. Weights
have one scale per output channel (symmetric, ``max|w| / 127``). Activations are quantized at each call by the kernel,
after each row was brought to the same size, so that an outlier in what one person says coarsens nothing of what others
say: with one row of four thirty times as large, the error of the others was 22 %, and is 1.2 % (1024 values a row).

Processors without VNNI add pairs of products in 16 bits, which large values overflow. In a narrow layer many values are
large, so each weight is the sum of two there that are half as large: the error falls from 8.9 to 0.8 % with 32 values a
row and from 4.8 to 1.0 % with 160, as on every other processor. With 1024 it stays at 1.8 %, where others have 1.1.

The first start converts matrix by matrix, so the whole float model is never in memory. Every start builds the model
from the converted tensors alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import SeamlessM4Tv2Model

from babblefish.engines.seamless import tensor_file
from babblefish.engines.seamless.checkpoint import Checkpoint, empty_model

FILE_NAME = "babblefish-int8.safetensors"

_FORMAT = 2
"""Raised when the content of the file changes, so that older files are made again."""

_DECODER_KERNELS = ("fbgemm", "qnnpack")
_ENCODER_KERNELS = ("onednn", "fbgemm", "qnnpack")
"""Kernels by preference. fbgemm is the faster for the few rows of a decoder step, oneDNN for the hundreds of frames of
the encoder (``benchmarks/seamless_cost.py`` on AVX-512 VNNI)."""

_MANY_ROWS = ("speech_encoder.", "t2u_model.")
"""Parts that process hundreds of rows: frames of 160 ms, units of 20 ms."""

_FLOAT = ("vocoder.", "t2u_model.model.decoder.duration_predictor.")
"""Parts that stay float32: convolutions, and the small predictor of how long each sound lasts."""

_BLOCK_ROWS = 8192
"""Rows quantized at a time: the output layer has a quarter of a million."""

_NARROW = 1024
"""Values a row below which a weight is the sum of two where products overflow."""

_SMALLEST = torch.finfo(torch.float32).tiny

_log = logging.getLogger(__name__)


# Named in full: finding the overload would cost time in each of a step's 145 calls.
_linear_dynamic = torch.ops.quantized.linear_dynamic.default


@cache
def _overflows() -> bool:
    """Say whether this processor adds pairs of products in 16 bits, as the x86 ones without VNNI do."""
    capabilities = torch.cpu.get_capabilities()
    return capabilities["architecture"] == "x86_64" and not capabilities["avx512_vnni"]


class Int8Linear(nn.Module):
    """``x @ weight.T + bias`` with int8 weights; each row of the activations has a scale of its own."""

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
        self._bias = bias
        self._in_halves = self.in_features < _NARROW and _overflows()
        if self._in_halves:  # below 65, so that two products with activations of eight bits fit into 16
            weight, scale = torch.cat([weight // 2, weight - weight // 2]), scale.repeat(2)
        zero_point = torch.zeros(len(scale), dtype=torch.long)
        quantized = torch._make_per_channel_quantized_tensor(weight.contiguous(), scale.double(), zero_point, 0)
        supported = torch.backends.quantized.supported_engines
        before = torch.backends.quantized.engine
        torch.backends.quantized.engine = next(name for name in kernels if name in supported)
        try:  # the packed weights keep their kernel; the setting is the whole process's
            self._packed = torch.ops.quantized.linear_prepack(quantized, None)
        finally:
            torch.backends.quantized.engine = before

    weight = None
    """The feed-forward layer of transformers looks at the weight's type."""

    @classmethod
    def concatenated(cls, parts: Sequence[Int8Linear]) -> Int8Linear:
        """Return one layer whose output is that of several side by side; each has a bias."""
        weights, scales, biases = zip(*(part._unpacked() for part in parts), strict=True)
        return cls(torch.cat(weights), torch.cat(scales), torch.cat(biases), _DECODER_KERNELS)

    def split(self, outputs: Sequence[Tensor]) -> list[Int8Linear]:
        """Return a layer for each of several sets of this layer's outputs, given by their indices; without biases."""
        weight, scale, _ = self._unpacked()
        return [Int8Linear(weight[part], scale[part], None, _DECODER_KERNELS) for part in outputs]

    def _unpacked(self) -> tuple[Tensor, Tensor, Tensor | None]:
        packed, _ = torch.ops.quantized.linear_unpack(self._packed)
        weight, scale = packed.int_repr(), packed.q_per_channel_scales()
        if self._in_halves:
            weight, scale = weight[: self.out_features] + weight[self.out_features :], scale[: self.out_features]
        return weight, scale, self._bias

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 ``[..., in]`` to float32 ``[..., out]``."""
        size = x.abs().amax(dim=-1, keepdim=True).clamp_(min=_SMALLEST)
        y = _linear_dynamic(x / size, self._packed)
        if self._in_halves:
            y = y[..., : self.out_features] + y[..., self.out_features :]
        return y.mul_(size) if self._bias is None else torch.addcmul(self._bias, y, size)


class Int8Pointwise(nn.Module):
    """A convolution of width one as the matrix product it is."""

    def __init__(self, linear: Int8Linear) -> None:
        super().__init__()
        self._linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 ``[batch, in, time]`` to ``[batch, out, time]``."""
        return self._linear(x.transpose(1, 2).contiguous()).transpose(1, 2)


class Int8Embedding(nn.Module):
    """Token embeddings kept as int8 rows, each with its scale."""

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        super().__init__()
        self._weight = weight
        self._scale = scale

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids of any shape to float32 ``[..., width]``."""
        return self._weight[ids].float() * self._scale[ids][..., None]


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 weights ``[out, in]`` and their scales ``[out]`` for float weights ``[out, in]``."""
    quantized = torch.empty(weight.shape, dtype=torch.int8)
    scale = torch.empty(len(weight))
    for start in range(0, len(weight), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        exact = weight[block].float()
        scale[block] = exact.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / 127.0
        quantized[block] = torch.round(exact / scale[block, None]).to(torch.int8)
    return quantized, scale


def load(model_dir: Path) -> SeamlessM4Tv2Model:
    """Load the whole model with int8 weights, from the file of an earlier start or from the float weights.

    The file is written beside the model and replaced where it is damaged, or where the model's files have changed.
    Where the folder cannot be written to, the model still loads, and the next start converts again.

    Raises:
        EngineError: The folder's weights are not those of its configuration.
        OSError: A file is missing.
        ValueError: A file is not what it should be.
    """
    model, file, key = empty_model(model_dir), model_dir / FILE_NAME, _key(model_dir)
    layout = _layout(model)
    tensors = tensor_file.read(file, layout, key)
    if tensors is None:
        checkpoint = Checkpoint(model_dir, model)
        _log.info("converting the weights in %s to int8, once", model_dir.name)
        try:
            tensor_file.write(file, _converted(checkpoint, layout), layout, key)
            tensors = tensor_file.read(file, layout, key)
        except OSError as error:
            _log.warning("the int8 weights cannot be kept for the next start: %s", error)
        if tensors is None:
            tensors = dict(_converted(checkpoint, layout))
    _fill(model, tensors)
    return model


def _key(model_dir: Path) -> str:
    """Identify the float weights by configuration, and by size and time of each file: hashing them takes too long."""
    files = sorted(path for path in model_dir.glob("*.safetensors") if path.name != FILE_NAME)
    sizes = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    described = json.dumps([_FORMAT, (model_dir / "config.json").read_text(encoding="utf-8"), sizes])
    return hashlib.sha256(described.encode()).hexdigest()


def _matrices(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules whose weights become int8: linear layers, and convolutions of width one."""
    return {name: module for name, module in model.named_modules() if _is_matrix(name, module)}


def _is_matrix(name: str, module: nn.Module) -> bool:
    if name.startswith(_FLOAT):
        return False
    pointwise = isinstance(module, nn.Conv1d) and module.kernel_size == (1,) and module.groups == 1
    return isinstance(module, nn.Linear) or pointwise


def _layout(model: SeamlessM4Tv2Model) -> dict[str, Tensor]:
    """Return what the int8 model is made of, as tensors without data; of tied weights only the output layers'."""
    tied: dict[str, str] = model.all_tied_weights_keys
    layout = {n: tensor.float() for n, tensor in model.state_dict().items() if n not in {*tied, *tied.values()}}
    for name, module in _matrices(model).items():
        weight = module.weight.flatten(1)
        layout[f"{name}.weight"] = torch.empty_like(weight, dtype=torch.int8)
        layout[f"{name}.scale"] = weight.new_empty(len(weight))
    return layout


def _converted(checkpoint: Checkpoint, layout: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of the layout, each matrix with its scales; nothing of the float model is kept."""
    for name, like in layout.items():
        if like.dtype == torch.int8:
            weight, scale = quantize(checkpoint.tensor(name).flatten(1))
            yield name, weight
            yield f"{name.removesuffix('.weight')}.scale", scale
        elif not name.endswith(".scale"):
            yield name, checkpoint.tensor(name).float().contiguous()


def _fill(model: SeamlessM4Tv2Model, tensors: dict[str, Tensor]) -> None:
    """Give an empty model its weights, never allocating the float ones.

    Tensors that stay as they are get copied, as each would keep the whole mapped file in memory.
    """
    for name, module in _matrices(model).items():
        kernels = _ENCODER_KERNELS if name.startswith(_MANY_ROWS) else _DECODER_KERNELS
        bias = None if module.bias is None else tensors[f"{name}.bias"].clone()
        linear = Int8Linear(tensors[f"{name}.weight"], tensors[f"{name}.scale"], bias, kernels)
        model.set_submodule(name, linear if isinstance(module, nn.Linear) else Int8Pointwise(linear))
    # Tied to the output layer, whose int8 rows serve as embeddings too.
    scale = tensors["lm_head.scale"] * model.text_decoder.embed_tokens.embed_scale
    model.set_input_embeddings(Int8Embedding(tensors["lm_head.weight"].clone(), scale))
    model.t2u_model.set_input_embeddings(None)  # the units are made in parallel, from characters
    model.load_state_dict({name: tensors[name].clone() for name in model.state_dict()}, strict=True, assign=True)
