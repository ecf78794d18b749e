"""Interpreting while somebody goes on speaking, with the engines of the default profile."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

import numpy as np
import pytest

from babblefish.cli.demo import read_speech
from tests.support.serving import EMBEDDED, FRENCH_SPEECH, UNHURRIED, load_engines, serving

pytestmark = pytest.mark.slow


async def test_long_speech_without_a_pause_is_interpreted_before_it_ends() -> None:
    clip = read_speech(FRENCH_SPEECH)
    audible = np.flatnonzero(np.abs(clip) > 0.02)
    sentence = clip[audible[0] : audible[-1]]
    samples = np.concatenate([sentence] * int(14 * 16000 / len(sentence) + 1))
    async with serving(EMBEDDED, load_engines(EMBEDDED), replace(UNHURRIED, stalled_s=1000.0)) as running:
        waits = await running.client(target_lang="spa", audio="none", interpreting="consecutive")
        listener = await running.client(target_lang="eng", audio="stream", interpreting="simultaneous")
        speaker = await running.client(target_lang="fra", source_lang="fra", mode="stream", interpreting="consecutive")
        await speaker.stream(samples, paced=True)
        await listener.wait_for("result", timeout_s=120)
        assert not waits.of_type("result")
        await speaker.flush()
        whole = (await waits.wait_for("result", timeout_s=120))[0]
        clauses = listener.of_type("result")
    assert clauses[1]["continues"]
    passage = [clauses[0], *takewhile(lambda clause: clause["continues"], clauses[1:])]
    assert whole["source_text"] == " ".join(clause["source_text"] for clause in passage)
    assert not speaker.of_type("error")
