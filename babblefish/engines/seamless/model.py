"""SeamlessM4T v2, loaded once for speech to text, text to text and text to speech."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from transformers import SeamlessM4TFeatureExtractor, SeamlessM4TTokenizer, SeamlessM4Tv2Model

from babblefish.engines.decoding import without_unknown
from babblefish.engines.seamless import int8
from babblefish.engines.seamless.checkpoint import Checkpoint, empty_model
from babblefish.engines.seamless.decoder import Decoder
from babblefish.errors import EngineError
from babblefish.languages import LANGUAGES, to_seamless

DType = Literal["int8", "bfloat16", "float32"]
"""Type of the weights."""


@dataclass(frozen=True, slots=True, eq=False)
class SeamlessModel:
    """A loaded SeamlessM4T v2, which the engines made from it share, as nothing in it changes.

    Attributes:
        model: The whole model: both encoders, the text decoder, the text-to-unit model and the vocoder.
        tokenizer: Text to tokens and back.
        features: Audio to the log-mel spectrogram that the speech encoder takes.
        decoder: Its text decoder.
        languages: Every language that it writes and that we know, by ISO 639-3 code → its token.
    """

    model: SeamlessM4Tv2Model
    tokenizer: SeamlessM4TTokenizer
    features: SeamlessM4TFeatureExtractor
    decoder: Decoder
    languages: Mapping[str, int]

    def tokens(self, text: str) -> list[int]:
        """Return a text's tokens, without the language's and the end token.

        Text that looks like a special token is text like any other.
        """
        # The tokenizer's own call sets the language for every thread.
        ids: list[int] = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def text(self, tokens: Sequence[int]) -> tuple[str, bool]:
        """Return the text of tokens, and whether it is whole: without a place where a letter or word is missing."""
        written: str = self.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        text = without_unknown(written)
        return text, text == written

    def encode_text(self, tokens: list[int], lang: str) -> Tensor:
        """Encode a text in a language (ISO 639-3) as ``[1, tokens + 2, width]``."""
        ids = torch.tensor([[self.languages[lang], *tokens, self.model.generation_config.eos_token_id]])
        with torch.inference_mode():
            encoded: Tensor = self.model.text_encoder(input_ids=ids)[0]
        return encoded


def load(model_dir: Path, dtype: DType) -> SeamlessModel:
    """Load a checkpoint with tokenizer, feature extractor and generation configuration, as it is published.

    Args:
        model_dir: The folder, as ``save_pretrained`` writes it.
        dtype: Type of the weights. Int8 keeps a converted copy beside the model for the next start.

    Raises:
        EngineError: The folder holds no complete SeamlessM4T v2.
    """
    try:
        model = load_weights(model_dir, dtype)
        tokenizer = SeamlessM4TTokenizer.from_pretrained(model_dir, local_files_only=True)
        features = SeamlessM4TFeatureExtractor.from_pretrained(model_dir, local_files_only=True)
        tokens: Mapping[str, int] = model.generation_config.text_decoder_lang_to_code_id
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise EngineError(f"{model_dir.name} holds no complete SeamlessM4T v2 model: {error}") from error
    tokenizer.backend_tokenizer.encode_special_tokens = True
    names = {code: to_seamless(code) for code in LANGUAGES}
    languages = {code: tokens[name] for code, name in names.items() if name is not None and name in tokens}
    for code, token in languages.items():
        # Without its files transformers makes an empty tokenizer.
        if tokenizer.convert_tokens_to_ids(f"__{names[code]}__") != token:
            raise EngineError(
                f"the tokenizer in {model_dir.name} does not belong to the model: it does not know {names[code]}"
            )
    token_texts = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    decoder = Decoder(model, token_texts)
    model.lm_head = decoder.lm_head.module()  # of which beam search looks at all tokens
    return SeamlessModel(model, tokenizer, features, decoder, languages)


def load_weights(model_dir: Path, dtype: DType) -> SeamlessM4Tv2Model:
    """Load the model alone; in bfloat16 and int8 the vocoder stays float32.

    Raises:
        EngineError: The folder's weights are not those of its configuration.
        OSError: A file is missing.
        ValueError: A file is not what it should be.
    """
    if dtype == "int8":
        return int8.load(model_dir)
    model = empty_model(model_dir)
    checkpoint = Checkpoint(model_dir, model)
    wanted: torch.dtype = getattr(torch, dtype)
    tensors = {
        # Copied, so that no file stays mapped that another program could change.
        name: checkpoint.tensor(name).to(torch.float32 if name.startswith("vocoder.") else wanted, copy=True)
        for name in model.state_dict()
        if name not in model.all_tied_weights_keys
    }
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights(recompute_mapping=False)
    for buffer in model.buffers():
        buffer.data = buffer.data.to(wanted)  # the tables of positions are added to what has this type
    return model.eval()
