"""SeamlessM4T v2: the transcript and every translation wanted, from one encoder pass and one batch of decoding.

What several people say at the same time is decoded together: an utterance joins those that are running between two of
their steps, which hardly makes a step longer, instead of waiting until they are finished.

The model does not tell which language is spoken; where nobody declared it, another engine's detection says so.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from babblefish.domain import SAMPLE_RATE_HZ, EngineError, NoSpeechError, Quality, Samples, Transcript
from babblefish.engines.contracts import SpeechRequest, SpeechTranslation
from babblefish.engines.decoding import is_repetitive, loops, token_limit
from babblefish.engines.seamless.decoder import Decoding, Row
from babblefish.engines.seamless.model import SeamlessModel
from babblefish.engines.torch_threads import use_threads
from babblefish.languages import LANGUAGES

_P = ParamSpec("_P")

_MAX_AUDIO_S = 30.0
"""Attention over the frames grows with the square of their number; what is beyond is not heard."""

_ALIKE = 1.2
"""Utterances whose lengths differ by no more than this factor are encoded together. Where they differ more, padding
costs more than a batch saves: 5 s and 3 s take a fifth longer together than one after the other, and 20 s with seven of
3 s eight times as long (one layer of real size, int8, two threads)."""


@dataclass(slots=True, eq=False)
class _Utterance:
    """An utterance on its way, until its ``outcome`` is known."""

    request: SpeechRequest
    languages: dict[str, int] = field(default_factory=dict)
    """Of the rows, the transcript's first, with their tokens."""
    lang_confidence: float = 0.0
    decoding: Decoding | None = None
    began_s: float = 0.0
    timings_ms: dict[str, float] = field(default_factory=dict)
    outcome: SpeechTranslation | Exception | None = None

    @property
    def samples(self) -> Samples:
        return self.request.samples[: int(_MAX_AUDIO_S * SAMPLE_RATE_HZ)]

    def attempt(self, step: Callable[Concatenate[_Utterance, _P], None], *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Take a step that may fail for this utterance, which must not cost the others theirs."""
        try:
            step(self, *args, **kwargs)
        except Exception as error:
            self.outcome = error


class Seamless:
    """SeamlessM4T v2 as a ``SpeechTranslator`` between all languages that it writes."""

    name = "seamless"

    def __init__(
        self,
        loaded: SeamlessModel,
        threads: int,
        identify_language: Callable[[Samples, Collection[str]], tuple[str, float]],
        beams: int = 1,
        at_once: int = 8,
    ) -> None:
        """Use a loaded model.

        Args:
            loaded: From ``seamless_model.load``.
            threads: Threads of one call.
            identify_language: Returns the language spoken (ISO 639-3) and its probability; called where none is
                declared, or one that the model does not know.
            beams: Beams per language; 1 decodes greedily. Utterances that are searched are decoded one after another.
            at_once: Utterances in one batch.
        """
        self._threads = threads
        self._identify_language = identify_language
        self._beams = beams
        self._at_once = at_once
        self._model = loaded.model
        self._tokenizer = loaded.tokenizer
        self._features = loaded.features
        self._languages = loaded.languages
        self._decoder = loaded.decoder

    def targets(self, source_lang: str) -> Mapping[str, Quality]:
        """Return every other language the model writes; none for a spoken language it does not know."""
        if source_lang not in self._languages:
            return {}
        return {code: Quality.GOOD for code in self._languages if code != source_lang}

    def translate(self, request: SpeechRequest) -> SpeechTranslation:
        """Transcribe an utterance and translate it, the languages side by side in one batch.

        A translation that repeats itself is left out, so that the caller can take another way to that language.

        Raises:
            NoSpeechError: There are no words in it, or only a loop, which is what the model writes for noise.
            EngineError: The model does not know the language spoken.
            DeadlineExceededError: It took too long.
        """
        waiting = [request]
        ((_, outcome),) = self.translate_together(lambda: waiting.pop() if waiting else None)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def translate_together(
        self, take: Callable[[], SpeechRequest | None]
    ) -> Iterator[tuple[SpeechRequest, SpeechTranslation | Exception]]:
        """Translate what waits, and between the steps of that take up what comes, in the same batch.

        Who is finished is answered before anybody else is encoded.
        """
        use_threads(self._threads)
        running: list[_Utterance] = []
        coming: list[_Utterance] = []
        while True:
            while len(running) + len(coming) < self._at_once and (request := take()) is not None:
                coming.append(_Utterance(request))
            if coming:
                # One batch, so that those who run wait no longer for their next step than it takes.
                batch = self._encoded_together(coming)
                coming = [utterance for utterance in coming if utterance not in batch]
                self._begin(batch)
                running += batch
            elif not running:
                return
            decoding = [utterance for utterance in running if utterance.outcome is None]
            if decoding:
                self._decoder.step([utterance.decoding for utterance in decoding if utterance.decoding is not None])
            for utterance in decoding:
                utterance.attempt(self._look)
            for utterance in running:
                if utterance.outcome is not None:
                    yield utterance.request, utterance.outcome
            running = [utterance for utterance in running if utterance.outcome is None]

    def _encoded_together(self, coming: list[_Utterance]) -> list[_Utterance]:
        """Return the first of these and those of its length, in all no more audio than one may have.

        With beams it is the first alone, as nobody's answer should wait for another's search.
        """
        length = len(coming[0].samples)
        alike = [one for one in coming if length / _ALIKE <= len(one.samples) <= length * _ALIKE]
        most = int(_MAX_AUDIO_S * SAMPLE_RATE_HZ / (_ALIKE * max(1, length))) if self._beams == 1 else 1
        return alike[: max(1, most)]

    def _identify(self, utterance: _Utterance) -> None:
        """Find out the language spoken, and with it those to decode.

        Raises:
            EngineError: The model does not know it.
        """
        request = utterance.request
        request.deadline.check()
        lang, confidence = next(iter(request.source_langs), ""), 1.0
        if len(request.source_langs) != 1 or lang not in self._languages:
            started_s = time.perf_counter()
            lang, confidence = self._identify_language(request.samples, request.source_langs)
            utterance.timings_ms["detect_language"] = (time.perf_counter() - started_s) * 1000.0
        if lang not in self._languages:
            raise EngineError(f"SeamlessM4T does not write {LANGUAGES[lang].name if lang in LANGUAGES else lang}")
        utterance.lang_confidence = confidence
        wanted = request.choose_targets(lang)
        codes = [lang, *(code for code in self.targets(lang) if code in wanted)]
        utterance.languages = {code: self._languages[code] for code in codes}

    def _begin(self, batch: list[_Utterance]) -> None:
        """Encode utterances together, and start or, with beams, finish their decoding."""
        for utterance in batch:
            utterance.attempt(self._identify)
        known = [utterance for utterance in batch if utterance.outcome is None]
        started_s = time.perf_counter()
        try:
            all_encoded = self._encode([utterance.samples for utterance in known]) if known else []
        except Exception as error:
            for utterance in known:
                utterance.outcome = error
            return
        for utterance, encoded in zip(known, all_encoded, strict=True):
            utterance.began_s = time.perf_counter()
            utterance.timings_ms["encode"] = (utterance.began_s - started_s) * 1000.0
            utterance.attempt(self._decode, encoded)

    def _decode(self, utterance: _Utterance, encoded: Tensor) -> None:
        limit = token_limit(len(utterance.samples) / SAMPLE_RATE_HZ)
        if self._beams == 1:
            utterance.decoding = self._decoder.begin(encoded, utterance.languages, limit, loops)
        else:
            deadline = utterance.request.deadline
            self._finish(utterance, self._decoder.beams(encoded, utterance.languages, limit, self._beams, deadline))

    def _look(self, utterance: _Utterance) -> None:
        """Finish an utterance whose rows have all ended; give one up whose time is over."""
        assert utterance.decoding is not None
        if utterance.decoding.running:
            utterance.request.deadline.check()
        else:
            self._finish(utterance, utterance.decoding.rows)

    def _finish(self, utterance: _Utterance, rows: list[Row]) -> None:
        """Turn rows into texts.

        Raises:
            NoSpeechError: The first, the transcript, has no words.
        """
        texts = dict(zip(utterance.languages, (self._text(row) for row in rows), strict=True))
        (lang, said), *translated = texts.items()
        utterance.timings_ms["decode"] = (time.perf_counter() - utterance.began_s) * 1000.0
        if said is None:
            raise NoSpeechError("no words were recognised")
        confidence = math.exp(min(0.0, rows[0].mean_logprob))
        utterance.outcome = SpeechTranslation(
            transcript=Transcript(said, lang, utterance.lang_confidence, confidence),
            translations={code: text for code, text in translated if text is not None},
            timings_ms=utterance.timings_ms,
        )

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
            features = pad_sequence([one["input_features"][0] for one in made], batch_first=True)
            x = encoder.feature_projection(features.to(self._model.dtype))
            x = encoder.encoder(x, attention_mask=pad_sequence([mask[0] for mask in masks], batch_first=True))
            for frames, mask in zip(x, masks, strict=True):
                alone = frames[None, : mask.shape[1]]
                alone = alone + 0.5 * encoder.intermediate_ffn(alone)
                alone = encoder.inner_layer_norm(encoder.adapter(alone, attention_mask=mask))
                heard = self._model._compute_sub_sample_lengths_from_attention_mask(mask)
                encoded.append(alone[:, : int(heard)])
        return encoded

    def _text(self, row: Row) -> str | None:
        """Return a row's text, or None where it has no words, repeats itself or was cut short."""
        text: str = self._tokenizer.decode(row.tokens, skip_special_tokens=True).strip()
        repeats = not row.ended or is_repetitive(text)
        return text if not repeats and any(char.isalnum() for char in text) else None
