"""SeamlessM4T v2 from speech: the transcript and every translation wanted, from one encoder pass and one batch.

What several people say at the same time is decoded with continuous batching: an utterance joins those that are running
between two of their steps, which hardly makes a step longer, instead of waiting until they are finished.

The model does not identify the language spoken; where nobody declared it, another engine detects it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from babblefish.domain import SAMPLE_RATE_HZ, EngineError, NoSpeechError, Quality, Samples, Transcript
from babblefish.engines.contracts import SpeechRequest, SpeechTranslation
from babblefish.engines.decoding import is_looping, is_repetitive, max_speech_tokens
from babblefish.engines.seamless.decoder import DecoderState, Hypothesis
from babblefish.engines.seamless.model import SeamlessModel
from babblefish.engines.text_splitting import has_words
from babblefish.engines.torch_threads import use_threads
from babblefish.languages import LANGUAGES

_MAX_AUDIO_S = 30.0
"""Attention over the frames grows with the square of their number; what is beyond is ignored."""

_LONG_S = 8.0
_LEAST_TOKENS_PER_S = 1.0
"""In an utterance this long, fewer tokens than this per second of audio mean that words were skipped: people speak
three to five, and pauses end an utterance."""

_MAX_LENGTH_RATIO = 1.2
"""Utterances whose lengths differ by no more than this factor are encoded as one batch. Where they differ more, padding
costs more than a batch saves: 5 s and 3 s take a fifth longer together than one after the other, and 20 s with seven of
3 s eight times as long (one layer of real size, int8, two threads)."""


@dataclass(slots=True, eq=False)
class _Utterance:
    """An utterance in progress, until its ``outcome`` is known."""

    request: SpeechRequest
    languages: dict[str, int] = field(default_factory=dict)
    """To decode, the transcript's first, with their tokens."""
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
    """SeamlessM4T v2 as a ``SpeechTranslator`` between all languages that it writes."""

    name = "seamless"

    def __init__(
        self,
        loaded: SeamlessModel,
        threads: int,
        detect_language: Callable[[Samples, Collection[str], Mapping[str, float]], tuple[str, float]],
        beams: int = 1,
        max_batch: int = 8,
    ) -> None:
        """Use a loaded model.

        Args:
            loaded: From ``seamless.model.load``.
            threads: Threads of one call.
            detect_language: Returns the language spoken (ISO 639-3) and its probability; called where none is declared,
                or one that the model does not know.
            beams: Beams per language; 1 decodes greedily. With more, utterances are decoded one after another.
            max_batch: Utterances in one batch.
        """
        self._threads = threads
        self._detect_language = detect_language
        self._beams = beams
        self._max_batch = max_batch
        self._model = loaded.model
        self._text_of = loaded.text
        self._features = loaded.features
        self._languages = loaded.languages
        self._decoder = loaded.decoder

    def targets(self, source_lang: str) -> Mapping[str, Quality]:
        """Return every other language the model writes; none for a spoken language it does not know."""
        if source_lang not in self._languages:
            return {}
        return {code: Quality.GOOD for code in self._languages if code != source_lang}

    def translate(self, request: SpeechRequest) -> SpeechTranslation:
        """Transcribe an utterance and translate it, all languages in one batch.

        A translation that repeats itself is left out, so that the caller can translate the transcript instead. One that
        lacks a letter or word is doubtful, and so is a transcript that is too short for what was said.

        Raises:
            NoSpeechError: There are no words in it, or only a loop, which the model writes for noise.
            EngineError: The model does not know the language spoken.
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

        Raises:
            EngineError: The model does not know it.
        """
        request = utterance.request
        request.deadline.check()
        lang, confidence = next(iter(request.source_langs), ""), 1.0
        if len(request.source_langs) != 1 or lang not in self._languages:
            started_s = time.perf_counter()
            lang, confidence = self._detect_language(request.samples, request.source_langs, request.expected_langs)
            utterance.timings_ms["detect_language"] = (time.perf_counter() - started_s) * 1000.0
        if lang not in self._languages:
            raise EngineError(f"SeamlessM4T does not write {LANGUAGES[lang].name if lang in LANGUAGES else lang}")
        utterance.lang_confidence = confidence
        wanted = request.choose_targets(lang)
        codes = [lang, *(code for code in self.targets(lang) if code in wanted)]
        utterance.languages = {code: self._languages[code] for code in codes}

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
        texts = dict(zip(utterance.languages, map(self._text, hypotheses), strict=True))
        (lang, (transcript, _)), *translations = texts.items()
        utterance.timings_ms["decode"] = (time.perf_counter() - utterance.decoding_since_s) * 1000.0
        if transcript is None:
            raise NoSpeechError("no words were recognised")
        doubtful = {code for code, (_, is_whole) in translations if not is_whole}
        duration_s = len(utterance.samples) / SAMPLE_RATE_HZ
        if duration_s >= _LONG_S and len(hypotheses[0].tokens) < _LEAST_TOKENS_PER_S * duration_s:
            doubtful.add(lang)
        confidence = math.exp(min(0.0, hypotheses[0].mean_logprob))
        utterance.outcome = SpeechTranslation(
            transcript=Transcript(transcript, lang, utterance.lang_confidence, confidence),
            translations={code: text for code, (text, _) in translations if text is not None},
            timings_ms=utterance.timings_ms,
            # A gap in the transcript is none in the translations, which are made from the speech.
            doubtful=frozenset(doubtful),
        )

    def _text(self, hypothesis: Hypothesis) -> tuple[str | None, bool]:
        """Return a hypothesis' text and whether nothing is missing in it.

        The text is None where it has no words, repeats itself or was cut short.
        """
        text, is_whole = self._text_of(hypothesis.tokens)
        return text if hypothesis.ended and has_words(text) and not is_repetitive(text) else None, is_whole
