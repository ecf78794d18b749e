"""Two people who speak at once, and listeners of several languages, as load for a real server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from babblefish.cli.demo import TRAILING_SILENCE_S
from babblefish.client import connect
from babblefish.wire.server_messages import AudioFormat
from benchmarks.support import harness

LANGS = ("eng", "fra", "spa", "ita", "pol", "deu")
_FILES = ("spa", "pol")
"""Those who get the speech of an utterance as one file."""

_LISTEN_ON_S = 20.0
"""Nothing more is waited for when no result has come for so long."""


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
    all_said = asyncio.Barrier(len(langs))

    async def listen(lang: str) -> None:
        nonlocal results
        audio: AudioFormat = "wav" if lang in _FILES else "stream"
        async with connect(harness.url(port), target_lang=lang, mode="stream", audio=audio, backlog=None) as client:
            for clip in said.get(lang, ()):
                await client.stream(clip.samples, paced=True, silence_s=TRAILING_SILENCE_S)
            # Who left earlier would be one fewer to translate for.
            await all_said.wait()
            with contextlib.suppress(TimeoutError):
                while True:
                    heard = len(client.of_type("result"))
                    await client.wait_until(lambda before=heard: len(client.of_type("result")) > before, _LISTEN_ON_S)
            results += heard

    async with asyncio.TaskGroup() as tasks:
        for lang in langs:
            tasks.create_task(listen(lang))
    return results
