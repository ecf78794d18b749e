"""A picture of how similar voices are, to themselves and to each other, by the length of what is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_WIDTH, _ROW, _LEFT, _TOP = 640, 90, 70, 40
_LOW, _HIGH, _BINS = -0.5, 1.5, 50


class Scores(NamedTuple):
    """Similarities of pairs of utterances of one length, any number of each."""

    same: NDArray[np.float64]
    other: NDArray[np.float64]


def draw(by_length: Mapping[str, Scores], threshold: float, title: str) -> str:
    """Return an SVG document: one row for each length, its pairs of one voice above those of two, and the threshold."""
    height = _TOP + _ROW * len(by_length) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/><text x="{_LEFT}" y="18" font-size="14">{title}</text>',
        f'<text x="{_LEFT}" y="34" fill="#c2410c">two voices</text>'
        f'<text x="{_LEFT + 90}" y="34" fill="#1d4ed8">one voice</text>',
    ]
    for row, (length, scores) in enumerate(by_length.items()):
        base = _TOP + _ROW * (row + 1)
        parts.append(f'<text x="8" y="{base - 8}">{length}</text>')
        parts += [
            _area(values, base, colour) for values, colour in ((scores.other, "#c2410c"), (scores.same, "#1d4ed8"))
        ]
        parts.append(f'<path d="M{_LEFT} {base}H{_WIDTH - 20}" stroke="#888"/>')
    bottom = _TOP + _ROW * len(by_length)
    parts.append(f'<path d="M{_x(threshold):.0f} {_TOP}V{bottom}" stroke="#000" stroke-dasharray="4 3"/>')
    parts += [
        f'<text x="{_x(tick):.0f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
        for tick in np.arange(_LOW, _HIGH + 0.1, 0.5)
    ]
    parts.append(
        f'<text x="{_LEFT}" y="{bottom + 34}">similarity, corrected for the length; threshold {threshold:g}</text>'
    )
    return "\n".join([*parts, "</svg>\n"])


def _x(similarity: float) -> float:
    return _LEFT + (similarity - _LOW) / (_HIGH - _LOW) * (_WIDTH - 20 - _LEFT)


def _area(values: NDArray[np.float64], base: int, colour: str) -> str:
    counts, edges = np.histogram(np.clip(values, _LOW, _HIGH), bins=_BINS, range=(_LOW, _HIGH))
    heights = counts / max(1, counts.max()) * (_ROW - 14)
    points = " ".join(
        f"{_x((left + right) / 2):.1f},{base - tall:.1f}"
        for left, right, tall in zip(edges, edges[1:], heights, strict=False)
    )
    return f'<polygon points="{_LEFT},{base} {points} {_WIDTH - 20},{base}" fill="{colour}" fill-opacity="0.45"/>'
