"""Fixtures of the modules that name this one in ``pytest_plugins``: a tiny SeamlessM4T on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tiny_seamless import make_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights, for the tests of one module; those that change it take a copy."""
    folder = tmp_path_factory.mktemp("seamless")
    make_checkpoint(folder)
    return folder
