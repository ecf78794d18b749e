"""What one utterance costs SeamlessM4T v2: the first design's way against ours, on the real-size architecture.

Weights are random, so that no model has to be there: cost depends on shapes alone, and no row ever ends. The first
design ran float32 and one whole ``generate`` per listener's language, and one for the transcript. Every part runs in a
process of its own, so that each has its own peak of memory. Needs about 12 GB of memory, and of temporary disk.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import (
    GenerationConfig,
    SeamlessM4TFeatureExtractor,
    SeamlessM4Tv2Config,
    SeamlessM4Tv2ForSpeechToText,
    SeamlessM4Tv2Model,
)
from transformers.utils import logging

from babblefish.domain import SAMPLE_RATE_HZ, Deadline, NoSpeechError
from babblefish.engines.contracts import SpeechRequest
from babblefish.engines.seamless import speech_translator
from babblefish.engines.seamless.decoder import Decoder
from babblefish.engines.seamless.int8 import Int8Linear
from babblefish.engines.seamless.model import SeamlessModel, load_weights
from benchmarks.support import harness

AUDIO_S = 3
TOKENS = 15
LISTENERS = (1, 2, 3, 5)
LANGUAGES = {code: 256_000 + index for index, code in enumerate(("eng", "fra", "pol", "deu", "spa", "ita"))}
PEOPLE = 4
ROUNDS = 5
NO_END = -1


def seconds(call: Callable[[], Any]) -> float:
    started_s = time.perf_counter()
    call()
    return time.perf_counter() - started_s


def median_s(call: Callable[[], Any], times: int = 3) -> float:
    """Return the median of several calls, after one that does not count."""
    call()
    return statistics.median(seconds(call) for _ in range(times))


def best_s(call: Callable[[], Any], times: int = 7) -> float:
    return min(seconds(call) for _ in range(times))


def peak_memory_gb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1)


def memory_gb() -> dict[str, float]:
    """Return what is held now: allocated, and mapped from files, which makes way for others where memory is short."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        kind: round(int(status[name].split()[0]) / 1e6, 1)
        for kind, name in (("allocated_gb", "RssAnon"), ("mapped_gb", "RssFile"))
    }


def start(threads: int) -> None:
    torch.set_num_threads(threads)
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def make_checkpoint(folder: Path) -> None:
    with torch.device("meta"):
        model = SeamlessM4Tv2Model(SeamlessM4Tv2Config())
    block = torch.from_numpy(np.random.default_rng(0).normal(0, 0.02, 1 << 20).astype(np.float32))
    filled = {}
    for name, tensor in model.state_dict().items():
        if name in model.all_tied_weights_keys:
            continue
        if "layer_norm" in name:
            filled[name] = torch.full(tensor.shape, float(name.endswith("weight")))
        else:
            filled[name] = block.repeat(-(-tensor.numel() // len(block)))[: tensor.numel()].view(tensor.shape)
    model.load_state_dict(filled, strict=False, assign=True)
    model.tie_weights()
    model.generation_config = GenerationConfig(
        decoder_start_token_id=3, pad_token_id=0, text_decoder_lang_to_code_id=LANGUAGES
    )
    model.save_pretrained(folder)


def audio() -> Any:
    samples = np.random.default_rng(0).normal(0, 0.1, AUDIO_S * SAMPLE_RATE_HZ).astype(np.float32)
    return SeamlessM4TFeatureExtractor()(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")


@torch.inference_mode()
def logits(model: SeamlessM4Tv2ForSpeechToText | SeamlessM4Tv2Model, heard: Any) -> torch.Tensor:
    """Return the logits of the first word in four languages, shape ``[4, vocabulary]``."""
    encoded = model.speech_encoder(heard["input_features"], attention_mask=heard["attention_mask"])[0]
    prompts = torch.tensor([[3, token] for token in list(LANGUAGES.values())[:4]])
    made: torch.Tensor = model(encoder_outputs=(encoded.expand(4, -1, -1),), decoder_input_ids=prompts).logits
    return made[:, -1]


def first_design(folder: Path, threads: int) -> dict[str, Any]:
    start(threads)
    model = SeamlessM4Tv2ForSpeechToText.from_pretrained(folder, dtype=torch.float32).eval()
    heard = audio()
    languages = list(LANGUAGES)

    def serve(listeners: int) -> None:
        for language in languages[: listeners + 1]:
            model.generate(**heard, tgt_lang=language, max_new_tokens=TOKENS, num_beams=1, do_sample=False)

    serve(0)
    np.save(folder / "logits.npy", logits(model, heard).numpy())
    return {"seconds": {n: round(seconds(lambda n=n: serve(n)), 2) for n in LISTENERS}, "peak_gb": peak_memory_gb()}


def load(folder: Path, threads: int) -> dict[str, Any]:
    start(threads)
    kept = []
    took_s = seconds(lambda: kept.append(load_weights(folder, "int8")))
    return {"load_s": round(took_s, 1), "peak_gb": peak_memory_gb(), **memory_gb()}


def bandwidth_gb_s(source: torch.Tensor) -> float:
    """Return what reading memory reaches at best in a few tries."""
    return source.nbytes / 1e9 / best_s(source.sum, 3)


def ours(folder: Path, threads: int) -> dict[str, Any]:
    start(threads)
    memory = torch.ones(1 << 28)
    model = load_weights(folder, "int8")
    model.generation_config.eos_token_id = NO_END
    decoder = Decoder(model)
    # Random weights have no words. As if every other one were in letters that none of the languages has:
    half = Decoder(model, ["a", "я"] * (model.config.vocab_size // 2))
    with patch.object(Int8Linear, "forward", one_scale_per_call):  # which a decoder takes over when it is made
        coarse = Decoder(model)
    heard = audio()

    @torch.inference_mode()
    def encode() -> torch.Tensor:
        return model.speech_encoder(heard["input_features"], attention_mask=heard["attention_mask"])[0]

    def decode(rows: int, tokens: int = TOKENS, decoder: Decoder = decoder) -> None:
        languages = dict(islice(LANGUAGES.items(), rows))
        decoder.greedy_search(encoded, languages, tokens, lambda _: False, Deadline.after(600))

    def serve(rows: int) -> None:
        encode()
        decode(rows)

    encoded = encode()
    features_s, encode_s = median_s(audio), median_s(encode)
    total_s = {rows: median_s(lambda rows=rows: serve(rows)) for rows in (1, 2, 3, 4, 6)}

    # Best of several, as the bandwidth is: the difference of two medians drowns in what else the machine does.
    def step_s(rows: int, decoder: Decoder) -> float:
        decode(rows, 1, decoder)
        whole_s, begun_s = (best_s(lambda tokens=tokens: decode(rows, tokens, decoder), 3) for tokens in (TOKENS, 5))
        return (whole_s - begun_s) / (TOKENS - 5)

    # A shared machine's bandwidth changes from one minute to the next, so each step has one measured beside it.
    cases = {"batch 1": (1, decoder), "batch 4": (4, decoder), "batch 6": (6, decoder)}
    cases["batch 4, half of the vocabulary"] = (4, half)
    cases["batch 4, one scale per call"] = (4, coarse)
    rounds = [(bandwidth_gb_s(memory), {name: step_s(*case) for name, case in cases.items()}) for _ in range(ROUNDS)]
    hidden = torch.randn(4, model.config.hidden_size)
    head_s = median_s(lambda: model.lm_head(hidden), 9)
    matrices = {
        name: module.in_features * module.out_features
        for name, module in model.named_modules()
        if isinstance(module, Int8Linear) and name.startswith(("text_decoder.", "lm_head"))
    }
    # Keys and values of what was heard are computed once per utterance.
    per_step = sum(
        size for name, size in matrices.items() if not name.endswith(("attention.k_proj", "attention.v_proj"))
    )
    exact = torch.from_numpy(np.load(folder / "logits.npy"))
    error = float((logits(model, heard) - exact).norm() / exact.norm())
    floors_s = [per_step / 1e9 / bandwidth for bandwidth, _ in rounds]
    over = {
        name: [steps_s[name] / floor_s for floor_s, (_, steps_s) in zip(floors_s, rounds, strict=True)]
        for name in cases
    }
    return {
        "bandwidth_gb_s": [round(bandwidth, 1) for bandwidth, _ in rounds],
        "weights_read_per_step_gb": round(per_step / 1e9, 3),
        "step_floor_ms": round(statistics.median(floors_s) * 1000, 1),
        "step_ms": {name: round(statistics.median(steps_s[name] for _, steps_s in rounds) * 1000, 1) for name in cases},
        "step_over_floor": {name: round(statistics.median(ratios), 2) for name, ratios in over.items()},
        "step_over_floor_best_and_worst": {
            name: [round(min(ratios), 2), round(max(ratios), 2)] for name, ratios in over.items()
        },
        "output_layer_ms_batch_4": round(head_s * 1000, 1),
        "logits_relative_error_to_float32": round(error, 4),
        "error_beside_outliers": outliers(model.text_decoder.layers[0].ffn.fc1),
        "features_ms": round(features_s * 1000, 1),
        "encode_ms": round(encode_s * 1000, 1),
        "seconds": {n: round(total_s[n + 1], 2) for n in LISTENERS},
        "four_languages_over_one": round(total_s[4] / total_s[1], 2),
        "encoder_where_percent": where(encode),
        "decoder_where_percent_batch_4": where(lambda: decode(4)),
        "peak_gb": peak_memory_gb(),
    }


def one_scale_per_call(layer: Int8Linear, x: torch.Tensor) -> torch.Tensor:
    """Compute a layer with one scale for the activations of all rows, as the kernel does by itself."""
    y: torch.Tensor = torch.ops.quantized.linear_dynamic(x, layer._packed)
    return y if layer._bias is None else y + layer._bias


def outliers(layer: Int8Linear) -> dict[str, Any]:
    """Return the error of 49 rows beside one whose values are so many times as large, with a scale for all and each."""
    rows = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (50, layer.in_features)).astype(np.float32))
    weight, scale, bias = layer._unpacked()
    exact_weight = weight.float() * scale.float()[:, None]
    found = {}
    for times in (1, 30, 100):
        x = rows.clone()
        x[0] *= times
        exact = x @ exact_weight.T + (0.0 if bias is None else bias)
        errors = [(y - exact)[1:].norm() / exact[1:].norm() for y in (one_scale_per_call(layer, x), layer(x))]
        found[f"times {times}"] = dict(zip(("per call", "per row"), (round(float(e), 4) for e in errors), strict=True))
    return found


class NoTokenizer:
    """Random weights say nothing that has a text."""

    def decode(self, tokens: list[int], skip_special_tokens: bool) -> str:
        """Return the text of tokens."""
        return ""


def people_at_once(folder: Path, threads: int) -> dict[str, Any]:
    """Compare utterances of several people served together with one after another, two languages each."""
    start(threads)
    model = load_weights(folder, "int8")
    model.generation_config.eos_token_id = NO_END
    # Every row is to have the same length: no limit by the length of the audio, no guard against loops.
    speech_translator.max_speech_tokens = lambda _: TOKENS
    speech_translator.is_looping = lambda _: False
    loaded = SeamlessModel(model, NoTokenizer(), SeamlessM4TFeatureExtractor(), Decoder(model), LANGUAGES)
    engine = speech_translator.SeamlessSpeechTranslator(loaded, threads, Mock(speech_translator.Recogniser))
    noise = np.random.default_rng(0).normal(0, 0.1, (PEOPLE, AUDIO_S * SAMPLE_RATE_HZ)).astype(np.float32)

    def requests() -> list[SpeechRequest]:
        return [SpeechRequest(one, Deadline.after(600), lambda _: ("fra",), frozenset({"eng"})) for one in noise]

    def serve(waiting: list[SpeechRequest]) -> None:
        answered = list(engine.translate_batch(lambda: waiting.pop() if waiting else None))
        assert all(isinstance(outcome, NoSpeechError) for _, outcome in answered)

    def one_after_another() -> None:
        for request in requests():
            serve([request])

    serve(requests())
    pairs = [(seconds(one_after_another), seconds(lambda: serve(requests()))) for _ in range(ROUNDS)]
    ratios = [apart / together for apart, together in pairs]
    return {
        "people": PEOPLE,
        "one_after_another_s": round(statistics.median(apart for apart, _ in pairs), 2),
        "together_s": round(statistics.median(together for _, together in pairs), 2),
        "times_the_throughput": round(statistics.median(ratios), 2),
        "least_and_most": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def where(call: Callable[[], Any]) -> dict[str, float]:
    """Return the share of time of the costliest operations; between them is Python and PyTorch's dispatch."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        whole_us = seconds(call) * 1e6
    operations = sorted(recorded.key_averages(), key=lambda event: -event.self_cpu_time_total)
    shares = {event.key: round(100 * event.self_cpu_time_total / whole_us, 1) for event in operations[:8]}
    inside_us = sum(event.self_cpu_time_total for event in operations)
    return shares | {"outside operations": round(100 * (1 - inside_us / whole_us), 1)}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        harness.alone(make_checkpoint, folder)
        theirs = harness.alone(first_design, folder, options.threads)
        loads = [harness.alone(load, folder, options.threads) for _ in range(2)]
        mine = harness.alone(ours, folder, options.threads)
        together = harness.alone(people_at_once, folder, options.threads)
    return {
        "audio_s": AUDIO_S,
        "tokens_per_language": TOKENS,
        "threads": options.threads,
        "first_design_float32": theirs,
        "ours_int8": mine,
        "people_at_once": together,
        "times_faster": {n: round(theirs["seconds"][n] / mine["seconds"][n], 1) for n in LISTENERS},
        "first_load": loads[0],
        "second_load": loads[1],
    }


if __name__ == "__main__":
    harness.main(__doc__ or "", measure, threads=2)
