"""The share of right captions is counted mark by mark."""

from __future__ import annotations

from babblefish.domain import Quality
from benchmarks.caption_trust import Judged, shares


def test_right_captions_are_counted_of_good_ones_and_of_drafts() -> None:
    scores = {Quality.GOOD: (80.0, 50.0, 49.9, 90.0), Quality.DRAFT: (10.0, 60.0), None: (0.0,)}
    found = shares([Judged(quality, score, "") for quality, values in scores.items() for score in values])
    assert found["without_caption"] == 1
    assert (found[Quality.GOOD]["captions"], found[Quality.GOOD]["right"]) == (4, 3)
    assert found[Quality.GOOD]["percent"] == 75.0
    assert (found[Quality.DRAFT]["captions"], found[Quality.DRAFT]["right"]) == (2, 1)


def test_a_mark_that_no_caption_has_has_no_share() -> None:
    assert shares([Judged(Quality.GOOD, 70.0, "")])[Quality.DRAFT] == {"captions": 0}
