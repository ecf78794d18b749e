"""The speaker encoder of the full profile, on random checkpoints of pyannote.audio's real classes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from babblefish.domain import Samples
from babblefish.errors import EngineError, SetupError

torch = pytest.importorskip("torch", reason="the full extra is not installed")
pytest.importorskip("pyannote.core", reason="the full extra is not installed")

from babblefish.engines.pyannote import Pyannote  # noqa: E402 - only where torch and pyannote.audio are
from tests.support.tiny_pyannote import NAME, make_segmentation, make_wespeaker, make_xvector  # noqa: E402

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def noise(seed: int, samples: int = 32_000) -> Samples:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


@pytest.fixture(scope="module")
def wespeaker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wespeaker")
    make_wespeaker(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(wespeaker: Path) -> Pyannote:
    return Pyannote(wespeaker, threads=1)


@pytest.fixture(scope="module")
def xvector(tmp_path_factory: pytest.TempPathFactory) -> Pyannote:
    with pytest.warns(UserWarning, match="loss function"):  # the loss it was trained with is left out
        return Pyannote(make_xvector(tmp_path_factory.mktemp("xvector")), threads=1)


@pytest.fixture(params=["encoder", "xvector"])
def each(request: pytest.FixtureRequest) -> Pyannote:
    chosen: Pyannote = request.getfixturevalue(request.param)
    return chosen


@pytest.mark.parametrize("length", [1, 160, 1_600, 7_999, 8_000, 20_000, 160_000])
def test_an_embedding_is_a_unit_vector_whatever_the_length(each: Pyannote, length: int) -> None:
    embedding = each.embed(noise(0, length))
    assert embedding.dtype == np.float32
    assert embedding.ndim == 1
    assert np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-5)


def test_each_model_has_a_scale_of_its_own(encoder: Pyannote, xvector: Pyannote) -> None:
    assert (encoder.scale.threshold, xvector.scale.threshold) == (0.6, 0.4)


def test_the_vector_is_the_one_that_the_library_makes(wespeaker: Path, encoder: Pyannote) -> None:
    from pyannote.audio.pipelines.speaker_verification import PyannoteAudioPretrainedSpeakerEmbedding

    samples = noise(1)
    (reference,) = PyannoteAudioPretrainedSpeakerEmbedding(str(wespeaker))(torch.from_numpy(samples)[None, None])
    np.testing.assert_allclose(encoder.embed(samples), reference / np.linalg.norm(reference), atol=1e-5)


def test_the_same_audio_is_the_same_vector_and_other_audio_another(each: Pyannote) -> None:
    hum = np.sin(2 * np.pi * 150 * np.arange(32_000) / 16_000).astype(np.float32)
    np.testing.assert_array_equal(each.embed(noise(1)), each.embed(noise(1)))
    assert np.abs(each.embed(noise(1)) - each.embed(hum)).max() > 1e-3


def test_the_level_does_not_matter(each: Pyannote) -> None:
    np.testing.assert_allclose(each.embed(noise(1) * np.float32(5.0)), each.embed(noise(1)), atol=1e-4)


def test_a_short_word_is_repeated_until_the_model_can_hear_it(each: Pyannote) -> None:
    word = noise(2, 1_600)
    np.testing.assert_allclose(each.embed(word), each.embed(np.tile(word, 5)), atol=1e-6)


def test_silence_has_a_vector_and_no_audio_or_no_numbers_are_an_error(each: Pyannote) -> None:
    assert np.all(np.isfinite(each.embed(np.zeros(16_000, dtype=np.float32))))
    with pytest.raises(ValueError, match="no audio"):
        each.embed(np.zeros(0, dtype=np.float32))
    with pytest.raises(EngineError, match="no usable vector"):
        each.embed(np.full(16_000, np.nan, dtype=np.float32))


def test_several_threads_get_what_one_alone_gets(encoder: Pyannote) -> None:
    utterances = [noise(seed, 8_000 + 4_000 * seed) for seed in range(8)]
    alone = [encoder.embed(samples) for samples in utterances]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(encoder.embed, utterances))
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_every_call_uses_the_engines_own_number_of_threads(wespeaker: Path) -> None:
    used = []

    def call(engine: Pyannote) -> None:
        torch.set_num_threads(5)  # as another engine did in this thread
        engine.embed(noise(0))
        used.append(torch.get_num_threads())

    before = torch.get_num_threads()
    try:
        engines = [Pyannote(wespeaker, threads=threads) for threads in (1, 2)]
        with ThreadPoolExecutor(1) as pool:
            list(pool.map(call, [*engines, *engines]))
    finally:
        torch.set_num_threads(before)
    assert used == [1, 2, 1, 2]


@pytest.mark.parametrize("at", ["nothing", "nothing/pytorch_model.bin", "an empty folder"])
def test_where_no_checkpoint_is_the_command_that_installs_it_is_named(tmp_path: Path, at: str) -> None:
    (tmp_path / "an empty folder").mkdir()
    with pytest.raises(SetupError, match="babblefish models pull --profile full"):
        Pyannote(tmp_path / at, threads=1)


def _cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _another_kind_of_file(file: Path) -> None:
    file.write_text("<html>not found</html>")


def _nothing_in_it(file: Path) -> None:
    file.write_bytes(b"")


def _only_weights(file: Path) -> None:
    torch.save(torch.load(file, weights_only=False)["state_dict"], file)


def _a_layer_less(file: Path) -> None:
    checkpoint = torch.load(file, weights_only=False)
    del checkpoint["state_dict"]["resnet.seg_1.weight"]
    torch.save(checkpoint, file)


def _weights_that_are_no_numbers(file: Path) -> None:
    checkpoint = torch.load(file, weights_only=False)
    checkpoint["state_dict"]["resnet.seg_1.weight"][0, 0] = float("nan")
    torch.save(checkpoint, file)


def _an_unknown_class(file: Path) -> None:
    checkpoint = torch.load(file, weights_only=False)
    checkpoint["pyannote.audio"]["architecture"]["class"] = "Unheard"
    torch.save(checkpoint, file)


def _no_embeddings(file: Path) -> None:
    make_segmentation(file.parent)


@pytest.mark.parametrize(
    "damage",
    [
        *(_cut_short, _another_kind_of_file, _nothing_in_it, _only_weights, _a_layer_less),
        *(_weights_that_are_no_numbers, _an_unknown_class, _no_embeddings),
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(make_wespeaker(tmp_path))
    with pytest.raises(EngineError, match=f"{NAME} holds no complete speaker embedding model"):
        Pyannote(tmp_path, threads=1)


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self._file,)


def test_a_checkpoint_that_runs_code_is_loaded_only_where_it_is_known(tmp_path: Path) -> None:
    file, ran = make_wespeaker(tmp_path), tmp_path / "ran"
    checkpoint = torch.load(file, weights_only=False)
    torch.save({**checkpoint, "code": Code(ran)}, file)

    with pytest.raises(EngineError, match="would run code, which only a file whose hash is known may"):
        Pyannote(tmp_path, threads=1)
    assert not ran.exists()

    encoder = Pyannote(tmp_path, threads=1, is_known=True)  # as old checkpoints hold classes that are of no use here
    assert ran.exists()
    assert encoder.embed(noise(0)).shape == (256,)


def test_a_checkpoint_does_not_choose_what_is_imported(tmp_path: Path) -> None:
    file = make_wespeaker(tmp_path)
    checkpoint = torch.load(file, weights_only=False)
    checkpoint["pyannote.audio"]["architecture"]["module"] = "antigravity"
    torch.save(checkpoint, file)

    with pytest.raises(EngineError, match="its model is from antigravity"):
        Pyannote(tmp_path, threads=1)
    assert "antigravity" not in sys.modules


def test_the_version_of_torch_is_data(tmp_path: Path) -> None:
    file = make_wespeaker(tmp_path)
    checkpoint = torch.load(file, weights_only=False)
    checkpoint["pyannote.audio"]["versions"]["torch"] = torch.__version__
    torch.save(checkpoint, file)

    assert Pyannote(tmp_path, threads=1).embed(noise(0)).shape == (256,)


ALONE = """
import json, sys, threading

events = []

def refuse(event, _):
    # Making a socket and binding it leaves nothing: urllib3 does so to learn whether there is IPv6.
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.bind"):
        events.append(event)
        raise OSError("there is no network")

sys.addaudithook(refuse)

import numpy as np
from babblefish.engines.pyannote import Pyannote
from pyannote.audio.telemetry import metrics

after_import = [thread.name for thread in threading.enumerate()]
Pyannote(sys.argv[1], threads=1).embed(np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32))
metrics.provider.force_flush()  # sends at once whatever there is to report
threads = [after_import, [thread.name for thread in threading.enumerate()]]
print(json.dumps({"events": events, "threads": threads, "reports": metrics.is_metrics_enabled()}))
"""


def test_nothing_is_reported_or_fetched_and_no_thread_is_left(wespeaker: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(wespeaker)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYANNOTE_METRICS_ENABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "events": [],
        "threads": [["MainThread"], ["MainThread"]],
        "reports": False,
    }
