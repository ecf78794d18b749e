"""SeamlessM4T v2 from speech: the transcript and every translation wanted, from one encoder pass and one batch.

What several people say at the same time is decoded with continuous batching: an utterance joins those that are running
between two of their steps, which hardly makes a step longer, instead of waiting until they are finished.

The model does not identify the language spoken; where nobody declared it, another recogniser beside it does. That one
also writes what is said in the languages that the model does not write, and decides whether there are words where the
model doubts its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from babblefish.domain import SAMPLE_RATE_HZ, Quality, Samples, Transcript
from babblefish.engines.contracts import Hearing, SpeechRequest, SpeechTranslation
from babblefish.engines.decoding import is_looping, is_repetitive, least_logprob, max_speech_tokens
from babblefish.engines.seamless.decoder import DecoderState, Hypothesis
from babblefish.engines.seamless.model import SeamlessModel
from babblefish.engines.text_splitting import has_words
from babblefish.engines.torch_threads import use_threads
from babblefish.errors import NoSpeechError

_MAX_AUDIO_S = 30.0
"""Attention over the frames grows with the square of their number; what is beyond is ignored."""

_LONG_S = 8.0
_LEAST_TOKENS_PER_S = 1.0
"""In an utterance this long, fewer tokens than this per second of audio mean that words were skipped: people speak
three to five, and pauses end an utterance."""

_HEARD = frozenset({"lin", "ltz", "oci"})
"""The languages of our table that the model translates from and does not write (speech inputs in its model card)."""

_MAX_LENGTH_RATIO = 1.2
"""Utterances whose lengths differ by no more than this factor are encoded as one batch. Where they differ more, padding
costs more than a batch saves: 5 s and 3 s take a fifth longer together than one after the other, and 20 s with seven of
3 s eight times as long (one layer of real size, int8, two threads)."""


class Recogniser(Protocol):
    """Another speech translator, beside the model, that tells languages (``whisper.Whisper``)."""

    def hear(self, request: SpeechRequest) -> Hearing:
        """Find out an utterance's language."""
        ...

    def targets(self, source_lang: str) -> Mapping[str, Quality]:
        """Return the languages that it can translate this spoken language to, each with its quality."""
        ...


@dataclass(slots=True, eq=False)
class _Utterance:
    """An utterance in progress, until its ``outcome`` is known."""

    request: SpeechRequest
    languages: dict[str, int] = field(default_factory=dict)
    """To decode, with their tokens; the transcript's first, unless that was ``heard`` already."""
    heard: SpeechTranslation | None = None
    """The transcript in a language that the model does not write, from the other recogniser."""
    lang_confidence: float = 0.0
    state: DecoderState | None = None
    decoding_since_s: float = 0.0
    timings_ms: dict[str, float] = field(default_factory=dict)
    outcome: SpeechTranslation | Exception | None = None

    @property
    def samples(self) -> Samples:
        return self.request.samples[: int(_MAX_AUDIO_S * SAMPLE_RATE_HZ)]

    @contextmanager
    def failing_alone(self) -> Iterator[None]:
        """Keep what fails for this utterance from the others of its batch."""
        try:
            yield
        except Exception as error:
            self.outcome = error


class SeamlessSpeechTranslator:
    """SeamlessM4T v2 as a ``SpeechTranslator`` between all languages that it writes, and from some that it does not."""

    name = "seamless"

    def __init__(
        self,
        loaded: SeamlessModel,
        threads: int,
        beside: Recogniser,
        beams: int = 1,
        max_batch: int = 8,
        min_logprob: float = -1.0,
    ) -> None:
        """Use a loaded model.

        Args:
            loaded: From ``seamless.model.load``.
            threads: Threads of one call.
            beside: Tells the language where none is declared, and hears what the model does not write.
            beams: Beams per language; 1 decodes greedily. With more, utterances are decoded one after another.
            max_batch: Utterances in one batch.
            min_logprob: Mean log-probability of a text's tokens below which it is doubtful.
        """
        self._threads = threads
        self._beside = beside
        self._min_logprob = min_logprob
        self._beams = beams
        self._max_batch = max_batch
        self._model = loaded.model
        self._text_of = loaded.text
        self._features = loaded.features
        self._languages = loaded.languages
        self._decoder = loaded.decoder

    def targets(self, source_lang: str) -> Mapping[str, Quality]:
        """Return every other language the model writes, or what the other recogniser has of one the model never heard.

        Of a language that the model hears and does not write nobody has checked the translations: they are drafts.
        """
        if source_lang not in self._languages and source_lang not in _HEARD:
            return self._beside.targets(source_lang)
        quality = Quality.GOOD if source_lang in self._languages else Quality.DRAFT
        return {code: quality for code in self._languages if code != source_lang}

    def translate(self, request: SpeechRequest) -> SpeechTranslation:
        """Transcribe an utterance and translate it, all languages in one batch.

        A translation that repeats itself is left out, so that the caller can translate the transcript instead. One that
        lacks a letter or word is doubtful, and so is a text that the model finds unlikely, and a transcript that is too
        short for what was said.

        Raises:
            NoSpeechError: There are no words in it, or only a loop, which the model writes for noise.
            DeadlineExceededError: It took too long.
        """
        waiting = [request]
        ((_, outcome),) = self.translate_batch(lambda: waiting.pop() if waiting else None)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def translate_batch(
        self, take: Callable[[], SpeechRequest | None]
    ) -> Iterator[tuple[SpeechRequest, SpeechTranslation | Exception]]:
        """Translate what waits, and add what comes meanwhile to the same batch, between two of its steps.

        Those who are finished are answered before anybody else is encoded.
        """
        use_threads(self._threads)
        running: list[_Utterance] = []
        waiting: list[_Utterance] = []
        while True:
            while len(running) + len(waiting) < self._max_batch and (request := take()) is not None:
                waiting.append(_Utterance(request))
            if waiting:
                # One batch, so that those who run wait no longer for their next step than it takes.
                batch = self._encoder_batch(waiting)
                waiting = [utterance for utterance in waiting if utterance not in batch]
                self._start(batch)
                running += batch
            elif not running:
                return
            decoding = [utterance for utterance in running if utterance.outcome is None]
            if decoding:
                self._decoder.step([utterance.state for utterance in decoding if utterance.state is not None])
            for utterance in decoding:
                with utterance.failing_alone():
                    self._check(utterance)
            for utterance in running:
                if utterance.outcome is not None:
                    yield utterance.request, utterance.outcome
            running = [utterance for utterance in running if utterance.outcome is None]

    def _encoder_batch(self, waiting: list[_Utterance]) -> list[_Utterance]:
        """Return the first of these and those of about its length, in all no more audio than one may have.

        With beams it is the first alone, as nobody's answer should wait for another's search.
        """
        length = len(waiting[0].samples)
        similar = [
            one for one in waiting if length / _MAX_LENGTH_RATIO <= len(one.samples) <= length * _MAX_LENGTH_RATIO
        ]
        longest = _MAX_LENGTH_RATIO * max(1, length)
        return similar[: max(1, int(_MAX_AUDIO_S * SAMPLE_RATE_HZ / longest))] if self._beams == 1 else similar[:1]

    def _start(self, batch: list[_Utterance]) -> None:
        """Encode utterances as one batch, and start or, with beams, finish their decoding."""
        for utterance in batch:
            with utterance.failing_alone():
                self._choose_languages(utterance)
        known = [utterance for utterance in batch if utterance.outcome is None]
        started_s = time.perf_counter()
        try:
            all_encoded = self._encode([utterance.samples for utterance in known]) if known else []
        except Exception as error:
            for utterance in known:
                utterance.outcome = error
            return
        for utterance, encoded in zip(known, all_encoded, strict=True):
            utterance.decoding_since_s = time.perf_counter()
            utterance.timings_ms["encode"] = (utterance.decoding_since_s - started_s) * 1000.0
            with utterance.failing_alone():
                self._decode(utterance, encoded)

    def _choose_languages(self, utterance: _Utterance) -> None:
        """Find out the language spoken, and with it those to decode.

        What the other recogniser hears instead of the model ends with that, or goes on with the model's translations.

        Raises:
            NoSpeechError: The other recogniser hears no words.
        """
        request, hearing = utterance.request, None
        request.deadline.check()
        lang = next(iter(request.source_langs), "")
        utterance.lang_confidence = 1.0
        if len(request.source_langs) != 1 or lang not in self._languages:
            hearing = self._hear(utterance)
            lang, utterance.lang_confidence = hearing.lang, hearing.lang_confidence
            if lang not in self._languages and lang not in _HEARD:
                utterance.outcome = hearing.translate(request)
                return
        wanted = request.choose_targets(lang)
        codes = [code for code in self._languages if code != lang and code in wanted]
        if lang in self._languages:
            codes.insert(0, lang)
        elif hearing is not None:
            utterance.heard = self._transcribe(utterance, hearing)
            if not codes:
                utterance.outcome = replace(utterance.heard, timings_ms=utterance.timings_ms)
        utterance.languages = {code: self._languages[code] for code in codes}

    def _hear(self, utterance: _Utterance) -> Hearing:
        """Let the other recogniser tell the language."""
        started_s = time.perf_counter()
        hearing = self._beside.hear(utterance.request)
        utterance.timings_ms["detect_language"] = (time.perf_counter() - started_s) * 1000.0
        return hearing

    def _transcribe(self, utterance: _Utterance, hearing: Hearing) -> SpeechTranslation:
        """Let the other recogniser write what was said; for a declared language that it lacks it takes another.

        Raises:
            NoSpeechError: It hears no words.
        """
        request, started_s = utterance.request, time.perf_counter()
        declared = frozenset({hearing.lang}) if len(request.source_langs) == 1 else request.source_langs
        heard = hearing.translate(replace(request, source_langs=declared, choose_targets=lambda _: ()))
        utterance.timings_ms["transcribe"] = (time.perf_counter() - started_s) * 1000.0
        return heard

    def _encode(self, utterances: Sequence[Samples]) -> list[Tensor]:
        """Encode utterances, each as ``[1, frames, width]``, without the frames that are padding.

        The layers see them as one batch, since a product of a few hundred frames costs less per frame than one of
        fifty. The adapter behind them looks over the end of an utterance, where it must find nothing rather than
        padding, so it takes each by itself.
        """
        made = [self._features(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt") for samples in utterances]
        masks = [one["attention_mask"] for one in made]
        encoder = self._model.speech_encoder
        encoded = []
        with torch.inference_mode():
            log_mel = pad_sequence([one["input_features"][0] for one in made], batch_first=True)
            x = encoder.feature_projection(log_mel.to(self._model.dtype))
            x = encoder.encoder(x, attention_mask=pad_sequence([mask[0] for mask in masks], batch_first=True))
            for frames, mask in zip(x, masks, strict=True):
                alone = frames[None, : mask.shape[1]]
                alone = alone + 0.5 * encoder.intermediate_ffn(alone)
                alone = encoder.inner_layer_norm(encoder.adapter(alone, attention_mask=mask))
                length = self._model._compute_sub_sample_lengths_from_attention_mask(mask)
                encoded.append(alone[:, : int(length)])
        return encoded

    def _decode(self, utterance: _Utterance, encoded: Tensor) -> None:
        max_tokens = max_speech_tokens(len(utterance.samples) / SAMPLE_RATE_HZ)
        languages, deadline = utterance.languages, utterance.request.deadline
        if self._beams == 1:
            utterance.state = self._decoder.start(encoded, languages, max_tokens, is_looping)
        else:
            self._finish(utterance, self._decoder.beam_search(encoded, languages, max_tokens, self._beams, deadline))

    def _check(self, utterance: _Utterance) -> None:
        """Finish an utterance whose hypotheses are complete; give up one whose time is over."""
        assert utterance.state is not None
        if utterance.state.running:
            utterance.request.deadline.check()
        else:
            self._finish(utterance, utterance.state.hypotheses)

    def _finish(self, utterance: _Utterance, hypotheses: list[Hypothesis]) -> None:
        """Turn hypotheses into texts.

        Raises:
            NoSpeechError: The first, the transcript, has no words.
        """
        utterance.timings_ms["decode"] = (time.perf_counter() - utterance.decoding_since_s) * 1000.0
        written = dict(zip(utterance.languages, hypotheses, strict=True))
        heard = utterance.heard
        if heard is None:
            lang = next(iter(written))
            heard = self._transcribed(utterance, lang, written.pop(lang))
        texts = {code: self._text(hypothesis) for code, hypothesis in written.items()}
        doubtful = {
            code
            for code, (_, is_whole) in texts.items()
            if not is_whole or written[code].mean_logprob < self._min_logprob
        }
        utterance.outcome = replace(
            heard,
            translations={code: text for code, (text, _) in texts.items() if text is not None},
            timings_ms=utterance.timings_ms,
            # A gap in the transcript is none in the translations, which are made from the speech.
            doubtful=heard.doubtful | doubtful,
        )

    def _transcribed(self, utterance: _Utterance, lang: str, hypothesis: Hypothesis) -> SpeechTranslation:
        """Return an utterance with its transcript alone.

        The model has no score for silence: it writes something for a cough, and finds that unlikely. So where somebody
        declared a language, and is taken at their word, the other recogniser decides whether it was silence.

        Raises:
            NoSpeechError: It has no words, or none that are likely.
        """
        text, _ = self._text(hypothesis)
        is_unlikely = hypothesis.mean_logprob < self._min_logprob
        if text is None or hypothesis.mean_logprob < least_logprob(utterance.request, lang, self._min_logprob):
            raise NoSpeechError("no words were recognised")
        duration_s = len(utterance.samples) / SAMPLE_RATE_HZ
        if is_unlikely and utterance.request.source_langs == {lang}:
            self._transcribe(utterance, self._hear(utterance))
        is_short = duration_s >= _LONG_S and len(hypothesis.tokens) < _LEAST_TOKENS_PER_S * duration_s
        confidence = math.exp(min(0.0, hypothesis.mean_logprob))
        return SpeechTranslation(
            transcript=Transcript(text, lang, utterance.lang_confidence, confidence),
            translations={},
            doubtful=frozenset({lang}) if is_unlikely or is_short else frozenset(),
        )

    def _text(self, hypothesis: Hypothesis) -> tuple[str | None, bool]:
        """Return a hypothesis' text and whether nothing is missing in it.

        The text is None where it has no words, repeats itself or was cut short.
        """
        text, is_whole = self._text_of(hypothesis.tokens)
        return text if hypothesis.ended and has_words(text) and not is_repetitive(text) else None, is_whole
