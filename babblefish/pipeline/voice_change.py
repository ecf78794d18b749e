"""Where another voice goes on within an utterance, after a pause too short to end it, or after none.

Two people who share a microphone answer each other within a third of a second, or at once. As one utterance their words
would be recognised in one language and bear one name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from babblefish.audio.segmenter import Segment
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.engines.contracts import Embedding, SpeakerEncoder, VoiceScale, VoiceTracker

_LEAST_S = 1.0
"""Sound on either side of a change, below which a voice cannot be told from another one."""

_ENOUGH_S = 2.0
"""Sound on either side that is compared: beyond it yet another voice may speak."""

_STEP_S = 0.1
"""From one moment to the next that a voice is tracked at."""

_PLACE_S = 1.5
"""Sound on either side that is compared to find the place of a change, which is less blurred by it."""

_NEAR_S = 0.2
"""The quietest moment this near to where a voice changes is where an utterance is cut."""

_QUIET_S = 0.03
"""Over which the level counts there: a gap between two words."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """What is said between two pauses."""

    end: int
    duration_s: float
    voice: Embedding


def may_change(segment: Segment, encoder: SpeakerEncoder) -> bool:
    """Say whether a segment is long enough for two voices, and has a pause where the encoder cannot do without."""
    least, total = int(_LEAST_S * SAMPLE_RATE_HZ), len(segment.samples)
    if isinstance(encoder, VoiceTracker):
        return total >= 2 * least
    return any(least <= pause <= total - least for pause in segment.pauses)


def by_voice(segment: Segment, encoder: SpeakerEncoder) -> list[Segment]:
    """Cut a segment where another voice goes on; mostly that is nowhere.

    Args:
        segment: Of any length.
        encoder: A tracker listens to the whole, once. Any other is asked once for each stretch between two pauses, and
            where there is no pause nothing is cut.
    """
    if not may_change(segment, encoder):
        return [segment]
    total = len(segment.samples)
    if isinstance(encoder, VoiceTracker):
        return segment.cut(_Tracked(segment.samples, encoder).changes(0, total))
    stretches = [
        _Stretch(last, (last - first) / SAMPLE_RATE_HZ, encoder.embed(segment.samples[first:last]))
        for first, last in pairwise([0, *segment.pauses, total])
    ]
    return segment.cut([stretches[at - 1].end for at in sorted(_changes(stretches, 0, len(stretches), encoder.scale))])


class _Tracked:
    """A recording through which a voice is tracked."""

    def __init__(self, samples: Samples, encoder: VoiceTracker) -> None:
        self._samples = samples
        self._embed = encoder.track(samples)
        self._scale = encoder.scale
        self._another_voice = encoder.another_voice

    def changes(self, first: int, last: int) -> list[int]:
        """Return the samples, between two, with which another voice goes on, in their order."""
        least, step = int(_LEAST_S * SAMPLE_RATE_HZ), int(_STEP_S * SAMPLE_RATE_HZ)
        moments = range(first + least, last - least + 1, step)
        if not moments:
            return []
        likeness, at = min((self._likeness(first, moment, last, _ENOUGH_S), moment) for moment in moments)
        if likeness >= self._another_voice:
            return []
        near = [moment for moment in moments if abs(moment - at) <= _LEAST_S / 2 * SAMPLE_RATE_HZ]
        at = self._quietest(min(near, key=lambda moment: self._likeness(first, moment, last, _PLACE_S)))
        return [*self.changes(first, at), at, *self.changes(at, last)]

    def _likeness(self, first: int, at: int, last: int, most_s: float) -> float:
        """Return the corrected similarity of the voices before and after a moment."""
        most = int(most_s * SAMPLE_RATE_HZ)
        begin, end = max(first, at - most), min(last, at + most)
        before_s, after_s = (at - begin) / SAMPLE_RATE_HZ, (end - at) / SAMPLE_RATE_HZ
        return self._scale.similarity(self._embed(begin, at), before_s, self._embed(at, end), after_s)

    def _quietest(self, at: int) -> int:
        near, gap = int(_NEAR_S * SAMPLE_RATE_HZ), int(_QUIET_S * SAMPLE_RATE_HZ)
        power = np.square(self._samples[at - near : at + near], dtype=np.float64)
        return at - near + gap // 2 + int(np.argmin(np.convolve(power, np.ones(gap), mode="valid")))


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
