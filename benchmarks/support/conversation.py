"""Two people who speak at once, and listeners of several languages, as load for a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from urllib.parse import urlencode

from websockets.asyncio.client import connect

from babblefish.cli import demo
from benchmarks.support import harness

LANGS = ("eng", "fra", "spa", "ita", "pol", "deu")
_FILES = ("spa", "pol")
"""Those who get the speech of an utterance as one file."""

_LISTEN_ON_S = 10.0


def recordings(rounds: int) -> dict[str, list[harness.Clip]]:
    """Read what is said, by language; not while something is being measured."""
    return {lang: harness.clips([lang]) * rounds for lang in ("fra", "eng")}


async def hold(port: int, langs: Sequence[str], said: dict[str, list[harness.Clip]]) -> int:
    """Hold the conversation at the pace of speech.

    Args:
        port: Of the server on this machine.
        langs: What each listener hears; those that are a key of ``said`` also speak.
        said: What they say, by language.

    Returns:
        The number of results that arrived at all listeners.
    """
    results = 0

    async def listen(lang: str) -> None:
        nonlocal results
        query = {"target_lang": lang, "mode": "stream", "audio": "wav" if lang in _FILES else "stream"}
        async with connect(f"ws://127.0.0.1:{port}/ws/client?{urlencode(query)}", max_size=None) as client:

            async def count() -> None:
                nonlocal results
                async for text in client:
                    results += json.loads(text)["type"] == "result"

            counting = asyncio.create_task(count())
            for clip in said.get(lang, ()):
                await demo.play(client, clip.samples)
            await asyncio.sleep(_LISTEN_ON_S)
            counting.cancel()

    async with asyncio.TaskGroup() as tasks:
        for lang in langs:
            tasks.create_task(listen(lang))
    return results
