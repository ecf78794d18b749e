"""An NLLB-200 checkpoint of the real architecture with two narrow layers on each side, saved as the real one is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import GenerationConfig, M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

from babblefish.languages import FLORES_CODES
from tests.support.tiny_training import teach, train_vocabulary

SENTENCES = {
    "eng_Latn": "The dinner is ready and the soup is still hot.",
    "fra_Latn": "Bonjour, je suis très heureuse de vous voir ce soir.",
    "pol_Latn": "Dzień dobry, bardzo się cieszę, że państwa widzę.",
    "deu_Latn": "Guten Abend, wir freuen uns, dass Sie gekommen sind.",
    "hun_Latn": "Jó estét kívánok mindenkinek, aki ma eljött.",
    "zho_Hans": "大家好。晚饭已经准备好了。",
    "zho_Hant": "大家好。晚飯已經準備好了。",
}
"""A sentence of each language, of which the vocabulary is made."""

_VOCABULARY_SIZE = 160


def make_tokenizer(folder: Path) -> NllbTokenizer:
    """Train a vocabulary and save it; behind the words come the languages and the mask, as in the published one."""
    train_vocabulary(folder, SENTENCES.values(), _VOCABULARY_SIZE, character_coverage=1.0)
    settings = {"tokenizer_class": "NllbTokenizer", "additional_special_tokens": sorted(FLORES_CODES)}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = NllbTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_config(vocabulary: int, init_std: float) -> M2M100Config:
    """Return the configuration of a tiny model; what is neither a size nor at random is as published."""
    return M2M100Config(
        vocab_size=vocabulary,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=1024,
        activation_function="relu",
        scale_embedding=True,
        init_std=init_std,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
    )


def babble(model: M2M100ForConditionalGeneration) -> None:
    """Let a random model write differently from one input to the next."""
    with torch.no_grad():
        # The output layer is the embedding, so a random model says its last word again and again.
        model.model.shared.weight.mul_(0.3)
        model.model.shared.weight[2].mul_(2.0)
        for layer in model.model.decoder.layers:
            for matrix in (layer.self_attn.v_proj, layer.self_attn.q_proj, layer.encoder_attn.v_proj, layer.fc1):
                matrix.weight.mul_(6.0)


def make_checkpoint(folder: Path, seed: int = 7, says: Mapping[str, str] | None = None) -> None:
    """Write model, generation configuration and tokenizer into an existing folder.

    Args:
        folder: Where to.
        seed: Of the random weights.
        says: Sentences by FLORES code that it is to say; random weights say nonsense.
    """
    tokenizer = make_tokenizer(folder)
    torch.manual_seed(seed)
    # The published embedding has two rows more than there are words.
    model = M2M100ForConditionalGeneration(make_config(len(tokenizer) + 2, 0.1 if says else 0.35)).eval()
    if says:
        rows = [
            [2, tokenizer.convert_tokens_to_ids(lang), *tokenizer(sentence, add_special_tokens=False)["input_ids"], 2]
            for lang, sentence in says.items()
        ]
        teach(model.model.decoder, model.lm_head, rows, model.config.d_model)
    else:
        babble(model)
    model.generation_config = GenerationConfig(
        bos_token_id=0, decoder_start_token_id=2, eos_token_id=2, pad_token_id=1, max_length=200
    )
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")  # not safetensors, in the published repositories
