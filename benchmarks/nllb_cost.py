"""What a sentence costs NLLB-200: transformers in float32 against CTranslate2 in int8, on the real-size 600M model.

Weights are random, so that no model has to be there: cost depends on shapes alone, and every row is told to say twenty
tokens. Each part runs in a process of its own, so that each has its own peak of memory. Needs about 8 GB of memory, and
4 GB of temporary disk.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from babblefish.domain import Deadline
from babblefish.errors import EngineError
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

    return sentences_s(translate, rounds) | {"load_s": round(load_s, 3), **memory_gb()}


def in_ctranslate2(folder: Path, threads: int, rounds: int) -> dict[str, Any]:
    """Translate with a model that is loaded and asked as our engine does, but for the set number of tokens."""
    import ctranslate2

    model = ctranslate2.Translator(
        str(folder), device="cpu", compute_type="int8", inter_threads=1, intra_threads=threads
    )

    def translate(rows: int) -> None:
        words = [f"\u2581word{place}" for place in range(100, 100 + TOKENS - 2)]
        made = model.translate_batch(
            [["eng_Latn", *words, "</s>"]] * rows,
            target_prefix=[["fra_Latn"]] * rows,
            beam_size=1,
            min_decoding_length=TOKENS,
            max_decoding_length=TOKENS,
            callback=lambda step: False,
        )
        assert {len(result.hypotheses[0]) for result in made} == {TOKENS}

    return sentences_s(translate, rounds)


def loaded(folder: Path, threads: int) -> dict[str, Any]:
    """Load our engine, vocabulary and all, and have it translate once."""
    from babblefish.engines.nllb import Nllb

    started_s = time.perf_counter()
    engine = Nllb(folder, threads)
    load_s = time.perf_counter() - started_s
    route = engine.route("eng", "fra")
    assert route is not None
    with contextlib.suppress(EngineError):  # random weights say the same again and again
        engine.translate("word100 word101 word102", route, Deadline.after(60))
    return {"load_s": round(load_s, 3), **memory_gb()}


def sentences_s(translate: Callable[[int], None], rounds: int) -> dict[str, float]:
    """Return the seconds that one sentence takes, and several at once."""
    found = {}
    for name, rows in (("sentence_s", 1), (f"{TOGETHER}_sentences_s", TOGETHER)):
        found[name] = round(median_s(functools.partial(translate, rows), rounds), 3)
    return found


def figures(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both ways one after the other."""
    assert isinstance(ASSET, ConvertedAsset)
    with tempfile.TemporaryDirectory() as name:
        model_dir = Path(name)
        harness.alone(make, model_dir / ASSET.origin.path)
        origin, model = model_dir / ASSET.origin.path, model_dir / ASSET.path
        conversion = harness.alone(converted, model_dir)
        exact = harness.alone(in_transformers, origin, options.threads, options.rounds)
        ours = harness.alone(in_ctranslate2, model, options.threads, options.rounds)
        ours |= harness.alone(loaded, model, options.threads)
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
    harness.main(__doc__, figures, threads=2, rounds=3)
