"""Where another voice goes on within an utterance, after a pause too short to end it.

Two people who share a microphone answer each other within a third of a second. As one utterance their words would be
recognised in one language and bear one name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from babblefish.audio.segmenter import Segment
from babblefish.domain import SAMPLE_RATE_HZ
from babblefish.engines.contracts import Embedding, SpeakerEncoder, VoiceScale

_LEAST_S = 1.0
"""Sound on either side of a pause, below which a voice cannot be told from another one. Nothing that one reader said
was cut with this limit, in 277 trials (``benchmarks/speaker_identification.py``)."""

_ENOUGH_S = 2.0
"""Sound on either side that is compared: beyond it yet another voice may speak."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """What is said between two pauses."""

    end: int
    duration_s: float
    voice: Embedding


def by_voice(segment: Segment, encoder: SpeakerEncoder) -> list[Segment]:
    """Cut a segment at the pauses after which another voice goes on; mostly there are none.

    Args:
        segment: Of any length.
        encoder: Is asked once for each stretch between two pauses, if a voice can be told on both sides of one.
    """
    least, total = int(_LEAST_S * SAMPLE_RATE_HZ), len(segment.samples)
    if not any(least <= pause <= total - least for pause in segment.pauses):
        return [segment]
    stretches = [
        _Stretch(last, (last - first) / SAMPLE_RATE_HZ, encoder.embed(segment.samples[first:last]))
        for first, last in pairwise([0, *segment.pauses, total])
    ]
    return segment.cut([stretches[at - 1].end for at in sorted(_changes(stretches, 0, len(stretches), encoder.scale))])


def _changes(stretches: Sequence[_Stretch], first: int, last: int, scale: VoiceScale) -> list[int]:
    """Return the stretches, among those from ``first`` to before ``last``, with which another voice begins."""
    likenesses = {
        at: likeness
        for at in range(first + 1, last)
        if (likeness := _likeness(reversed(stretches[first:at]), stretches[at:last], scale)) is not None
    }
    at = min(likenesses, key=likenesses.__getitem__, default=None)
    # What is neither one voice nor surely another stays together: words torn apart are worse than a wrong name.
    if at is None or likenesses[at] >= (scale.threshold + scale.plausible) / 2:
        return []
    return [at, *_changes(stretches, first, at, scale), *_changes(stretches, at, last, scale)]


def _likeness(before: Iterable[_Stretch], after: Iterable[_Stretch], scale: VoiceScale) -> float | None:
    """Return the corrected similarity of what is nearest to a pause on its sides; None where that is too little."""
    (one, one_s), (other, other_s) = _nearest(before), _nearest(after)
    if min(one_s, other_s) < _LEAST_S:
        return None
    return scale.similarity(one / np.linalg.norm(one), one_s, other / np.linalg.norm(other), other_s)


def _nearest(stretches: Iterable[_Stretch]) -> tuple[Embedding, float]:
    """Return the sum of the voices of the nearest stretches, by their length, and that length in seconds."""
    voice, duration_s = np.zeros(1, dtype=np.float32), 0.0
    for stretch in stretches:
        if duration_s >= _ENOUGH_S:
            break
        voice = voice + stretch.duration_s * stretch.voice
        duration_s += stretch.duration_s
    return voice, duration_s
