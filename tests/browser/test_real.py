"""The page in a real browser, against the real server with the real engines."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Playwright, expect

from tests.support.browser import ROOT, browser_hearing, join, microphone_file, wait_until

pytestmark = pytest.mark.slow

DEMO = ROOT / "babblefish" / "assets" / "demo_fra.wav"


@contextmanager
def real_server(log: Path) -> Iterator[str]:
    """Run the real server with its real engines; yields its address, at which it is not yet warm."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "server_cpu.py"), "--port", str(port), "--profile", "embedded"]
    environment = {**os.environ, "BABBLEFISH_UTTERANCE_DEADLINE_S": "240"}  # other tests compute as well
    with (
        log.open("wb") as out,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()


def is_ready(url: str) -> bool:
    """Ask a server whether its engines are warm."""
    try:
        with urllib.request.urlopen(f"{url}readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def test_french_into_the_microphone_is_read_and_heard_in_english(playwright: Playwright, tmp_path: Path) -> None:
    samples, rate_hz = soundfile.read(DEMO, dtype="float32")
    wav = microphone_file(tmp_path / "french.wav", samples, rate_hz)
    with real_server(log := tmp_path / "server.log") as url, browser_hearing(playwright, wav) as browser:
        page = browser.new_page()
        wait_until(page, lambda: is_ready(url), f"the server is warm; its log is {log}", at_most_s=120)
        page.goto(url)
        page.get_by_label("I hear").select_option("eng")
        join(page, Your_name="Marta")
        caption = page.locator("#captions > li").first
        expect(caption).to_contain_text("French → English", timeout=60_000)
        assert caption.locator(".text").inner_text() != caption.locator(".original").inner_text()
        page.wait_for_function("() => babblefish.playedUtterances >= 1", timeout=60_000)
        assert page.evaluate("babblefish.playedSeconds") > 0.5
