"""What the server adds over the engines' own time (receive, queue, encode, send), with engines of a set cost.

The engines sleep: 100 ms for the speech translator, 20 ms for the text translator, 60 ms for each of two pieces of
speech, which are heard for 1.5 s each. What arrives later than the engines alone would have it is the server's, and the
benchmark's own reading of it. What the engines alone would take follows what the server is specified to do: texts are
translated side by side, and ``parallel_syntheses`` pieces of speech are made at a time, the one that is needed soonest
first (``Worker.stream``).

Three in four listeners get pieces of speech as they are made, the others one ``file`` with all of it. The server learns
that a synthesis has ended only when it asks for another piece, in its turn; what a file waits for that is counted, too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from babblefish.audio import pcm
from babblefish.client import Client, Message, connect
from babblefish.domain import Deadline, Speech
from babblefish.server.app import create_app
from babblefish.settings import Settings
from babblefish.wire.server_messages import AudioFormat
from benchmarks.support import harness
from tests.support.fakes import FakeSynthesizer, make_fakes, speech

_TRANSLATOR_S, _TEXT_S, _PIECE_S = 0.100, 0.020, 0.060
_PIECES, _HEARD_S = 2, 1.5
_SPOKEN = "fra"
_CAPTION_S = {"eng": _TRANSLATOR_S, "spa": _TRANSLATOR_S + _TEXT_S, _SPOKEN: _TRANSLATOR_S}
_PAUSE_S = 0.05
_PATIENCE_S = 30.0


class _Voice(FakeSynthesizer):
    """Speaks for three seconds, as a sentence does."""

    def synthesize(self, text: str, lang: str, deadline: Deadline, voice: str | None = None) -> Iterator[Speech]:
        noise = np.random.default_rng(0).normal(0, 0.1, int(_HEARD_S * 24_000)).astype(np.float32)
        for _ in range(_PIECES):
            time.sleep(_PIECE_S)
            yield Speech(noise, 24_000, lang, voice or f"fake:{lang}")


def pieces_s(asked_s: Mapping[str, float], at_once: int) -> dict[str, list[float]]:
    """Return when each piece of speech is made if nothing but making it takes time.

    Args:
        asked_s: Language → when its speech is asked for.
        at_once: Pieces that are made at a time: always that of the language whose listeners run out of speech first.

    Returns:
        Language → when each of its pieces is there, on the same clock.
    """
    free_s = [0.0] * at_once
    ready_s, runs_out_s = dict(asked_s), dict(asked_s)
    made_s: dict[str, list[float]] = {lang: [] for lang in asked_s}
    while ready_s:
        place = free_s.index(min(free_s))
        begins_s = max(free_s[place], min(ready_s.values()))
        waiting = [lang for lang, at_s in ready_s.items() if at_s <= begins_s]
        lang = min(waiting, key=lambda lang: (runs_out_s[lang], ready_s[lang]))
        ends_s = free_s[place] = ready_s[lang] = begins_s + _PIECE_S
        runs_out_s[lang] = max(runs_out_s[lang], ends_s) + _HEARD_S
        made_s[lang].append(ends_s)
        if len(made_s[lang]) == _PIECES:
            del ready_s[lang]
    return made_s


def expected_s(at_once: int) -> dict[tuple[str, str], dict[str, float]]:
    """Return what the engines alone would take, from the end of speech.

    Args:
        at_once: Pieces of speech that are made at a time.

    Returns:
        For each language and audio format what arrives, by its name, and when. The first and the last piece of speech
        are one message each; ``file`` is the caption with all of its speech.
    """
    made_s = pieces_s({lang: at_s for lang, at_s in _CAPTION_S.items() if lang != _SPOKEN}, at_once)
    expected = {}
    for lang, at_s in _CAPTION_S.items():
        first_s, last_s = made_s.get(lang, (0.0, 0.0))
        spoken = {"first piece": first_s, "last piece": last_s} if lang in made_s else {}
        expected[lang, "stream"] = {"caption": at_s, **spoken}
        expected[lang, "wav"] = {"file": last_s} if lang in made_s else {"caption": at_s}
    return expected


def _serve(listener: socket.socket, settings: Settings) -> None:
    fakes = make_fakes()
    fakes.speech_translator.delay_s = _TRANSLATOR_S
    fakes.text_translator.delay_s = _TEXT_S
    fakes.synthesizer = _Voice(fakes.calls)
    harness.serve_app(listener, create_app(settings, fakes.engines), settings)


def _name(message: Message) -> str | None:
    """Name what a message brings, as ``expected_s`` does; None for what nobody waits for."""
    match message["type"]:
        case "result":
            return "file" if message["tts_audio"] else "caption"
        case "speech" if message["audio"]:
            return "first piece" if message["index"] == 0 else "last piece"
    return None


async def _listen(port: int, utterances: int, listeners: int, at_once: int) -> dict[str, list[float]]:
    expected = expected_s(at_once)
    kinds: list[tuple[str, AudioFormat]] = [
        (("eng", "spa", "fra")[index % 3], "wav" if index % 4 == 3 else "stream") for index in range(listeners)
    ]
    frames = [pcm.float_to_pcm16(speech(phrase)) for phrase in (11, 12)]

    async def arrivals(client: Client, kind: tuple[str, AudioFormat]) -> dict[str, float]:
        """Wait for all that one client is to get."""
        arrived: dict[str, float] = {}
        while arrived.keys() != expected[kind].keys():
            message = await anext(client)
            now_s = time.perf_counter()
            name = _name(message)
            if name is not None:
                arrived[name] = now_s
        return arrived

    added_ms: dict[str, list[float]] = defaultdict(list)
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(connect(harness.url(port), target_lang=lang, audio=audio))
            for lang, audio in kinds
        ]
        for number in range(utterances):
            waiting = [asyncio.create_task(arrivals(*one)) for one in zip(clients, kinds, strict=True)]
            await asyncio.sleep(_PAUSE_S)
            sent_s = time.perf_counter()
            await clients[0].send(frames[number % 2])
            for kind, arrived in zip(kinds, await asyncio.wait_for(asyncio.gather(*waiting), _PATIENCE_S), strict=True):
                for name, at_s in arrived.items():
                    if number:  # the first utterance warms up
                        added_ms[name].append((at_s - sent_s - expected[kind][name]) * 1000)
    return added_ms


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Serve utterances to listeners in three languages and subtract what the engines alone would take."""
    settings = Settings(log_level="error", connections_per_address=options.listeners + 1)
    with harness.serving(_serve, settings) as (port, _):
        added_ms = asyncio.run(_listen(port, options.utterances, options.listeners, settings.parallel_syntheses))
    return {
        "listeners": options.listeners,
        "parallel_syntheses": settings.parallel_syntheses,
        "added_ms": {name: harness.spread(values, 2) for name, values in sorted(added_ms.items())},
    }


if __name__ == "__main__":
    harness.main(__doc__, measure, utterances=40, listeners=10)
