"""A SeamlessM4T v2 checkpoint of the real architecture with a few small random layers, saved as the real one is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from transformers import (
    GenerationConfig,
    SeamlessM4TFeatureExtractor,
    SeamlessM4TTokenizer,
    SeamlessM4Tv2Config,
    SeamlessM4Tv2ForSpeechToText,
    SeamlessM4Tv2Model,
)

from tests.support.tiny_training import teach, train_vocabulary

LANGUAGES = ("eng", "fra", "pol", "deu", "cmn", "arb")
SPOKEN = ("arb", "eng", "pol", "fra")
"""Languages that it speaks, in the order of its vocoder."""

UNITS = 60
_OFFSET = 4
"""Units of speech, and the control symbols before them."""

SENTENCES = (
    "The dinner is ready and the soup is still hot.",
    "Bonjour, je suis très heureuse de vous voir ce soir.",
    "Dzień dobry, bardzo się cieszę, że państwa widzę.",
    "Guten Abend, wir freuen uns, dass Sie gekommen sind.",
    "The children are playing in the garden behind the house.",
)

_VOCABULARY_SIZE = 150


def make_tokenizer(folder: Path, sentences: Iterable[str] = SENTENCES) -> SeamlessM4TTokenizer:
    """Train a tokenizer and save it, with a token per language behind the words."""
    train_vocabulary(folder, sentences, _VOCABULARY_SIZE, required_chars="<>")
    settings = {
        "tokenizer_class": "SeamlessM4TTokenizer",
        "additional_special_tokens": [f"__{lang}__" for lang in LANGUAGES],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return SeamlessM4TTokenizer.from_pretrained(folder)


def make_config(vocabulary: int, characters: int) -> SeamlessM4Tv2Config:
    """Return the configuration of a model with one or two narrow layers in each part."""
    return SeamlessM4Tv2Config(
        vocab_size=vocabulary,
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
        conv_depthwise_kernel_size=7,
        t2u_vocab_size=UNITS + _OFFSET,
        char_vocab_size=characters,
        t2u_encoder_layers=1,
        t2u_encoder_attention_heads=4,
        t2u_encoder_ffn_dim=64,
        t2u_decoder_layers=1,
        t2u_decoder_attention_heads=4,
        t2u_decoder_ffn_dim=64,
        t2u_variance_predictor_embed_dim=32,
        t2u_variance_predictor_hidden_dim=16,
        upsample_initial_channel=16,
        upsample_rates=(4, 2),
        upsample_kernel_sizes=(8, 4),
        resblock_kernel_sizes=(3, 7),
        resblock_dilation_sizes=((1, 3), (1, 3)),
        unit_hifi_gan_vocab_size=UNITS,
        unit_embed_dim=24,
        lang_embed_dim=8,
        spkr_embed_dim=8,
        vocoder_num_langs=len(SPOKEN),
        vocoder_num_spkrs=200,
        vocoder_offset=_OFFSET,
    )


def make_model(config: SeamlessM4Tv2Config, seed: int) -> SeamlessM4Tv2Model:
    """Return a random model that hears and speaks differently from one input to the next."""
    torch.manual_seed(seed)
    hearing = SeamlessM4Tv2ForSpeechToText(config)
    model = SeamlessM4Tv2Model(config)
    model.load_state_dict(hearing.state_dict(), strict=False)
    with torch.no_grad():
        # Control symbols are never the likeliest, and a character lasts some units, not thousands.
        model.t2u_model.lm_head.weight[:_OFFSET] = 0.0
        model.t2u_model.model.decoder.duration_predictor.proj.bias.fill_(1.0)
        model.t2u_model.model.decoder.duration_predictor.proj.weight.mul_(0.3)
    return model.eval()


def babble(model: SeamlessM4Tv2Model) -> None:
    """Let a random model write differently from one input to the next."""
    with torch.no_grad():
        # The output layer is the embedding, so a random model says its last word again and again. Strong layers over
        # weak embeddings leave the choice to what was heard and said before; a longer one for the end lets rows end.
        model.shared.weight.mul_(0.3)
        model.shared.weight[3].mul_(2.0)
        for layer in model.text_decoder.layers:
            for matrix in (layer.self_attn.v_proj, layer.self_attn.q_proj, layer.cross_attention.v_proj, layer.ffn.fc1):
                matrix.weight.mul_(6.0)
        # So that rows end as well where text was read.
        model.text_encoder.layer_norm.weight.mul_(0.3)


def write_unknown_for(model: SeamlessM4Tv2Model, token: int) -> None:
    """Let a model write the special unknown wherever it would write this token, which stays the second likeliest.

    As the published model does, mostly for apostrophes and end marks.
    """
    with torch.no_grad():
        model.shared.weight[1] = model.shared.weight[token] * 1.05


def pad_units_for(model: SeamlessM4Tv2Model, unit: int) -> None:
    """Let the text-to-unit model write the padding wherever it would write this unit."""
    rows = model.t2u_model.lm_head.weight
    with torch.no_grad():
        rows[model.config.t2u_pad_token_id] = rows[unit + model.config.vocoder_offset] * 1.001


def make_outliers(model: SeamlessM4Tv2Model, factor: float, channel: int = 5) -> None:
    """Make one channel of what the text decoder's matrices read this many times as large, and their weights as small.

    In exact numbers the model stays the same; large models grow such channels by themselves.
    """
    for layer in model.text_decoder.layers:
        readers = (
            (layer.self_attn_layer_norm, (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)),
            (layer.cross_attention_layer_norm, (layer.cross_attention.q_proj,)),
            (layer.ffn_layer_norm, (layer.ffn.fc1,)),
        )
        with torch.no_grad():
            for norm, matrices in readers:
                norm.weight[channel] *= factor
                norm.bias[channel] *= factor
                for matrix in matrices:
                    matrix.weight[:, channel] /= factor


def make_checkpoint(
    folder: Path,
    seed: int = 7,
    max_shard_size: str = "50GB",
    says: Mapping[str, str] | None = None,
    spoil: Callable[[SeamlessM4Tv2Model, SeamlessM4TTokenizer], None] | None = None,
) -> None:
    """Write model, generation configuration, tokenizer and feature extractor into an existing folder.

    Args:
        folder: Where to.
        seed: Of the random weights.
        max_shard_size: From which on the weights are written as several files.
        says: Sentences by the model's language codes that it is to say; random weights say nonsense.
        spoil: Gives the model faults before it is written.
    """
    tokenizer = make_tokenizer(folder, (*SENTENCES, *says.values()) if says else SENTENCES)
    languages = {lang: tokenizer.convert_tokens_to_ids(f"__{lang}__") for lang in LANGUAGES}
    letters = sorted({char for sentence in (*SENTENCES, *(says or {}).values()) for char in sentence} - {" "})
    characters = ["<pad>", "<unk>", "<s>", "</s>", *letters, "▁"]
    model = make_model(make_config(len(tokenizer), len(characters)), seed)
    if says:
        tokenizer.backend_tokenizer.encode_special_tokens = True  # "<unk>" is written letter by letter
        rows = [
            [3, languages[lang], *tokenizer.backend_tokenizer.encode(sentence, add_special_tokens=False).ids, 3]
            for lang, sentence in says.items()
        ]
        teach(model.text_decoder, model.lm_head, rows, model.config.hidden_size)
    else:
        babble(model)
    if spoil:
        spoil(model, tokenizer)
    model.generation_config = GenerationConfig(
        bos_token_id=2,
        decoder_start_token_id=3,
        eos_token_id=3,
        pad_token_id=0,
        max_new_tokens=256,
        text_decoder_lang_to_code_id=languages,
        t2u_lang_code_to_id={lang: UNITS + index for index, lang in enumerate(SPOKEN)},
        vocoder_lang_code_to_id={lang: index for index, lang in enumerate(SPOKEN)},
        id_to_text={str(token): tokenizer.convert_ids_to_tokens(token) for token in range(len(tokenizer))},
        char_to_id={char: index for index, char in enumerate(characters)},
    )
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    SeamlessM4TFeatureExtractor().save_pretrained(folder)
