"""The program that calls eSpeak NG's library, started and asked by ``espeak``.

The library ends its process at some texts: a single Punjabi word does so that a Vietnamese voice has to say. So it has
a process of its own, which is Python with nothing but the standard library and ``espeakng_loader``.

Its first line is a JSON object: ``sample_rate_hz`` and ``identifiers``, or ``error``. Each line that it reads is a JSON
list of a voice's identifier and a text. It answers with PCM as it comes, 16 bits, each part after its number of bytes
(``COUNT``); 0 ends a text, and a negative number is one that failed.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys

import espeakng_loader

COUNT = struct.Struct("<i")

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


def _identifiers(library: ctypes.CDLL) -> dict[str, str]:
    """Return the default voice's identifier of each language, as eSpeak NG calls it."""
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    listed = library.espeak_ListVoices(None)
    identifiers: dict[str, str] = {}
    for index in range(10_000):
        if not listed[index]:
            break
        voice = listed[index].contents
        # The first byte of ``languages`` is a priority; a language's first voice is its default.
        identifiers.setdefault(voice.languages[1:].decode(), voice.identifier.decode())
    return identifiers


def _send(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _receive(samples: int | None, count: int, _events: int) -> int:
    if samples and count > 0:
        pcm = ctypes.string_at(samples, count * 2)
        _send(COUNT.pack(len(pcm)) + pcm)
    return _GO_ON


def main() -> None:
    """Load the library and speak until the input ends."""
    try:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        data_path = espeakng_loader.get_data_path()
    except (OSError, RuntimeError) as error:
        _send(json.dumps({"error": f"eSpeak NG cannot be loaded ({error})"}).encode() + b"\n")
        return
    sample_rate_hz = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data_path.encode(), _INITIALIZE_DONT_EXIT)
    if sample_rate_hz <= 0:
        _send(json.dumps({"error": "eSpeak NG finds no data"}).encode() + b"\n")
        return
    found = {"sample_rate_hz": sample_rate_hz, "identifiers": _identifiers(library)}
    _send(json.dumps(found).encode() + b"\n")
    callback = _Callback(_receive)
    library.espeak_SetSynthCallback(callback)
    for line in sys.stdin.buffer:
        identifier, text = json.loads(line)
        data = text.encode() + b"\0"
        failed = library.espeak_SetVoiceByName(identifier.encode()) or library.espeak_Synth(
            data, ctypes.c_size_t(len(data)), 0, _POSITION_IN_CHARACTERS, 0, _TEXT_IS_UTF8, None, None
        )
        _send(COUNT.pack(-1 if failed else 0))


if __name__ == "__main__":
    main()
