"""Files that PyTorch saved, as mere data."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babblefish.engines.torch_archive import read_tensors


def saved(path: Path, content: Any) -> Path:
    torch = pytest.importorskip("torch", reason="the full extra is not installed")
    torch.save(content, path)
    return path


def test_the_tensors_are_those_that_were_saved(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the full extra is not installed")
    numbers = torch.arange(24, dtype=torch.float32)
    tensors = {"whole": numbers.reshape(2, 3, 4), "part": numbers[5:9], "count": torch.tensor(7)}
    read = read_tensors(saved(tmp_path / "tensors.pt", tensors))
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor.numpy())
        assert read[name].dtype == tensor.numpy().dtype


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "code.pt", "w") as archive:
        archive.writestr("code/data.pkl", pickle.dumps({"weight": Touch(tmp_path / "was here")}))
    with pytest.raises(pickle.UnpicklingError, match="has no business with"):
        read_tensors(tmp_path / "code.pt")
    assert not (tmp_path / "was here").exists()


def test_what_is_no_dictionary_of_whole_tensors_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the full extra is not installed")
    with pytest.raises(pickle.UnpicklingError, match="no dictionary of tensors"):
        read_tensors(saved(tmp_path / "list.pt", [torch.zeros(2)]))
    with pytest.raises(pickle.UnpicklingError, match="not contiguous"):
        read_tensors(saved(tmp_path / "turned.pt", {"turned": torch.zeros(2, 3).T}))
