"""What the tiny checkpoints share: a vocabulary of a few sentences, and a decoder that is taught to say them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from torch import Tensor, nn


def train_vocabulary(folder: Path, sentences: Iterable[str], size: int, **options: Any) -> None:
    """Train a SentencePiece model and save it as the published tokenizers name it."""
    text = folder / "text.txt"
    text.write_text("\n".join([*sentences] * 5), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "sentencepiece.bpe"),
        model_type="bpe",
        vocab_size=size,
        minloglevel=2,
        **options,
    )
    text.unlink()
    (folder / "sentencepiece.bpe.vocab").unlink()


def teach(decoder: nn.Module, lm_head: Callable[[Tensor], Tensor], rows: Sequence[Sequence[int]], width: int) -> None:
    """Train a decoder to say these tokens, whatever it attends to.

    Args:
        decoder: Its embedding is the output layer's, so that this learns too.
        lm_head: The output layer.
        rows: Start and language token, which are given, and what is to follow them.
        width: Of the encoder output.

    Raises:
        RuntimeError: It does not learn it.
    """
    optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-2)
    targets = [torch.tensor([row]) for row in rows]
    for _ in range(1500):
        losses = []
        for ids in targets:
            states = decoder(input_ids=ids[:, :-1], encoder_hidden_states=torch.randn(1, 12, width))[0]
            losses.append(torch.nn.functional.cross_entropy(lm_head(states)[0, 1:], ids[0, 2:], reduction="none"))
        optimizer.zero_grad()
        torch.stack([of_tokens.mean() for of_tokens in losses]).sum().backward()
        optimizer.step()
        # Of each token: in the mean of a long sentence one that is wrong would not be noticed.
        if max(float(of_tokens.max()) for of_tokens in losses) < 0.05:
            return
    raise RuntimeError("the tiny model does not learn its sentences")
