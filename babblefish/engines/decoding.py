"""What all decoders share: how many tokens they may write, and when they repeat themselves."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence

from babblefish.domain import SAMPLE_RATE_HZ
from babblefish.engines.contracts import SpeechRequest

MAX_SOURCE_TOKENS = 256
"""A longer text is cut even within a sentence: translators learned from single sentences, which are shorter."""

_TOKENS_PER_S = 9.0
"""Fast speech has about five tokens a second; more than nine is a loop, which the limit cuts short."""

_TOKENS_PER_TOKEN = 3
"""No language needs more tokens for the same words; a translation that gets there says something else."""

_EXTRA_TOKENS = 12
"""What speech or a text of any length may have on top."""

_MAX_COMPRESSION_RATIO = 2.4
"""Text that compresses better repeats itself; the threshold of OpenAI's decoding (whisper/transcribe.py). Article 1 of
the Universal Declaration of Human Rights has 0.8 to 1.5 in any language."""

_SHORT_S = 2.0
_LESS_LIKELY_SHORT = 0.5
"""The mean over the two tokens of a single word says less: of 110 words that voices said one by one to Whisper, in
clips of 0.9 to 1.5 s, many that were right lay between -1 and -1.5."""

_UNKNOWN = re.compile(r"\s*<\s*unk\s*>", re.IGNORECASE)
"""What a model wrote where its training texts had a letter that its vocabulary lacks."""

_MAX_PERIOD = 8
_MIN_REPEATS = 4
_MIN_LOOP = 8
"""A phrase of up to eight tokens four times in a row is a loop; people do say "no, no, no, no", so a loop has at least
eight tokens."""


def max_speech_tokens(duration_s: float) -> int:
    """Return how many tokens speech of this length may have."""
    return int(_TOKENS_PER_S * duration_s) + _EXTRA_TOKENS


def max_translation_tokens(source_tokens: int) -> int:
    """Return how many tokens the translation of a text of this many may have."""
    return _TOKENS_PER_TOKEN * source_tokens + _EXTRA_TOKENS


def least_logprob(request: SpeechRequest, lang: str, unlikely: float) -> float:
    """Return the mean log-probability of a transcript's tokens below which there are no words in an utterance.

    Who has declared a language is talking in it, so that what is not silence is kept, as a doubtful text, once the
    whole has been heard.

    Args:
        request: The utterance.
        lang: The language spoken.
        unlikely: The mean log-probability below which the recogniser's text is doubtful.
    """
    if request.interim:
        return unlikely
    if request.source_langs == {lang}:
        return -math.inf
    is_short = len(request.samples) < _SHORT_S * SAMPLE_RATE_HZ
    return unlikely - _LESS_LIKELY_SHORT if is_short else unlikely


def last_word_start(pieces: Sequence[str]) -> int:
    """Return where to cut a text of more than ``MAX_SOURCE_TOKENS`` tokens: before a word where there is one.

    Args:
        pieces: Its first tokens as SentencePiece writes them, one more than may stay together.
    """
    word_starts = (index for index in range(MAX_SOURCE_TOKENS, 0, -1) if pieces[index].startswith("\u2581"))
    return next(word_starts, MAX_SOURCE_TOKENS)


def without_unknown(text: str) -> str:
    """Return a text without the literal ``<unk>`` that SeamlessM4T learned to write, letter by letter.

    Its tokens are ordinary ones, so no tokenizer drops it, and models that may not write it write worse.
    """
    return _UNKNOWN.sub("", text).strip()


def is_repetitive(text: str) -> bool:
    """Say whether a text compresses so well that it must repeat itself.

    Each letter counts as one byte: in UTF-8 the bytes of a letter of most Asian scripts repeat those of the one before.
    """
    symbols = {letter: at % 256 for at, letter in enumerate(dict.fromkeys(text))}
    raw = bytes(symbols[letter] for letter in text)
    return len(raw) / max(1, len(zlib.compress(raw))) > _MAX_COMPRESSION_RATIO


def is_looping(tokens: Sequence[int]) -> bool:
    """Say whether the last tokens are one phrase over and over."""
    for period in range(1, _MAX_PERIOD + 1):
        span = max(period * _MIN_REPEATS, _MIN_LOOP)
        tail = tokens[-span:]
        if len(tail) == span and tail[period:] == tail[:-period]:
            return True
    return False
