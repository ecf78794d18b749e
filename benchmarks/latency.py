"""End of speech → caption and → first spoken word, per stage: a French and an English speaker who hear each other.

The clips are streamed to the real server at the pace of speech. Latencies count from the last speech the voice
detector found, so the silence that ends an utterance is in them.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import defaultdict
from contextlib import AbstractAsyncContextManager
from typing import Any

from babblefish.cli.demo import TRAILING_SILENCE_S
from babblefish.client import Client, connect
from benchmarks.support import harness

_LISTENER = {"fra": "eng", "eng": "fra"}
_PATIENCE_S = 30.0

_RESULT_S = 1.5
"""The last result is there this long after its utterance, of which there may be several in a clip."""


async def say(speaker: Client, listener: Client, clip: harness.Clip, released: bool = False) -> list[dict[str, Any]]:
    """Play a clip and return what its listener gets, up to the last piece of speech of each utterance found in it.

    Each message has the seconds since the clip's beginning beside its own fields, as ``arrived_s``.

    Args:
        speaker: Who plays it.
        listener: Whose messages they are.
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
    messages: list[dict[str, Any]] = []
    spoken = 0
    async with asyncio.timeout(_PATIENCE_S + clip.duration_s):
        while not playing.done() or spoken < sum(message["type"] == "result" for message in messages) or not spoken:
            try:
                message = await asyncio.wait_for(anext(listener), 1.0)
            except TimeoutError:
                continue
            if message["type"] in ("partial", "result", "speech"):
                messages.append(message | {"arrived_s": time.monotonic() - started_s})
            spoken += message["type"] == "speech" and message["last"]
            spoken += message["type"] == "result" and message["status"] == "final"
    return messages


async def _converse(port: int, clips: list[harness.Clip]) -> dict[str, Any]:
    def joining(lang: str) -> AbstractAsyncContextManager[Client]:
        return connect(harness.url(port), target_lang=lang, name=lang, mode="stream", audio="stream")

    captions: dict[str, list[float]] = defaultdict(list)
    first_audio: dict[str, list[float]] = defaultdict(list)
    stages: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    split = 0
    async with joining("fra") as french, joining("eng") as english:
        person = {"fra": french, "eng": english}
        for clip in clips:
            speaker, listener = person[clip.lang], person[_LISTENER[clip.lang]]
            messages = await say(speaker, listener, clip)
            speaker.messages.clear()
            way = f"{clip.lang} → {_LISTENER[clip.lang]}"
            results = [message for message in messages if message["type"] == "result"]
            split += len(results) - 1
            for result in results:
                captions[way].append(result["latency_ms"])
            spoken = [message for message in messages if message["type"] == "speech" and message["last"]]
            for message in results + spoken:
                for stage, ms in message["timings"].items():
                    stages[way][stage].append(ms)
            firsts = [message for message in messages if message["type"] == "speech" and message["index"] == 0]
            first_audio[way] += [message["latency_ms"] for message in firsts]
    return {
        "utterances_split": split,
        "caption_ms": {way: harness.spread(values) for way, values in captions.items()},
        "first_audio_ms": {way: harness.spread(values) for way, values in first_audio.items()},
        "stages_ms": {
            way: {stage: harness.spread(values) for stage, values in found.items()} for way, found in stages.items()
        },
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Hold the conversation."""
    clips = harness.clips(["fra", "eng"]) * options.rounds
    with harness.server_process() as (port, _):
        return asyncio.run(_converse(port, clips))


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=3)
