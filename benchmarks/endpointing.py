"""Where utterances end: after a fixed silence, and by what the turn detector hears; both ways in one run.

On monologues and conversations of recorded sentences, joined with pauses and with hesitations put into them
(``support.conversations``), so that it is known of each pause whether it is inside a sentence. A pause is cut where an
utterance ends in it; a sentence is merged with the next where none ends in the pause after it. Delays are from the end
of speech, as the voice detector hears it, to the sample at which the end is sure; what the question takes, beside that,
is ``question``. ``own_pauses_cut``: utterances that end elsewhere inside a sentence, in a pause that its speaker made.

``texts``: the sentences with a text, in six languages. ``noise``: the same, 10 dB above pink noise. ``readers``: those
of LibriSpeech, read from novels; each recording ends with a sentence, but may hold several, so that their own pauses
are no mistakes.

``without_a_pause``: speech in which no gap is longer than 30 ms, cut because it is too long: where the voice detector
is least sure, and where it is quietest as well. How loud it is where it is cut, in decibels above the loudest
twentieth: a word's vowels are above -15, gaps and the closures of consonants below.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from babblefish.audio.segmenter import Segmenter
from babblefish.cli.demo import read_speech
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.engines import registry
from babblefish.engines.contracts import TurnDetector, VoiceDetector
from babblefish.engines.profiles import choose
from babblefish.settings import Settings
from benchmarks.support import harness
from benchmarks.support.conversations import Line, Pause, Recording, conversation, monologue, recorded, without_pause

_STEP = SAMPLE_RATE_HZ // 50
_AT_S = 0.15
"""How far the end of speech by the voice detector may be from where a pause begins."""

_BOUNDS_S = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 2.1)
_HESITATIONS_S = (0.2, 1.2)
_NOISE_DB = 10.0
_CUT_S = 0.03

IN_A_VOWEL_DB = -15.0
"""Level of a cut, above the loudest twentieth, from which it is in the middle of a word."""

_HESITATING = Path("cases") / "05_hesitating_fra.wav"


@dataclass(frozen=True)
class Ended:
    """An utterance: where in the stream its speech ended, where that was sure, and whether it was just too long."""

    end_sample: int
    sure_sample: int
    is_split: bool = False

    @property
    def delay_ms(self) -> float:
        """Milliseconds of audio between the two."""
        return 1000 * (self.sure_sample - self.end_sample) / SAMPLE_RATE_HZ

    def is_in(self, pause: Pause) -> bool:
        """Say whether it ended in a pause."""
        return pause.start_sample - _AT_S * SAMPLE_RATE_HZ <= self.end_sample < pause.end_sample


class TimedDetector:
    """A turn detector that keeps what its answers cost."""

    def __init__(self, detector: TurnDetector) -> None:
        self.name = detector.name
        self._detector = detector
        self.cpu_ms: list[float] = []
        self.wall_ms: list[float] = []

    def completeness(self, samples: Samples) -> float:
        """Answer as the detector does."""
        cpu_s, wall_s = time.thread_time(), time.perf_counter()
        answer = self._detector.completeness(samples)
        self.cpu_ms.append(1000 * (time.thread_time() - cpu_s))
        self.wall_ms.append(1000 * (time.perf_counter() - wall_s))
        return answer


def utterances(segmenter: Segmenter, samples: Samples) -> list[Ended]:
    """Return where the utterances of a stream end; what has not ended with it is left out."""
    return [
        Ended(segment.end_sample, at + _STEP, is_split=segmenter.in_speech)
        for at in range(0, len(samples), _STEP)
        for segment in segmenter.feed(samples[at : at + _STEP])
    ]


def sentence_ends(recording: Recording) -> list[Pause]:
    """Return the pauses after sentences, the silence at the end included."""
    last = max(sentence.end_sample for sentence in recording.sentences)
    between = [pause for pause in recording.pauses if not pause.is_inside]
    return [*between, Pause(last, len(recording.samples), is_inside=False)]


def own_pauses_cut(recording: Recording, ended: Sequence[Ended]) -> int:
    """Count the utterances that end inside a sentence, but not where a pause was put."""
    away = _AT_S * SAMPLE_RATE_HZ
    ends = sentence_ends(recording)
    elsewhere = [one for one in ended if not any(one.is_in(pause) for pause in (*recording.pauses, *ends))]
    return sum(
        any(said.start_sample + away < one.end_sample < said.end_sample - away for said in recording.sentences)
        for one in elsewhere
    )


def _figures(recordings: Sequence[Recording], found: Sequence[Sequence[Ended]]) -> dict[str, Any]:
    delays: dict[bool, list[float]] = {True: [], False: []}
    cuts: dict[bool, dict[str, list[bool]]] = {True: defaultdict(list), False: defaultdict(list)}
    own = 0
    for recording, ended in zip(recordings, found, strict=True):
        own += own_pauses_cut(recording, ended)
        for pause in (*(pause for pause in recording.pauses if pause.is_inside), *sentence_ends(recording)):
            cut = next((one for one in ended if one.is_in(pause)), None)
            cuts[pause.is_inside][_length(pause)].append(cut is not None)
            if cut is not None:
                delays[pause.is_inside].append(cut.delay_ms)
    count = sum(len(ended) for ended in found)
    inside, after = ([one for some in cuts[kind].values() for one in some] for kind in (True, False))
    return {
        "utterances": count,
        "in_mid_sentence_percent": _percent(sum(inside) + own, count),
        "hesitations_cut_percent": _percent(sum(inside), len(inside)),
        "own_pauses_cut": own,
        "sentences_merged_percent": _percent(len(after) - sum(after), len(after)),
        "finished_delay_ms": harness.spread(delays[False]),
        "half_delay_ms": harness.spread(delays[True]) if delays[True] else None,
        "hesitations_cut_by_length": _by_length(cuts[True]),
        "sentence_ends_found_by_length": _by_length(cuts[False]),
    }


def _length(pause: Pause) -> str:
    return next((f"up to {bound} s" for bound in _BOUNDS_S if pause.duration_s <= bound), "longer")


def _by_length(cuts: dict[str, list[bool]]) -> dict[str, str]:
    names = [*(f"up to {bound} s" for bound in _BOUNDS_S), "longer"]
    return {name: f"{sum(cuts[name])} of {len(cuts[name])}" for name in names if name in cuts}


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1)


def _material(lines: dict[str, list[Line]], seeds: int) -> Iterator[tuple[str, Recording]]:
    texts = {name: said for name, said in lines.items() if all(line.texts for line in said)}
    readers = {name: said for name, said in lines.items() if name not in texts}
    for seed in range(seeds):
        for kind, snr_db in (("texts", 40.0), ("noise", _NOISE_DB)):
            for name, said in texts.items():
                yield kind, monologue(seed, said, speaker=name, hesitations_s=_HESITATIONS_S, snr_db=snr_db)
            yield kind, conversation(seed, texts, snr_db=snr_db)
        for name, said in readers.items():
            yield "readers", monologue(seed, said, speaker=name, hesitations_s=_HESITATIONS_S)


def loudness_db(samples: Samples, at: int) -> float:
    """Return the level of 30 ms around a sample, in decibels above the loudest twentieth of such stretches."""
    half = round(_CUT_S * SAMPLE_RATE_HZ) // 2
    power = np.convolve(np.square(samples, dtype=np.float64), np.ones(2 * half) / (2 * half), mode="same")
    return float(10 * np.log10(max(power[at], 1e-12) / np.quantile(power[::half], 0.95)))


class _ByVoiceAlone(Segmenter):
    """Cuts overlong speech where the voice detector is least sure of it."""

    def _quietest(self, first: int, last: int) -> int:
        width = self._split_stretch
        means = np.convolve(self._probabilities[first:last], np.ones(width) / width, mode="valid")
        return first + len(means) - 1 - int(np.argmin(means[::-1])) + (width + 1) // 2


def _without_a_pause(
    lines: dict[str, list[Line]], seeds: int, settings: Settings, detector: VoiceDetector
) -> dict[str, Any]:
    levels: dict[str, list[float]] = {}
    for way, kind in (("by the voice detector", _ByVoiceAlone), ("by the level, too", Segmenter)):
        levels[way] = []
        for seed in range(seeds):
            for name, said in lines.items():
                heard = without_pause(seed, said, speaker=name).samples
                found = utterances(kind(detector.open_stream(), settings), heard)
                levels[way] += [loudness_db(heard, one.end_sample) for one in found if one.is_split]
    return {
        way: {
            "level_db": harness.spread(some),
            "in_a_vowel_percent": _percent(sum(level > IN_A_VOWEL_DB for level in some), len(some)),
        }
        for way, some in levels.items()
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Cut everything both ways."""
    settings = Settings()
    parts = registry.Parts(settings, choose(settings))
    voices = parts.voice_detector.load()
    turns = TimedDetector(parts.turn_detector.load())
    lines = recorded()
    material: dict[str, list[Recording]] = defaultdict(list)
    for kind, recording in _material(lines, options.seeds):
        material[kind].append(recording)

    def cut(samples: Samples, turn_detector: TurnDetector | None) -> list[Ended]:
        return utterances(Segmenter(voices.open_stream(), settings, turn_detector), samples)

    ways: dict[str, TurnDetector | None] = {"fixed silence": None, "turn detector": turns}
    figures: dict[str, Any] = {
        kind: {way: _figures(some, [cut(one.samples, way_of) for one in some]) for way, way_of in ways.items()}
        for kind, some in material.items()
    }
    figures["question"] = {"cpu_ms": harness.spread(turns.cpu_ms), "ms": harness.spread(turns.wall_ms)}
    hesitating = np.pad(read_speech(harness.SHARED_AUDIO / _HESITATING), (0, 2 * SAMPLE_RATE_HZ))
    figures["utterances_of_case_05"] = {way: len(cut(hesitating, way_of)) for way, way_of in ways.items()}
    figures["without_a_pause"] = _without_a_pause(lines, options.seeds, settings, voices)
    return figures


if __name__ == "__main__":
    harness.main(__doc__, measure, seeds=2)
