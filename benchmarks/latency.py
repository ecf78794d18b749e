"""End of speech → caption and → first spoken word, per stage: a French and an English speaker who hear each other.

The clips are streamed to the real server at the pace of speech. Latencies count from the last speech the voice
detector found, so the silence that ends an utterance is in them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import defaultdict
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect

from babblefish.cli import demo
from benchmarks.support import harness

_LISTENER = {"fra": "eng", "eng": "fra"}
_PATIENCE_S = 30.0

_RESULT_S = 1.5
"""The last result is there this long after its utterance, of which there may be several in a clip."""


async def say(
    speaker: ClientConnection, listener: ClientConnection, clip: harness.Clip, released: bool = False
) -> list[dict[str, Any]]:
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
        await (demo.play(speaker, clip.samples, 0.0) if released else demo.play(speaker, clip.samples))
        if released:
            await speaker.send('{"type": "flush"}')
            await asyncio.sleep(_RESULT_S)

    playing = asyncio.create_task(play())
    messages: list[dict[str, Any]] = []
    spoken = 0
    async with asyncio.timeout(_PATIENCE_S + clip.duration_s):
        while not playing.done() or spoken < sum(message["type"] == "result" for message in messages) or not spoken:
            try:
                message = json.loads(await asyncio.wait_for(listener.recv(), 1.0))
            except TimeoutError:
                continue
            if message["type"] in ("partial", "result", "speech"):
                messages.append(message | {"arrived_s": time.monotonic() - started_s})
            spoken += message["type"] == "speech" and message["last"]
            spoken += message["type"] == "result" and message["status"] == "final"
    return messages


async def _converse(port: int, rounds: int) -> dict[str, Any]:
    def url(lang: str) -> str:
        query = {"target_lang": lang, "name": lang, "mode": "stream", "audio": "stream"}
        return f"ws://127.0.0.1:{port}/ws/client?{urlencode(query)}"

    captions: dict[str, list[float]] = defaultdict(list)
    first_audio: dict[str, list[float]] = defaultdict(list)
    stages: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    split = 0
    async with connect(url("fra"), max_size=None) as french, connect(url("eng"), max_size=None) as english:
        person = {"fra": french, "eng": english}

        async def drain(client: ClientConnection) -> None:
            async for _ in client:
                pass

        for _ in range(rounds):
            for clip in harness.clips(["fra", "eng"]):
                speaker, listener = person[clip.lang], person[_LISTENER[clip.lang]]
                draining = asyncio.create_task(drain(speaker))
                messages = await say(speaker, listener, clip)
                draining.cancel()
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
    with harness.server_process() as (port, _):
        return asyncio.run(_converse(port, options.rounds))


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=4)
