"""SeamlessM4T v2 on tiny random checkpoints of the real architecture, against transformers' own ``generate``."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babblefish.domain import Deadline, Quality, Samples, Transcript
from babblefish.engines.contracts import SpeechRequest
from babblefish.errors import DeadlineExceededError, NoSpeechError
from babblefish.languages import to_seamless

torch = pytest.importorskip("torch", reason="the full extra is not installed")
pytest.importorskip("transformers", reason="the full extra is not installed")

from babblefish.engines.decoding import is_looping  # noqa: E402 - only where torch is
from babblefish.engines.seamless.decoder import Hypothesis  # noqa: E402
from babblefish.engines.seamless.model import DType, load  # noqa: E402
from babblefish.engines.seamless.speech_translator import SeamlessSpeechTranslator  # noqa: E402
from tests.support.recogniser import ScriptedRecogniser  # noqa: E402
from tests.support.tiny_seamless import SENTENCES  # noqa: E402

pytestmark = pytest.mark.slow

CODES = ("eng", "fra", "pol", "deu", "cmn", "ara")
LIMIT = 30
# Kinds of noise by what the tiny model makes of them.
WORDS_IN_POLISH, NOTHING_IN_ENGLISH, THREE_LANGUAGES = 0, 2, 3


def never(_: Sequence[int]) -> bool:
    return False


def nothing(_: str) -> tuple[str, ...]:
    return ()


def request(
    samples: Samples, lang: str | None, choose: Callable[[str], Collection[str]], interim: bool = False
) -> SpeechRequest:
    return SpeechRequest(samples, Deadline.after(60), choose, frozenset({lang} if lang else ()), interim)


def encode(engine: SeamlessSpeechTranslator, samples: Samples) -> Any:
    (encoded,) = engine._encode([samples])
    return encoded


def hear(seed: int, samples: int = 32_000) -> Samples:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def open_engine(folder: Path, dtype: DType = "float32", beams: int = 1) -> SeamlessSpeechTranslator:
    # What random weights say is never likely.
    return SeamlessSpeechTranslator(load(folder, dtype), 1, ScriptedRecogniser(), beams, min_logprob=-math.inf)


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> SeamlessSpeechTranslator:
    return open_engine(checkpoint)


def alone(engine: SeamlessSpeechTranslator, samples: Samples, code: str, beams: int) -> list[int]:
    """Return what transformers' own ``generate`` decodes for one language: the tokens after the language's."""
    heard = engine._features(samples, sampling_rate=16_000, return_tensors="pt")
    ids = engine._model.generate(
        **heard,
        tgt_lang=to_seamless(code),
        num_beams=beams,
        do_sample=False,
        max_new_tokens=LIMIT,
        suppress_tokens=[1],
        generate_speech=False,
    ).sequences
    return [int(token) for token in ids[0][2:]]


# An odd number of frames makes the feature extractor pad, and the encoder mask.
@pytest.mark.parametrize("samples", [16_000, 32_000, 32_777, 40_160])
@pytest.mark.parametrize("seed", [0, 2, 3])
@pytest.mark.parametrize("beams", [1, 4])
def test_languages_decoded_together_say_token_for_token_what_each_says_alone(
    engine: SeamlessSpeechTranslator, seed: int, samples: int, beams: int
) -> None:
    speech = hear(seed, samples)
    encoded, languages = encode(engine, speech), {code: engine._languages[code] for code in CODES}
    if beams == 1:
        rows = engine._decoder.greedy_search(encoded, languages, LIMIT, never, Deadline.after(60))
    else:
        rows = engine._decoder.beam_search(encoded, languages, LIMIT, beams, Deadline.after(60))
    together = [row.tokens + [3] * row.ended for row in rows]
    assert together == [alone(engine, speech, code, beams) for code in CODES]
    assert len({tuple(row) for row in together}) > 1  # else a row could be another's unnoticed


def test_rows_that_have_ended_leave_the_batch(
    engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    step = engine._decoder._logits
    monkeypatch.setattr(
        engine._decoder, "_logits", lambda running: counts.append(len(running[0].input_ids)) or step(running)
    )
    languages = {code: engine._languages[code] for code in CODES}
    rows = engine._decoder.greedy_search(encode(engine, hear(0)), languages, LIMIT, never, Deadline.after(60))
    lengths = [len(row.tokens) + row.ended for row in rows]
    assert counts == [sum(length > place for length in lengths) for place in range(max(lengths))]
    assert len(set(lengths)) > 2


def test_the_confidence_is_the_mean_probability_of_the_tokens(engine: SeamlessSpeechTranslator) -> None:
    encoded, language = encode(engine, hear(0)), engine._languages["pol"]
    row = engine._decoder.greedy_search(encoded, {"pol": language}, LIMIT, never, Deadline.after(60))[0]
    ids = torch.tensor([[3, language, *row.tokens]])
    with torch.inference_mode():
        logits = engine._model(encoder_outputs=(encoded,), decoder_input_ids=ids).logits
        logits[..., 1] = -torch.inf  # the unknown is never written
    logprobs = logits.log_softmax(dim=-1)[0, 1:]
    chosen = [float(logprobs[place, token]) for place, token in enumerate([*row.tokens, 3])]
    assert row.mean_logprob == pytest.approx(np.mean(chosen), abs=1e-4)


@pytest.mark.parametrize("beams", [1, 4])
def test_transcript_and_translations_come_from_one_encoder_pass(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, beams: int
) -> None:
    engine = open_engine(checkpoint, beams=beams)
    passes: list[int] = []
    engine._model.speech_encoder.encoder.register_forward_hook(lambda *_: passes.append(1))
    monkeypatch.setattr(engine, "_text", lambda row: (str(row.tokens), True))
    wanted = ("fra", "pol", "ara")
    heard = engine.translate(request(hear(THREE_LANGUAGES), "eng", lambda _: wanted))
    assert len(passes) == 1
    assert heard.transcript.lang == "eng"
    assert set(heard.translations) == set(wanted)
    assert heard.timings_ms.keys() == {"encode", "decode"}


def test_what_is_said_is_the_text_of_the_tokens(engine: SeamlessSpeechTranslator) -> None:
    speech = hear(THREE_LANGUAGES)
    heard = engine.translate(request(speech, "pol", lambda _: ("eng", "fra")))
    said = engine._text_of(alone(engine, speech, "pol", 1))[0]
    assert said
    assert heard.transcript.text == said
    assert 0 < heard.transcript.confidence <= 1


def test_a_declared_language_is_believed_and_an_unknown_one_is_identified(engine: SeamlessSpeechTranslator) -> None:
    asked: list[str] = []

    def choose(lang: str) -> tuple[str, ...]:
        asked.append(lang)
        return ()

    declared = engine.translate(request(hear(THREE_LANGUAGES), "pol", choose)).transcript
    detected = engine.translate(request(hear(THREE_LANGUAGES), None, choose))
    not_known = engine.translate(request(hear(THREE_LANGUAGES), "ceb", choose)).transcript
    assert (declared.lang, declared.lang_confidence) == ("pol", 1.0)
    assert (detected.transcript.lang, detected.transcript.lang_confidence) == ("fra", 0.75)
    assert (not_known.lang, not_known.lang_confidence) == ("fra", 0.75)
    assert "detect_language" in detected.timings_ms
    assert asked == ["pol", "fra", "fra"]


@pytest.fixture
def other(engine: SeamlessSpeechTranslator) -> Iterator[ScriptedRecogniser]:
    """The recogniser beside the model, as the test wants it."""
    before = engine._beside
    engine._beside = ScriptedRecogniser()
    yield engine._beside
    engine._beside = before


def test_what_it_neither_hears_nor_writes_is_left_to_the_other_recogniser(
    engine: SeamlessSpeechTranslator, other: ScriptedRecogniser
) -> None:
    heard = engine.translate(request(hear(0), "bre", lambda _: ("eng", "fra")))
    assert heard.transcript == Transcript("Mbote", "bre", 1.0, 0.8)
    assert heard.translations == {"eng": "Hello"}
    assert engine.targets("bre") == {"eng": Quality.DRAFT}
    assert other.encoded == 1


def test_what_it_hears_and_does_not_write_is_transcribed_by_the_other(
    engine: SeamlessSpeechTranslator, other: ScriptedRecogniser
) -> None:
    speech = hear(THREE_LANGUAGES)
    heard = engine.translate(request(speech, "lin", lambda _: ("eng", "fra")))
    assert heard.transcript == Transcript("Mbote", "lin", 1.0, 0.8)
    as_polish = engine.translate(request(speech, "pol", lambda _: ("eng", "fra")))
    assert heard.translations == as_polish.translations != {}
    assert engine.targets("lin") == {code: Quality.DRAFT for code in CODES}
    assert heard.timings_ms.keys() == {"detect_language", "transcribe", "encode", "decode"}
    assert other.encoded == 1


def test_what_nobody_wants_translated_needs_the_other_recogniser_alone(
    engine: SeamlessSpeechTranslator, other: ScriptedRecogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_encode", lambda _: pytest.fail("encoded for nobody"))
    heard = engine.translate(request(hear(0), "lin", nothing))
    assert (heard.transcript.text, heard.translations) == ("Mbote", {})
    other.says = None
    with pytest.raises(NoSpeechError):
        engine.translate(request(hear(0), "lin", nothing))


def test_targets_are_the_other_languages_of_the_checkpoint(engine: SeamlessSpeechTranslator) -> None:
    assert engine.targets("fra") == {code: Quality.GOOD for code in CODES if code != "fra"}
    assert "ara" in engine.targets("eng")  # the model's own code for it is another
    assert "ita" not in engine.targets("eng")


def test_a_target_that_it_does_not_write_is_left_out(engine: SeamlessSpeechTranslator) -> None:
    heard = engine.translate(request(hear(THREE_LANGUAGES), "pol", lambda _: ("bre", "ita", "pol")))
    assert heard.translations == {}


def test_no_words_are_no_speech(engine: SeamlessSpeechTranslator) -> None:
    with pytest.raises(NoSpeechError):
        engine.translate(request(hear(NOTHING_IN_ENGLISH), "eng", nothing))


def write(
    engine: SeamlessSpeechTranslator,
    monkeypatch: pytest.MonkeyPatch,
    texts: Sequence[str],
    logprobs: Sequence[float] = (),
) -> None:
    """Let the decoder write these texts, the transcript's first, each with a mean log-probability or a likely one."""
    tokens = engine._text_of.__self__.tokens  # type: ignore[attr-defined]
    likely = zip_longest(texts, logprobs, fillvalue=-0.1)
    rows = [Hypothesis(tokens(text), logprob, ended=True) for text, logprob in likely]
    monkeypatch.setattr(engine, "_min_logprob", -1.0)
    monkeypatch.setattr(engine._decoder, "step", lambda states: [setattr(one, "hypotheses", rows) for one in states])
    monkeypatch.setattr("babblefish.engines.seamless.decoder.DecoderState.running", False)


def test_a_translation_that_lacks_a_word_is_a_draft_and_shows_no_sign_of_it(
    engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the order of the table of languages.
    write(engine, monkeypatch, ["Dzień <unk> dobry.", "The soup is hot<unk>.", "Bonjour ce soir."])
    heard = engine.translate(request(hear(0), "pol", lambda _: ("eng", "fra")))
    assert heard.transcript.text == "Dzień dobry."
    assert heard.translations == {"eng": "The soup is hot.", "fra": "Bonjour ce soir."}
    assert [heard.quality(lang, Quality.GOOD) for lang in ("eng", "fra")] == [Quality.DRAFT, Quality.GOOD]


@pytest.mark.parametrize(("duration_s", "is_doubtful"), [(14, True), (7, False)])
def test_few_words_for_long_speech_are_doubtful(
    engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch, duration_s: int, is_doubtful: bool
) -> None:
    write(engine, monkeypatch, ["Dzień.", "The day."])
    heard = engine.translate(request(hear(0, duration_s * 16_000), "pol", lambda _: ("eng",)))
    expected = Quality.DRAFT if is_doubtful else Quality.GOOD
    assert heard.quality("eng", Quality.GOOD) is expected


def test_enough_words_for_long_speech_are_not_doubtful(
    engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(engine, monkeypatch, [SENTENCES[2], SENTENCES[0]])
    heard = engine.translate(request(hear(0, 9 * 16_000), "pol", lambda _: ("eng",)))
    assert heard.doubtful == frozenset()


# In an unknown language a single word, of less than 2 s, needs less certainty than a sentence.
@pytest.mark.parametrize(
    ("samples", "logprob", "is_heard"), [(48_000, -0.9, True), (48_000, -1.1, False), (24_000, -1.1, True)]
)
def test_unlikely_words_in_an_unknown_language_are_no_speech(
    engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch, samples: int, logprob: float, is_heard: bool
) -> None:
    write(engine, monkeypatch, [SENTENCES[1]], [logprob])
    expected = nullcontext() if is_heard else pytest.raises(NoSpeechError)
    with expected:
        heard = engine.translate(request(hear(0, samples), None, nothing))
        assert heard.doubtful == ({"fra"} if logprob < -1 else set())


def test_unlikely_words_of_a_declared_language_are_a_draft_where_another_hears_words(
    engine: SeamlessSpeechTranslator, other: ScriptedRecogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(engine, monkeypatch, [SENTENCES[2], SENTENCES[0]], [-3.0, -0.1])
    heard = engine.translate(request(hear(0), "pol", lambda _: ("eng",)))
    assert heard.transcript.text == SENTENCES[2]
    assert heard.quality("eng", Quality.GOOD) is Quality.DRAFT
    assert [one.source_langs for one in other.requests] == [{"pol"}]
    assert other.encoded == 1


def test_unlikely_words_of_a_declared_language_are_none_where_another_hears_none(
    engine: SeamlessSpeechTranslator, other: ScriptedRecogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.says = None
    write(engine, monkeypatch, [SENTENCES[2]], [-1.1])
    with pytest.raises(NoSpeechError):
        engine.translate(request(hear(0), "pol", nothing))


def test_a_declared_language_that_the_other_lacks_is_believed_as_well(
    engine: SeamlessSpeechTranslator, other: ScriptedRecogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.knows = frozenset()
    write(engine, monkeypatch, [SENTENCES[2]], [-1.1])
    assert engine.translate(request(hear(0), "pol", nothing)).transcript.text == SENTENCES[2]
    # As its own declared language, in which it keeps what is not silence.
    assert [one.source_langs for one in other.requests] == [{"fra"}]


def test_likely_words_and_those_of_an_interim_caption_ask_nobody_else(
    engine: SeamlessSpeechTranslator, other: ScriptedRecogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(engine, monkeypatch, [SENTENCES[2]], [-0.9])
    assert engine.translate(request(hear(0), "pol", nothing)).doubtful == frozenset()
    write(engine, monkeypatch, [SENTENCES[2]], [-1.1])
    with pytest.raises(NoSpeechError):
        engine.translate(request(hear(0), "pol", nothing, interim=True))
    assert not other.requests


def test_an_unlikely_translation_is_a_draft_by_itself(
    engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(engine, monkeypatch, [SENTENCES[2], SENTENCES[0], SENTENCES[1]], [-0.1, -1.1, -0.2])
    heard = engine.translate(request(hear(0), "pol", lambda _: ("eng", "fra")))
    assert [heard.quality(lang, Quality.GOOD) for lang in ("eng", "fra")] == [Quality.DRAFT, Quality.GOOD]


def test_nothing_but_words_it_lacks_is_no_speech(
    engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(engine, monkeypatch, ["<unk> <unk>."])
    with pytest.raises(NoSpeechError):
        engine.translate(request(hear(0), "pol", nothing))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("beams", [1, 2])
def test_the_token_for_the_unknown_is_never_written(checkpoint: Path, dtype: DType, beams: int) -> None:
    loaded = load(checkpoint, dtype)
    decoder, hears = loaded.decoder, torch.randn(1, 12, 32)
    languages = {"eng": loaded.languages["eng"], "cmn": loaded.languages["cmn"]}
    with torch.inference_mode():
        state = decoder.start(hears, languages, 3, never)
        logits = decoder._logits([state])
    tokens = decoder.lm_head.tokens(torch.arange(logits.shape[1]), state.blocks)
    allowed = {token for token, logit in zip(tokens, logits[0].tolist(), strict=True) if logit > -float("inf")}
    assert {0, 2, 3} < allowed
    assert 1 not in allowed
    if dtype == "float32":
        loaded.model.lm_head.weight.data[1] = loaded.model.lm_head.weight.data[3] * 100
        search = decoder.greedy_search if beams == 1 else decoder.beam_search
        rest = (never,) if beams == 1 else (beams,)
        rows = search(hears, languages, 8, *rest, Deadline.after(60))  # type: ignore[operator]
        assert all(1 not in row.tokens for row in rows)


def test_a_translation_that_loops_stops_early_and_is_left_out(engine: SeamlessSpeechTranslator) -> None:
    languages = {code: engine._languages[code] for code in ("pol", "fra")}
    said, looping = engine._decoder.greedy_search(
        encode(engine, hear(WORDS_IN_POLISH)), languages, LIMIT, is_looping, Deadline.after(60)
    )
    assert said.ended
    assert not looping.ended
    assert len(looping.tokens) < LIMIT
    heard = engine.translate(request(hear(WORDS_IN_POLISH), "pol", lambda _: ("fra",)))
    assert heard.transcript.text
    assert heard.translations == {}


@pytest.mark.parametrize(
    ("tokens", "looping"),
    [([5] * 8, True), ([5] * 7, False), ([9, 1, 2, 3] + [7, 8] * 4, True), ([7, 8] * 4 + [9], False), ([], False)],
)
def test_a_loop_is_a_phrase_four_times_in_a_row_and_eight_tokens_long(tokens: list[int], looping: bool) -> None:
    assert is_looping(tokens) is looping


@pytest.mark.parametrize("beams", [1, 4])
def test_the_deadline_is_checked_between_steps(
    engine: SeamlessSpeechTranslator, monkeypatch: pytest.MonkeyPatch, beams: int
) -> None:
    deadline, steps = Deadline.after(60), []

    def third_step_cancels(*_: Any) -> None:
        steps.append(1)
        if len(steps) == 3:
            deadline.cancel()

    hook = engine._model.lm_head.register_forward_hook(third_step_cancels)
    encoded, languages = encode(engine, hear(0)), {"deu": engine._languages["deu"]}
    decode: Callable[[], Any] = (
        (lambda: engine._decoder.greedy_search(encoded, languages, LIMIT, never, deadline))
        if beams == 1
        else (lambda: engine._decoder.beam_search(encoded, languages, LIMIT, beams, deadline))
    )
    try:
        with pytest.raises(DeadlineExceededError):
            decode()
    finally:
        hook.remove()
    assert len(steps) == 3


def test_int8_stays_close_to_float32(engine: SeamlessSpeechTranslator, checkpoint: Path) -> None:
    small = open_engine(checkpoint, "int8")
    ids = torch.tensor([[3, engine._languages[code]] for code in CODES])
    for seed in range(4):
        encoded, approximate = encode(engine, hear(seed)), encode(small, hear(seed))
        states = (encoded.expand(len(CODES), -1, -1),)
        with torch.inference_mode():
            exact = engine._model(encoder_outputs=states, decoder_input_ids=ids).logits
            rounded = small._model(encoder_outputs=states, decoder_input_ids=ids).logits
        # With a width of 32 a single rounding weighs far more than with the real 1024.
        assert (rounded - exact).norm() / exact.norm() < 0.05
        assert (approximate - encoded).norm() / encoded.norm() < 0.12


@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
def test_int8_and_bfloat16_translate(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, dtype: DType) -> None:
    engine = open_engine(checkpoint, dtype)
    monkeypatch.setattr(engine, "_text", lambda row: (str(row.tokens), True))
    heard = engine.translate(request(hear(0), "pol", lambda _: ("eng", "deu")))
    assert set(heard.translations) == {"eng", "deu"}
