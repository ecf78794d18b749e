"""What the pipeline expects of an engine.

Engines are plain synchronous objects. Only ``workers`` calls them, never on the event loop's thread. Options of a
call (language, voice) are arguments; weights are shared and state is per stream, so one engine serves every client.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from babblefish.domain import Deadline, Quality, Samples, Speech, Transcript

Embedding = NDArray[np.float32]
"""A voice as a unit vector, shape ``[dim]``, float32."""

LEAST_LANG_CONFIDENCE = 0.6
"""Probability of a language below which everything made from it is doubtful. Of recorded prompts with less, 30 % were
in the language they seemed to be in where nothing was expected, and 60 % where two languages were."""


class VoiceStream(Protocol):
    """Voice activity of one stream of audio; holds that stream's state."""

    chunk_samples: int
    """Samples per call, at 16 kHz."""

    def probability(self, chunk: Samples) -> float:
        """Return the probability in [0, 1] that ``chunk`` (shape ``[chunk_samples]``) holds speech."""
        ...


class VoiceDetector(Protocol):
    """Finds speech in audio."""

    name: str

    def open_stream(self) -> VoiceStream:
        """Return fresh state for one stream."""
        ...


class TurnDetector(Protocol):
    """Tells by the sound of what somebody said whether they have finished."""

    name: str

    def completeness(self, samples: Samples) -> float:
        """Return the probability in [0, 1] that a speaker who pauses has finished.

        Args:
            samples: What was said, shape ``[n]``, n > 0, 16 kHz, with the first 200 ms or so of the pause.
        """
        ...


_LEAST_S = 0.1
"""An utterance counts as at least this much speech, for none at all would have no reliability to divide by."""


@dataclass(frozen=True, slots=True)
class VoiceScale:
    """What the similarities of one speaker encoder's embeddings mean; every encoder has a scale of its own.

    Similarity is the cosine of two embeddings, corrected for the length of the speech, as ``speakers`` explains.

    Attributes:
        threshold: Similarity from which two utterances are one voice.
        plausible: Similarity from which the best match of speech too short to be sure is more often right than not.
        half_reliable_s: Seconds of speech at which an embedding's reliability is a half.
        most_used_s: Seconds of one utterance beyond which more speech does not improve the embedding.
    """

    threshold: float
    plausible: float
    half_reliable_s: float
    most_used_s: float

    def used_s(self, speech_s: float) -> float:
        """Return how many seconds of speech an embedding of an utterance with so many is made from."""
        return min(max(speech_s, _LEAST_S), self.most_used_s)

    def reliability(self, speech_s: float) -> float:
        """Return the share of a voice in an embedding of this much speech (Spearman-Brown), between 0 and 1."""
        return speech_s / (speech_s + self.half_reliable_s)

    def similarity(self, first: Embedding, first_s: float, second: Embedding, second_s: float) -> float:
        """Return the similarity of two voices: the cosine of unit vectors, corrected for attenuation (Spearman, 1904).

        Args:
            first: One voice.
            first_s: Seconds of speech in it, above zero.
            second: The other one.
            second_s: Seconds of speech in that.
        """
        return float(first @ second) / math.sqrt(self.reliability(first_s) * self.reliability(second_s))


def mean_voice(first: Embedding, first_s: float, second: Embedding, second_s: float) -> Embedding:
    """Return the unit vector of two voices that are one, by the seconds of speech in each."""
    total = first * np.float32(first_s) + second * np.float32(second_s)
    return np.asarray(total / np.maximum(np.linalg.norm(total), 1e-12), dtype=np.float32)


def weights_version(content: bytes) -> str:
    """Tell weights from others by what is in their file."""
    return hashlib.sha256(content).hexdigest()[:16]


class SpeakerEncoder(Protocol):
    """Turns a stretch of speech into an embedding of the voice.

    Attributes:
        name: Of the engine.
        version: Another one wherever the same speech has another embedding: of other weights, or computed otherwise.
        dimensions: Numbers in an embedding.
        scale: What its similarities mean.
    """

    name: str
    version: str
    dimensions: int
    scale: VoiceScale

    def embed(self, samples: Samples) -> Embedding:
        """Embed speech of any length above zero (shape ``[n]``, 16 kHz) as a unit vector."""
        ...


StretchEmbedder = Callable[[int, int], Embedding]
"""Embeds a stretch of a recording, from one sample to before another, as a unit vector; cheap."""


@runtime_checkable
class VoiceTracker(SpeakerEncoder, Protocol):
    """A speaker encoder that listens to a recording once and can then tell the voice of any stretch of it.

    Attributes:
        another_voice: Similarity below which two neighbouring stretches of a recording are two voices; higher than the
            scale's, as a stretch takes on something of its surroundings.
    """

    another_voice: float

    def track(self, samples: Samples) -> StretchEmbedder:
        """Listen to a recording (shape ``[n]``, 16 kHz); each stretch of it that is asked for has 0.1 s or more."""
        ...


@dataclass(frozen=True, slots=True)
class SpeechTranslation:
    """What a speech translator made of one utterance.

    Attributes:
        transcript: What was said.
        translations: ISO 639-3 target → text, for the targets that were asked for.
        timings_ms: Milliseconds per step, e.g. ``{"encode": 210.0, "decode": 180.0}``.
        doubtful: The languages, among these and the one spoken, whose text the engine doubts; every translation of a
            doubtful transcript is a draft.
    """

    transcript: Transcript
    translations: Mapping[str, str]
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    doubtful: frozenset[str] = frozenset()

    def quality(self, start: str, promised: Quality) -> Quality:
        """Return the quality of a caption that is made from one of these texts.

        Args:
            start: The text's language.
            promised: What it has where nothing is doubtful.
        """
        is_doubted = (
            not self.doubtful.isdisjoint({start, self.transcript.lang})
            or self.transcript.lang_confidence < LEAST_LANG_CONFIDENCE
        )
        return Quality.DRAFT if promised is Quality.GOOD and is_doubted else promised


@dataclass(frozen=True, slots=True, eq=False)
class SpeechRequest:
    """An utterance to be recognised and translated.

    Attributes:
        samples: Shape ``[n]``, 16 kHz.
        deadline: Checked between steps.
        choose_targets: Called once with the language spoken, in the worker's thread; returns which of
            ``targets(language)`` are wanted.
        source_langs: ISO 639-3 codes of the languages it may be in; a single one is believed, none means any.
        interim: Whether it is still being spoken, and will be translated again as a whole: then fast matters more than
            sure, so it gets no second try.
        hot_words: Called with the language spoken; returns words and names that are likely in it, as it writes them.
        expected_langs: ISO 639-3 → how much speaks for a language before anything is heard, in utterances that were in
            it; any other language may be spoken, too. Empty where nothing is known.
        pauses: Where in ``samples`` another language may begin.
    """

    samples: Samples
    deadline: Deadline
    choose_targets: Callable[[str], Collection[str]] = lambda _: ()
    source_langs: frozenset[str] = frozenset()
    interim: bool = False
    hot_words: Callable[[str], Sequence[str]] = lambda _: ()
    expected_langs: Mapping[str, float] = field(default_factory=dict)
    pauses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Hearing:
    """An utterance of which a recogniser knows the language, and has not yet written what was said.

    Attributes:
        lang: The language spoken, ISO 639-3.
        lang_confidence: Its probability.
        translate: As ``SpeechTranslator.translate`` of the utterance's request, or of one with other targets or
            declared languages, in the language above and without another encoder pass.
    """

    lang: str
    lang_confidence: float
    translate: Callable[[SpeechRequest], SpeechTranslation]


class SpeechTranslator(Protocol):
    """Recognises speech and translates it, from the same encoder pass."""

    name: str

    def targets(self, source_lang: str) -> Mapping[str, Quality]:
        """Return the languages that it can translate this spoken language to, each with its quality."""
        ...

    def translate(self, request: SpeechRequest) -> SpeechTranslation:
        """Transcribe an utterance and translate it, with one encoder pass.

        Raises:
            NoSpeechError: There are no words in it.
            TwoLanguagesError: One language ends and another begins at one of its pauses.
            EngineError: The engine failed on this utterance.
            DeadlineExceededError: It took too long.
        """
        ...


@runtime_checkable
class BatchSpeechTranslator(SpeechTranslator, Protocol):
    """Serves the utterances of several people with continuous batching, for little more than one costs."""

    def translate_batch(
        self, take: Callable[[], SpeechRequest | None]
    ) -> Iterator[tuple[SpeechRequest, SpeechTranslation | Exception]]:
        """Translate the requests that wait, and those that come meanwhile, until none is left.

        Args:
            take: Returns the next waiting request, or None; called at the start and between steps, while the batch has
                room.

        Yields:
            Each request taken, with its outcome as soon as that is known; what fails for one request alone is yielded
            with it and not raised.
        """
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """A route from one language to another through a text translator.

    Attributes:
        path: Languages passed through, source first, target last; at least two.
        quality: ``GOOD`` or ``DRAFT``.
    """

    path: tuple[str, ...]
    quality: Quality


class TextTranslator(Protocol):
    """Translates text."""

    name: str

    def route(self, source_lang: str, target_lang: str) -> Route | None:
        """Return the best route between two languages, or None where there is none; cheap and pure."""
        ...

    def translate(self, text: str, route: Route, deadline: Deadline) -> str:
        """Translate along a route that ``route`` returned; keeps line breaks.

        Raises:
            EngineError: The translator failed on this text.
            DeadlineExceededError: It took too long.
        """
        ...

    def prepare(self, route: Route, deadline: Deadline) -> None:
        """Make a route's first translation as fast as later ones; fails as ``translate`` does."""
        ...

    def close(self) -> None:
        """End the processes it keeps running."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class TextRequest:
    """What somebody said, to be translated as a part of a conversation.

    Attributes:
        text: In the first language of the route.
        route: That ``route`` returned.
        deadline: Checked between steps.
        context: Earlier utterances of the conversation in the first and the last language of the route, oldest first.
        terms: What the room's glossary has of this text, in the first and the last language of the route.
        names: Words of the text that are people's names, the same in every language that has its letters.
        on_clause: Called in the worker's thread with the translation so far whenever a further clause is finished; what
            is finished may still change if the whole turns out to be wrong.
    """

    text: str
    route: Route
    deadline: Deadline
    context: tuple[tuple[str, str], ...] = ()
    terms: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()
    on_clause: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class TextTranslation:
    """What a translator made of an utterance.

    Attributes:
        text: The translation.
        is_doubtful: Whether something speaks against it, such as a number that is not in it; it is then a draft.
        faults: What was found wrong on the way, each time; empty where the first try was good.
    """

    text: str
    is_doubtful: bool = False
    faults: tuple[str, ...] = ()


@runtime_checkable
class ConversationTranslator(TextTranslator, Protocol):
    """Translates what people say to each other: with context and glossary, clause by clause, several at a time."""

    def translate_utterance(self, request: TextRequest) -> TextTranslation:
        """Translate what somebody said.

        Raises:
            EngineError: There is no usable translation.
            DeadlineExceededError: It took too long.
        """
        ...


@dataclass(frozen=True, slots=True)
class SyntheticVoice:
    """A voice that an engine speaks with.

    Attributes:
        name: ``<engine>:<voice>``, as in ``Speech.voice``.
        pitch_hz: The median of its pitch, where that is known.
    """

    name: str
    pitch_hz: float | None = None


class Synthesizer(Protocol):
    """Speaks text."""

    name: str

    def voices(self, lang: str) -> Sequence[SyntheticVoice]:
        """Return its voices for a language, the default one first; none if it cannot speak it."""
        ...

    def synthesize(self, text: str, lang: str, deadline: Deadline, voice: str | None = None) -> Iterator[Speech]:
        """Speak ``text``, yielding pieces in order as they are made; concatenated they are the whole.

        Lazy: it is drained inside the worker's thread.

        Args:
            text: What is to be spoken.
            lang: ISO 639-3.
            deadline: After which it is given up.
            voice: The name of one of ``voices(lang)``; None takes the default one.

        Raises:
            EngineError: The engine failed on this text.
            DeadlineExceededError: It took too long.
        """
        ...


class LanguageDetector(Protocol):
    """Tells the language of a text."""

    name: str

    def scores(self, text: str) -> Mapping[str, float]:
        """Return how much speaks for each language (ISO 639-3) that it knows, as the logarithm of a probability.

        Only their differences mean something. A text that says nothing of its language has the same for all.
        """
        ...


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines of a profile.

    Attributes:
        synthesizers: In order of preference; a language is spoken by the first that has a voice for it.
        turn_detector: None where it is not installed; the same silence then ends every utterance.
        text_preferred: Pairs (source, target) that the speech translator knows too, but which the text translator makes
            better from the transcript, as measured by ``benchmarks/translation_quality.py``.
    """

    voice_detector: VoiceDetector
    speaker_encoder: SpeakerEncoder
    speech_translator: SpeechTranslator
    text_translator: TextTranslator | None
    synthesizers: tuple[Synthesizer, ...]
    language_detector: LanguageDetector
    turn_detector: TurnDetector | None = None
    text_preferred: frozenset[tuple[str, str]] = frozenset()

    def synthesizer_for(self, lang: str) -> Synthesizer | None:
        """Return the engine that speaks this language, or None."""
        return next((engine for engine in self.synthesizers if engine.voices(lang)), None)

    def close(self) -> None:
        """End the processes that an engine keeps running."""
        if self.text_translator is not None:
            self.text_translator.close()
