"""A SeamlessM4T v2 checkpoint of the real architecture with a few small random layers, saved as the real one is."""

from __future__ import annotations

import json
from pathlib import Path

import sentencepiece
import torch
from transformers import (
    GenerationConfig,
    SeamlessM4TFeatureExtractor,
    SeamlessM4TTokenizer,
    SeamlessM4Tv2Config,
    SeamlessM4Tv2ForSpeechToText,
)

LANGUAGES = ("eng", "fra", "pol", "deu", "cmn", "arb")

SENTENCES = (
    "The dinner is ready and the soup is still hot.",
    "Bonjour, je suis très heureuse de vous voir ce soir.",
    "Dzień dobry, bardzo się cieszę, że państwa widzę.",
    "Guten Abend, wir freuen uns, dass Sie gekommen sind.",
    "The children are playing in the garden behind the house.",
)


def make_tokenizer(folder: Path, pieces: int = 150) -> SeamlessM4TTokenizer:
    """Train a tokenizer and save it, with a token per language behind the pieces."""
    text = folder / "text.txt"
    text.write_text("\n".join(SENTENCES * 5), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "sentencepiece.bpe"),
        model_type="bpe",
        vocab_size=pieces,
        minloglevel=2,
    )
    text.unlink()
    (folder / "sentencepiece.bpe.vocab").unlink()
    settings = {
        "tokenizer_class": "SeamlessM4TTokenizer",
        "additional_special_tokens": [f"__{lang}__" for lang in LANGUAGES],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return SeamlessM4TTokenizer.from_pretrained(folder)


def make_checkpoint(folder: Path, seed: int = 7) -> None:
    """Write model, generation configuration, tokenizer and feature extractor into an existing folder."""
    tokenizer = make_tokenizer(folder)
    config = SeamlessM4Tv2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        initializer_range=0.35,
        speech_encoder_layers=2,
        speech_encoder_attention_heads=4,
        speech_encoder_intermediate_size=64,
        decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=64,
        encoder_layers=1,
        encoder_attention_heads=4,
        encoder_ffn_dim=64,
        t2u_encoder_layers=1,
        t2u_decoder_layers=1,
        conv_depthwise_kernel_size=7,
    )
    torch.manual_seed(seed)
    model = SeamlessM4Tv2ForSpeechToText(config)
    with torch.no_grad():
        # The output layer is the embedding, so a random model says its last word again and again. Strong layers over
        # weak embeddings leave the choice to what was heard and said before; a longer one for the end lets rows end.
        model.shared.weight.mul_(0.3)
        model.shared.weight[3].mul_(2.0)
        for layer in model.text_decoder.layers:
            for matrix in (layer.self_attn.v_proj, layer.self_attn.q_proj, layer.cross_attention.v_proj, layer.ffn.fc1):
                matrix.weight.mul_(6.0)
    codes = {lang: tokenizer.convert_tokens_to_ids(f"__{lang}__") for lang in LANGUAGES}
    model.generation_config = GenerationConfig(
        bos_token_id=2,
        decoder_start_token_id=3,
        eos_token_id=3,
        pad_token_id=0,
        max_new_tokens=256,
        text_decoder_lang_to_code_id=codes,
    )
    model.save_pretrained(folder)
    SeamlessM4TFeatureExtractor().save_pretrained(folder)
