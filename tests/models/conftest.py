"""A registry that is not asked over the network, and a model folder that does not exist yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fake_registry import Registry


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"
