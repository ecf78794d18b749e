"""How files of sound begin."""

from __future__ import annotations

_SIGNATURES = (
    ("wav", b"RIFF", 8, b"WAVE"),
    ("wav", b"RF64", 8, b"WAVE"),
    ("aiff", b"FORM", 8, b"AIFF"),
    ("aiff", b"FORM", 8, b"AIFC"),
    ("flac", b"fLaC", 0, b""),
    ("ogg", b"OggS", 0, b""),
    ("mp3", b"ID3", 0, b""),
    ("mp4", b"", 4, b"ftyp"),
    ("matroska", b"\x1a\x45\xdf\xa3", 0, b""),
    ("amr", b"#!AMR", 0, b""),
    ("caf", b"caff", 0, b""),
    ("au", b".snd", 0, b""),
)
"""FFmpeg's demuxer, what a file of its begins with, and where what else must stand; ``mp4`` also reads M4A and MOV,
``matroska`` also WebM."""


def format_of(data: bytes) -> str | None:
    """Return the format of a file by its first bytes, as FFmpeg's demuxers are called.

    None where it is no file of sound, or MPEG audio without a tag, whose first bits stand in many other things.
    """
    for name, start, place, further in _SIGNATURES:
        if data.startswith(start) and data.startswith(further, place):
            return name
    return None
