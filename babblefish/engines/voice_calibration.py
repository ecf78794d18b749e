"""What the similarities of a speaker encoder mean, by utterances of known voices: its ``VoiceScale``, as measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babblefish.engines.contracts import Embedding


@dataclass(frozen=True)
class Heard:
    """An utterance of a known person, and how many seconds of it are speech."""

    person: str
    file: str
    speech_s: float
    embedding: Embedding


def _pairs(heard: Sequence[Heard]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the cosine of every pair from two files, the highest first, and which pairs are of one voice."""
    embeddings = np.stack([one.embedding for one in heard])
    people, files = (np.array([getattr(one, key) for one in heard]) for key in ("person", "file"))
    first, second = np.triu_indices(len(heard), 1)
    other_file = files[first] != files[second]
    first, second = first[other_file], second[other_file]
    scores = np.einsum("ij,ij->i", embeddings[first], embeddings[second])
    order = np.argsort(-scores)
    return scores[order], (people[first] == people[second])[order]


def equal_error(heard: Sequence[Heard]) -> tuple[float, float]:
    """Return the rate at which as many same voices are refused as different ones accepted, and the cosine of it."""
    scores, same = _pairs(heard)
    refused = 1.0 - np.cumsum(same) / same.sum()
    accepted = np.cumsum(~same) / (~same).sum()
    crossing = int(np.argmin(np.abs(refused - accepted)))
    return float(refused[crossing] + accepted[crossing]) / 2, float(scores[crossing])


def measured_scale(heard: Sequence[Heard], duration_s: float) -> dict[str, float]:
    """Return the scale by utterances of one length.

    The median cosine of one voice is taken for the reliability d / (d + d₀), and the cosine at the equal error rate,
    divided by it, is the corrected similarity that tells a pair apart best.

    Args:
        heard: Utterances of at least two voices, each in at least two files.
        duration_s: Seconds of speech in each.
    """
    scores, same = _pairs(heard)
    reliability = float(np.median(scores[same]))
    return {
        "half_reliable_s": round(duration_s * (1.0 - reliability) / reliability, 2),
        "similarity_at_equal_error": round(equal_error(heard)[1] / reliability, 2),
        "similarity_of_other_voices": round(float(np.median(scores[~same])) / reliability, 2),
    }
