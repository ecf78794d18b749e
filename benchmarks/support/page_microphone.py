"""Microphone → server: how late each frame of the page's audio arrives, real Chromium on the loopback interface.

A fake microphone plays a file of noise that rises and falls like syllables, so that neither noise suppression nor a
gate on the level takes it for silence. What the server hears is laid over the file (cross-correlation, two seconds at a
time), which tells for each frame where in the file it begins. When the microphone heard that is known as well:
Chromium reads the file when the microphone hands out its first buffer, the kernel notes when (the file's ``atime``),
and from then on a buffer of 10 ms follows every 10 ms. Both clocks are the kernel's, and the way of the sound through
the page is not changed.

Included: those 10 ms, as a sound card has to fill a buffer before it can hand it out (``MediaTrackSettings.latency``);
Chromium's way from its audio process into the page; echo canceller, noise suppression and gain control; the page's
resampling and its frames of 40 ms; its main thread; WebSocket and TCP on the loopback interface; the thread that
receives. The kernel's ``atime`` moves in ticks of some milliseconds, so the delay is overstated by up to a tick; a
moment at which the fake microphone itself is late counts against the page, too. Not included: converters and drivers of
real hardware, a network.

What Chromium buffers while its sound stands still it never catches up with, so the delay differs from one start to the
next and is measured over several: ``undisturbed``, and, in alternation, ``after_a_pause`` of 300 ms as a call or a
loaded machine may cause. The microphone is silent at first, as people look before they speak, which is when the page
does something about it. The first second of what is sent is left out: a gate first sends what it held back, which is
late on purpose.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from playwright.sync_api import Playwright

from babblefish.domain import SAMPLE_RATE_HZ, Samples
from benchmarks.support import harness
from tests.support.browser import browser_hearing, joined, scripted_server, wait_until

FILE_HZ = 48_000
_BUFFER_S = 0.010
_FRAME_SAMPLES = 640
_FRAMES_PER_WINDOW = 50
_LEFT_OUT = 25
_SILENCE_S = 5.0
_PAUSE_MS = 300
_ALIKE = 0.25
"""Least correlation of what arrives with the file. The browser's processing leaves about 0.5 of noise, chance 0.03."""


_KEEP_CONTEXT = """
    const Context = window.AudioContext;
    window.AudioContext = class extends Context {
      constructor(...wanted) {
        super(...wanted);
        window.sound = this;
      }
    };
"""
_SOUND = """() => ({
    sample_rate_hz: sound.sampleRate,
    base_latency_ms: Math.round(1000 * sound.baseLatency),
    output_latency_ms: Math.round(1000 * sound.outputLatency),
})"""


def speech_like(seconds: float) -> Samples:
    """Return noise with four syllables a second, shape ``[seconds · 48000]``."""
    time_s = np.arange(int(seconds * FILE_HZ)) / FILE_HZ
    noise = np.random.default_rng(0).normal(0, 0.15, len(time_s))
    return np.asarray(noise * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s)), dtype=np.float32)


def _unread(file: Path) -> None:
    """Date the last reading back, as the kernel notes only the first one after a change."""
    os.utime(file, (1, time.time()))


def _first_read_s(file: Path) -> float:
    """Return when a file was first read since ``_unread``, on the clock of ``time.monotonic``."""
    read_s = file.stat().st_atime
    if read_s < 2:
        sys.exit(f"the file system below {file.parent} does not note when a file is read")
    return read_s - time.time() + time.monotonic()


def _position(window: Samples, file: npt.NDArray[np.float32]) -> tuple[int, float]:
    """Find where in the file a stretch of what arrived begins.

    Args:
        window: Float32, 16 kHz.
        file: Float32, 16 kHz, longer.

    Returns:
        The sample of the file, and how alike both are there (correlation coefficient, 0 … 1).
    """
    size = 1 << (len(file) + len(window) - 1).bit_length()
    likeness = np.fft.irfft(np.fft.rfft(file, size) * np.conj(np.fft.rfft(window, size)), size)[: len(file)]
    at = int(np.argmax(likeness))
    energies = float(np.sum(window**2) * np.sum(file[at : at + len(window)] ** 2))
    return at, float(likeness[at] / max(np.sqrt(energies), 1e-9))


def delays_ms(heard: Samples, arrived_s: Sequence[float], file: Samples, begun_s: float) -> list[float]:
    """Return how long after it was heard by the microphone each frame arrived, counted from the frame's last sample.

    Args:
        heard: What arrived, float32 at 16 kHz, frames of 640 samples on end.
        arrived_s: When each frame arrived.
        file: What the microphone played, float32 at 16 kHz.
        begun_s: When the microphone handed out its first buffer, on the same clock.

    Returns:
        One number for each frame of every window of two seconds that is clearly found in the file.
    """
    found = []
    for first in range(_LEFT_OUT, len(arrived_s) - _FRAMES_PER_WINDOW + 1, _FRAMES_PER_WINDOW):
        start = first * _FRAME_SAMPLES
        at, alike = _position(heard[start : start + _FRAMES_PER_WINDOW * _FRAME_SAMPLES], file)
        if alike < _ALIKE:
            continue
        for index in range(_FRAMES_PER_WINDOW):
            last_s = begun_s - _BUFFER_S + (at + (index + 1) * _FRAME_SAMPLES) / SAMPLE_RATE_HZ
            found.append((arrived_s[first + index] - last_s) * 1000)
    return found


def _once(playwright: Playwright, wav: Path, frames: int, pause_ms: int) -> tuple[list[float], dict[str, float]]:
    """Join once; returns the delays of that many frames, in ms, and what the browser says of its own sound."""
    wanted = _LEFT_OUT + frames
    _unread(wav)
    with scripted_server() as server, browser_hearing(playwright, wav) as browser:
        page = browser.new_page()
        page.add_init_script(_KEEP_CONTEXT)
        joined(page, server)
        if pause_ms:
            page.evaluate("sound.suspend()")
            page.wait_for_timeout(pause_ms)
            page.evaluate("sound.resume()")
        wait_until(page, lambda: len(server.frames) > wanted, "all of it arrived", at_most_s=30 + wanted // 20)
        sound = page.evaluate(_SOUND)
        begun_s = _first_read_s(wav)
        played, rate_hz = soundfile.read(wav, dtype="float32")
    heard = server.received_audio()[: wanted * _FRAME_SAMPLES]
    file = soxr.resample(played, rate_hz, SAMPLE_RATE_HZ)
    return delays_ms(heard, server.arrived_s[:wanted], file, begun_s), sound


def measure(playwright: Playwright, starts: int, frames: int) -> dict[str, Any]:
    """Join several times and compare what arrives with what the microphone played.

    Args:
        playwright: Starts the browsers.
        starts: How often.
        frames: How many frames of each start to look at, rounded down to windows of two seconds.

    Returns:
        For both ways: the delay of a frame's last sample and of its first, which has waited for the frame to be full,
        and the median of each start; and what the browser says of its own sound. All in ms.
    """
    pauses_ms = {"undisturbed": 0, "after_a_pause": _PAUSE_MS}
    by_start: dict[str, list[list[float]]] = {way: [] for way in pauses_ms}
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "microphone.wav"
        speech = speech_like(frames * _FRAME_SAMPLES / SAMPLE_RATE_HZ + 8)
        silence = np.zeros(int(_SILENCE_S * FILE_HZ), np.float32)
        soundfile.write(wav, np.concatenate([silence, speech]), FILE_HZ, subtype="PCM_16")
        for _ in range(starts):
            for way, pause_ms in pauses_ms.items():
                delays, sound = _once(playwright, wav, frames, pause_ms)
                by_start[way].append(delays)
    return {way: _delays(found) for way, found in by_start.items()} | {"browsers_sound": sound}


def _delays(by_start: list[list[float]]) -> dict[str, Any]:
    last_ms = [ms for delays in by_start for ms in delays]
    if not last_ms:
        sys.exit("what arrived is not what the microphone played")
    frame_ms = 1000 * (_FRAME_SAMPLES - 1) / SAMPLE_RATE_HZ
    return {
        "last_sample_of_a_frame_ms": harness.spread(last_ms),
        "first_sample_of_a_frame_ms": harness.spread([ms + frame_ms for ms in last_ms]),
        "last_sample_median_by_start_ms": [harness.spread(delays)["median"] for delays in by_start if delays],
    }
