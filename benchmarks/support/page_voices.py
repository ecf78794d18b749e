"""Glitches of the voices that the page plays in a scripted conversation, found in the sound itself.

Every utterance is a sine, the next one at the next pitch; its pieces are cut from one sine. The script says them in
the order of ``seq``, with pieces that come as the server makes them: the first one some time after the caption, each
further one well before the one before it has been heard, those of the next utterance in between. What the page gives to
its destination is recorded there (by an AudioWorklet that the page does not know of) and looked through:

- a silence within an utterance is an underrun; a sine that goes on as another than it was is a break, as a piece is
  lost or in the wrong place;
- two pitches at one moment are an overlap;
- a pitch that comes after its turn is a reordering, one that never comes is missing.

Not included: what happens to the sound behind the page, in the browser's and the system's output.
"""

from __future__ import annotations

import base64
import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from playwright.sync_api import Page, TimeoutError

from babblefish.audio import pcm
from babblefish.domain import Samples
from babblefish.wire import server_messages
from tests.support.browser import ScriptedServer, result, speech

PITCHES_HZ = (500, 700, 900, 1100, 1300, 1500, 1700, 1900)
"""One utterance after another takes the next; 200 Hz apart, a window of 20 ms tells them apart."""

AMPLITUDE = 0.25
_PIECE_HZ = 24_000
_SILENT = 0.02 * AMPLITUDE
_SHORTEST_SILENCE_S = 0.001
"""A sine of 500 Hz is below ``_SILENT`` for 13 µs at its zeros."""

_WINDOW_S, _HOP_S = 0.020, 0.005
_SHORTEST_OVERLAP_S = 0.040
"""A sine that begins or breaks off is heard at all pitches, but only in the windows that have the moment in them."""


_PATIENCE_MS = 15_000
"""The page keeps at most 15 s of voices."""


@dataclass(frozen=True)
class Event:
    """What the server says at a moment, in seconds from the beginning."""

    at_s: float
    message: server_messages.ServerMessage


def utterance(number: int, at_s: float, pieces_s: Sequence[float], waits_s: Sequence[float]) -> list[Event]:
    """Return an utterance's caption and its pieces of speech.

    Args:
        number: Its ``seq``, from 1.
        at_s: When its caption comes.
        pieces_s: How long each piece is.
        waits_s: How long after what came before it each piece comes.
    """
    said = result(number, speaker_id=f"speaker_{1 + number % 4}", speaker_name=f"Speaker {1 + number % 4}")
    events = [Event(at_s, said.model_copy(update={"status": "speaking"}))]
    begins = 0.0
    for index, (length_s, wait_s) in enumerate(zip(pieces_s, waits_s, strict=True)):
        at_s += wait_s
        time_s = begins + np.arange(int(length_s * _PIECE_HZ)) / _PIECE_HZ
        sine = np.asarray(AMPLITUDE * np.sin(2 * np.pi * pitch_hz(number) * time_s), np.float32)
        wav = base64.b64encode(pcm.wav_bytes(sine, _PIECE_HZ)).decode()
        events.append(Event(at_s, speech(number, index, wav)))
        begins += len(sine) / _PIECE_HZ
    return [*events, Event(at_s + 0.02, speech(number, len(pieces_s), None, last=True))]


def pitch_hz(number: int) -> int:
    """Return the pitch of an utterance."""
    return PITCHES_HZ[(number - 1) % len(PITCHES_HZ)]


def conversation(seconds: float) -> list[Event]:
    """Return a conversation of that length, one utterance at least: four people, and mostly a voice to be heard.

    A piece is made in 0.2 to 0.4 of its own length, as two threads of the embedded voices take; the first one comes 0.3
    to 0.8 s after the caption. The next caption comes up to 3 s before the voices fall silent, so that voices wait for
    each other, or up to 1 s after.
    """
    chance = random.Random(0)
    events: list[Event] = []
    at_s, free_s, number = 0.0, 0.0, 0
    while not events or at_s < seconds:
        number += 1
        pieces_s = [chance.uniform(0.8, 1.4), *(chance.uniform(1.0, 2.5) for _ in range(chance.randint(0, 2)))]
        # A piece is always there before the one before it, which is at least 0.8 s long, has been heard.
        waits_s = [chance.uniform(0.3, 0.8), *(min(0.6, length * chance.uniform(0.2, 0.4)) for length in pieces_s[1:])]
        events += utterance(number, at_s, pieces_s, waits_s)
        free_s = max(free_s, at_s + waits_s[0]) + sum(pieces_s) + 0.25
        at_s = max(at_s + 0.5, free_s + chance.uniform(-3.0, 1.0))
    return sorted(events, key=lambda event: event.at_s)


# Recording

RECORDING = """
    const record = () => registerProcessor("record", class extends AudioWorkletProcessor {
      #kept = new Int16Array(128 * Math.round(sampleRate / 256));
      #filled = 0;
      process([[channel]]) {
        for (let k = 0; k < 128; k++) {
          this.#kept[this.#filled + k] = Math.max(-32768, Math.min(32767, Math.round(32767 * (channel?.[k] ?? 0))));
        }
        this.#filled += 128;
        if (this.#filled === this.#kept.length) {
          this.port.postMessage(this.#kept.slice());
          this.#filled = 0;
        }
        return true;
      }
    });
    window.recorded = [];
    const Context = window.AudioContext;
    window.AudioContext = class extends Context {
      #all;
      constructor(...wanted) {
        super(...wanted);
        this.#all = this.createGain();
        this.#all.connect(super.destination);
        window.recordedHz = this.sampleRate;
        this.audioWorklet.addModule(URL.createObjectURL(new Blob([`(${record})()`], { type: "text/javascript" })))
          .then(() => {
            const recorder = new AudioWorkletNode(this, "record");
            recorder.port.onmessage = ({ data }) => window.recorded.push(data);
            this.#all.connect(recorder).connect(super.destination); // its output is silence
          });
      }
      get destination() { return this.#all; }
    };
    window.takeRecorded = async () => {
      const taken = new Blob(window.recorded.splice(0));
      const bytes = new Uint8Array(await taken.arrayBuffer());
      let text = "";
      for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
      return btoa(text);
    };
"""
"""Stands between the page and its destination; to be run before the page's own script."""

_TAKEN_EVERY_S = 5.0


def hold(page: Page, server: ScriptedServer, events: Sequence[Event]) -> tuple[Samples, int]:
    """Say everything at its moment to a page that has joined.

    Args:
        page: With ``RECORDING`` as an init script.
        server: Where it has joined.
        events: In order of time.

    Returns:
        What the page played until all voices were heard (or the patience with them ended), and its rate in Hz.
    """
    taken: list[bytes] = []
    begun_s = taken_s = time.monotonic()
    for event in events:
        page.wait_for_timeout(max(0.0, 1000 * (begun_s + event.at_s - time.monotonic())))
        server.send(event.message)
        if time.monotonic() > taken_s + _TAKEN_EVERY_S:
            taken.append(base64.b64decode(page.evaluate("takeRecorded()")))
            taken_s = time.monotonic()
    awaited = len({event.message.seq for event in events if isinstance(event.message, server_messages.Result)})
    with contextlib.suppress(TimeoutError):
        page.wait_for_function("count => babblefish.playedUtterances >= count", arg=awaited, timeout=_PATIENCE_MS)
    page.wait_for_timeout(1000)  # the recorder gives half a second at a time
    taken.append(base64.b64decode(page.evaluate("takeRecorded()")))
    pcm = np.frombuffer(b"".join(taken), "<i2")
    return pcm.astype(np.float32) / np.float32(32767), page.evaluate("recordedHz")


# Looking through


@dataclass(frozen=True)
class Glitches:
    """What was wrong with the voices; all of it should be none.

    Attributes:
        heard: Utterances of which something was heard.
        underruns: Silences within an utterance.
        breaks: Places where a sine goes on as another than it was: a piece is lost or in the wrong place.
        overlaps: Moments with two voices.
        reorderings: Utterances that came after a later one.
        missing: Utterances of which nothing was heard.
        longest_underrun_ms: The longest of the silences.
    """

    heard: int
    underruns: int
    breaks: int
    overlaps: int
    reorderings: int
    missing: int
    longest_underrun_ms: float


@dataclass
class _Voice:
    """A pitch that sounds from one sample to another."""

    pitch: int
    start: int
    end: int


def _runs(holds: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the first and one past the last index of each stretch that holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]])))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _voices(recording: Samples, rate_hz: int) -> list[_Voice]:
    """Find each stretch of each pitch, in order of its beginning."""
    size, hop = int(_WINDOW_S * rate_hz), int(_HOP_S * rate_hz)
    time_s = np.arange(size) / rate_hz
    probes = np.exp(-2j * np.pi * np.outer(time_s, PITCHES_HZ)) * np.hanning(size)[:, None]
    probes = (probes / (np.hanning(size).sum() / 2)).astype(np.complex64)
    padded = np.concatenate([np.zeros(size // 2, np.float32), recording, np.zeros(size, np.float32)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    parts = [np.abs(windows[at : at + 2000] @ probes) for at in range(0, len(windows), 2000)]
    sounds = np.concatenate(parts) > 0.3 * AMPLITUDE
    found = [
        _Voice(pitch, start * hop, end * hop)
        for pitch in range(len(PITCHES_HZ))
        for start, end in _runs(sounds[:, pitch])
        if (end - start) * _HOP_S >= _SHORTEST_OVERLAP_S
    ]
    return sorted(found, key=lambda voice: voice.start)


def _silences(recording: Samples, rate_hz: int, voice: _Voice) -> list[tuple[int, int]]:
    """Return the silences within a voice, as samples of the recording."""
    loud = np.flatnonzero(np.abs(recording[voice.start : voice.end]) > _SILENT) + voice.start
    ends = np.flatnonzero(np.diff(loud) > _SHORTEST_SILENCE_S * rate_hz)
    return [(int(loud[end]), int(loud[end + 1])) for end in ends]


def _breaks(recording: Samples, rate_hz: int, voice: _Voice, silences: Sequence[tuple[int, int]]) -> int:
    """Count where the phase of a voice jumps by more than half a radian, apart from its silences."""
    half = int(_WINDOW_S / 2 * rate_hz)
    inside = np.arange(voice.start, min(voice.end, len(recording)))
    turned = recording[inside] * np.exp(-2j * np.pi * PITCHES_HZ[voice.pitch] * inside / rate_hz)
    sums = np.concatenate([[0], np.cumsum(turned)])
    means = (sums[half:] - sums[:-half]) / half
    jumps = np.abs(np.angle(means[half:] * np.conj(means[:-half]))) > 0.5
    jumps &= np.minimum(np.abs(means[half:]), np.abs(means[:-half])) > 0.2 * AMPLITUDE  # not where it begins or ends
    for start, end in silences:
        jumps[max(0, start - voice.start - 2 * half) : end - voice.start + half] = False
    return len(_runs(jumps))


def glitches(recording: Samples, rate_hz: int, utterances: int) -> Glitches:
    """Look through a recording of that many utterances."""
    voices: list[_Voice] = []
    underruns_ms: list[float] = []
    breaks = overlaps = 0
    for found in _voices(recording, rate_hz):
        silences = _silences(recording, rate_hz, found)
        underruns_ms += [1000 * (end - start) / rate_hz for start, end in silences]
        breaks += _breaks(recording, rate_hz, found, silences)
        if voices and found.pitch == voices[-1].pitch:
            underruns_ms.append(1000 * (found.start - voices[-1].end) / rate_hz)
            voices[-1].end = found.end
            continue
        overlaps += any(found.start + _SHORTEST_OVERLAP_S * rate_hz < earlier.end for earlier in voices[-3:])
        voices.append(found)
    due = reorderings = missing = 0
    for voice in voices:
        ahead = (voice.pitch - due) % len(PITCHES_HZ)
        if ahead >= len(PITCHES_HZ) // 2:
            reorderings += 1
            missing -= 1
        else:
            missing += ahead
            due += ahead + 1
    return Glitches(
        heard=len(voices),
        underruns=len(underruns_ms),
        breaks=breaks,
        overlaps=overlaps,
        reorderings=reorderings,
        missing=missing + utterances - due,
        longest_underrun_ms=round(max(underruns_ms, default=0.0), 1),
    )
