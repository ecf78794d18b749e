"""Two languages in one utterance: how often it is cut between them, and how often an utterance of one language is.

**Pairs:** two telephone prompts of at least four words in two languages, read by two people, with 0.3 s between them,
as one stream (``deploy/install_debian.sh bench``). The room speaks both languages. A turn counts as right where half of
its words or more are heard in its language. Four ways:

- ``silence``: only what the endpointing tells apart;
- ``voice``: also what the voices tell apart, as before languages did;
- ``language``: what silence and language tell apart, as where both voices are alike, or one;
- ``voice and language``: as the server does it.

**Joined:** two such prompts as one utterance with the 0.3 s as its pause, as where the endpointing heard no end between
them: in two languages, which should be cut there, and in one, read by one person, which should not, in a room of it
and, in turn, each of the others.

**One language:** prompts and the recordings beside the project as the endpointing cuts them, in such rooms. None should
be cut again.

``cost``: of utterances with a pause that may be cut, how much of their recognition it takes to hear both sides.

``--pairs 30`` limits the pairs, ``--joined 30`` the utterances of each kind that are joined, ``--prompts 20`` the
prompts of each language and the recorded readers.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from babblefish.audio.segmenter import Segment, Segmenter
from babblefish.cli.demo import read_speech
from babblefish.conversation.expected_languages import expectation
from babblefish.domain import SAMPLE_RATE_HZ, Deadline, Samples, Transcript
from babblefish.engines import registry
from babblefish.engines.contracts import SpeakerEncoder, SpeechRequest
from babblefish.engines.profiles import choose
from babblefish.engines.whisper import _PADDING_S, Whisper
from babblefish.errors import NoSpeechError, TwoLanguagesError
from babblefish.models import install
from babblefish.pipeline.voice_change import by_voice
from babblefish.settings import Settings
from benchmarks.support import harness, speech
from benchmarks.support.words import counts, normal_in, share

_WAYS = {
    "silence": (False, False),
    "voice": (True, False),
    "language": (False, True),
    "voice and language": (True, True),
}
"""Name → whether voices, and whether languages, tell turns apart."""

_LEAST_WORDS = 4
_ANSWER_S, _BEFORE_S, _AFTER_S = 0.3, 0.5, 1.5
_AUDIBLE = 0.01
"""Of the loudest sample: what is softer at the ends of a prompt is taken off."""

_THREADS = 2
_RIGHT_PERCENT = 50.0
_LIMIT_S = 120.0
_READERS = "eng"


@dataclass
class _Found:
    """What became of recordings of one language, or of pairs."""

    counted: Counter[str] = field(default_factory=Counter)
    cut: list[str] = field(default_factory=list)
    detect_ms: list[float] = field(default_factory=list)
    recognise_ms: list[float] = field(default_factory=list)


class _Listener:
    """Hears a stream as the server does, up to the transcripts."""

    def __init__(self, settings: Settings) -> None:
        parts = registry.Parts(settings, choose(settings))
        self._settings = settings
        self._detector = parts.voice_detector.load()
        self._turns = parts.turn_detector.load() if parts.turn_detector else None
        self._encoder: SpeakerEncoder = parts.speaker_encoder.load()
        self._whisper = Whisper(install.locate("whisper-base", settings.model_dir), _THREADS)

    def segments(self, samples: Samples) -> list[Segment]:
        """Return what silence makes of a stream."""
        segmenter = Segmenter(self._detector.open_stream(), self._settings, self._turns)
        return [*segmenter.feed(samples), *segmenter.flush()]

    def by_voice(self, segments: Sequence[Segment]) -> list[Segment]:
        """Return what the voices make of these."""
        return [part for segment in segments for part in by_voice(segment, self._encoder)]

    def transcripts(
        self, samples: Samples, pauses: tuple[int, ...], expected_langs: Mapping[str, float], found: _Found
    ) -> list[Transcript]:
        """Return what is heard in an utterance, in one language or in two."""
        request = SpeechRequest(samples, Deadline.after(_LIMIT_S), expected_langs=expected_langs, pauses=pauses)
        try:
            heard = self._whisper.translate(request)
        except TwoLanguagesError as two:
            sides = np.split(samples, [two.pause])
            return [one for side in sides for one in self.transcripts(side, (), expected_langs, found)]
        except NoSpeechError:
            return []
        if pauses:
            found.detect_ms.append(heard.timings_ms["detect_language"])
            found.recognise_ms.append(sum(heard.timings_ms.values()))
        return [heard.transcript]

    def cut_beside(self, samples: Samples, pauses: tuple[int, ...], lang: str, others: Iterable[str]) -> list[str]:
        """Return the languages beside which an utterance is cut at one of its pauses."""
        request = SpeechRequest(samples, Deadline.after(_LIMIT_S), pauses=pauses)
        encoded = self._whisper._encode(samples, len(samples) / SAMPLE_RATE_HZ + _PADDING_S, {})
        rooms = {other: replace(request, expected_langs=expectation([], {lang, other})) for other in others}
        return [other for other, room in rooms.items() if self._whisper._change(encoded, room, {}) is not None]


def is_right(said: str, lang: str, transcripts: Sequence[Transcript]) -> bool:
    """Say whether half of the words of a turn, or more, are heard in its language in one of these utterances."""
    pairs = [(normal_in(lang, said), normal_in(lang, one.text)) for one in transcripts if one.lang == lang]
    errors = [counts([pair])[0] for pair in pairs]
    return any(100 * wrong <= _RIGHT_PERCENT * words for wrong, words in errors)


def _trimmed(samples: Samples) -> Samples:
    audible = np.flatnonzero(np.abs(samples) > _AUDIBLE * np.abs(samples).max())
    return samples[audible[0] : audible[-1] + 1]


def _pairs(prompts: Mapping[str, list[harness.Clip]], count: int) -> Iterator[tuple[harness.Clip, harness.Clip]]:
    """Yield so many pairs of prompts of two languages, the same every time."""
    draw = np.random.default_rng(0)
    for _ in range(count):
        first, second = (prompts[str(lang)] for lang in draw.choice(sorted(prompts), 2, replace=False))
        yield first[draw.integers(len(first))], second[draw.integers(len(second))]


def _in_pairs(listener: _Listener, pairs: Sequence[tuple[harness.Clip, harness.Clip]]) -> dict[str, Any]:
    found = {way: _Found() for way in _WAYS}
    for one, other in pairs:
        silences = [np.zeros(int(s * SAMPLE_RATE_HZ), dtype=np.float32) for s in (_BEFORE_S, _ANSWER_S, _AFTER_S)]
        stream = np.concatenate([silences[0], _trimmed(one.samples), silences[1], _trimmed(other.samples), silences[2]])
        expected = expectation([], {one.lang, other.lang})
        by_silence = listener.segments(stream)
        by_both = listener.by_voice(by_silence)
        known: dict[tuple[int, int, tuple[int, ...]], list[Transcript]] = {}  # ways that cut alike hear alike
        for way, (with_voice, with_language) in _WAYS.items():
            heard: list[Transcript] = []
            for segment in by_both if with_voice else by_silence:
                pauses = segment.pauses if with_language else ()
                key = segment.start_sample, len(segment.samples), pauses
                if key not in known:
                    known[key] = listener.transcripts(segment.samples, pauses, expected, found[way])
                heard += known[key]
            right = [is_right(clip.texts[clip.lang], clip.lang, heard) for clip in (one, other)]
            found[way].counted[f"{sum(right)} right"] += 1
            found[way].counted["more than one utterance"] += len(heard) > 1
    return {way: dict(sorted(of.counted.items())) for way, of in found.items()}


def _joined(listener: _Listener, prompts: Mapping[str, list[harness.Clip]], count: int) -> dict[str, Any]:
    """Cut, or not, what is one utterance with one pause."""

    def cut_beside(one: harness.Clip, other: harness.Clip, langs: Iterable[str]) -> list[str]:
        first, silence = _trimmed(one.samples), np.zeros(int(_ANSWER_S * SAMPLE_RATE_HZ), dtype=np.float32)
        samples = np.concatenate([first, silence, _trimmed(other.samples)])
        return listener.cut_beside(samples, (len(first) + len(silence) // 2,), one.lang, langs)

    found = [bool(cut_beside(one, other, [other.lang])) for one, other in _pairs(prompts, count)]
    draw, wrong = np.random.default_rng(1), []
    for _, lang in zip(range(count), itertools.cycle(langs := sorted(prompts)), strict=False):
        one, other = (prompts[lang][at] for at in draw.choice(len(prompts[lang]), 2, replace=False))
        beside = cut_beside(one, other, [each for each in langs if each != lang])
        wrong.append([f"{lang} beside {each}: {one.name}, {other.name}" for each in beside])
    return {
        "two_languages_cut": share(sum(found), len(found)),
        "one_language_cut": share(sum(map(bool, wrong)), len(wrong)),
        "cut_wrongly": list(itertools.chain.from_iterable(wrong)),
    }


def _of_one_language(listener: _Listener, clips: Sequence[harness.Clip]) -> dict[str, Any]:
    found = _Found()
    for clip in clips:
        for segment in listener.segments(clip.samples):
            found.counted["utterances"] += 1
            if not segment.pauses:
                continue
            found.counted["with a pause"] += 1
            others = sorted(set(speech.PROMPTS) - {clip.lang})
            beside = listener.cut_beside(segment.samples, segment.pauses, clip.lang, others)
            found.counted["cut"] += bool(beside)
            found.cut += [f"{clip.lang} beside {other}: {clip.name}" for other in beside]
            listener.transcripts(segment.samples, segment.pauses, expectation([], {clip.lang, "eng", "fra"}), found)
    return {
        "with_a_pause": found.counted["with a pause"],
        "cut": share(found.counted["cut"], found.counted["utterances"]),
        "cut_wrongly": found.cut,
        "cost": {
            "detect_ms": harness.spread(found.detect_ms) if found.detect_ms else None,
            "recognise_ms": harness.spread(found.recognise_ms) if found.recognise_ms else None,
        },
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Hear pairs and prompts."""
    if not all(speech.has_prompts(lang) for lang in speech.PROMPTS):
        harness.missing("it needs recorded speech: deploy/install_debian.sh bench")
    prompts = {lang: list(speech.prompts(lang, _LEAST_WORDS)) for lang in speech.PROMPTS}
    clips = [clip for of in prompts.values() for clip in of[: options.prompts]]
    if harness.has_clips():
        clips += harness.clips()
        readers = sorted((harness.SHARED_AUDIO / "speakers").glob("*.flac"))
        clips += [harness.Clip(file.name, _READERS, {}, read_speech(file)) for file in readers[: options.prompts]]
    listener = _Listener(Settings())
    return {
        "pairs": options.pairs,
        "in_pairs": _in_pairs(listener, list(_pairs(prompts, options.pairs))),
        "joined": _joined(listener, prompts, options.joined),
        "one_language": _of_one_language(listener, clips),
    }


if __name__ == "__main__":
    harness.main(__doc__, measure, pairs=100, joined=100, prompts=100)
