"""Where Kokoro's speech is cut into pieces, and the ONNX model into what predicts and what makes the sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from babblefish.engines.kokoro.frames import Cutter, Predicted, Span
from babblefish.engines.kokoro.onnx_runner import OnnxRunner
from babblefish.engines.onnx_session import open_session
from babblefish.errors import SetupError
from babblefish.models import install
from babblefish.settings import Settings

SECONDS_OF_WORK = 0.4
VOICE = "af_heart"


def text(frames: int, seed: int = 0) -> NDArray[np.float32]:
    """Return the energy of so many frames of speech between two half seconds of silence."""
    spoken = np.random.default_rng(seed).uniform(1, 9, frames)
    return np.concatenate([np.full(20, -9), spoken, np.full(20, -9)]).astype(np.float32)


def cut(energy: NDArray[np.float32]) -> list[Span]:
    return list(Cutter().cut(energy))


def test_a_few_words_are_one_piece_without_most_of_the_silence_around_them() -> None:
    (span,) = cut(text(60))
    assert (span.start, span.stop, span.is_first, span.is_last) == (20, 80, True, True)
    assert span.made_of.tolist() == list(range(8, 92))


def test_the_first_piece_of_a_long_text_lasts_about_a_second() -> None:
    lengths = [cut(text(400, seed))[0] for seed in range(50)]
    assert {span.is_first for span in lengths} == {True}
    assert all(41 <= span.stop - span.start <= 52 for span in lengths)


def test_a_text_is_cut_where_the_voice_is_quietest() -> None:
    energy = text(100)
    energy[20 + 45] = 0.5
    assert [(span.start, span.stop) for span in cut(energy)] == [(20, 65), (65, 120)]


def test_pieces_hold_every_frame_of_the_speech_in_order() -> None:
    for frames in (1, 75, 76, 77, 500, 3000):
        spans = cut(text(frames, frames))
        assert [number for span in spans for number in range(span.start, span.stop)] == list(range(20, 20 + frames))
        assert [span.is_first for span in spans] == [True] + [False] * (len(spans) - 1)
        assert [span.is_last for span in spans] == [False] * (len(spans) - 1) + [True]


def test_a_piece_is_made_between_silences_and_with_the_frames_beyond_its_cuts() -> None:
    _, span, *_ = cut(text(400))
    before, after = list(range(span.start - 4, span.start)), list(range(span.stop, span.stop + 4))
    expected = [*range(8, 20), *before, *range(span.start, span.stop), *after, *range(420, 432)]
    assert span.made_of.tolist() == expected
    assert span.made_of[span.offset] == span.start


@pytest.mark.parametrize("seed", range(20))
def test_every_piece_is_made_before_it_is_to_be_heard(seed: int) -> None:
    cutter, made, heard_until = Cutter(), 0.0, None
    for frames in np.random.default_rng(seed).integers(20, 400, 8):
        for span in cutter.cut(text(frames, seed)):
            made += SECONDS_OF_WORK * len(span.made_of)
            heard_until = made if heard_until is None else heard_until
            assert made <= heard_until or span.is_first
            heard_until = max(made, heard_until) + span.stop - span.start


def test_no_piece_lasts_longer_than_fifteen_seconds() -> None:
    assert 500 < max(span.stop - span.start for span in cut(text(6000))) <= 600


def test_silence_alone_and_a_model_without_frames_are_one_piece() -> None:
    (silent,) = cut(np.full(50, -9, dtype=np.float32))
    assert (silent.start, silent.stop) == (0, 50)
    (nothing,) = cut(np.zeros(0, dtype=np.float32))
    assert (nothing.start, nothing.stop, len(nothing.made_of)) == (0, 0, 0)
    assert nothing.is_first
    assert nothing.is_last


def test_frames_are_taken_with_both_halves_of_pitch_and_energy() -> None:
    given = []
    predicted = Predicted(
        np.arange(12, dtype=np.float32).reshape(1, 2, 6),
        np.arange(12, dtype=np.float32)[None],
        np.arange(12, dtype=np.float32)[None] * 10,
        lambda *values: given.extend(values) or np.zeros(0, dtype=np.float32),
    )
    assert predicted.energy.tolist() == [5, 25, 45, 65, 85, 105]
    predicted.sound(np.array([4, 1]))
    assert [values.tolist() for values in given] == [[[[4, 1], [10, 7]]], [[8, 9, 2, 3]], [[80, 90, 20, 30]]]


def test_a_higher_pitch_is_that_of_the_voice_and_not_of_what_has_none() -> None:
    nothing = np.zeros((1, 2, 2), dtype=np.float32)
    pitch = np.array([[7.0, 100.0, 200.0, 7.0]], dtype=np.float32)
    predicted = Predicted(nothing, pitch, pitch, lambda *_: np.zeros(0, dtype=np.float32)).at_pitch(1.5)
    assert (predicted.pitch.dtype, predicted.pitch.tolist()) == (np.float32, [[7.0, 150.0, 300.0, 7.0]])


def tiny_model(folder: Path, decoder: str) -> tuple[Path, Path]:
    """Write a model whose samples are the phonemes' numbers five times over, and a voice."""
    axis = numpy_helper.from_array(np.array([1]), "axis")
    nodes = [
        helper.make_node("Cast", ["tokens"], ["numbers"], "Cast", to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "axis"], ["text"], "Unsqueeze"),
        helper.make_node("Concat", ["numbers", "numbers"], ["pitch"], "Concat", axis=1),
        helper.make_node("Concat", ["numbers", "numbers"], ["energy"], "Concat_1", axis=1),
        helper.make_node("Unsqueeze", ["pitch", "axis"], ["a"], f"/{decoder}/Unsqueeze"),
        helper.make_node("Unsqueeze", ["energy", "axis"], ["b"], f"/{decoder}/Unsqueeze_1"),
        helper.make_node("Concat", ["text", "a", "b"], ["c"], f"/{decoder}/Concat", axis=2),
        helper.make_node("ReduceSum", ["style"], ["louder"], f"/{decoder}/ReduceSum"),
        helper.make_node("Mul", ["c", "louder"], ["audio"], f"/{decoder}/Mul"),
    ]
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "n"]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
    ]
    output = helper.make_tensor_value_info("audio", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "tiny", inputs, [output], [axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    styles = np.zeros((510, 1, 256), dtype=np.float32)
    styles[:, 0, 0] = np.arange(1, 511)  # the sum of each style is the number of phonemes it is for
    np.savez(folder / "voices.npz", **{VOICE: styles})
    return folder / "model.onnx", folder / "voices.npz"


def test_a_model_is_divided_where_the_sound_begins(tmp_path: Path) -> None:
    runner = OnnxRunner(*tiny_model(tmp_path, "model/decoder"), threads=1)
    predicted = runner.predict("ab", VOICE)
    first, second = (runner._tokenizer.vocab[phoneme] for phoneme in "ab")
    assert runner.voices == {VOICE}
    assert isinstance(predicted, Predicted)
    assert predicted.text.tolist() == [[[0, first, second, 0]]]
    assert predicted.energy.tolist() == [first / 2, second / 2, first / 2, second / 2]
    assert predicted.sound(np.array([1, 2]))[:2].tolist() == [2 * first, 2 * second]


def test_a_model_whose_nodes_have_other_names_is_spoken_with_as_a_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner = OnnxRunner(*tiny_model(tmp_path, "vocoder"), threads=1)
    predicted = runner.predict("ab", VOICE)
    first, second = (runner._tokenizer.vocab[phoneme] for phoneme in "ab")
    assert "cannot be divided" in caplog.text
    assert predicted.energy.size == 0
    assert predicted.sound(np.zeros(0, dtype=np.intp)).tolist() == [2 * n for n in (0, first, second, 0)] * 5
    with pytest.raises(ValueError, match="none of these phonemes"):
        runner.predict("@", VOICE)


@pytest.mark.slow
def test_both_halves_of_kokoro_together_make_the_samples_of_the_whole() -> None:
    try:
        paths = [install.locate(name, Settings().model_dir) for name in ("kokoro-int8", "kokoro-voices")]
    except SetupError as error:
        pytest.skip(error.message)
    runner = OnnxRunner(paths[0], paths[1], threads=1)
    predicted = runner.predict("hɛloʊ.", VOICE)
    tokens = runner._tokenizer.tokenize("hɛloʊ.")
    given = {
        "tokens": np.array([[0, *tokens, 0]]),
        "style": runner._styles[VOICE][len(tokens) - 1],
        "speed": np.ones(1, dtype=np.float32),
    }
    (whole,) = open_session(paths[0], 1).run(None, given)
    made = predicted.sound(np.arange(len(predicted.energy)))
    assert len(made) == 600 * len(predicted.energy)
    np.testing.assert_array_equal(made, np.ravel(whole))
