"""The benchmark of the page finds in a browser what it is there to find."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from benchmarks.support import page_voices
from benchmarks.support.page_voices import glitches
from tests.support.browser import ScriptedServer, joined

pytestmark = pytest.mark.slow


def test_a_piece_that_comes_too_late_for_the_page_is_counted_as_an_underrun(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(page_voices.RECORDING)
    joined(page, server)
    in_time = page_voices.utterance(1, 0.0, (0.5, 0.5), (0.3, 0.1))
    too_late = page_voices.utterance(2, 0.5, (0.5, 0.5), (0.3, 1.5))
    recording, rate_hz = page_voices.hold(page, server, [*in_time, *too_late])
    found = glitches(recording, rate_hz, 2)
    assert (found.heard, found.underruns, found.overlaps, found.reorderings, found.missing) == (2, 1, 0, 0, 0)
    assert found.longest_underrun_ms > 100
