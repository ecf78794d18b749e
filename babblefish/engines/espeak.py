"""eSpeak NG: formant synthesis, a robotic voice in about a hundred languages, faster than any model.

Its library and data come with ``espeakng_loader``, so no system package is needed. It runs in a process of its own
(``espeak_process``), as it may end at any text; that costs this text its speech, and the next one gets a new process.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from babblefish.domain import Deadline, Speech
from babblefish.engines import espeak_process
from babblefish.engines.contracts import SyntheticVoice
from babblefish.engines.program import Program
from babblefish.engines.speakable import speakable
from babblefish.engines.text_splitting import has_words
from babblefish.errors import BabbleFishError, EngineError, SetupError
from babblefish.languages import LANGUAGES

_PITCHES_HZ = {"": 104.0, "+f2": 197.0, "+m7": 108.0, "+f3": 215.0, "+m4": 96.0, "+f5": 206.0}
"""What is added to a voice's name for another timbre, the default one first: the median of its pitch in German and
Polish."""

_START_LIMIT_S = 30.0
"""It starts in a tenth of a second."""


@dataclass(frozen=True, slots=True)
class _Library:
    """What all engines share.

    Attributes:
        program: Speaks one text at a time, as all of the library's state is global.
        sample_rate_hz: Of everything it speaks.
        identifiers: Language, as eSpeak NG calls it → identifier of its default voice.
    """

    program: Program
    sample_rate_hz: int
    identifiers: dict[str, str]


@functools.cache
def _library() -> _Library:
    """Start the program, one for however many engines there are.

    Raises:
        SetupError: The library cannot be loaded, or finds no data.
    """
    program = Program(espeak_process.__file__)
    try:
        found = program.ask(None, Deadline.after(_START_LIMIT_S))
    except BabbleFishError as error:
        raise SetupError(f"eSpeak NG does not start: {error}") from error
    if "error" in found:
        raise SetupError(f"eSpeak NG {found['error']}; install it with: pip install --force-reinstall espeakng-loader")
    return _Library(program, found["sample_rate_hz"], found["identifiers"])


class EspeakNg:
    """Speaks with eSpeak NG's voice of each language, in several timbres."""

    name = "espeak"

    def __init__(self) -> None:
        """Start eSpeak NG, unless another engine has, and get its list of voices.

        Raises:
            SetupError: It cannot be loaded, or finds no data.
        """
        self._library = _library()
        self._voices = {
            code: language.espeak
            for code, language in LANGUAGES.items()
            if language.espeak and language.espeak in self._library.identifiers
        }

    def voices(self, lang: str) -> Sequence[SyntheticVoice]:
        """Return ``espeak:<voice>``, the default one first, or none for a language it does not know."""
        if lang not in self._voices:
            return ()
        return [
            SyntheticVoice(f"{self.name}:{self._voices[lang]}{timbre}", pitch_hz)
            for timbre, pitch_hz in _PITCHES_HZ.items()
        ]

    def synthesize(self, text: str, lang: str, deadline: Deadline, voice: str | None = None) -> Iterator[Speech]:
        """Speak ``text`` as one piece; a text without a letter or digit yields nothing.

        Raises:
            EngineError: eSpeak NG does not know the language, failed on this text, or ended at it.
            DeadlineExceededError: It took too long.
        """
        if lang not in self._voices:
            raise EngineError(f"eSpeak NG has no voice for {lang!r}")
        if not has_words(text):
            return
        spoken_by = voice or f"{self.name}:{self._voices[lang]}"
        _, plus, timbre = spoken_by.partition("+")
        question = f"{self._library.identifiers[self._voices[lang]]}{plus}{timbre}", speakable(text)
        answer = self._library.program.ask(question, deadline)
        deadline.check()
        if "error" in answer:
            raise EngineError(f"eSpeak NG {answer['error']}")
        if pcm := base64.b64decode(answer["pcm"]):
            samples = np.frombuffer(pcm, dtype=np.int16).astype(np.float32) / np.float32(32768.0)
            yield Speech(samples, self._library.sample_rate_hz, lang, spoken_by)
