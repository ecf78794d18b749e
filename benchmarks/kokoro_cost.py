"""What Kokoro costs on PyTorch in float32 and on ONNX Runtime in float32 and int8: seconds per second of speech.

Run with ``python -m benchmarks.kokoro_cost [--json]``; needs the full extra and onnx. The weights are random, in
the shapes of the published ones, and every phoneme lasts as long, so that all three make the same amount of speech.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kokoro_onnx
import numpy as np
import torch
from kokoro import KModel
from kokoro.model import KModelForONNX
from onnxruntime.quantization import QuantType, quantize_dynamic

from babblefish.engines.kokoro.onnx_runner import OnnxRunner
from babblefish.engines.kokoro.phonemes import Phonemizer
from babblefish.engines.kokoro.synthesizer import Runner
from babblefish.engines.kokoro.torch_runner import TorchRunner
from babblefish.engines.kokoro.voices import STYLES, voices
from babblefish.languages import LANGUAGES
from babblefish.settings import Settings
from benchmarks.support import harness
from tests.support.tiny_kokoro import make_checkpoint

SAMPLE_RATE_HZ = 24_000
BASELINE = "torch float32"
SENTENCES = {
    "eng": "It rained all day, so we stayed at home and read.",
    "fra": "Il a plu toute la journée, alors nous sommes restés à la maison.",
    "spa": "Llovió todo el día, así que nos quedamos en casa leyendo.",
    "ita": "Ha piovuto tutto il giorno, quindi siamo rimasti a casa.",
}
SIDE_BY_SIDE = ("eng", "fra")


def make_models(folder: Path) -> None:
    """Write the checkpoint, its ONNX export in float32 and in int8, and the voices as kokoro-onnx reads them."""
    config = json.loads((Path(kokoro_onnx.__file__).parent / "config.json").read_text(encoding="utf-8"))
    make_checkpoint(folder, STYLES, config)
    voices = {path.stem: torch.load(path).numpy() for path in (folder / "voices").iterdir()}
    np.savez(folder / "voices.npz", **voices)
    # ONNX has no complex numbers; without them KModel computes the same Fourier transforms as convolutions.
    weights = str(folder / "kokoro-v1_0.pth")
    model = KModel(repo_id="hexgrad/Kokoro-82M", config=config, model=weights, disable_complex=True).eval()
    tokens = torch.randint(1, 100, (1, 50))
    torch.onnx.export(
        KModelForONNX(model).eval(),
        (tokens, torch.randn(1, 256), torch.ones(1)),
        str(folder / "float32.onnx"),
        input_names=["tokens", "style", "speed"],
        output_names=["audio", "duration"],
        dynamic_axes={"tokens": {1: "tokens"}, "audio": {0: "samples"}, "duration": {0: "tokens"}},
        opset_version=17,
        dynamo=False,
    )
    quantize_dynamic(folder / "float32.onnx", folder / "int8.onnx", weight_type=QuantType.QUInt8)


def open_runners(folder: Path, threads: int) -> Mapping[str, Runner]:
    voices = folder / "voices.npz"
    return {
        BASELINE: TorchRunner(folder, threads),
        "onnx float32": OnnxRunner(folder / "float32.onnx", voices, threads),
        "onnx int8": OnnxRunner(folder / "int8.onnx", voices, threads),
    }


def speak(runner: Runner, phonemes: str, lang: str) -> tuple[float, float]:
    """Return the seconds that one synthesis took and the seconds of speech it made."""
    kokoro = LANGUAGES[lang].kokoro
    assert kokoro is not None
    started_s = time.perf_counter()
    predicted = runner.predict(phonemes, voices(kokoro, runner.voices)[0].style)
    samples = predicted.sound(np.arange(len(predicted.energy)))
    return time.perf_counter() - started_s, len(samples) / SAMPLE_RATE_HZ


def measure(runners: Mapping[str, Runner], rounds: int) -> Iterator[tuple[str, int, float, float]]:
    """Yield runner, syntheses at once, seconds taken, seconds of speech; the runners take turns."""
    phonemizer = Phonemizer()
    phonemes = {
        lang: phonemizer.phonemes(text, LANGUAGES[lang].kokoro)  # type: ignore[union-attr]
        for lang, text in SENTENCES.items()
    }
    with ThreadPoolExecutor(len(SIDE_BY_SIDE)) as pool:
        for turn in range(rounds + 1):
            for lang, (name, runner) in itertools.product(SENTENCES, runners.items()):
                taken_s, audio_s = speak(runner, phonemes[lang], lang)
                if turn:  # the first warms up
                    yield name, 1, taken_s, audio_s
            for name, runner in runners.items():
                jobs = [pool.submit(speak, runner, phonemes[lang], lang) for lang in SIDE_BY_SIDE]
                for job in jobs:
                    taken_s, audio_s = job.result()
                    if turn:
                        yield name, len(SIDE_BY_SIDE), taken_s, audio_s


def figures(options: argparse.Namespace) -> dict[str, Any]:
    """Return medians of the real-time factor per runner, number of threads and number of syntheses at once."""
    warnings.filterwarnings("ignore")  # of torch's exporter and of what the kokoro package still uses
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_models(folder)
        for threads in sorted({1, 2, Settings().synthesis_threads}):
            factors: dict[tuple[str, int], list[float]] = defaultdict(list)
            speech_s: dict[str, float] = defaultdict(float)
            for runner, at_once, taken_s, audio_s in measure(open_runners(folder, threads), options.rounds):
                factors[runner, at_once].append(taken_s / audio_s)
                speech_s[runner] += audio_s
            assert len(set(speech_s.values())) == 1, "the ways did not make the same amount of speech"
            for (runner, at_once), values in factors.items():
                factor = statistics.median(values)
                rows.append(
                    {
                        "runner": runner,
                        "threads": threads,
                        "at_once": at_once,
                        "real_time_factor": round(factor, 3),
                        "faster_than_torch": round(statistics.median(factors[BASELINE, at_once]) / factor, 2),
                        "n": len(values),
                    }
                )
    return {"rounds": options.rounds, "medians": rows}


if __name__ == "__main__":
    harness.main(__doc__, figures, rounds=2)
