"""The look at SeamlessM4T's weights, on a checkpoint with the published tables and the known sentences' tokens."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the full extra is not installed")
pytest.importorskip("transformers", reason="the full extra is not installed")

from babblefish.engines.findings import Verdict, attempted
from babblefish.engines.seamless import golden
from babblefish.engines.seamless.model import load
from tests.support.real_size_seamless import make_checkpoint


@pytest.mark.slow
def test_what_is_as_published_is_said_to_be_and_random_weights_are_not(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    tables = list(attempted("tables", partial(golden._tables, tmp_path)))
    verdicts = {one.name: one.verdict for one in tables}
    assert verdicts.pop("seamless parameters") is Verdict.DIFFERS
    assert set(verdicts.values()) == {Verdict.SAME}
    text = {one.name: one.verdict for one in attempted("text", partial(golden._sentence, load(tmp_path, "float32")))}
    assert text == {
        "seamless tokens of a text": Verdict.SAME,
        "seamless greedy translation": Verdict.DIFFERS,
        "seamless translation as it is shown": Verdict.DIFFERS,
    }
