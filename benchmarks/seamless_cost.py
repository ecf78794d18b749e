"""What one utterance costs SeamlessM4T v2: the first design's way against ours, on the real-size architecture.

Weights are random, so that no model has to be there: cost depends on shapes alone, and no row ever ends. The first
design ran float32 and one whole ``generate`` per listener's language, and one for the transcript. Every part runs in a
process of its own, so that each has its own peak of memory, and may be asked for alone: ``--parts encoder,steps``.

``encoder``, ``steps``, ``served`` and ``people`` make int8 weights in memory within seconds and need 6 GB.
``first_design`` and ``load`` write float32 weights first and need about 12 GB of memory, and of temporary disk.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
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

from babblefish.domain import SAMPLE_RATE_HZ, Deadline
from babblefish.engines.contracts import SpeechRequest
from babblefish.engines.seamless import int8, speech_translator
from babblefish.engines.seamless.checkpoint import empty_model
from babblefish.engines.seamless.decoder import Decoder
from babblefish.engines.seamless.int8 import Int8Linear
from babblefish.engines.seamless.model import DType, SeamlessModel, load_weights
from babblefish.errors import NoSpeechError
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


def make_int8(**layers: int) -> SeamlessM4Tv2Model:
    """Return a model with int8 weights, made in memory: what hears and writes in real size, and little of the rest.

    Args:
        layers: Settings of the configuration, for parts that are not measured.
    """
    unused = {"encoder_layers": 1, "t2u_encoder_layers": 1, "t2u_decoder_layers": 1}
    with tempfile.TemporaryDirectory() as name:
        SeamlessM4Tv2Config(**(unused | layers)).save_pretrained(name)
        GenerationConfig(
            decoder_start_token_id=3, eos_token_id=NO_END, pad_token_id=0, text_decoder_lang_to_code_id=LANGUAGES
        ).save_pretrained(name)
        model = empty_model(Path(name))
    # Of a standard deviation of 0.02, as those of the float weights.
    block = torch.from_numpy(np.random.default_rng(0).normal(0, 32, 1 << 20).clip(-127, 127).astype(np.int8))
    tensors = {}
    for name, like in int8._layout(model).items():
        if like.dtype == torch.int8:
            tensors[name] = block.repeat(-(-like.numel() // len(block)))[: like.numel()].view(like.shape)
        elif name.endswith(".scale"):
            tensors[name] = torch.full(like.shape, 0.02 / 32)
        elif "layer_norm" in name:
            tensors[name] = torch.full(like.shape, float(name.endswith("weight")))
        else:
            tensors[name] = torch.from_numpy(
                np.random.default_rng(0).normal(0, 0.02, tuple(like.shape)).astype(np.float32)
            )
    int8._fill(model, tensors)
    return model


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


def first_design(threads: int) -> dict[str, Any]:
    """Time the first design's way."""
    with tempfile.TemporaryDirectory() as name:
        harness.alone(make_checkpoint, Path(name))
        figures: dict[str, Any] = harness.alone(_first_design, Path(name), threads)
    return figures


def _first_design(folder: Path, threads: int) -> dict[str, Any]:
    start(threads)
    model = SeamlessM4Tv2ForSpeechToText.from_pretrained(folder, dtype=torch.float32).eval()
    heard = audio()
    languages = list(LANGUAGES)

    def serve(listeners: int) -> None:
        for language in languages[: listeners + 1]:
            model.generate(**heard, tgt_lang=language, max_new_tokens=TOKENS, num_beams=1, do_sample=False)

    serve(0)
    return {"seconds": {n: round(seconds(lambda n=n: serve(n)), 2) for n in LISTENERS}, "peak_gb": peak_memory_gb()}


def load(threads: int) -> dict[str, Any]:
    """Load twice, from float weights and from what the first start has kept, and hold int8 against float32."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        harness.alone(make_checkpoint, folder)
        loads = [harness.alone(_load, folder, threads) for _ in range(2)]
        exact, rounded = (harness.alone(_logits, folder, threads, dtype) for dtype in ("float32", "int8"))
    error = float(np.linalg.norm(rounded - exact) / np.linalg.norm(exact))
    return {"first": loads[0], "second": loads[1], "logits_relative_error_to_float32": round(error, 4)}


def _load(folder: Path, threads: int) -> dict[str, Any]:
    start(threads)
    kept = []
    took_s = seconds(lambda: kept.append(load_weights(folder, "int8")))
    return {"load_s": round(took_s, 1), "peak_gb": peak_memory_gb(), **memory_gb()}


def _logits(folder: Path, threads: int, dtype: DType) -> Any:
    start(threads)
    return logits(load_weights(folder, dtype), audio()).numpy()


def bandwidth_gb_s(source: torch.Tensor) -> float:
    """Return what reading memory reaches at best in a few tries."""
    return source.nbytes / 1e9 / best_s(source.sum, 3)


@torch.inference_mode()
def encode(model: SeamlessM4Tv2Model, heard: Any) -> torch.Tensor:
    encoded: torch.Tensor = model.speech_encoder(
        heard["input_features"], attention_mask=heard["attention_mask"]
    ).last_hidden_state
    return encoded


def decode(decoder: Decoder, encoded: torch.Tensor, rows: int, tokens: int = TOKENS) -> None:
    languages = dict(islice(LANGUAGES.items(), rows))
    decoder.greedy_search(encoded, languages, tokens, lambda _: False, Deadline.after(600))


def served(threads: int) -> dict[str, Any]:
    """Time an utterance from its features to the last token, for several numbers of languages."""
    start(threads)
    model, heard = make_int8(), audio()
    decoder = Decoder(model)

    def serve(rows: int) -> None:
        decode(decoder, encode(model, heard), rows)

    total_s = {rows: median_s(lambda rows=rows: serve(rows)) for rows in (1, 2, 3, 4, 6)}
    return {
        "features_ms": round(median_s(audio) * 1000, 1),
        "seconds": {n: round(total_s[n + 1], 2) for n in LISTENERS},
        "four_languages_over_one": round(total_s[4] / total_s[1], 2),
    }


def encoder(threads: int) -> dict[str, Any]:
    """Time the encoder pass and say where its time goes; compare ways to compute a depthwise convolution."""
    start(threads)
    model, heard = make_int8(decoder_layers=1), audio()
    encode_s = median_s(lambda: encode(model, heard), 7)
    convolutions = [module for module in model.speech_encoder.modules() if isinstance(module, torch.nn.Conv1d)]
    inputs: dict[torch.nn.Module, torch.Tensor] = {}
    hooks = [
        module.register_forward_pre_hook(lambda module, given: inputs.update({module: given[0].clone()}))
        for module in convolutions
    ]
    encode(model, heard)
    for hook in hooks:
        hook.remove()
    by_kind = {"depthwise": 0.0, "adapter": 0.0}
    with torch.inference_mode():
        for module in convolutions:
            kind = "depthwise" if module.groups > 1 else "adapter"
            by_kind[kind] += median_s(lambda module=module: module(inputs[module]), 5)
        first = next(module for module in convolutions if module.groups > 1)
        ways = depthwise_ways(inputs[first], first.weight)
    return {
        "encode_ms": round(encode_s * 1000, 1),
        "where_percent": where(lambda: encode(model, heard)),
        "convolutions_percent": {kind: round(100 * took_s / encode_s, 1) for kind, took_s in by_kind.items()},
        "depthwise_over_pytorchs": ways,
    }


def depthwise_ways(x: torch.Tensor, weight: torch.Tensor) -> dict[str, float]:
    """Return what other ways to compute a depthwise convolution cost, over PyTorch's own.

    Args:
        x: Shape ``[1, channels, time]``.
        weight: Shape ``[channels, 1, width]``.
    """
    channels, _, width = weight.shape
    length = x.shape[2] - width + 1
    taps = weight[:, 0].t().contiguous()

    def sum_of_shifted() -> torch.Tensor:
        turned = x[0].t().contiguous()
        y = turned[:length] * taps[0]
        for tap in range(1, width):
            y.addcmul_(turned[tap : tap + length], taps[tap])
        return y.t()[None]

    def product_of_windows() -> torch.Tensor:
        return (x[0].unfold(1, width, 1) @ weight[:, 0, :, None])[None, ..., 0]

    def channels_last() -> torch.Tensor:
        turned, kernel = (part[:, :, None, :].contiguous(memory_format=torch.channels_last) for part in (x, weight))
        return torch.nn.functional.conv2d(turned, kernel, groups=channels)[:, :, 0]

    def own() -> torch.Tensor:
        return torch.nn.functional.conv1d(x, weight, groups=channels)

    ways = {"sum of shifted": sum_of_shifted, "product of windows": product_of_windows, "channels last": channels_last}
    exact, own_s = own(), best_s(own, 15)
    for way in ways.values():
        assert torch.allclose(way(), exact, atol=1e-3)
    return {name: round(best_s(way, 15) / own_s, 1) for name, way in ways.items()}


def steps(threads: int) -> dict[str, Any]:
    """Hold decoder steps against the time that reading their weights takes, and per-row scales against one per call."""
    start(threads)
    memory = torch.ones(1 << 28)
    model, heard = make_int8(speech_encoder_layers=1), audio()
    decoder = Decoder(model)
    # Random weights have no words. As if every other one were in letters that none of the languages has:
    half = Decoder(model, ["a", "я"] * (model.config.vocab_size // 2))
    with patch.object(Int8Linear, "forward", one_scale_per_call):  # which a decoder takes over when it is made
        coarse = Decoder(model)
    encoded = encode(model, heard)

    # Best of several, as the bandwidth is: the difference of two medians drowns in what else the machine does.
    def step_s(rows: int, decoder: Decoder) -> float:
        decode(decoder, encoded, rows, 1)
        whole_s, begun_s = (
            best_s(lambda tokens=tokens: decode(decoder, encoded, rows, tokens), 3) for tokens in (TOKENS, 5)
        )
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
    floors_s = [per_step / 1e9 / bandwidth for bandwidth, _ in rounds]
    over = {
        name: [steps_s[name] / floor_s for floor_s, (_, steps_s) in zip(floors_s, rounds, strict=True)]
        for name in cases
    }
    per_row = [steps_s["batch 4"] / steps_s["batch 4, one scale per call"] for _, steps_s in rounds]
    return {
        "bandwidth_gb_s": [round(bandwidth, 1) for bandwidth, _ in rounds],
        "weights_read_per_step_gb": round(per_step / 1e9, 3),
        "step_floor_ms": round(statistics.median(floors_s) * 1000, 1),
        "step_ms": {name: round(statistics.median(steps_s[name] for _, steps_s in rounds) * 1000, 1) for name in cases},
        "step_over_floor": {name: round(statistics.median(ratios), 2) for name, ratios in over.items()},
        "step_over_floor_best_and_worst": {
            name: [round(min(ratios), 2), round(max(ratios), 2)] for name, ratios in over.items()
        },
        "scale_per_row_over_one_per_call": [round(ratio, 2) for ratio in sorted(per_row)],
        "output_layer_ms_batch_4": round(head_s * 1000, 1),
        "error_beside_outliers": outliers(model.text_decoder.layers[0].ffn.fc1),
        "decoder_where_percent_batch_4": where(lambda: decode(decoder, encoded, 4)),
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


def people(threads: int) -> dict[str, Any]:
    """Compare utterances of several people served together with one after another, two languages each."""
    start(threads)
    model = make_int8()
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


PARTS = {
    "first_design": first_design,
    "load": load,
    "served": served,
    "encoder": encoder,
    "steps": steps,
    "people": people,
}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    names = options.parts.split(",")
    if unknown := set(names) - set(PARTS):
        sys.exit(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    figures: dict[str, Any] = {"audio_s": AUDIO_S, "tokens_per_language": TOKENS, "threads": options.threads}
    for name in names:
        part = PARTS[name]
        # Those that need float weights make them in another process than they measure.
        is_apart = part in (first_design, load)
        figures[name] = part(options.threads) if is_apart else harness.alone(part, options.threads)
    if {"first_design", "served"} <= figures.keys():
        figures["times_faster"] = {
            n: round(figures["first_design"]["seconds"][n] / figures["served"]["seconds"][n], 1) for n in LISTENERS
        }
    return figures


if __name__ == "__main__":
    harness.main(__doc__ or "", measure, threads=2, parts=",".join(PARTS))
