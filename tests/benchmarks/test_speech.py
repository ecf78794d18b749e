"""The prompts' lists are read as they are written, and noise is as loud as it should be."""

from __future__ import annotations

import numpy as np
import pytest

from babblefish.domain import SAMPLE_RATE_HZ
from benchmarks.support.speech import noisy, texts

LISTING = """\ufeff; Core Asterisk Sounds in Italian

agent-loginok: operatore  connesso
dictate/pause: pausa: prego attendere
beep: [this is a simple beep tone]
something-terribly-wrong: Qualcosa ? terribilmente sbagliato!
pls-try-call-later: Perpiacere riprova pi? tardi.
question: Va bene? Prego confermare.
"""


def test_only_prompts_whose_text_is_what_is_said_are_taken_from_a_list() -> None:
    assert texts(LISTING) == {
        "agent-loginok": "operatore connesso",
        "dictate/pause": "pausa: prego attendere",
        "question": "Va bene? Prego confermare.",
    }


@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_noise_is_as_far_below_the_speech_as_asked_for_and_the_same_every_time(snr_db: float) -> None:
    speech = np.sin(np.arange(2 * SAMPLE_RATE_HZ, dtype=np.float32) / 20)
    heard = noisy(speech, snr_db, seed=1)
    noise = heard - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(noise**2)) == pytest.approx(snr_db, abs=0.1)
    assert np.array_equal(heard, noisy(speech, snr_db, seed=1))
    assert heard.dtype == np.float32


def test_noise_is_louder_where_it_is_low() -> None:
    speech = np.sin(np.arange(2 * SAMPLE_RATE_HZ, dtype=np.float32) / 20)
    power = np.abs(np.fft.rfft(noisy(speech, 0.0, seed=1) - speech)) ** 2
    assert power[10:200].mean() > 20 * power[8000:].mean()
