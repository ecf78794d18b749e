"""The turn detector on recorded speech."""

from __future__ import annotations

import numpy as np
import pytest

from babblefish.cli.demo import read_speech
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.engines.smart_turn import SmartTurn
from babblefish.models import install
from babblefish.settings import Settings
from tests.support.serving import SHARED_AUDIO

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED_AUDIO.is_dir(), reason="needs the recorded speech beside the project"),
]


@pytest.fixture(scope="module")
def detector() -> SmartTurn:
    return SmartTurn(install.locate("smart-turn", Settings().model_dir))


def said(name: str, until_s: float) -> Samples:
    return read_speech(SHARED_AUDIO / name)[: round(until_s * SAMPLE_RATE_HZ)]


@pytest.mark.parametrize(
    ("name", "until_s"),
    [("test_en.wav", 3.6), ("test_fr.wav", 4.07), ("test_es.wav", 3.43), ("test_de.wav", 3.08), ("test_pt.wav", 5.9)],
)
def test_a_sentence_is_finished_at_its_end(detector: SmartTurn, name: str, until_s: float) -> None:
    assert detector.completeness(said(name, until_s)) >= 0.9


@pytest.mark.parametrize(
    ("name", "until_s"),
    [
        ("jfk.flac", 4.45),  # And so, my fellow Americans, ask not …
        ("test_de_norm.wav", 1.6),  # Meine Lieblingszahl …
        ("test_pt.wav", 1.75),  # Um grupo …
    ],
)
def test_a_sentence_is_unfinished_in_its_middle(detector: SmartTurn, name: str, until_s: float) -> None:
    assert detector.completeness(said(name, until_s)) <= 0.5


def test_neither_the_level_nor_what_was_said_long_ago_matters(detector: SmartTurn) -> None:
    heard = said("jfk.flac", 10.7)
    answer = detector.completeness(heard)
    assert detector.completeness(heard / 10) == pytest.approx(answer, abs=0.02)
    earlier = np.concatenate([read_speech(SHARED_AUDIO / "test_fr.wav"), heard])
    assert detector.completeness(earlier) == pytest.approx(answer, abs=1e-6)


def test_a_sentence_of_a_moment_has_an_answer(detector: SmartTurn) -> None:
    assert 0 <= detector.completeness(np.zeros(1, dtype=np.float32)) <= 1
