"""What the page sends of the microphone and how it plays voices, in a real browser against a scripted server."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.wire import server_messages
from tests.support.browser import (
    ABOVE_NYQUIST_HZ,
    QUIET,
    TONE_HZ,
    TONE_S,
    ScriptedServer,
    join,
    joined,
    result,
    speech,
    tone_wav,
    wait_for_state,
    wait_until,
)

pytestmark = pytest.mark.slow

ASKING = """
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    window.opened = [];
    const answered = new Promise((resolve) => { window.allow = resolve; });
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      await answered;
      const stream = await open(wanted);
      window.opened.push(stream.getTracks()[0]);
      return stream;
    };
    window.captures = 0;
    const Node = window.AudioWorkletNode;
    window.AudioWorkletNode = class extends Node {
      constructor(...wanted) {
        super(...wanted);
        window.captures++;
      }
    };
"""
"""The browser asks whether the microphone may be used until ``allow()`` is called, as often as the page wants it."""

PATIENCE_MS = 10_000
"""After this the page gives up a voice that was promised, even if nobody says that it failed."""


def plain_microphone(rate_hz: int) -> str:
    """Return a script that makes the page's sound run at this rate, and leaves the microphone unprocessed.

    The browser's own processing takes a steady tone for noise; without it the page's resampling can be measured.
    What the page had asked for is kept in ``window.wanted``.
    """
    return """
        const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = (wanted) => {
          window.wanted = wanted;
          const off = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
          return open({ audio: { ...wanted.audio, ...off } });
        };
        const Context = window.AudioContext;
        window.AudioContext = class extends Context {
          constructor(options) { super({ ...options, sampleRate: RATE }); }
        };
    """.replace("RATE", str(rate_hz))


PLAYED = (
    """
    // What the microphone gives once `speak()` is called, whole: a fake device loses 10 ms here and there under load.
    const microphones = [];
    AudioContext.prototype.createMediaStreamSource = function () {
      const silence = new ConstantSourceNode(this, { offset: 0 });
      silence.start();
      microphones.push(new GainNode(this));
      silence.connect(microphones.at(-1));
      return microphones.at(-1);
    };
    window.speak = () => {
      const { context } = microphones[0];
      const buffer = context.createBuffer(1, TONE_S * context.sampleRate, context.sampleRate);
      const at = (hz, index) => 0.25 * Math.sin(2 * Math.PI * hz * index / context.sampleRate);
      const samples = buffer.getChannelData(0);
      for (let index = 0; index < samples.length; index++) samples[index] = at(TONE_HZ, index) + at(ABOVE_HZ, index);
      const voice = new AudioBufferSourceNode(context, { buffer });
      for (const microphone of microphones) voice.connect(microphone);
      voice.start();
    };
""".replace("TONE_S", str(TONE_S))
    .replace("TONE_HZ", str(TONE_HZ))
    .replace("ABOVE_HZ", str(ABOVE_NYQUIST_HZ))
)


def tone_is_over(heard: Samples) -> bool:
    """Return whether a second of silence came after the microphone's tone."""
    loud = np.flatnonzero(np.abs(heard) > 0.05)
    return bool(len(loud)) and len(heard) - loud[-1] > SAMPLE_RATE_HZ


def sounding_part(heard: Samples) -> Samples:
    """Cut out the part in which the microphone was not silent."""
    loud = np.flatnonzero(np.abs(heard) > 0.05)
    return heard[loud[0] : loud[-1] + 1]


def residual_db(samples: Samples, tone_hz: float) -> float:
    """Return the power of everything but the sine of ``tone_hz``, relative to that sine, in dB."""
    time_s = np.arange(len(samples)) / SAMPLE_RATE_HZ
    basis = np.stack([np.sin(2 * np.pi * tone_hz * time_s), np.cos(2 * np.pi * tone_hz * time_s)], axis=1)
    sine = basis @ np.linalg.lstsq(basis, samples.astype(np.float64), rcond=None)[0]
    return float(10 * np.log10(np.sum((samples - sine) ** 2) / np.sum(sine**2)))


# Speaking


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_the_microphone_arrives_as_clean_16_khz_int16_at_any_device_rate(
    page: Page, server: ScriptedServer, rate_hz: int
) -> None:
    page.add_init_script(plain_microphone(rate_hz) + PLAYED)
    joined(page, server)
    page.evaluate("speak()")
    wait_until(page, lambda: len(server.frames) > 0, "the tone begins")
    wait_until(page, lambda: tone_is_over(server.received_audio()), "the tone and a second of silence were sent")
    assert {len(frame) for frame in server.frames} == {1280}, "each frame is 40 ms of Int16"
    heard = sounding_part(server.received_audio())
    assert len(heard) / SAMPLE_RATE_HZ == pytest.approx(TONE_S, abs=0.005), "nothing is missing"
    windows = [heard[start : start + 8000] for start in range(1600, len(heard) - 9600, 4000)]
    assert np.median([residual_db(window, TONE_HZ) for window in windows]) < -65
    processing = ("echoCancellation", "noiseSuppression", "autoGainControl")
    assert page.evaluate("window.wanted.audio") == {"channelCount": 1} | dict.fromkeys(processing, True)


def test_a_voice_moves_the_meter_and_the_page_says_that_it_hears(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(plain_microphone(48_000))
    joined(page, server)
    wait_for_state(page, "hearing")
    page.wait_for_function("() => Number(document.getElementById('level').getAttribute('aria-valuenow')) > 50")


def test_muting_ends_the_utterance_and_stops_the_sound(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    wait_until(page, lambda: len(server.frames) > 5, "sound arrives")
    page.get_by_role("button", name="Mute microphone").click()
    wait_for_state(page, "muted")
    wait_until(page, lambda: server.controls == [{"type": "flush"}], "the utterance is ended")
    sent = len(server.frames)
    page.wait_for_timeout(400)
    assert len(server.frames) == sent
    page.keyboard.press("m")
    wait_for_state(page, *QUIET)
    wait_until(page, lambda: len(server.frames) > sent, "sound arrives again")


def test_leaving_and_joining_while_the_browser_asks_opens_one_microphone(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(ASKING)
    page.goto(server.url)
    join(page)
    wait_for_state(page, "asking")
    page.get_by_role("button", name="Leave").click()
    join(page)
    wait_for_state(page, "asking")
    page.evaluate("allow()")
    wait_for_state(page, *QUIET)
    wait_until(page, lambda: len(server.frames) > 5, "sound arrives")
    page.wait_for_function("() => opened.length === 2")
    assert page.evaluate("opened.map((track) => track.readyState)") == ["ended", "live"]
    assert page.evaluate("captures") == 1


def test_leaving_while_the_browser_asks_opens_no_microphone(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(ASKING)
    page.goto(server.url)
    join(page)
    wait_for_state(page, "asking")
    page.get_by_role("button", name="Leave").click()
    page.evaluate("allow()")
    page.wait_for_function("() => opened.length === 1 && opened[0].readyState === 'ended'")
    assert page.evaluate("captures") == 0
    assert wait_for_state(page, "idle") == "idle"


# Listening


def test_voices_follow_each_other_in_order_without_overlap_or_gap(page: Page, server: ScriptedServer) -> None:
    server.history = {"wants_played": False}
    joined(page, server)
    piece = tone_wav(0.4)
    server.send(result(1, status="speaking"), result(2, status="speaking"), result(3, tts_audio=piece))
    server.send(speech(2, 0, piece), speech(2, 1, piece, last=True))  # the second voice was made first
    server.send(speech(1, 1, piece), speech(1, 0, piece), speech(1, 2, None, last=True))
    page.wait_for_function("() => babblefish.playedUtterances === 3")
    pieces: list[dict[str, Any]] = page.evaluate("babblefish.playedPieces")
    assert [(p["seq"], p["index"]) for p in pieces] == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]
    gaps_s = [after["start"] - before["end"] for before, after in itertools.pairwise(pieces)]
    assert [gaps_s[0], gaps_s[2]] == pytest.approx([0, 0], abs=1e-6), "pieces of one utterance follow gaplessly"
    assert min(gaps_s[1], gaps_s[3]) > 0.1, "the next speaker waits for the one before"
    assert page.evaluate("babblefish.playedSeconds") == pytest.approx(5 * 0.4, abs=0.01)
    assert server.played == [], "who did not ask is not told"


def test_a_server_that_asks_is_told_once_when_an_utterance_begins_to_be_heard(
    page: Page, server: ScriptedServer
) -> None:
    joined(page, server)
    piece = tone_wav(0.5)
    server.send(result(1, status="speaking"), speech(1, 0, piece), speech(1, 1, piece, last=True))
    server.send(result(2, tts_audio=tone_wav(8)), result(3), result(4, tts_audio=piece))
    wait_until(page, lambda: server.played == ["utterance_1"], "it is told")
    assert page.evaluate("babblefish.playedPieces.length") == 0, "at the start of the voice, not at its end"
    wait_until(page, lambda: len(server.played) == 2, "the second begins")
    page.get_by_role("button", name="Play again").first.click()
    page.get_by_role("button", name="Skip this translation").click()
    wait_until(page, lambda: len(server.played) == 3, "the last begins")
    page.wait_for_function("() => babblefish.playedUtterances === 3")
    server.say(json.loads(server_messages.encode(result(5, tts_audio=piece))) | {"replayed": True})
    expect(page.locator("#captions > li")).to_have_count(5)
    page.wait_for_timeout(500)
    assert server.played == ["utterance_1", "utterance_2", "utterance_4"]


def test_a_voice_that_fails_does_not_hold_up_the_next(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(result(1, status="speaking"), result(2, tts_audio=tone_wav(0.2)))
    server.send(server_messages.Error(code="engine_failed", message="no voice", utterance_id="utterance_1"))
    page.wait_for_function("() => babblefish.playedUtterances === 1")
    assert [piece["seq"] for piece in page.evaluate("babblefish.playedPieces")] == [2]
    expect(page.locator("#note")).to_have_text("That could not be read aloud; here is the caption.")


def test_a_voice_that_fails_halfway_ends_there_and_the_next_begins(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    piece = tone_wav(0.2)
    server.send(result(1, status="speaking"), speech(1, 0, piece), result(2, tts_audio=piece))
    page.wait_for_function("() => babblefish.playedPieces.length === 1")
    server.send(server_messages.Error(code="engine_failed", message="no voice", utterance_id="utterance_1"))
    page.wait_for_function("() => babblefish.playedUtterances === 2", timeout=PATIENCE_MS / 2)
    assert [piece["seq"] for piece in page.evaluate("babblefish.playedPieces")] == [1, 2]


def test_voices_that_fall_far_behind_are_skipped_up_to_the_newest_and_marked(
    page: Page, server: ScriptedServer
) -> None:
    joined(page, server)
    server.send(result(1, tts_audio=tone_wav(4)), result(2, tts_audio=tone_wav(20)), result(3, status="speaking"))
    marks = page.locator("#captions .mark")
    expect(marks).to_have_text(["not read aloud"])
    expect(page.locator("#captions > li").nth(1)).to_contain_text("Hello everyone")
    expect(page.locator("#captions > li").nth(1).locator(".mark")).to_have_count(1)
    expect(page.locator("#note")).to_contain_text("Playback fell behind; some of it was skipped.")
    server.send(speech(3, 0, tone_wav(0.2), last=True))
    page.wait_for_function("() => babblefish.playedUtterances === 2")
    assert [piece["seq"] for piece in page.evaluate("babblefish.playedPieces")] == [1, 3]


def test_a_long_voice_alone_is_heard_however_long_it_is(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(result(1, tts_audio=tone_wav(20)))
    wait_for_state(page, "speaking")
    server.send(result(2, status="speaking"), speech(2, 0, tone_wav(0.2), last=True), result(3))
    expect(page.locator("#captions > li")).to_have_count(3)
    expect(page.locator("#captions .mark")).to_have_count(0)
