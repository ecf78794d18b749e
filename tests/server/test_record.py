"""A room's record over HTTP: for its members, of what they might have heard, where a history is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from babblefish.settings import Settings
from tests.support.fakes import Clock, Fakes
from tests.support.phones import WORDS, joined, said, spanish_held
from tests.support.serving import Running, bearer, serving
from tests.support.waiting import until

PATH = "/rooms/main/transcript"


@pytest.fixture
async def http(house: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with house.http() as http:
        yield http


async def entries(http: httpx.AsyncClient, token: str = "", **query: str) -> list[dict[str, Any]]:
    answer = await http.get(PATH, params={"format": "json"} | query, headers=bearer(token) if token else {})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["entries"])


async def test_where_no_token_is_required_anybody_reads_it_in_any_language(running: Running) -> None:
    speaker = await joined(running, target_lang="spa", name="Claire")
    await said(speaker, 11, 21)
    async with running.http() as http:
        in_spanish = await entries(http, lang="es")
        assert [entry["translation"] for entry in in_spanish] == [f"<spa> {WORDS[11]}", f"<spa> {WORDS[21]}"]
        assert {entry["speaker_name"] for entry in in_spanish} == {"Claire", "Speaker 2"}
        as_said = await entries(http)
        assert [(entry["translation"], entry["requested_lang"]) for entry in as_said] == [
            (WORDS[11], "fra"),
            (WORDS[21], "eng"),
        ]
        assert [entry["quality"] for entry in await entries(http, lang="pol")] == ["untranslated", "untranslated"]
        for name, media_type in (("txt", "text/plain"), ("srt", "application/x-subrip"), ("vtt", "text/vtt")):
            answer = await http.get(PATH, params={"format": name, "lang": "spa"})
            assert answer.headers["content-type"].startswith(media_type)
            assert answer.headers["content-disposition"] == f'attachment; filename="main.spa.{name}"'
            assert answer.headers["cache-control"] == "no-store"
            assert WORDS[11] in answer.text
        assert (await http.get(PATH)).text.count("UTC]") == 2, "text is what comes unless something else is asked for"


async def test_a_new_name_of_a_voice_is_in_the_record_of_what_it_said_before(running: Running) -> None:
    speaker = await joined(running, target_lang="eng", name="Claire")
    await said(speaker, 11)
    await speaker.now.send_message(type="rename_speaker", speaker_id="speaker_1", name="Claire M.")
    await speaker.now.catch_up()
    async with running.http() as http:
        assert (await entries(http))[0]["speaker_name"] == "Claire M."


async def test_a_caption_that_is_being_made_is_waited_for(running: Running, fakes: Fakes) -> None:
    speaker = await joined(running, target_lang="eng")
    await joined(running, target_lang="spa")
    async with running.http() as http:
        with spanish_held(fakes, 11) as gate:
            await said(speaker, 11)
            await until(lambda: fakes.calls.count["held"] == 1)
            gate.set()
            assert (await entries(http, lang="spa"))[0]["translation"] == f"<spa> {WORDS[11]}"


async def test_a_token_opens_the_record_of_its_room_from_when_it_was_made(
    house: Running, http: httpx.AsyncClient, clock: Clock
) -> None:
    clock.now_s -= 3600
    early = house.server.access.join_token("main")
    speaker = await joined(house, token=early, target_lang="eng")
    await said(speaker, 11)
    clock.now_s += 7200
    late = house.server.access.join_token("main")
    assert len(await entries(http, early)) == 1
    assert len(await entries(http, speaker.now.messages[0]["token"])) == 1
    assert len(await entries(http, house.server.access.admin_token)) == 1
    assert await entries(http, late) == []
    http.cookies["babblefish_admin"] = house.server.access.admin_cookie()
    assert len(await entries(http)) == 1


async def test_no_other_token_opens_it(house: Running, http: httpx.AsyncClient) -> None:
    access = house.server.access
    await said(await joined(house, token=access.join_token("main")), 11)
    wrong = [{}, bearer(access.join_token("kitchen")), bearer("x"), {"Cookie": "babblefish_admin=x"}]
    answers = [await http.get(PATH, headers=headers) for headers in wrong]
    answers.append(await http.get(PATH, params={"token": access.join_token("main")}))
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(403, "not_allowed")}
    assert (await http.get("/rooms/kitchen/transcript", headers=wrong[1])).status_code == 404
    house.server.limits.of("127.0.0.1").joining.waiting = 8
    assert (await http.get(PATH, headers=bearer("x"))).status_code == 429
    house.server.limits.of("127.0.0.1").joining.waiting = 0


async def test_a_page_of_another_site_or_a_file_reads_nothing(running: Running) -> None:
    await said(await joined(running), 11)
    async with running.http() as http:
        for origin in ("https://elsewhere.example", "null"):
            assert (await http.get(PATH, headers={"Origin": origin})).status_code == 403
        assert (await http.get(PATH, headers={"Origin": running.url})).status_code == 200
        code = bearer(running.server.access.file_code)
        assert (await http.get(PATH, headers={"Origin": "null"} | code)).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/rooms/nowhere/transcript", 404, "no_record"),
        (f"{PATH}?format=pdf", 400, "invalid_message"),
        (f"{PATH}?lang=tlh", 400, "unknown_language"),
        ("/rooms/a%20b/transcript", 400, "invalid_message"),
    ],
)
async def test_what_cannot_be_given_has_a_reason(running: Running, path: str, status: int, code: str) -> None:
    await joined(running)
    async with running.http() as http:
        answer = await http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("given", [{"retain": False}, {"history_limit": 0}])
async def test_where_no_history_is_kept_there_is_no_record(fakes: Fakes, given: dict[str, Any]) -> None:
    async with serving(Settings(log_level="error", **given), fakes.engines) as running, running.http() as http:
        await said(await joined(running), 11)
        assert (await http.get(PATH)).json()["code"] == "no_record"
        assert (await http.delete(PATH)).status_code == 404


async def test_the_admin_has_a_record_forgotten_and_the_numbers_go_on(house: Running, http: httpx.AsyncClient) -> None:
    access = house.server.access
    token = access.join_token("main")
    speaker = await joined(house, token=token, target_lang="eng")
    await said(speaker, 11, 12)
    http.cookies["babblefish_admin"] = access.admin_cookie()
    assert (await http.delete(PATH)).status_code == 403, "a cookie opens pages, and does nothing else"
    assert (await http.delete(PATH, headers=bearer(token))).status_code == 403
    assert len(await entries(http, token)) == 2
    assert (await http.delete(PATH, headers=bearer(access.admin_token))).status_code == 204
    assert await entries(http, token) == []
    await said(speaker, 21)
    assert [result["seq"] for result in speaker.results] == [1, 2, 3]
    assert [entry["seq"] for entry in await entries(http, token)] == [3]
    returning = await joined(house, token=token)
    assert await returning.resume(after_seq=0) == (1, 2)
