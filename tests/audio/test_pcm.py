"""Audio in and out: PCM, WAV, sample rate and level."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from babblefish.audio.pcm import Pcm16Stream, float_to_pcm16, pcm16_to_float, resample, wav_bytes
from babblefish.errors import InvalidAudioError


def test_every_pcm_value_survives_a_round_trip() -> None:
    data = np.arange(-32768, 32768, dtype="<i2").tobytes()
    samples = pcm16_to_float(data)
    assert samples.dtype == np.float32
    assert samples.min() == -1.0
    assert samples.max() < 1.0
    assert float_to_pcm16(samples) == data


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x01\x02"])
def test_audio_that_is_no_whole_number_of_samples_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidAudioError):
        pcm16_to_float(data)


@pytest.mark.parametrize("step", [1, 2, 3, 641])
def test_a_stream_may_be_cut_anywhere(step: int) -> None:
    data = np.arange(-32768, 32768, 13, dtype="<i2").tobytes()
    stream = Pcm16Stream()
    samples = np.concatenate([stream.feed(data[start : start + step]) for start in range(0, len(data), step)])
    assert float_to_pcm16(samples) == data
    assert (stream.samples, stream.recorded) == (len(samples), 0)


def test_a_frame_of_a_stream_that_is_longer_than_a_second_is_a_recording() -> None:
    stream = Pcm16Stream()
    for duration_ms in (1000, 2000, 40):
        stream.feed(bytes(32 * duration_ms))
    assert (stream.samples, stream.recorded) == (16 * 3040, 16 * 3000)


def test_an_empty_frame_of_a_stream_is_refused() -> None:
    with pytest.raises(InvalidAudioError):
        Pcm16Stream().feed(b"")


@pytest.mark.filterwarnings("error")
def test_values_out_of_range_are_clipped_and_nan_is_silent() -> None:
    samples = np.array([2.0, -2.0, np.inf, -np.inf, np.nan, 1.0, 0.0], dtype=np.float32)
    pcm = np.frombuffer(float_to_pcm16(samples), dtype="<i2")
    assert pcm.tolist() == [32767, -32768, 32767, -32768, 0, 32767, 0]


def test_a_wav_file_holds_the_samples_and_their_rate() -> None:
    samples = np.linspace(-0.5, 0.5, 100, dtype=np.float32)
    with wave.open(io.BytesIO(wav_bytes(samples, 24000))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        assert file.readframes(1000) == float_to_pcm16(samples)


def test_resampling_keeps_the_duration_and_the_pitch() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100).astype(np.float32)
    resampled = resample(tone, 44100)
    assert resampled.dtype == np.float32
    assert len(resampled) == 16000
    assert np.argmax(np.abs(np.fft.rfft(resampled))) == 440


def test_audio_that_has_the_rate_already_is_left_alone() -> None:
    samples = np.ones(10, dtype=np.float32)
    assert resample(samples, 16000) is samples
