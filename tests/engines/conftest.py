"""Fixtures of the engines' tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def one_thread_of_torch() -> Iterator[None]:
    """Let tests compute in their own thread: on a busy machine, the threads of tiny models wait for each other."""
    if "torch" not in sys.modules:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights, for the tests of one module; those that change it take a copy."""
    from tests.support.tiny_seamless import make_checkpoint  # which needs packages that the other tests do without

    folder = tmp_path_factory.mktemp("seamless")
    make_checkpoint(folder)
    return folder
