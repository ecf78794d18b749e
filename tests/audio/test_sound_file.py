"""Sound files of any format, and what only looks like one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from babblefish.audio.pcm import wav_bytes
from babblefish.audio.sound_file import decode
from babblefish.cli.demo import read_speech
from babblefish.domain import InvalidAudioError, RecordingTooLongError
from tests.support.serving import ENGLISH_SPEECH
from tests.support.sound_files import FORMATS, encoded


def _alike(one: np.ndarray, two: np.ndarray) -> float:
    """Correlate two recordings, wherever a codec's delay has put them."""
    length = min(len(one), len(two))
    spectrum = np.fft.rfft(one[:length], 2 * length) * np.conj(np.fft.rfft(two[:length], 2 * length))
    return float(np.fft.irfft(spectrum).max() / np.linalg.norm(one[:length]) / np.linalg.norm(two[:length]))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_becomes_the_speech_it_was_made_of(name: str) -> None:
    speech = read_speech(ENGLISH_SPEECH)
    decoded = decode(encoded(speech, name), 60)
    assert decoded.dtype == np.float32
    assert decoded.ndim == 1
    assert abs(len(decoded) - len(speech)) < 2400
    assert _alike(decoded, speech) > 0.95


def test_what_ffmpeg_does_not_read_libsndfile_does() -> None:
    tone = np.sin(np.arange(22050) / 9).astype(np.float32) * np.float32(0.5)
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone, tone], axis=1), 22050, format="MAT4")
    decoded = decode(file.getvalue(), 60)
    assert abs(len(decoded) - 16000) <= 1
    assert np.abs(decoded).max() == pytest.approx(0.5, abs=0.05)


def test_samples_that_are_no_numbers_or_beyond_full_scale_are_tamed() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.array([np.nan, np.inf, 7.0, -7.0] * 400), 16000, format="WAV", subtype="FLOAT")
    decoded = decode(file.getvalue(), 60)
    assert np.isfinite(decoded).all()
    assert np.abs(decoded).max() <= 1.0


def _damaged_flac() -> bytes:
    whole = bytearray(encoded(read_speech(ENGLISH_SPEECH), "flac"))
    whole[8000:] = b"\x55" * (len(whole) - 8000)
    return bytes(whole)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"a text that somebody called speech.wav\n" * 40,
        bytes(4096),
        np.random.default_rng(0).bytes(4096),
        wav_bytes(np.zeros(1600, dtype=np.float32), 16000)[:44],
        _damaged_flac(),
    ],
    ids=["nothing", "four bytes", "text", "zeros", "noise", "a header alone", "a damaged FLAC"],
)
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidAudioError):
        decode(data, 60)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_lasts_too_long_is_refused(name: str) -> None:
    silence = encoded(np.zeros(16000 * 3, dtype=np.float32), name)
    assert len(decode(silence, 4)) > 40000
    with pytest.raises(RecordingTooLongError, match="longer than 2 s"):
        decode(silence, 2)


def test_a_slow_sample_rate_does_not_make_a_small_file_huge() -> None:
    with pytest.raises(RecordingTooLongError):
        decode(wav_bytes(np.zeros(100_000, dtype=np.float32), 1), 600)


def test_a_playlist_opens_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret.wav").write_bytes(wav_bytes(np.full(1600, 0.5, dtype=np.float32), 16000))
    with pytest.raises(InvalidAudioError):
        decode(b"ffconcat version 1.0\nfile 'secret.wav'\n", 60)
