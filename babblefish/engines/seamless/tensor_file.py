"""A safetensors file of tensors that are made one at a time, with a checksum of each.

The library writes tensors that are all in memory. Here names, types and shapes are known in advance, so each tensor is
written when it is made, and then freed.
"""

from __future__ import annotations

import json
import logging
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

_TYPES = {torch.float32: "F32", torch.int64: "I64", torch.int8: "I8"}
"""Types by their names in the file (https://github.com/huggingface/safetensors, "Format")."""

_CHECKSUMS = "crc32"
"""Name of the tensor that holds the CRC-32 of the others, int64, in the order of their names."""

_ALIGNMENT = 8

_log = logging.getLogger(__name__)


def write(file: Path, tensors: Iterable[tuple[str, Tensor]], layout: Mapping[str, Tensor], key: str) -> None:
    """Write a file that appears complete or not at all.

    Args:
        file: Replaced when everything is written.
        tensors: Each of the layout's once, in any order, contiguous.
        layout: What they will be: tensors on the meta device, by name.
        key: What ``read`` will ask for.

    Raises:
        OSError: It cannot be written, for example because the disk is full.
    """
    layout = {**layout, _CHECKSUMS: torch.empty(len(layout), dtype=torch.int64, device="meta")}
    header: dict[str, object] = {"__metadata__": {"key": key}}
    starts, end = {}, 0
    # The widest type first, as tensors must be aligned without gaps between them.
    for name, like in sorted(layout.items(), key=lambda item: (-item[1].itemsize, item[0])):
        starts[name], end = end, end + like.nbytes
        described = {"dtype": _TYPES[like.dtype], "shape": list(like.shape), "data_offsets": [starts[name], end]}
        header[name] = described
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % _ALIGNMENT)
    first = struct.calcsize("<Q") + len(encoded)

    descriptor, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as opened:
            os.fchmod(descriptor, 0o644)  # as readable as the checkpoint's other files
            os.posix_fallocate(descriptor, 0, first + end)  # a full disk shows before the work is done
            opened.write(struct.pack("<Q", len(encoded)) + encoded)
            checksums = {}
            for name, tensor in tensors:
                opened.seek(first + starts[name])
                opened.write(tensor.numpy().data)
                checksums[name] = _checksum(tensor)
            opened.seek(first + starts[_CHECKSUMS])
            opened.write(torch.tensor([checksums[name] for name in sorted(checksums)]).numpy().data)
        os.replace(partial, file)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def read(file: Path, layout: Mapping[str, Tensor], key: str) -> dict[str, Tensor] | None:
    """Map a file's tensors into memory.

    Returns:
        The tensors by name, or None where the file is missing, was written with another key, or is damaged: it holds
        other tensors than the layout, or a checksum is wrong.
    """
    if not file.is_file():
        return None
    try:
        with safe_open(str(file), framework="pt") as opened:
            if (opened.metadata() or {}).get("key") != key:
                _log.info("%s was made from other weights", file.name)
                return None
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dict
        checksums = tensors.pop(_CHECKSUMS).tolist()
    except (SafetensorError, OSError, KeyError) as error:
        _log.warning("%s is damaged: %s", file.name, error)
        return None
    if {n: (t.dtype, t.shape) for n, t in tensors.items()} != {n: (t.dtype, t.shape) for n, t in layout.items()}:
        _log.warning("%s is damaged: it holds other tensors than the model has", file.name)
        return None
    for name, checksum in zip(sorted(tensors), checksums, strict=True):
        if _checksum(tensors[name]) != checksum:
            _log.warning("%s is damaged: %s has the wrong checksum", file.name, name)
            return None
    return tensors


def _checksum(tensor: Tensor) -> int:
    return zlib.crc32(tensor.numpy().data)
