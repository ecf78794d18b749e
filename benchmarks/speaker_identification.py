"""Whose voice is it: the equal error rate of the speaker encoder, and the task that people see.

With the encoder of the profile, and the threshold that the settings or the encoder give; ``scale_as_measured`` says
what the encoder's ``VoiceScale`` would be by these recordings alone: what a new encoder is calibrated by.

The task: utterances in random order, each labelled by ``SpeakerRegistry`` as it comes. Accuracy is the share of labels
that are right under the best one-to-one mapping of labels to people, where unknown is never right; ``voices`` counts
the speakers that were made (the clips have five). Each figure is the mean over seeded orders.

``voice_changes``: two stretches of speech with a third of a second between them, as one stream; how often they are cut
apart where two people said them, and where one did, and how many utterances of the recordings themselves are cut.

As in the server, an utterance counts as long as the voice detector hears speech in it, and one without is none.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babblefish.audio.segmenter import Segment, Segmenter, SpeechMeter
from babblefish.cli.demo import read_speech
from babblefish.conversation.speakers import SpeakerRegistry
from babblefish.domain import SAMPLE_RATE_HZ, UNKNOWN_SPEAKER_ID, Samples
from babblefish.engines import registry
from babblefish.engines.contracts import Embedding, SpeakerEncoder
from babblefish.engines.profiles import choose
from babblefish.pipeline.voice_change import by_voice
from babblefish.settings import Settings
from benchmarks.support import harness

_CUTS_PER_FILE = 3

_STRETCH_S, _ANSWER_S = 2.5, 0.35
"""What each of two people says, and how soon the second one answers."""

_SHARED_S = 0.5
"""Of the other's speech that an utterance may hold and still be one person's."""

_CHANGES = 200

NewRegistry = Callable[[], SpeakerRegistry]


@dataclass(frozen=True)
class Heard:
    """An utterance of a known person, and how many seconds of it are speech."""

    person: str
    file: str
    speech_s: float
    embedding: Embedding


def _cuts(samples: Samples, duration_s: float | None) -> list[Samples]:
    """Cut up to three pieces, spread over the file, that do not overlap; None takes the whole."""
    if duration_s is None:
        return [samples]
    length = int(duration_s * SAMPLE_RATE_HZ)
    count = min(_CUTS_PER_FILE, len(samples) // length)
    starts = [int((len(samples) - length) * (index + 0.5) / count) for index in range(count)]
    return [samples[start : start + length] for start in starts]


def _pairs(heard: Sequence[Heard]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the cosine of every pair from two files, the highest first, and which pairs are of one voice."""
    embeddings = np.stack([one.embedding for one in heard])
    people, files = (np.array([getattr(one, key) for one in heard]) for key in ("person", "file"))
    first, second = np.triu_indices(len(heard), 1)
    other_file = files[first] != files[second]
    first, second = first[other_file], second[other_file]
    scores = np.einsum("ij,ij->i", embeddings[first], embeddings[second])
    order = np.argsort(-scores)
    return scores[order], (people[first] == people[second])[order]


def equal_error(heard: Sequence[Heard]) -> tuple[float, float]:
    """Return the rate at which as many same voices are refused as different ones accepted, and the cosine of it."""
    scores, same = _pairs(heard)
    refused = 1.0 - np.cumsum(same) / same.sum()
    accepted = np.cumsum(~same) / (~same).sum()
    crossing = int(np.argmin(np.abs(refused - accepted)))
    return float(refused[crossing] + accepted[crossing]) / 2, float(scores[crossing])


def measured_scale(heard: Sequence[Heard], duration_s: float) -> dict[str, float]:
    """Return the scale by utterances of one length.

    The median cosine of one voice is taken for the reliability d / (d + d₀), and the cosine at the equal error rate,
    divided by it, is the corrected similarity that tells a pair apart best.
    """
    scores, same = _pairs(heard)
    reliability = float(np.median(scores[same]))
    return {
        "half_reliable_s": round(duration_s * (1.0 - reliability) / reliability, 2),
        "similarity_at_equal_error": round(equal_error(heard)[1] / reliability, 2),
        "similarity_of_other_voices": round(float(np.median(scores[~same])) / reliability, 2),
    }


def mapped_accuracy(truth: Sequence[str], labels: Sequence[str]) -> float:
    """Return the share of labels that are right under the best one-to-one mapping of labels to people."""
    people, names = sorted(set(truth)), sorted(set(labels) - {UNKNOWN_SPEAKER_ID})
    hits = {(person, name): 0 for person in people for name in names}
    for person, label in zip(truth, labels, strict=True):
        if label in names:
            hits[person, label] += 1
    best = {0: 0}  # most hits by the set of people, as bits, that have a label; one label after another
    for name in names:
        for taken, score in list(best.items()):
            for index, person in enumerate(people):
                if not taken >> index & 1:
                    key = taken | 1 << index
                    best[key] = max(best.get(key, 0), score + hits[person, name])
    return max(best.values()) / len(truth)


def label_in_order(
    heard: Sequence[Heard], seed: int, new_registry: NewRegistry, client: Callable[[Heard], str]
) -> tuple[float, float, SpeakerRegistry]:
    """Let a new registry label the utterances in a random order.

    Returns:
        The accuracy, the share that stayed unknown, and the registry.
    """
    registry = new_registry()
    order = [heard[index] for index in np.random.default_rng(seed).permutation(len(heard))]
    labels = [registry.identify(one.embedding, one.speech_s, client(one)).speaker_id for one in order]
    unknown = labels.count(UNKNOWN_SPEAKER_ID) / len(labels)
    return mapped_accuracy([one.person for one in order], labels), unknown, registry


def _task(
    heard: Sequence[Heard], orders: int, new_registry: NewRegistry, client: Callable[[Heard], str]
) -> dict[str, Any]:
    runs = [label_in_order(heard, seed, new_registry, client) for seed in range(orders)]
    voices = [len(registry.list()) for *_, registry in runs]
    return {
        "accuracy_percent": round(100 * float(np.mean([accuracy for accuracy, *_ in runs])), 1),
        "worst_order_percent": round(100 * min(accuracy for accuracy, *_ in runs), 1),
        "unknown_percent": round(100 * float(np.mean([unknown for _, unknown, _ in runs])), 1),
        "voices": round(float(np.mean(voices)), 1),
        "most_voices": max(voices),
    }


def _strangers(
    known: Sequence[Heard], strangers: Sequence[Heard], orders: int, new_registry: NewRegistry
) -> dict[str, Any]:
    """Let people join who were never heard before, each through a client of their own."""
    taken_for_known = []
    for seed in range(orders):
        *_, registry = label_in_order(known, seed, new_registry, lambda one: one.person)
        matches = [registry.identify(one.embedding, one.speech_s, one.person) for one in strangers]
        taken_for_known.append(sum(not match.is_new for match in matches))
    return {"strangers": len(strangers), "taken_for_another_voice": round(float(np.mean(taken_for_known)), 1)}


def _voice_changes(
    speech: dict[str, Samples], encoder: SpeakerEncoder, new_segmenter: Callable[[], Segmenter]
) -> dict[str, Any]:
    """Count what is told apart of two voices, and cut of one voice and of whole recordings of one voice."""
    draw = np.random.default_rng(0)
    length, silence = int(_STRETCH_S * SAMPLE_RATE_HZ), np.zeros(int(_ANSWER_S * SAMPLE_RATE_HZ), dtype=np.float32)
    long = [name for name, samples in speech.items() if len(samples) >= 2 * length]

    def cut(samples: Samples) -> tuple[list[Segment], list[Segment]]:
        """Return the segments of a stream, and what they are cut into by voice."""
        segmenter = new_segmenter()
        segments = [*segmenter.feed(samples), *segmenter.flush()]
        return segments, [part for segment in segments for part in by_voice(segment, encoder)]

    def are_apart(segments: list[Segment]) -> bool:
        """Say whether nothing of any length holds both stretches."""
        most = _SHARED_S * SAMPLE_RATE_HZ
        return not any(
            part.end_sample - len(part.samples) < length - most and part.end_sample > length + len(silence) + most
            for part in segments
        )

    def stretch(name: str) -> Samples:
        start = int(draw.integers(len(speech[name]) - length))
        return speech[name][start : start + length]

    by_silence, by_both, one = 0, 0, 0
    for _ in range(_CHANGES):
        name = str(draw.choice(long))
        others = [other for other in long if other.split("-")[0] != name.split("-")[0]]
        segments, parts = cut(np.concatenate([stretch(name), silence, stretch(str(draw.choice(others)))]))
        by_silence += are_apart(segments)
        by_both += are_apart(parts)
        start = int(draw.integers(len(speech[name]) - 2 * length))
        first, second = np.split(speech[name][start : start + 2 * length], 2)
        segments, parts = cut(np.concatenate([first, silence, second]))
        one += len(parts) > len(segments)
    whole = [cut(samples) for samples in speech.values()]
    return {
        "tried": _CHANGES,
        "two_voices_apart_by_silence_percent": round(100 * by_silence / _CHANGES, 1),
        "two_voices_apart_percent": round(100 * by_both / _CHANGES, 1),
        "one_voice_cut_percent": round(100 * one / _CHANGES, 1),
        "utterances_of_recordings": sum(len(segments) for segments, _ in whole),
        "of_them_cut": sum(len(parts) - len(segments) for segments, parts in whole),
    }


def measure(parsed: argparse.Namespace) -> dict[str, Any]:
    settings = Settings()
    files = sorted((harness.SHARED_AUDIO / "speakers").glob("*.flac"))
    if not files:
        sys.exit("this benchmark needs recorded speech of several people in shared/audio/speakers beside the project")
    parts = registry.Parts(settings, choose(settings))
    encoder: SpeakerEncoder = parts.speaker_encoder.load()
    detector = parts.voice_detector.load()

    def new_registry() -> SpeakerRegistry:
        return SpeakerRegistry(encoder.scale, settings.speaker_min_s, settings.speaker_threshold)

    speech = {path.name: read_speech(path) for path in files}

    def heard(person: str, file: str, samples: Samples) -> Heard:
        meter = SpeechMeter(detector.open_stream(), settings)
        meter.feed(samples)
        return Heard(person, file, meter.speech_s, encoder.embed(samples))

    def hear(duration_s: float | None) -> list[Heard]:
        cuts = [
            heard(name.split("-")[0], name, cut)
            for name, samples in speech.items()
            for cut in _cuts(samples, duration_s)
        ]
        return [one for one in cuts if one.speech_s * 1000 >= settings.min_speech_ms]

    sets = {"0.8 s": hear(0.8), "1.5 s": hear(1.5), "3 s": hear(3.0), "whole": hear(None)}
    sets["mixed"] = [one for name in ("1.5 s", "3 s", "whole") for one in sets[name][::3]] + sets["0.8 s"][::6]
    strangers = [heard(clip.name, clip.name, clip.samples) for clip in harness.clips()]
    long = np.concatenate(list(speech.values()))
    cost_ms = {}
    for duration_s in (1.5, 3, 20):
        started_s = time.perf_counter()
        encoder.embed(long[: int(duration_s * SAMPLE_RATE_HZ)])
        cost_ms[f"{duration_s} s"] = round((time.perf_counter() - started_s) * 1000)
    return {
        "encoder": encoder.name,
        "threshold": encoder.scale.threshold if settings.speaker_threshold is None else settings.speaker_threshold,
        "min_s": settings.speaker_min_s,
        "embed_ms": cost_ms,
        "equal_error_percent": {name: round(100 * equal_error(heard)[0], 1) for name, heard in sets.items()},
        "scale_as_measured": {"1.5 s": measured_scale(sets["1.5 s"], 1.5), "3 s": measured_scale(sets["3 s"], 3.0)},
        "a_client_each": {
            name: _task(heard, parsed.orders, new_registry, lambda one: one.person) for name, heard in sets.items()
        },
        "one_client_for_all": {
            name: _task(heard, parsed.orders, new_registry, lambda _: "shared") for name, heard in sets.items()
        },
        "voice_changes": _voice_changes(speech, encoder, lambda: Segmenter(detector.open_stream(), settings)),
        "new_people": _strangers(sets["3 s"], strangers, parsed.orders, new_registry),
    }


if __name__ == "__main__":
    harness.main("How well voices are told apart.", measure, orders=40)
