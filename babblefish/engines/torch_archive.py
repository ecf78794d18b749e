"""The tensors of a file that PyTorch saved, read without PyTorch and as mere data.

Such a file is a zip archive since PyTorch 1.6: a pickle with names, types and shapes, and a file of numbers for each
tensor. A pickle can run any code that it names, so this one may name nothing but what a dictionary of tensors takes.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[Any]
"""A tensor of any shape and type."""

_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def read_tensors(file: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a state dictionary by name.

    Args:
        file: Written by ``torch.save``.

    Raises:
        UnpicklingError: It holds something else than contiguous tensors of float32 and int64.
        BadZipFile, KeyError: It is no such file.
    """
    with zipfile.ZipFile(file) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        tensors = _Reader(archive, pickled.removesuffix("data.pkl")).load()
    if not isinstance(tensors, dict) or not all(isinstance(tensor, np.ndarray) for tensor in tensors.values()):
        raise pickle.UnpicklingError(f"{file} holds no dictionary of tensors")
    return tensors


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}data.pkl")))
        self._archive = archive
        self._folder = folder

    def find_class(self, module: str, name: str) -> Callable[..., Any] | str:
        """Return what a name in the pickle stands for here."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"a file of tensors has no business with {module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        """Return the numbers that a tensor is a view of."""
        _, dtype, key, *_ = pid
        return np.frombuffer(self._archive.read(f"{self._folder}data/{key}"), dtype=dtype)


def _tensor(numbers: Tensor, first: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Tensor:
    expected = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    if list(strides) != expected:
        raise pickle.UnpicklingError("a tensor is not contiguous")
    return numbers[first : first + math.prod(shape)].reshape(shape)
