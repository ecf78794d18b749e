"""Engines whose words and timing are scripted, and speech for them that says what it is.

Fake speech is a constant level: level 12 (a sample value of 0.12) is the phrase number 12, spoken by voice 1.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from babblefish.domain import SAMPLE_RATE_HZ, Deadline, Quality, Samples, Speech, Transcript
from babblefish.engines.contracts import (
    Embedding,
    Engines,
    Route,
    SpeechRequest,
    SpeechTranslation,
    StretchEmbedder,
    SyntheticVoice,
    TextRequest,
    TextTranslation,
    VoiceScale,
)
from babblefish.engines.registry import Part
from babblefish.errors import EngineError, NoSpeechError, TwoLanguagesError

VOICE_SCALE = VoiceScale(threshold=0.7, plausible=0.4, half_reliable_s=0.8, most_used_s=10.0)

PHRASES: dict[int, tuple[str, str]] = {
    11: ("fra", "bonjour tout le monde"),
    12: ("fra", "comment allez vous ce soir"),
    13: ("spa", "buenas tardes a todos ustedes"),
    21: ("eng", "good evening my dear friends"),
    22: ("eng", "the train leaves at seven"),
    23: ("eng", "it costs 2,500 dollars or 2.5"),
    31: ("pol", "dobry wieczór drodzy przyjaciele"),
}


def speech(phrase: int, duration_s: float = 2.0) -> Samples:
    """Fake speech: shape [duration_s · 16000]."""
    return np.full(int(duration_s * 16000), phrase / 100, dtype=np.float32)


def silence(duration_s: float) -> Samples:
    return np.zeros(int(duration_s * 16000), dtype=np.float32)


def _phrase(samples: Samples) -> int:
    return round(float(np.median(samples[np.abs(samples) > 0.005])) * 100) if np.any(np.abs(samples) > 0.005) else 0


@dataclass
class Calls:
    """Counts the calls of all fakes of one server, and the threads they came on."""

    count: Counter[str] = field(default_factory=Counter)
    threads: set[int] = field(default_factory=set)

    def note(self, call: str) -> None:
        self.count[call] += 1
        self.threads.add(threading.get_ident())


class FakeVoiceDetector:
    name = "fake-voice"
    chunk_samples = 512

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def open_stream(self) -> FakeVoiceDetector:
        return self

    def probability(self, chunk: Samples) -> float:
        self.calls.note("voice")
        return 0.99 if float(np.abs(chunk).mean()) > 0.005 else 0.01


class FakeSpeakerEncoder:
    name = "fake-speaker"
    version = "1"
    dimensions = 16
    scale = VOICE_SCALE

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.broken = False

    def embed(self, samples: Samples) -> Embedding:
        self.calls.note("embed")
        if self.broken:
            raise RuntimeError("scripted failure")
        embedding = np.zeros(16, dtype=np.float32)
        embedding[_phrase(samples) // 10] = 1.0
        return embedding


def _change(request: SpeechRequest) -> int | None:
    """Return the first pause between phrases of two languages."""
    langs = [PHRASES.get(_phrase(part), ("",))[0] for part in np.split(request.samples, request.pauses)]
    changes = zip(request.pauses, pairwise(langs), strict=True)
    return next((pause for pause, (before, after) in changes if before != after), None)


class FakeVoiceTracker(FakeSpeakerEncoder):
    """Embeds a stretch as the mean of its tenths of a second."""

    another_voice = 0.5

    def track(self, samples: Samples) -> StretchEmbedder:
        tenth = SAMPLE_RATE_HZ // 10

        def embed(first: int, last: int) -> Embedding:
            parts = [self.embed(samples[at : at + tenth]) for at in range(first, last - tenth + 1, tenth)]
            mean = np.sum(parts, axis=0)
            return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

        return embed


class FakeSpeechTranslator:
    """Says what the phrase says; translates to English itself. ``before`` runs first and may wait or raise."""

    name = "fake-translator"

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.delay_s = 0.0
        self.lang_confidence = 0.9
        self.before: Callable[[int], None] = lambda phrase: None
        self.requests: list[SpeechRequest] = []

    def targets(self, source_lang: str) -> Mapping[str, Quality]:
        return {} if source_lang == "eng" else {"eng": Quality.GOOD}

    def translate(self, request: SpeechRequest) -> SpeechTranslation:
        self.calls.note("encode")
        phrase = _phrase(request.samples)
        self.requests.append(request)
        self.before(phrase)
        time.sleep(self.delay_s)
        request.deadline.check()
        if len(request.source_langs) != 1 and (pause := _change(request)) is not None:
            raise TwoLanguagesError(pause)
        if phrase not in PHRASES:
            raise NoSpeechError("no words were recognised")
        lang, text = PHRASES[phrase]
        return SpeechTranslation(
            transcript=Transcript(text, lang, self.lang_confidence, 0.9),
            translations={target: f"<{target}> {text}" for target in request.choose_targets(lang)},
            timings_ms={"encode": 1.0, "decode": 1.0},
        )


class FakeTextTranslator:
    """Goes between English, French and Spanish."""

    name = "fake-text"

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.broken = False
        self.delay_s = 0.0
        self.prepared: set[tuple[str, ...]] = set()
        self.closed = False

    def route(self, source_lang: str, target_lang: str) -> Route | None:
        known = {"eng", "fra", "spa"}
        return Route((source_lang, target_lang), Quality.DRAFT) if {source_lang, target_lang} <= known else None

    def translate(self, text: str, route: Route, deadline: Deadline) -> str:
        self.calls.note(f"text {route.path[-1]}")
        time.sleep(self.delay_s)
        if self.broken:
            raise EngineError("scripted failure")
        return f"<{route.path[-1]}> {text}"

    def prepare(self, route: Route, deadline: Deadline) -> None:
        self.calls.note("prepare")
        self.prepared.add(route.path)

    def close(self) -> None:
        self.closed = True


class ScriptedConversationTranslator(FakeTextTranslator):
    """Translates as its base does, well, and keeps what it is asked; ``make`` may make something else of it."""

    name = "fake-conversation"

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self.requests: list[TextRequest] = []
        self.make: Callable[[TextRequest], TextTranslation] = lambda request: TextTranslation(
            self.translate(request.text, request.route, request.deadline)
        )

    def route(self, source_lang: str, target_lang: str) -> Route | None:
        route = super().route(source_lang, target_lang)
        return replace(route, quality=Quality.GOOD) if route else None

    def translate_utterance(self, request: TextRequest) -> TextTranslation:
        self.requests.append(request)
        return self.make(request)


class FakeLanguageDetector:
    """Tells English, French and Polish by the words of the phrases; any other text says nothing of its language."""

    name = "fake-language"

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def scores(self, text: str) -> Mapping[str, float]:
        self.calls.note("language")
        scores = dict.fromkeys(("eng", "fra", "pol", "spa"), -20.0)
        scores.update((lang, 0.0) for lang, said in PHRASES.values() if set(text.split()) & set(said.split()))
        return scores


class FakeSynthesizer:
    """Speaks two pieces of a tenth of a second each; ``before`` runs first with the text, and may wait or raise."""

    name = "fake-voices"

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.langs = {"eng", "fra", "spa"}
        self.broken_after: int | None = None
        self.before: Callable[[str], None] = lambda text: None
        self.spoken: list[str] = []
        self.delay_s: dict[str, float] = {}
        self.piece_samples = 2400
        self.pitches_hz = {"": 200.0}
        """Of its voices in each language, by what their names have beside the language."""

    def voices(self, lang: str) -> Sequence[SyntheticVoice]:
        if lang not in self.langs:
            return ()
        return [SyntheticVoice(f"fake:{lang}{suffix}", pitch_hz) for suffix, pitch_hz in self.pitches_hz.items()]

    def synthesize(self, text: str, lang: str, deadline: Deadline, voice: str | None = None) -> Iterator[Speech]:
        self.calls.note(f"speak {lang}")
        self.before(text)
        for piece in range(2):
            if piece == self.broken_after:
                raise RuntimeError("scripted failure")
            time.sleep(self.delay_s.get(lang, 0.0))
            self.calls.threads.add(threading.get_ident())
            samples = np.full(self.piece_samples, 0.1 * (piece + 1), dtype=np.float32)
            yield Speech(samples, 24000, lang, voice or f"fake:{lang}")
        self.spoken.append(text)


@dataclass
class Fakes:
    """One set of fake engines, each reachable to script it."""

    calls: Calls
    voice_detector: FakeVoiceDetector
    speaker_encoder: FakeSpeakerEncoder
    speech_translator: FakeSpeechTranslator
    text_translator: FakeTextTranslator
    synthesizer: FakeSynthesizer
    language_detector: FakeLanguageDetector

    @property
    def engines(self) -> Engines:
        return Engines(
            voice_detector=self.voice_detector,
            speaker_encoder=self.speaker_encoder,
            speech_translator=self.speech_translator,
            text_translator=self.text_translator,
            synthesizers=(self.synthesizer,),
            language_detector=self.language_detector,
        )


def make_fakes() -> Fakes:
    calls = Calls()
    return Fakes(
        calls,
        FakeVoiceDetector(calls),
        FakeSpeakerEncoder(calls),
        FakeSpeechTranslator(calls),
        FakeTextTranslator(calls),
        FakeSynthesizer(calls),
        FakeLanguageDetector(calls),
    )


class ScriptedParts:
    """Stands in for ``registry.Parts``: what is loaded is scripted, and so are the engines that come of it."""

    def __init__(self, engines: Engines, **makes: Callable[[], Any]) -> None:
        """Load each part by its name; one that is ``kokoro`` is optional, as in the registry."""
        self._engines = engines
        self._parts = [Part(name, make, is_optional=name == "kokoro") for name, make in makes.items()]

    def __iter__(self) -> Iterator[Part[Any]]:
        return iter(self._parts)

    def assemble(self) -> Engines:
        return self._engines


class Clock:
    """A clock that a test sets: Unix time where that matters, or any."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s
