"""V1's socket server for several people: text and speech, and whose voice it was."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

if not __package__:  # started by its file: what it imports is found from the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from fastapi import FastAPI

from babblefish.conversation.speakers import SpeakerRegistry
from babblefish.pipeline.interpreter import Interpreter
from legacy.realtime import LONGEST_S, Message, Said, Step, tell_text
from legacy.realtime import create_app as create_realtime_app
from legacy.realtime_server_tts import speak
from legacy.serving import run

PORT = 8003

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")
"""Told apart by the colour-blind, too (Okabe and Ito, "Color Universal Design", 2008). The ninth voice begins anew."""


def tell_speaker(interpreter: Interpreter) -> Step:
    """Return the step that says whose voice it was, and whose were heard on this connection so far."""
    encoder, settings = interpreter.pipeline.engines.speaker_encoder, interpreter.settings
    registry = SpeakerRegistry(encoder.scale, settings.speaker_min_s, settings.speaker_threshold)

    async def speaker(said: Said) -> AsyncIterator[Message]:
        if said.recognition.embedding is None:
            return
        match = registry.identify(said.recognition.embedding, said.segment.speech_s, client_id="")
        yield {
            "type": "speaker",
            "speaker_id": match.speaker_id,
            "name": match.name,
            "confidence": round(match.confidence, 3),
            "speakers": [
                {
                    "speaker_id": known.speaker_id,
                    "name": known.name,
                    "color": _color(known.speaker_id),
                    "samples": known.samples,
                }
                for known in registry.list()
            ],
        }

    return speaker


def _color(speaker_id: str) -> str:
    number = int(speaker_id.rpartition("_")[2])
    return _COLORS[(number - 1) % len(_COLORS)]


def create_app(interpreter: Interpreter) -> FastAPI:
    """Make the application; see ``realtime.create_app``."""
    return create_realtime_app(
        interpreter,
        lambda interpreter: [tell_speaker(interpreter), tell_text, speak(interpreter)],
        with_voice=True,
    )


if __name__ == "__main__":
    run(__doc__, PORT, create_app, max_utterance_s=LONGEST_S)
