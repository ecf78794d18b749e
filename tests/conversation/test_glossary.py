"""A room's glossary: who changes it, who is told, and what it does to what is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from babblefish.conversation.glossary import read_glossary
from babblefish.domain import Term, Transcript
from babblefish.engines.contracts import Engines, SpeechRequest, SpeechTranslation, TextTranslation
from babblefish.errors import SetupError
from babblefish.settings import Settings
from tests.support.fakes import Fakes, ScriptedConversationTranslator, silence, speech
from tests.support.serving import Client, Running, serving, still_works
from tests.support.waiting import until

FISH = {"text": "BabbleFish", "translations": {}, "spoken": {}}
HEATER = {"text": "water heater", "translations": {"fra": "chauffe-eau"}, "spoken": {"fra": "chauffe o"}}


async def glossary(client: Client, count: int = 1) -> list[dict[str, Any]]:
    """Return the terms that a client was told, when it was told so often."""
    terms: list[dict[str, Any]] = (await client.wait_for("glossary", count))[-1]["terms"]
    return terms


async def put(client: Client, *terms: dict[str, Any], remove: tuple[str, ...] = ()) -> None:
    await client.send_message(type="glossary", terms=terms, remove=remove)


async def test_what_one_member_puts_in_everyone_gets_and_who_comes_later_as_well(running: Running) -> None:
    pierre, dan = await running.client(name="Pierre"), await running.client(name="Dan")
    await put(pierre, FISH, HEATER)
    assert await glossary(pierre) == await glossary(dan) == [FISH, HEATER]
    assert await glossary(await running.client(name="Eve")) == [FISH, HEATER]


async def test_any_member_may_replace_and_remove_what_another_put_in(running: Running) -> None:
    pierre, dan = await running.client(), await running.client()
    await put(pierre, FISH, HEATER)
    await glossary(pierre)
    await put(dan, {"text": "BABBLEFISH", "spoken": {"eng": "babble fish"}}, remove=("Water Heater", "unknown"))
    assert await glossary(pierre, 2) == [
        {"text": "BABBLEFISH", "translations": {}, "spoken": {"eng": "babble fish"}},
    ]


async def test_another_room_has_another_glossary(running: Running) -> None:
    here, elsewhere = await running.client(), await running.client(room="kitchen")
    await put(here, FISH)
    await glossary(here)
    await put(elsewhere, HEATER)
    assert await glossary(elsewhere) == [HEATER]
    assert await glossary(here) == [FISH]


async def test_an_empty_glossary_is_not_told_and_one_that_stays_the_same_neither(running: Running) -> None:
    client = await running.client()
    await client.catch_up()
    assert client.of_type("glossary") == []
    await put(client, FISH)
    await glossary(client)
    await put(client, FISH, remove=("unknown",))
    await put(client, HEATER)
    assert await glossary(client, 2) == [FISH, HEATER]


async def test_a_glossary_that_is_full_refuses_more_and_stays_as_it_was(running: Running) -> None:
    client = await running.client()
    for tens in range(20):
        await put(client, *({"text": f"term {tens} {ones}"} for ones in range(10)))
    await put(client, FISH)
    (error,) = await client.wait_for("error")
    assert (error["code"], error["fatal"]) == ("glossary_full", False)
    await put(client, HEATER, remove=("term 0 0",))
    newcomer = await running.client()
    assert len(await glossary(newcomer)) == 200
    await still_works(client)


async def test_the_spellings_together_are_bounded_as_well(running: Running) -> None:
    client = await running.client()
    langs = ("fra", "deu", "spa", "ita", "por", "pol", "nld", "swe", "dan", "fin")
    long = dict.fromkeys(langs, "x" * 60)
    for number in range(17):
        await put(client, {"text": f"term {number}", "translations": long, "spoken": long})
    (error,) = await client.wait_for("error")
    assert error["code"] == "glossary_full"
    assert len(await glossary(await running.client())) == 16


async def test_terms_of_a_link_come_into_the_room_but_undo_nothing(running: Running) -> None:
    pierre = await running.client(glossary="BabbleFish;water heater=fra:chauffe-eau|chauffe o")
    assert await glossary(pierre) == [FISH, HEATER]
    await running.client(glossary="babblefish=fra:Poisson;Ewa")
    assert await glossary(pierre, 2) == [FISH, HEATER, {"text": "Ewa", "translations": {}, "spoken": {}}]


async def test_terms_of_a_link_that_have_no_place_let_the_client_in_all_the_same(running: Running) -> None:
    client = await running.client(glossary=";".join(f"term {number}" for number in range(201)))
    (error,) = await client.wait_for("error")
    assert error["code"] == "glossary_full"
    await still_works(client)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [(Settings(log_level="warning"), [[FISH]]), (Settings(retain=False, log_level="warning"), [])],
    ids=["retained", "not retained"],
)
async def test_a_glossary_is_kept_with_the_room_and_goes_with_it(
    running: Running, settings: Settings, kept: list[Any]
) -> None:
    client = await running.client()
    await put(client, FISH)
    await glossary(client)
    client.vanish()
    await until(lambda: not running.server.sessions and (settings.retain or not list(running.server.rooms or ())))
    again = await running.client()
    await again.wait_for("presence")
    assert [message["terms"] for message in again.of_type("glossary")] == kept


def written(folder: Path, content: str) -> Path:
    file = folder / "glossary.json"
    file.write_text(content, "utf-8")
    return file


async def test_every_room_begins_with_the_terms_of_the_file(tmp_path: Path, fakes: Fakes) -> None:
    file = written(tmp_path, json.dumps([{"text": "BabbleFish"}, HEATER]))
    async with serving(Settings(glossary_file=file, log_level="warning"), fakes.engines) as running:
        assert await glossary(await running.client()) == [FISH, HEATER]
        assert await glossary(await running.client(room="kitchen")) == [FISH, HEATER]


def test_a_file_has_terms_as_the_wire_has_them(tmp_path: Path) -> None:
    assert read_glossary(written(tmp_path, json.dumps([HEATER]))) == (
        Term("water heater", {"fra": "chauffe-eau"}, {"fra": "chauffe o"}),
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[", "JSON"),
        ('{"text": "a"}', "array"),
        ('[{"txt": "a"}]', "0.text"),
        ('[{"text": "a", "translations": {"xx": "b"}}]', "unknown language 'xx'"),
        (json.dumps([{"text": f"term {number}"} for number in range(201)]), "200"),
    ],
)
def test_a_damaged_file_keeps_the_server_from_starting(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(SetupError, match=rf"glossary\.json.*{reason}"):
        read_glossary(written(tmp_path, content))


def test_a_file_that_is_not_there_keeps_the_server_from_starting(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="No such file"):
        read_glossary(tmp_path / "glossary.json")


def heard(fakes: Fakes, *said: tuple[str, str]) -> None:
    """Let the recogniser hear these words, one after another, whatever is said."""
    words = iter(said)

    def translate(request: SpeechRequest) -> SpeechTranslation:
        fakes.speech_translator.requests.append(request)
        lang, text = next(words)
        made = {target: f"<{target}> {text}" for target in request.choose_targets(lang)}
        return SpeechTranslation(Transcript(text, lang, 0.9, 0.9), made)

    fakes.speech_translator.translate = translate  # type: ignore[method-assign]


@pytest.fixture
def translator(fakes: Fakes) -> ScriptedConversationTranslator:
    return ScriptedConversationTranslator(fakes.calls)


@pytest.fixture
def engines(fakes: Fakes, translator: ScriptedConversationTranslator) -> Engines:
    return replace(fakes.engines, text_translator=translator)


async def test_recognition_translation_and_speech_go_by_the_glossary(
    fakes: Fakes, engines: Engines, translator: ScriptedConversationTranslator, settings: Settings
) -> None:
    heard(fakes, ("eng", "ask mister kovalchik about the water heater"))
    translator.make = lambda request: TextTranslation(f"fr {request.text}")
    async with serving(settings, engines) as running:
        dan = await running.client(target_lang="eng")
        await running.client(target_lang="fra", glossary="Kowalczyk=fra:|Kovaltchik;water heater=fra:chauffe-eau")
        await glossary(dan)
        listener = await running.client(target_lang="fra", audio="wav")
        await dan.say(speech(21))
        (result,) = await listener.wait_for("result")
    (request,) = fakes.speech_translator.requests
    assert request.hot_words("eng") == ("Kowalczyk", "water heater")
    assert request.hot_words("fra") == ("Kowalczyk", "chauffe-eau")
    (asked,) = translator.requests
    assert asked.text == "ask mister Kowalczyk about the water heater"
    assert asked.terms == (("Kowalczyk", "Kowalczyk"), ("water heater", "chauffe-eau"))
    assert result["translation"] == "fr ask mister Kowalczyk about the water heater"
    assert fakes.synthesizer.spoken == ["fr ask mister Kovaltchik about the water heater"]


async def test_an_interim_caption_goes_by_the_glossary_as_well(
    fakes: Fakes, engines: Engines, translator: ScriptedConversationTranslator, settings: Settings
) -> None:
    heard(fakes, *[("eng", "call mister kovalchik at once please")] * 2)
    async with serving(settings, engines) as running:
        dan = await running.client(target_lang="fra", mode="stream", audio="none", glossary="Kowalczyk")
        await glossary(dan)
        await running.server.rooms.drain()  # type: ignore[union-attr]
        await dan.stream(speech(21))
        (partial,) = await dan.wait_for("partial")
        await dan.stream(silence(1.0))
    assert partial["source_text"] == "call mister Kowalczyk at once"
    assert translator.requests[0].terms == (("Kowalczyk", "Kowalczyk"),)


async def test_the_translator_is_told_which_names_of_those_here_were_said(
    fakes: Fakes, engines: Engines, translator: ScriptedConversationTranslator, settings: Settings
) -> None:
    heard(fakes, ("eng", "has Joy seen it yet"), ("eng", "what a joy"))
    async with serving(settings, engines) as running:
        dan = await running.client(name="Dan", target_lang="fra")
        await running.client(name="Joy Cook", target_lang="eng")
        for _ in range(2):
            await dan.say(speech(21))
        await dan.wait_for("result", 2)
    assert [request.names for request in translator.requests] == [("Joy",), ()]


async def test_an_interim_caption_knows_the_names_of_members_and_of_voices(
    fakes: Fakes, engines: Engines, translator: ScriptedConversationTranslator, settings: Settings
) -> None:
    heard(fakes, ("eng", "what will you do"), *[("eng", "has Joy met Will by now please")] * 2)
    async with serving(settings, engines) as running:
        joy = await running.client(name="Joy Cook", target_lang="eng")
        dan = await running.client(name="Dan", target_lang="fra", mode="stream", audio="none")
        await joy.say(speech(21))
        (result,) = await joy.wait_for("result")
        await joy.send_message(type="rename_speaker", speaker_id=result["speaker_id"], name="Will")
        await joy.wait_for("speaker", 2)
        await running.server.rooms.drain()  # type: ignore[union-attr]
        translator.requests.clear()
        await dan.stream(speech(22))
        await dan.wait_for("partial")
        await dan.stream(silence(1.0))
    asked = translator.requests[0]
    assert (asked.text, set(asked.names)) == ("has Joy met Will by now", {"Joy", "Will"})
