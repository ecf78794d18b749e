"""The program that asks eSpeak NG for phonemes, as ``kokoro_onnx`` does: a text may end the library's process.

Asked a list of a text and a language (in eSpeak NG's own code) it answers with ``phonemes`` or ``error``.
"""

from __future__ import annotations

import json
import sys

import espeakng_loader
import phonemizer
from phonemizer.backend.espeak.wrapper import EspeakWrapper


def main() -> None:
    """Answer until the input ends."""
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    for line in sys.stdin:
        text, code = json.loads(line)
        try:
            read = phonemizer.phonemize(text, code, preserve_punctuation=True, with_stress=True)
            answer = {"phonemes": read}
        except (RuntimeError, ValueError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
