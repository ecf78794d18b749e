"""Decoding SeamlessM4T v2's text from one encoder output into several languages at once.

A step costs about what reading the weights costs, whatever the number of rows, so the languages are rows of one batch.
They share the encoder output: with no mask between them the rows' queries attend to one copy of its keys and values,
as if they were positions of a single row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import GenerationMixin, SeamlessM4Tv2ForSpeechToText, StoppingCriteria
from transformers.modeling_outputs import BaseModelOutput

from babblefish.domain import Deadline
from babblefish.engines.seamless_int8 import Int8Linear


@dataclass(slots=True)
class Row:
    """What was decoded for one language.

    Attributes:
        tokens: Without the prompt and the end token.
        mean_logprob: Mean log-probability of the tokens, the end token among them.
        ended: Whether the model ended it, not the limit or the guard against loops.
    """

    tokens: list[int] = field(default_factory=list)
    mean_logprob: float = 0.0
    ended: bool = False


class _Cache:
    """Keys and values of the tokens so far, allocated once for the longest row.

    Per layer ``[rows, heads, limit, head]``. Rows that leave make way for those behind them.
    """

    def __init__(self, layers: int, rows: int, heads: int, limit: int, like: Tensor) -> None:
        shape = (2, rows, heads, limit, like.shape[-1] // heads)
        self._layers = [like.new_empty(shape) for _ in range(layers)]
        self.used = 0

    def extend(self, layer: int, new: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values ``[2, rows, heads, new, head]`` to a layer; return all its keys and values so far."""
        rows, until = new.shape[1], self.used + new.shape[3]
        cached = self._layers[layer][:, :rows, :, :until]
        cached[:, :, :, self.used :] = new
        return cached[0], cached[1]

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows, in ascending order, as the first ones."""
        for cached in self._layers:
            for place, row in enumerate(rows):
                if place != row:
                    cached[:, place, :, : self.used] = cached[:, row, :, : self.used]


class Decoder:
    """The text decoder of a model; keeps nothing between calls, so several threads may use it."""

    def __init__(self, model: SeamlessM4Tv2ForSpeechToText) -> None:
        """Use a loaded model's decoder, of whatever weight type."""
        self._model = model
        self._decoder = model.text_decoder
        self._joined = [_joined(layer.self_attn) for layer in model.text_decoder.layers]
        self._heads: int = model.config.decoder_attention_heads
        self._start: int = model.generation_config.decoder_start_token_id
        self._end: int = model.generation_config.eos_token_id
        self._pad: int = model.config.pad_token_id

    def greedy(
        self,
        encoded: Tensor,
        languages: Sequence[int],
        limit: int,
        loops: Callable[[Sequence[int]], bool],
        deadline: Deadline,
    ) -> list[Row]:
        """Decode a row per language, each token the likeliest.

        Args:
            encoded: Encoder output of one utterance, shape ``[1, frames, width]``.
            languages: Language token of each row.
            limit: Most tokens per row, the end token among them.
            loops: Says of a row's tokens so far that they repeat themselves; such a row stops.
            deadline: Checked before every step.

        Raises:
            DeadlineExceededError: It took too long.
        """
        rows = [Row() for _ in languages]
        active = list(range(len(rows)))
        with torch.inference_mode():
            shared = [
                (self._split(layer.cross_attention.k_proj(encoded)), self._split(layer.cross_attention.v_proj(encoded)))
                for layer in self._decoder.layers
            ]
            cache = _Cache(len(shared), len(rows), self._heads, limit + 2, encoded)
            ids = torch.tensor([[self._start, language] for language in languages])
            for step in range(limit):
                deadline.check()
                logits = self._step(ids, cache, shared)
                best, chosen = logits.max(dim=-1)
                logprobs = (best - logits.logsumexp(dim=-1)).tolist()
                tokens = chosen.tolist()
                kept = []
                for place, (token, logprob) in enumerate(zip(tokens, logprobs, strict=True)):
                    row = rows[active[place]]
                    row.mean_logprob += (logprob - row.mean_logprob) / (step + 1)
                    row.ended = token == self._end
                    if not row.ended:
                        row.tokens.append(token)
                        if not loops(row.tokens):
                            kept.append(place)
                if not kept:
                    break
                if len(kept) < len(active):
                    cache.keep(kept)
                    active = [active[place] for place in kept]
                ids = chosen[kept][:, None]
        return rows

    def beams(self, encoded: Tensor, languages: Sequence[int], limit: int, beams: int, deadline: Deadline) -> list[Row]:
        """Decode a row per language with beam search, through transformers; arguments as for ``greedy``.

        Raises:
            DeadlineExceededError: It took too long.
        """
        # The model's own ``generate`` takes one language for the whole batch.
        generated = GenerationMixin.generate(
            self._model,
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded.expand(len(languages), -1, -1)),
            decoder_input_ids=torch.tensor([[self._start, language] for language in languages]),
            num_beams=beams,
            do_sample=False,
            max_new_tokens=limit,
            stopping_criteria=[_CheckDeadline(deadline)],
            output_scores=True,
            return_dict_in_generate=True,
        )
        rows = []
        for ids, score in zip(generated.sequences.tolist(), generated.sequences_scores.tolist(), strict=True):
            tokens = ids[2:]
            ended = self._end in tokens
            rows.append(Row(tokens[: tokens.index(self._end)] if ended else tokens, score, ended))
        return rows

    def _step(self, ids: Tensor, cache: _Cache, shared: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Return float32 logits ``[rows, vocabulary]`` after new tokens ``[rows, new]``, which the cache takes up."""
        count, new = ids.shape
        # Positions count from one after the padding's, and a padding token has the padding's (fairseq's way).
        places = torch.arange(cache.used + 1, cache.used + new + 1) * (ids != self._pad) + self._pad
        x = self._decoder.embed_tokens(ids)
        x = x + self._decoder.embed_positions.weights[places].to(x.dtype)
        for index, layer in enumerate(self._decoder.layers):
            joined = self._joined[index](layer.self_attn_layer_norm(x))
            split = joined.view(count, new, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
            keys, values = cache.extend(index, split[1:])
            # Only the prompt brings more than one token, and nothing is before it.
            mixed = scaled_dot_product_attention(split[0], keys, values, is_causal=new > 1)
            x = x + layer.self_attn.out_proj(_join(mixed))

            attention = layer.cross_attention
            queries = attention.q_proj(layer.cross_attention_layer_norm(x)).reshape(1, count * new, -1)
            mixed = scaled_dot_product_attention(self._split(queries), *shared[index])
            x = x + attention.out_proj(_join(mixed).reshape(count, new, -1))

            x = x + layer.ffn(layer.ffn_layer_norm(x))
        cache.used += new
        logits: Tensor = self._model.lm_head(self._decoder.layer_norm(x[:, -1]))
        return logits.float()

    def _split(self, x: Tensor) -> Tensor:
        """Turn ``[rows, tokens, width]`` into ``[rows, heads, tokens, head]``."""
        return x.view(*x.shape[:2], self._heads, -1).transpose(1, 2)


def _join(x: Tensor) -> Tensor:
    """Turn ``[rows, heads, tokens, head]`` into ``[rows, tokens, width]``."""
    return x.transpose(1, 2).flatten(2)


def _joined(attention: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return what makes query, key and value side by side: with int8 in one call, as each call costs on its own."""
    parts = (attention.q_proj, attention.k_proj, attention.v_proj)
    if isinstance(attention.q_proj, Int8Linear):
        return Int8Linear.joined(parts)
    return lambda x: torch.cat([part(x) for part in parts], dim=-1)


class _CheckDeadline(StoppingCriteria):
    """Lets transformers' own loop stop at a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        self._deadline.check()
        return torch.zeros(len(input_ids), dtype=torch.bool)
