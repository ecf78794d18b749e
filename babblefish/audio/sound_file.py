"""Sound files of the formats that people send become samples, by FFmpeg through PyAV.

FFmpeg reads some hundred formats, pictures and playlists among them, and a picture of one megabyte takes one gigabyte
of memory. So a file is looked at before FFmpeg sees it: its first bytes name the one demuxer that may open it, and only
decoders of sound may run.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import av
import numpy as np
from numpy.typing import NDArray

from babblefish.audio.signatures import format_of
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.errors import InvalidAudioError, RecordingTooLongError

_SYNC, _SYNC_MASK = 0xFFE0, 0xFFE0
_LAYER, _ADTS = 0x0006, 0x0000
"""Of the first 16 bits of MPEG audio without a tag: eleven ones, and a layer, which AAC (ADTS) leaves empty."""

_DECODERS = frozenset(
    {
        *("aac", "ac3", "alac", "amrnb", "amrwb", "eac3", "flac", "opus", "vorbis"),
        *("libopencore_amrnb", "libopencore_amrwb", "libopus"),
        *("mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float"),
        *("adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "gsm_ms"),
        *("pcm_alaw", "pcm_mulaw", "pcm_s8", "pcm_u8", "pcm_s16be", "pcm_s16le", "pcm_s24be", "pcm_s24le"),
        *("pcm_s32be", "pcm_s32le", "pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le"),
    }
)

_OPTIONS = {
    # A file can name further ones, which FFmpeg would open and whoever sent it would read.
    "protocol_whitelist": "none",
    # Without it the picture on a record's sleeve would be decoded, only to learn its size.
    "codec_whitelist": ",".join(sorted(_DECODERS)),
    # Of MP4: each edit of a list may repeat the whole index.
    "advanced_editlist": "0",
}

_COUNTS = {b"stsz": 8, b"trun": 4}
"""Box of an MP4 that counts samples without listing them → where the count is, after its name."""

_MOST_INDEXED = 2**23
"""FFmpeg keeps an entry of some 35 bytes for each, whether the file holds them or not: 290 MB; 175 s of PCM at 48 kHz,
days of AAC."""

_HIGHEST_RATE_HZ = 192_000
_MOST_CHANNELS = 8
"""Beyond what any microphone delivers; the memory for resampling grows with both."""

_MOST_TRACKS = 8
"""Each that is silent costs the decoding of a file."""

_SILENT = 0.001
"""Of full scale (-60 dB): what a track without a microphone holds at most."""

_CANCELLED = 0.5
"""The mean of channels with nothing in common has this much more energy than what is taken for one in which they cancel
each other out, as where one is the other upside down."""


def decode(data: bytes, longest_s: float) -> Samples:
    """Decode a sound file, or the sound of a film, in memory.

    Args:
        data: The file: WAV, AIFF, FLAC, Ogg, MP3, AAC, MP4 (M4A, MOV), Matroska (WebM), AMR, CAF or AU.
        longest_s: Longest sound that is taken, in seconds.

    Returns:
        Shape ``[n]``, mono, 16 kHz, in [-1, 1]: of several tracks the first that is not silent.

    Raises:
        InvalidAudioError: Empty, of another format, damaged, or no sound at all.
        RecordingTooLongError: It lasts longer.
    """
    if not data:
        raise InvalidAudioError("the file is empty")
    demuxer = _demuxer(data)
    if demuxer is None:
        raise InvalidAudioError("this is no sound file, or one of a format that is not read here")
    if demuxer == "mp4" and _indexed(data) > _MOST_INDEXED:
        raise InvalidAudioError("this is no sound file, or it is damaged: its index is longer than any recording's")
    try:
        samples = _first_audible(data, longest_s)
    except (av.FFmpegError, ValueError):
        raise InvalidAudioError("this is no sound file, or it is damaged") from None
    if not len(samples):
        raise InvalidAudioError("there is no sound in this file")
    return samples


def rate_hz_of(data: bytes) -> int:
    """Return the sample rate that a file states for its first track; the file is one that could be decoded."""
    with _opened(data) as container:
        return container.streams.audio[0].codec_context.sample_rate


def pcm16_of(data: bytes) -> Iterator[bytes]:
    """Yield the first track of a file as it stands there, if it says that it is 16-bit PCM, else nothing.

    Args:
        data: A file that could be decoded.
    """
    with _opened(data) as container:
        sound = container.streams.audio[0]
        if sound.codec_context.name == "pcm_s16le":
            yield from (bytes(packet) for packet in container.demux(sound))


def _opened(data: bytes) -> av.container.InputContainer:
    return av.open(io.BytesIO(data), "r", format=_demuxer(data), options=dict(_OPTIONS))


def _demuxer(data: bytes) -> str | None:
    """Return the demuxer for a file by its first bytes, None where it is no format that is read here."""
    if (demuxer := format_of(data)) is not None:
        return demuxer
    word = int.from_bytes(data[:2], "big")
    if word & _SYNC_MASK != _SYNC:
        return None
    return "aac" if word & _LAYER == _ADTS else "mp3"


def _indexed(data: bytes) -> int:
    """Return how many samples an MP4 claims to have; the media itself, where FFmpeg looks for no boxes, is skipped."""
    claimed = position = 0
    while position < len(data):
        size, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        if size < 8:
            size = len(data) - position
        if name != b"mdat":
            box = data[position : position + size]
            if b"cmov" in box:
                raise InvalidAudioError("an MP4 with a compressed index is not read")
            for counting, place in _COUNTS.items():
                for found in re.finditer(counting, box):
                    start = found.end() + place
                    claimed += int.from_bytes(box[start : start + 4], "big")
        position += size
    return claimed


def _first_audible(data: bytes, longest_s: float) -> Samples:
    """Decode track by track until one is not silent; where all are, the first one is returned."""
    first: Samples | None = None
    for track in range(_MOST_TRACKS):
        with _opened(data) as container:
            if track == len(container.streams.audio):
                break
            samples = _mixed(_joined(_blocks(container, container.streams.audio[track]), longest_s))
        if np.any(np.abs(samples) > _SILENT):
            return samples
        first = samples if first is None else first
    if first is None:
        raise ValueError("no stream of sound")
    return first


def _mixed(channels: NDArray[np.float32]) -> Samples:
    """Mix channels, shape ``[c, n]``, to one; where they cancel each other out, the first loud one is taken."""
    channels = np.clip(np.nan_to_num(channels, nan=0.0), -1.0, 1.0)
    mean = np.asarray(channels.mean(axis=0), dtype=np.float32)
    energies = [float(np.dot(channel, channel)) for channel in channels]
    if float(np.dot(mean, mean)) < _CANCELLED * sum(energies) / len(channels) ** 2:
        return next(channel for channel, energy in zip(channels, energies, strict=True) if energy > max(energies) / 2)
    return mean


def _joined(blocks: Iterator[tuple[float, NDArray[np.float32]]], longest_s: float) -> NDArray[np.float32]:
    """Join blocks, shape ``[c, n]``, each given with the moment at which it ends."""
    taken = []
    for end_s, block in blocks:
        if end_s > longest_s:
            raise RecordingTooLongError(f"the recording is longer than {longest_s:.0f} s")
        taken.append(block)
    return np.concatenate(taken, axis=1) if taken else np.empty((1, 0), dtype=np.float32)


def _blocks(
    container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    _check(stream.codec_context)
    # more channels than two would take memory; a film's are mixed to two as for headphones
    layout = "mono" if stream.codec_context.channels == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=SAMPLE_RATE_HZ)
    nothing = np.empty((1 if layout == "mono" else 2, 0), dtype=np.float32)
    end_s = 0.0
    for frame in container.decode(stream):
        _check(stream.codec_context)  # it can change from frame to frame
        end_s += frame.samples / frame.sample_rate
        # before it is resampled, as a frame of one sample a second would become very many
        yield end_s, nothing
        for block in resampler.resample(frame):
            yield end_s, np.asarray(block.to_ndarray(), dtype=np.float32)
    for block in resampler.resample(None):
        yield end_s, np.asarray(block.to_ndarray(), dtype=np.float32)


def _check(sound: av.AudioCodecContext) -> None:
    if sound.codec.name not in _DECODERS:
        raise ValueError(f"nobody sends {sound.codec.name}")
    if sound.sample_rate > _HIGHEST_RATE_HZ or sound.channels > _MOST_CHANNELS:
        raise ValueError("more samples a second, or more channels, than any microphone delivers")
