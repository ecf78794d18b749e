"""How far the mark of a caption can be trusted: the share of right ones among good English captions and among drafts.

People read prompts of a telephone exchange in French, Italian and Spanish (``deploy/install_debian.sh bench``), and the
default profile's engines recognise and translate them as those of a room do, with the language declared. The reference
is the prompt of the same name in English. A caption is judged right where its chrF against it is 50 or more.

That judgement is severe: each language's prompts were written to be heard, not as translations of the English ones, so
that a good translation may share few letters with the reference. Compare the shares with each other; none of them says
how many captions keep their meaning. ``judged_wrong`` has the good captions that were judged wrong, for people to read.

``--langs fra`` limits the benchmark to a language, ``--prompts 20`` to so many prompts of each. Those of at least four
words count that are one utterance for the endpointing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from babblefish import Interpreter, Settings
from babblefish.domain import Quality
from babblefish.errors import EngineError, NoPathError, NoSpeechError
from benchmarks.support import harness, speech
from benchmarks.support.words import normal_in, with_interval
from benchmarks.translation_quality import chrf, statistics_of

LANGS = ("fra", "spa", "ita")

_RIGHT = 50.0
_LEAST_WORDS = 4
_LIMIT_S = 120.0
"""A busy machine may take its time; what is measured is not speed."""


@dataclass(frozen=True)
class Judged:
    """A caption beside its reference.

    Attributes:
        quality: Its mark, None where there is no caption.
        chrf: 0 to 100.
        shown: What was said, heard, made of it, and meant.
    """

    quality: Quality | None
    chrf: float
    shown: str

    @property
    def is_right(self) -> bool:
        """Whether it is judged right."""
        return self.chrf >= _RIGHT


def shares(captions: Sequence[Judged]) -> dict[str, Any]:
    """Return for each mark how many captions have it, and the share of them that is right, with its interval."""
    found: dict[str, Any] = {"without_caption": sum(one.quality is None for one in captions)}
    for quality in (Quality.GOOD, Quality.DRAFT):
        right = np.array([[one.is_right, 1] for one in captions if one.quality is quality], dtype=np.int64)
        found[quality] = {"captions": len(right)}
        if len(right):
            found[quality] |= {"right": int(right[:, 0].sum()), **with_interval(right)}
    return found


async def _judged(interpreter: Interpreter, clip: harness.Clip) -> Judged | None:
    """Interpret a recording, or return None where it is not one utterance."""
    segmenter = interpreter.segmenter()
    segments = await interpreter.workers.sockets.run(lambda: [*segmenter.feed(clip.samples), *segmenter.flush()])
    if len(segments) != 1:
        return None
    said, meant = clip.texts[clip.lang], clip.texts["eng"]
    try:
        recognition = await interpreter.recognise(segments[0], clip.lang, "eng")
    except NoSpeechError:
        return Judged(None, 0.0, f"{said} → nothing ({meant})")
    heard = recognition.transcript.text
    try:
        caption = (await interpreter.translation(recognition, "eng")).caption
    except (NoPathError, EngineError):
        return Judged(None, 0.0, f"{said} → {heard} → nothing ({meant})")
    # Case, punctuation and digits are no matter of trust.
    [score] = chrf(statistics_of([normal_in("eng", caption.text)], [normal_in("eng", meant)]))
    return Judged(caption.quality, float(score), f"{said} → {heard} → {caption.text} ({score:.0f}; {meant})")


async def _interpreted(langs: Sequence[str], most: int) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = {}
    async with Interpreter.open(Settings(utterance_deadline_s=_LIMIT_S)) as interpreter:
        for lang in langs:
            captions = found[lang] = []
            for clip in speech.prompts(lang, _LEAST_WORDS):
                if "eng" in clip.texts and (judged := await _judged(interpreter, clip)):
                    captions.append(judged)
                if len(captions) == most:
                    break
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Interpret and judge the prompts of each language."""
    langs = LANGS if options.langs == "all" else tuple(options.langs.split(","))
    if unknown := set(langs) - set(LANGS):
        sys.exit(f"there are no prompts to translate in {', '.join(sorted(unknown))}")
    if not all(speech.has_prompts(lang) for lang in (*langs, "eng")):
        harness.missing("it needs recorded speech: deploy/install_debian.sh bench")
    found = asyncio.run(_interpreted(langs, options.prompts))
    return {
        "judged_right_from_chrf": _RIGHT,
        "all": shares([one for captions in found.values() for one in captions]),
        "by_language": {lang: shares(captions) for lang, captions in found.items()},
        "judged_wrong": {
            lang: [one.shown for one in captions if one.quality is Quality.GOOD and not one.is_right]
            for lang, captions in found.items()
        },
    }


if __name__ == "__main__":
    harness.main(__doc__, measure, langs="all", prompts=100)
