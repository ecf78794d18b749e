"""What a client says of the language it speaks reaches the engine that recognises it."""

from __future__ import annotations

import pytest

from babblefish.conversation.expected_languages import expectation
from babblefish.settings import Settings
from tests.support.fakes import Fakes, make_fakes, silence, speech
from tests.support.serving import Running, serving


@pytest.mark.parametrize(
    ("declared", "others", "possible"),
    [
        ("auto", ("fra", "pol"), set()),
        ("fra", ("pol",), {"fra"}),
        ("room", ("fra", "pol"), {"eng", "fra", "pol"}),
        ("room", (), {"eng"}),
        ("zh-TW", ("fra",), {"cmn"}),
        ("room", ("zh-TW",), {"eng", "cmn"}),
    ],
)
async def test_it_may_be_any_language_or_one_or_those_of_the_room(
    declared: str, others: tuple[str, ...], possible: set[str]
) -> None:
    fakes: Fakes = make_fakes()
    async with serving(Settings(), fakes.engines) as running:
        await _talk(running, declared, others)
    assert [request.source_langs for request in fakes.speech_translator.requests] == [possible]


async def _talk(running: Running, declared: str, others: tuple[str, ...]) -> None:
    for lang in others:
        await running.client(target_lang=lang, audio="none")
    client = await running.client(target_lang="eng", source_lang=declared, audio="none")
    assert client.messages[0]["source_lang"] in (declared, "cmn")
    await client.say(speech(11))
    await client.wait_for("result")


async def test_a_member_who_declared_what_they_speak_brings_that_and_not_what_they_hear() -> None:
    fakes: Fakes = make_fakes()
    async with serving(Settings(), fakes.engines) as running:
        await running.client(target_lang="spa", source_lang="ita", audio="none")
        client = await running.client(target_lang="eng", audio="none")
        await client.send_message(type="set", source_lang="room")
        assert (await client.wait_for("settled"))[-1]["source_lang"] == "room"
        await client.say(speech(11))
        await client.wait_for("result")
    assert [request.source_langs for request in fakes.speech_translator.requests] == [{"eng", "ita"}]


def _expected(fakes: Fakes) -> list[dict[str, float]]:
    return [dict(request.expected_langs) for request in fakes.speech_translator.requests]


async def test_a_room_of_two_languages_expects_more_of_what_the_speaker_knows(running: Running, fakes: Fakes) -> None:
    client = await running.client(target_lang="eng", audio="none")
    await client.say(speech(11))
    await client.wait_for("result")
    fakes.speech_translator.requests.clear()
    other = await running.client(target_lang="spa", source_lang="pol", audio="none")
    await other.say(speech(31))
    await other.wait_for("result")
    (expected,) = _expected(fakes)
    assert expected["spa"] == expected["pol"] > expected["eng"] > 0


async def test_what_a_client_spoke_last_is_expected_of_it_and_not_of_others(running: Running, fakes: Fakes) -> None:
    client, other = [await running.client(target_lang="eng", audio="none") for _ in range(2)]
    for count, phrase in enumerate((31, 11, 12), 1):
        await client.say(speech(phrase))
        await client.wait_for("result", count)
    await other.say(speech(21))
    await other.wait_for("result", 4)
    first, second, third, others = _expected(fakes)
    assert first == others == {}
    assert second["pol"] > second["eng"]
    assert third["fra"] > third["pol"] > third["eng"]


async def test_a_language_that_is_not_sure_is_not_expected_again_and_makes_a_draft(
    running: Running, fakes: Fakes
) -> None:
    client = await running.client(target_lang="eng", audio="none")
    qualities = []
    for count, confidence in enumerate((0.7, 0.5, 0.9), 1):
        fakes.speech_translator.lang_confidence = confidence
        await client.say(speech(11))
        qualities.append((await client.wait_for("result", count))[-1]["quality"])
    assert qualities == ["good", "draft", "good"]
    assert _expected(fakes) == [{}, {}, {}]


async def test_what_a_client_spoke_is_expected_in_its_interim_and_early_recognitions(
    running: Running, fakes: Fakes
) -> None:
    client = await running.client(target_lang="eng", mode="stream", audio="none")
    await client.stream(speech(11))
    await client.stream(silence(1.0))
    await client.wait_for("result")
    fakes.speech_translator.requests.clear()
    await client.stream(speech(12))
    await client.stream(silence(1.0))
    await client.wait_for("result", 2)
    assert fakes.speech_translator.requests
    assert all(expected["fra"] > expected["eng"] for expected in _expected(fakes))


def test_what_a_speaker_knows_says_no_more_once_they_have_spoken() -> None:
    room = {"eng", "fra"}
    assert expectation(["fra"], room, {"eng"}) == expectation(["fra"], room)
    assert expectation([], {"eng"}, {"eng"}) == {}


def test_it_takes_several_utterances_to_make_another_language_likelier() -> None:
    room = {"eng", "fra"}
    fluent = expectation(["fra"] * 5, room)
    changed = expectation(["fra"] * 4 + ["eng"], room)
    for_good = expectation(["fra"] * 2 + ["eng"] * 3, room)
    assert fluent["fra"] > 5 * fluent["eng"]
    assert changed["fra"] > changed["eng"]
    assert for_good["eng"] > for_good["fra"]
