"""What SeamlessM4T's weights do, against what is published of them (``engines.facts``), and int8 against float32.

For the first machine that has the weights: where none were, nothing but tiny checkpoints was ever run.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from babblefish.domain import SAMPLE_RATE_HZ, Deadline, Samples
from babblefish.engines import facts
from babblefish.engines.decoding import is_looping, max_speech_tokens
from babblefish.engines.findings import Finding, attempted, compared, measured
from babblefish.engines.seamless.checkpoint import empty_model
from babblefish.engines.seamless.model import DType, SeamlessModel, load
from babblefish.engines.seamless.synthesizer import SeamlessSynthesizer
from babblefish.engines.torch_threads import use_threads
from babblefish.languages import LANGUAGES, to_seamless

_PATIENCE_S = 3600.0

_WRITTEN = ("eng", "fra", "deu", "spa", "pol", "cmn", "ara")
"""Languages that a clip is written in, of those that there are."""

_MOST_NEW_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Clip:
    """Speech whose words are known: ``lang`` is ISO 639-3."""

    samples: Samples
    lang: str
    words: str


@dataclass(slots=True)
class _Trace:
    """What weights of one type made of a clip.

    Attributes:
        tokens: By language, what was written, with the end.
        texts: The same as text.
        logprobs: By language, the mean log-probability.
        choices: By language, the likeliest token behind each of the tokens that float32 wrote.
        layers: By name, the output of each layer, for the same tokens.
    """

    tokens: dict[str, list[int]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    logprobs: dict[str, float] = field(default_factory=dict)
    choices: dict[str, list[int]] = field(default_factory=dict)
    layers: dict[str, Tensor] = field(default_factory=dict)


def examine(folder: Path, threads: int, clips: Sequence[Clip]) -> Iterator[Finding]:
    """Yield what is found of a folder of weights; nothing that is wrong with it ends the examination.

    Float32 needs 10 GB of memory, and int8 what it needs in the server; one after the other.

    Args:
        folder: As it is published.
        threads: Threads of one call.
        clips: Speech; the first one is followed through the layers.
    """
    use_threads(threads)
    yield from attempted("seamless tables", partial(_tables, folder))
    exact = _Trace()
    yield from attempted("seamless float32", partial(_exact, folder, threads, clips, exact))
    gc.collect()
    yield from attempted("seamless int8", partial(_rounded, folder, clips, exact))
    gc.collect()


def _tables(folder: Path) -> Iterator[Finding]:
    model = empty_model(folder)
    tables = model.generation_config
    yield compared("seamless parameters", sum(each.numel() for each in model.parameters()), facts.SEAMLESS_PARAMETERS)
    for name, expected in (
        ("text_decoder_lang_to_code_id", facts.SEAMLESS_LANGUAGES),
        ("t2u_lang_code_to_id", facts.SEAMLESS_UNIT_LANGUAGES),
        ("vocoder_lang_code_to_id", facts.SEAMLESS_VOICES),
    ):
        yield compared(f"seamless {name}", getattr(tables, name, None), expected)
    unnamed = set(tables.text_decoder_lang_to_code_id) - {to_seamless(code) for code in LANGUAGES}
    yield compared("seamless languages without a name here", sorted(unnamed), [])


def _exact(folder: Path, threads: int, clips: Sequence[Clip], trace: _Trace) -> Iterator[Finding]:
    loaded = load(folder, "float32")
    for each in (partial(_sentence, loaded), partial(_units, loaded, threads)):
        yield from attempted("seamless text", each)
    yield from _recognised(loaded, "float32", clips, trace)
    yield from attempted("seamless silence", partial(_unlikely, loaded, clips))


def _sentence(loaded: SeamlessModel) -> Iterator[Finding]:
    """Compare the tokens of a sentence, and of its translation: greedy, with every token allowed, as it is published.

    Ours never writes the unknown (``decoder``), so that is compared by its text.
    """
    source, target = facts.SEAMLESS_READ, facts.SEAMLESS_WRITTEN
    read = [loaded.languages[source.lang], *loaded.tokens(source.text), 3]
    yield compared("seamless tokens of a text", read, list(source.tokens))
    generated = loaded.model.generate(
        input_ids=torch.tensor([read]),
        tgt_lang=target.lang,
        generate_speech=False,
        num_beams=1,
        do_sample=False,
        max_new_tokens=_MOST_NEW_TOKENS,
    )
    yield compared("seamless greedy translation", generated.sequences[0].tolist(), list(target.tokens))
    encoded = loaded.encode_text(read[1:-1], source.lang)
    languages = {target.lang: loaded.languages[target.lang]}
    (ours,) = loaded.decoder.greedy_search(
        encoded, languages, _MOST_NEW_TOKENS, is_looping, Deadline.after(_PATIENCE_S)
    )
    yield compared("seamless translation as it is shown", loaded.text(ours.tokens)[0], target.text)


def _units(loaded: SeamlessModel, threads: int) -> Iterator[Finding]:
    source, target = facts.SEAMLESS_READ, facts.SEAMLESS_WRITTEN
    read, written = list(source.tokens[1:-1]), list(target.tokens[2:-1])
    if max(*read, *written) >= loaded.model.config.vocab_size:  # another vocabulary, in which they are other words
        read, written = loaded.tokens(source.text), loaded.tokens(target.text)
    encoded = loaded.encode_text(read, source.lang)
    units = SeamlessSynthesizer(loaded, threads).units(encoded, written, target.lang)
    yield compared("seamless units of speech", units[0].tolist(), list(facts.SEAMLESS_UNITS))


def _rounded(folder: Path, clips: Sequence[Clip], exact: _Trace) -> Iterator[Finding]:
    loaded, trace = load(folder, "int8"), _Trace()
    yield from _recognised(loaded, "int8", clips, trace, exact.tokens)
    same = {lang: _agreement(tokens, exact.choices[lang]) for lang, tokens in trace.choices.items()}
    yield measured("seamless int8: tokens as in float32, after the same tokens", same)
    yield measured(
        "seamless int8: texts as in float32", {lang: text == exact.texts[lang] for lang, text in trace.texts.items()}
    )
    errors = {name: _error(made, exact.layers[name]) for name, made in trace.layers.items() if name in exact.layers}
    yield measured("seamless int8: error per layer", errors)


def _recognised(
    loaded: SeamlessModel,
    dtype: DType,
    clips: Sequence[Clip],
    trace: _Trace,
    forced: Mapping[str, list[int]] | None = None,
) -> Iterator[Finding]:
    """Transcribe each clip and translate the first, whose layers are kept.

    Args:
        loaded: The weights.
        dtype: Their type.
        clips: What is heard.
        trace: Filled with what is made of the first clip.
        forced: The tokens to follow through the decoder; those that it writes where there are none.
    """
    first, *others = clips
    for clip in others:
        if clip.lang in loaded.languages:
            text, logprob = _written(loaded, clip.samples, clip.lang)
            yield measured(
                f"seamless {dtype} hears {clip.lang}", {"text": text, "said": clip.words, "logprob": logprob}
            )
    with _Layers(loaded.model.speech_encoder.encoder.layers, "encoder", trace.layers):
        encoded = _encoded(loaded, first.samples)
    languages = {code: loaded.languages[code] for code in _WRITTEN if code in loaded.languages}
    hypotheses = loaded.decoder.greedy_search(
        encoded, languages, _most_tokens(first.samples), is_looping, Deadline.after(_PATIENCE_S)
    )
    for code, hypothesis in zip(languages, hypotheses, strict=True):
        trace.tokens[code] = [*hypothesis.tokens, 3]
        trace.texts[code] = loaded.text(hypothesis.tokens)[0]
        trace.logprobs[code] = round(hypothesis.mean_logprob, 3)
    for code, tokens in (forced or trace.tokens).items():
        ids = torch.tensor([[3, languages[code], *tokens]])
        kept = trace.layers if code == first.lang else {}
        with _Layers(loaded.model.text_decoder.layers, "decoder", kept), torch.inference_mode():
            logits = loaded.model(encoder_outputs=(encoded,), decoder_input_ids=ids).logits
        trace.choices[code] = logits[0, 1:].argmax(dim=-1).tolist()
    yield measured(
        f"seamless {dtype} hears {first.lang}",
        {"texts": trace.texts, "said": first.words, "logprobs": trace.logprobs},
    )


def _unlikely(loaded: SeamlessModel, clips: Sequence[Clip]) -> Iterator[Finding]:
    """Measure how likely the model finds what it writes for speech, and for what is none."""
    langs = [clip.lang for clip in clips if clip.lang in loaded.languages]
    speech = {clip.lang: _written(loaded, clip.samples, clip.lang) for clip in clips if clip.lang in langs}
    noise = {name: _written(loaded, samples, langs[0]) for name, samples in no_speech().items()}
    yield measured("seamless log-probability of speech", speech)
    yield measured("seamless log-probability of what is no speech", noise)
    least, most = min(score for _, score in speech.values()), max(score for _, score in noise.values())
    advice = round((least + most) / 2, 2) if least > most else None
    yield measured("seamless suggested SEAMLESS_MIN_LOGPROB", advice)


def no_speech() -> dict[str, Samples]:
    """Return sounds without words: silence, hiss, mains hum, a cough and a knock."""
    random = np.random.default_rng(0)
    time_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    hiss = random.normal(0, 1, SAMPLE_RATE_HZ)
    since_s = time_s % 0.4
    sounds = {
        "silence": 1e-4 * hiss,
        "hiss": 0.05 * hiss,
        "hum": 0.1 * np.sin(2 * np.pi * 50 * time_s),
        "cough": 0.3 * hiss * np.exp(-since_s / 0.08) * (time_s < 0.8),
        "knock": 0.5 * np.sin(2 * np.pi * 180 * time_s) * np.exp(-time_s / 0.03),
    }
    return {name: samples.astype(np.float32) for name, samples in sounds.items()}


def _written(loaded: SeamlessModel, samples: Samples, lang: str) -> tuple[str, float]:
    """Return the transcript of an utterance, and the mean log-probability of its tokens."""
    (hypothesis,) = loaded.decoder.greedy_search(
        _encoded(loaded, samples),
        {lang: loaded.languages[lang]},
        _most_tokens(samples),
        is_looping,
        Deadline.after(_PATIENCE_S),
    )
    return loaded.text(hypothesis.tokens)[0], round(hypothesis.mean_logprob, 3)


def _encoded(loaded: SeamlessModel, samples: Samples) -> Tensor:
    """Encode an utterance as ``[1, frames, width]``, as transformers does it."""
    heard = loaded.features(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
    with torch.inference_mode():
        encoded: Tensor = loaded.model.speech_encoder(
            heard["input_features"].to(loaded.model.dtype), attention_mask=heard["attention_mask"]
        )[0]
    return encoded


def _most_tokens(samples: Samples) -> int:
    return max_speech_tokens(len(samples) / SAMPLE_RATE_HZ)


def _agreement(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the share of places at which two rows of tokens have the same one."""
    return round(sum(a == b for a, b in zip(first, second, strict=True)) / max(1, len(second)), 4)


def _error(made: Tensor, exact: Tensor) -> float:
    """Return the length of the difference of two outputs over that of the exact one."""
    return round(float((made.float() - exact).norm() / exact.norm()), 5)


class _Layers:
    """Keeps the outputs of layers while it is entered."""

    def __init__(self, layers: nn.ModuleList, name: str, kept: dict[str, Tensor]) -> None:
        self._layers = layers
        self._name = name
        self._kept = kept
        self._hooks: list[Any] = []

    def __enter__(self) -> None:
        for number, layer in enumerate(self._layers):
            self._hooks.append(layer.register_forward_hook(partial(self._keep, f"{self._name} {number}")))

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _keep(self, name: str, _: nn.Module, __: Any, output: Any) -> None:
        self._kept[name] = (output[0] if isinstance(output, tuple) else output).detach().float().clone()
