"""What a text may hold for eSpeak NG, whose buffers have fixed sizes: what is too long for one ends the whole process.

Both its own voices and Kokoro's phonemes come from it.
"""

from __future__ import annotations

import re

_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]+")
"""Control characters and lone surrogates: U+0001 starts a command, NUL ends the text, others make phonemizers fail."""

_REPLACED_BY_NOTHING = str.maketrans({"]": ")", "\u1038": None, "\U0001f549": None})
"""Characters that a dictionary of eSpeak NG 1.52 (Sinhala, Burmese, Tigrinya) replaces by no text. It then takes what
follows in the clause for the replacement: it says that twice, and ends the process where that has more than 158 bytes.
The Burmese sign is a tone, which its voice does not have. Every voice reads words in such letters by these
dictionaries."""

_LONGEST_WORD = 60
_LONG_WORD = re.compile(rf"([^\s\u3001-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff1f]{{{_LONGEST_WORD}}})(?=\S)")
"""A longer word is cut. The phonemes of a word have 200 bytes: an Irish one made of endings had more with 104 letters,
an English one with 136. In Chinese and Japanese each character is one."""


def speakable(text: str) -> str:
    """Return a text without what eSpeak NG, or another phonemizer, fails or ends the process at."""
    return _LONG_WORD.sub(r"\1 ", _UNSPEAKABLE.sub(" ", text).translate(_REPLACED_BY_NOTHING))
