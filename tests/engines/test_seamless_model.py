"""Loading SeamlessM4T v2: tiny random checkpoints of the real architecture, against ``from_pretrained``."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from babblefish.errors import EngineError

torch = pytest.importorskip("torch", reason="the full extra is not installed")
pytest.importorskip("transformers", reason="the full extra is not installed")

from safetensors.torch import load_file, save_file  # noqa: E402 - only where torch is
from transformers import SeamlessM4Tv2Model  # noqa: E402

from babblefish.engines.seamless import int8 as seamless_int8  # noqa: E402
from babblefish.engines.seamless.model import DType, load, load_weights  # noqa: E402
from tests.support.tiny_seamless import make_checkpoint  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    make_checkpoint(folder, max_shard_size="200KB")
    return folder


@pytest.fixture
def own_checkpoint(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "model", ignore=lambda *_: [seamless_int8.FILE_NAME]))


def weights(folder: Path) -> Path:
    return folder / "model.safetensors"


def rewrite(folder: Path, change: Any) -> None:
    """Save a checkpoint's tensors again, after a change to the dictionary of them."""
    tensors = load_file(weights(folder))
    change(tensors)
    save_file(tensors, weights(folder), metadata={"format": "pt"})


def outputs(model: SeamlessM4Tv2Model) -> list[Any]:
    """Return something of every part: what is heard, read and written, the units of it and their sound."""
    model.set_modality("text")
    generator = torch.Generator().manual_seed(0)
    heard = torch.randn(1, 40, 160, generator=generator, dtype=model.dtype)
    ids = torch.tensor([[3, 40, 20, 30, 25]])
    with torch.inference_mode():
        read = model.text_encoder(input_ids=ids)[0]
        written = model(encoder_outputs=(read,), decoder_input_ids=ids, output_hidden_states=True)
        units = model.t2u_model(
            inputs_embeds=written.decoder_hidden_states[-1],
            char_input_ids=torch.tensor([[5, 6, 7, 8, 9]]),
            char_count_per_id=torch.tensor([[0, 2, 1, 2, 0]]),
        )[0]
        sound, _ = model.vocoder(
            torch.tensor([[5, 9, 30]]), speaker_id=torch.tensor([[0]]), lang_id=torch.tensor([[1]])
        )
        return [model.speech_encoder(heard)[0], read, written.logits, units, sound]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["checkpoint", "sharded"])
def test_every_weight_is_what_transformers_loads(kind: str, dtype: DType, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    assert (len(list(folder.glob("model-*.safetensors"))) > 2) == (kind == "sharded")
    expected = SeamlessM4Tv2Model.from_pretrained(folder, dtype=torch.float32).state_dict()
    model = load_weights(folder, dtype)
    assert model.state_dict().keys() == expected.keys()
    for name, tensor in model.state_dict().items():
        kept = dtype == "float32" or name.startswith("vocoder.")
        assert tensor.dtype == (torch.float32 if kept else torch.bfloat16)
        assert torch.equal(tensor, expected[name].to(tensor.dtype)), name
    assert model.lm_head.weight is model.text_encoder.embed_tokens.weight is model.text_decoder.embed_tokens.weight


def test_float32_answers_as_the_model_of_transformers_does(checkpoint: Path) -> None:
    expected = outputs(SeamlessM4Tv2Model.from_pretrained(checkpoint, dtype=torch.float32).eval())
    for ours, theirs in zip(outputs(load_weights(checkpoint, "float32")), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_every_part_answers_in_bfloat16(checkpoint: Path) -> None:
    assert all(bool(output.isfinite().all()) for output in outputs(load_weights(checkpoint, "bfloat16")))


@pytest.mark.parametrize("kind", ["checkpoint", "sharded"])
def test_int8_of_every_part_stays_close_to_float32(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    *exact, sound = outputs(load_weights(folder, "float32"))
    *rounded, same_sound = outputs(load_weights(folder, "int8"))
    for ours, theirs in zip(rounded, exact, strict=True):
        # With a width of 32 a single rounding weighs far more than with the real 1024.
        assert 0 < (ours - theirs).norm() / theirs.norm() < 0.12
    assert torch.equal(sound, same_sound)


def test_int8_holds_the_rows_of_the_tokens_once_to_look_them_up_and_once_packed(checkpoint: Path) -> None:
    loaded = load(checkpoint, "int8")
    model, output = loaded.model, loaded.decoder.lm_head
    assert model.text_encoder.embed_tokens is model.text_decoder.embed_tokens
    vocabulary, width = model.config.vocab_size, model.config.hidden_size
    rows = [held for held in vars(model.text_decoder.embed_tokens).values() if isinstance(held, torch.Tensor)]
    assert [(held.dtype, tuple(held.shape)) for held in rows if held.dim() == 2] == [(torch.int8, (vocabulary, width))]
    # The blocks are packed for their kernel, and nothing beside them is a whole layer, for beam search neither.
    assert sum(block.out_features for block in output._layers) == vocabulary
    assert model.lm_head._layers is output._layers
    held = [one for one in model.modules() if isinstance(one, seamless_int8.Int8Linear)]
    assert vocabulary not in {one.out_features for one in held}


@pytest.mark.parametrize("processor", ["this", "one whose products overflow"])
@pytest.mark.parametrize(("width", "error"), [(32, 0.02), (160, 0.02), (1024, 0.025)])
@pytest.mark.parametrize("kernels", [("fbgemm",), ("onednn",)])
def test_layers_of_any_width_are_close_to_float32_on_any_processor(
    kernels: tuple[str, ...], width: int, error: float, processor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if processor != "this":
        monkeypatch.setattr(seamless_int8, "_overflows", lambda: True)
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(rows, width, generator=generator) for rows in (256, 100))
    quantized, scale = seamless_int8.quantize(weight)
    layer = seamless_int8.Int8Linear(quantized, scale, torch.zeros(len(weight)), kernels)
    exact = x @ weight.T
    parts = layer.split([torch.arange(100), torch.arange(100, len(weight))])
    with torch.inference_mode():
        twice = seamless_int8.Int8Linear.concatenated([layer, layer])(x)
        for made in (
            layer(x),
            twice[:, : len(weight)],
            twice[:, len(weight) :],
            torch.cat([p(x) for p in parts], dim=1),
        ):
            assert (made - exact).norm() / exact.norm() < error


@pytest.mark.parametrize("kernels", [("fbgemm",), ("onednn",)])
@pytest.mark.parametrize("bias", [None, torch.linspace(-1, 1, 96)])
@pytest.mark.parametrize("kind", ["signed", "positive"])
def test_an_outlier_in_what_one_says_coarsens_nothing_of_what_others_say(
    kernels: tuple[str, ...], bias: Any, kind: str
) -> None:
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(rows, 256, generator=generator) for rows in (96, 8))
    x = x if kind == "signed" else x.relu()
    x[0, 7] = 1000.0
    x[1] = 0.0
    layer = seamless_int8.Int8Linear(*seamless_int8.quantize(weight), bias, kernels)
    with torch.inference_mode():
        made = layer(x)
    exact = torch.nn.functional.linear(x, weight, bias)
    assert ((made - exact)[2:].norm(dim=1) / exact[2:].norm(dim=1) < 0.02).all()
    assert torch.equal(made[1], exact[1])


@pytest.mark.parametrize("stored", ["lm_head.weight", "text_decoder.embed_tokens.weight"])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_of_tied_weights_any_name_will_do(own_checkpoint: Path, stored: str, dtype: DType) -> None:
    expected = outputs(load_weights(own_checkpoint, dtype))
    rewrite(own_checkpoint, lambda tensors: tensors.update({stored: tensors.pop("shared.weight")}))
    for ours, theirs in zip(outputs(load_weights(own_checkpoint, dtype)), expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ["text_encoder.layers.0.ffn.fc1.weight", "vocoder.hifi_gan.conv_post.bias"])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_a_tensor_that_is_missing_is_named_and_not_made_up(own_checkpoint: Path, name: str, dtype: DType) -> None:
    rewrite(own_checkpoint, lambda tensors: tensors.pop(name))
    with pytest.raises(EngineError, match=name):
        load(own_checkpoint, dtype)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_a_tensor_of_another_shape_is_named(own_checkpoint: Path, dtype: DType) -> None:
    name = "t2u_model.model.encoder.layers.0.ffn.fc1.weight"
    rewrite(own_checkpoint, lambda tensors: tensors.update({name: tensors[name][:5].clone()}))
    with pytest.raises(EngineError, match=name):
        load(own_checkpoint, dtype)


def test_a_tensor_that_the_model_does_not_have_is_ignored(own_checkpoint: Path) -> None:
    """Older versions stored the tables of positions, which are computed."""
    rewrite(own_checkpoint, lambda tensors: tensors.update({"text_encoder.embed_positions.weights": torch.ones(9, 32)}))
    expected = outputs(SeamlessM4Tv2Model.from_pretrained(own_checkpoint, dtype=torch.float32).eval())
    for ours, theirs in zip(outputs(load_weights(own_checkpoint, "float32")), expected, strict=True):
        assert torch.equal(ours, theirs)


def logits(folder: Path) -> Any:
    return outputs(load_weights(folder, "int8"))[2]


def fail(*_: Any) -> None:
    pytest.fail("the float weights were read")


def test_the_second_start_loads_the_int8_file_without_the_float_weights(
    own_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = logits(own_checkpoint)
    monkeypatch.setattr(seamless_int8, "Checkpoint", fail)
    assert torch.equal(logits(own_checkpoint), first)


@pytest.mark.parametrize("dtype", ["int8", "float32", "bfloat16"])
def test_once_loaded_no_file_is_held(own_checkpoint: Path, dtype: DType) -> None:
    kept = [load_weights(own_checkpoint, dtype) for _ in range(2)]
    assert str(own_checkpoint) not in Path("/proc/self/maps").read_text()
    assert len(kept) == 2


def flip_a_bit_in_the_middle(whole: bytes) -> bytes:
    place = len(whole) // 2
    return whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]


HARMS = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "overwritten": lambda whole: b"\xff" * len(whole),
    "empty": lambda _: b"",
    "one bit changed": flip_a_bit_in_the_middle,
    "with a block of zeros": lambda whole: whole[:-5000] + b"\0" * 4096 + whole[-904:],
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_int8_file_is_made_again(own_checkpoint: Path, harm: str, caplog: pytest.LogCaptureFixture) -> None:
    expected = logits(own_checkpoint)
    file = own_checkpoint / seamless_int8.FILE_NAME
    whole = file.read_bytes()
    file.write_bytes(HARMS[harm](whole))
    with caplog.at_level(logging.INFO):
        assert torch.equal(logits(own_checkpoint), expected)
    assert "damaged" in caplog.text
    assert "converting" in caplog.text
    assert file.read_bytes() == whole


def test_an_int8_file_of_other_shapes_is_made_again(own_checkpoint: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = logits(own_checkpoint)
    file = own_checkpoint / seamless_int8.FILE_NAME
    tensors = {name: tensor[:1].clone() for name, tensor in load_file(file).items()}
    save_file(tensors, file, metadata={"key": seamless_int8._key(own_checkpoint)})
    assert torch.equal(logits(own_checkpoint), expected)
    assert "holds other tensors" in caplog.text


def test_the_int8_file_of_other_weights_is_not_used(own_checkpoint: Path, tmp_path: Path) -> None:
    before = logits(own_checkpoint)
    other = tmp_path / "other"
    other.mkdir()
    make_checkpoint(other, seed=4)
    shutil.copy(weights(other), weights(own_checkpoint))
    after = logits(own_checkpoint)
    assert not torch.equal(after, before)
    assert torch.equal(after, logits(other))


def test_a_full_disk_is_no_reason_not_to_serve(
    own_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = logits(own_checkpoint)
    (own_checkpoint / seamless_int8.FILE_NAME).unlink()

    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full_disk)
    assert torch.equal(logits(own_checkpoint), expected)
    assert "No space left" in caplog.text
    assert [path.name for path in own_checkpoint.iterdir() if "int8" in path.name] == []


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize(
    "lost", ["*", "model.safetensors", "generation_config.json", "preprocessor_config.json", "*token*|sentence*"]
)
def test_a_folder_without_a_whole_model_is_an_error_that_names_it(
    own_checkpoint: Path, dtype: DType, lost: str
) -> None:
    for pattern in lost.split("|"):
        for path in own_checkpoint.glob(pattern):
            path.unlink()
    with pytest.raises(EngineError, match=own_checkpoint.name):
        load(own_checkpoint, dtype)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_a_model_of_another_kind_is_an_error_that_names_it(own_checkpoint: Path, dtype: DType) -> None:
    (own_checkpoint / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    with pytest.raises(EngineError, match="whisper"):
        load(own_checkpoint, dtype)


def test_a_lost_shard_is_an_error_that_names_it(sharded: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sharded, tmp_path / "model", ignore=lambda *_: [seamless_int8.FILE_NAME]))
    lost = next(folder.glob("model-00002*"))
    lost.unlink()
    with pytest.raises(EngineError, match=lost.name):
        load(folder, "int8")


def test_text_that_reads_like_a_special_token_is_text(checkpoint: Path) -> None:
    loaded = load(checkpoint, "float32")
    special = set(loaded.languages.values()) | {0, 2, 3}
    assert not special & set(loaded.tokens("Bonjour </s> __eng__ <pad>"))
