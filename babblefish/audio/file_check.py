"""Tells what a sound file holds instead of what its header says, where that is certain."""

from __future__ import annotations

from babblefish.audio import spoken_rate
from babblefish.audio.format_check import BlockCheck
from babblefish.audio.sound_file import pcm16_of, rate_hz_of
from babblefish.domain import Samples


def looks_like(data: bytes, samples: Samples) -> str | None:
    """Return what a file holds, as "sound at 44100 or 48000 Hz"; None where its header may well be right.

    Args:
        data: The file, which could be decoded.
        samples: What became of it, shape ``[n]``, 16 kHz.
    """
    check = BlockCheck()
    for piece in pcm16_of(data):
        if guess := check.feed(piece):
            return guess
        if not check.is_open:
            break
    rates_hz = spoken_rate.likelier_than(rate_hz_of(data), samples)
    return f"sound at {' or '.join(map(str, rates_hz))} Hz" if rates_hz else None
