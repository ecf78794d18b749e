"""Sound files of any format become samples: what FFmpeg reads, through PyAV, and what libsndfile reads besides."""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import numpy as np
import soundfile
import soxr

from babblefish.domain import SAMPLE_RATE_HZ, InvalidAudioError, RecordingTooLongError, Samples

_NOTHING_ELSE = {"protocol_whitelist": "none"}
"""A playlist names further files, which FFmpeg would open and whoever sent it would read."""

_BLOCK_FRAMES = 65536
"""What libsndfile reads at a time, so that a file that is too long is refused before all of it is in memory."""


def decode(data: bytes, longest_s: float) -> Samples:
    """Decode a sound file, or the sound of a film, in memory.

    Args:
        data: The file, in any format that FFmpeg or libsndfile reads.
        longest_s: Longest sound that is taken, in seconds.

    Returns:
        Shape ``[n]``, mono, 16 kHz, in [-1, 1].

    Raises:
        InvalidAudioError: Empty, damaged, or no sound at all.
        RecordingTooLongError: It lasts longer.
    """
    if not data:
        raise InvalidAudioError("the file is empty")
    try:
        samples = _joined(_by_ffmpeg(data), longest_s)
    except (av.FFmpegError, ValueError):
        try:
            samples = _joined(_by_libsndfile(data), longest_s)
        except (soundfile.SoundFileError, ValueError):
            raise InvalidAudioError("this is no sound file, or it is damaged") from None
    if not len(samples):
        raise InvalidAudioError("there is no sound in this file")
    return np.clip(np.nan_to_num(samples, nan=0.0), -1.0, 1.0)


def _joined(blocks: Iterator[tuple[float, Samples]], longest_s: float) -> Samples:
    """Join blocks, each given with the moment at which it ends."""
    taken = []
    for end_s, block in blocks:
        if end_s > longest_s:
            raise RecordingTooLongError(f"the recording is longer than {longest_s:.0f} s")
        taken.append(block)
    return np.concatenate(taken) if taken else np.empty(0, dtype=np.float32)


def _by_ffmpeg(data: bytes) -> Iterator[tuple[float, Samples]]:
    with av.open(io.BytesIO(data), "r", options=dict(_NOTHING_ELSE)) as container:
        if not container.streams.audio:
            raise ValueError("no stream of sound")
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        end_s = 0.0
        for frame in container.decode(container.streams.audio[0]):
            end_s += frame.samples / frame.sample_rate
            # before it is resampled, as a frame of one sample a second would become very many
            yield end_s, np.empty(0, dtype=np.float32)
            for block in resampler.resample(frame):
                yield end_s, block.to_ndarray()[0]
        for block in resampler.resample(None):
            yield end_s, block.to_ndarray()[0]


def _by_libsndfile(data: bytes) -> Iterator[tuple[float, Samples]]:
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        resampler = soxr.ResampleStream(file.samplerate, SAMPLE_RATE_HZ, 1, dtype="float32")
        for block in file.blocks(_BLOCK_FRAMES, dtype="float32", always_2d=True):
            end_s = file.tell() / file.samplerate
            yield end_s, np.empty(0, dtype=np.float32)
            is_last = file.tell() >= file.frames
            yield end_s, resampler.resample_chunk(block.mean(axis=1), last=is_last)
