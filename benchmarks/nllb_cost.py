"""What a sentence costs NLLB-200: transformers in float32 against CTranslate2 in int8, on the real-size 600M model.

Weights are random, so that no model has to be there: cost depends on shapes alone, and every row is told to say twenty
tokens. Each part runs in a process of its own, so that each has its own peak of memory. Needs about 8 GB of memory, and
4 GB of temporary disk.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from babblefish.languages import FLORES_CODES
from babblefish.models.catalogue import CATALOGUE, ConvertedAsset
from babblefish.models.conversion import convert
from benchmarks.support import harness

(ASSET,) = (entry for entry in CATALOGUE if entry.name == "nllb-200-distilled-600M-int8")
WORDS = 256_001
TOKENS = 20
TOGETHER = 4


def median_s(call: Callable[[], Any], times: int) -> float:
    """Return the median of several calls, after one that does not count."""
    call()
    taken = []
    for _ in range(times):
        started_s = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started_s)
    return statistics.median(taken)


def memory_gb() -> dict[str, float]:
    """Return what is held now and what was held at the most."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"held_gb": round(int(status["VmRSS"].split()[0]) / 1e6, 2), "peak_gb": round(peak / 1e6, 2)}


def make(folder: Path) -> None:
    """Save a random model as the published one is saved, with a vocabulary of its size."""
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    words = {word: place for place, word in enumerate(("<s>", "<pad>", "</s>", "<unk>"))}
    words |= {f"\u2581word{place}": place for place in range(len(words), WORDS)}
    folder.mkdir()
    tokenizer = NllbTokenizer(vocab=words, merges=[], additional_special_tokens=sorted(FLORES_CODES))
    tokenizer.save_pretrained(folder)
    config = M2M100Config(
        vocab_size=len(tokenizer) + 2,
        d_model=1024,
        encoder_layers=12,
        decoder_layers=12,
        encoder_attention_heads=16,
        decoder_attention_heads=16,
        encoder_ffn_dim=4096,
        decoder_ffn_dim=4096,
        max_position_embeddings=1024,
        scale_embedding=True,
        decoder_start_token_id=2,
    )
    torch.manual_seed(0)
    model = M2M100ForConditionalGeneration(config)
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")


def converted(model_dir: Path) -> dict[str, Any]:
    """Convert it as it is pulled."""
    assert isinstance(ASSET, ConvertedAsset)
    started_s = time.perf_counter()
    convert(ASSET, model_dir, lambda line: None)
    file = model_dir / ASSET.path / "model.bin"
    return {"s": round(time.perf_counter() - started_s, 1), "model_mb": file.stat().st_size // 10**6, **memory_gb()}


def in_transformers(folder: Path, threads: int, rounds: int) -> dict[str, Any]:
    """Translate with the library's own ``generate``."""
    import torch
    from transformers import M2M100ForConditionalGeneration

    torch.set_num_threads(threads)
    started_s = time.perf_counter()
    model = M2M100ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    load_s = time.perf_counter() - started_s

    def translate(rows: int) -> None:
        ids = torch.arange(100, 100 + TOKENS).repeat(rows, 1)
        with torch.inference_mode():
            made = model.generate(
                ids,
                forced_bos_token_id=WORDS,
                num_beams=1,
                do_sample=False,
                min_new_tokens=TOKENS,
                max_new_tokens=TOKENS,
            )
        assert made.shape == (rows, TOKENS + 1)

    return measured(translate, load_s, rounds)


def in_ctranslate2(folder: Path, threads: int, rounds: int) -> dict[str, Any]:
    """Translate with the model of our engine."""
    from babblefish.engines.nllb import Nllb

    started_s = time.perf_counter()
    engine = Nllb(folder, threads)
    load_s = time.perf_counter() - started_s

    def translate(rows: int) -> None:
        words = [f"\u2581word{place}" for place in range(100, 100 + TOKENS - 2)]
        made = engine._model.translate_batch(
            [["eng_Latn", *words, "</s>"]] * rows,
            target_prefix=[["fra_Latn"]] * rows,
            beam_size=1,
            min_decoding_length=TOKENS,
            max_decoding_length=TOKENS,
            callback=lambda step: False,
        )
        assert {len(result.hypotheses[0]) for result in made} == {TOKENS}

    return measured(translate, load_s, rounds)


def measured(translate: Callable[[int], None], load_s: float, rounds: int) -> dict[str, Any]:
    """Return the figures of one way."""
    one_s, several_s = (median_s(lambda rows=rows: translate(rows), rounds) for rows in (1, TOGETHER))
    figures = {"load_s": load_s, "sentence_s": one_s, f"{TOGETHER}_sentences_s": several_s}
    return {name: round(value, 3) for name, value in figures.items()} | memory_gb()


def alone(call: Callable[..., Any], *arguments: Any) -> Any:
    """Run a part in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def figures(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both ways one after the other."""
    assert isinstance(ASSET, ConvertedAsset)
    with tempfile.TemporaryDirectory() as name:
        model_dir = Path(name)
        alone(make, model_dir / ASSET.origin.path)
        conversion = alone(converted, model_dir)
        exact = alone(in_transformers, model_dir / ASSET.origin.path, options.threads, options.rounds)
        ours = alone(in_ctranslate2, model_dir / ASSET.path, options.threads, options.rounds)
    names = ("sentence_s", f"{TOGETHER}_sentences_s", "load_s", "held_gb")
    return {
        "threads": options.threads,
        "tokens": TOKENS,
        "conversion": conversion,
        "transformers float32": exact,
        "ctranslate2 int8": ours,
        "transformers over ctranslate2": {name: round(exact[name] / ours[name], 1) for name in names},
    }


if __name__ == "__main__":
    harness.main(__doc__, figures, threads=2, rounds=5)
