"""A SeamlessM4T v2 with the vocabulary and the tables of the published one, in size and order, and narrow layers.

Its words are made up, but for those of the sentences that are known of the published one, which have their tokens.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from sentencepiece import sentencepiece_model_pb2
from transformers import GenerationConfig, SeamlessM4TFeatureExtractor, SeamlessM4TTokenizer

from babblefish.engines import facts
from tests.support import tiny_seamless

_PIECES = 256_000
"""In the vocabulary's file, where a piece's number is one less than its token."""

_KNOWN = {10: "▁a", 109: "▁C", 128: "▁un", 171: "est", 3080: "▁It", 6816: "▁test"}
_KNOWN |= {247_669: "s", 247_676: ".", 247_729: "'"}
_PARTS = ("es", "▁u", "▁I", "▁t")
"""What the words above are joined from, besides letters."""

_SINGLE = 247_665
"""From this token on there are single characters, as in the published vocabulary."""

_SYLLABLES = {"bdfghjklmpqrvwxz": "oiyöüå", "бвгджзклмнпрстфх": "аеиоуы"}
"""Of made-up words: consonants and vowels, none of them in the known words."""


def make_checkpoint(folder: Path) -> None:
    """Write model, generation configuration, tokenizer and feature extractor into an existing folder."""
    _write_vocabulary(folder / "sentencepiece.bpe.model")
    settings = {
        "tokenizer_class": "SeamlessM4TTokenizer",
        "additional_special_tokens": [f"__{lang}__" for lang in facts.SEAMLESS_LANGUAGES],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = SeamlessM4TTokenizer.from_pretrained(folder)
    texts = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    texts += ["<mark>"] * (facts.SEAMLESS_VOCABULARY - len(texts))
    characters = ["<pad>", "<unk>", "<s>", "</s>", *sorted({char for text in texts for char in text})]
    config = tiny_seamless.make_config(facts.SEAMLESS_VOCABULARY, len(characters))
    config.vocoder_num_langs = len(facts.SEAMLESS_VOICES)
    model = tiny_seamless.make_model(config, seed=7)
    tiny_seamless.babble(model)
    model.generation_config = GenerationConfig(
        bos_token_id=2,
        decoder_start_token_id=3,
        eos_token_id=3,
        pad_token_id=0,
        max_new_tokens=256,
        text_decoder_lang_to_code_id=facts.SEAMLESS_LANGUAGES,
        t2u_lang_code_to_id=facts.SEAMLESS_UNIT_LANGUAGES,
        vocoder_lang_code_to_id=facts.SEAMLESS_VOICES,
        id_to_text={str(token): text for token, text in enumerate(texts)},
        char_to_id={char: index for index, char in enumerate(characters)},
    )
    model.save_pretrained(folder)
    SeamlessM4TFeatureExtractor().save_pretrained(folder)


def _write_vocabulary(file: Path) -> None:
    """Write a SentencePiece model of the published size, with the known words where they are."""
    model = sentencepiece_model_pb2.ModelProto()
    model.trainer_spec.model_type = model.trainer_spec.BPE
    model.trainer_spec.vocab_size = _PIECES
    model.normalizer_spec.name = "nmt_nfkc"
    model.normalizer_spec.add_dummy_prefix = True
    kinds = model.SentencePiece.Type
    for text, kind in (("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)):
        model.pieces.add(piece=text, score=0.0, type=kind)
    parts, words, letters = iter(_PARTS), _words(), _letters()
    for token in range(len(model.pieces) + 1, _PIECES + 1):
        text = _KNOWN.get(token) or next(parts, None) or next(letters if token >= _SINGLE else words)
        model.pieces.add(piece=text, score=float(-token), type=kinds.NORMAL)
    file.write_bytes(model.SerializeToString())


def _words() -> Iterator[str]:
    """Yield words of three syllables, in Latin and Cyrillic letters by turns."""
    alphabets = []
    for consonants, vowels in _SYLLABLES.items():
        syllables = list(map("".join, itertools.product(consonants, vowels)))
        alphabets.append("▁" + "".join(word) for word in itertools.product(syllables, repeat=3))
    return itertools.chain.from_iterable(zip(*alphabets, strict=True))


def _letters() -> Iterator[str]:
    """Yield single characters, those of the words first; the others are Chinese."""
    yield from "▁CetunIa" + "".join(itertools.chain.from_iterable(_SYLLABLES.items()))
    yield from map(chr, range(0x4E00, 0x9FA6))
