"""Hands-free, the page sends what is said and not the silence between; in a real browser against a scripted server."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page

from babblefish.audio import pcm
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from tests.support.browser import DEMO, ScriptedServer, joined, wait_until

pytestmark = pytest.mark.slow

FRAME_SAMPLES = 640
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
PAUSE_S = 6.0
PRE_ROLL_S = 0.3
SILENCE_AFTER_S = 1.5
"""The server ends an utterance after 0.4 s of silence."""

HEARING = """
    // The microphone only beats time: with every frame of its own the page gets the next ten of those that were given.
    const bytes = Uint8Array.from(atob("GIVEN"), (letter) => letter.charCodeAt(0));
    const given = new Int16Array(bytes.buffer);
    let at = 0;
    window.left = () => given.length - at;
    const Node = window.AudioWorkletNode;
    window.AudioWorkletNode = class extends Node {
      constructor(...wanted) {
        super(...wanted);
        const own = this.port;
        const port = {
          set onmessage(take) {
            own.onmessage = () => {
              if (!window.listening) return;
              for (let count = 0; count < 10 && at < given.length; count++, at += 640) {
                const frame = given.slice(at, at + 640);
                const energy = frame.reduce((sum, sample) => sum + (sample / 32767) ** 2, 0);
                take({ data: { pcm: frame.buffer, rms: Math.sqrt(energy / 640) } });
              }
            };
          },
        };
        Object.defineProperty(this, "port", { value: port });
      }
    };
"""


def noise(seconds: float, level_db: float) -> Samples:
    """Return the steady noise of a room; no two frames of it are alike."""
    samples = np.random.default_rng(5).normal(0, 10 ** (level_db / 20), int(seconds * SAMPLE_RATE_HZ))
    return np.asarray(samples, dtype=np.float32)


def spoken() -> Samples:
    """Return the beginning of the demonstration's sentence, from its first sound on, in whole frames."""
    samples, _ = soundfile.read(DEMO, dtype="float32")
    first = int(np.flatnonzero(np.abs(samples) > 0.02)[0])
    return np.asarray(samples[first : first + 75 * FRAME_SAMPLES])


def sent(page: Page, server: ScriptedServer, heard: Samples) -> list[int]:
    """Let the page hear this; returns the numbers of the frames that it sent, in the order in which they came."""
    encoded = pcm.float_to_pcm16(heard)
    page.add_init_script(HEARING.replace("GIVEN", base64.b64encode(encoded).decode()))
    joined(page, server)
    page.evaluate("window.listening = true")
    page.wait_for_function("() => left() === 0")
    page.get_by_role("button", name="Mute microphone").click()  # its `flush` comes after all that was sent
    wait_until(page, lambda: bool(server.controls), "everything has arrived")
    size = 2 * FRAME_SAMPLES
    numbers = {encoded[at : at + size]: at // size for at in range(0, len(encoded), size)}
    return [numbers[frame] for frame in server.frames]


@pytest.mark.parametrize("gain_db", [0, -20])
@pytest.mark.parametrize("room_db", [-75, -55])
def test_all_that_is_said_is_sent_with_what_surrounds_it_and_silence_is_not(
    page: Page, server: ScriptedServer, gain_db: float, room_db: float
) -> None:
    words = 10 ** (gain_db / 20) * spoken()
    pause = np.zeros(int(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    silence = np.tile(pause, 2)  # long enough to learn how loud the room is
    heard = np.concatenate([silence, words, pause, words, pause])
    came = sent(page, server, heard + noise(len(heard) / SAMPLE_RATE_HZ, room_db))
    first = len(silence) // FRAME_SAMPLES
    second = first + (len(words) + len(pause)) // FRAME_SAMPLES
    frames = len(words) // FRAME_SAMPLES
    wanted = [
        number
        for start in (first, second)
        for number in range(start - int(PRE_ROLL_S / FRAME_S), start + frames + int(SILENCE_AFTER_S / FRAME_S) - 5)
    ]
    assert set(wanted) <= set(came), "nothing is missing"
    assert came == sorted(set(came)), "everything comes once and in order"
    around = round((0.4 + 1.6) / FRAME_S)
    learnt = [number for number in came if number >= first // 2]
    assert len(learnt) <= 2 * (frames + around + 2), "the silence between is not sent"


def test_a_quiet_room_sends_nothing(page: Page, server: ScriptedServer) -> None:
    assert sent(page, server, noise(20, -62)) == []


def test_a_device_that_gives_no_sound_at_all_sends_nothing(page: Page, server: ScriptedServer) -> None:
    assert sent(page, server, np.zeros(5 * SAMPLE_RATE_HZ, np.float32)) == []


def test_in_a_room_that_is_always_loud_nobody_is_cut(page: Page, server: ScriptedServer) -> None:
    words = spoken()
    heard = np.concatenate([np.zeros(60 * SAMPLE_RATE_HZ, np.float32), 0.3 * words])
    came = sent(page, server, heard + noise(len(heard) / SAMPLE_RATE_HZ, -30))
    assert came == list(range(len(heard) // FRAME_SAMPLES))
