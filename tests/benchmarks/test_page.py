"""The benchmark of the page finds what it is there to find."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from babblefish.domain import SAMPLE_RATE_HZ, Samples
from benchmarks.support import page_microphone, page_voices
from benchmarks.support.page_voices import AMPLITUDE, Event, Glitches, glitches, pitch_hz

ROOT = Path(__file__).resolve().parents[2]
RATE_HZ = 44_100


def voice(number: int, seconds: float = 1.0, from_s: float = 0.0) -> Samples:
    """Return an utterance as it should be heard, or a part of it."""
    time_s = from_s + np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return np.asarray(AMPLITUDE * np.sin(2 * np.pi * pitch_hz(number) * time_s), np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE_HZ), np.float32)


def heard(*parts: Samples, utterances: int) -> Glitches:
    return glitches(np.concatenate([silence(0.3), *parts, silence(0.3)]), RATE_HZ, utterances)


def test_voices_one_after_another_have_no_glitch() -> None:
    parts = [part for number in range(1, 11) for part in (voice(number), silence(0.25))]
    assert heard(*parts, utterances=10) == Glitches(10, 0, 0, 0, 0, 0, 0.0)


@pytest.mark.parametrize("gap_s", [0.002, 0.015, 0.1, 1.0])
def test_a_silence_within_a_voice_is_an_underrun(gap_s: float) -> None:
    found = heard(voice(1), silence(gap_s), voice(1, from_s=1.0), silence(0.25), voice(2), utterances=2)
    assert (found.heard, found.underruns, found.breaks, found.overlaps) == (2, 1, 0, 0)
    assert found.longest_underrun_ms == pytest.approx(1000 * gap_s, abs=30)


def test_a_voice_that_goes_on_elsewhere_is_a_break() -> None:
    found = heard(voice(1, 1.0003), voice(1, from_s=2.0007), utterances=1)
    assert (found.heard, found.underruns, found.breaks) == (1, 0, 1)


def test_two_voices_at_once_are_an_overlap() -> None:
    second = np.concatenate([silence(0.9), voice(2)])
    second[:RATE_HZ] += voice(1)
    found = heard(second, utterances=2)
    assert (found.heard, found.overlaps, found.reorderings, found.missing) == (2, 1, 0, 0)


def test_a_voice_after_its_turn_is_a_reordering() -> None:
    found = heard(voice(1), silence(0.25), voice(3), silence(0.25), voice(2), silence(0.25), voice(4), utterances=4)
    assert (found.heard, found.reorderings, found.missing) == (4, 1, 0)


@pytest.mark.parametrize("numbers", [(1, 3), (2, 3), (1, 2)])
def test_a_voice_that_never_comes_is_missing(numbers: tuple[int, ...]) -> None:
    found = heard(*(part for number in numbers for part in (voice(number), silence(0.25))), utterances=3)
    assert (found.heard, found.reorderings, found.missing) == (2, 0, 1)


def test_the_scripted_conversation_gives_each_piece_before_it_is_needed() -> None:
    events = page_voices.conversation(60)
    assert events == sorted(events, key=lambda event: event.at_s)
    came: dict[int, list[Event]] = {}
    for event in events:
        if event.message.type == "speech" and event.message.audio:
            came.setdefault(event.message.seq, []).append(event)
    assert len(came) > 10
    for pieces in came.values():
        needed_s = pieces[0].at_s
        for piece in pieces:
            assert piece.at_s <= needed_s
            needed_s += (len(piece.message.audio) * 3 / 4 - 44) / 2 / 24_000


def test_a_delay_of_the_microphone_is_found_for_every_frame() -> None:
    played = page_microphone.speech_like(10.0)[:: page_microphone.FILE_HZ // SAMPLE_RATE_HZ]
    noise = np.random.default_rng(1).normal(0, 0.1, len(played)).astype(np.float32)
    begun_s, lost, delay_s, frames = 1000.0, 1234, 0.070, 150
    sent = (0.5 * played + noise)[lost : lost + 640 * frames]
    ends_s = begun_s - 0.010 + (lost + 640 * np.arange(1, frames + 1)) / SAMPLE_RATE_HZ
    arrived_s = ends_s + delay_s + 0.005 * (np.arange(frames) % 2)
    found = page_microphone.delays_ms(sent, list(arrived_s), played, begun_s)
    assert len(found) == 100
    assert found == pytest.approx([75.0, 70.0] * 50, abs=0.1)


def test_sound_that_the_microphone_never_played_has_no_delay() -> None:
    played = page_microphone.speech_like(10.0)[:: page_microphone.FILE_HZ // SAMPLE_RATE_HZ]
    other = np.random.default_rng(1).normal(0, 0.1, 640 * 100).astype(np.float32)
    assert page_microphone.delays_ms(other, [0.0] * 100, played, 0.0) == []


@pytest.mark.slow
def test_the_benchmark_runs_and_names_its_figures() -> None:
    short = ["--rounds", "1", "--seconds", "1", "--starts", "1", "--frames", "50", "--minutes", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.page", "--json", *short],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    figures = json.loads(done.stdout)
    assert figures["weight"]["bytes"] > figures["weight"]["gzip_bytes"] > 0
    for name in ("open_to_entrance_ms", "tap_to_ready_ms", "tap_to_listening_ms"):
        assert figures[name]["median"] > 0
    assert set(figures["cpu_percent"]) == {"quiet", "playing", "speaking"}
    assert all(costs["everything"] >= costs["page"] > 0 for costs in figures["cpu_percent"].values())
    delays = figures["microphone_to_server"]
    for delay in (delays["undisturbed"], delays["after_a_pause"]):
        assert delay["last_sample_of_a_frame_ms"]["n"] == 50
        assert delay["first_sample_of_a_frame_ms"]["median"] > delay["last_sample_of_a_frame_ms"]["median"] > 0
    assert figures["conversation"]["heard"] == figures["conversation"]["utterances"] == 1
