"""What every decoder of speech does the same way: how much it may say, and when it says one thing over and over."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

_TOKENS_PER_S = 9.0
_EXTRA_TOKENS = 12
"""Fast speech has about five tokens a second; more than nine is a loop, which the limit cuts short."""

_MAX_COMPRESSION_RATIO = 2.4
"""Text that compresses better repeats itself; the threshold of OpenAI's decoding (whisper/transcribe.py)."""

_MAX_PERIOD = 8
_MIN_REPEATS = 4
_MIN_LOOP = 8
"""A phrase of up to eight tokens four times in a row is a loop; people do say "no, no, no, no", so a loop has at least
eight tokens."""


def token_limit(duration_s: float) -> int:
    """Return the most tokens that speech of this length may have."""
    return int(_TOKENS_PER_S * duration_s) + _EXTRA_TOKENS


def is_repetitive(text: str) -> bool:
    """Say whether a text compresses so well that it must repeat itself."""
    raw = text.encode()
    return len(raw) / max(1, len(zlib.compress(raw))) > _MAX_COMPRESSION_RATIO


def loops(tokens: Sequence[int]) -> bool:
    """Say whether the last tokens are one phrase over and over."""
    for period in range(1, _MAX_PERIOD + 1):
        span = max(period * _MIN_REPEATS, _MIN_LOOP)
        tail = tokens[-span:]
        if len(tail) == span and tail[period:] == tail[:-period]:
            return True
    return False
