"""V1's socket server with a voice: streamed speech becomes text and translated speech."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

if not __package__:  # started by its file: what it imports is found from the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from fastapi import FastAPI

from babblefish.pipeline.interpreter import Interpreter
from babblefish.pipeline.spoken_text import SpokenText
from babblefish.pipeline.voices import SpokenPiece
from legacy.realtime import LONGEST_S, Message, Said, Step, tell_text
from legacy.realtime import create_app as create_realtime_app
from legacy.serving import run

PORT = 8002


def speak(interpreter: Interpreter) -> Step:
    """Return the step that speaks a translation, piece by piece as it is made; what needed none is not spoken."""

    async def pieces(said: Said) -> AsyncIterator[Message]:
        if said.translation is None or said.translation.voice is None:
            return
        index = 0
        caption = said.translation.caption
        text = SpokenText(caption.lang, caption.text)
        async for made in interpreter.pipeline.voices.speak(said.translation.job, text, said.translation.timings):
            if isinstance(made, SpokenPiece) and made.wav is not None:
                yield {"type": "speech", "index": index, "voice": made.voice, "audio": made.wav}
                index += 1

    return pieces


def create_app(interpreter: Interpreter) -> FastAPI:
    """Make the application; see ``realtime.create_app``."""
    return create_realtime_app(interpreter, lambda interpreter: [tell_text, speak(interpreter)])


if __name__ == "__main__":
    run(__doc__, PORT, create_app, max_utterance_s=LONGEST_S)
