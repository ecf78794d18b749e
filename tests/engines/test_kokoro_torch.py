"""Kokoro on PyTorch, with a small random checkpoint of the real architecture in the published layout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babblefish.domain import Deadline, Samples, Speech
from babblefish.errors import DeadlineExceededError, SetupError

torch = pytest.importorskip("torch", reason="the full extra is not installed")
pytest.importorskip("kokoro", reason="the full extra is not installed")

from babblefish.engines.kokoro.synthesizer import Kokoro  # noqa: E402 - only where torch is
from babblefish.engines.kokoro.torch_runner import TorchRunner  # noqa: E402
from babblefish.engines.kokoro.voices import STYLES  # noqa: E402
from babblefish.engines.text_splitting import split_pieces  # noqa: E402
from tests.support.tiny_kokoro import FRAMES_PER_PHONEME, make_checkpoint  # noqa: E402

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SENTENCES = {
    "eng": "Where is the station?",
    "fra": "Où est la gare ?",
    "spa": "¿Dónde está la estación?",
    "ita": "Dov'è la stazione?",
    "por": "Onde fica a estação?",
    "hin": "स्टेशन कहाँ है?",
}
LONG = "It rained all day, so we stayed at home. Tomorrow, if the weather is good, we will go to the beach. Come!"
SAMPLES_PER_FRAME = 600


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("kokoro")
    make_checkpoint(folder, STYLES)
    yield folder
    shutil.rmtree(folder)  # pytest would keep its 200 MB for the next sessions


@pytest.fixture(scope="module")
def runner(checkpoint: Path) -> TorchRunner:
    return TorchRunner(checkpoint, threads=1)


@pytest.fixture(scope="module")
def engine(runner: TorchRunner) -> Kokoro:
    return Kokoro(runner)


@pytest.fixture
def own_checkpoint(checkpoint: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy that a test may damage; the weights are large, so they are linked until they are replaced."""
    yield Path(shutil.copytree(checkpoint, tmp_path / "model", copy_function=os.link))
    shutil.rmtree(tmp_path / "model")


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def speak(engine: Kokoro, text: str, lang: str) -> list[Speech]:
    return list(engine.synthesize(text, lang, Deadline.after(120)))


def sound(runner: TorchRunner, phonemes: str, voice: str = "af_heart") -> Samples:
    predicted = runner.predict(phonemes, voice)
    return predicted.sound(np.arange(len(predicted.energy)))


def loudness(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


@pytest.mark.parametrize("lang", SENTENCES)
def test_every_language_of_espeak_is_spoken_in_its_own_voice(engine: Kokoro, lang: str) -> None:
    pieces = speak(engine, SENTENCES[lang], lang)
    for speech in pieces:
        assert (speech.sample_rate_hz, speech.lang, speech.voice) == (24_000, lang, engine.voices(lang)[0].name)
        assert speech.samples.dtype == np.float32
        assert np.isfinite(speech.samples).all()
        assert loudness(speech.samples) > 0.01
    assert 0.5 < sum(speech.duration_s for speech in pieces) < 3.0


def test_a_long_text_comes_in_pieces_that_are_made_as_they_are_taken(engine: Kokoro) -> None:
    pieces = speak(engine, LONG, "eng")
    assert len(pieces) > 1
    assert sum(not piece.samples[-3_000:].any() for piece in pieces) == len(split_pieces(LONG)) - 1  # a pause
    deadline = Deadline.after(600)
    left = engine.synthesize(LONG, "eng", deadline)
    assert len(next(left).samples) == len(pieces[0].samples)
    deadline.cancel()
    with pytest.raises(DeadlineExceededError):
        next(left)


def test_the_model_gets_the_phonemes_it_knows_between_two_marks_of_its_own(runner: TorchRunner) -> None:
    assert len(sound(runner, "abc")) == (3 + 2) * FRAMES_PER_PHONEME * SAMPLES_PER_FRAME
    assert len(sound(runner, "a7b@c")) == (3 + 2) * FRAMES_PER_PHONEME * SAMPLES_PER_FRAME
    assert len(sound(runner, "a" * 510)) == 512 * FRAMES_PER_PHONEME * SAMPLES_PER_FRAME
    with pytest.raises(ValueError, match="none of these phonemes"):
        runner.predict("7@", "af_heart")


def test_the_style_is_that_of_the_voice_and_of_the_number_of_phonemes(runner: TorchRunner) -> None:
    given: list[Any] = []
    model = runner._model
    try:
        runner._model = lambda _, style: given.append(style) or torch.zeros(5, 2)
        runner._model.vocab = model.vocab
        runner.predict("abc", "ff_siwis")
    finally:
        runner._model = model
    assert torch.equal(given[0], runner._styles["ff_siwis"][2])


def test_it_computes_what_the_package_computes_from_the_same_files(
    runner: TorchRunner, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kokoro import KModel

    # Both add noise to the voiced sounds; without it they can be compared.
    monkeypatch.setattr(torch, "rand", lambda *size, **options: torch.zeros(*size, **options))
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    config, weights = str(checkpoint / "config.json"), str(checkpoint / "kokoro-v1_0.pth")
    model = KModel(repo_id="hexgrad/Kokoro-82M", config=config, model=weights).eval()
    voice = torch.load(checkpoint / "voices" / "af_heart.pt")
    expected = model("ðə stAʃən", voice[len("ðə stAʃən") - 1]).numpy()
    np.testing.assert_allclose(sound(runner, "ðə stAʃən"), expected, atol=1e-4)


def test_two_threads_speak_as_one_after_the_other(engine: Kokoro) -> None:
    def both(item: tuple[str, str]) -> tuple[int, float]:
        samples = np.concatenate([speech.samples for speech in speak(engine, item[1], item[0])])
        return len(samples), loudness(samples)

    work = [item for item in SENTENCES.items() if item[0] in ("eng", "fra")] * 4
    alone = [both(item) for item in work]
    assert alone[0][0] != alone[1][0]
    with ThreadPoolExecutor(2) as pool:
        beside = list(pool.map(both, work))
    # The noise in the voice differs from one call to the next, and with it a frame of what is trimmed.
    assert [length for length, _ in beside] == pytest.approx([length for length, _ in alone], abs=1_100)
    assert [level for _, level in beside] == pytest.approx([level for _, level in alone], rel=0.1)


def test_a_call_computes_with_the_threads_asked_for_in_whichever_thread_it_is(checkpoint: Path) -> None:
    runners = [TorchRunner(checkpoint, threads=threads) for threads in (1, 2)]

    def threads_after(runner: TorchRunner) -> int:
        sound(runner, "abc")
        return int(torch.get_num_threads())

    with ThreadPoolExecutor(1) as pool:
        assert [pool.submit(threads_after, runner).result() for runner in (*runners, runners[0])] == [1, 2, 1]


def test_a_language_whose_voice_file_is_missing_is_not_spoken(own_checkpoint: Path) -> None:
    (own_checkpoint / "voices" / "ff_siwis.pt").unlink()
    engine = Kokoro(TorchRunner(own_checkpoint, threads=1))
    assert not engine.voices("fra")
    assert engine.voices("eng")[0].name == "kokoro:af_heart"


@pytest.mark.parametrize("name", ["config.json", "kokoro-v1_0.pth"])
def test_a_missing_file_is_named(own_checkpoint: Path, name: str) -> None:
    (own_checkpoint / name).unlink()
    with pytest.raises(SetupError, match=name.replace(".", r"\.")):
        TorchRunner(own_checkpoint, threads=1)


def lose_a_part(path: Path) -> None:
    parts = torch.load(path)
    del parts["decoder"]
    path.unlink()
    torch.save(parts, path)


def rename_everything(path: Path) -> None:
    parts = {part: {f"other.{name}": value for name, value in d.items()} for part, d in torch.load(path).items()}
    path.unlink()
    torch.save(parts, path)


def other_size(path: Path) -> None:
    parts = torch.load(path)
    parts["bert_encoder"] = {name: torch.zeros(3) for name in parts["bert_encoder"]}
    path.unlink()
    torch.save(parts, path)


def cut_short(path: Path) -> None:
    replace(path, path.read_bytes()[:100_000])


@pytest.mark.parametrize("damage", [lose_a_part, rename_everything, other_size, cut_short])
def test_weights_that_are_not_kokoro_s_are_named(own_checkpoint: Path, damage: Callable[[Path], None]) -> None:
    damage(own_checkpoint / "kokoro-v1_0.pth")
    with pytest.raises(SetupError, match=r"kokoro-v1_0\.pth is damaged"):
        TorchRunner(own_checkpoint, threads=1)


def test_a_damaged_configuration_is_named(own_checkpoint: Path) -> None:
    replace(own_checkpoint / "config.json", b'{"vocab": ')
    with pytest.raises(SetupError, match=r"config\.json is damaged"):
        TorchRunner(own_checkpoint, threads=1)
    replace(own_checkpoint / "config.json", json.dumps({"vocab": {}}).encode())
    with pytest.raises(SetupError, match=r"config\.json .*n_token"):
        TorchRunner(own_checkpoint, threads=1)


@pytest.mark.parametrize("shape", [(510, 1, 128), (510, 256), None])
def test_a_damaged_voice_is_named(own_checkpoint: Path, shape: tuple[int, ...] | None) -> None:
    path = own_checkpoint / "voices" / "ef_dora.pt"
    path.unlink()
    if shape is None:
        path.write_bytes(b"no voice")
    else:
        torch.save(torch.zeros(shape), path)
    with pytest.raises(SetupError, match=r"ef_dora\.pt is damaged"):
        TorchRunner(own_checkpoint, threads=1)


SPEAK_OFFLINE = """
import pathlib, socket, sys
def refuse(*_): raise SystemExit("something asked for the network")
socket.socket.connect = socket.getaddrinfo = refuse
from babblefish.domain import Deadline
from babblefish.engines.kokoro.synthesizer import Kokoro
from babblefish.engines.kokoro.torch_runner import TorchRunner
engine = Kokoro(TorchRunner(pathlib.Path(sys.argv[1]), threads=1))
print(sum(speech.duration_s for speech in engine.synthesize("Where is the station?", "eng", Deadline.after(60))))
"""


def test_nothing_asks_for_the_network(checkpoint: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SPEAK_OFFLINE, str(checkpoint)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.5
