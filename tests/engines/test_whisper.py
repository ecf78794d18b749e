"""The Whisper engine on the real model."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from babblefish.cli.demo import read_speech
from babblefish.conversation.expected_languages import expectation
from babblefish.domain import Deadline, Quality, Samples
from babblefish.engines.contracts import SpeechRequest
from babblefish.engines.decoding import max_speech_tokens
from babblefish.engines.whisper import _MAX_TOKENS, Whisper, _Hypothesis, _most_tokens, _said_once, _sounding_s
from babblefish.errors import DeadlineExceededError, NoSpeechError, TwoLanguagesError
from babblefish.languages import language_code, spoken
from babblefish.models import install
from babblefish.settings import Settings
from tests.support.article_1 import ARTICLE_1
from tests.support.serving import ENGLISH_SPEECH, FRENCH_SPEECH, SHARED_AUDIO

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whisper() -> Whisper:
    return Whisper(install.locate("whisper-base", Settings().model_dir), threads=2)


FISH = ("Kowalczyk", "BabbleFish")


def nothing(_: str) -> tuple[str, ...]:
    return ()


def english(_: str) -> tuple[str, ...]:
    return ("eng",)


def test_language_transcript_and_english_come_from_one_encoder_pass(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[Any] = []
    encode = whisper._encode
    monkeypatch.setattr(whisper, "_encode", lambda *args: passes.append(args) or encode(*args))
    heard = whisper.translate(SpeechRequest(read_speech(FRENCH_SPEECH), Deadline.after(60), english))
    assert heard.transcript.lang == "fra"
    assert heard.transcript.lang_confidence > 0.9
    assert "très heureuse de vous voir ce soir" in heard.transcript.text
    assert "very happy to see you tonight" in heard.translations["eng"]
    assert len(passes) == 1
    assert heard.timings_ms.keys() == {"encode", "detect_language", "decode"}


def test_a_row_has_as_many_tokens_as_its_speech_allows_and_a_cut_one_is_doubted(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = whisper._encode(read_speech(ENGLISH_SPEECH), 10.0, {})
    tokenizer, written = whisper._tokenizer, []
    monkeypatch.setattr(whisper, "_tokenizer", mock := Mock(wraps=tokenizer))
    mock.decode.side_effect = lambda ids: written.append(len(ids)) or tokenizer.decode(ids)

    def row(most_tokens: int) -> _Hypothesis:
        monkeypatch.setattr("babblefish.engines.whisper.max_speech_tokens", lambda _: most_tokens)
        return whisper._decode(encoded, "eng", [whisper._transcribe], 4.4, {})[0]

    whole = row(40)
    assert not whole.cut_short
    assert row(written[0] + 1) == whole
    cut = row(written[0] - 3)
    assert written == [written[0], written[0], written[0] - 3]
    assert cut.cut_short
    assert whole.text.startswith(cut.text)


@pytest.mark.parametrize("lang", ARTICLE_1)
def test_speech_has_room_for_the_tokens_of_its_language(whisper: Whisper, lang: str) -> None:
    text = ARTICLE_1[lang]
    letters_per_s = 6 if spoken(lang) in ("cmn", "yue", "jpn", "kor") else 15
    ids = whisper._tokenizer.encode(text, add_special_tokens=False).ids
    limit = _most_tokens(spoken(lang), len(text) / letters_per_s)
    assert limit > len(ids) or limit == _MAX_TOKENS
    assert _most_tokens("eng", 4.0) == max_speech_tokens(4.0)


def test_what_fills_all_the_room_that_the_model_has_is_not_taken_for_a_loop(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = whisper._encode(read_speech(ENGLISH_SPEECH), 10.0, {})
    monkeypatch.setattr("babblefish.engines.whisper._MAX_TOKENS", 8)
    row = whisper._decode(encoded, "eng", [whisper._transcribe], 4.4, {})[0]
    assert row.text
    assert not row.repeats


def test_the_languages_are_asked_for_once_the_spoken_one_is_known(whisper: Whisper) -> None:
    asked: list[str] = []
    heard = whisper.translate(
        SpeechRequest(read_speech(ENGLISH_SPEECH), Deadline.after(60), lambda lang: asked.append(lang) or ())
    )
    assert asked == ["eng"]
    assert heard.translations == {}
    assert "The dinner is ready" in heard.transcript.text


@pytest.mark.parametrize(
    ("possible", "taken"),
    [({"fra", "pol"}, {"fra"}), ({"pol", "spa"}, {"pol", "spa"}), ({"gle"}, {"fra"}), (set(), {"fra"})],
)
def test_the_likeliest_of_the_possible_languages_is_taken_and_unknown_ones_are_not(
    whisper: Whisper, possible: set[str], taken: set[str]
) -> None:
    request = SpeechRequest(read_speech(FRENCH_SPEECH), Deadline.after(60), nothing, frozenset(possible))
    heard = whisper.hear(request)
    assert heard.lang in taken
    assert 0 < heard.lang_confidence <= 1


def test_a_declared_language_is_believed_and_not_detected(whisper: Whisper) -> None:
    heard = whisper.translate(
        SpeechRequest(read_speech(FRENCH_SPEECH), Deadline.after(60), nothing, frozenset({"fra"}))
    )
    assert (heard.transcript.lang, heard.transcript.lang_confidence) == ("fra", 1.0)
    assert "detect_language" not in heard.timings_ms


def test_other_engines_ask_for_the_language_and_for_the_words_in_one_encoder_pass(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[float] = []
    encode = whisper._encode
    monkeypatch.setattr(
        whisper,
        "_encode",
        lambda samples, window_s, timings: passes.append(window_s) or encode(samples, window_s, timings),
    )
    request = SpeechRequest(read_speech(FRENCH_SPEECH), Deadline.after(60), english)
    heard = whisper.hear(request)
    assert heard.lang == "fra"
    assert 0.9 < heard.lang_confidence <= 1.0
    assert heard.translate(request).translations.keys() == {"eng"}
    assert len(passes) == 1


def test_a_model_of_the_third_generation_has_its_own_bands_and_translates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason="the cascade extra is not installed")
    from tests.support.tiny_whisper import make_third_generation

    model_dir = install.locate("whisper-base", Settings().model_dir)
    third = Whisper(make_third_generation(tmp_path, model_dir / "tokenizer.json"), threads=2)
    decoded: list[list[int]] = []

    def decode(encoded: Any, lang: str, tasks: list[int], *_: Any) -> list[_Hypothesis]:
        decoded.append(tasks)
        return [_Hypothesis("bonsoir", -0.1, 0.0, False) for _ in tasks]

    monkeypatch.setattr(third, "_decode", decode)
    request = SpeechRequest(read_speech(FRENCH_SPEECH), Deadline.after(60), english, source_langs=frozenset({"fra"}))
    heard = third.translate(request)
    assert third.targets("fra") == {}
    assert (heard.transcript.text, heard.translations) == ("bonsoir", {})
    assert decoded == [[third._transcribe]]


def test_english_is_its_only_target(whisper: Whisper) -> None:
    assert whisper.targets("deu") == {"eng": Quality.GOOD}
    assert whisper.targets("fra") == {"eng": Quality.DRAFT}
    assert whisper.targets("eng") == {}


@pytest.mark.parametrize("kind", ["silence", "noise", "hum", "click", "tone"])
def test_words_are_not_made_up_where_there_are_none(whisper: Whisper, kind: str) -> None:
    rng = np.random.default_rng(1)
    time_s = np.arange(3 * 16000) / 16000
    samples = {
        "silence": np.zeros(48000),
        "noise": rng.normal(0, 0.1, 48000),
        "hum": 0.1 * np.sin(2 * np.pi * 50 * time_s) + rng.normal(0, 0.01, 48000),
        "click": np.eye(1, 48000, 1000)[0],
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time_s),
    }[kind]
    with pytest.raises(NoSpeechError):
        whisper.translate(SpeechRequest(samples.astype(np.float32), Deadline.after(60), english))


@pytest.mark.parametrize("kind", ["silence", "noise", "hum"])
def test_hot_words_are_not_heard_where_nobody_says_them(whisper: Whisper, kind: str) -> None:
    rng = np.random.default_rng(1)
    noise = {"silence": 0.0, "noise": 0.1, "hum": 0.01}[kind]
    hum = 0.1 * np.sin(2 * np.pi * 50 * np.arange(3 * 16000) / 16000) if kind == "hum" else 0.0
    samples = (rng.normal(0, noise, 48000) + hum).astype(np.float32)
    with pytest.raises(NoSpeechError):
        whisper.translate(SpeechRequest(samples, Deadline.after(60), english, hot_words=lambda _: FISH))


def test_what_is_said_is_heard_with_hot_words_as_without(whisper: Whisper) -> None:
    for file, words in ((ENGLISH_SPEECH, "The dinner is ready"), (FRENCH_SPEECH, "très heureuse de vous voir ce soir")):
        heard = whisper.translate(
            SpeechRequest(read_speech(file), Deadline.after(60), english, hot_words=lambda _: FISH)
        )
        assert words in heard.transcript.text
        assert "BabbleFish" not in heard.transcript.text


def test_hot_words_are_given_in_the_language_spoken_and_the_newest_have_precedence(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    decode = whisper._decode

    def record(*args: Any) -> list[_Hypothesis]:
        given.append(whisper._tokenizer.decode(args[5]) if len(args) > 5 else "")
        return decode(*args)

    monkeypatch.setattr(whisper, "_decode", record)
    many = tuple(f"Kowalczyk{number}" for number in range(100))
    whisper.translate(
        SpeechRequest(read_speech(FRENCH_SPEECH), Deadline.after(60), hot_words={"fra": many, "eng": FISH}.__getitem__)
    )
    assert given[0].endswith(" Kowalczyk98, Kowalczyk99.")
    assert "Kowalczyk0," not in given[0]


def test_what_is_doubted_with_hot_words_or_repeats_them_is_heard_again_without(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = whisper._decode
    for wrong in (_Hypothesis("BabbleFish, Kowalczyk", -0.1, 0.0, False), _Hypothesis("fish fish", -2.0, 0.0, False)):

        def with_hot_words(*args: Any, wrong: _Hypothesis = wrong) -> list[_Hypothesis]:
            return [wrong] if len(args) > 5 else decode(*args)

        monkeypatch.setattr(whisper, "_decode", with_hot_words)
        heard = whisper.translate(
            SpeechRequest(read_speech(ENGLISH_SPEECH), Deadline.after(60), hot_words=lambda _: FISH)
        )
        assert "The dinner is ready" in heard.transcript.text


def test_a_hot_word_that_is_all_that_was_said_stays(whisper: Whisper, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_the_same_sound(*args: Any) -> list[_Hypothesis]:
        return [_Hypothesis("Kowalczyk." if len(args) > 5 else "Cowalchick.", -0.1, 0.0, False)]

    monkeypatch.setattr(whisper, "_decode", of_the_same_sound)
    heard = whisper.translate(SpeechRequest(read_speech(ENGLISH_SPEECH), Deadline.after(60), hot_words=lambda _: FISH))
    assert heard.transcript.text == "Kowalczyk."


def test_a_transcript_that_is_doubted_gets_a_second_try_on_the_full_window(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows_s: list[float] = []
    encode, decode = whisper._encode, whisper._decode
    good: list[_Hypothesis] = []

    def record(samples: Any, window_s: float, timings_ms: Any) -> Any:
        windows_s.append(window_s)
        return encode(samples, window_s, timings_ms)

    def loop_first(*args: Any) -> list[_Hypothesis]:
        if len(windows_s) == 1:
            return [_Hypothesis("the soup the soup the soup the soup", -0.1, 0.0, True)]
        good.extend(decode(*args))
        return good

    monkeypatch.setattr(whisper, "_encode", record)
    monkeypatch.setattr(whisper, "_decode", loop_first)
    samples = read_speech(ENGLISH_SPEECH)
    heard = whisper.translate(SpeechRequest(samples, Deadline.after(60), nothing, frozenset({"eng"})))
    assert windows_s == [pytest.approx(len(samples) / 16000 + 5, abs=0.01), 30.0]
    assert heard.transcript.text == good[0].text
    # What goes on is recognised again anyway.
    windows_s.clear()
    with pytest.raises(NoSpeechError):
        whisper.translate(SpeechRequest(samples, Deadline.after(60), nothing, frozenset({"eng"}), interim=True))
    assert len(windows_s) == 1


def test_a_translation_that_loops_is_left_out_and_the_transcript_stays(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = whisper._decode

    def loop_english(*args: Any) -> list[_Hypothesis]:
        return [decode(*args)[0], _Hypothesis("and and and and", -0.1, 0.0, True)]

    monkeypatch.setattr(whisper, "_decode", loop_english)
    heard = whisper.translate(SpeechRequest(read_speech(FRENCH_SPEECH), Deadline.after(60), english))
    assert heard.translations == {}
    assert "Bonjour" in heard.transcript.text


def test_a_translation_that_repeats_the_transcript_is_none(whisper: Whisper, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = whisper._decode

    def leave_in_french(*args: Any) -> list[_Hypothesis]:
        said = decode(*args)[0]
        return [said, _Hypothesis(said.text.replace("è", "e"), -0.1, 0.0, False)]

    monkeypatch.setattr(whisper, "_decode", leave_in_french)
    assert whisper.translate(SpeechRequest(read_speech(FRENCH_SPEECH), Deadline.after(60), english)).translations == {}


def always(*rows: _Hypothesis) -> Callable[..., list[_Hypothesis]]:
    """Return a decoder that hears the same in every window."""
    return lambda *_: list(rows)


ONE_WORD = read_speech(ENGLISH_SPEECH)[: 16000 * 3 // 4]


def test_words_that_the_model_doubts_in_a_declared_language_are_shown_as_doubtful(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whisper, "_decode", always(_Hypothesis("huit", -2.0, 0.2, False)))
    heard = whisper.translate(SpeechRequest(ONE_WORD, Deadline.after(60), nothing, frozenset({"fra"})))
    assert heard.transcript.text == "huit"
    assert heard.doubtful == {"fra"}
    assert heard.quality("fra", Quality.GOOD) is heard.quality("eng", Quality.GOOD) is Quality.DRAFT
    assert heard.quality("fra", Quality.ORIGINAL) is Quality.ORIGINAL
    for others in ({"source_langs": frozenset({"fra"}), "interim": True}, {}):
        with pytest.raises(NoSpeechError):
            whisper.translate(SpeechRequest(ONE_WORD, Deadline.after(60), nothing, **others))


def test_a_single_word_needs_less_certainty_than_a_sentence(whisper: Whisper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "_decode", always(_Hypothesis("eight", -1.3, 0.2, False)))
    heard = whisper.translate(SpeechRequest(ONE_WORD, Deadline.after(60), nothing))
    assert heard.doubtful == {heard.transcript.lang}
    with pytest.raises(NoSpeechError):
        whisper.translate(SpeechRequest(read_speech(ENGLISH_SPEECH), Deadline.after(60), nothing))


@pytest.mark.parametrize("kind", ["silence", "noise", "hum"])
def test_declaring_a_language_does_not_make_words_of_noise(whisper: Whisper, kind: str) -> None:
    noise = {"silence": 0.0, "noise": 0.1, "hum": 0.01}[kind]
    hum = 0.1 * np.sin(2 * np.pi * 50 * np.arange(3 * 16000) / 16000) if kind == "hum" else 0.0
    samples = (np.random.default_rng(1).normal(0, noise, 48000) + hum).astype(np.float32)
    for lang in ("eng", "fra", "pol"):
        with pytest.raises(NoSpeechError):
            whisper.translate(SpeechRequest(samples, Deadline.after(60), english, frozenset({lang})))


@pytest.mark.parametrize(("logprob", "quality"), [(-1.2, Quality.DRAFT), (-0.7, Quality.GOOD)])
def test_a_translation_that_the_model_doubts_is_a_draft(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch, logprob: float, quality: Quality
) -> None:
    rows = (_Hypothesis("guten Abend", -0.2, 0.1, False), _Hypothesis("good evening", logprob, 0.1, False))
    monkeypatch.setattr(whisper, "_decode", always(*rows))
    request = SpeechRequest(read_speech(ENGLISH_SPEECH), Deadline.after(60), english, frozenset({"deu"}))
    heard = whisper.translate(request)
    assert heard.translations == {"eng": "good evening"}
    assert heard.quality("eng", Quality.GOOD) is quality
    assert heard.quality("deu", Quality.GOOD) is Quality.GOOD


@pytest.mark.parametrize(
    ("text", "sounding_s", "said"),
    [
        ("8 8", 0.35, "8"),
        ("8 8 8", 0.35, "8"),
        ("tomorrow, tomorrow.", 0.5, "tomorrow"),
        ("Tomorrow, tomorrow.", 1.0, "Tomorrow, tomorrow."),
        ("No, no.", 0.35, "No, no."),
        ("Thank you. Thank you.", 0.6, "Thank you."),
        ("good morning", 0.3, "good morning"),
    ],
)
def test_words_are_written_twice_only_where_the_sound_has_room(text: str, sounding_s: float, said: str) -> None:
    assert _said_once(text, sounding_s) == said


def test_pauses_are_no_sound() -> None:
    word = np.sin(np.arange(8000, dtype=np.float32))
    assert _sounding_s(np.concatenate([np.zeros(16000, np.float32), word, np.zeros(4000, np.float32)])) == 0.5


def test_what_is_said_again_and_again_stays_and_a_loop_does_not(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = frozenset({"eng"})
    four_s = SpeechRequest(read_speech(ENGLISH_SPEECH), Deadline.after(60), nothing, declared)
    one_s = SpeechRequest(ONE_WORD, Deadline.after(60), nothing, declared)
    go = _Hypothesis("Go! " * 12, -0.2, 0.1, False, loops=True)
    monkeypatch.setattr(whisper, "_decode", always(go))
    assert whisper.translate(four_s).transcript.text.count("Go!") == 12
    with pytest.raises(NoSpeechError):
        whisper.translate(one_s)
    monkeypatch.setattr(whisper, "_decode", always(replace(go, mean_logprob=-1.2)))
    with pytest.raises(NoSpeechError):
        whisper.translate(four_s)


def test_a_phrase_four_times_in_a_row_is_tried_again(whisper: Whisper) -> None:
    ids = whisper._tokenizer.encode(" I'm not stupid." * 4, add_special_tokens=False).ids
    result = Mock(sequences_ids=[ids], scores=[-0.1], no_speech_prob=0.1)
    encoded = whisper._encode(ONE_WORD, 10.0, {})
    model = whisper._model
    whisper._model = Mock(generate=lambda *_, **__: [result])
    try:
        row = whisper._decode(encoded, "eng", [whisper._transcribe], 5.0, {})[0]
    finally:
        whisper._model = model
    assert row.repeats
    assert not row.cut_short


def test_repetition_is_seen_in_the_text_itself() -> None:
    assert _Hypothesis("na " * 60, -0.1, 0.0, False).repeats
    assert not _Hypothesis("The dinner is ready and the soup is still hot.", -0.1, 0.0, False).repeats


def test_the_deadline_is_checked_between_steps(whisper: Whisper) -> None:
    with pytest.raises(DeadlineExceededError):
        whisper.translate(SpeechRequest(read_speech(ENGLISH_SPEECH), Deadline.after(-1), nothing))


def shared(file: str) -> Any:
    if not (SHARED_AUDIO / file).exists():
        pytest.skip("the shared recordings are not here")
    return read_speech(SHARED_AUDIO / file)


@pytest.mark.parametrize(
    ("file", "lang"),
    [("04_wronglang_fra_non.wav", "fra"), ("04_wronglang_ita_cinque.wav", "ita"), ("05_hesitating_fra.wav", "fra")],
)
def test_a_word_is_heard_in_the_language_that_was_spoken_before(whisper: Whisper, file: str, lang: str) -> None:
    samples = shared(f"cases/{file}")
    expected = expectation([lang], {lang, "eng"})
    heard = whisper.hear(SpeechRequest(samples, Deadline.after(60), expected_langs=expected))
    assert heard.lang == lang


def test_a_word_that_is_taken_for_the_language_spoken_before_is_doubted(whisper: Whisper) -> None:
    samples = shared("cases/02_dropped_spa_dos.wav")
    expected = expectation(["eng"] * 3, {"spa", "eng"})
    heard = whisper.translate(SpeechRequest(samples, Deadline.after(60), nothing, expected_langs=expected))
    assert heard.transcript.lang == "eng"
    assert heard.quality("fra", Quality.GOOD) is Quality.DRAFT


@pytest.mark.parametrize(("said", "before"), [*itertools.permutations(("en", "fr", "de", "es", "it", "pt"), 2)])
def test_a_sentence_in_another_language_of_the_room_is_heard_in_that_one(
    whisper: Whisper, said: str, before: str
) -> None:
    samples = shared(f"test_{said}_norm.wav" if said != "pt" else "test_pt.wav")
    codes = {code: language_code(code) for code in (said, before)}
    expected = expectation([codes[before]] * 5, set(codes.values()))
    heard = whisper.hear(SpeechRequest(samples, Deadline.after(60), expected_langs=expected))
    assert heard.lang == codes[said]
    assert heard.lang_confidence > 0.9


def recognised_in_a_room(whisper: Whisper, samples: Samples, pauses: tuple[int, ...], langs: set[str]) -> None:
    expected = expectation([], langs)
    whisper.translate(SpeechRequest(samples, Deadline.after(60), nothing, expected_langs=expected, pauses=pauses))


def test_an_utterance_in_two_languages_of_the_room_is_cut_at_the_pause_between_them(whisper: Whisper) -> None:
    french, english = shared("test_fr.wav"), shared("test_en.wav")
    samples, pause = np.concatenate([french, english]), len(french)
    with pytest.raises(TwoLanguagesError) as found:
        recognised_in_a_room(whisper, samples, (pause // 2, pause), {"fra", "eng"})
    assert found.value.pause == pause


@pytest.mark.parametrize("said", ["en", "fr", "de", "es", "it", "pt"])
def test_an_utterance_in_one_language_of_the_room_is_cut_nowhere(whisper: Whisper, said: str) -> None:
    samples = shared(f"test_{said}.wav")
    pauses = tuple(int(len(samples) * share) for share in (0.4, 0.5, 0.6))
    for other in {"eng", "fra", "deu", "spa", "ita", "por"} - {language_code(said)}:
        recognised_in_a_room(whisper, samples, pauses, {language_code(said), other})


SURE = _Hypothesis("¿Qué tal está usted?", -0.1, 0.1, False)
ALIEN = _Hypothesis("Che tal esta uste?", -1.0, 0.1, False)


@pytest.mark.parametrize(
    ("own", "foreign", "is_cut"),
    [
        (_Hypothesis("Buona sera.", -0.3, 0.1, False), _Hypothesis("Buenas era.", -0.6, 0.1, False), True),
        (_Hypothesis("Buona sera.", -0.8, 0.1, False), _Hypothesis("Buenas era.", -0.9, 0.1, False), False),
        (_Hypothesis("Buona sera. " * 9, -0.2, 0.1, False), _Hypothesis("Buenas era.", -0.6, 0.1, False), False),
        (_Hypothesis("Primo legge.", -0.6, 0.1, False), _Hypothesis("Primero le " * 9, -0.3, 0.1, False), False),
    ],
)
def test_where_the_language_seems_to_change_both_texts_must_fit_it(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch, own: _Hypothesis, foreign: _Hypothesis, is_cut: bool
) -> None:
    languages = iter([{"ita": 0.9, "spa": 0.1}, {"ita": 0.0, "spa": 1.0}])
    texts = iter([own, foreign, SURE, ALIEN])
    monkeypatch.setattr(whisper, "_heard", lambda *_: next(languages))
    monkeypatch.setattr(whisper, "_decode", lambda *_: [next(texts)])
    samples, expected = read_speech(ENGLISH_SPEECH), expectation([], {"ita", "spa"})
    pauses = (len(samples) // 2,)
    request = SpeechRequest(samples, Deadline.after(60), nothing, expected_langs=expected, pauses=pauses)
    assert (whisper._change(whisper._encode(samples, 10.0, {}), request, {}) is not None) == is_cut
