"""What somebody types reaches the others as if it had been spoken."""

from __future__ import annotations

import asyncio
import threading

import pytest

from babblefish.settings import Settings
from tests.support.fakes import Fakes, ScriptedConversationTranslator, silence, speech
from tests.support.phones import joined
from tests.support.serving import Client, Running, serving
from tests.support.waiting import until

FRENCH = "bonjour tout le monde"
ENGLISH = "good evening my dear friends"


async def say(client: Client, text: str, **more: str) -> dict[str, object]:
    """Type something and return the result that its sender gets."""
    before = len(client.of_type("result"))
    await client.say_text(text, **more)
    return (await client.wait_for("result", before + 1))[-1]


async def test_typed_words_are_translated_shown_and_spoken_to_each_in_their_language(
    running: Running, fakes: Fakes
) -> None:
    french = await running.client(target_lang="fra", name="Claire")
    spanish = await running.client(target_lang="spa", audio="stream", mode="stream")
    own = await say(french, FRENCH)
    assert (own["translation"], own["quality"], own["tts_audio"]) == (FRENCH, "original", None)
    await spanish.wait_until(lambda: any(piece["last"] for piece in spanish.of_type("speech")))
    (result,) = spanish.of_type("result")
    assert (result["typed"], result["source_text"], result["source_lang"]) == (True, FRENCH, "fra")
    assert (result["translation"], result["path"], result["status"]) == (f"<spa> {FRENCH}", ["fra", "spa"], "speaking")
    assert (result["seq"], result["source_confidence"]) == (1, 1.0)
    assert "encode" not in fakes.calls.count, "no speech was recognised"


async def test_what_is_spoken_is_not_typed(running: Running) -> None:
    client = await running.client(target_lang="fra")
    await client.say(speech(11))
    (result,) = await client.wait_for("result")
    assert not result["typed"]


async def test_what_would_come_from_speech_comes_from_the_text(running: Running, fakes: Fakes) -> None:
    """The speech translator makes English itself, of which nothing is left without speech."""
    english = await running.client(target_lang="eng")
    result = await say(english, FRENCH)
    assert (result["translation"], result["quality"]) == (f"<eng> {FRENCH}", "draft")
    assert fakes.calls.count["text eng"] == 1


async def test_a_language_that_no_text_leads_to_gets_the_words_themselves(running: Running) -> None:
    english = await running.client(target_lang="eng")
    result = await say(english, "dobry wieczór drodzy przyjaciele")
    assert (result["source_lang"], result["target_lang"], result["quality"]) == ("pol", "pol", "untranslated")


async def test_a_translator_that_fails_leaves_the_words(running: Running, fakes: Fakes) -> None:
    fakes.text_translator.broken = True
    english = await running.client(target_lang="eng")
    result = await say(english, FRENCH)
    assert (result["translation"], result["quality"]) == (FRENCH, "untranslated")
    assert "encode" not in fakes.calls.count


async def test_the_language_is_the_one_that_was_said_or_declared(running: Running, fakes: Fakes) -> None:
    client = await running.client(target_lang="eng", source_lang="fra")
    declared = await say(client, ENGLISH)
    said = await say(client, ENGLISH, lang="es-MX")
    assert [(result["source_lang"], result["source_lang_confidence"]) for result in (declared, said)] == [
        ("fra", 1.0),
        ("spa", 1.0),
    ]


async def test_else_it_is_told_by_the_text(running: Running) -> None:
    client = await running.client(target_lang="eng")
    result = await say(client, FRENCH)
    assert result["source_lang"] == "fra"
    assert 0.6 < float(str(result["source_lang_confidence"])) < 1.0


async def test_a_text_that_tells_nothing_is_in_the_language_that_its_writer_hears(running: Running) -> None:
    client = await running.client(target_lang="spa")
    await running.client(target_lang="eng", source_lang="fra")
    result = await say(client, "14:30, Kowalczyk")
    assert (result["source_lang"], result["quality"]) == ("spa", "original")
    assert float(str(result["source_lang_confidence"])) < 1.0
    assert (await say(client, "14:30"))["source_lang_confidence"] == 1.0, "it is the same in every language"


async def test_only_languages_of_the_room_are_looked_for_where_the_writer_wants_that(running: Running) -> None:
    client = await running.client(target_lang="spa", source_lang="room", audio="none")
    await running.client(target_lang="eng")
    result = await say(client, FRENCH)
    assert result["source_lang"] in {"eng", "spa"}


async def test_the_writer_is_named_and_has_the_voice_that_its_client_carried(running: Running) -> None:
    client = await running.client(target_lang="fra", name="Claire")
    before = await say(client, FRENCH)
    await client.say(speech(11))
    await client.wait_for("result", 2)
    after = await say(client, FRENCH)
    assert (before["speaker_id"], before["speaker_name"]) == ("unknown", "Claire")
    assert (after["speaker_id"], after["speaker_name"], after["speaker_likely"]) == ("speaker_1", "Claire", False)
    await client.say(speech(21))
    await client.wait_for("result", 4)
    assert (await say(client, FRENCH))["speaker_id"] == "unknown", "two voices share this client"


async def test_typing_leaves_the_voices_as_they_are(running: Running, fakes: Fakes) -> None:
    client = await running.client(target_lang="fra", name="Claire")
    await client.say(speech(11))
    await client.wait_for("result")
    room = next(iter(running.server.rooms or ()))
    before = room.speakers.snapshot()
    await say(client, FRENCH)
    await say(client, ENGLISH)
    assert room.speakers.snapshot() == before
    assert fakes.calls.count["embed"] == 1
    assert len(client.of_type("speaker")) == 1


async def test_what_others_said_or_a_loudspeaker_says_may_be_typed(running: Running) -> None:
    first = await running.client(target_lang="eng")
    second = await running.client(target_lang="eng")
    await first.say(speech(11))
    (result,) = await second.wait_for("result")
    assert (await say(second, FRENCH))["source_text"] == FRENCH
    assert (await say(second, str(result["translation"])))["source_text"] == result["translation"]


async def test_typed_and_spoken_words_come_in_the_order_in_which_they_were_said(
    fakes: Fakes, gate: threading.Event
) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(log_level="warning"), fakes.engines) as running:
        speaks = await running.client(target_lang="fra")
        types = await running.client(target_lang="fra")
        await speaks.say(speech(12))
        await until(lambda: fakes.calls.count["encode"] == 1)
        await types.say_text(FRENCH)
        await types.catch_up()
        gate.set()
        results = await types.wait_for("result", 2)
    assert [(result["seq"], result["typed"]) for result in results] == [(1, False), (2, True)]


async def test_typing_does_not_disturb_what_the_same_client_is_saying(running: Running) -> None:
    client = await running.client(target_lang="fra", mode="stream", audio="none")
    await client.stream(speech(11, 1.0))
    await client.say_text(ENGLISH)
    await client.stream(speech(11, 1.0))
    await client.stream(silence(1.0))
    typed, spoken = await client.wait_for("result", 2)
    assert (typed["source_text"], spoken["source_text"]) == (ENGLISH, FRENCH)


async def test_what_was_typed_is_remembered_by_the_name_of_its_writer(running: Running) -> None:
    writer = await joined(running, target_lang="fra", name="Claire")
    reader = await joined(running, target_lang="spa")
    await writer.now.say(speech(11))
    await writer.now.wait_for("result")
    await writer.now.send_message(type="rename_speaker", speaker_id="speaker_1", name="The chair")
    await reader.now.wait_for("result")
    await reader.drop()
    await say(writer.now, ENGLISH)
    await reader.connect()
    assert await reader.resume() == (1, 0)
    (missed,) = reader.now.of_type("result")
    assert (missed["typed"], missed["replayed"], missed["translation"]) == (True, True, f"<spa> {ENGLISH}")
    assert (missed["speaker_id"], missed["speaker_name"]) == ("speaker_1", "Claire")


async def test_context_and_glossary_help_to_translate_what_is_typed(fakes: Fakes) -> None:
    translator = ScriptedConversationTranslator(fakes.calls)
    fakes.text_translator = translator
    async with serving(Settings(log_level="warning"), fakes.engines) as running:
        client = await running.client(target_lang="spa", glossary="monde=spa:mundo", audio="none")
        await client.say(speech(11))
        await client.wait_for("result")
        await say(client, "bonjour le monde")
    assert translator.requests[-1].terms == (("monde", "mundo"),)
    assert translator.requests[-1].context == ((FRENCH, f"<spa> {FRENCH}"),)


async def test_who_types_too_much_at_once_is_refused(fakes: Fakes, gate: threading.Event) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(utterances_per_client=2, log_level="error"), fakes.engines) as running:
        client = await running.client(target_lang="fra")
        await client.say(speech(11))
        await client.say_text("one")
        await client.say_text("two")
        (error,) = await client.wait_for("error")
        assert error["code"] == "overloaded"
        gate.set()
        results = await client.wait_for("result", 2)
    assert [result["source_text"] for result in results] == [FRENCH, "one"]


async def test_a_text_costs_a_turn_as_long_as_saying_it_takes(fakes: Fakes, gate: threading.Event) -> None:
    """Somebody who types long texts does not come before those who say a word."""
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(log_level="error"), fakes.engines) as running:
        holds, writes, speaks = [await running.client(target_lang="fra", audio="none") for _ in range(3)]
        await holds.say(speech(11))
        await until(lambda: fakes.calls.count["encode"] == 1)
        for _ in range(3):
            await writes.say_text("bonjour " * 60)
        for _ in range(3):
            await speaks.say(speech(12))
        await asyncio.gather(writes.catch_up(), speaks.catch_up())
        gate.set()
        results = await holds.wait_for("result", 7)
    assert [result["typed"] for result in results[1:]] == [True, False, False, False, True, True]


@pytest.mark.parametrize("text", ["", " \n ", "\u202e\u200b", "x" * 1001])
async def test_nothing_and_too_much_is_refused(running: Running, text: str) -> None:
    client = await running.client(target_lang="fra")
    await client.say_text(text)
    (error,) = await client.wait_for("error")
    assert (error["code"], error["fatal"]) == ("invalid_message", False)
    assert error["message"].startswith("say.text: ")


async def test_letters_of_many_bytes_count_as_one_each(running: Running) -> None:
    client = await running.client(target_lang="fra", audio="none")
    await client.say_text("\u3042" * 1000)
    parts = await client.wait_for("result", 4)
    assert "".join(part["source_text"] for part in parts) == "\u3042" * 1000


async def test_what_takes_longer_to_say_is_several_utterances(
    running: Running, fakes: Fakes, gate: threading.Event
) -> None:
    fakes.synthesizer.before = lambda text: gate.wait(10) and None
    client = await running.client(target_lang="fra", audio="none")
    listener = await running.client(target_lang="eng", audio="stream")
    sentences = [f"{FRENCH} {number} " + "oui " * 28 + "." for number in range(7)]
    await client.say_text(" ".join(sentences))
    await listener.wait_for("result")
    await client.say_text("the end", lang="eng")
    await client.wait_for("result", 2)
    assert [result["seq"] for result in client.of_type("result")] == [1, 2], "the rest waits until this has been spoken"
    gate.set()
    results = await client.wait_for("result", 5)
    said = [result["source_text"] for result in results if result["source_lang"] == "fra"]
    assert " ".join(said) == " ".join(sentences)
    assert all(len(part) <= 300 for part in said)
    assert len({result["utterance_id"] for result in results}) == 5


async def test_all_parts_of_a_long_text_count_against_its_writer(fakes: Fakes) -> None:
    async with serving(Settings(utterances_per_client=3, log_level="error"), fakes.engines) as running:
        client = await running.client(target_lang="fra")
        await client.say_text("oui. " * 200)
        (error,) = await client.wait_for("error")
        assert error["code"] == "overloaded"
        await client.say_text("oui. " * 100)
        results = await client.wait_for("result", 2)
        assert sum(result["source_text"].count("oui") for result in results) == 100, "nothing came of the first"


async def test_the_rest_of_a_text_is_given_up_where_nobody_is_left(fakes: Fakes, gate: threading.Event) -> None:
    fakes.text_translator.delay_s = 0.2
    async with serving(Settings(retain=False, log_level="error"), fakes.engines) as running:
        client = await running.client(target_lang="eng")
        await client.say_text("Voilà. " * 140, lang="fra")
        await until(lambda: fakes.calls.count["text eng"] == 1)
        await client.close()
        rooms = running.server.rooms
        assert rooms is not None
        await until(lambda: not list(rooms))
    assert fakes.calls.count["text eng"] == 1


async def test_a_text_is_on_one_line_and_composed(running: Running) -> None:
    client = await running.client(target_lang="fra")
    assert (await say(client, " cafe\u0301\n\u202enoir\u0000 "))["source_text"] == "caf\u00e9 noir"
