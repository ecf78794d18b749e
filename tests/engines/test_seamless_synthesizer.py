"""SeamlessM4T v2 from text to speech, on a tiny random checkpoint, against transformers' own ``generate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babblefish.domain import Deadline, Samples
from babblefish.engines.facts import SEAMLESS_SPEAKERS
from babblefish.errors import DeadlineExceededError, EngineError
from babblefish.languages import to_seamless

torch = pytest.importorskip("torch", reason="the full extra is not installed")
pytest.importorskip("transformers", reason="the full extra is not installed")

from transformers import SeamlessM4TTokenizer, SeamlessM4Tv2Model  # noqa: E402

from babblefish.engines.seamless.model import DType, SeamlessModel, load  # noqa: E402 - only where torch is
from babblefish.engines.seamless.synthesizer import SeamlessSynthesizer  # noqa: E402
from tests.support.tiny_seamless import SENTENCES  # noqa: E402

pytestmark = pytest.mark.slow

ENGLISH, FRENCH, POLISH, *_ = SENTENCES


@pytest.fixture(scope="module")
def loaded(checkpoint: Path) -> SeamlessModel:
    return load(checkpoint, "float32")


@pytest.fixture
def engine(loaded: SeamlessModel) -> SeamlessSynthesizer:
    return SeamlessSynthesizer(loaded, threads=1)


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> SeamlessM4Tv2Model:
    """What transformers makes of it, with units as long as they are."""
    model = SeamlessM4Tv2Model.from_pretrained(checkpoint).eval()
    model.vocoder.dur_predictor.forward = lambda units: units.new_zeros(units.shape[:2])
    return model


def speak(engine: SeamlessSynthesizer, text: str, lang: str) -> Samples:
    return np.concatenate([piece.samples for piece in engine.synthesize(text, lang, Deadline.after(60))])


@pytest.mark.parametrize("text", SENTENCES)
@pytest.mark.parametrize("target", ["eng", "fra", "pol", "ara"])
def test_the_words_that_transformers_decoded_sound_as_it_speaks_them(
    engine: SeamlessSynthesizer, checkpoint: Path, reference: SeamlessM4Tv2Model, text: str, target: str
) -> None:
    asked = SeamlessM4TTokenizer.from_pretrained(checkpoint)(text, src_lang="eng", return_tensors="pt").input_ids
    spoken = reference.generate(
        asked,
        tgt_lang=to_seamless(target),
        text_max_new_tokens=25,
        num_beams=1,
        do_sample=False,
        return_intermediate_token_ids=True,
        speaker_id=SEAMLESS_SPEAKERS[to_seamless(target)],
    )
    # The last is left out, be it the end or what was decoded when the limit was reached.
    tokens = spoken.sequences[0, 2:-1].tolist()
    with torch.inference_mode():
        encoded = reference.text_encoder(asked)[0]
    units = engine.units(encoded, tokens, target)
    assert units.shape == spoken.unit_sequences.shape
    np.testing.assert_allclose(engine._sound(units, target), spoken.waveform[0], atol=1e-5)
    assert len(set(units[0].tolist())) > 1


def test_a_text_is_spoken_from_its_own_tokens_in_its_own_language(
    engine: SeamlessSynthesizer, checkpoint: Path, reference: SeamlessM4Tv2Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = SeamlessM4TTokenizer.from_pretrained(checkpoint)(POLISH, src_lang="pol", return_tensors="pt").input_ids
    decoded = torch.cat([torch.tensor([[3]]), ids], dim=1)  # as if it had decoded the text itself

    class Decoded:
        sequences = decoded
        encoder_hidden_states = (reference.text_encoder(ids)[0].detach(),)

    monkeypatch.setattr("transformers.GenerationMixin.generate", lambda *_, **__: Decoded)
    expected, _ = reference.generate(ids, tgt_lang="pol", speaker_id=SEAMLESS_SPEAKERS["pol"])
    (speech,) = engine.synthesize(POLISH, "pol", Deadline.after(60))
    np.testing.assert_allclose(speech.samples, expected[0].detach(), atol=1e-5)
    assert (speech.sample_rate_hz, speech.lang, speech.voice) == (16_000, "pol", "seamless:pol")
    assert speech.samples.dtype == np.float32


def test_another_language_sounds_different(engine: SeamlessSynthesizer) -> None:
    assert not np.array_equal(speak(engine, ENGLISH, "eng"), speak(engine, ENGLISH, "fra"))


def test_it_has_voices_for_the_languages_of_its_own_tables_only(engine: SeamlessSynthesizer) -> None:
    assert {code: engine.voices(code)[0].name for code in ("eng", "fra", "pol", "ara")} == {
        "eng": "seamless:eng",
        "fra": "seamless:fra",
        "pol": "seamless:pol",
        "ara": "seamless:arb",
    }
    assert [*map(engine.voices, ("deu", "cmn", "ita", "bre"))] == [()] * 4


@pytest.mark.parametrize("table", ["t2u_lang_code_to_id", "vocoder_lang_code_to_id"])
def test_a_language_that_is_in_one_table_only_has_no_voice(
    checkpoint: Path, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(checkpoint, "float32")
    del getattr(loaded.model.generation_config, table)["pol"]
    engine = SeamlessSynthesizer(loaded, threads=1)
    assert not engine.voices("pol")
    with pytest.raises(EngineError, match="pol"):
        list(engine.synthesize(POLISH, "pol", Deadline.after(60)))
    assert engine.voices("fra")


@pytest.mark.parametrize("table", ["t2u_lang_code_to_id", "vocoder_lang_code_to_id", "id_to_text", "char_to_id"])
def test_a_checkpoint_without_the_tables_of_speech_is_an_error_that_names_them(checkpoint: Path, table: str) -> None:
    loaded = load(checkpoint, "float32")
    delattr(loaded.model.generation_config, table)
    with pytest.raises(EngineError, match=table):
        SeamlessSynthesizer(loaded, threads=1)


def test_a_long_text_comes_in_pieces_whose_first_is_there_before_the_next_is_begun(
    engine: SeamlessSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    tokens = SeamlessModel.tokens
    monkeypatch.setattr(SeamlessModel, "tokens", lambda self, text: begun.append(text) or tokens(self, text))
    pieces = engine.synthesize(" ".join(SENTENCES), "eng", Deadline.after(60))
    next(pieces)
    assert begun == [ENGLISH]
    rest = list(pieces)
    assert len(rest) == len(begun) - 1 > 0
    assert " ".join(begun) == " ".join(SENTENCES)


@pytest.mark.parametrize("text", ["", "...", "\n - \n"])
def test_nothing_is_said_where_there_are_no_words(engine: SeamlessSynthesizer, text: str) -> None:
    assert list(engine.synthesize(text, "eng", Deadline.after(60))) == []


def test_characters_that_the_model_does_not_know_are_passed_over(engine: SeamlessSynthesizer) -> None:
    assert len(speak(engine, "The soup 汤 is ready 100 %.", "eng")) > 0


def make_units(engine: SeamlessSynthesizer, monkeypatch: pytest.MonkeyPatch, symbols: Sequence[int]) -> None:
    """Let the text-to-unit model make these; the tiny one never chooses a control symbol by itself."""
    logits = torch.nn.functional.one_hot(torch.tensor([symbols]), 64)
    monkeypatch.setattr(type(engine._loaded.model.t2u_model), "forward", lambda *_, **__: (logits,))


@pytest.mark.parametrize("control", [0, 1, 2, 3])
def test_speech_ends_at_the_first_control_symbol(
    engine: SeamlessSynthesizer, monkeypatch: pytest.MonkeyPatch, control: int
) -> None:
    make_units(engine, monkeypatch, (4, 5, 63, control, 30, 31, control))
    encoded = engine._loaded.encode_text([40, 41], "eng")
    assert engine.units(encoded, [40, 41], "eng").tolist() == [[0, 1, 59]]
    # The upsampling of the tiny vocoder, by 4 and by 2: each unit lasts as long as every other.
    assert len(speak(engine, ENGLISH, "eng")) == 3 * 8


def test_a_text_without_units_is_an_error_of_that_text(
    engine: SeamlessSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_units(engine, monkeypatch, (1, 30))
    with pytest.raises(EngineError, match="no speech"):
        list(engine.synthesize(ENGLISH, "eng", Deadline.after(60)))


def test_each_language_is_spoken_by_a_speaker_of_its_own(
    engine: SeamlessSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_it_is = speak(engine, POLISH, "pol")
    monkeypatch.setitem(SEAMLESS_SPEAKERS, "pol", 0)
    assert not np.array_equal(speak(engine, POLISH, "pol"), as_it_is)


def test_the_deadline_is_checked_between_pieces_and_between_the_steps_of_one(
    engine: SeamlessSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadline = Deadline.after(60)
    pieces = engine.synthesize(" ".join(SENTENCES), "eng", deadline)
    next(pieces)
    deadline.cancel()
    with pytest.raises(DeadlineExceededError):
        next(pieces)

    deadline = Deadline.after(60)
    units = engine.units

    def last_step_before_the_sound(*given: Any) -> Any:
        deadline.cancel()
        return units(*given)

    monkeypatch.setattr(engine, "units", last_step_before_the_sound)
    monkeypatch.setattr(engine, "_sound", lambda *_: pytest.fail("it went on"))
    with pytest.raises(DeadlineExceededError):
        list(engine.synthesize(ENGLISH, "eng", deadline))


def test_a_text_it_fails_on_is_an_error_of_that_text_alone(
    engine: SeamlessSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("shape mismatch")

    with monkeypatch.context() as patched:
        patched.setattr(engine, "_sound", broken)
        with pytest.raises(EngineError):
            list(engine.synthesize(ENGLISH, "eng", Deadline.after(60)))
    assert len(speak(engine, ENGLISH, "eng")) > 0


@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
def test_int8_and_bfloat16_speak(checkpoint: Path, dtype: DType) -> None:
    samples = speak(SeamlessSynthesizer(load(checkpoint, dtype), threads=1), ENGLISH, "eng")
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert samples.std() > 0
