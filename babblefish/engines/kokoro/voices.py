"""Kokoro's voices by language, as they are and made lower or higher, so that several people can have one each.

Kokoro predicts the pitch of a text before it makes the sound, so a voice is made lower by predicting less. Whisper then
hears no more words wrong than before, as far as 237 words can tell: of the French voice 13.5 % as it is, 12.7 % at 0.7
and 10.1 % at 0.6 times its pitch, 14.8 % at 1.2 times. The timbre of one voice with the melody of another, which would
make more voices of a language as well, costs 18 points.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

_LEAST = 6
"""Voices that a language is to have."""

_TIMES = (0.85, 0.7, 1.18, 0.6, 0.78)
_SPOKEN_HZ = (85.0, 260.0)
"""How many times as high a voice is made, where there are too few, and between which limits people speak."""

_PITCHES_HZ: dict[str, dict[str, int]] = {
    "en-us": {"af_heart": 207, "am_michael": 122, "bf_emma": 185, "bm_george": 145, "af_bella": 202, "am_onyx": 89},
    "fr-fr": {"ff_siwis": 210},
    "es": {"ef_dora": 175, "em_alex": 132, "em_santa": 135},
    "it": {"if_sara": 223, "im_nicola": 95},
    "pt-br": {"pf_dora": 181, "pm_alex": 141, "pm_santa": 142},
    "hi": {"hf_alpha": 219, "hm_omega": 137, "hf_beta": 190, "hm_psi": 146},
    "ja": {"jf_alpha": 277, "jm_kumo": 99, "jf_gongitsune": 234},
    "zh": {"zf_xiaobei": 246, "zm_yunjian": 140, "zf_xiaoxiao": 233, "zm_yunxi": 175},
}
"""By the phonemizer's code of the language, the default voice first: the median of each one's pitch in a few texts."""

STYLES = frozenset(style for pitches_hz in _PITCHES_HZ.values() for style in pitches_hz)
"""The names of Kokoro's own voices that are used."""


DEFAULTS = frozenset(next(iter(pitches_hz)) for pitches_hz in _PITCHES_HZ.values())
"""Those of them that speak for whom no other is chosen."""


@dataclass(frozen=True, slots=True)
class KokoroVoice:
    """A voice that Kokoro speaks with.

    Attributes:
        style: The name of Kokoro's own voice.
        pitch_hz: The median of its pitch, as it is made, where that is known.
        times: How many times as high it is made.
    """

    style: str
    pitch_hz: float | None = None
    times: float = 1.0

    @property
    def name(self) -> str:
        """Its own name, as ``ff_siwis`` or ``ff_siwis@0.85``."""
        return self.style if self.times == 1.0 else f"{self.style}@{self.times}"


def voices(phonemizer: str, available: Collection[str]) -> Sequence[KokoroVoice]:
    """Return the voices of a language, the default one first; none where that is not there.

    Args:
        phonemizer: The phonemizer's code of the language.
        available: The names of Kokoro's own voices that are there.
    """
    pitches_hz = _PITCHES_HZ[phonemizer]
    if next(iter(pitches_hz)) not in available:
        return ()
    there = {style: pitch_hz for style, pitch_hz in pitches_hz.items() if style in available}
    own = [KokoroVoice(style, pitch_hz) for style, pitch_hz in there.items()]
    lowest_hz, highest_hz = _SPOKEN_HZ
    made = [
        KokoroVoice(style, pitch_hz * times, times)
        for times in _TIMES
        for style, pitch_hz in there.items()
        if lowest_hz <= pitch_hz * times <= highest_hz
    ]
    return own + made[: max(0, _LEAST - len(own))]
