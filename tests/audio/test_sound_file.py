"""Sound files of any format, and what only looks like one."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from babblefish.audio.pcm import wav_bytes
from babblefish.audio.sound_file import decode
from babblefish.cli.demo import read_speech
from babblefish.domain import Samples
from babblefish.errors import InvalidAudioError, RecordingTooLongError
from tests.support.serving import ENGLISH_SPEECH, FRENCH_SPEECH
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


@pytest.mark.parametrize("name", ["AIFF", "AU", "CAF", "OGG", "RF64", "W64"])
def test_formats_of_other_programs_are_read_where_their_signature_is_known(name: str) -> None:
    tone = np.sin(np.arange(22050) / 9).astype(np.float32) * np.float32(0.5)
    file = io.BytesIO()
    soundfile.write(file, tone, 22050, format=name)
    if name == "W64":
        with pytest.raises(InvalidAudioError, match="a format that is not read here"):
            decode(file.getvalue(), 60)
        return
    decoded = decode(file.getvalue(), 60)
    assert abs(len(decoded) - 16000) <= 400
    assert np.abs(decoded).max() == pytest.approx(0.5, abs=0.05)


def _stereo(left: Samples, right: Samples) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.stack([left, right], axis=1), 16000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_channels_that_cancel_each_other_out_are_not_mixed() -> None:
    speech = read_speech(ENGLISH_SPEECH)
    hiss = np.random.default_rng(0).normal(0, 0.003, len(speech)).astype(np.float32)
    for left, right in ((speech, -speech), (speech, hiss - speech), (0.8 * speech, -speech)):
        assert _alike(decode(_stereo(left, right), 60), speech) > 0.95


def test_channels_that_do_not_cancel_each_other_out_are_mixed() -> None:
    english, french = read_speech(ENGLISH_SPEECH), read_speech(FRENCH_SPEECH)
    length = min(len(english), len(french))
    english, french, nothing = english[:length], french[:length], np.zeros(length, dtype=np.float32)
    for left, right in ((english, french), (english, english), (nothing, french), (english, nothing)):
        np.testing.assert_allclose(decode(_stereo(left, right), 60), (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_any_number_of_channels_becomes_one(layout: str) -> None:
    speech = read_speech(ENGLISH_SPEECH)
    assert _alike(decode(_tracks(speech, layout=layout), 60), speech) > 0.95


def test_the_first_track_that_is_not_silent_is_taken() -> None:
    speech, tone = read_speech(ENGLISH_SPEECH), np.sin(np.arange(48000) / 9).astype(np.float32) / 2
    silence = np.zeros(16000, dtype=np.float32)
    assert _alike(decode(_tracks(silence, silence, speech, tone), 60), speech) > 0.95
    assert len(decode(_tracks(speech, tone), 60)) == len(speech)
    assert len(decode(_tracks(silence, np.zeros(32000, dtype=np.float32)), 60)) == 16000


def _tracks(*tracks: Samples, layout: str = "mono") -> bytes:
    """Make a Matroska file with a track for each recording."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        streams = [file.add_stream("pcm_s16le", rate=16000, layout=layout) for _ in tracks]
        for stream, samples in zip(streams, tracks, strict=True):
            sound = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
            sound.sample_rate = 16000
            resampler = av.AudioResampler("s16", layout, 16000, frame_size=stream.frame_size or 4096)
            for frame in [*resampler.resample(sound), *resampler.resample(None)]:
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return out.getvalue()


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


def _wav_of_many_channels() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((2000, 200)), 16000, format="WAV")
    return file.getvalue()


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
        wav_bytes(np.zeros(1600, dtype=np.float32), 2_000_000_000),
        _wav_of_many_channels(),
    ],
    ids=[
        *("nothing", "four bytes", "text", "zeros", "noise", "a header alone", "a damaged FLAC"),
        *("two billion samples a second", "two hundred channels"),
    ],
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


@cache
def _picture() -> bytes:
    """Make a small PNG that takes 400 MB when it is decoded."""
    side = 10_000
    packing = zlib.compressobj()
    rows = b"".join(packing.compress(bytes(1 + 4 * side)) for _ in range(side)) + packing.flush()
    size = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", size), (b"IDAT", rows), (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _length_in_sevens(length: int) -> bytes:
    return bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))


def _record_with_sleeve() -> bytes:
    """Make an MP3 with that picture on its sleeve."""
    picture = b"\x00image/png\x00\x03\x00" + _picture()
    frame = b"APIC" + _length_in_sevens(len(picture)) + b"\x00\x00" + picture
    tag = b"ID3\x04\x00\x00" + _length_in_sevens(len(frame)) + frame
    return tag + encoded(read_speech(ENGLISH_SPEECH), "mp3")


def _claims_many_samples() -> bytes:
    """Make an M4A of a second that says that it has 16 million packets of one byte."""
    file, many = bytearray(encoded(np.zeros(16000, dtype=np.float32), "m4a")), 2**24
    for box, content in (
        (b"stsz", (0, 1, many)),
        (b"stsc", (0, 1, 1, many, 1)),
        (b"stts", (0, 2, many - 1, 1024, 1, 1000)),
        (b"stco", (0, 1)),
    ):
        place = file.index(box) + 4
        file[place : place + 4 * len(content)] = struct.pack(f">{len(content)}I", *content)
    return bytes(file)


_MEASURED = """
import resource, sys
from pathlib import Path
from babblefish.audio.sound_file import decode
from babblefish.errors import InvalidAudioError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode(Path(sys.argv[1]).read_bytes(), 60)
except InvalidAudioError:
    pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
"""Prints by how many megabytes a program grows by decoding a file."""


@pytest.mark.parametrize("make", [_picture, _record_with_sleeve, _claims_many_samples])
def test_a_small_file_never_takes_much_memory(make: Callable[[], bytes], tmp_path: Path) -> None:
    file = tmp_path / "speech.wav"
    file.write_bytes(make())
    assert file.stat().st_size < 2_000_000
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(file)], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) < 150


def test_what_begins_as_no_sound_is_shown_to_no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("FFmpeg was shown the file")

    monkeypatch.setattr(av, "open", opened)
    for data in (b"\x89PNG\r\n\x1a\n" + bytes(99), b"#EXTM3U\nfile:///etc/passwd\n", b"GIF89a" + bytes(99)):
        with pytest.raises(InvalidAudioError):
            decode(data, 60)
