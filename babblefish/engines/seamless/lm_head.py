"""SeamlessM4T's output layer in blocks by script, so that a step reads only what its languages are written with.

A third of a decoder step is the product with the 256 000 tokens of all languages. Tokens in Cyrillic, Han or Arabic
letters cannot be part of a French or Polish text, so they are left out of it: each token belongs to the block of the
scripts that its letters are of, and a step computes the blocks of its languages. Latin letters, digits, punctuation and
the model's own tokens are in the block that every language has.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from babblefish.engines.seamless.int8 import Int8Linear
from babblefish.languages import LANGUAGES, script, scripts

_BLOCKED = frozenset().union(*(scripts(code) for code in LANGUAGES))
"""Scripts that some language, but not every language, is written with."""

_NEVER = frozenset({"never"})
"""In place of the scripts of a token that is written in no language."""


def token_scripts(text: str) -> frozenset[str]:
    """Return the scripts, other than Latin, of the letters in a token's text."""
    return frozenset(script(character) for character in text if unicodedata.category(character)[0] == "L") & _BLOCKED


class LMHead:
    """Logits over the blocks of the vocabulary that are wanted."""

    def __init__(self, layer: nn.Module, token_texts: Sequence[str] | None, never: int | None = None) -> None:
        """Cut an int8 layer into blocks; a layer of floats stays whole, as its rows are the embedding's too.

        Args:
            layer: The model's output layer, ``[width]`` to ``[vocabulary]``.
            token_texts: The text of every token, or None to keep the layer whole. Tokens beyond the last text, which
                the model has for reasons of alignment, are in the block of every language.
            never: A token that is never written, or None.
        """
        self._whole: nn.Module | None = layer
        self._never = never
        self._scripts: list[frozenset[str]] = []
        self._layers: list[Int8Linear] = []
        self._tokens: list[Tensor] = []
        if token_texts is None or not isinstance(layer, Int8Linear):
            return
        members: dict[frozenset[str], list[int]] = defaultdict(list)
        for token in range(layer.out_features):
            known = token_scripts(token_texts[token]) if token < len(token_texts) else frozenset()
            members[_NEVER if token == never else known].append(token)
        self._scripts = list(members)
        self._tokens = [torch.tensor(tokens) for tokens in members.values()]
        self._layers = layer.split(self._tokens)
        self._whole = None  # a quarter of a gigabyte, which the blocks are once more

    def blocks(self, languages: Iterable[str]) -> frozenset[int]:
        """Return the blocks that these languages (ISO 639-3) need."""
        used = frozenset().union(*(scripts(code) for code in languages))
        return frozenset(index for index, written_with in enumerate(self._scripts) if written_with <= used)

    def __call__(self, x: Tensor, blocks: frozenset[int]) -> Tensor:
        """Map ``[rows, width]`` to logits ``[rows, tokens]`` over the tokens of these blocks, in ascending order."""
        if self._whole is not None:
            logits: Tensor = self._whole(x)
            if self._never is not None:
                logits[:, self._never] = -torch.inf
            return logits
        return torch.cat([self._layers[index](x) for index in sorted(blocks)], dim=-1)

    def tokens(self, chosen: Tensor, blocks: frozenset[int]) -> list[int]:
        """Return the tokens at these indices among the logits of the blocks."""
        if self._whole is not None:
            whole: list[int] = chosen.tolist()
            return whole
        return [self._token(index, blocks) for index in chosen.tolist()]

    def module(self) -> nn.Module:
        """Return what takes the layer's place in the model, where it looks at all tokens."""
        return _All(self._layers, self._tokens) if self._whole is None else self._whole

    def _token(self, index: int, blocks: frozenset[int]) -> int:
        for block in sorted(blocks):
            if index < len(self._tokens[block]):
                return int(self._tokens[block][index])
            index -= len(self._tokens[block])
        raise IndexError(index)


class _All(nn.Module):  # type: ignore[misc]
    """All blocks as one layer."""

    def __init__(self, layers: Sequence[Int8Linear], tokens: Sequence[Tensor]) -> None:
        super().__init__()
        self._layers = layers  # in a plain list: they have no parameters that a module would have to know
        self._tokens = tokens
        self._vocabulary = 1 + max(int(block[-1]) for block in tokens)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., width]`` to logits ``[..., vocabulary]``."""
        logits = x.new_empty((*x.shape[:-1], self._vocabulary))
        for layer, block in zip(self._layers, self._tokens, strict=True):
            logits[..., block] = layer(x)
        return logits
