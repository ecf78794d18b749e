"""The program that calls eSpeak NG's library, for ``espeak``.

The library ends its process at some texts: a single Punjabi word does so that a Vietnamese voice has to say. So it has
a process of its own, which is Python with nothing but the standard library and ``espeakng_loader``.

Asked null it answers with ``sample_rate_hz`` and ``identifiers`` (of the default voice of each language, as eSpeak NG
calls it). Asked a list of an identifier and a text it answers with ``pcm``: 16 bits, in Base64. Or with ``error``.
"""

from __future__ import annotations

import base64
import ctypes
import json
import sys
from typing import Any

import espeakng_loader

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_POSITION_IN_CHARACTERS = 1
_TEXT_IS_UTF8 = 1
_GO_ON = 0
"""Names and values from ``speak_lib.h``; the last is what the callback returns."""

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


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


class _Library:
    """The loaded library."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._sample_rate_hz = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _INITIALIZE_DONT_EXIT
        )
        self._pcm = bytearray()
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: int | None, count: int, _events: int) -> int:
        if samples and count > 0:
            self._pcm += ctypes.string_at(samples, 2 * count)
        return _GO_ON

    def voices(self) -> dict[str, Any]:
        """Answer null."""
        if self._sample_rate_hz <= 0:
            return {"error": "finds no data"}
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        listed = self._library.espeak_ListVoices(None)
        identifiers: dict[str, str] = {}
        for index in range(10_000):
            if not listed[index]:
                break
            voice = listed[index].contents
            # The first byte of ``languages`` is a priority; a language's first voice is its default.
            identifiers.setdefault(voice.languages[1:].decode(), voice.identifier.decode())
        return {"sample_rate_hz": self._sample_rate_hz, "identifiers": identifiers}

    def speak(self, identifier: str, text: str) -> dict[str, Any]:
        """Answer a voice's identifier and a text."""
        self._pcm.clear()
        data = text.encode() + b"\0"
        failed = self._library.espeak_SetVoiceByName(identifier.encode()) or self._library.espeak_Synth(
            data, ctypes.c_size_t(len(data)), 0, _POSITION_IN_CHARACTERS, 0, _TEXT_IS_UTF8, None, None
        )
        return {"error": f"failed on this text ({failed})"} if failed else {"pcm": base64.b64encode(self._pcm).decode()}


def main() -> None:
    """Answer until the input ends."""
    try:
        library = _Library()
    except (OSError, RuntimeError) as error:
        print(json.dumps({"error": f"cannot be loaded: {error}"}), flush=True)
        return
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(library.speak(*question) if question else library.voices()), flush=True)


if __name__ == "__main__":
    main()
