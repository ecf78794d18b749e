"""What the server adds over the engines' own time (receive, queue, encode, send), with engines of a set cost.

The engines sleep: 100 ms for the speech translator, 20 ms for the text translator, twice 60 ms for a synthesis that
makes three seconds of speech. What a listener waits beyond the sum of its own path is the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from babblefish.audio import pcm
from babblefish.domain import Deadline, Speech
from babblefish.server.app import create_app, server_config
from babblefish.settings import Settings
from benchmarks import harness
from tests.support.fakes import FakeSynthesizer, make_fakes, speech

_TRANSLATOR_S, _TEXT_S, _PIECE_S = 0.100, 0.020, 0.060
_ENGINES_S = {
    "eng": _TRANSLATOR_S + 2 * _PIECE_S,
    "spa": _TRANSLATOR_S + _TEXT_S + 2 * _PIECE_S,
    "fra": _TRANSLATOR_S,
}


class _Voice(FakeSynthesizer):
    """Speaks for three seconds, as a sentence does."""

    def synthesize(self, text: str, lang: str, deadline: Deadline) -> Iterator[Speech]:
        noise = np.random.default_rng(0).normal(0, 0.1, 36000).astype(np.float32)
        for _ in range(2):
            time.sleep(_PIECE_S)
            yield Speech(noise, 24000, lang, f"fake:{lang}")


def _serve(listener: socket.socket) -> None:
    fakes = make_fakes()
    fakes.speech_translator.delay_s = _TRANSLATOR_S
    fakes.text_translator.delay_s = _TEXT_S
    fakes.synthesizer = _Voice(fakes.calls)
    settings = Settings(log_level="error")
    uvicorn.Server(server_config(create_app(settings, fakes.engines), settings)).run([listener])


async def _listen(port: int, utterances: int, listeners: int) -> list[float]:
    langs = [("eng", "spa", "fra")[index % 3] for index in range(listeners)]
    clients = [
        await connect(f"ws://127.0.0.1:{port}/ws/client?target_lang={lang}", max_size=None, compression=None)
        for lang in langs
    ]

    async def result(client: ClientConnection) -> float:
        while not (await client.recv()).startswith('{"type":"result"'):
            pass
        return time.perf_counter()

    added_ms = []
    frames = [pcm.float_to_pcm16(speech(phrase)) for phrase in (11, 12)]
    for index in range(utterances):
        waiting = [asyncio.create_task(result(client)) for client in clients]
        await asyncio.sleep(0.05)
        sent_s = time.perf_counter()
        await clients[0].send(frames[index % 2])
        arrived = await asyncio.wait_for(asyncio.gather(*waiting), 30)
        if index:  # the first utterance warms up
            added_ms += [(at_s - sent_s - _ENGINES_S[lang]) * 1000 for at_s, lang in zip(arrived, langs, strict=True)]
    for client in clients:
        await client.close()
    return added_ms


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Serve utterances to listeners in three languages and subtract the engines' time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = multiprocessing.get_context("fork").Process(target=_serve, args=(listener,))
        server.start()
        try:
            time.sleep(2)
            added_ms = asyncio.run(_listen(listener.getsockname()[1], options.utterances, options.listeners))
        finally:
            server.terminate()
            server.join(10)
    return {"listeners": options.listeners, "added_ms": harness.spread(added_ms, 2)}


if __name__ == "__main__":
    harness.main(__doc__, measure, utterances=40, listeners=10)
