"""Speech synthesis: splitting a text into pieces, Kokoro, and eSpeak NG."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from babblefish.domain import Deadline, Samples, Speech
from babblefish.engines.contracts import Synthesizer
from babblefish.engines.espeak import EspeakNg
from babblefish.engines.kokoro.onnx_runner import OnnxRunner
from babblefish.engines.kokoro.synthesizer import Kokoro
from babblefish.engines.text_splitting import split_pieces, split_sentences
from babblefish.errors import DeadlineExceededError, EngineError, SetupError
from babblefish.languages import LANGUAGES
from babblefish.models import install
from babblefish.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
POLISH = "Dzień dobry, gdzie jest najbliższa stacja? Mam 268 złotych."
KENNEDY = "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
WORDLESS = ("", " \n", "…", "!!!", "😀", "¿?", "- ( ) .")
AWKWARD = ("a\0b", "\x01 50S fast", "\ud800x", "<speak>x</speak> [[h@]]", "x" * 2000, "東京 & Łódź", "$5 @ 3 % #1")


def speak(engine: Synthesizer, text: str, lang: str, deadline_s: float = 120.0) -> list[Speech]:
    return list(engine.synthesize(text, lang, Deadline.after(deadline_s)))


def joined(pieces: list[Speech]) -> Samples:
    return np.concatenate([piece.samples for piece in pieces])


def silence_s(samples: Samples, sample_rate_hz: int) -> tuple[float, float]:
    """Return how long the beginning and the end stay 40 dB below the peak."""
    loud = np.flatnonzero(np.abs(samples) > np.abs(samples).max() / 100)
    return float(loud[0] / sample_rate_hz), float((len(samples) - 1 - loud[-1]) / sample_rate_hz)


# Splitting a text


def test_a_short_text_is_one_piece() -> None:
    assert split_pieces("Bonjour, comment allez-vous aujourd'hui ?") == ["Bonjour, comment allez-vous aujourd'hui ?"]
    assert split_pieces("Yes. No. Why? Because.") == ["Yes. No. Why? Because."]


def test_a_long_first_sentence_is_cut_at_a_comma_so_that_it_is_heard_early() -> None:
    assert split_pieces(KENNEDY) == [
        "And so, my fellow Americans,",
        "ask not what your country can do for you,",
        "ask what you can do for your country.",
    ]


def test_a_sentence_without_a_comma_stays_whole() -> None:
    sentence = "This sentence goes on and on without any mark at which anybody could take a breath before its end"
    assert split_pieces(sentence) == [sentence]


@pytest.mark.parametrize("rest", ["", ", and there the story ends at last without another word"])
def test_a_text_without_marks_is_cut_between_words_so_that_it_is_heard_early(rest: str) -> None:
    text = "so we went to the market and bought apples and pears and then it began to rain and we ran all the way " * 3
    pieces = split_pieces(text.strip() + rest)
    assert len(pieces[0]) <= 50
    assert max(map(len, pieces)) <= 240
    assert " ".join(pieces) == text.strip() + rest


def test_a_text_without_marks_or_spaces_stays_whole() -> None:
    assert split_pieces("การ" * 60) == ["การ" * 60]


def test_pieces_grow_to_at_most_twice_the_longest_before() -> None:
    text = " ".join(["The bus will come soon, they say."] * 40)
    lengths = [len(piece) for piece in split_pieces(text)]
    assert lengths[0] <= 50
    assert all(length <= 2 * max(lengths[:index]) + 1 for index, length in enumerate(lengths) if index)
    assert 150 < max(lengths) <= 240


@pytest.mark.parametrize(
    "text", [KENNEDY, "One. Two! Three? " * 9, "a, " * 200, "«Oui.» Non… " * 20, "नमस्ते। आप कैसे हैं। " * 5]
)
def test_pieces_hold_every_word_in_order(text: str) -> None:
    assert " ".join(split_pieces(text)).split() == text.split()


def test_sentences_end_at_marks_and_line_breaks_but_not_at_abbreviations_or_decimals() -> None:
    text = 'Ask Dr. Smith. He paid 3.50 to M. Dupont… "Really?" Yes\nnext line'
    assert split_sentences(text) == [
        "Ask Dr. Smith.",
        "He paid 3.50 to M. Dupont…",
        '"Really?"',
        "Yes",
        "next line",
    ]


# eSpeak NG


@pytest.fixture(scope="module")
def espeak() -> EspeakNg:
    return EspeakNg()


def test_every_espeak_voice_of_the_language_table_exists(espeak: EspeakNg) -> None:
    named = {code for code, language in LANGUAGES.items() if language.espeak}
    assert named
    assert {code for code in named if not espeak.voices(code)} == set()
    assert espeak.voices("pol")[0].name == "espeak:pl"
    assert not espeak.voices("xxx")


def test_espeak_speaks_polish(espeak: EspeakNg) -> None:
    (speech,) = speak(espeak, POLISH, "pol")
    assert (speech.sample_rate_hz, speech.lang, speech.voice) == (22050, "pol", "espeak:pl")
    assert speech.samples.dtype == np.float32
    assert 3.0 < speech.duration_s < 8.0
    assert 0.1 < np.abs(speech.samples).max() <= 1.0


def test_espeak_reads_a_number_as_a_word_not_as_nothing(espeak: EspeakNg) -> None:
    (with_number,), (without,) = speak(espeak, "Mam 268 złotych.", "pol"), speak(espeak, "Mam złotych.", "pol")
    assert with_number.duration_s > without.duration_s + 1.0


@pytest.mark.parametrize("text", WORDLESS)
def test_espeak_says_nothing_for_a_text_without_words(espeak: EspeakNg, text: str) -> None:
    assert speak(espeak, text, "pol") == []


@pytest.mark.parametrize("text", AWKWARD)
def test_espeak_takes_any_text(espeak: EspeakNg, text: str) -> None:
    (speech,) = speak(espeak, text, "deu")
    assert np.isfinite(speech.samples).all()


def test_espeak_text_after_a_nul_is_spoken(espeak: EspeakNg) -> None:
    (with_nul,), (before,) = speak(espeak, "raz\0dwa trzy cztery", "pol"), speak(espeak, "raz", "pol")
    assert with_nul.duration_s > 2 * before.duration_s


def test_espeak_stops_at_the_deadline_in_the_middle_of_a_text(espeak: EspeakNg) -> None:
    class Third(Deadline):
        calls = 0

        def check(self) -> None:
            Third.calls += 1
            if Third.calls > 3:
                raise DeadlineExceededError("late")

    with pytest.raises(DeadlineExceededError):
        list(espeak.synthesize(POLISH * 500, "pol", Third.after(60)))
    assert Third.calls < 20, "it went on speaking after the callback asked it to stop"
    assert speak(espeak, "Dobrze.", "pol")


def test_a_language_without_a_voice_is_an_error(espeak: EspeakNg) -> None:
    with pytest.raises(EngineError, match="no voice"):
        speak(espeak, "x", "xxx")


def test_espeak_texts_of_several_threads_do_not_mix(espeak: EspeakNg) -> None:
    words = ["tak", "Dzień dobry, gdzie jest najbliższa stacja kolejowa w tym mieście?"] * 10
    with ThreadPoolExecutor(4) as pool:
        spoken = list(pool.map(lambda text: speak(espeak, text, "pol")[0].duration_s, words))
    assert max(spoken[::2]) < 1.0 < 3.0 < min(spoken[1::2])


# Kokoro


@pytest.fixture(scope="module")
def kokoro() -> Kokoro:
    model_dir = Settings().model_dir
    try:
        paths = install.locate("kokoro-int8", model_dir), install.locate("kokoro-voices", model_dir)
    except SetupError as error:
        pytest.skip(error.message)
    return Kokoro(OnnxRunner(*paths, threads=1))


def test_kokoro_without_its_weights_says_which_file_it_wanted(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"model\.onnx"):
        OnnxRunner(tmp_path / "model.onnx", tmp_path / "voices.npz", threads=1)


@pytest.mark.slow
def test_every_kokoro_voice_of_the_language_table_exists(kokoro: Kokoro) -> None:
    for code, language in LANGUAGES.items():
        if code in ("cmn", "cmn-Hant", "jpn"):  # only where their text processing is installed
            continue
        assert bool(kokoro.voices(code)) == bool(language.kokoro)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lang", "text"),
    [
        ("eng", "Today only platforms one and three are used."),
        ("fra", "Les deux autres sont situés au bord de la mer Jaune."),
        ("spa", "Hoy solo se usan los andenes uno y tres."),
    ],
)
def test_kokoro_speaks_without_long_silence_at_the_ends(kokoro: Kokoro, lang: str, text: str) -> None:
    pieces = speak(kokoro, text, lang)
    samples = joined(pieces)
    default = kokoro.voices(lang)[0].name
    assert {(piece.sample_rate_hz, piece.lang, piece.voice) for piece in pieces} == {(24000, lang, default)}
    assert samples.dtype == np.float32
    assert 1.5 < len(samples) / 24000 < 6.0
    assert 0.1 < np.abs(samples).max() <= 1.0
    assert max(silence_s(samples, 24000)) < 0.3


@pytest.mark.slow
def test_each_part_of_a_text_ends_with_a_pause_and_the_last_one_does_not(kokoro: Kokoro) -> None:
    *others, last = speak(kokoro, KENNEDY, "eng")
    pauses = [piece for piece in others if not piece.samples[-3600:].any()]
    assert len(pauses) == len(split_pieces(KENNEDY)) - 1
    assert all(0.15 <= silence_s(piece.samples, 24000)[1] < 0.6 for piece in pauses)
    assert silence_s(last.samples, 24000)[1] < 0.3


@pytest.mark.slow
def test_a_sentence_without_a_comma_is_heard_after_about_a_second_of_it_is_made(kokoro: Kokoro) -> None:
    pieces = speak(kokoro, "Today only platforms one and three are used by the trains to the coast.", "eng")
    assert len(pieces) > 1
    assert 0.9 < pieces[0].duration_s < 1.4


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["eng", "fra"])
def test_kokoro_reads_a_number_as_words(kokoro: Kokoro, lang: str) -> None:
    in_digits, without = (joined(speak(kokoro, text, lang)) for text in ("268.", "2."))
    assert len(in_digits) > len(without) + 24000 // 2


@pytest.mark.slow
@pytest.mark.parametrize("text", WORDLESS)
def test_kokoro_says_nothing_for_a_text_without_words(kokoro: Kokoro, text: str) -> None:
    assert speak(kokoro, text, "eng") == []


@pytest.mark.slow
@pytest.mark.parametrize("text", [text for text in AWKWARD if len(text) < 100])
def test_kokoro_takes_any_text(kokoro: Kokoro, text: str) -> None:
    assert np.isfinite(joined(speak(kokoro, text, "eng"))).all()


@pytest.mark.slow
def test_kokoro_stops_between_pieces_when_the_work_is_cancelled(kokoro: Kokoro) -> None:
    deadline = Deadline.after(600)
    pieces: Iterator[Speech] = kokoro.synthesize(KENNEDY, "eng", deadline)
    assert next(pieces).duration_s > 0.9
    deadline.cancel()
    with pytest.raises(DeadlineExceededError):
        next(pieces)


@pytest.mark.slow
def test_kokoro_speaks_two_languages_side_by_side_as_it_does_one_after_the_other(kokoro: Kokoro) -> None:
    texts = [("Where is the station?", "eng"), ("Où est la gare ?", "fra")] * 2
    alone = [joined(speak(kokoro, *text)) for text in texts]
    with ThreadPoolExecutor(2) as pool:
        beside = [joined(pieces) for pieces in pool.map(lambda text: speak(kokoro, *text), texts)]
    for one, other in zip(alone, beside, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_kokoro_refuses_a_language_it_does_not_speak(kokoro: Kokoro) -> None:
    assert not kokoro.voices("pol")
    with pytest.raises(EngineError, match="no voice"):
        speak(kokoro, POLISH, "pol")
