"""What a browser buffered while its sound stood still the page does not go on hearing late; in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright

from babblefish.domain import SAMPLE_RATE_HZ, Samples
from tests.support.browser import ScriptedServer, browser_hearing, join, joined, microphone_file, tone, wait_until

pytestmark = pytest.mark.slow

SPOKEN_S = 3.0

SOURCES = """
    // Each source of the microphone as late and as loud as given; those that are not given are neither.
    window.sources = 0;
    const create = AudioContext.prototype.createMediaStreamSource;
    AudioContext.prototype.createMediaStreamSource = function (stream) {
      window.sound = this;
      const [lateS, gain] = GIVEN[sources++] ?? [0, 1];
      const late = new DelayNode(this, { delayTime: lateS, maxDelayTime: 5 });
      const loud = new GainNode(this, { gain });
      create.call(this, stream).connect(late).connect(loud);
      return loud;
    };
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = ({ audio }) => {
      const off = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      return open({ audio: { ...audio, ...off } });
    };
"""


@pytest.fixture
def silence_s() -> float:
    """How long it is silent before somebody speaks."""
    return 3.0


@pytest.fixture
def browser(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory, silence_s: float) -> Iterator[Browser]:
    """A browser whose microphone hears a steady tone once."""
    samples = tone(SPOKEN_S, 1000, rate_hz=48_000)
    path = tmp_path_factory.mktemp("microphone") / "tone.wav"
    pause = np.zeros(6 * 48_000, np.float32)
    with browser_hearing(
        playwright, microphone_file(path, np.concatenate([samples, pause]), 48_000, silence_s)
    ) as browser:
        yield browser


def hear(page: Page, given: str) -> None:
    page.add_init_script(SOURCES.replace("GIVEN", given))


def loud_part(heard: Samples) -> Samples:
    """Cut out everything between the first and the last loud sample."""
    loud = np.flatnonzero(np.abs(heard) > 0.05)
    return heard[loud[0] : loud[-1] + 1] if len(loud) else heard[:0]


def said(page: Page, server: ScriptedServer) -> Samples:
    """Wait for what is said and the silence after it; returns what is said."""

    def is_over() -> bool:
        loud = np.flatnonzero(np.abs(server.received_audio()) > 0.05)
        return bool(len(loud)) and len(server.received_audio()) - loud[-1] > SAMPLE_RATE_HZ

    wait_until(page, lambda: len(server.frames) > 0, "somebody begins to speak")
    wait_until(page, is_over, "somebody has spoken")
    return loud_part(server.received_audio())


def test_before_anybody_speaks_the_microphone_is_heard_anew_and_all_comes_that_way(
    page: Page, server: ScriptedServer
) -> None:
    hear(page, "[[0.1, 1], [0, 0.5]]")
    joined(page, server)
    heard = said(page, server)
    assert len(heard) / SAMPLE_RATE_HZ == pytest.approx(SPOKEN_S, abs=0.2)
    assert np.max(np.abs(heard)) == pytest.approx(0.125, rel=0.1), "the first source would be twice as loud"


@pytest.mark.parametrize("silence_s", [0.0])
def test_who_speaks_at_once_is_heard_whole_though_the_first_way_is_late(page: Page, server: ScriptedServer) -> None:
    hear(page, "[[2, 1], [0, 0.5]]")
    page.goto(server.url)
    join(page)
    heard = said(page, server)
    assert len(heard) / SAMPLE_RATE_HZ == pytest.approx(SPOKEN_S, abs=0.2)
    blocks = np.abs(heard[800:-800])[: 16 * 2500].reshape(-1, 160).max(axis=1)
    # On a busy machine Chromium's fake device leaves out a block of 10 ms now and then; the other way is half as loud.
    loud = blocks[blocks > 0.05]
    assert loud.min() > 0.2, "and by one way"
    assert len(loud) >= 0.97 * len(blocks)
    page.wait_for_function("() => sources === 2")


@pytest.mark.parametrize("silence_s", [60.0])
def test_after_the_sound_stood_still_the_microphone_is_heard_anew_again(page: Page, server: ScriptedServer) -> None:
    hear(page, "[]")
    joined(page, server)
    page.wait_for_function("() => sources === 2")
    page.evaluate("sound.suspend()")
    page.wait_for_timeout(300)
    page.evaluate("sound.resume()")
    page.wait_for_function("() => sources === 3")
    page.wait_for_timeout(500)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # back in front
    page.wait_for_function("() => sources >= 4")
