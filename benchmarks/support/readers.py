"""Recordings of people, several of each: LibriSpeech's readers, and those of a telephone exchange's prompts."""

from __future__ import annotations

import itertools

from babblefish.cli.demo import read_speech
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from benchmarks.support import harness, speech

Recordings = dict[tuple[str, str], Samples]
"""Person and file → what is said, 16 kHz."""

_PROMPTS_EACH = 8
_LEAST_WORDS = 12
_LEAST_S = 4.0

_SAME_READER = {"spa"}
"""Languages whose prompts are read by somebody who reads those of another one, too."""


def books() -> Recordings:
    """Return what LibriSpeech's readers read, some eight seconds in each file; ends the program where there is none."""
    files = sorted((harness.SHARED_AUDIO / "speakers").glob("*.flac"))
    if not files:
        harness.missing("it needs recorded speech of several people in shared/audio/speakers beside the project")
    return {(path.name.split("-")[0], path.name): read_speech(path) for path in files}


def prompts() -> Recordings:
    """Return what the readers of prompts say, one reader for each language; nothing where the packages are missing."""
    found: Recordings = {}
    for lang in sorted(speech.PROMPTS.keys() - _SAME_READER):
        if not speech.has_prompts(lang):
            continue
        clips = (clip for clip in speech.prompts(lang, _LEAST_WORDS) if len(clip.samples) >= _LEAST_S * SAMPLE_RATE_HZ)
        found |= {(lang, clip.name): clip.samples for clip in itertools.islice(clips, _PROMPTS_EACH)}
    return found
