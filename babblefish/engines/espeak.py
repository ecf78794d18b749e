"""eSpeak NG: formant synthesis, a robotic voice in about a hundred languages, faster than any model.

Called through its C interface (``speak_lib.h``); the library and its data come with ``espeakng_loader``, so no system
package is needed.
"""

from __future__ import annotations

import ctypes
import functools
import queue
import re
from collections.abc import Iterator
from dataclasses import dataclass

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from babblefish.domain import Deadline, DeadlineExceededError, EngineError, SetupError, Speech
from babblefish.engines.text_splitting import has_words
from babblefish.languages import LANGUAGES

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_POSITION_IN_CHARACTERS = 1
_TEXT_IS_UTF8 = 1
_GO_ON, _STOP = 0, 1
"""Names and values from ``speak_lib.h``; the last two are what the callback returns."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
"""Control characters: eSpeak NG takes U+0001 for the start of a command and NUL for the end of the text."""

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Voice(ctypes.Structure):
    """``espeak_VOICE``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


@dataclass(frozen=True, slots=True)
class _Library:
    """The loaded library, which speaks one text at a time, as all its state is global.

    Attributes:
        sample_rate_hz: Of everything it speaks.
        identifiers: Language, as eSpeak NG calls it → identifier of its default voice.
        idle: Holds the library while nobody uses it; whoever takes it out owns it until they put it back.
    """

    sample_rate_hz: int
    identifiers: dict[str, str]
    idle: queue.Queue[ctypes.CDLL]


@functools.cache
def _library() -> _Library:
    """Load the library, once per process however many engines there are.

    Kokoro's phonemizer works on copies of the library file, which have a state of their own.

    Raises:
        SetupError: It cannot be loaded, or finds no data.
    """
    try:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        data_path = espeakng_loader.get_data_path()
    except (OSError, RuntimeError) as error:
        raise SetupError(
            f"eSpeak NG cannot be loaded; install it with: pip install espeakng-loader ({error})"
        ) from error
    sample_rate_hz = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data_path.encode(), _INITIALIZE_DONT_EXIT)
    if sample_rate_hz <= 0:
        raise SetupError("eSpeak NG finds no data; install it with: pip install --force-reinstall espeakng-loader")
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    listed = library.espeak_ListVoices(None)
    identifiers: dict[str, str] = {}
    for index in range(10_000):
        if not listed[index]:
            break
        voice = listed[index].contents
        # The first byte of ``languages`` is a priority; a language's first voice is its default.
        identifiers.setdefault(voice.languages[1:].decode(), voice.identifier.decode())
    idle: queue.Queue[ctypes.CDLL] = queue.Queue()
    idle.put(library)
    return _Library(sample_rate_hz, identifiers, idle)


class EspeakNg:
    """Speaks with eSpeak NG's default voice of each language."""

    name = "espeak"

    def __init__(self) -> None:
        """Load the library and its list of voices.

        Raises:
            SetupError: It cannot be loaded, or finds no data.
        """
        self._library = _library()
        self._voices = {
            code: language.espeak
            for code, language in LANGUAGES.items()
            if language.espeak and language.espeak in self._library.identifiers
        }

    def voice(self, lang: str) -> str | None:
        """Return ``espeak:<voice>``, or None for a language it does not know."""
        return f"{self.name}:{self._voices[lang]}" if lang in self._voices else None

    def synthesize(self, text: str, lang: str, deadline: Deadline) -> Iterator[Speech]:
        """Speak ``text`` as one piece; a text without a letter or digit yields nothing.

        Raises:
            EngineError: eSpeak NG does not know the language or failed on this text.
            DeadlineExceededError: It took too long.
        """
        if lang not in self._voices:
            raise EngineError(f"eSpeak NG has no voice for {lang!r}")
        if not has_words(text):
            return
        library = deadline.take(self._library.idle)
        try:
            pcm = _speak(library, self._library.identifiers[self._voices[lang]], text, deadline)
        finally:
            self._library.idle.put(library)
        deadline.check()
        if len(pcm):
            samples = pcm.astype(np.float32) / np.float32(32768.0)
            yield Speech(samples, self._library.sample_rate_hz, lang, f"{self.name}:{self._voices[lang]}")


def _speak(library: ctypes.CDLL, identifier: str, text: str, deadline: Deadline) -> NDArray[np.int16]:
    """Return the PCM of a text, or as much as there was when the deadline passed."""
    chunks: list[NDArray[np.int16]] = []

    def receive(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        try:
            deadline.check()
        except DeadlineExceededError:
            return _STOP
        return _GO_ON

    callback = _Callback(receive)
    library.espeak_SetSynthCallback(callback)
    data = _CONTROL.sub(" ", text).encode("utf-8", "replace") + b"\0"
    failed = library.espeak_SetVoiceByName(identifier.encode()) or library.espeak_Synth(
        data, ctypes.c_size_t(len(data)), 0, _POSITION_IN_CHARACTERS, 0, _TEXT_IS_UTF8, None, None
    )
    if failed:
        raise EngineError(f"eSpeak NG failed on this text (error {failed})")
    return np.concatenate(chunks) if chunks else np.empty(0, dtype=np.int16)
