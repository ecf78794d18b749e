"""What the page costs and how it keeps time, in a real Chromium (headless, the one of the system).

- ``weight``: bytes of the one file, as it is and as gzip would make it, and how many requests opening it makes.
- ``open_to_entrance_ms``: from the start of the navigation to the first frame in which Join can be tapped;
  ``tap_to_ready_ms``: from the tap on Join to the server's ``ready``; ``tap_to_listening_ms``: until the microphone is
  open as well. Each round has a fresh profile, so that nothing is cached; the server is the real one, and warm.
- ``cpu_percent``: CPU time of Chromium's processes as a share of one core, while the page is connected and quiet, while
  it plays one voice after another, and while somebody speaks into its microphone all the time. ``page``: its renderer,
  ``everything`` also the browser, the network and the audio process; ``main_thread`` and ``script`` are what the
  renderer's main thread does (``Performance.getMetrics``).
- ``microphone_to_server``: see ``support.page_microphone``.
- ``conversation``: see ``support.page_voices``.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import soundfile
from playwright.sync_api import Browser, CDPSession, Playwright, sync_playwright

from babblefish.wire import server_messages
from benchmarks.support import harness, page_microphone, page_voices
from tests.support.browser import (
    PAGE,
    QUIET,
    ScriptedServer,
    browser_hearing,
    join,
    joined,
    result,
    scripted_server,
    tone_wav,
)

_WATCHING = """
    const look = () => {
      const button = document.getElementById("join");
      if (button?.offsetHeight && button.textContent) window.entranceMs = performance.now();
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
    document.addEventListener("click", (event) => { window.tapMs ??= event.timeStamp; }, { capture: true });
    document.addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
      const { state } = document.body.dataset;
      if (!["idle", "connecting"].includes(state)) window.readyMs ??= performance.now();
      if (QUIET.includes(state)) window.listeningMs ??= performance.now();
    }).observe(document.body, { attributeFilter: ["data-state"] }));
""".replace("QUIET", str(list(QUIET)))

_SETTLE_MS = 3000
_VOICE_S = 4.0
_PONG_EVERY_S = 5.0


def _weight(browser: Browser, url: str) -> dict[str, int]:
    page = browser.new_page()
    requests = list[str]()
    page.on("request", lambda request: requests.append(request.url))
    page.goto(url, wait_until="networkidle")
    page.close()
    raw = PAGE.read_bytes()
    fetched = [address for address in requests if not address.startswith(("data:", "blob:"))]
    return {"bytes": len(raw), "gzip_bytes": len(gzip.compress(raw)), "requests": len(fetched)}


def _opening(browser: Browser, url: str, rounds: int) -> dict[str, Any]:
    """Open and join as often, each time in a profile of its own; the first time warms up and does not count."""
    found: dict[str, list[float]] = {"open_to_entrance_ms": [], "tap_to_ready_ms": [], "tap_to_listening_ms": []}
    for index in range(rounds + 1):
        context = browser.new_context()
        page = context.new_page()
        page.add_init_script(_WATCHING)
        page.goto(url)
        page.wait_for_function("() => window.entranceMs")
        join(page)
        page.wait_for_function("() => window.readyMs && window.listeningMs")
        at = page.evaluate("({ entrance: entranceMs, tap: tapMs, ready: readyMs, listening: listeningMs })")
        if index:
            found["open_to_entrance_ms"].append(at["entrance"])
            found["tap_to_ready_ms"].append(at["ready"] - at["tap"])
            found["tap_to_listening_ms"].append(at["listening"] - at["tap"])
        context.close()
    return {name: harness.spread(values) for name, values in found.items()}


def _used_s(of_browser: CDPSession, of_page: CDPSession) -> dict[str, float]:
    """Return the CPU time used until now, in seconds; the second session has enabled ``Performance``."""
    processes = of_browser.send("SystemInfo.getProcessInfo")["processInfo"]
    metrics = {metric["name"]: metric["value"] for metric in of_page.send("Performance.getMetrics")["metrics"]}
    return {
        "page": sum(process["cpuTime"] for process in processes if process["type"] == "renderer"),
        "everything": sum(process["cpuTime"] for process in processes),
        "main_thread": metrics["TaskDuration"],
        "script": metrics["ScriptDuration"],
    }


def _cpu(browser: Browser, server: ScriptedServer, seconds: int, go_on: Callable[[float], None]) -> dict[str, float]:
    """Join and measure for as long; ``go_on`` is called twice a second with the seconds since the beginning."""
    page = browser.new_page()
    sessions = browser.new_browser_cdp_session(), page.context.new_cdp_session(page)
    sessions[1].send("Performance.enable")  # counts from here on
    joined(page, server)
    begun_s = time.monotonic()
    go_on(0.0)
    page.wait_for_timeout(_SETTLE_MS)
    before, from_s = _used_s(*sessions), time.monotonic()
    while time.monotonic() < from_s + seconds:
        page.wait_for_timeout(500)
        go_on(time.monotonic() - begun_s)
    after, until_s = _used_s(*sessions), time.monotonic()
    page.close()
    return {name: round(100 * (after[name] - before[name]) / (until_s - from_s), 1) for name in after}


def _quiet(server: ScriptedServer) -> Callable[[float], None]:
    """Say nothing but that the server is there, before the page has to ask."""
    said_s = 0.0

    def go_on(at_s: float) -> None:
        nonlocal said_s
        if at_s > said_s + _PONG_EVERY_S:
            said_s = at_s
            server.send(server_messages.Pong())

    return go_on


def _voices(server: ScriptedServer) -> Callable[[float], None]:
    """Say something as soon as what was said before is about to be heard, so that there always is a voice."""
    wav = tone_wav(_VOICE_S)
    count = 0

    def go_on(at_s: float) -> None:
        nonlocal count
        while count * _VOICE_S < at_s + _VOICE_S:
            count += 1
            server.send(result(count, tts_audio=wav))

    return go_on


def _costs(playwright: Playwright, seconds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        noise, silence = Path(folder) / "noise.wav", Path(folder) / "silence.wav"
        speech = page_microphone.speech_like(seconds + _SETTLE_MS / 1000 + 10)
        soundfile.write(noise, speech, page_microphone.FILE_HZ, subtype="PCM_16")
        soundfile.write(silence, 0 * speech, page_microphone.FILE_HZ, subtype="PCM_16")
        found = {}
        for name, wav, script in (
            ("quiet", silence, _quiet),
            ("playing", silence, _voices),
            ("speaking", noise, _quiet),
        ):
            with scripted_server() as server, browser_hearing(playwright, wav) as browser:
                found[name] = _cpu(browser, server, seconds, script(server))
    return found


def _conversation(playwright: Playwright, minutes: float) -> dict[str, Any]:
    events = page_voices.conversation(60 * minutes)
    utterances = len({event.message.seq for event in events if isinstance(event.message, server_messages.Result)})
    with tempfile.TemporaryDirectory() as folder, scripted_server() as server:
        silence = Path(folder) / "silence.wav"
        soundfile.write(silence, 0 * page_microphone.speech_like(1), page_microphone.FILE_HZ, subtype="PCM_16")
        with browser_hearing(playwright, silence) as browser:
            page = browser.new_page()
            page.add_init_script(page_voices.RECORDING)
            joined(page, server)
            recording, rate_hz = page_voices.hold(page, server, events)
    found = asdict(page_voices.glitches(recording, rate_hz, utterances))
    return {"minutes": minutes, "utterances": utterances} | found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one after the other, so that nothing shares the cores with what is measured."""
    with sync_playwright() as playwright:
        with tempfile.TemporaryDirectory() as folder, harness.server_process() as (port, _):
            url = f"http://127.0.0.1:{port}/"
            silence = Path(folder) / "silence.wav"
            soundfile.write(silence, 0 * page_microphone.speech_like(1), page_microphone.FILE_HZ, subtype="PCM_16")
            with browser_hearing(playwright, silence) as browser:
                found: dict[str, Any] = {"browser": f"Chromium {browser.version}", "weight": _weight(browser, url)}
                found |= _opening(browser, url, options.rounds)
        found["cpu_percent"] = _costs(playwright, options.seconds)
        found["microphone_to_server"] = page_microphone.measure(playwright, options.starts, options.frames)
        found["conversation"] = _conversation(playwright, options.minutes)
    return found


if __name__ == "__main__":
    harness.main(__doc__, measure, rounds=10, seconds=15, starts=3, frames=50, minutes=2)
