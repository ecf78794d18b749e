"""The package as a library: recordings of several utterances, and text that nobody spoke."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from babblefish.audio.segmenter import Segment
from babblefish.domain import Quality, Transcript
from babblefish.engines.contracts import Route, SpeechRequest, SpeechTranslation
from babblefish.errors import EngineError, NoPathError, NoSpeechError
from babblefish.pipeline.interpreter import Interpreter
from babblefish.settings import Settings
from tests.support.fakes import Fakes, silence, speech


@pytest.fixture
async def interpreter(settings: Settings, fakes: Fakes) -> AsyncIterator[Interpreter]:
    async with Interpreter.open(settings, fakes.engines) as interpreter:
        yield interpreter


RECORDING = np.concatenate([silence(1), speech(21, 1), silence(1), speech(22, 3), silence(1), speech(21, 2)])


async def test_a_recording_becomes_its_utterances_in_order_with_their_times(interpreter: Interpreter) -> None:
    lines = await interpreter.transcribe(RECORDING)
    assert [line.transcript.text for line in lines] == [
        "good evening my dear friends",
        "the train leaves at seven",
        "good evening my dear friends",
    ]
    times_s = [(round(line.start_s, 1), round(line.end_s, 1)) for line in lines]
    assert times_s == [(1.0, 2.0), (3.0, 6.0), (7.0, 9.0)]


async def test_the_longest_utterance_decides_the_language_of_all(interpreter: Interpreter, fakes: Fakes) -> None:
    await interpreter.transcribe(RECORDING)
    assert [request.source_langs for request in fakes.speech_translator.requests] == [
        frozenset(),
        frozenset({"eng"}),
        frozenset({"eng"}),
    ]


async def test_a_declared_language_is_believed_from_the_first_utterance_on(
    interpreter: Interpreter, fakes: Fakes
) -> None:
    await interpreter.transcribe(RECORDING, "fra")
    assert fakes.speech_translator.requests[0].source_langs == frozenset({"fra"})


async def test_each_utterance_is_translated(interpreter: Interpreter) -> None:
    lines = await interpreter.transcribe(RECORDING, target_lang="spa")
    assert [line.caption.text for line in lines if line.caption] == [
        "<spa> good evening my dear friends",
        "<spa> the train leaves at seven",
        "<spa> good evening my dear friends",
    ]


async def test_what_the_speech_translator_writes_has_the_numbers_of_its_language(
    interpreter: Interpreter, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = SpeechTranslation(Transcript("Il pèse 2,5 kilos.", "fra", 0.9, 0.9), {"eng": "It weighs 2,5 kilos."})

    def heard(request: SpeechRequest) -> SpeechTranslation:
        assert request.choose_targets("fra") == {"eng"}
        return said

    monkeypatch.setattr(fakes.speech_translator, "translate", heard)
    (line,) = await interpreter.transcribe(speech(11), target_lang="eng")
    assert line.caption is not None
    assert line.caption.text == "It weighs 2.5 kilos."


@pytest.mark.parametrize("is_doubtful", [False, True])
async def test_who_listens_later_has_a_draft_of_a_doubtful_transcript_too(
    interpreter: Interpreter, fakes: Fakes, monkeypatch: pytest.MonkeyPatch, is_doubtful: bool
) -> None:
    monkeypatch.setattr(fakes.text_translator, "route", lambda *ends: Route(ends, Quality.GOOD))
    segment = Segment(speech(21), 0, 32_000, 2.0)
    recognition = replace(await interpreter.recognise(segment, "eng"), is_doubtful=is_doubtful)
    later = interpreter.pipeline.also_in(recognition, ["spa"])
    assert later.plans["spa"].quality == (Quality.DRAFT if is_doubtful else Quality.GOOD)


async def test_voices_are_not_looked_at_where_nobody_asks(interpreter: Interpreter, fakes: Fakes) -> None:
    await interpreter.transcribe(RECORDING)
    assert fakes.calls.count["embed"] == 0


async def test_an_utterance_without_words_is_left_out_and_a_wordless_recording_an_error(
    interpreter: Interpreter,
) -> None:
    (line,) = await interpreter.transcribe(np.concatenate([speech(99), silence(1), speech(21)]))
    assert line.transcript.text == "good evening my dear friends"
    with pytest.raises(NoSpeechError):
        await interpreter.transcribe(speech(99))
    with pytest.raises(NoSpeechError):
        await interpreter.transcribe(silence(3))


async def test_a_recording_that_no_path_leads_from_is_an_error_after_one_utterance(
    interpreter: Interpreter, fakes: Fakes
) -> None:
    with pytest.raises(NoPathError, match="from eng to pol"):
        await interpreter.transcribe(RECORDING, target_lang="pol")
    assert fakes.calls.count["encode"] == 1


async def test_a_translator_that_fails_is_an_error_and_not_the_transcript(
    interpreter: Interpreter, fakes: Fakes
) -> None:
    fakes.text_translator.broken = True
    with pytest.raises(EngineError, match="from eng to spa failed"):
        await interpreter.transcribe(RECORDING, target_lang="spa")


async def test_text_takes_a_route_or_is_refused(interpreter: Interpreter) -> None:
    caption = await interpreter.pipeline.texts.translate("le chat", "fra", "spa")
    assert (caption.text, caption.lang, caption.quality, caption.path) == (
        *("<spa> le chat", "spa", Quality.DRAFT),
        ("fra", "spa"),
    )
    assert (await interpreter.pipeline.texts.translate("kot", "pol", "pol")).text == "kot"
    with pytest.raises(NoPathError, match="from pol to spa"):
        await interpreter.pipeline.texts.translate("kot", "pol", "spa")


async def test_the_engines_processes_end_with_it(settings: Settings, fakes: Fakes) -> None:
    async with Interpreter.open(settings, fakes.engines):
        assert not fakes.text_translator.closed
    assert fakes.text_translator.closed
