"""Two people on one microphone who take turns without a pause: where what they say is cut apart, and whether one is.

A seed gives the same scenes each time. Two stretches of 2 to 4 s, of two readers, follow each other with 0 to 0.3 s of
silence between them. A change is found where a cut lies within half a second of the middle of that silence; every other
cut is a false one. Of one reader, stretches of 2 to 8 s and whole utterances, as the server cuts them out of the
recordings, are not to be cut at all.

The threshold was chosen on readers of books, so that those of prompts, where their packages are installed, are people
whom nobody chose it by.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from babblefish.audio.segmenter import Segment, Segmenter
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.engines import registry
from babblefish.engines.contracts import SpeakerEncoder
from babblefish.engines.profiles import choose
from babblefish.pipeline.voice_change import by_voice
from babblefish.settings import Settings
from benchmarks.support import harness, readers
from benchmarks.support.readers import Recordings

_STRETCH_S = (2.0, 4.0)
_ALONE_S = (2.0, 8.0)
_GAPS_S = (0.0, 0.1, 0.2, 0.3)
_FOUND_S = 0.5
_COST_S = (3, 6, 12)


class Scenes:
    """Cuts stretches out of recordings, at random."""

    def __init__(self, recordings: Recordings, seed: int) -> None:
        self._recordings = recordings
        self._draw = np.random.default_rng(seed)

    def two(self, gap_s: float) -> tuple[Samples, float]:
        """Return what two people say with a gap between them, and its middle in seconds."""
        first, second = self._draw.permutation(sorted({person for person, _ in self._recordings}))[:2]
        one, other = self._stretch(str(first), _STRETCH_S), self._stretch(str(second), _STRETCH_S)
        gap = np.zeros(int(gap_s * SAMPLE_RATE_HZ), dtype=np.float32)
        return np.concatenate([one, gap, other]), (len(one) + len(gap) / 2) / SAMPLE_RATE_HZ

    def one(self) -> Samples:
        """Return what one person says."""
        people = sorted({person for person, _ in self._recordings})
        return self._stretch(str(self._draw.choice(people)), _ALONE_S)

    def _stretch(self, person: str, length_s: tuple[float, float]) -> Samples:
        own = [samples for (other, _), samples in self._recordings.items() if other == person]
        samples = own[self._draw.integers(len(own))]
        length = min(len(samples), int(self._draw.uniform(*length_s) * SAMPLE_RATE_HZ))
        start = self._draw.integers(len(samples) - length + 1)
        return samples[start : start + length]


def _cuts_s(segment: Segment, encoder: SpeakerEncoder) -> list[float]:
    """Return where a segment is cut, in seconds."""
    lengths = [len(part.samples) for part in by_voice(segment, encoder)]
    return [end / SAMPLE_RATE_HZ for end in np.cumsum(lengths)[:-1]]


def errors_s(segment: Segment, change_s: float, encoder: SpeakerEncoder) -> list[float]:
    """Return how far from a change each cut is, in seconds, the nearest first."""
    return sorted(abs(cut_s - change_s) for cut_s in _cuts_s(segment, encoder))


def _whole(samples: Samples) -> Segment:
    return Segment(samples, 0, len(samples), len(samples) / SAMPLE_RATE_HZ)


def _of_two(scenes: Scenes, count: int, encoder: SpeakerEncoder) -> dict[str, Any]:
    """Count what is found of scenes with every gap."""
    cuts, found_s, found_by_gap = 0, [], {}
    for gap_s in _GAPS_S:
        near = 0
        for _ in range(count):
            samples, change_s = scenes.two(gap_s)
            off_s = errors_s(_whole(samples), change_s, encoder)
            cuts += len(off_s)
            if off_s and off_s[0] <= _FOUND_S:
                near += 1
                found_s.append(off_s[0])
        found_by_gap[f"{gap_s} s"] = round(100 * near / count, 1)
    return {
        "scenes": count * len(_GAPS_S),
        "recall_percent": round(100 * len(found_s) / (count * len(_GAPS_S)), 1),
        "recall_percent_by_gap": found_by_gap,
        "precision_percent": round(100 * len(found_s) / max(1, cuts), 1),
        "error_ms": harness.spread([1000 * error_s for error_s in found_s], digits=0) if found_s else None,
    }


def _of_one(scenes: Scenes, recordings: Recordings, count: int, encoder: SpeakerEncoder, segmenter: Segmenter) -> Any:
    """Count what is cut although one person said it."""
    cut = sum(len(_cuts_s(_whole(scenes.one()), encoder)) > 0 for _ in range(count))
    segments = [
        segment for samples in recordings.values() for segment in [*segmenter.feed(samples), *segmenter.flush()]
    ]
    return {
        "stretches": count,
        "stretches_cut": cut,
        "utterances": len(segments),
        "utterances_cut": sum(len(_cuts_s(segment, encoder)) > 0 for segment in segments),
    }


def measure(parsed: argparse.Namespace) -> dict[str, Any]:
    settings = Settings()
    parts = registry.Parts(settings, choose(settings))
    encoder = parts.speaker_encoder.load()
    detector = parts.voice_detector.load()
    groups = {"readers of books": readers.books(), "readers of prompts": readers.prompts()}
    figures: dict[str, Any] = {"encoder": encoder.name}
    for name, recordings in groups.items():
        if not recordings:
            continue
        scenes = Scenes(recordings, parsed.seed)
        segmenter = Segmenter(detector.open_stream(), settings)
        figures[name] = {
            "two_voices": _of_two(scenes, parsed.scenes, encoder),
            "one_voice": _of_one(scenes, recordings, 2 * parsed.scenes, encoder, segmenter),
        }
    long = np.concatenate(list(groups["readers of books"].values()))
    cost_ms = {}
    for duration_s in _COST_S:
        times = []
        for at in range(5):
            samples = long[at * duration_s * SAMPLE_RATE_HZ : (at + 1) * duration_s * SAMPLE_RATE_HZ]
            started_s = time.perf_counter()
            by_voice(_whole(samples), encoder)
            times.append(1000 * (time.perf_counter() - started_s))
        cost_ms[f"{duration_s} s"] = harness.spread(times, digits=0)
    return figures | {"cost_ms": cost_ms}


if __name__ == "__main__":
    harness.main("Where another voice goes on within an utterance.", measure, scenes=25, seed=0)
