"""How a single word was heard is told from its transcript."""

from __future__ import annotations

import pytest

from benchmarks.short_words import outcome


@pytest.mark.parametrize(
    ("heard", "found"),
    [
        ("Eight.", "right"),
        ("8", "right"),
        ("Eight. Eight!", "doubled"),
        ("8 8 8", "doubled"),
        ("Great.", "wrong"),
        ("eight o'clock", "wrong"),
        (None, "lost"),
    ],
)
def test_a_word_is_right_wrong_doubled_or_lost(heard: str | None, found: str) -> None:
    assert outcome({"eight", "8"}, heard) == found
