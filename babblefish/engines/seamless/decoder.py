"""Decoding SeamlessM4T v2's text: several languages of several utterances at once.

A step costs about what reading the weights costs, whatever the number of rows, so the languages of an utterance, and
the utterances of several people, are decoded in the same steps. The matrices of a layer see the new tokens of all of
them as one list; only attention looks at each utterance by itself, so that none is padded to another's length and one
may join the others at any step. The languages of an utterance share its encoder output: their queries attend to one
copy of its keys and values, as if they were positions of a single row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import GenerationMixin, SeamlessM4Tv2Model, StoppingCriteria
from transformers.modeling_outputs import BaseModelOutput

from babblefish.domain import Deadline
from babblefish.engines.seamless.int8 import Int8Linear
from babblefish.engines.seamless.vocabulary import OutputLayer


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


class Decoding:
    """The languages of one utterance on their way, greedily: each token the likeliest.

    Attributes:
        rows: One per language, in the order asked for; whole once ``running`` is false.
    """

    def __init__(
        self,
        shared: list[tuple[Tensor, Tensor]],
        ids: Tensor,
        limit: int,
        end: int,
        loops: Callable[[Sequence[int]], bool],
        blocks: frozenset[int],
    ) -> None:
        """Start; ``Decoder.begin`` says what is meant by the arguments.

        Args:
            shared: Per layer the keys ``[heads, head, frames]``, scaled, and values ``[heads, frames, head]`` of the
                encoder output.
            ids: Prompts, shape ``[rows, 2]``.
            limit: Most tokens per row.
            end: The end token.
            loops: Says of tokens that they repeat themselves.
            blocks: Blocks of the vocabulary that the languages need.
        """
        self.rows = [Row() for _ in ids]
        self.ids = ids
        self.blocks = blocks
        self._shared = shared
        self._end = end
        self._limit = limit
        self._loops = loops
        self._active = list(range(len(ids)))
        self._steps = 0
        self._used = 0
        heads, head, _ = shared[0][0].shape
        self._heads = heads
        # Allocated once, for the longest row. Rows that leave make way for those behind them.
        shape = (len(ids), heads, limit + 2, head)
        self._cache = [(keys.new_empty(shape), keys.new_empty(shape)) for keys, _ in shared]

    @property
    def running(self) -> bool:
        """Whether a row is not finished."""
        return bool(self._active)

    @property
    def positions(self) -> Tensor:
        """Positions of the new tokens from 0, shape ``[rows, new]``."""
        return torch.arange(self._used, self._used + self.ids.shape[1]).expand_as(self.ids)

    def attend_to_said(self, layer: int, joined: Tensor) -> Tensor:
        """Mix what the new tokens see of their own row.

        Args:
            layer: Index of the decoder layer.
            joined: Their queries, keys and values side by side, shape ``[rows * new, 3 * width]``.

        Returns:
            Shape ``[rows * new, width]``.
        """
        rows, new = self.ids.shape
        queries, *added = joined.view(rows, new, 3, self._heads, -1).permute(2, 0, 3, 1, 4).unbind()
        keys, values = (cache.narrow(0, 0, rows).narrow(2, 0, self._used + new) for cache in self._cache[layer])
        for seen, part in zip((keys, values), added, strict=True):
            seen.narrow(2, self._used, new).copy_(part)
        # Only the prompt brings more than one token, and nothing is before it.
        mixed = scaled_dot_product_attention(queries, keys, values, is_causal=new > 1)
        return mixed.transpose(1, 2).reshape(rows * new, -1)

    def attend_to_heard(self, layer: int, queries: Tensor) -> Tensor:
        """Mix what the new tokens, shape ``[rows * new, width]``, see of the encoder output; same shape."""
        keys, values = self._shared[layer]
        # In plain products: for a handful of queries the fused kernel costs twice as much.
        weights = (queries.view(len(queries), self._heads, -1).transpose(0, 1) @ keys).softmax(dim=-1)
        return (weights @ values).transpose(0, 1).reshape(len(queries), -1)

    def extend(self, tokens: Sequence[int], logprobs: Sequence[float]) -> None:
        """Take the next token of each active row; rows that end here leave."""
        self._used += self.ids.shape[1]
        self._steps += 1
        kept = []
        for place, (token, logprob) in enumerate(zip(tokens, logprobs, strict=True)):
            row = self.rows[self._active[place]]
            row.mean_logprob += (logprob - row.mean_logprob) / self._steps
            row.ended = token == self._end
            if not row.ended:
                row.tokens.append(token)
                if not self._loops(row.tokens):
                    kept.append(place)
        if self._steps == self._limit:
            kept = []
        if 0 < len(kept) < len(self._active):
            for cache in chain.from_iterable(self._cache):
                for place, row_before in enumerate(kept):
                    if place != row_before:
                        cache[place, :, : self._used] = cache[row_before, :, : self._used]
        self._active = [self._active[place] for place in kept]
        self.ids = torch.tensor([[tokens[place]] for place in kept])


class Decoder:
    """The text decoder of a model; keeps nothing between calls, so several threads may use it."""

    def __init__(self, model: SeamlessM4Tv2Model, pieces: Sequence[str] | None = None) -> None:
        """Use a loaded model's decoder, of whatever weight type.

        Args:
            model: With ``text_decoder`` and ``lm_head``.
            pieces: The text of every token, so that a step may leave out what no language decoded is written with;
                None to look at the whole vocabulary at each step.
        """
        self._model = model
        self._decoder = model.text_decoder
        self._layers = [_Layer(layer) for layer in model.text_decoder.layers]
        self._output = OutputLayer(model.lm_head, pieces)
        self._heads: int = model.config.decoder_attention_heads
        self._start: int = model.generation_config.decoder_start_token_id
        self._end: int = model.generation_config.eos_token_id
        self._pad: int = model.config.pad_token_id

    def begin(
        self,
        encoded: Tensor,
        languages: Mapping[str, int],
        limit: int,
        loops: Callable[[Sequence[int]], bool],
    ) -> Decoding:
        """Start an utterance, for ``step``.

        Args:
            encoded: Its encoder output, shape ``[1, frames, width]``.
            languages: Of the rows, ISO 639-3, with their tokens.
            limit: Most tokens per row, the end token among them.
            loops: Says of a row's tokens so far that they repeat themselves; such a row stops.
        """
        with torch.inference_mode():
            shared = []
            for layer in self._layers:
                keys = self._split(layer.heard_key(encoded)).transpose(1, 2)
                scaled = (keys * keys.shape[1] ** -0.5).contiguous()
                shared.append((scaled, self._split(layer.heard_value(encoded)).contiguous()))
        ids = torch.tensor([[self._start, token] for token in languages.values()])
        return Decoding(shared, ids, limit, self._end, loops, self._output.blocks(languages))

    def step(self, decodings: Sequence[Decoding]) -> None:
        """Add a token to every active row of utterances that are running."""
        with torch.inference_mode():
            best, chosen = self._logits(decodings).log_softmax(dim=-1).max(dim=-1)
            tokens, logprobs = self._output.tokens(chosen, _blocks(decodings)), best.tolist()
        start = 0
        for decoding in decodings:
            until = start + len(decoding.ids)
            decoding.extend(tokens[start:until], logprobs[start:until])
            start = until

    def greedy(
        self,
        encoded: Tensor,
        languages: Mapping[str, int],
        limit: int,
        loops: Callable[[Sequence[int]], bool],
        deadline: Deadline,
    ) -> list[Row]:
        """Decode one utterance by itself; arguments as for ``begin``.

        Raises:
            DeadlineExceededError: It took too long; checked before every step.
        """
        decoding = self.begin(encoded, languages, limit, loops)
        while decoding.running:
            deadline.check()
            self.step([decoding])
        return decoding.rows

    def beams(
        self, encoded: Tensor, languages: Mapping[str, int], limit: int, beams: int, deadline: Deadline
    ) -> list[Row]:
        """Decode a row per language with beam search, through transformers and over the whole vocabulary.

        Raises:
            DeadlineExceededError: It took too long.
        """
        # The model's own ``generate`` takes one language for the whole batch.
        generated = GenerationMixin.generate(
            self._model,
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded.expand(len(languages), -1, -1)),
            decoder_input_ids=torch.tensor([[self._start, language] for language in languages.values()]),
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

    def _logits(self, decodings: Sequence[Decoding]) -> Tensor:
        """Return float32 logits ``[rows, tokens of the blocks]`` after the new tokens of each row."""
        ids = torch.cat([decoding.ids.flatten() for decoding in decodings])
        positions = torch.cat([decoding.positions.flatten() for decoding in decodings])
        counts = [decoding.ids.numel() for decoding in decodings]
        # Positions count from one after the padding's, and a padding token has the padding's (fairseq's way).
        places = (positions + 1) * (ids != self._pad) + self._pad
        x = self._decoder.embed_tokens(ids)
        x = x + self._decoder.embed_positions.weights[places].to(x.dtype)
        for index, layer in enumerate(self._layers):
            joined = layer.said(layer.said_norm(x)).split(counts)
            mixed = [decoding.attend_to_said(index, part) for decoding, part in zip(decodings, joined, strict=True)]
            x = x + layer.said_out(torch.cat(mixed))

            queries = layer.heard_query(layer.heard_norm(x)).split(counts)
            mixed = [decoding.attend_to_heard(index, part) for decoding, part in zip(decodings, queries, strict=True)]
            x = x + layer.heard_out(torch.cat(mixed))

            x = x + layer.widened_out(layer.activation(layer.widened(layer.widened_norm(x))))
        made = zip(decodings, x.split(counts), strict=True)
        last = torch.cat([part.view(*decoding.ids.shape, -1)[:, -1] for decoding, part in made])
        return self._output(self._decoder.layer_norm(last), _blocks(decodings)).float()

    def _split(self, x: Tensor) -> Tensor:
        """Turn ``[1, frames, width]`` into ``[heads, frames, head]``."""
        return x[0].view(x.shape[1], self._heads, -1).transpose(0, 1)


def _blocks(decodings: Sequence[Decoding]) -> frozenset[int]:
    return frozenset().union(*(decoding.blocks for decoding in decodings))


class _Layer:
    """What a decoder layer computes, as plain functions: calls of modules would cost a step a tenth of its time."""

    def __init__(self, layer: nn.Module) -> None:
        said, heard, ffn = layer.self_attn, layer.cross_attention, layer.ffn
        self.said_norm = _norm(layer.self_attn_layer_norm)
        self.said = _joined(said)
        self.said_out = said.out_proj.forward
        self.heard_norm = _norm(layer.cross_attention_layer_norm)
        self.heard_query = heard.q_proj.forward
        self.heard_key = heard.k_proj.forward
        self.heard_value = heard.v_proj.forward
        self.heard_out = heard.out_proj.forward
        self.widened_norm = _norm(layer.ffn_layer_norm)
        self.widened = ffn.fc1.forward
        self.activation = ffn.act.forward
        self.widened_out = ffn.fc2.forward


def _norm(norm: nn.LayerNorm) -> Callable[[Tensor], Tensor]:
    return partial(
        torch.layer_norm, normalized_shape=norm.normalized_shape, weight=norm.weight, bias=norm.bias, eps=norm.eps
    )


def _joined(attention: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return what makes query, key and value side by side: with int8 in one call, as each call costs on its own."""
    parts = (attention.q_proj, attention.k_proj, attention.v_proj)
    if isinstance(attention.q_proj, Int8Linear):
        return Int8Linear.joined(parts).forward
    return lambda x: torch.cat([part(x) for part in parts], dim=-1)


class _CheckDeadline(StoppingCriteria):
    """Lets transformers' own loop stop at a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        self._deadline.check()
        return torch.zeros(len(input_ids), dtype=torch.bool)
