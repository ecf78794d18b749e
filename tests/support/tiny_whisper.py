"""A Whisper of the third generation, 128 mel bands, with one narrow layer on each side, as CTranslate2 runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from ctranslate2.converters import TransformersConverter
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizerFast

from babblefish.languages import LANGUAGES


def make_third_generation(folder: Path, tokenizer_file: Path) -> Path:
    """Make a model with random weights that knows the words and languages of a tokenizer.

    Args:
        folder: Empty, for the checkpoint and what is made of it.
        tokenizer_file: ``tokenizer.json`` of a multilingual Whisper.

    Returns:
        The folder that the engine loads.
    """
    torch.manual_seed(0)
    checkpoint, made = folder / "checkpoint", folder / "made"
    tokenizer = WhisperTokenizerFast(tokenizer_file=str(tokenizer_file))
    narrow = {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    shallow = dict.fromkeys(("encoder_layers", "decoder_layers"), 1)
    heads = dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2)
    config = WhisperConfig(vocab_size=len(tokenizer), num_mel_bins=128, **narrow, **shallow, **heads)
    WhisperForConditionalGeneration(config).save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)
    WhisperFeatureExtractor(feature_size=128).save_pretrained(checkpoint)
    TransformersConverter(str(checkpoint)).convert(str(made), quantization="int8")
    shutil.copyfile(tokenizer_file, made / "tokenizer.json")
    # The published checkpoints name their languages in a file that a new one does not have.
    settings = json.loads((made / "config.json").read_text())
    known, codes = tokenizer.get_vocab(), (f"<|{language.whisper}|>" for language in LANGUAGES.values())
    settings["lang_ids"] = sorted(known[code] for code in codes if code in known)
    (made / "config.json").write_text(json.dumps(settings))
    return made
