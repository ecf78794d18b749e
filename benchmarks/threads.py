"""How SeamlessM4T's encoder, a decoder step and Kokoro scale with their threads, and the budget that it suggests.

SeamlessM4T has its real size and random weights (needs 10 GB of memory and of temporary disk, and the full extra);
Kokoro is the int8 model that is installed. The budget of each is the fewest threads with which a call takes at most a
fifth longer than with the best number, so that what is left goes to other calls at the same time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from babblefish.domain import Deadline
from babblefish.engines.kokoro.onnx_runner import OnnxRunner
from babblefish.engines.kokoro.synthesizer import Kokoro
from babblefish.engines.seamless.decoder import Decoder
from babblefish.engines.seamless.model import load_weights
from babblefish.engines.torch_threads import use_threads
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.seamless_cost import LANGUAGES, NO_END, TOKENS, audio, best_s, make_checkpoint, median_s, start
from benchmarks.support import harness

SENTENCE = "The dinner is ready and the soup is still hot, so come and sit with us."
ROWS = 4
_WORTH_IT = 1.2


def budgets() -> list[int]:
    """Return the numbers of threads to try: powers of two up to the CPUs there are, and those."""
    cpus = len(os.sched_getaffinity(0))
    return sorted({*(1 << power for power in range(cpus.bit_length()) if 1 << power <= cpus), cpus})


def seamless_s(threads: list[int]) -> dict[str, dict[int, float]]:
    with tempfile.TemporaryDirectory() as name:
        make_checkpoint(Path(name))
        model = load_weights(Path(name), "int8")
    model.generation_config.eos_token_id = NO_END
    decoder, heard = Decoder(model), audio()
    languages = dict(islice(LANGUAGES.items(), ROWS))

    @torch.inference_mode()
    def encode() -> torch.Tensor:
        return model.speech_encoder(heard["input_features"], attention_mask=heard["attention_mask"])[0]

    encoded = encode()

    def decode(tokens: int) -> None:
        decoder.greedy_search(encoded, languages, tokens, lambda _: False, Deadline.after(600))

    found: dict[str, dict[int, float]] = {"encoder": {}, "step": {}}
    for count in threads:
        use_threads(count)
        found["encoder"][count] = median_s(encode)
        found["step"][count] = (best_s(lambda: decode(TOKENS)) - best_s(lambda: decode(5))) / (TOKENS - 5)
    return found


def synthesis_s(threads: list[int]) -> dict[int, float]:
    folder = Settings().model_dir
    model, voices = (install.locate(name, folder) for name in ("kokoro-int8", "kokoro-voices"))
    found = {}
    for count in threads:
        engine = Kokoro(OnnxRunner(model, voices, count))

        def speak(engine: Kokoro = engine) -> float:
            return sum(piece.duration_s for piece in engine.synthesize(SENTENCE, "eng", Deadline.after(600)))

        found[count] = median_s(speak) / speak()
    return found


def suggested(took_s: dict[int, float]) -> int:
    """Return the fewest threads that come near the best."""
    return next(count for count, seconds in took_s.items() if seconds <= _WORTH_IT * min(took_s.values()))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    threads = [count for count in budgets() if not options.most or count <= options.most]
    start(threads[-1])
    took_s = seamless_s(threads)
    utterance_s = {count: took_s["encoder"][count] + TOKENS * took_s["step"][count] for count in threads}
    speech_s = synthesis_s(threads)
    synthesis = suggested(speech_s)
    return {
        "encoder_ms": {count: round(took * 1000, 1) for count, took in took_s["encoder"].items()},
        f"step_ms_of_{ROWS}_languages": {count: round(took * 1000, 1) for count, took in took_s["step"].items()},
        "kokoro_s_per_s_of_speech": {count: round(took, 2) for count, took in speech_s.items()},
        "suggested": {
            "BABBLEFISH_TRANSLATION_THREADS": suggested(utterance_s),
            "BABBLEFISH_SYNTHESIS_THREADS": synthesis,
            "BABBLEFISH_PARALLEL_SYNTHESES": max(1, len(os.sched_getaffinity(0)) // synthesis),
        },
    }


if __name__ == "__main__":
    harness.main(__doc__ or "", measure, most=0)
