"""Decoding SeamlessM4T v2's text: several languages of several utterances in one step, with continuous batching.

A step costs about what reading the weights costs, whatever the number of rows, so the languages of an utterance, and
the utterances of several people, are decoded in the same steps. The linear layers see the new tokens of all of them as
one list; only attention looks at each utterance by itself, so that none is padded to another's length and one may join
the batch at any step. The languages of an utterance share its encoder output: their queries attend to one copy of its
keys and values, as if they were positions of a single row.
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
from babblefish.engines.seamless.lm_head import LMHead

_UNKNOWN_TOKEN = 1
"""For what the vocabulary lacks (fairseq's number). The published model writes it mostly for apostrophes and end marks,
and no text would show it, so the likeliest token that has a text is written instead."""

StopsEarly = Callable[[Sequence[int]], bool]
"""Says of a hypothesis' tokens so far that it should stop, as it repeats itself."""


@dataclass(slots=True)
class Hypothesis:
    """What was decoded for one language.

    Attributes:
        tokens: Without the prompt and the end token.
        mean_logprob: Mean log-probability of the tokens, the end token among them.
        ended: Whether the model ended it, not the limit or the guard against loops.
    """

    tokens: list[int] = field(default_factory=list)
    mean_logprob: float = 0.0
    ended: bool = False


class DecoderState:
    """The languages of one utterance while they are decoded greedily, with their key/value caches.

    Attributes:
        hypotheses: One per language, in the order asked for; complete once ``running`` is false.
        input_ids: New tokens of the rows that go on, shape ``[rows, new]``.
        blocks: Blocks of the vocabulary that the languages need.
    """

    def __init__(
        self,
        cross_kv: list[tuple[Tensor, Tensor]],
        prompts: Tensor,
        max_tokens: int,
        eos_token: int,
        stops_early: StopsEarly,
        blocks: frozenset[int],
    ) -> None:
        """Start; ``Decoder.start`` explains the arguments.

        Args:
            cross_kv: Per layer the keys ``[heads, head, frames]``, scaled, and values ``[heads, frames, head]`` of the
                encoder output.
            prompts: Shape ``[rows, 2]``.
            max_tokens: Per row.
            eos_token: The end token.
            stops_early: The guard against loops.
            blocks: Blocks of the vocabulary that the languages need.
        """
        self.hypotheses = [Hypothesis() for _ in prompts]
        self.input_ids = prompts
        self.blocks = blocks
        self._cross_kv = cross_kv
        self._eos_token = eos_token
        self._max_tokens = max_tokens
        self._stops_early = stops_early
        self._active = list(range(len(prompts)))
        self._steps = 0
        self._cached = 0
        heads, head, _ = cross_kv[0][0].shape
        self._heads = heads
        # Allocated once, for the longest row. Rows that leave make way for those behind them.
        shape = (len(prompts), heads, max_tokens + prompts.shape[1], head)
        self._kv_cache = [(keys.new_empty(shape), keys.new_empty(shape)) for keys, _ in cross_kv]

    @property
    def running(self) -> bool:
        """Whether a hypothesis is not finished."""
        return bool(self._active)

    @property
    def positions(self) -> Tensor:
        """Positions of the new tokens from 0, shape ``[rows, new]``."""
        return torch.arange(self._cached, self._cached + self.input_ids.shape[1]).expand_as(self.input_ids)

    def self_attention(self, layer: int, qkv: Tensor) -> Tensor:
        """Attend from the new tokens to their own row.

        Args:
            layer: Index of the decoder layer.
            qkv: Their queries, keys and values side by side, shape ``[rows * new, 3 * width]``.

        Returns:
            Shape ``[rows * new, width]``.
        """
        rows, new = self.input_ids.shape
        queries, *added = qkv.view(rows, new, 3, self._heads, -1).permute(2, 0, 3, 1, 4).unbind()
        keys, values = (cache.narrow(0, 0, rows).narrow(2, 0, self._cached + new) for cache in self._kv_cache[layer])
        for cache, part in zip((keys, values), added, strict=True):
            cache.narrow(2, self._cached, new).copy_(part)
        # Only the prompt brings more than one token, and nothing is before it.
        attended = scaled_dot_product_attention(queries, keys, values, is_causal=new > 1)
        return attended.transpose(1, 2).reshape(rows * new, -1)

    def cross_attention(self, layer: int, queries: Tensor) -> Tensor:
        """Attend from the new tokens, shape ``[rows * new, width]``, to the encoder output; same shape."""
        keys, values = self._cross_kv[layer]
        # In plain products: for a handful of queries the fused kernel costs twice as much.
        weights = (queries.view(len(queries), self._heads, -1).transpose(0, 1) @ keys).softmax(dim=-1)
        return (weights @ values).transpose(0, 1).reshape(len(queries), -1)

    def append(self, tokens: Sequence[int], logprobs: Sequence[float]) -> None:
        """Take the next token of each active row; rows that end here leave."""
        self._cached += self.input_ids.shape[1]
        self._steps += 1
        kept = []
        for row, (token, logprob) in enumerate(zip(tokens, logprobs, strict=True)):
            hypothesis = self.hypotheses[self._active[row]]
            hypothesis.mean_logprob += (logprob - hypothesis.mean_logprob) / self._steps
            hypothesis.ended = token == self._eos_token
            if not hypothesis.ended:
                hypothesis.tokens.append(token)
                if not self._stops_early(hypothesis.tokens):
                    kept.append(row)
        if self._steps == self._max_tokens:
            kept = []
        if 0 < len(kept) < len(self._active):
            for cache in chain.from_iterable(self._kv_cache):
                for row, row_before in enumerate(kept):
                    if row != row_before:
                        cache[row, :, : self._cached] = cache[row_before, :, : self._cached]
        self._active = [self._active[row] for row in kept]
        self.input_ids = torch.tensor([[tokens[row]] for row in kept])


class Decoder:
    """The text decoder of a model; keeps nothing between calls, so several threads may use it.

    Attributes:
        lm_head: Its output layer, in blocks where it is int8.
    """

    def __init__(self, model: SeamlessM4Tv2Model, token_texts: Sequence[str] | None = None) -> None:
        """Use a loaded model's decoder, of whatever weight type.

        Args:
            model: With ``text_decoder`` and ``lm_head``.
            token_texts: The text of every token, so that a step may leave out what no language decoded is written
                with; None to look at the whole vocabulary at each step.
        """
        self._model = model
        self._decoder = model.text_decoder
        self._layers = [_Layer(layer) for layer in model.text_decoder.layers]
        self.lm_head = LMHead(model.lm_head, token_texts, never=_UNKNOWN_TOKEN)
        self._heads: int = model.config.decoder_attention_heads
        self._start_token: int = model.generation_config.decoder_start_token_id
        self._eos_token: int = model.generation_config.eos_token_id
        self._pad_token: int = model.config.pad_token_id

    def start(
        self, encoded: Tensor, languages: Mapping[str, int], max_tokens: int, stops_early: StopsEarly
    ) -> DecoderState:
        """Start an utterance, for ``step``.

        Args:
            encoded: Its encoder output, shape ``[1, frames, width]``.
            languages: ISO 639-3 codes, each with its token; a row for each.
            max_tokens: Per row, the end token among them.
            stops_early: The guard against loops.
        """
        with torch.inference_mode():
            cross_kv = []
            for layer in self._layers:
                keys = self._split_heads(layer.cross_key(encoded)).transpose(1, 2)
                scaled = (keys * keys.shape[1] ** -0.5).contiguous()
                cross_kv.append((scaled, self._split_heads(layer.cross_value(encoded)).contiguous()))
        prompts = torch.tensor([[self._start_token, token] for token in languages.values()])
        blocks = self.lm_head.blocks(languages)
        return DecoderState(cross_kv, prompts, max_tokens, self._eos_token, stops_early, blocks)

    def step(self, states: Sequence[DecoderState]) -> None:
        """Add a token to every active row of utterances that are running."""
        with torch.inference_mode():
            best, chosen = self._logits(states).log_softmax(dim=-1).max(dim=-1)
            tokens, logprobs = self.lm_head.tokens(chosen, _blocks(states)), best.tolist()
        start = 0
        for state in states:
            end = start + len(state.input_ids)
            state.append(tokens[start:end], logprobs[start:end])
            start = end

    def greedy_search(
        self,
        encoded: Tensor,
        languages: Mapping[str, int],
        max_tokens: int,
        stops_early: StopsEarly,
        deadline: Deadline,
    ) -> list[Hypothesis]:
        """Decode one utterance by itself; arguments as for ``start``.

        Raises:
            DeadlineExceededError: It took too long; checked before every step.
        """
        state = self.start(encoded, languages, max_tokens, stops_early)
        while state.running:
            deadline.check()
            self.step([state])
        return state.hypotheses

    def beam_search(
        self, encoded: Tensor, languages: Mapping[str, int], max_tokens: int, beams: int, deadline: Deadline
    ) -> list[Hypothesis]:
        """Decode each language with beam search, through transformers and over the whole vocabulary.

        Raises:
            DeadlineExceededError: It took too long.
        """
        # The model's own ``generate`` takes one language for the whole batch.
        generated = GenerationMixin.generate(
            self._model,
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded.expand(len(languages), -1, -1)),
            decoder_input_ids=torch.tensor([[self._start_token, language] for language in languages.values()]),
            num_beams=beams,
            do_sample=False,
            max_new_tokens=max_tokens,
            suppress_tokens=[_UNKNOWN_TOKEN],
            stopping_criteria=[_CheckDeadline(deadline)],
            output_scores=True,
            return_dict_in_generate=True,
        )
        hypotheses = []
        for ids, score in zip(generated.sequences.tolist(), generated.sequences_scores.tolist(), strict=True):
            tokens = ids[2:]
            ended = self._eos_token in tokens
            hypotheses.append(Hypothesis(tokens[: tokens.index(self._eos_token)] if ended else tokens, score, ended))
        return hypotheses

    def _logits(self, states: Sequence[DecoderState]) -> Tensor:
        """Return float32 logits ``[rows, tokens of the blocks]`` after the new tokens of each row."""
        ids = torch.cat([state.input_ids.flatten() for state in states])
        positions = torch.cat([state.positions.flatten() for state in states])
        counts = [state.input_ids.numel() for state in states]
        # Position embeddings count from one after the padding's, which padding tokens have themselves (fairseq's way).
        places = (positions + 1) * (ids != self._pad_token) + self._pad_token
        x = self._decoder.embed_tokens(ids)
        x = x + self._decoder.embed_positions.weights[places].to(x.dtype)
        for index, layer in enumerate(self._layers):
            qkv = layer.self_qkv(layer.self_norm(x)).split(counts)
            attended = [state.self_attention(index, part) for state, part in zip(states, qkv, strict=True)]
            x = x + layer.self_out(torch.cat(attended))

            queries = layer.cross_query(layer.cross_norm(x)).split(counts)
            attended = [state.cross_attention(index, part) for state, part in zip(states, queries, strict=True)]
            x = x + layer.cross_out(torch.cat(attended))

            x = x + layer.ffn_out(layer.activation(layer.ffn_in(layer.ffn_norm(x))))
        parts = zip(states, x.split(counts), strict=True)
        last = torch.cat([part.view(*state.input_ids.shape, -1)[:, -1] for state, part in parts])
        return self.lm_head(self._decoder.layer_norm(last), _blocks(states)).float()

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn ``[1, frames, width]`` into ``[heads, frames, head]``."""
        return x[0].view(x.shape[1], self._heads, -1).transpose(0, 1)


def _blocks(states: Sequence[DecoderState]) -> frozenset[int]:
    return frozenset().union(*(state.blocks for state in states))


class _Layer:
    """What a decoder layer computes, as plain functions: calls of modules would cost a step a tenth of its time."""

    def __init__(self, layer: nn.Module) -> None:
        self_attention, cross_attention, ffn = layer.self_attn, layer.cross_attention, layer.ffn
        self.self_norm = _norm(layer.self_attn_layer_norm)
        self.self_qkv = _fused_qkv(self_attention)
        self.self_out = self_attention.out_proj.forward
        self.cross_norm = _norm(layer.cross_attention_layer_norm)
        self.cross_query = cross_attention.q_proj.forward
        self.cross_key = cross_attention.k_proj.forward
        self.cross_value = cross_attention.v_proj.forward
        self.cross_out = cross_attention.out_proj.forward
        self.ffn_norm = _norm(layer.ffn_layer_norm)
        self.ffn_in = ffn.fc1.forward
        self.activation = ffn.act.forward
        self.ffn_out = ffn.fc2.forward


def _norm(norm: nn.LayerNorm) -> Callable[[Tensor], Tensor]:
    return partial(
        torch.layer_norm, normalized_shape=norm.normalized_shape, weight=norm.weight, bias=norm.bias, eps=norm.eps
    )


def _fused_qkv(attention: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return what makes query, key and value side by side: with int8 in one call, as each call costs on its own."""
    parts = (attention.q_proj, attention.k_proj, attention.v_proj)
    if isinstance(attention.q_proj, Int8Linear):
        return Int8Linear.concatenated(parts).forward
    return lambda x: torch.cat([part(x) for part in parts], dim=-1)


class _CheckDeadline(StoppingCriteria):
    """Lets transformers' own loop stop at a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        self._deadline.check()
        return torch.zeros(len(input_ids), dtype=torch.bool)
