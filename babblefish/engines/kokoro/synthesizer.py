"""Kokoro: natural speech from an 82 M parameter model, run by ONNX Runtime or PyTorch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import numpy as np
from kokoro_onnx.chunker import split_phonemes
from kokoro_onnx.config import SAMPLE_RATE
from kokoro_onnx.trim import trim

from babblefish.domain import Deadline, Samples, Speech
from babblefish.engines.contracts import SyntheticVoice
from babblefish.engines.kokoro.frames import SAMPLES_PER_FRAME, Cutter, Prediction, Span
from babblefish.engines.kokoro.phonemes import Phonemizer
from babblefish.engines.kokoro.voices import KokoroVoice
from babblefish.engines.kokoro.voices import voices as voices_of
from babblefish.engines.speakable import speakable
from babblefish.engines.text_splitting import has_words, pause_after_s, split_pieces
from babblefish.errors import EngineError
from babblefish.languages import LANGUAGES

_FADE_SAMPLES = 240
"""Of one piece into the next, where a text is cut: 10 ms, in which no click is left of two waves that do not meet."""


class Runner(Protocol):
    """Computes Kokoro; calls may run side by side."""

    @property
    def voices(self) -> Collection[str]:
        """The names of Kokoro's own voices that it has."""
        ...

    def predict(self, phonemes: str, voice: str) -> Prediction:
        """Predict how up to 510 phonemes are spoken, with the silence that the model puts around them.

        Phonemes that the model does not know are skipped.

        Raises:
            ValueError: It knows none of them.
        """
        ...


class Kokoro:
    """Speaks with Kokoro's voices; calls may run side by side."""

    name = "kokoro"

    def __init__(self, runner: Runner) -> None:
        """Load the text processing.

        Args:
            runner: Computes the model. The engine speaks a language if the runner has its default voice and the text
                processing of the language is installed.
        """
        self._runner = runner
        self._phonemizer = Phonemizer()
        self._voices: dict[str, dict[str, KokoroVoice]] = {
            code: {self._full_name(voice): voice for voice in voices_of(language.kokoro, runner.voices)}
            for code, language in LANGUAGES.items()
            if language.kokoro and self._phonemizer.reads(language.kokoro)
        }

    def voices(self, lang: str) -> Sequence[SyntheticVoice]:
        """Return its voices as ``kokoro:<voice>``, the default one first; none for a language it does not speak."""
        return [SyntheticVoice(name, voice.pitch_hz) for name, voice in self._voices.get(lang, {}).items()]

    def synthesize(self, text: str, lang: str, deadline: Deadline, voice: str | None = None) -> Iterator[Speech]:
        """Speak ``text`` piece by piece; a text without a letter or digit yields nothing.

        A piece that ends where a part of the text does, but not the text, has the pause that the punctuation there asks
        for.

        Raises:
            EngineError: Kokoro does not speak the language or failed on this text.
            DeadlineExceededError: It took too long; checked before each piece.
        """
        voices = self._voices.get(lang)
        if not voices:
            raise EngineError(f"Kokoro has no voice for {lang!r}")
        yield from self.speak_as(voices.get(voice or "", next(iter(voices.values()))), text, lang, deadline)

    def speak_as(self, voice: KokoroVoice, text: str, lang: str, deadline: Deadline) -> Iterator[Speech]:
        """Speak ``text`` as ``synthesize`` does, with any voice of the model."""
        spoken_by = self._full_name(voice)
        pieces = [piece for piece in split_pieces(speakable(text)) if has_words(piece)]
        cutter = Cutter()
        for is_last_piece, piece in _mark_last(pieces):
            for is_last_chunk, chunk in _mark_last(self._phoneme_chunks(piece, lang)):
                deadline.check()
                prediction = self._predict(chunk, voice)
                overlap = np.zeros(0, dtype=np.float32)
                for span in cutter.cut(prediction.energy):
                    deadline.check()
                    samples, overlap = self._speak(prediction, span, overlap)
                    if span.is_last and not (is_last_piece and is_last_chunk):
                        pause_s = pause_after_s(piece if is_last_chunk else chunk)
                        samples = np.concatenate([samples, np.zeros(int(pause_s * SAMPLE_RATE), dtype=np.float32)])
                    yield Speech(samples, SAMPLE_RATE, lang, spoken_by)

    def _phoneme_chunks(self, piece: str, lang: str) -> list[str]:
        """Return a piece's phonemes: one chunk, unless they are more than the model takes at once."""
        try:
            phonemes = self._phonemizer.phonemes(piece, LANGUAGES[lang].kokoro or "")
            chunks: list[str] = split_phonemes(" ".join(phonemes.split()))
        except Exception as error:
            raise EngineError("Kokoro cannot read this text") from error
        if not chunks:
            raise EngineError("Kokoro finds nothing to speak in this text")
        return chunks

    def _predict(self, phonemes: str, voice: KokoroVoice) -> Prediction:
        try:
            prediction = self._runner.predict(phonemes, voice.style)
        except Exception as error:
            raise EngineError("Kokoro failed on this text") from error
        return prediction if voice.times == 1.0 else prediction.at_pitch(voice.times)

    def _full_name(self, voice: KokoroVoice) -> str:
        return f"{self.name}:{voice.name}"

    def _speak(self, prediction: Prediction, span: Span, overlap: Samples) -> tuple[Samples, Samples]:
        """Make the sound of a span, without silence at the ends of the text.

        Args:
            prediction: Of the text.
            span: Of it.
            overlap: How the span before goes on.

        Returns:
            The sound, and how it goes on, which the next span is faded into.
        """
        try:
            made = prediction.sound(span.made_of)
            begin, end = trim(made)[1]
        except Exception as error:
            raise EngineError("Kokoro failed on this text") from error
        if not span.is_first:
            begin = span.offset * SAMPLES_PER_FRAME
            fade = np.linspace(0.0, 1.0, len(overlap), dtype=np.float32)
            made[begin : begin + len(overlap)] *= fade
            made[begin : begin + len(overlap)] += overlap * (1 - fade)
        if not span.is_last:
            end = (span.offset + span.stop - span.start) * SAMPLES_PER_FRAME
        return made[begin:end], made[end : end + _FADE_SAMPLES]


def _mark_last(items: Sequence[str]) -> Iterator[tuple[bool, str]]:
    for number, item in enumerate(items, 1):
        yield number == len(items), item
