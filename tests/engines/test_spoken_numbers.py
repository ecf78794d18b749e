"""What the real voices make of numbers, as the real Whisper hears it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import soxr

from babblefish.domain import Deadline
from babblefish.engines.contracts import SpeechRequest, Synthesizer
from babblefish.engines.espeak import EspeakNg
from babblefish.engines.kokoro.onnx_runner import OnnxRunner
from babblefish.engines.kokoro.synthesizer import Kokoro
from babblefish.engines.llm.number_words import in_digits
from babblefish.engines.whisper import Whisper
from babblefish.errors import SetupError
from babblefish.models import install
from babblefish.settings import Settings
from babblefish.spoken_form import spoken_form

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whisper() -> Whisper:
    return Whisper(install.locate("whisper-base", Settings().model_dir), threads=2)


@pytest.fixture(scope="module")
def voices() -> list[Synthesizer]:
    model_dir = Settings().model_dir
    try:
        paths = install.locate("kokoro-int8", model_dir), install.locate("kokoro-voices", model_dir)
    except SetupError as error:
        pytest.skip(error.message)
    return [Kokoro(OnnxRunner(*paths, threads=2)), EspeakNg()]


@pytest.mark.parametrize(
    ("lang", "text", "words"),
    [
        ("eng", "The new car costs **$100,000**, and the train leaves at 7:30.", {"100000", "7", "30"}),
        ("fra", "La nouvelle voiture coûte 3 400 €, et le train part à 19:30.", {"3400", "19", "30"}),
        ("spa", "El coche nuevo cuesta 3.400 €, y hay que pagar un 25 % más.", {"3400", "25"}),
        ("ita", "La macchina nuova costa 3.400 €, e bisogna pagare il 25% in più.", {"3400", "25"}),
        ("por", "O carro novo custa R$ 3.400, e é preciso pagar mais 25%.", {"3400", "25"}),
        ("deu", "Ich zahle heute 5.000 € für das Auto.", {"5000", "euro"}),
        ("pol", "Samochód kosztuje 5 000 zł.", {"5000", "złotych"}),
    ],
)
def test_numbers_and_units_are_heard_as_they_were_meant(
    lang: str, text: str, words: set[str], whisper: Whisper, voices: list[Synthesizer]
) -> None:
    voice = next(voice for voice in voices if voice.voices(lang))
    pieces = list(voice.synthesize(spoken_form(text, lang), lang, Deadline.after(120)))
    samples = np.concatenate([piece.samples for piece in pieces])
    heard = whisper.translate(
        SpeechRequest(
            soxr.resample(samples, pieces[0].sample_rate_hz, 16000),
            Deadline.after(120),
            lambda _: (),
            frozenset({lang}),
        )
    ).transcript.text
    assert words <= set(re.findall(r"\d+|[^\W\d_]+", in_digits(heard, lang))), heard
