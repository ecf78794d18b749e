"""Kokoro: natural speech from an 82 M parameter model, through kokoro-onnx.

A text is spoken in pieces, so that the first can be heard while the next is made: a short first piece, then ones at
most twice as long as the longest before. Made in half the time it lasts, each is ready when it is to be heard.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from kokoro_onnx import Kokoro
from kokoro_onnx.config import SAMPLE_RATE

from babblefish.domain import Deadline, EngineError, Samples, SetupError, Speech
from babblefish.languages import LANGUAGES, KokoroVoice

_FIRST_CHARACTERS = 50
"""Most of the first piece where it can be cut: about 3 s of speech."""

_LONGEST_CHARACTERS = 240
"""About 15 s of speech, which bounds the time between two looks at the deadline."""

_SHORTEST_CHARACTERS = 25
"""No cut leaves less on either side: Kokoro speaks a few words alone hurriedly, and each piece costs the making of
0.65 s of silence around it, which is trimmed away."""

_SENTENCE_PAUSE_S = 0.25
_CLAUSE_PAUSE_S = 0.15
"""Silence put after a piece. With the 0.1 s that trimming leaves it is what Kokoro makes of these marks inside one
piece: 0.2 to 0.4 s (measured on English, French and Spanish)."""

_SENTENCE_MARKS = ".!?\u2026\u0964"
_CLOSING_MARKS = "\"')]\u2019\u201d\u00bb"
_SENTENCE_END = re.compile(rf"[{_SENTENCE_MARKS}]+[{re.escape(_CLOSING_MARKS)}]*\s+|\s*\n\s*")
_CLAUSE_END = re.compile(r"[,;:\u2013\u2014]\s+|\s+(?=[\u2013\u2014(\u00ab])")
_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]+")
"""Control characters and halves of surrogate pairs, at which the phonemizer stops or fails."""

_SHORT_WORD = re.compile(r"\b([^\W\d_]{1,3})\.\s+\Z")
"""So short a word before a full stop, with a capital, is taken for an abbreviation (Dr., Sra., M.)."""

# It warns of every text whose words it joins, as it does in French by right.
logging.getLogger("phonemizer").setLevel(logging.ERROR)

_LANGUAGE_SWITCH = re.compile(r"\([a-z]{2,3}(?:-[a-z]+)*\)")
"""What the phonemizer puts before and after a foreign word, ``(en)`` and ``(fr)``; Kokoro would read it aloud."""


def split_sentences(text: str) -> list[str]:
    """Split a text at the ends of its sentences and at its line breaks; no piece is empty."""
    sentences, start = [], 0
    for end in _SENTENCE_END.finditer(text):
        short = _SHORT_WORD.search(text, start, end.end())
        if not (short and short[1][0].isupper()) or "\n" in end[0]:
            sentences.append(text[start : end.end()].strip())
            start = end.end()
    return [sentence for sentence in (*sentences, text[start:].strip()) if sentence]


def split_pieces(text: str) -> list[str]:
    """Split a text into the pieces it is spoken in.

    Returns:
        Whole sentences where they fit into ``_FIRST_CHARACTERS`` or, later, into twice the longest piece before; a
        longer sentence is cut at a comma or the like, or stays whole where it has none.
    """
    rest = deque(split_sentences(text))
    pieces: list[str] = []
    limit = _FIRST_CHARACTERS
    while rest:
        piece, after = _cut(rest.popleft(), limit)
        if after:
            rest.appendleft(after)
        while rest and len(piece) + 1 + len(rest[0]) <= limit:
            piece += " " + rest.popleft()
        pieces.append(piece)
        limit = min(_LONGEST_CHARACTERS, max(limit, 2 * len(piece) + len(" ")))
    return pieces


def _cut(sentence: str, limit: int) -> tuple[str, str]:
    """Cut a sentence at the last clause that ends within ``limit``, else at the first one that ends at all."""
    if len(sentence) <= limit:
        return sentence, ""
    ends = [end.end() for end in _CLAUSE_END.finditer(sentence)]
    ends = [end for end in ends if _SHORTEST_CHARACTERS <= end <= len(sentence) - _SHORTEST_CHARACTERS]
    if not ends:
        return sentence, ""
    end = max((end for end in ends if end <= limit), default=ends[0])
    return sentence[:end].strip(), sentence[end:]


class KokoroOnnx:
    """Speaks with Kokoro's default voice of each language; calls may run side by side."""

    name = "kokoro"

    def __init__(self, model_path: Path, voices_path: Path, threads: int) -> None:
        """Load the model, which takes about a second.

        Args:
            model_path: The ``.onnx`` file.
            voices_path: The ``.npz`` file of voices; a language whose voice is not in it is not spoken.
            threads: Threads of one call.

        Raises:
            SetupError: A file is missing or is not what it should be.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Waiting threads would otherwise keep the CPUs busy that the other engines need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])
            self._kokoro = Kokoro.from_session(session, str(voices_path))
            self._voices: dict[str, KokoroVoice] = {
                code: language.kokoro
                for code, language in LANGUAGES.items()
                if language.kokoro and language.kokoro.voice in self._kokoro.voices
            }
            # Read once: the archive of voices is a file that the calls would otherwise share.
            self._styles = {code: self._kokoro.get_voice_style(voice.voice) for code, voice in self._voices.items()}
        except Exception as error:
            raise SetupError(f"Kokoro cannot be loaded from {model_path} and {voices_path}: {error}") from error

    def voice(self, lang: str) -> str | None:
        """Return ``kokoro:<voice>``, or None for a language it does not speak."""
        return f"{self.name}:{self._voices[lang].voice}" if lang in self._voices else None

    def synthesize(self, text: str, lang: str, deadline: Deadline) -> Iterator[Speech]:
        """Speak ``text``, a piece at a time; nothing comes for a text without a letter or digit.

        Each piece but the last ends with the pause that its punctuation asks for.

        Raises:
            EngineError: Kokoro does not speak the language or failed on this text.
            DeadlineExceededError: It took too long; checked before each piece.
        """
        if lang not in self._voices:
            raise EngineError(f"Kokoro has no voice for {lang!r}")
        pieces = split_pieces(_UNSPEAKABLE.sub(" ", text))
        pieces = [piece for piece in pieces if any(character.isalnum() for character in piece)]
        for index, piece in enumerate(pieces):
            deadline.check()
            samples = self._speak(piece, lang)
            if index < len(pieces) - 1:
                ended = piece.rstrip(_CLOSING_MARKS).endswith(tuple(_SENTENCE_MARKS))
                pause_s = _SENTENCE_PAUSE_S if ended else _CLAUSE_PAUSE_S
                samples = np.concatenate([samples, np.zeros(int(pause_s * SAMPLE_RATE), dtype=np.float32)])
            yield Speech(samples, SAMPLE_RATE, lang, f"{self.name}:{self._voices[lang].voice}")

    def _speak(self, piece: str, lang: str) -> Samples:
        try:
            phonemes = self._kokoro.tokenizer.phonemize(piece, self._voices[lang].phonemizer)
            samples, _ = self._kokoro.create(
                _LANGUAGE_SWITCH.sub("", phonemes), self._styles[lang], is_phonemes=True, trim=True
            )
        except Exception as error:
            raise EngineError("Kokoro failed on this text") from error
        return np.asarray(samples, dtype=np.float32)
