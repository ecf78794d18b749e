"""Who is let in over the real socket, who is not, and what each of them is told."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from babblefish.client import RefusedError
from babblefish.server.limits import RateLimits
from babblefish.server.sites import FORWARDED
from babblefish.settings import Settings
from tests.support.fakes import Clock, Fakes, speech
from tests.support.phones import WORDS, joined, said
from tests.support.serving import Client, Running, serving, still_works
from tests.support.waiting import until


def guarded(tmp_path: Path, **given: Any) -> Settings:
    return Settings(**{"access": "required", "state_dir": tmp_path, "log_level": "error", **given})


async def refused(running: Running, **given: Any) -> tuple[str, str, int | None]:
    """Return the code and the words of a refusal, and what the socket was closed with."""
    client = await running.client(wait_ready=False, **given)
    await asyncio.wait_for(client.closed.wait(), 5)
    assert [message["type"] for message in client.messages] == ["error"]
    (error,) = client.messages
    assert error["fatal"]
    return error["code"], error["message"], client.close_code


async def test_a_link_lets_its_holder_into_its_room(house: Running) -> None:
    token = house.server.access.join_token("kitchen")
    client = await house.client(target_lang="fra", room="kitchen", token=token)
    await still_works(client)


async def test_all_failures_of_a_token_look_the_same(house: Running, clock: Clock) -> None:
    expired = house.server.access.join_token("main", 60)
    other_room = house.server.access.join_token("kitchen")
    clock.now_s += 61
    wrong = {"none": {}, "wrong": {"token": "x.y"}, "expired": {"token": expired}, "room": {"token": other_room}}
    answers = {what: await refused(house, **query) for what, query in wrong.items()}
    assert set(answers.values()) == {answers["none"]}
    assert answers["none"][0] == "not_allowed"
    assert answers["none"][2] == 1008
    assert house.server.rooms is not None
    assert list(house.server.rooms) == [], "none of them has made a room"


async def test_a_connection_outlives_its_token_and_who_was_in_comes_back(house: Running, clock: Clock) -> None:
    token = house.server.access.join_token("main", 60)
    client = await house.client(target_lang="fra", token=token)
    returning = client.messages[0]["token"]
    assert returning != token
    clock.now_s += 12 * 3600
    await still_works(client)
    assert (await refused(house, token=token))[0] == "not_allowed"
    await house.client(token=returning)
    clock.now_s += 60
    assert (await refused(house, token=returning))[0] == "not_allowed"


async def test_where_no_token_is_needed_any_is_ignored(running: Running) -> None:
    await running.client(token="whatever")


async def test_the_id_of_a_member_that_is_away_is_for_its_token_only(running: Running) -> None:
    phone = await running.client(client_id="phone")
    token = phone.messages[0]["token"]
    await phone.close()
    await until(lambda: not running.server.sessions)
    stranger = await running.client(client_id="phone")
    assert stranger.messages[0]["client_id"] != "phone"
    forger = await running.client(client_id="phone", token=stranger.messages[0]["token"])
    assert forger.messages[0]["client_id"] != "phone"
    owner = await running.client(client_id="phone", token=token)
    assert owner.messages[0]["client_id"] == "phone"


async def test_an_id_that_nobody_has_had_is_given_to_whoever_asks(running: Running) -> None:
    assert (await running.client(client_id="kitchen-tablet")).messages[0]["client_id"] == "kitchen-tablet"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Proto"])
async def test_a_proxy_that_was_not_announced_is_no_way_around_tokens(running: Running, header: str) -> None:
    async with running.http(headers={header: "203.0.113.7"}) as proxy:
        for path in ("/", "/dashboard", "/metrics", "/healthz"):
            answer = await proxy.get(path)
            assert answer.status_code == 403
            assert "BABBLEFISH_TRUSTED_PROXIES" in answer.text
    connection = await running.transport.connect("/ws/client", {header: "203.0.113.7"})
    async with Client(connection) as client:
        with pytest.raises(RefusedError, match="BABBLEFISH_TRUSTED_PROXIES"):
            await client.ready()


async def test_where_tokens_are_required_an_unannounced_proxy_is_logged_once(
    house: Running, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.http(headers={"X-Forwarded-For": "203.0.113.7"}) as proxy:
        assert (await proxy.get("/healthz")).status_code == 200
        assert (await proxy.get("/healthz")).status_code == 200
    assert [record.message for record in caplog.records if "proxy" in record.message] == [FORWARDED]


async def test_failed_attempts_are_slowed_and_a_good_one_is_not(house: Running) -> None:
    waited_s: list[float] = []

    async def sleep(delay_s: float) -> None:
        waited_s.append(delay_s)

    house.server.limits = RateLimits(house.server.settings, lambda: 1000.0, sleep)
    for _ in range(4):
        await refused(house, token="guess")
    assert waited_s == [0.1, 0.2, 0.4, 0.8]
    await house.client(token=house.server.access.join_token("main"))
    assert len(waited_s) == 4


async def test_while_failures_wait_for_their_answers_further_attempts_are_too_fast(house: Running) -> None:
    over = asyncio.Event()

    async def sleep(delay_s: float) -> None:
        await over.wait()

    house.server.limits = RateLimits(house.server.settings, lambda: 1000.0, sleep)
    guesses = [asyncio.create_task(house.client(wait_ready=False, token="guess")) for _ in range(8)]
    attempts = house.server.limits.of("127.0.0.1").joining
    await until(lambda: attempts.waiting == 8)
    code, _, closed_with = await refused(house, token="guess")
    assert (code, closed_with) == ("too_fast", 1013)
    over.set()
    for guess in await asyncio.gather(*guesses):
        await asyncio.wait_for(guess.closed.wait(), 5)
        assert guess.messages[0]["code"] == "not_allowed"


@pytest.mark.parametrize(
    ("host", "origin", "message"),
    [
        ("127.0.0.1", "https://elsewhere.example", "pages of other sites may not join"),
        ("rebound.example", None, "this server does not answer to that host name"),
        ("rebound.example", "http://rebound.example:{port}", "this server does not answer to that host name"),
    ],
)
async def test_pages_of_other_sites_and_other_names_are_refused_with_a_good_token_as_well(
    house: Running, host: str, origin: str | None, message: str
) -> None:
    token = house.server.access.join_token("main")
    origin = origin.format(port=house.port) if origin else None
    code, told, closed_with = await refused(house, host=f"{host}:{house.port}", origin=origin, token=token)
    assert (code, closed_with) == ("not_allowed", 1008)
    assert message in told


async def test_a_page_opened_as_a_file_may_join_with_a_token_only(house: Running) -> None:
    for origin in ("null", "file://"):
        assert (await refused(house, origin=origin))[0] == "not_allowed"
        await house.client(origin=origin, token=house.server.access.join_token("main"))


async def test_a_site_that_the_settings_allow_may_join(tmp_path: Path, fakes: Fakes) -> None:
    settings = guarded(tmp_path, allowed_origins=("https://example.org",))
    async with serving(settings, fakes.engines) as running:
        token = running.server.access.join_token("main")
        await running.client(origin="https://example.org", token=token)
        assert (await refused(running, origin="http://example.org", token=token))[0] == "not_allowed"


async def test_an_address_has_so_many_connections(tmp_path: Path, fakes: Fakes) -> None:
    async with serving(Settings(connections_per_address=2, log_level="error"), fakes.engines) as running:
        first, second = await running.client(target_lang="fra"), await running.client()
        code, _, closed_with = await refused(running)
        assert (code, closed_with) == ("too_many", 1013)
        await still_works(first)
        await second.close()
        await until(lambda: len(running.server.sessions) == 1)
        await running.client()


async def test_a_room_has_so_many_members(fakes: Fakes) -> None:
    async with serving(Settings(members_per_room=1, log_level="error"), fakes.engines) as running:
        await running.client(room="one")
        code, _, closed_with = await refused(running, room="one")
        assert (code, closed_with) == ("full", 1013)
        await running.client(room="two")


def written(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*")]


async def cut_off(client: Client) -> tuple[str, bool, int | None]:
    await asyncio.wait_for(client.closed.wait(), 5)
    error = client.of_type("error")[-1]
    return error["code"], error["fatal"], client.close_code


async def test_more_audio_than_an_address_may_send_ends_the_connection_and_no_other(fakes: Fakes) -> None:
    async with serving(Settings(audio_s_per_minute=5, log_level="error"), fakes.engines) as running:
        greedy = await running.client(target_lang="fra")
        other = await running.client(target_lang="fra", audio="none")
        await greedy.say(speech(11, 4.0))
        await other.wait_for("result")
        await greedy.say(speech(12, 4.0))
        assert await cut_off(greedy) == ("too_fast", True, 1013)
        await still_works_in_words(other)
        assert [result["source_text"] for result in other.of_type("result")] == [WORDS[11]]


async def still_works_in_words(client: Client) -> None:
    before = len(client.of_type("pong"))
    await client.send_message(type="ping")
    await client.wait_for("pong", before + 1)


async def test_more_messages_than_an_address_may_send_end_the_connection(fakes: Fakes) -> None:
    async with serving(Settings(messages_per_minute=10, log_level="error"), fakes.engines) as running:
        client = await running.client()
        for _ in range(11):
            await client.send_message(type="ping")
        assert await cut_off(client) == ("too_fast", True, 1013)


async def test_a_newcomer_is_not_shown_what_was_said_before_its_link_was_made(house: Running, clock: Clock) -> None:
    access = house.server.access
    early = access.join_token("main")
    speaker = await joined(house, target_lang="fra", token=early)
    await said(speaker, 11, 12)
    clock.now_s += 2
    for history_id in (None, "of-yesterday"):
        late = await joined(house, target_lang="fra", token=access.join_token("main"))
        assert await late.resume(after_seq=0, history_id=history_id) == (0, 2)
        assert late.results == []
    invited = await joined(house, target_lang="fra", token=early)
    assert await invited.resume(after_seq=0) == (2, 0)
    admin = await joined(house, target_lang="fra", token=access.admin_token)
    assert await admin.resume(after_seq=0) == (2, 0)


async def test_a_phone_that_comes_back_with_its_own_token_gets_what_it_missed(house: Running) -> None:
    access = house.server.access
    speaker = await joined(house, target_lang="fra", token=access.join_token("main"))
    listener = await joined(house, target_lang="spa", token=access.join_token("main"))
    listener.query["token"] = listener.now.messages[0]["token"]
    await listener.drop()
    await said(speaker, 11)
    await listener.connect()
    assert await listener.resume() == (1, 0)
    assert listener.results[0]["translation"] == f"<spa> {WORDS[11]}"


async def test_a_server_that_retains_nothing_forgets_a_room_with_its_last_member(tmp_path: Path, fakes: Fakes) -> None:
    settings = guarded(tmp_path, retain=False)
    async with serving(settings, fakes.engines) as running:
        access = running.server.access
        rooms = running.server.rooms
        assert rooms is not None
        phone = await joined(running, target_lang="fra", token=access.join_token("main"))
        other = await joined(running, target_lang="fra", token=access.join_token("main"))
        await said(phone, 11, 12)
        assert await other.resume(after_seq=0) == (0, 0), "it heard both"
        newcomer = await joined(running, target_lang="fra", token=access.admin_token)
        assert await newcomer.resume(after_seq=0) == (0, 2)
        (room,) = rooms
        assert len(room.speakers.list()) == 1
        for leaving in (phone, other, newcomer):
            assert list(rooms) == [room]
            await leaving.drop()
        assert list(rooms) == []
        again = await joined(running, target_lang="fra", token=access.join_token("main"))
        assert again.history_id != phone.history_id
        (room,) = rooms
        assert len(room.speakers.list()) == 0
    assert written(tmp_path) == ["server.key"]


async def test_what_is_in_flight_when_the_last_member_leaves_is_forgotten_with_the_room(
    tmp_path: Path, fakes: Fakes, gate: threading.Event
) -> None:
    async with serving(Settings(retain=False, state_dir=tmp_path, log_level="error"), fakes.engines) as running:
        fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
        phone = await joined(running, target_lang="fra")
        await phone.now.say(speech(11))
        await phone.now.catch_up()
        await phone.drop()
        rooms = running.server.rooms
        assert rooms is not None
        assert list(rooms) != []
        gate.set()
        await until(lambda: list(rooms) == [])
    assert written(tmp_path) == []
