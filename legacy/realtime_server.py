"""V1's socket server: streamed speech becomes a transcript and its translation, as text."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # started by its file: what it imports is found from the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from fastapi import FastAPI

from babblefish.pipeline.interpreter import Interpreter
from legacy.realtime import LONGEST_S, tell_text
from legacy.realtime import create_app as create_realtime_app
from legacy.serving import run

PORT = 8001


def create_app(interpreter: Interpreter) -> FastAPI:
    """Make the application; see ``realtime.create_app``."""
    return create_realtime_app(interpreter, lambda _: [tell_text])


if __name__ == "__main__":
    run(__doc__, PORT, create_app, max_utterance_s=LONGEST_S)
