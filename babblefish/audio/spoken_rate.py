"""Tells from speech itself that it was recorded at another sample rate than it is read at.

Samples at 48 kHz that are read at 16 kHz are three times as slow: the voice is deep and dark as nobody's is. Samples at
8 kHz are twice as fast. Pitch and colour are both looked at, as one alone says who speaks; and only what moves as a
voice does is looked at, as instruments and machines have any pitch.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from babblefish.audio.voice_sound import MOST_S, Voice, measured
from babblefish.domain import SAMPLE_RATE_HZ, Samples

_SLOW_PITCH_HZ, _SLOW_COLOUR_HZ = 85.0, 300.0
_FAST_PITCH_HZ, _FAST_COLOUR_HZ = 380.0, 700.0
"""Of 544 stretches of recorded speech the deepest is at 93 Hz, the darkest at 355 and the highest at 275 Hz; none is
beyond these limits. Read at 16 kHz, 75 % of those at 44.1 kHz are both deeper and darker, 80 % at 48 kHz and 8 % at
32 kHz, and 35 % of those at 8 kHz are higher and brighter."""

_STRETCHES = 8
"""As many are looked at of a long recording, and their medians count."""

_RATES_HZ = (8000, 11025, SAMPLE_RATE_HZ, 22050, 24000, 32000, 44100, 48000)
_TOO_SLOW, _TOO_FAST = (2.5, 3.1), (0.33, 0.55)
"""How many times the stated rate the other one is where a voice is too slow, and too fast."""


def looks_like(samples: Samples) -> str | None:
    """Return what a recording looks like if it is surely not at 16 kHz, as "sound at 8000 Hz", else None.

    Args:
        samples: Shape ``[n]``, as they are read at 16 kHz.
    """
    voice = measured(samples)
    speed = None if voice is None else _speed(voice)
    return {"slow": "sound at 44100 or 48000 Hz", "fast": "sound at 8000 Hz", None: None}[speed]


def likelier_than(stated_hz: int, samples: Samples) -> tuple[int, ...]:
    """Return the rates that a recording was made at, if that was surely not the one stated, else none.

    Args:
        stated_hz: By its header.
        samples: Shape ``[n]``, of any length, brought to 16 kHz from the rate that was stated.
    """
    length = int(MOST_S * SAMPLE_RATE_HZ)
    starts = np.linspace(0, max(0, len(samples) - length), _STRETCHES if len(samples) > length else 1).astype(int)
    voices = [voice for start in starts if (voice := measured(samples[start : start + length])) is not None]
    if not voices:
        return ()
    typical = Voice(
        float(np.median([voice.pitch_hz for voice in voices])), float(np.median([voice.colour_hz for voice in voices]))
    )
    if (speed := _speed(typical)) is None:
        return ()
    least, most = _TOO_SLOW if speed == "slow" else _TOO_FAST
    return tuple(rate_hz for rate_hz in _RATES_HZ if least <= rate_hz / stated_hz <= most)


def _speed(voice: Voice) -> Literal["slow", "fast"] | None:
    """Say whether somebody speaks slower or faster than anybody can; None where they may speak so."""
    if voice.pitch_hz < _SLOW_PITCH_HZ and voice.colour_hz < _SLOW_COLOUR_HZ:
        return "slow"
    if voice.pitch_hz > _FAST_PITCH_HZ and voice.colour_hz > _FAST_COLOUR_HZ:
        return "fast"
    return None
