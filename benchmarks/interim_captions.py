"""What interim captions cost and give: the same clips, played in turn to a server with them and to one without.

Cost: end of speech → caption and → first spoken word, both ways; and the caption where push-to-talk is released in the
middle of the words, which leaves no silence for an interim recognition to end in. Gain: from the beginning of speech to
the first interim caption, where without them there is the caption only. Flicker: words of an interim caption that the
next one, or the result, replaces, for each word of the result (normalized erasure, Arivazhagan et al. 2020).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import itertools
import statistics
from collections import defaultdict
from typing import Any

import numpy as np

from babblefish.client import Client, connect
from babblefish.domain import SAMPLE_RATE_HZ
from benchmarks.latency import say
from benchmarks.support import harness

_LISTENER = {"fra": "eng", "eng": "fra"}
_LOUD = 0.1
"""Share of a clip's peak from which it is taken to be speech; the clips begin with silence."""

Spoken = tuple[str, float, float | None, float]
"""One utterance: the way it took, and the milliseconds to its caption, to its first spoken word, and in which it waited
for the speech translator."""


class _Pair:
    """A French and an English listener at one server, who speak in turn."""

    def __init__(self, people: dict[str, Client]) -> None:
        self._people = people
        self.said: list[list[Spoken]] = []
        self.released: list[list[Spoken]] = []
        self.first_ms: list[float] = []
        self.caption_ms: list[float] = []
        self.interims: list[int] = []
        self.erased: list[float] = []

    @classmethod
    async def join(cls, port: int, stack: contextlib.AsyncExitStack) -> _Pair:
        people = {}
        for lang in _LISTENER:
            joining = connect(harness.url(port), target_lang=lang, name=lang, mode="stream", audio="stream")
            people[lang] = await stack.enter_async_context(joining)
        return cls(people)

    async def hear(self, clip: harness.Clip) -> None:
        """Have a clip spoken, then the beginning of it and push-to-talk released."""
        heard = await self._say(clip)
        began_s = float(np.argmax(np.abs(clip.samples) > _LOUD * np.abs(clip.samples).max())) / SAMPLE_RATE_HZ
        for number, messages in enumerate(heard):
            partials = [message for message in messages if message["type"] == "partial"]
            results = [message for message in messages if message["type"] == "result"]
            self.interims.append(len(partials))
            self.erased.append(erasure([message["translation"] for message in partials + results]))
            if number == 0 and partials:
                self.first_ms.append((partials[0]["arrived_s"] - began_s) * 1000)
                self.caption_ms.append((results[0]["arrived_s"] - began_s) * 1000)
        self.said.append([_spoken(messages) for messages in heard])
        # Another place each time, and the same at both servers.
        middle = len(clip.samples) * (50 + 7 * len(self.said) % 40) // 100
        cut = dataclasses.replace(clip, samples=clip.samples[:middle])
        self.released.append([_spoken(messages) for messages in await self._say(cut, released=True)])

    async def _say(self, clip: harness.Clip, released: bool = False) -> list[list[dict[str, Any]]]:
        """Return the messages of each utterance that was found in a clip."""
        speaker, listener = self._people[clip.lang], self._people[_LISTENER[clip.lang]]
        by_utterance: dict[str, list[dict[str, Any]]] = defaultdict(list)
        [heard] = await say(speaker, [listener], clip, released)
        for message in heard:
            by_utterance[message["utterance_id"]].append(message)
        return list(by_utterance.values())


def _spoken(heard: list[dict[str, Any]]) -> Spoken:
    result = next(message for message in heard if message["type"] == "result")
    words = (message["latency_ms"] for message in heard if message["type"] == "speech" and message["audio"])
    way = f"{result['source_lang']} → {result['target_lang']}"
    return way, result["latency_ms"], next(words, None), result["timings"]["queue"]


def erasure(texts: list[str]) -> float:
    """Return the words that were replaced, for each word of the last text."""
    erased = 0
    for before, after in itertools.pairwise(text.split() for text in texts):
        kept = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
        erased += len(before) - kept
    return erased / max(1, len(texts[-1].split()))


async def _converse(ports: dict[str, int], clips: list[harness.Clip]) -> dict[str, Any]:
    async with contextlib.AsyncExitStack() as stack:
        pairs = {way: await _Pair.join(port, stack) for way, port in ports.items()}
        for number, clip in enumerate(clips):
            # Each is first every other time, as what was busy before may be so still.
            for way in sorted(pairs, reverse=bool(number % 2)):
                await pairs[way].hear(clip)
    return _figures(pairs["with"], pairs["without"])


def _figures(with_them: _Pair, without: _Pair) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, index, both in (
        ("caption_ms", 1, (with_them.said, without.said)),
        ("first_spoken_word_ms", 2, (with_them.said, without.said)),
        ("waited_for_engine_ms", 3, (with_them.said, without.said)),
        ("caption_when_released_ms", 1, (with_them.released, without.released)),
        ("waited_for_engine_when_released_ms", 3, (with_them.released, without.released)),
    ):
        values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for label, said in zip(("with", "without"), both, strict=True):
            for spoken in itertools.chain.from_iterable(said):
                if spoken[index] is not None:
                    values[spoken[0]][label].append(spoken[index])
        pairs = itertools.chain.from_iterable(
            zip(one, other, strict=True) for one, other in zip(*both, strict=True) if len(one) == len(other)
        )
        later = [a[index] - b[index] for a, b in pairs if a[index] is not None and b[index] is not None]
        figures[name] = {
            way: {label: harness.spread(of_way[label]) for label in ("with", "without") if of_way[label]}
            for way, of_way in values.items()
        }
        figures[f"{name.removesuffix('_ms')}_later_ms"] = harness.spread(later) | {
            "mean": round(statistics.mean(later), 1)
        }
    return figures | {
        "begin_of_speech_to_first_interim_ms": harness.spread(with_them.first_ms),
        "begin_of_speech_to_caption_of_the_same_ms": harness.spread(with_them.caption_ms),
        "interims_per_utterance": round(statistics.mean(with_them.interims), 2),
        "utterances_with_an_interim": round(statistics.mean(bool(count) for count in with_them.interims), 2),
        "words_replaced_per_word": round(statistics.mean(with_them.erased), 2),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run both servers at once, one of which is idle while the other is spoken to."""
    clips = harness.clips(["fra", "eng"]) * options.rounds
    with harness.server_process(partials="true") as (one, _), harness.server_process(partials="false") as (other, _):
        return asyncio.run(_converse({"with": one, "without": other}, clips))


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=2)
