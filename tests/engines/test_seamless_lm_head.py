"""The output layer in blocks by script: nothing that a language is written with is left out."""

from __future__ import annotations

import pytest

from babblefish.languages import LANGUAGES, scripts

torch = pytest.importorskip("torch", reason="the full extra is not installed")

from babblefish.engines.seamless.int8 import Int8Linear, quantize  # noqa: E402 - only where torch is
from babblefish.engines.seamless.lm_head import LMHead, token_scripts  # noqa: E402

pytestmark = pytest.mark.slow

PIECES = ("</s>", "▁the", "12", "дом", "▁кот", "家", "ほん", "本の", "é", "?", "집", "βα", "xд")
BEYOND = 2
"""Rows of the layer for which there is no piece."""


@pytest.fixture(scope="module")
def layer() -> Int8Linear:
    torch.manual_seed(1)
    return Int8Linear(*quantize(torch.randn(len(PIECES) + BEYOND, 16)), None, ("fbgemm", "qnnpack"))


def tokens_for(output: LMHead, *languages: str) -> set[int]:
    blocks = output.blocks(languages)
    count = output(torch.zeros(1, 16), blocks).shape[-1]
    return set(output.tokens(torch.arange(count), blocks))


@pytest.mark.parametrize(
    ("languages", "written"),
    [
        (("eng",), "</s> ▁the 12 é ?"),
        (("fra", "pol"), "</s> ▁the 12 é ?"),
        (("rus",), "</s> ▁the 12 é ? дом ▁кот xд"),
        (("cmn",), "</s> ▁the 12 é ? 家"),
        (("jpn",), "</s> ▁the 12 é ? 家 ほん 本の"),
        (("kor", "ell"), "</s> ▁the 12 é ? 집 βα"),
    ],
)
def test_a_language_has_the_tokens_of_its_letters_and_those_of_everyone(
    layer: Int8Linear, languages: tuple[str, ...], written: str
) -> None:
    expected = {PIECES.index(piece) for piece in written.split()} | {len(PIECES), len(PIECES) + 1}
    assert tokens_for(LMHead(layer, PIECES), *languages) == expected


def test_all_languages_together_have_every_token(layer: Int8Linear) -> None:
    assert tokens_for(LMHead(layer, PIECES), *LANGUAGES) == set(range(len(PIECES) + BEYOND))


def test_the_logits_are_those_of_the_whole_layer(layer: Int8Linear) -> None:
    output = LMHead(layer, PIECES)
    x = torch.randn(3, 16)
    blocks = output.blocks(["rus", "jpn"])
    logits = output(x, blocks)
    tokens = output.tokens(torch.arange(logits.shape[-1]), blocks)
    assert torch.equal(logits, layer(x)[:, tokens])


def test_the_blocks_take_the_place_of_the_whole_layer_where_all_tokens_are_looked_at(layer: Int8Linear) -> None:
    x = torch.randn(2, 3, 16)
    output = LMHead(layer, PIECES, never=1)

    assert torch.equal(output.module()(x), layer(x))
    assert 1 not in tokens_for(output, *LANGUAGES)
    assert LMHead(layer, None).module() is layer


@pytest.mark.parametrize("pieces", [None, PIECES])
def test_a_layer_of_floats_or_without_pieces_stays_whole(layer: Int8Linear, pieces: tuple[str, ...] | None) -> None:
    whole = torch.nn.Linear(16, len(PIECES)) if pieces else layer
    output = LMHead(whole, pieces)
    x = torch.randn(2, 16)
    with torch.inference_mode():
        assert torch.equal(output(x, output.blocks(["eng"])), whole(x))
    assert output.tokens(torch.tensor([4, 0]), frozenset()) == [4, 0]


def test_marks_and_digits_are_of_no_script() -> None:
    assert [token_scripts(piece) for piece in ("▁", "…", "٣", "ー", "__rus__")] == [frozenset()] * 5


def test_every_language_is_written_with_the_letters_of_its_own_name() -> None:
    for code, language in LANGUAGES.items():
        assert token_scripts(language.native_name) <= scripts(code)
    assert scripts("jpn") == {"CJK", "HIRAGANA", "KATAKANA"}
    assert scripts("fra") == frozenset()
