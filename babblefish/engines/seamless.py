"""SeamlessM4T v2: the transcript and every translation wanted, from one encoder pass and one batch of decoding.

The model does not tell which language is spoken; where nobody declared it, another engine's detection says so.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from babblefish.domain import SAMPLE_RATE_HZ, Deadline, EngineError, NoSpeechError, Quality, Samples, Transcript
from babblefish.engines.base import SpeechTranslation
from babblefish.engines.decoding import is_repetitive, loops, token_limit
from babblefish.engines.seamless_decoder import Decoder, Row
from babblefish.engines.seamless_model import SeamlessModel
from babblefish.engines.torch_threads import use_threads
from babblefish.languages import LANGUAGES

_MAX_AUDIO_S = 30.0
"""Attention over the frames grows with the square of their number; what is beyond is not heard."""


class Seamless:
    """SeamlessM4T v2 as a ``SpeechTranslator`` between all languages that it writes."""

    name = "seamless"

    def __init__(
        self,
        loaded: SeamlessModel,
        threads: int,
        identify_language: Callable[[Samples], tuple[str, float]],
        beams: int = 1,
    ) -> None:
        """Use a loaded model.

        Args:
            loaded: From ``seamless_model.load``.
            threads: Threads of one call.
            identify_language: Returns the language spoken (ISO 639-3) and its probability; called where none is
                declared, or one that the model does not know.
            beams: Beams per language; 1 decodes greedily.
        """
        self._threads = threads
        self._identify_language = identify_language
        self._beams = beams
        self._model = loaded.model
        self._tokenizer = loaded.tokenizer
        self._features = loaded.features
        self._languages = loaded.languages
        self._decoder = Decoder(self._model)

    def targets(self, source_lang: str) -> Mapping[str, Quality]:
        """Return every other language the model writes; none for a spoken language it does not know."""
        if source_lang not in self._languages:
            return {}
        return {code: Quality.GOOD for code in self._languages if code != source_lang}

    def translate(
        self,
        samples: Samples,
        source_lang: str | None,
        choose_targets: Callable[[str], Collection[str]],
        deadline: Deadline,
    ) -> SpeechTranslation:
        """Transcribe an utterance and translate it, the languages side by side in one batch.

        A translation that repeats itself is left out, so that the caller can take another way to that language.

        Raises:
            NoSpeechError: There are no words in it, or only a loop, which is what the model writes for noise.
            EngineError: The model does not know the language spoken.
            DeadlineExceededError: It took too long.
        """
        use_threads(self._threads)
        samples = samples[: int(_MAX_AUDIO_S * SAMPLE_RATE_HZ)]
        timings_ms: dict[str, float] = {}
        lang, lang_confidence = self._language(samples, source_lang, timings_ms)
        deadline.check()
        wanted = choose_targets(lang)
        codes = [lang, *(code for code in self.targets(lang) if code in wanted)]

        started_s = time.perf_counter()
        encoded = self._encode(samples)
        timings_ms["encode"] = (time.perf_counter() - started_s) * 1000.0
        deadline.check()

        started_s = time.perf_counter()
        rows = self._decode(encoded, [self._languages[code] for code in codes], len(samples), deadline)
        texts = [self._text(row) for row in rows]
        timings_ms["decode"] = (time.perf_counter() - started_s) * 1000.0
        if texts[0] is None:
            raise NoSpeechError("no words were recognised")
        return SpeechTranslation(
            transcript=Transcript(texts[0], lang, lang_confidence, math.exp(min(0.0, rows[0].mean_logprob))),
            translations={code: text for code, text in zip(codes[1:], texts[1:], strict=True) if text is not None},
            timings_ms=timings_ms,
        )

    def _language(self, samples: Samples, declared: str | None, timings_ms: dict[str, float]) -> tuple[str, float]:
        """Return the language spoken and its probability.

        Raises:
            EngineError: The model does not know it.
        """
        if declared is not None and declared in self._languages:
            return declared, 1.0
        started_s = time.perf_counter()
        lang, confidence = self._identify_language(samples)
        timings_ms["detect_language"] = (time.perf_counter() - started_s) * 1000.0
        if lang not in self._languages:
            raise EngineError(f"SeamlessM4T does not write {LANGUAGES[lang].name if lang in LANGUAGES else lang}")
        return lang, confidence

    def _encode(self, samples: Samples) -> Tensor:
        """Encode an utterance as ``[1, frames, width]``, without the frames that are padding."""
        made = self._features(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        with torch.inference_mode():
            features = made["input_features"].to(self._model.dtype)
            encoded: Tensor = self._model.speech_encoder(features, attention_mask=made["attention_mask"])[0]
            heard = self._model._compute_sub_sample_lengths_from_attention_mask(made["attention_mask"])
        return encoded[:, : int(heard)]

    def _decode(self, encoded: Tensor, languages: list[int], samples: int, deadline: Deadline) -> list[Row]:
        limit = token_limit(samples / SAMPLE_RATE_HZ)
        if self._beams > 1:
            return self._decoder.beams(encoded, languages, limit, self._beams, deadline)
        return self._decoder.greedy(encoded, languages, limit, loops, deadline)

    def _text(self, row: Row) -> str | None:
        """Return a row's text, or None where it has no words, repeats itself or was cut short."""
        text: str = self._tokenizer.decode(row.tokens, skip_special_tokens=True).strip()
        repeats = not row.ended or is_repetitive(text)
        return text if not repeats and any(char.isalnum() for char in text) else None
