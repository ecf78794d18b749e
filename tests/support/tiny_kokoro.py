"""A Kokoro checkpoint of the real architecture with a few small random layers, laid out as the published one is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from kokoro import KModel
from kokoro_onnx.config import DEFAULT_VOCAB

FRAMES_PER_PHONEME = 3
"""At 40 frames a second, 13 phonemes a second."""

# KModel's decoder is 512 and 1024 wide and its styles are 128 long whatever the configuration says.
TINY: dict[str, Any] = {
    "dim_in": 64,
    "dropout": 0.0,
    "hidden_dim": 512,
    "max_dur": 6,
    "n_layer": 1,
    "n_mels": 80,
    "n_token": 178,
    "style_dim": 128,
    "text_encoder_kernel_size": 3,
    "istftnet": {
        "upsample_kernel_sizes": [20, 12],
        "upsample_rates": [10, 6],
        "gen_istft_hop_size": 5,
        "gen_istft_n_fft": 20,
        "resblock_dilation_sizes": [[1, 3, 5]],
        "resblock_kernel_sizes": [3],
        "upsample_initial_channel": 512,
    },
    "plbert": {
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 512,
        "num_hidden_layers": 1,
        "dropout": 0.1,
    },
    "vocab": DEFAULT_VOCAB,
}


def make_checkpoint(folder: Path, voices: Iterable[str], config: dict[str, Any] = TINY, seed: int = 7) -> None:
    """Write ``config.json``, ``kokoro-v1_0.pth`` and ``voices/*.pt`` into an existing folder.

    Every phoneme lasts ``FRAMES_PER_PHONEME`` frames, since random weights would give it any length.
    """
    weights = folder / "kokoro-v1_0.pth"
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.manual_seed(seed)
    torch.save({}, weights)  # KModel wants a file to load, and takes one that holds nothing
    model = KModel(repo_id="hexgrad/Kokoro-82M", config=config, model=str(weights))
    with torch.no_grad():
        duration = model.predictor.duration_proj.linear_layer
        share = FRAMES_PER_PHONEME / config["max_dur"]
        duration.weight.zero_()
        duration.bias.fill_(math.log(share / (1 - share)) if share < 1 else 10.0)
    # The published file has a prefix before every name, and no scale or shift for the normalisations inside AdaIN.
    parts = {
        name: {
            f"module.{key}": value
            for key, value in module.state_dict().items()
            if not key.endswith((".norm.weight", ".norm.bias"))
        }
        for name, module in model.named_children()
    }
    torch.save(parts, weights)
    (folder / "voices").mkdir()
    for voice in voices:
        torch.save(0.3 * torch.randn(510, 1, 2 * config["style_dim"]), folder / "voices" / f"{voice}.pt")
