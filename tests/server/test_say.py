"""A program says something in a room over HTTP, without joining it."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from babblefish.errors import BabbleFishError, InvalidMessageError, UnknownLanguageError
from babblefish.settings import Settings
from babblefish.wire.client_messages import parse_remark
from tests.support.fakes import Fakes, speech
from tests.support.serving import Running, bearer, serving
from tests.support.waiting import until

PATH = "/rooms/main/say"
FRENCH = "bonjour tout le monde"


@pytest.fixture
async def http(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with running.http() as http:
        yield http


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_the_members_get_what_a_program_says(running: Running, http: httpx.AsyncClient, fakes: Fakes) -> None:
    member = await running.client(target_lang="eng")
    answer = await http.post(PATH, json={"text": FRENCH, "name": "Gate 7"})
    assert answer.status_code == 202
    (result,) = await member.wait_for("result")
    assert answer.json() == {"utterance_ids": [result["utterance_id"]]}
    assert (result["translation"], result["source_lang"], result["typed"]) == (f"<eng> {FRENCH}", "fra", True)
    assert (result["speaker_name"], result["speaker_id"]) == ("Gate 7", "unknown")
    assert result["tts_audio"]
    assert result["client_id"] not in {member.messages[0]["client_id"], "", *running.server.sessions}


async def test_the_language_may_be_said(running: Running, http: httpx.AsyncClient) -> None:
    member = await running.client(target_lang="eng")
    await http.post(PATH, json={"text": FRENCH, "lang": "es"})
    (result,) = await member.wait_for("result")
    assert (result["source_lang"], result["source_lang_confidence"]) == ("spa", 1.0)


async def test_what_tells_no_language_is_in_one_of_the_room(running: Running, http: httpx.AsyncClient) -> None:
    member = await running.client(target_lang="spa")
    await http.post(PATH, json={"text": "Kowalczyk"})
    (result,) = await member.wait_for("result")
    assert (result["source_lang"], result["speaker_name"]) == ("spa", "Unknown speaker")


async def test_what_a_program_says_counts_as_its_own_and_not_as_a_members(fakes: Fakes, gate: threading.Event) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    async with serving(Settings(utterances_per_client=2, log_level="error"), fakes.engines) as running:
        member = await running.client(target_lang="fra", audio="none")
        await member.say(speech(11))
        await until(lambda: fakes.calls.count["encode"] == 1)
        async with running.http() as http:
            answers = [await http.post(PATH, json={"text": "oui", "lang": "fra"}) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [202, 202, 429]
            assert refused(answers[-1]) == (429, "overloaded")
            await member.say(speech(12))
            gate.set()
            results = await member.wait_for("result", 4)
            assert [result["typed"] for result in results].count(True) == 2
            assert (await http.post(PATH, json={"text": "oui", "lang": "fra"})).status_code == 202
            await member.wait_for("result", 5)
    assert len({result["client_id"] for result in results if result["typed"]}) == 1


async def test_in_a_room_that_nobody_is_in_nothing_is_said(running: Running, http: httpx.AsyncClient) -> None:
    assert refused(await http.post(PATH, json={"text": FRENCH})) == (404, "nobody_here")
    assert not list(running.server.rooms or ()), "and no room is made for it"


async def test_who_is_away_for_a_moment_does_not_miss_it(running: Running, http: httpx.AsyncClient) -> None:
    member = await running.client(target_lang="eng")
    await member.close()
    await until(lambda: not running.server.sessions)
    assert (await http.post(PATH, json={"text": FRENCH})).status_code == 202
    back = await running.client(target_lang="eng")
    await back.send_message(type="resume", history_id=back.messages[0]["history_id"], after_seq=0)
    (result,) = await back.wait_for("result")
    assert result["translation"] == f"<eng> {FRENCH}"


async def test_a_token_of_the_room_is_needed_where_one_is_needed_to_join(house: Running) -> None:
    token = house.server.access.join_token("main")
    member = await house.client(target_lang="fra", token=token)
    async with house.http() as http:
        for headers in ({}, bearer("nonsense"), bearer(house.server.access.join_token("kitchen"))):
            assert refused(await http.post(PATH, json={"text": FRENCH}, headers=headers)) == (403, "not_allowed")
        answers = [
            await http.post(PATH, json={"text": FRENCH}, headers=bearer(token))
            for token in (token, house.server.access.admin_token)
        ]
        assert [answer.status_code for answer in answers] == [202, 202]
    await member.wait_for("result", 2)


async def test_no_page_of_another_site_may_say_anything(running: Running, http: httpx.AsyncClient) -> None:
    await running.client(target_lang="fra")
    answer = await http.post(PATH, content=json.dumps({"text": FRENCH}), headers={"Origin": "https://evil.example"})
    assert refused(answer) == (403, "not_allowed")
    own = await http.post(PATH, json={"text": FRENCH}, headers={"Origin": running.url})
    assert own.status_code == 202


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_message"),
        (b"{", "invalid_message"),
        (b'{"text": ""}', "invalid_message"),
        (b'{"text": "\\u202e"}', "invalid_message"),
        (b'{"text": "a", "to": "b"}', "invalid_message"),
        (b'{"text": "' + b"a" * 1001 + b'"}', "invalid_message"),
        (b'{"text": "' + b"a" * 20000 + b'"}', "invalid_message"),
        (b'{"text": "a", "name": "' + b"n" * 61 + b'"}', "invalid_message"),
        (b'{"text": "a", "lang": "xx"}', "unknown_language"),
        (b'\xff{"text": "a"}', "invalid_message"),
    ],
)
async def test_what_cannot_be_said_is_refused_with_the_code_of_the_wire(
    running: Running, http: httpx.AsyncClient, body: bytes, code: str
) -> None:
    await running.client(target_lang="fra")
    assert refused(await http.post(PATH, content=body)) == (400, code)


async def test_no_room_can_have_some_names(http: httpx.AsyncClient) -> None:
    assert refused(await http.post("/rooms/a%20b/say", json={"text": FRENCH})) == (400, "invalid_message")


async def test_a_server_that_stops_takes_nothing_more(running: Running, http: httpx.AsyncClient) -> None:
    running.server.draining = True
    assert refused(await http.post(PATH, json={"text": FRENCH})) == (503, "restarting")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS: Any = st.fixed_dictionaries({}, optional={"text": st.text() | JSON, "lang": st.text() | JSON, "name": JSON})


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.binary() | st.one_of(JSON, FIELDS).map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_a_text_that_can_be_shown_or_an_error_with_a_code(body: bytes) -> None:
    try:
        remark = parse_remark(body)
    except BabbleFishError as error:
        assert isinstance(error, InvalidMessageError | UnknownLanguageError)  # noqa: PT017 - either will do
    else:
        assert 0 < len(remark.text) <= 1000
        assert remark.text.isprintable() or any(char in "\u200c\u200d" for char in remark.text)
