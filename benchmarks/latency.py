"""End of speech → caption and → first spoken word, per stage, in six languages: with one listener, and with three.

The clips are streamed to the real server at the pace of speech. Latencies count from the last speech the voice
detector found, so the silence that ends an utterance is in them. With three listeners those of an utterance are the
last one's. What a pair has to read before its first translation shows in ``first_clip``, apart from the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from babblefish.cli.demo import TRAILING_SILENCE_S
from babblefish.client import Client, connect
from benchmarks.support import harness

_SPOKEN = ("fra", "deu", "spa", "ita", "por", "eng")
_LISTENS = {lang: ("eng",) for lang in _SPOKEN} | {"eng": ("fra",)}
_THREE_LISTEN = {"fra": ("eng", "spa", "ita"), "eng": ("fra", "spa", "ita")}

_LOST_S = 20.0
"""Nothing comes any more of a clip of which nothing has come for so long."""

_RESULT_S = 1.5
"""The last result is there this long after its utterance, of which there may be several in a clip."""


async def say(
    speaker: Client, listeners: Sequence[Client], clip: harness.Clip, released: bool = False
) -> list[list[dict[str, Any]]]:
    """Play a clip and return what each listener gets, up to the last piece of speech of each utterance found in it.

    Each message has the seconds since the clip's beginning beside its own fields, as ``arrived_s``.

    Args:
        speaker: Who plays it.
        listeners: Whose messages they are.
        clip: Of some seconds.
        released: Whether push-to-talk is released at the clip's end, instead of silence following.
    """
    started_s = time.monotonic()

    async def play() -> None:
        await speaker.stream(clip.samples, paced=True, silence_s=0.0 if released else TRAILING_SILENCE_S)
        if released:
            await speaker.flush()
            await asyncio.sleep(_RESULT_S)

    playing = asyncio.create_task(play())

    async def hear(listener: Client) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        spoken = 0
        silent_since_s = started_s
        while not playing.done() or spoken < sum(message["type"] == "result" for message in messages) or not spoken:
            if playing.done() and time.monotonic() - silent_since_s > _LOST_S:
                break
            try:
                message = await asyncio.wait_for(anext(listener), 1.0)
            except TimeoutError:
                continue
            if message["type"] in ("partial", "result", "speech"):
                silent_since_s = time.monotonic()
                messages.append(message | {"arrived_s": silent_since_s - started_s})
            spoken += message["type"] == "speech" and message["last"]
            spoken += message["type"] == "result" and message["status"] == "final"
        return messages

    heard = await asyncio.gather(*map(hear, listeners))
    speaker.messages.clear()
    return heard


@dataclass
class _Latencies:
    """Of the utterances of one speaker, in milliseconds."""

    captions: list[float] = field(default_factory=list)
    words: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    split: int = 0
    lost: int = 0

    def add(self, heard: list[list[dict[str, Any]]]) -> None:
        """Note what the listeners got of one clip."""
        captions: dict[str, float] = defaultdict(float)
        words: dict[str, float] = defaultdict(float)
        for message in (message for messages in heard for message in messages if message["type"] != "partial"):
            is_result = message["type"] == "result"
            if is_result or message["last"]:
                for stage, ms in message["timings"].items():
                    self.stages[stage].append(ms)
            if is_result or (message["index"] == 0 and message["audio"]):
                latest, utterance_id = captions if is_result else words, message["utterance_id"]
                latest[utterance_id] = max(latest[utterance_id], message["latency_ms"])
        self.captions += captions.values()
        self.words += words.values()
        self.split += max(len(captions) - 1, 0)
        self.lost += not captions

    def figures(self) -> dict[str, Any]:
        return {
            "caption_ms": harness.spread(self.captions),
            "first_word_ms": harness.spread(self.words),
            "split": self.split,
            "lost": self.lost,
            "stages_ms": {stage: harness.spread(values) for stage, values in self.stages.items()},
        }


async def _speak(port: int, lang: str, targets: Sequence[str], rounds: int) -> tuple[_Latencies, _Latencies]:
    """Have one speaker's clips said in a room of their own; returns those of the first clip, and of the rest."""
    first, rest = _Latencies(), _Latencies()
    room = f"{lang}-{len(targets)}"
    async with AsyncExitStack() as stack:

        async def joined(target: str, name: str) -> Client:
            joining = connect(
                harness.url(port), room=room, target_lang=target, name=name, mode="stream", audio="stream"
            )
            return await stack.enter_async_context(joining)

        speaker = await joined(lang, "speaker")
        listeners = [await joined(target, f"listener {target}") for target in targets]
        for number, clip in enumerate(harness.clips([lang]) * rounds):
            heard = await say(speaker, listeners, clip)
            (rest if number else first).add(heard)
    return first, rest


async def _measure(port: int, listens: dict[str, tuple[str, ...]], rounds: int) -> dict[str, Any]:
    by_way: dict[str, Any] = {}
    captions: list[float] = []
    words: list[float] = []
    for lang, targets in listens.items():
        first, rest = await _speak(port, lang, targets, rounds)
        by_way[f"{lang} → {', '.join(targets)}"] = {
            "first_clip": {"caption_ms": first.captions, "first_word_ms": first.words},
            **rest.figures(),
        }
        captions += rest.captions
        words += rest.words
    return {"caption_ms": harness.spread(captions), "first_word_ms": harness.spread(words), "by_way": by_way}


def _ratio(three: dict[str, Any], one: dict[str, Any], figure: str) -> float:
    """Return how many times as long three listeners wait as one, for the same speakers."""

    def median(measured: dict[str, Any]) -> float:
        ways = measured["by_way"].items()
        return statistics.mean(way[figure]["median"] for name, way in ways if name.split(" → ")[0] in _THREE_LISTEN)

    return round(median(three) / median(one), 2)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both on one server."""
    with harness.server_process() as (port, _):
        one = asyncio.run(_measure(port, _LISTENS, options.rounds))
        three = asyncio.run(_measure(port, _THREE_LISTEN, options.rounds))
    return {
        "one_listener": one,
        "three_listeners": three,
        "three_over_one": {figure: _ratio(three, one, figure) for figure in ("caption_ms", "first_word_ms")},
    }


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=2)
