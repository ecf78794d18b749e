"""Hands-free, the page sends what is said and not the silence between; in a real browser against a scripted server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, Playwright

from babblefish.domain import SAMPLE_RATE_HZ, Samples
from tests.browser_support import (
    DEMO,
    ScriptedServer,
    browser_hearing,
    joined,
    microphone_file,
    plain_microphone,
    wait_for_state,
    wait_until,
)

pytestmark = pytest.mark.slow
pytest_plugins = ["tests.browser_fixtures"]

SPOKEN_S = 3.0
PAUSE_S = 4.0
PRE_ROLL_S = 0.3
SILENCE_AFTER_S = 1.4
"""The server ends an utterance after 0.4 s of silence, and looks back a second."""


@pytest.fixture(autouse=True)
def _no_leaked_tasks() -> None:
    """Replace the check of all other tests: Playwright keeps a loop with tasks of its own in this thread."""


def room_noise(seconds: float) -> Samples:
    """Return soft noise at about -64 dB, dull enough to survive resampling and so to tell one moment from another."""
    white = np.random.default_rng(5).normal(0, 1, int(seconds * SAMPLE_RATE_HZ) + 15)
    dull = np.convolve(white, np.ones(16) / 16, mode="valid")
    return np.asarray(dull / dull.std() * 10 ** (-64 / 20), dtype=np.float32)


def spoken() -> Samples:
    """Return the beginning of the demonstration's sentence, from its first sound on."""
    samples, _ = soundfile.read(DEMO, dtype="float32")
    first = int(np.flatnonzero(np.abs(samples) > 0.02)[0])
    return np.asarray(samples[first : first + int(SPOKEN_S * SAMPLE_RATE_HZ)])


def likeness(received: Samples, said: Samples) -> float:
    """Return how well ``said`` is found in ``received``: the highest normalized correlation at any place."""
    size = 1 << (len(received) + len(said)).bit_length()
    products = np.fft.irfft(np.fft.rfft(received, size) * np.conj(np.fft.rfft(said, size)), size)[: len(received)]
    energies = np.cumsum(np.pad(received.astype(np.float64) ** 2, (1, len(said))))
    norms = np.sqrt((energies[len(said) :][: len(received)] - energies[: len(received)]) * np.sum(said**2))
    return float(np.max(products / np.maximum(norms, 1e-3 * norms.max())))


@pytest.mark.parametrize("gain", [1.0, 0.1], ids=["spoken", "spoken_20_dB_softer"])
def test_all_that_is_said_arrives_with_what_came_just_before_and_silence_does_not(
    playwright: Playwright, server: ScriptedServer, tmp_path: Path, gain: float
) -> None:
    words = gain * spoken()
    quiet = np.zeros(int(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    heard = np.concatenate([quiet, words, quiet, words[::-1], quiet])
    heard += room_noise(len(heard) / SAMPLE_RATE_HZ)[: len(heard)]
    wav = microphone_file(tmp_path / "room.wav", heard, SAMPLE_RATE_HZ, silence_s=0.5)
    with browser_hearing(playwright, wav) as browser:
        page = browser.new_page()
        page.add_init_script(plain_microphone(48_000))
        joined(page, server)
        page.wait_for_timeout(1000 * (PAUSE_S - 1.5))
        assert server.frames == [], "nobody has spoken yet"
        page.wait_for_timeout(1000 * (len(heard) / SAMPLE_RATE_HZ - PAUSE_S + 3))
    received = server.received_audio()
    for start in (len(quiet), len(quiet) + len(words) + len(quiet)):
        begin, end = start - int(PRE_ROLL_S * SAMPLE_RATE_HZ), start + len(words)
        assert likeness(received, heard[begin : start + SAMPLE_RATE_HZ // 10]) > 0.9, "the first syllable is there"
        assert likeness(received, heard[begin:start]) > 0.9, "and what came just before it"
        window = SAMPLE_RATE_HZ // 4
        places = range(begin, end + int(SILENCE_AFTER_S * SAMPLE_RATE_HZ) - window, window)
        found = [likeness(received, heard[place : place + window]) for place in places]
        assert min(found) > 0.6, "nothing of it is missing; a busy browser may drop a moment within a quarter second"
        assert np.median(found) > 0.95
    longest_s = 2 * (SPOKEN_S + 0.4 + 1.7)
    assert len(received) / SAMPLE_RATE_HZ < longest_s + 0.5, "the silence between is not sent"


def test_a_microphone_that_hears_nothing_sends_nothing(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(plain_microphone(48_000))
    joined(page, server)
    wait_until(page, lambda: len(server.frames) > 0, "the tone begins")
    wait_for_state(page, "listening", "translating")
    page.wait_for_timeout(2000)
    sent = len(server.frames)
    page.wait_for_timeout(1000)
    assert len(server.frames) == sent
