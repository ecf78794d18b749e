"""The frames that Kokoro predicts of a text, and where its speech may be cut into pieces.

Kokoro first predicts how a text is spoken, 40 frames a second, and then makes sound of them. Nineteen twentieths of the
time go into the sound, in proportion to the frames (``benchmarks/first_piece.py``). So a text is predicted as a whole
and its sound is made piece by piece: the first is heard while the next is made, and the melody runs on across the cuts,
which fall where the voice is quietest. That is so in any language and needs to know nothing of its words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from babblefish.domain import Samples

SAMPLES_PER_FRAME = 600
"""Of Kokoro's decoder, at 24 kHz."""

_FIRST_FRAMES = 52
"""Limit of the first piece: 1.3 s of speech. It lasts a second at least, in which the next can be made: no piece is so
long that it would come late where making sound takes ``_WORK``."""

_LONGEST_FRAMES = 600
"""15 s of speech, which bounds the time between two checks of the deadline."""

_SHORTEST_FRAMES = 24
"""No cut leaves less behind it, and a first piece may be so much longer if it is then the only one."""

_WORK = 0.4
"""Seconds that a second of sound takes to make, on a machine on which no piece may come late. With the silence that is
trimmed, it speaks a sentence in half the time that it is heard."""

_EARLIEST_CUT = 0.8
"""As a share of a piece's limit; between there and the limit the quietest frame is taken."""

_SILENT_FRAMES = 12
"""How many of the silent frames before and after the text every piece is made with. The decoder normalises over all its
frames and knows only speech between silences: without them a piece becomes 10 dB softer, with 8 of them Whisper
misheard some names that it heard with 16."""

_CONTEXT_FRAMES = 4
"""Frames beyond a cut that a piece is made with, as each frame's sound depends on its neighbours."""

_LOWEST_HZ = 30.0
"""Of a voice; below it is what Kokoro predicts where there is none."""

_QUIET = 0.2
"""Share of the range of energy below which a frame is silent: Kokoro's silence lies at -9, its speech at 0 to 9."""


class Prediction(Protocol):
    """How a text is going to be spoken."""

    @property
    def energy(self) -> NDArray[np.float32]:
        """Per frame, shape ``[frames]``; empty where the model makes sound only of the whole."""
        ...

    def sound(self, frames: NDArray[np.intp]) -> Samples:
        """Make the sound of some frames as if there were no others; shape ``[600 x frames]``, 24 kHz."""
        ...

    def at_pitch(self, times: float) -> Prediction:
        """Return the same, so many times as high; as it is where the model makes sound only of the whole."""
        ...


@dataclass(frozen=True)
class Predicted:
    """A prediction whose sound can be made in parts.

    Attributes:
        text: What is spoken, float32, shape ``[1, channels, frames]``.
        pitch: In Hz, float32, shape ``[1, 2 x frames]``; about 7 where there is no voice.
        energies: Logarithmic, float32, shape ``[1, 2 x frames]``.
        decode: Makes samples of these three.
    """

    text: NDArray[np.float32]
    pitch: NDArray[np.float32]
    energies: NDArray[np.float32]
    decode: Callable[[Any, Any, Any], Samples]

    def at_pitch(self, times: float) -> Predicted:
        """Return the same, so many times as high."""
        return replace(self, pitch=np.where(self.pitch > _LOWEST_HZ, self.pitch * np.float32(times), self.pitch))

    @property
    def energy(self) -> NDArray[np.float32]:
        """Per frame, shape ``[frames]``."""
        return np.asarray(self.energies.reshape(-1, 2).mean(axis=1))

    def sound(self, frames: NDArray[np.intp]) -> Samples:
        """Make the sound of some frames as if there were no others; shape ``[600 x frames]``, 24 kHz."""
        halves = np.stack([2 * frames, 2 * frames + 1], axis=1).ravel()
        return self.decode(
            np.ascontiguousarray(self.text[:, :, frames]),
            np.ascontiguousarray(self.pitch[:, halves]),
            np.ascontiguousarray(self.energies[:, halves]),
        )


@dataclass(frozen=True)
class Span:
    """A piece of a text, in frames.

    Attributes:
        start: Its first frame.
        stop: The frame after its last.
        made_of: The frames whose sound is made for it.
        offset: Of ``start`` among them.
        is_first: Whether the text begins with it.
        is_last: Whether the text ends with it.
    """

    start: int
    stop: int
    made_of: NDArray[np.intp]
    offset: int
    is_first: bool
    is_last: bool


class Cutter:
    """Cuts the texts of an utterance, one after the other, into pieces that are each made before they are to be heard.

    Attributes:
        ahead: How many frames are still to be heard when the last piece has been made, if making takes ``_WORK``.
    """

    def __init__(self) -> None:
        """Begin an utterance, of which nothing has been heard."""
        self.ahead = 0.0

    def cut(self, energy: NDArray[np.float32]) -> Iterator[Span]:
        """Yield the pieces of the next text.

        Args:
            energy: Per frame, shape ``[frames]``.
        """
        begin, end = _speech(energy)
        silence = [*range(max(0, begin - _SILENT_FRAMES), begin)], [*range(end, min(len(energy), end + _SILENT_FRAMES))]
        start = stop = begin
        while True:
            limit, most = _FIRST_FRAMES, _FIRST_FRAMES + _SHORTEST_FRAMES
            if self.ahead:
                limit = int(self.ahead / _WORK) - 2 * (_SILENT_FRAMES + _CONTEXT_FRAMES)
                limit = most = min(_LONGEST_FRAMES, max(_SHORTEST_FRAMES, limit))
            stop = end
            if end - start > most:
                latest = min(start + limit, end - _SHORTEST_FRAMES)
                earliest = min(start + int(_EARLIEST_CUT * limit), latest - 1)
                stop = earliest + int(np.argmin(energy[earliest:latest]))
            before = [*silence[0], *range(max(begin, start - _CONTEXT_FRAMES), start)]
            after = [*range(stop, min(end, stop + _CONTEXT_FRAMES)), *silence[1]]
            made_of = np.array([*before, *range(start, stop), *after], dtype=np.intp)
            yield Span(start, stop, made_of, len(before), start == begin, stop == end)
            if self.ahead:
                self.ahead = max(0.0, self.ahead - _WORK * len(made_of))
            self.ahead += stop - start
            if stop == end:
                return
            start = stop


def _speech(energy: NDArray[np.float32]) -> tuple[int, int]:
    """Return the first frame that is not silent and the one after the last."""
    if not energy.size:
        return 0, 0
    quiet = energy.min() + _QUIET * (energy.max() - energy.min())
    loud = np.flatnonzero(energy >= quiet)
    return int(loud[0]), int(loud[-1]) + 1
