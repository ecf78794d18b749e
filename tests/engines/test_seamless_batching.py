"""Utterances of several people in one batch of SeamlessM4T: each says what it would say alone, and fails alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babblefish.domain import Deadline, Samples
from babblefish.engines.contracts import BatchSpeechTranslator, SpeechRequest, SpeechTranslation
from babblefish.errors import DeadlineExceededError, EngineError, NoSpeechError

torch = pytest.importorskip("torch", reason="the full extra is not installed")
pytest.importorskip("transformers", reason="the full extra is not installed")

from babblefish.engines.seamless.model import load  # noqa: E402
from babblefish.engines.seamless.speech_translator import SeamlessSpeechTranslator  # noqa: E402 - only where torch is
from tests.support.recogniser import ScriptedRecogniser  # noqa: E402

pytestmark = pytest.mark.slow

TARGETS = ("eng", "fra", "deu")


def hear(seed: int, samples: int = 32_000) -> Samples:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def open_engine(folder: Path, **options: Any) -> SeamlessSpeechTranslator:
    engine = SeamlessSpeechTranslator(
        load(folder, "float32"), 1, ScriptedRecogniser(), min_logprob=-math.inf, **options
    )
    engine._text = lambda row: (str(row.tokens), True)  # type: ignore[method-assign] - what random weights say is no text
    return engine


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> SeamlessSpeechTranslator:
    return open_engine(checkpoint)


def ask(samples: Samples, lang: str = "pol", deadline: Deadline | None = None) -> SpeechRequest:
    return SpeechRequest(samples, deadline or Deadline.after(60), lambda _: TARGETS, frozenset({lang}))


def serve(
    engine: SeamlessSpeechTranslator, waiting: list[SpeechRequest | None]
) -> dict[SpeechRequest, SpeechTranslation | Exception]:
    """Let the engine take from a list, in which None says that nothing waits at that moment."""
    return dict(engine.translate_batch(lambda: waiting.pop(0) if waiting else None))


def said(outcome: SpeechTranslation | Exception) -> dict[str, str]:
    assert isinstance(outcome, SpeechTranslation), outcome
    return {**outcome.translations, outcome.transcript.lang: outcome.transcript.text}


@pytest.fixture
def count_rows(engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows in each step."""
    counts: list[int] = []
    step = engine._decoder._logits
    monkeypatch.setattr(
        engine._decoder,
        "_logits",
        lambda running: counts.append(sum(len(one.input_ids) for one in running)) or step(running),
    )
    return counts


@pytest.fixture
def encoded(engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The lengths of the utterances that were encoded together."""
    batches: list[list[int]] = []
    encode = engine._encode
    monkeypatch.setattr(engine, "_encode", lambda batch: batches.append([len(one) for one in batch]) or encode(batch))
    return batches


# Of different lengths, with odd numbers of frames among them, which the feature extractor pads.
UTTERANCES = [hear(0), hear(2, 29_000), hear(3, 35_160), hear(4, 32_777)]


def test_it_is_an_engine_that_serves_several_at_once(engine: SeamlessSpeechTranslator) -> None:
    assert isinstance(engine, BatchSpeechTranslator)


def test_utterances_that_wait_together_say_what_each_says_alone(
    engine: SeamlessSpeechTranslator, count_rows: list[int]
) -> None:
    alone = [said(engine.translate(ask(samples))) for samples in UTTERANCES]
    count_rows.clear()
    requests = [ask(samples) for samples in UTTERANCES]
    outcomes = serve(engine, list(requests))
    assert [said(outcomes[request]) for request in requests] == alone
    assert count_rows[0] == len(UTTERANCES) * (1 + len(TARGETS))
    assert len({str(texts) for texts in alone}) == len(UTTERANCES)  # else one could be another's unnoticed


def test_only_those_of_about_one_length_are_encoded_together(
    engine: SeamlessSpeechTranslator, encoded: list[list[int]]
) -> None:
    lengths = [64_000, 16_000, 70_000, 15_000, 40_000, 17_000]
    requests = [ask(hear(seed, length)) for seed, length in enumerate(lengths)]
    assert serve(engine, list(requests)).keys() == set(requests)
    assert encoded == [[64_000, 70_000], [16_000, 15_000, 17_000], [40_000]]


def test_no_more_is_encoded_together_than_one_may_be_long(
    engine: SeamlessSpeechTranslator, encoded: list[list[int]]
) -> None:
    requests = [ask(hear(seed, 16_000 * 9)) for seed in range(4)]
    assert serve(engine, list(requests)).keys() == set(requests)
    assert list(map(len, encoded)) == [2, 2]


def test_between_two_batches_that_are_encoded_those_who_run_take_a_step(
    engine: SeamlessSpeechTranslator, encoded: list[list[int]], count_rows: list[int]
) -> None:
    steps_before: list[int] = []

    def take() -> SpeechRequest | None:
        steps_before.extend([len(count_rows)] * (len(encoded) - len(steps_before)))
        return waiting.pop(0) if waiting else None

    waiting = [ask(hear(1, 16_000 * seconds)) for seconds in (1, 2, 3)]
    assert len(dict(engine.translate_batch(take))) == 3
    assert encoded == [[16_000], [32_000], [48_000]]
    assert steps_before == [1, 2, 3]


@pytest.mark.parametrize(
    # Greedily, two are encoded and finish in the same step; with beams they are searched one after another.
    ("beams", "told"),
    [
        (1, "encoding finished finished answered answered encoding finished answered"),
        (2, "encoding finished answered " * 3),
    ],
)
def test_who_is_finished_is_answered_before_another_is_encoded(checkpoint: Path, beams: int, told: str) -> None:
    engine = open_engine(checkpoint, beams=beams, max_batch=2)
    events: list[str] = []
    finish, encode = engine._finish, engine._encode

    def log_finish(utterance: Any, rows: Any) -> None:
        finish(utterance, rows)
        events.append("finished")

    engine._finish = log_finish  # type: ignore[method-assign]
    engine._encode = lambda batch: events.append("encoding") or encode(batch)  # type: ignore[method-assign]
    waiting = [ask(UTTERANCES[0]) for _ in range(3)]
    for _ in engine.translate_batch(lambda: waiting.pop(0) if waiting else None):
        events.append("answered")
    assert events == told.split()


def test_an_utterance_joins_one_that_is_running(engine: SeamlessSpeechTranslator, count_rows: list[int]) -> None:
    first, second = ask(UTTERANCES[0]), ask(UTTERANCES[2], "eng")
    alone = [said(engine.translate(request)) for request in (first, second)]
    count_rows.clear()
    outcomes = serve(engine, [first, None, None, second])
    assert [said(outcomes[request]) for request in (first, second)] == alone
    assert count_rows[:3] == [4, 4, 7]  # English is not translated to English


def test_who_is_finished_first_is_answered_first(engine: SeamlessSpeechTranslator) -> None:
    requests = [ask(samples) for samples in UTTERANCES]
    waiting = list(requests)
    answered = [request for request, _ in engine.translate_batch(lambda: waiting.pop(0) if waiting else None)]
    assert sorted(map(id, answered)) == sorted(map(id, requests))
    lengths = {}
    for request in requests:
        rows = serve(engine, [request])[request]
        lengths[request] = max(text.count(",") for text in said(rows).values())
    assert [lengths[request] for request in answered] == sorted(lengths.values())


def test_no_more_utterances_than_allowed_run_at_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(checkpoint, max_batch=2)
    running: list[int] = []
    step = engine._decoder.step
    monkeypatch.setattr(engine._decoder, "step", lambda decodings: running.append(len(decodings)) or step(decodings))
    requests = [ask(samples) for samples in UTTERANCES]
    assert serve(engine, list(requests)).keys() == set(requests)
    assert max(running) == 2


def _dies(_: Any) -> Iterator[str]:
    raise ValueError("no way")


@pytest.mark.parametrize(
    ("break_it", "error"),
    [
        (lambda: ask(hear(1), deadline=Deadline.after(-1)), DeadlineExceededError),
        (lambda: SpeechRequest(hear(1), Deadline.after(60), _dies, frozenset({"pol"})), ValueError),
    ],
)
def test_one_that_fails_at_the_start_costs_the_others_nothing(
    engine: SeamlessSpeechTranslator, break_it: Callable[[], SpeechRequest], error: type[Exception]
) -> None:
    good, bad = ask(UTTERANCES[0]), break_it()
    alone = said(engine.translate(good))
    outcomes = serve(engine, [bad, good])
    assert isinstance(outcomes[bad], error)
    assert said(outcomes[good]) == alone


def test_one_that_is_given_up_on_the_way_leaves_and_the_others_go_on(
    engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = ask(UTTERANCES[0]), ask(UTTERANCES[2])
    alone = said(engine.translate(good))

    def check(utterance: Any) -> None:
        bad.deadline.cancel()
        type(engine)._check(engine, utterance)

    monkeypatch.setattr(engine, "_check", check)
    outcomes = serve(engine, [good, bad])
    assert isinstance(outcomes[bad], DeadlineExceededError)
    assert said(outcomes[good]) == alone


def test_where_encoding_fails_those_who_were_running_go_on(
    engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = ask(UTTERANCES[0]), ask(UTTERANCES[2])
    alone = said(engine.translate(good))
    encode = engine._encode

    def fail_on_long_ones(utterances: list[Samples]) -> Any:
        if any(len(samples) > 35_000 for samples in utterances):
            raise EngineError("out of memory")
        return encode(utterances)

    monkeypatch.setattr(engine, "_encode", fail_on_long_ones)
    outcomes = serve(engine, [good, None, bad])
    assert isinstance(outcomes[bad], EngineError)
    assert said(outcomes[good]) == alone


def test_one_whose_decoding_cannot_begin_costs_the_others_nothing(
    engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = ask(UTTERANCES[0]), ask(UTTERANCES[1])
    alone = said(engine.translate(good))
    begin, begun = engine._decoder.start, []

    def fail_first(*arguments: Any) -> Any:
        begun.append(1)
        if len(begun) == 1:
            raise RuntimeError("out of memory")
        return begin(*arguments)

    monkeypatch.setattr(engine._decoder, "start", fail_first)
    outcomes = serve(engine, [bad, good])
    assert isinstance(outcomes[bad], RuntimeError)
    assert said(outcomes[good]) == alone


def test_silence_among_others_is_no_speech_for_its_speaker_alone(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(checkpoint)
    monkeypatch.setattr(engine, "_text", lambda row: (str(row.tokens) if row.tokens[:1] == first else None, True))
    pair = [ask(samples) for samples in UTTERANCES[:2]]
    tokens = [engine._decoder.greedy_search(*_alone(engine, request)) for request in pair]
    first = tokens[0][0].tokens[:1]
    assert tokens[1][0].tokens[:1] != first
    outcomes = serve(engine, list(pair))
    assert isinstance(outcomes[pair[0]], SpeechTranslation)
    assert isinstance(outcomes[pair[1]], NoSpeechError)


def _alone(engine: SeamlessSpeechTranslator, request: SpeechRequest) -> tuple[Any, ...]:
    (encoded,) = engine._encode([request.samples])
    return encoded, {"pol": engine._languages["pol"]}, 30, lambda _: False, Deadline.after(60)


def test_with_beams_they_are_searched_one_after_another(checkpoint: Path) -> None:
    engine = open_engine(checkpoint, beams=2)
    requests = [ask(samples) for samples in UTTERANCES[:2]]
    alone = [said(engine.translate(request)) for request in requests]
    outcomes = serve(engine, list(requests))
    assert [said(outcomes[request]) for request in requests] == alone
