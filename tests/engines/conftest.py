"""Fixtures of the engines' tests: a tiny SeamlessM4T on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights, for the tests of one module; those that change it take a copy."""
    from tests.support.tiny_seamless import make_checkpoint  # which needs packages that the other tests do without

    folder = tmp_path_factory.mktemp("seamless")
    make_checkpoint(folder)
    return folder
