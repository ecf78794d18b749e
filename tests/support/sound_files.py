"""Sound files of the formats that people send, made with PyAV."""

from __future__ import annotations

import io

import av
import numpy as np

from babblefish.domain import SAMPLE_RATE_HZ, Samples

FORMATS = {
    "wav": ("wav", "pcm_s16le", 44100, "stereo"),
    "flac": ("flac", "flac", 16000, "mono"),
    "mp3": ("mp3", "libmp3lame", 44100, "stereo"),
    "webm": ("webm", "libopus", 48000, "mono"),
    "m4a": ("ipod", "aac", 44100, "stereo"),
}
"""Name → container, codec, rate, layout."""


def encoded(samples: Samples, name: str) -> bytes:
    """Encode 16 kHz mono samples as a file of one of the formats."""
    container, codec, rate_hz, layout = FORMATS[name]
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate_hz, layout=layout)
        sound = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
        sound.sample_rate = SAMPLE_RATE_HZ
        resampler = av.AudioResampler(stream.format, layout, rate_hz, frame_size=stream.frame_size or None)
        for frame in [*resampler.resample(sound), *resampler.resample(None)]:
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()
