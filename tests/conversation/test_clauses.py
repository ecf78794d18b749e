"""A caption that is still being translated is read, and spoken from its first clause on."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from babblefish.engines.contracts import TextRequest, TextTranslation
from babblefish.errors import MistranslatedError
from babblefish.pipeline.pace import Pace
from babblefish.settings import Settings
from tests.support.fakes import Fakes, ScriptedConversationTranslator, speech
from tests.support.phones import WORDS
from tests.support.serving import Running, serving
from tests.support.waiting import until

FIRST, WHOLE = "si vous le voulez,", "si vous le voulez, nous partons"


@pytest.fixture
def translator(fakes: Fakes) -> ScriptedConversationTranslator:
    return ScriptedConversationTranslator(fakes.calls)


@pytest.fixture
async def running(
    fakes: Fakes, translator: ScriptedConversationTranslator, settings: Settings, pace: Pace
) -> AsyncIterator[Running]:
    preferred = frozenset({("fra", "eng")})
    engines = replace(fakes.engines, text_translator=translator, text_preferred=preferred)
    async with serving(settings, engines, pace) as running:
        yield running


@pytest.fixture
def end(translator: ScriptedConversationTranslator) -> Iterator[threading.Event]:
    """Let the translator write its first clause, and the rest as soon as this is set."""
    rest = threading.Event()

    def make(request: TextRequest) -> TextTranslation:
        request.on_clause(FIRST)
        rest.wait(10)
        return TextTranslation(WHOLE)

    translator.make = make
    yield rest
    rest.set()


async def test_the_first_clause_is_read_and_synthesized_before_the_rest_is_there(
    running: Running, fakes: Fakes, end: threading.Event
) -> None:
    listener = await running.client(target_lang="fra", audio="stream", mode="stream")
    speaker = await running.client(target_lang="eng", source_lang="eng")
    await speaker.say(speech(21))
    await listener.wait_for("partial")
    partial = listener.of_type("partial")[-1]
    assert (partial["translation"], partial["target_lang"]) == (FIRST, "fra")
    await until(lambda: fakes.synthesizer.spoken[:1] == [FIRST])
    assert listener.of_type("result") == listener.of_type("speech") == []
    end.set()
    await listener.wait_for("result")
    await until(lambda: any(piece["last"] for piece in listener.of_type("speech")))
    assert listener.of_type("result")[0]["translation"] == WHOLE
    assert fakes.synthesizer.spoken == [FIRST, "nous partons"]
    kinds = [message["type"] for message in listener.messages if message["type"] in ("result", "speech")]
    assert kinds[0] == "result"
    assert [piece["index"] for piece in listener.of_type("speech")] == list(range(5))


async def test_a_beginning_that_turned_out_wrong_is_never_heard(
    running: Running, fakes: Fakes, translator: ScriptedConversationTranslator
) -> None:
    said = threading.Event()
    fakes.synthesizer.before = lambda text: said.set() if text == FIRST else None

    def make(request: TextRequest) -> TextTranslation:
        request.on_clause(FIRST)
        said.wait(10)
        return TextTranslation("quand vous voudrez", faults=("echo",))

    translator.make = make
    listener = await running.client(target_lang="fra", audio="stream", mode="stream")
    speaker = await running.client(target_lang="eng", source_lang="eng")
    await speaker.say(speech(21))
    await listener.wait_for("result")
    await until(lambda: any(piece["last"] for piece in listener.of_type("speech")))
    assert listener.of_type("result")[0]["translation"] == "quand vous voudrez"
    assert fakes.synthesizer.spoken[-1] == "quand vous voudrez"
    assert [piece["index"] for piece in listener.of_type("speech")] == [0, 1, 2]


async def test_the_transcript_that_stands_in_for_a_failed_translation_is_not_spoken(
    running: Running, fakes: Fakes, translator: ScriptedConversationTranslator
) -> None:
    def make(request: TextRequest) -> TextTranslation:
        request.on_clause(FIRST)
        raise RuntimeError("scripted failure")

    translator.make = make
    listener = await running.client(target_lang="fra", audio="stream", mode="stream")
    speaker = await running.client(target_lang="eng", source_lang="eng")
    await speaker.say(speech(21))
    await listener.wait_for("result")
    assert listener.of_type("result")[0]["quality"] == "untranslated"
    assert listener.of_type("result")[0]["status"] == "final"
    await speaker.say(speech(22))
    await listener.wait_for("result", 2)
    assert listener.of_type("speech") == []


async def test_whoever_wants_all_speech_at_once_gets_all_clauses(running: Running, end: threading.Event) -> None:
    listener = await running.client(target_lang="fra", audio="wav", mode="stream")
    speaker = await running.client(target_lang="eng", source_lang="eng")
    await speaker.say(speech(21))
    await listener.wait_for("partial")
    end.set()
    await listener.wait_for("result")
    result = listener.of_type("result")[0]
    assert (result["translation"], result["status"]) == (WHOLE, "final")
    assert result["tts_audio"]


async def test_a_doubtful_translation_is_shown_as_a_draft(
    running: Running, translator: ScriptedConversationTranslator
) -> None:
    translator.make = lambda request: TextTranslation("à 9 heures", is_doubtful=True, faults=("number", "number"))
    listener = await running.client(target_lang="fra")
    speaker = await running.client(target_lang="eng", source_lang="eng")
    await speaker.say(speech(22))
    await listener.wait_for("result")
    assert listener.of_type("result")[0]["quality"] == "draft"


@pytest.mark.parametrize(("confidence", "quality"), [(0.9, "good"), (0.5, "draft")])
async def test_what_cannot_be_translated_from_the_transcript_is_translated_from_speech(
    running: Running, fakes: Fakes, translator: ScriptedConversationTranslator, confidence: float, quality: str
) -> None:
    confidences = iter((confidence, 1.0))  # the second time the language is declared
    fakes.speech_translator.before = lambda _: setattr(fakes.speech_translator, "lang_confidence", next(confidences))

    def make(_: TextRequest) -> TextTranslation:
        raise MistranslatedError("not usable", ("echo", "echo"))

    translator.make = make
    listener = await running.client(target_lang="eng")
    speaker = await running.client(target_lang="fra", source_lang="fra")
    await speaker.say(speech(11))
    await listener.wait_for("result")
    result = listener.of_type("result")[0]
    assert (result["translation"], result["quality"]) == ("<eng> bonjour tout le monde", quality)
    assert [set(request.choose_targets("fra")) for request in fakes.speech_translator.requests] == [set(), {"eng"}]


async def test_captions_have_numbers_in_their_languages_format_and_voices_in_words(
    running: Running, fakes: Fakes, translator: ScriptedConversationTranslator
) -> None:
    rest = threading.Event()

    def make(request: TextRequest) -> TextTranslation:
        request.on_clause("il coûte 2,500 dollars,")
        rest.wait(10)
        return TextTranslation("il coûte 2,500 dollars, ou 2.5 %")

    translator.make = make
    listener = await running.client(target_lang="fra", audio="stream", mode="stream")
    speaker = await running.client(target_lang="eng", source_lang="eng")
    await speaker.say(speech(23))
    partial = (await listener.wait_for("partial"))[-1]
    assert partial["translation"] == "il coûte 2\u202f500 dollars,"
    await until(lambda: fakes.synthesizer.spoken == ["il coûte deux mille cinq cents dollars,"])
    rest.set()
    await listener.wait_for("result")
    await until(lambda: any(piece["last"] for piece in listener.of_type("speech")))
    assert listener.of_type("result")[0]["translation"] == "il coûte 2\u202f500 dollars, ou 2,5 %"
    assert fakes.synthesizer.spoken[1:] == ["ou deux virgule cinq pour cent"]


async def test_what_one_client_says_is_translated_in_its_order_with_what_was_said_before(
    running: Running, translator: ScriptedConversationTranslator, gate: threading.Event
) -> None:
    entered = threading.Event()

    def make(request: TextRequest) -> TextTranslation:
        entered.set()
        gate.wait(10)
        return TextTranslation(f"<fra> {request.text}")

    translator.make = make
    listener = await running.client(target_lang="fra", audio="none")
    speaker = await running.client(target_lang="eng", source_lang="eng", audio="none")
    await speaker.say(speech(21))
    await until(entered.is_set)
    await speaker.say(speech(22))
    await speaker.wait_for("result", 2)
    assert len(translator.requests) == 1
    gate.set()
    await listener.wait_for("result", 2)
    assert translator.requests[1].context == ((WORDS[21], f"<fra> {WORDS[21]}"),)


async def test_an_interim_translation_is_given_up_before_that_of_the_utterance_begins(
    running: Running, translator: ScriptedConversationTranslator
) -> None:
    under_way: list[str] = []

    def make(request: TextRequest) -> TextTranslation:
        under_way.append(request.text)
        assert len(under_way) == 1, "both at once"
        while len(translator.requests) == 1 and not request.deadline.is_over:
            time.sleep(0.01)
        under_way.remove(request.text)
        request.deadline.check()
        return TextTranslation(f"<fra> {request.text}")

    translator.make = make
    listener = await running.client(target_lang="fra", audio="none", mode="stream")
    speaker = await running.client(target_lang="eng", source_lang="eng", audio="none", mode="stream")
    await speaker.stream(speech(21))
    await until(lambda: len(translator.requests) == 1)
    await speaker.flush()
    (result,) = await listener.wait_for("result")
    assert result["translation"] == f"<fra> {WORDS[21]}"
    assert translator.requests[0].text != WORDS[21]
