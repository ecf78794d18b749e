"""What a client says of the language it speaks reaches the engine that recognises it."""

from __future__ import annotations

import pytest

from babblefish.settings import Settings
from tests.support.fakes import Fakes, make_fakes, speech
from tests.support.serving import Running, serving


@pytest.mark.parametrize(
    ("declared", "others", "possible"),
    [
        ("auto", ("fra", "pol"), set()),
        ("fra", ("pol",), {"fra"}),
        ("room", ("fra", "pol"), {"eng", "fra", "pol"}),
        ("room", (), {"eng"}),
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
    assert client.messages[0]["source_lang"] == declared
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
