"""Voice activity and speaker embeddings with the real models."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from babblefish.cli.demo import read_speech
from babblefish.domain import Samples
from babblefish.engines.campplus.encoder import CamPlusPlus, log_mel
from babblefish.engines.silero import Silero
from babblefish.errors import SetupError
from babblefish.models import install
from babblefish.settings import Settings
from tests.support.serving import ENGLISH_SPEECH, FRENCH_SPEECH, SHARED_AUDIO

needs_recordings = pytest.mark.skipif(not SHARED_AUDIO.is_dir(), reason="needs the recorded speech beside the project")


@pytest.fixture(scope="module")
def encoder() -> CamPlusPlus:
    try:
        return CamPlusPlus(install.locate("campplus", Settings().model_dir), threads=1)
    except SetupError as error:
        pytest.skip(str(error))


def test_the_mel_spectrum_is_the_one_that_kaldi_makes() -> None:
    """Reference: torchaudio 2.11 ``compliance.kaldi.fbank`` without dither, of a chirp; every 7th frame, 12th band."""
    time_s = np.arange(4000) / 16000
    chirp = (0.3 * np.sin(2 * np.pi * (100 * time_s + 0.5 * 14000 * time_s**2))).astype(np.float32)
    reference = [
        [-6.4011, 0.6346, -12.5223, -15.9424, -15.9424, -15.9424, -15.9424],
        [-11.9693, -14.5293, -7.4770, -3.1905, -14.9078, -15.9424, -15.9424],
        [-15.1934, -15.9424, -15.8775, -10.4752, -2.1290, -15.2890, -15.9424],
        [-11.4861, -15.9424, -15.9424, -15.2351, -8.8660, -9.5463, -15.9424],
    ]
    mel = log_mel(chirp)
    assert mel.shape == (23, 80)
    assert mel.dtype == np.float32
    np.testing.assert_allclose(mel[::7, ::12], reference, rtol=0, atol=5e-3)


@pytest.mark.parametrize(("length", "frames"), [(1, 1), (400, 1), (559, 1), (560, 2)])
def test_the_mel_spectrum_has_a_frame_for_every_10_ms(length: int, frames: int) -> None:
    assert log_mel(np.zeros(length, dtype=np.float32)).shape == (frames, 80)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "reference"),
    [
        (1.5, [-0.0648, -0.0195, -0.0009, -0.0357, -0.0063, -0.0970]),
        (3.9, [-0.0386, 0.0114, 0.0143, -0.0503, 0.0114, -0.0699]),
    ],
)
def test_an_embedding_is_what_its_authors_program_makes(
    encoder: CamPlusPlus, seconds: float, reference: list[float]
) -> None:
    """Reference: 3D-Speaker's network in PyTorch 2.14; the first numbers of the unit vector."""
    embedding = encoder.embed(read_speech(FRENCH_SPEECH)[: int(seconds * 16000)])
    np.testing.assert_allclose(embedding[:6], reference, rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 600, 8000, 20000, 400000])
def test_an_embedding_is_a_unit_vector_whatever_the_length(encoder: CamPlusPlus, length: int) -> None:
    speech = np.resize(read_speech(FRENCH_SPEECH), length)
    embedding = encoder.embed(speech)
    assert embedding.shape == (192,)
    assert embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-5)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"head.conv1.weight": torch.zeros(1, 1, 3, 3)}, tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("no weights at all")
    for name in ("other.pt", "text.pt"):
        with pytest.raises(SetupError, match=r"does not hold the weights of CAM\+\+"):
            CamPlusPlus(tmp_path / name, threads=1)


@pytest.mark.slow
def test_silence_has_an_embedding_and_no_audio_at_all_is_an_error(encoder: CamPlusPlus) -> None:
    assert np.all(np.isfinite(encoder.embed(np.zeros(16000, dtype=np.float32))))
    with pytest.raises(ValueError, match="no audio"):
        encoder.embed(np.zeros(0, dtype=np.float32))


@pytest.mark.slow
def test_neither_the_level_nor_silence_around_it_changes_a_voice(encoder: CamPlusPlus) -> None:
    speech = read_speech(FRENCH_SPEECH)
    hum = np.random.default_rng(0).normal(0, 1e-3, 32000).astype(np.float32)
    voice = encoder.embed(speech)
    assert encoder.embed(speech * np.float32(0.1)) @ voice > 0.98
    assert encoder.embed(np.concatenate([hum, speech, hum])) @ voice > 0.98


@pytest.mark.slow
def test_the_stretch_that_is_a_whole_recording_has_its_voice(encoder: CamPlusPlus) -> None:
    speech = read_speech(FRENCH_SPEECH)[: 3 * 16000]
    tracked = encoder.track(speech)(0, len(speech))
    assert np.linalg.norm(tracked) == pytest.approx(1.0, abs=1e-5)
    assert tracked @ encoder.embed(speech) > 0.9


@pytest.mark.slow
@needs_recordings
def test_two_recordings_of_one_voice_are_more_alike_than_two_voices(encoder: CamPlusPlus) -> None:
    people: dict[str, list[np.ndarray]] = {}
    for path in sorted((SHARED_AUDIO / "speakers").glob("*-000[0-3].flac")):
        people.setdefault(path.name.split("-")[0], []).append(encoder.embed(read_speech(path)[: 3 * 16000]))
    same = [a @ b for voices in people.values() for a, b in itertools.combinations(voices, 2)]
    other = [a @ b for one, two in itertools.combinations(people.values(), 2) for a, b in itertools.product(one, two)]
    assert np.median(same) > 0.6
    assert np.quantile(same, 0.01) > np.quantile(other, 0.99)


def _probabilities(detector: Silero, samples: Samples) -> np.ndarray:
    stream = detector.open_stream()
    size = stream.chunk_samples
    return np.array([stream.probability(chunk) for chunk in samples[: len(samples) // size * size].reshape(-1, size)])


@pytest.mark.slow
def test_speech_is_told_from_silence_and_noise() -> None:
    detector = Silero()
    speech = _probabilities(detector, read_speech(ENGLISH_SPEECH))
    assert np.mean(speech > 0.5) > 0.5
    assert _probabilities(detector, np.zeros(32000, dtype=np.float32)).max() < 0.2
    noise = np.random.default_rng(0).normal(0, 0.05, 32000).astype(np.float32)
    assert _probabilities(detector, noise).max() < 0.5


@pytest.mark.slow
def test_streams_share_the_weights_and_nothing_else() -> None:
    detector = Silero()
    speech = read_speech(ENGLISH_SPEECH)[: 60 * 512]
    alone = _probabilities(detector, speech)
    first, second = detector.open_stream(), detector.open_stream()
    noise = np.random.default_rng(0).normal(0, 0.3, 512).astype(np.float32)
    beside = []
    for chunk in speech.reshape(-1, 512):
        second.probability(noise)
        beside.append(first.probability(chunk))
    np.testing.assert_allclose(beside, alone, atol=1e-6)


@pytest.mark.slow
def test_a_stream_remembers_what_came_before() -> None:
    detector = Silero()
    speech = read_speech(ENGLISH_SPEECH)
    chunks = speech[: len(speech) // 512 * 512].reshape(-1, 512)
    fresh = np.array([detector.open_stream().probability(chunk) for chunk in chunks])
    assert np.abs(fresh - _probabilities(detector, speech)).max() > 0.1


@pytest.mark.slow
def test_a_chunk_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        Silero().open_stream().probability(np.zeros(480, dtype=np.float32))


def test_a_missing_model_names_the_package_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("babblefish.engines.silero.find_spec", lambda _: None)
    with pytest.raises(SetupError, match="pip install"):
        Silero()
