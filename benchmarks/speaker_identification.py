"""Whose voice is it: the equal error rate of the speaker encoder, and the task that people see.

With the encoder of the profile, and the threshold that the settings or the encoder give; ``scale_as_measured`` says
what the encoder's ``VoiceScale`` would be by these recordings alone: what a new encoder is calibrated by. With
``--picture FILE`` the distribution of the similarities is drawn, as SVG.

``conversations``: three people on one client take turns in random order, every three of a group of readers, cold and
after each has enrolled with two whole recordings that are not in the conversation. Accuracy is the share of labels that
are right under the best one-to-one mapping of labels to people, where unknown is never right; ``in_the_end`` is that
with what was corrected when more had been heard; ``right_number`` is the share of conversations in which as many voices
were made as people spoke. ``by_others_threshold`` is the same with the threshold that does best for the other group of
readers.

``a_client_each`` and ``one_client_for_all``: the same with all five readers of books; ``voices`` counts the speakers
that were made. Each figure is the mean over seeded orders.

As in the server, an utterance counts as long as the voice detector hears speech in it, and one without is none.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from babblefish.audio.segmenter import SpeechMeter
from babblefish.conversation.heard_voices import HeardVoice
from babblefish.conversation.speakers import Consent, SpeakerRegistry
from babblefish.domain import SAMPLE_RATE_HZ, UNKNOWN_SPEAKER_ID, Samples
from babblefish.engines import registry
from babblefish.engines.contracts import SpeakerEncoder, VoiceScale
from babblefish.engines.profiles import choose
from babblefish.engines.voice_calibration import Heard, equal_error, measured_scale
from babblefish.settings import Settings
from benchmarks.support import harness, readers, score_picture
from benchmarks.support.readers import Recordings
from benchmarks.support.score_picture import Scores

_CUTS_PER_FILE = 3

_SETS: dict[str, float | None] = {"0.8 s": 0.8, "1 s": 1.0, "1.5 s": 1.5, "2 s": 2.0, "3 s": 3.0, "whole": None}
_SHORT = ("1 s", "1.5 s", "2 s", "3 s")

_TURNS, _ORDERS_OF_THREE, _ENROL_WITH = 24, 6, 2

_THRESHOLDS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)

NewRegistry = Callable[[], SpeakerRegistry]


def _cuts(samples: Samples, duration_s: float | None) -> list[Samples]:
    """Cut up to three pieces, spread over the file, that do not overlap; None takes the whole."""
    if duration_s is None:
        return [samples]
    length = int(duration_s * SAMPLE_RATE_HZ)
    count = min(_CUTS_PER_FILE, len(samples) // length)
    starts = [int((len(samples) - length) * (index + 0.5) / count) for index in range(count)]
    return [samples[start : start + length] for start in starts]


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


def _similarities(heard: Sequence[Heard], scale: VoiceScale) -> Scores:
    """Return the corrected similarities of pairs out of two files."""
    pairs = [(one, other) for one, other in itertools.combinations(heard, 2) if one.file != other.file]
    values = [scale.similarity(one.embedding, one.speech_s, other.embedding, other.speech_s) for one, other in pairs]
    are_same = np.array([one.person == other.person for one, other in pairs])
    return Scores(np.array(values)[are_same], np.array(values)[~are_same])


@dataclass(frozen=True)
class _Group:
    """What readers of one kind say: whole recordings, and pieces of 1 to 3 s of them."""

    whole: list[Heard]
    short: list[Heard]

    def spoken(self, length: str) -> list[Heard]:
        return self.whole if length == "whole" else self.short


_LENGTHS = ("whole", "1-3 s")


def _converse(
    group: _Group, length: str, threes: tuple[str, ...], seed: int, enrols: bool, registry: SpeakerRegistry
) -> tuple[float, float, bool]:
    """Let three people take turns.

    Returns:
        The accuracy when each has spoken, that at the end, with what was corrected, and whether three voices were made.
    """
    draw = np.random.default_rng(seed)
    used = set[str]()
    for person in threes if enrols else ():
        own = [one for one in group.whole if one.person == person]
        chosen = [own[at] for at in draw.permutation(len(own))[:_ENROL_WITH]]
        used |= {one.file for one in chosen}
        said = [HeardVoice(one.file, one.embedding, registry.scale.used_s(one.speech_s), person) for one in chosen]
        registry.enrol(said, person, Consent(person, 0.0))
    said = [one for one in group.spoken(length) if one.person in threes and one.file not in used]
    turns = [said[at] for at in draw.permutation(len(said))[:_TURNS]]
    at_once, corrected = [], dict[str, str]()
    for number, one in enumerate(turns):
        match = registry.identify(one.embedding, one.speech_s, "shared", utterance_id=str(number))
        at_once.append(match.speaker_id)
        corrected |= dict.fromkeys((str(number), *match.corrects), match.speaker_id)
    people = [one.person for one in turns]
    in_the_end = [corrected[str(number)] for number in range(len(turns))]
    return mapped_accuracy(people, at_once), mapped_accuracy(people, in_the_end), len(registry.list()) == len(threes)


def _conversations(group: _Group, enrols: bool, new_registry: NewRegistry) -> dict[str, dict[str, float]]:
    threes = list(itertools.combinations(sorted({one.person for one in group.whole}), 3))
    figures = {}
    for length in _LENGTHS:
        runs = [
            _converse(group, length, people, seed, enrols, new_registry())
            for people in threes
            for seed in range(_ORDERS_OF_THREE)
        ]
        figures[length] = {
            "accuracy_percent": round(100 * float(np.mean([accuracy for accuracy, *_ in runs])), 1),
            "in_the_end_percent": round(100 * float(np.mean([accuracy for _, accuracy, _ in runs])), 1),
            "right_number_percent": round(100 * float(np.mean([is_right for *_, is_right in runs])), 1),
            "conversations": len(runs),
        }
    return figures


def _best_threshold(group: _Group, with_threshold: Callable[[float], NewRegistry]) -> float:
    """Return the threshold with which the most is right for a group that has not enrolled."""

    def share_right(threshold: float) -> float:
        figures = _conversations(group, False, with_threshold(threshold)).values()
        return sum(one["accuracy_percent"] + one["right_number_percent"] for one in figures)

    return max(_THRESHOLDS, key=share_right)


def measure(parsed: argparse.Namespace) -> dict[str, Any]:
    settings = Settings()
    speech = readers.books()
    parts = registry.Parts(settings, choose(settings))
    encoder: SpeakerEncoder = parts.speaker_encoder.load()
    detector = parts.voice_detector.load()

    def with_threshold(threshold: float | None) -> NewRegistry:
        return lambda: SpeakerRegistry(encoder.scale, settings.speaker_min_s, threshold)

    new_registry = with_threshold(settings.speaker_threshold)
    threshold = new_registry().threshold

    def heard(person: str, file: str, samples: Samples) -> Heard:
        meter = SpeechMeter(detector.open_stream(), settings)
        meter.feed(samples)
        return Heard(person, file, meter.speech_s, encoder.embed(samples))

    def hear(recordings: Recordings, duration_s: float | None) -> list[Heard]:
        cuts = [
            heard(person, file, cut)
            for (person, file), samples in recordings.items()
            for cut in _cuts(samples, duration_s)
        ]
        return [one for one in cuts if one.speech_s * 1000 >= settings.min_speech_ms]

    sets = {name: hear(speech, duration_s) for name, duration_s in _SETS.items()}
    sets["mixed"] = [one for name in ("1.5 s", "3 s", "whole") for one in sets[name][::3]] + sets["0.8 s"][::6]
    groups = {"readers of books": _group(sets)}
    others = readers.prompts()
    if others:
        groups["readers of prompts"] = _group({name: hear(others, duration_s) for name, duration_s in _SETS.items()})
    if parsed.picture:
        drawn = {name: _similarities(sets[name], encoder.scale) for name in _SETS}
        Path(parsed.picture).write_text(score_picture.draw(drawn, threshold, encoder.name), encoding="utf-8")
    strangers = [heard(clip.name, clip.name, clip.samples) for clip in harness.clips()]
    long = np.concatenate(list(speech.values()))
    cost_ms = {}
    for duration_s in (1.5, 3, 20):
        started_s = time.perf_counter()
        encoder.embed(long[: int(duration_s * SAMPLE_RATE_HZ)])
        cost_ms[f"{duration_s} s"] = round((time.perf_counter() - started_s) * 1000)
    return {
        "encoder": encoder.name,
        "threshold": threshold,
        "min_s": settings.speaker_min_s,
        "embed_ms": cost_ms,
        "equal_error_percent": {name: round(100 * equal_error(heard)[0], 1) for name, heard in sets.items()},
        "scale_as_measured": {"1.5 s": measured_scale(sets["1.5 s"], 1.5), "3 s": measured_scale(sets["3 s"], 3.0)},
        "conversations": {
            name: _both(group, new_registry) | _by_others_threshold(name, groups, with_threshold)
            for name, group in groups.items()
        },
        "a_client_each": {
            name: _task(heard, parsed.orders, new_registry, lambda one: one.person) for name, heard in sets.items()
        },
        "one_client_for_all": {
            name: _task(heard, parsed.orders, new_registry, lambda _: "shared") for name, heard in sets.items()
        },
        "new_people": _strangers(sets["3 s"], strangers, parsed.orders, new_registry),
    }


def _group(sets: dict[str, list[Heard]]) -> _Group:
    return _Group(sets["whole"], [one for name in _SHORT for one in sets[name]])


def _both(group: _Group, new_registry: NewRegistry) -> dict[str, Any]:
    return {name: _conversations(group, enrols, new_registry) for name, enrols in (("cold", False), ("enrolled", True))}


def _by_others_threshold(
    name: str, groups: dict[str, _Group], with_threshold: Callable[[float], NewRegistry]
) -> dict[str, Any]:
    """Return a group's figures with the threshold that was chosen without it; nothing where there is no other group."""
    for other in groups.keys() - {name}:
        best = _best_threshold(groups[other], with_threshold)
        return {"by_others_threshold": {"threshold": best} | _both(groups[name], with_threshold(best))}
    return {}


if __name__ == "__main__":
    harness.main("How well voices are told apart.", measure, orders=40, picture="")
