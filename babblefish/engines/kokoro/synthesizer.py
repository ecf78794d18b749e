"""Kokoro: natural speech from an 82 M parameter model, run by ONNX Runtime or PyTorch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

import numpy as np
from kokoro_onnx.chunker import split_phonemes
from kokoro_onnx.config import SAMPLE_RATE
from kokoro_onnx.trim import trim

from babblefish.domain import Deadline, EngineError, Samples, Speech
from babblefish.engines.kokoro.phonemes import Phonemizer, speakable
from babblefish.engines.text_splitting import has_words, pause_after_s, split_pieces
from babblefish.languages import LANGUAGES, KokoroVoice


class Runner(Protocol):
    """Computes Kokoro; calls may run side by side."""

    @property
    def voices(self) -> Collection[str]:
        """Those of the language table's voices that it has."""
        ...

    def run(self, phonemes: str, voice: str) -> Samples:
        """Speak up to 510 phonemes, with the silence that the model makes around them; shape ``[n]``, 24 kHz.

        Phonemes that the model does not know are skipped.

        Raises:
            ValueError: It knows none of them.
        """
        ...


class Kokoro:
    """Speaks with Kokoro's default voice of each language; calls may run side by side."""

    name = "kokoro"

    def __init__(self, runner: Runner) -> None:
        """Load the text processing.

        Args:
            runner: Computes the model. The engine speaks a language if the runner has its voice and the text processing
                of the language is installed.
        """
        self._runner = runner
        self._phonemizer = Phonemizer()
        self._voices: dict[str, KokoroVoice] = {
            code: language.kokoro
            for code, language in LANGUAGES.items()
            if language.kokoro
            and language.kokoro.voice in runner.voices
            and self._phonemizer.reads(language.kokoro.phonemizer)
        }

    def voice(self, lang: str) -> str | None:
        """Return ``kokoro:<voice>``, or None for a language it does not speak."""
        return f"{self.name}:{self._voices[lang].voice}" if lang in self._voices else None

    def synthesize(self, text: str, lang: str, deadline: Deadline) -> Iterator[Speech]:
        """Speak ``text`` piece by piece; a text without a letter or digit yields nothing.

        Each piece but the last ends with the pause that its punctuation asks for.

        Raises:
            EngineError: Kokoro does not speak the language or failed on this text.
            DeadlineExceededError: It took too long; checked before each piece.
        """
        if lang not in self._voices:
            raise EngineError(f"Kokoro has no voice for {lang!r}")
        voice = self._voices[lang]
        pieces = [piece for piece in split_pieces(speakable(text)) if has_words(piece)]
        for index, piece in enumerate(pieces):
            parts: list[Samples] = []
            for chunk in self._phoneme_chunks(piece, voice):
                deadline.check()
                parts += [self._speak(chunk, voice), _silence(pause_after_s(chunk))]
            parts[-1] = _silence(pause_after_s(piece) if index < len(pieces) - 1 else 0.0)
            yield Speech(np.concatenate(parts), SAMPLE_RATE, lang, f"{self.name}:{voice.voice}")

    def _phoneme_chunks(self, piece: str, voice: KokoroVoice) -> list[str]:
        """Return a piece's phonemes: one chunk, unless they are more than the model takes at once."""
        try:
            chunks: list[str] = split_phonemes(" ".join(self._phonemizer.phonemes(piece, voice.phonemizer).split()))
        except Exception as error:
            raise EngineError("Kokoro cannot read this text") from error
        if not chunks:
            raise EngineError("Kokoro finds nothing to speak in this text")
        return chunks

    def _speak(self, phonemes: str, voice: KokoroVoice) -> Samples:
        try:
            samples = np.asarray(self._runner.run(phonemes, voice.voice), dtype=np.float32)
            trimmed: Samples = trim(samples)[0]
        except Exception as error:
            raise EngineError("Kokoro failed on this text") from error
        return trimmed


def _silence(duration_s: float) -> Samples:
    return np.zeros(int(duration_s * SAMPLE_RATE), dtype=np.float32)
