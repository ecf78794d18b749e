"""What is not 16-bit PCM at 16 kHz is noticed, and no sound is taken for a fault."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import av
import numpy as np
import pytest
import soundfile

from babblefish.audio.format_check import FormatCheck
from babblefish.audio.pcm import float_to_pcm16, resample, wav_bytes
from babblefish.audio.signatures import format_of
from babblefish.cli.demo import read_speech
from babblefish.domain import Samples
from tests.support.serving import ENGLISH_SPEECH, FRENCH_SPEECH, SHARED_AUDIO, SPANISH_SPEECH
from tests.support.sound_files import FORMATS, encoded

RATE_HZ = 16_000


def guesses(data: bytes, frame_bytes: int = 1280, bytes_per_s: float = 32_000) -> list[str]:
    """Return what a stream, and the same bytes in one frame, are taken for, where that is a fault."""
    stream, whole = FormatCheck(whole_frames=False), FormatCheck(whole_frames=True)
    starts = range(0, len(data), frame_bytes)
    found = [stream.feed(data[start : start + frame_bytes], start / bytes_per_s) for start in starts]
    return [guess for guess in [*found, whole.feed(data, 0.0)] if guess is not None]


@cache
def speech() -> Samples:
    return np.concatenate([read_speech(file) for file in (ENGLISH_SPEECH, FRENCH_SPEECH, SPANISH_SPEECH)])


def packets(codec: str, bit_rate: int, sample_format: str) -> list[bytes]:
    """Compress speech without a file around it."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", sample_format  # type: ignore[union-attr]
    encoder.bit_rate = bit_rate
    encoder.open()
    step = encoder.frame_size  # type: ignore[union-attr]
    made: list[bytes] = []
    sound = resample(speech(), RATE_HZ, 48_000)
    for start in range(0, len(sound) - step, step):
        frame = av.AudioFrame.from_ndarray(sound[None, start : start + step], format=sample_format, layout="mono")
        frame.sample_rate, frame.pts = 48_000, start
        made += [bytes(packet) for packet in encoder.encode(frame)]  # type: ignore[attr-defined]
    return made


def sounds() -> Iterator[tuple[str, Samples]]:
    """Yield all kinds of sound that a microphone, or a test, may send."""
    rng = np.random.default_rng(0)
    seconds = np.arange(5 * RATE_HZ) / RATE_HZ
    brown = np.cumsum(rng.normal(0, 1, 5 * RATE_HZ))
    yield "speech", speech()
    yield "soft speech", speech() / 300
    yield "clipped speech", speech() * 30
    yield "speech with an offset", speech() / 4 + 0.45
    yield "telephone", resample(resample(speech(), RATE_HZ, 8000), 8000, RATE_HZ)
    yield "speech beneath noise", speech() + rng.normal(0, 0.3, len(speech()))
    yield "nothing", np.zeros(5 * RATE_HZ)
    yield "dither", rng.integers(-1, 2, 5 * RATE_HZ) / 32768
    for level in (0.0001, 0.01, 0.1, 0.3, 0.577, 0.7, 1.0, 3.0):
        yield f"white noise of {level}", rng.normal(0, level, 5 * RATE_HZ)
        yield f"uniform noise up to {level}", rng.uniform(-level, level, 5 * RATE_HZ)
        yield f"red noise of {level}", brown / np.abs(brown).max() * level
        yield f"level {level}", np.full(5 * RATE_HZ, level)
        yield f"square of {level}", np.sign(np.sin(2 * np.pi * 440 * seconds)) * level
        yield f"chord of {level}", sum(np.sin(2 * np.pi * hz * seconds) for hz in (220, 277, 330, 7990)) * level / 4
        yield f"clicks of {level}", (rng.random(5 * RATE_HZ) < 0.001) * level
    for hundredths in range(1, 100):
        yield f"level {hundredths / 100}", np.full(RATE_HZ, hundredths / 100)


def test_sound_is_taken_for_sound() -> None:
    assert {name for name, sound in sounds() if guesses(float_to_pcm16(sound))} == set()


def test_recorded_sound_is_taken_for_sound() -> None:
    files = sorted([*SHARED_AUDIO.rglob("*.wav"), *SHARED_AUDIO.rglob("*.flac")])
    if not files:
        pytest.skip("needs the recorded speech beside the project")
    for file in files:
        data, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
        samples = resample(data[:, 0], rate_hz)
        for gain in (0.01, 1.0, 20.0):
            assert guesses(float_to_pcm16(samples * gain)) == [], (file.name, gain)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_named(name: str) -> None:
    data = encoded(speech(), name)
    assert format_of(data) is not None
    stream, whole = guesses(data)[0], guesses(data)[-1]
    assert stream == whole
    assert {"wav": "WAV", "flac": "FLAC", "mp3": "MP3", "webm": "WebM", "m4a": "MP4"}[name] in stream


def test_every_utterance_may_be_a_file() -> None:
    check = FormatCheck(whole_frames=True)
    assert check.feed(float_to_pcm16(speech()[:RATE_HZ]), 0.0) is None
    assert "WAV" in (check.feed(wav_bytes(speech(), RATE_HZ), 1.0) or "")


@pytest.mark.parametrize("gain", [0.001, 0.1, 1.0])
@pytest.mark.parametrize("from_int16", [True, False])
def test_float_samples_are_named(gain: float, from_int16: bool) -> None:
    samples = np.concatenate([np.zeros(RATE_HZ), speech() * gain + (0 if from_int16 else 1e-6)]).astype("<f4")
    if from_int16:
        samples = (np.frombuffer(float_to_pcm16(samples), "<i2") / 32768).astype("<f4")
    assert set(guesses(samples.tobytes(), 2560)) == {"32-bit float samples"}


def test_a_level_in_float_samples_is_named() -> None:
    for hundredths in range(1, 100):
        level = np.full(RATE_HZ, hundredths / 100, dtype="<f4").tobytes()
        found = set(guesses(level))
        assert found <= {"32-bit float samples"}
    assert set(guesses(np.full(RATE_HZ, 0.11, dtype="<f4").tobytes())) == {"32-bit float samples"}


@pytest.mark.parametrize(
    ("codec", "bit_rate", "sample_format"),
    [("libopus", 16_000, "flt"), ("libopus", 32_000, "flt"), ("libopus", 64_000, "flt"), ("aac", 64_000, "fltp")],
)
def test_packets_of_compressed_sound_are_named(codec: str, bit_rate: int, sample_format: str) -> None:
    sent = packets(codec, bit_rate, sample_format)
    check = FormatCheck(whole_frames=False)
    found = [guess for index, packet in enumerate(sent) if (guess := check.feed(packet, index / 50))]
    assert found
    assert all("compressed sound" in guess for guess in found)


def test_compressed_sound_without_its_packets_is_named() -> None:
    assert set(guesses(b"".join(packets("libopus", 16_000, "flt")))) == {"compressed sound"}


def test_samples_with_their_bytes_exchanged_are_named() -> None:
    swapped = np.frombuffer(float_to_pcm16(speech()), "<i2").byteswap().tobytes()
    assert any("other way round" in guess for guess in guesses(swapped))


@pytest.mark.parametrize(("codec", "name"), [("pcm_mulaw", "µ-law"), ("pcm_alaw", "A-law")])
@pytest.mark.parametrize("gain", [0.1, 1.0])
def test_the_codes_of_a_telephone_are_named(codec: str, name: str, gain: float) -> None:
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout, encoder.format = 8000, "mono", "s16"  # type: ignore[union-attr]
    encoder.open()
    pcm = np.frombuffer(float_to_pcm16(resample(speech() * gain, RATE_HZ, 8000)), "<i2")
    frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
    frame.sample_rate = 8000
    sent = b"".join(bytes(packet) for packet in encoder.encode(frame))  # type: ignore[attr-defined]
    assert {guess.split()[0] for guess in guesses(sent, 320, 8000)} == {name}


@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000])
def test_another_sample_rate_shows_in_the_voice_of_a_recording(rate_hz: int) -> None:
    files = sorted(SHARED_AUDIO.glob("test_*_norm.wav"))
    if not files:
        pytest.skip("needs the recorded speech beside the project")
    check = FormatCheck(whole_frames=True)
    found = [check.feed(float_to_pcm16(resample(read_speech(file), RATE_HZ, rate_hz)), 0.0) for file in files]
    named = [guess for guess in found if guess is not None]
    assert named
    assert all(f"{rate_hz}" in guess for guess in named)


def melody(lowest_hz: float, partials: int) -> Samples:
    """Play notes of an instrument, struck one after another."""
    seconds = np.arange(6400) / RATE_HZ
    notes = [lowest_hz * 2 ** (step / 12) for step in (0, 4, 7, 12, 7, 4, 2, 5, 9, 5, 2, 0)]
    played = [
        np.exp(-2 * seconds) * sum(np.sin(2 * np.pi * hz * part * seconds) / part for part in range(1, partials + 1))
        for hz in notes
    ]
    return np.asarray(np.concatenate(played) * 0.2, dtype=np.float32)


def engine() -> Samples:
    """Let an engine go faster and slower."""
    turns = np.cumsum(40 + 30 * np.sin(np.arange(5 * RATE_HZ) / RATE_HZ / 3)) / RATE_HZ
    return np.asarray(sum(np.sin(2 * np.pi * part * turns) / part for part in range(1, 9)) * 0.1, dtype=np.float32)


@pytest.mark.parametrize("sound", [melody(55, 8), melody(440, 3), engine()], ids=["bass", "flute", "engine"])
def test_an_instrument_or_an_engine_is_not_taken_for_a_voice_at_another_rate(sound: Samples) -> None:
    assert guesses(float_to_pcm16(sound)) == []


@pytest.mark.parametrize("rate_hz", [8000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("late_s", [0.0, 0.15])
def test_another_sample_rate_shows_in_how_fast_the_samples_come(rate_hz: int, late_s: float) -> None:
    samples = resample(np.tile(speech(), 3), RATE_HZ, rate_hz)
    data, step = float_to_pcm16(samples), rate_hz // 25 * 2
    check, rng = FormatCheck(whole_frames=False), np.random.default_rng(0)
    found = {
        check.feed(data[at : at + step], at / 2 / rate_hz + late_s * rng.random()) for at in range(0, len(data), step)
    }
    (guess,) = found - {None}
    assert f"sound at {rate_hz} Hz" in str(guess)


@pytest.mark.parametrize("times_as_fast", [0.3, 0.7, 0.95, 1.0, 1.05, 2.3, 5.0, 100.0])
def test_no_other_speed_is_taken_for_a_sample_rate(times_as_fast: float) -> None:
    assert guesses(float_to_pcm16(np.tile(speech(), 20)), bytes_per_s=32_000 * times_as_fast) == []


def test_a_microphone_that_pauses_is_not_taken_for_a_slow_one() -> None:
    check, frame = FormatCheck(whole_frames=False), float_to_pcm16(speech()[:640])
    spoken = [index for index in range(2000) if index // 70 % 2]
    assert {check.feed(frame, index / 25) for index in spoken} == {None}
