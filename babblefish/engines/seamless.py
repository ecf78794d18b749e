"""SeamlessM4T v2: the transcript and every translation wanted, from one encoder pass and one batch of decoding.

The model does not tell which language is spoken; where nobody declared it, another engine's detection says so.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from transformers import SeamlessM4TFeatureExtractor, SeamlessM4TTokenizer, SeamlessM4Tv2ForSpeechToText

from babblefish.domain import SAMPLE_RATE_HZ, Deadline, EngineError, NoSpeechError, Quality, Samples, Transcript
from babblefish.engines import seamless_int8
from babblefish.engines.base import SpeechTranslation
from babblefish.engines.decoding import is_repetitive, token_limit
from babblefish.engines.seamless_decoder import Decoder, Row
from babblefish.languages import LANGUAGES, to_seamless

_MAX_AUDIO_S = 30.0
"""Attention over the frames grows with the square of their number; what is beyond is not heard."""

_MAX_PERIOD = 8
_MIN_REPEATS = 4
"""A phrase of up to eight tokens four times in a row is a loop; people say a word three times, seldom a fourth."""


def loops(tokens: Sequence[int]) -> bool:
    """Say whether the last tokens are one phrase over and over."""
    for period in range(1, _MAX_PERIOD + 1):
        span = period * _MIN_REPEATS
        tail = tokens[-span:]
        if len(tail) == span and tail[period:] == tail[:-period]:
            return True
    return False


class Seamless:
    """SeamlessM4T v2 as a ``SpeechTranslator`` between all languages that it writes."""

    name = "seamless"

    def __init__(
        self,
        model_dir: Path,
        threads: int,
        identify_language: Callable[[Samples], tuple[str, float]],
        dtype: Literal["int8", "bfloat16", "float32"] = "int8",
        beams: int = 1,
    ) -> None:
        """Load the model from a folder.

        Args:
            model_dir: Checkpoint with tokenizer, feature extractor and generation configuration, as
                ``save_pretrained`` writes it.
            threads: Threads of one call. PyTorch knows one number for the whole process: this sets it for every
                engine that uses PyTorch.
            identify_language: Returns the language spoken (ISO 639-3) and its probability; called where none is
                declared, or one that the model does not know.
            dtype: Type of the weights. Int8 keeps a converted copy beside the model for the next start.
            beams: Beams per language; 1 decodes greedily.

        Raises:
            EngineError: The folder holds no whole SeamlessM4T v2.
        """
        torch.set_num_threads(threads)
        self._identify_language = identify_language
        self._beams = beams
        try:
            if dtype == "int8":
                self._model = seamless_int8.load(model_dir)
            else:
                self._model = SeamlessM4Tv2ForSpeechToText.from_pretrained(
                    model_dir, dtype=getattr(torch, dtype), local_files_only=True
                ).eval()
            self._tokenizer = SeamlessM4TTokenizer.from_pretrained(model_dir, local_files_only=True)
            self._features = SeamlessM4TFeatureExtractor.from_pretrained(model_dir, local_files_only=True)
            tokens: Mapping[str, int] = self._model.generation_config.text_decoder_lang_to_code_id
        except (OSError, ValueError, AttributeError) as error:
            raise EngineError(f"{model_dir.name} holds no whole SeamlessM4T v2 model: {error}") from error
        written = ((code, to_seamless(code)) for code in LANGUAGES)
        self._languages = {code: tokens[name] for code, name in written if name is not None and name in tokens}
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
