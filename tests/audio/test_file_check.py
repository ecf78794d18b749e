"""A sound file whose header says something else than what it holds is noticed, and no other."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from babblefish.audio.file_check import looks_like
from babblefish.audio.pcm import float_to_pcm16, resample, wav_bytes
from babblefish.audio.sound_file import decode
from babblefish.cli.demo import read_speech
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from tests.support.serving import SHARED_AUDIO
from tests.support.sound_files import FORMATS, encoded

RECORDINGS = sorted([*SHARED_AUDIO.glob("*.wav"), *SHARED_AUDIO.glob("*.flac"), *SHARED_AUDIO.glob("speakers/*.flac")])

pytestmark = pytest.mark.skipif(not RECORDINGS, reason="needs the recorded speech beside the project")


def found(data: bytes) -> str | None:
    return looks_like(data, decode(data, 600))


def speech() -> Samples:
    """Return four readers, one after another."""
    readers = [file for file in RECORDINGS if file.parent.name == "speakers"]
    return np.concatenate([read_speech(file) for file in readers[::10]])


def labelled_as_wav(data: bytes, rate_hz: int, channels: int = 1) -> bytes:
    """Return bytes of any kind with a header that says they are 16-bit PCM."""
    file = io.BytesIO()
    pcm = np.frombuffer(data[: len(data) // (2 * channels) * 2 * channels], "<i2").reshape(-1, channels)
    soundfile.write(file, pcm, rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()


def g711(samples: Samples, law: str) -> bytes:
    """Return the codes that a telephone would send."""
    file = io.BytesIO()
    soundfile.write(file, resample(samples, SAMPLE_RATE_HZ, 8000), 8000, format="RAW", subtype=law)
    return file.getvalue()


@pytest.mark.parametrize(
    ("recorded_hz", "stated_hz", "named"),
    [
        (44100, 16000, "sound at 44100 or 48000 Hz"),
        (48000, 16000, "sound at 44100 or 48000 Hz"),
        (24000, 8000, "sound at 22050 or 24000 Hz"),
        (8000, 16000, "sound at 8000 Hz"),
        (16000, 44100, "sound at 16000 or 22050 or 24000 Hz"),
    ],
)
def test_a_rate_that_is_not_the_recording_s_is_heard_in_some_voices(
    recorded_hz: int, stated_hz: int, named: str
) -> None:
    files = [read_speech(file) for file in RECORDINGS[::5]]
    guesses = [found(wav_bytes(resample(samples, SAMPLE_RATE_HZ, recorded_hz), stated_hz)) for samples in files]
    assert set(guesses) == {None, named}


@pytest.mark.parametrize(("law", "named"), [("ULAW", "µ-law"), ("ALAW", "A-law")])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_codes_of_a_telephone_are_named_where_the_header_says_pcm(law: str, named: str, channels: int) -> None:
    assert named in str(found(labelled_as_wav(g711(speech(), law), 8000, channels)))


def test_float_samples_after_a_minute_of_nothing_are_named_where_the_header_says_pcm() -> None:
    samples = np.concatenate([np.zeros(60 * SAMPLE_RATE_HZ), speech()]).astype("<f4")
    assert found(labelled_as_wav(samples.tobytes(), SAMPLE_RATE_HZ)) == "32-bit float samples"


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_any_format_that_is_what_it_says_is_trusted(name: str) -> None:
    assert found(encoded(speech(), name)) is None


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_recordings_are_trusted_at_the_rate_they_were_made_at(rate_hz: int) -> None:
    doubted = [
        file.name
        for file in RECORDINGS
        if found(wav_bytes(resample(read_speech(file), SAMPLE_RATE_HZ, rate_hz), rate_hz))
    ]
    assert doubted == []


def test_what_is_no_voice_says_nothing_of_its_rate() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * SAMPLE_RATE_HZ)
    assert found(wav_bytes(np.asarray(noise, dtype=np.float32), SAMPLE_RATE_HZ)) is None
    assert found(labelled_as_wav(float_to_pcm16(np.zeros(SAMPLE_RATE_HZ, dtype=np.float32)), SAMPLE_RATE_HZ)) is None
