"""A server that stores what is said goes on after a restart where it was, also after one that nobody prepared."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections import deque
from pathlib import Path
from typing import Any

import httpx
import pytest

from babblefish.client import ConnectionLostError
from babblefish.conversation.history_file import HistoryFile
from babblefish.conversation.store_thread import StoreError
from babblefish.settings import Settings
from tests.support.fakes import Fakes, speech
from tests.support.phones import WORDS, Phone, joined, said
from tests.support.scripted_service import process
from tests.support.serving import Client, Running, serving, still_works
from tests.support.waiting import until

PATH = "/rooms/main/transcript"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(log_level="error", history_file=tmp_path / "history.db")


async def read(running: Running, **query: str) -> list[dict[str, Any]]:
    async with running.http() as http:
        answer = await http.get(PATH, params={"format": "json"} | query)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["entries"])


async def test_a_client_resumes_over_a_restart_and_gets_what_it_missed(settings: Settings, fakes: Fakes) -> None:
    async with serving(settings, fakes.engines) as running:
        speaker = await joined(running, target_lang="fra", name="Claire")
        listener = await joined(running, target_lang="spa")
        await said(speaker, 11)
        await listener.now.wait_for("result")
        await listener.drop()
        await said(speaker, 12, 21)
        assert running.server.rooms is not None
        await running.server.rooms.drain()  # its captions as well, for those who are away
    async with serving(settings, fakes.engines) as running:
        back = Phone(running, target_lang="spa")
        ready = await back.connect()
        assert (ready["history_id"], ready["last_seq"]) == (listener.history_id, 3)
        back.history_id = listener.history_id
        assert await back.resume(after_seq=1) == (2, 0)
        assert [(result["seq"], result["translation"], result["speaker_name"]) for result in back.results] == [
            (2, f"<spa> {WORDS[12]}", "Claire"),
            (3, f"<spa> {WORDS[21]}", "Speaker 2"),
        ]
        await said(back, 31)
        assert (back.results[-1]["seq"], back.results[-1]["speaker_id"]) == (4, "speaker_3"), "no voice's id is reused"
        assert [entry["seq"] for entry in await read(running)] == [1, 2, 3, 4]


async def test_a_room_that_made_place_for_another_comes_back_from_the_file(tmp_path: Path, fakes: Fakes) -> None:
    settings = Settings(log_level="error", history_file=tmp_path / "history.db", max_clients=1, kept_rooms=0)
    async with serving(settings, fakes.engines) as running:
        speaker = await joined(running, target_lang="eng")
        await said(speaker, 11)
        await speaker.drop()
        await (await joined(running, room="kitchen")).drop()
        assert [entry["seq"] for entry in await read(running)] == [1], "also while it is not in memory"
        assert (await speaker.connect())["last_seq"] == 1
        assert speaker.now.messages[0]["history_id"] == speaker.history_id


async def test_the_record_of_a_stored_room_is_read_before_anybody_joins(settings: Settings, fakes: Fakes) -> None:
    async with serving(settings, fakes.engines) as running:
        speaker = await joined(running, target_lang="spa", name="Claire")
        await said(speaker, 11)
        await speaker.now.send_message(type="rename_speaker", speaker_id="speaker_1", name="Claire M.")
        await speaker.now.catch_up()
    async with serving(settings, fakes.engines) as running, running.http() as http:
        (entry,) = await read(running, lang="spa")
        assert (entry["translation"], entry["speaker_name"]) == (f"<spa> {WORDS[11]}", "Claire M.")
        assert (await http.get("/rooms/nowhere/transcript")).status_code == 404
        assert (await http.delete(PATH)).status_code == 204
        assert (await http.get(PATH)).status_code == 404, "not even the name of the room is left"


async def test_where_nothing_may_be_retained_there_is_no_file(settings: Settings, fakes: Fakes) -> None:
    given = settings.model_copy(update={"retain": False})
    async with serving(given, fakes.engines) as running, running.http() as http:
        await said(await joined(running), 11)
        assert (await http.get("/")).json()["history"] == "none"
        assert (await http.get(PATH)).status_code == 404
    assert settings.history_file is not None
    assert not settings.history_file.exists()


async def test_where_nothing_can_be_stored_people_talk_and_the_owner_is_told(
    settings: Settings, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings, fakes.engines) as running, running.http() as http:
        assert (await http.get("/")).json()["history"] == "file"
        speaker = await joined(running, target_lang="eng")
        await said(speaker, 11)
        assert running.server.keeper is not None

        def full(*_: object) -> None:
            raise StoreError("the disk is full")

        for method in ("write", "said_in", "knows", "forget"):
            monkeypatch.setattr(running.server.keeper._store, method, full)
        await said(speaker, 12)
        await still_works(speaker.now)
        state = (await http.get("/dashboard?format=json")).json()
        assert "what is said is not stored: the disk is full" in state["health"]["reasons"]
        assert (await http.get("/")).json()["history"] == "failing"
        assert [entry["seq"] for entry in await read(running)] == [1, 2, 3], "what is in memory"
        assert (await http.get("/rooms/elsewhere/transcript")).status_code == 503
        assert (await http.delete(PATH)).status_code == 503
        assert len(await read(running)) == 3


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch, gate: threading.Event) -> threading.Event:
    """Holds the file back until it is set, and so all that must be stored before it is shown."""
    write = HistoryFile.write
    monkeypatch.setattr("babblefish.conversation.history_keeper._PATIENCE_S", 60.0)
    monkeypatch.setattr(HistoryFile, "write", lambda *given: (gate.wait(10), write(*given)))
    return gate


async def test_no_number_is_shown_to_a_client_before_it_is_stored(
    settings: Settings, fakes: Fakes, stuck: threading.Event
) -> None:
    async with serving(settings, fakes.engines) as running:
        speaker = await running.client(target_lang="fra", audio="none")
        await speaker.say(speech(11))
        assert running.server.rooms is not None
        history = running.server.rooms.open("main").history
        await until(lambda: history.newest_seq == 1)
        newcomer = await running.client(wait_ready=False)
        await speaker.catch_up()
        assert speaker.of_type("result") == []
        assert newcomer.messages == deque()
        stuck.set()
        await speaker.wait_for("result")
        assert (await newcomer.ready())["last_seq"] == 1


async def _talk(client: Client) -> None:
    """Say one thing after another until the server is gone."""
    with contextlib.suppress(ConnectionLostError):
        while True:
            before = len(client.of_type("result"))
            await client.say(speech(11 + len(client.messages) % 2))
            await client.wait_for("result", before + 1)


@pytest.mark.slow
@pytest.mark.parametrize("results", [1, 7])
async def test_what_a_client_has_received_outlives_a_server_that_is_killed(tmp_path: Path, results: int) -> None:
    kept = {"BABBLEFISH_HISTORY_FILE": str(tmp_path / "history.db"), "BABBLEFISH_LOG_LEVEL": "error"}
    async with process(**kept) as server, server.client(target_lang="eng", audio="none") as speaker:
        async with server.client(target_lang="spa", audio="none") as listener:
            history_id = speaker.messages[0]["history_id"]
            talking = asyncio.create_task(_talk(speaker))
            await until(lambda: len(listener.of_type("result")) >= results)
            seen = max(result["seq"] for result in listener.of_type("result"))
        await until(lambda: len(speaker.of_type("result")) >= seen + 3)
        server.signal(signal.SIGKILL)
        await server.ended()
        await talking
        received = speaker.of_type("result")
    async with process(**kept) as server, server.client(target_lang="spa", audio="none") as back:
        ready = back.messages[0]
        assert ready["history_id"] == history_id
        assert ready["last_seq"] >= received[-1]["seq"]
        await back.send_message(type="resume", history_id=history_id, after_seq=seen)
        await back.wait_for("resumed")
        missed = back.of_type("result")
        assert [result["seq"] for result in missed] == list(range(seen + 1, ready["last_seq"] + 1))
        assert [result["source_text"] for result in missed][: len(received) - seen] == [
            result["source_text"] for result in received[seen:]
        ]
        assert back.of_type("resumed")[0]["lost"] == 0
        await back.say(speech(21))
        await back.wait_for("result", len(missed) + 1)
        assert back.of_type("result")[-1]["seq"] == ready["last_seq"] + 1
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
            record = (await http.get(PATH, params={"format": "json", "lang": "eng"})).json()["entries"]
        known = [(entry["seq"], entry["source_text"], entry["translation"]) for entry in record]
        sent = [(result["seq"], result["source_text"], result["translation"]) for result in received]
        assert known[: len(sent) - 1] == sent[:-1]
        assert known[len(sent) - 1][:2] == sent[-1][:2], "at worst, the caption that was made last is missing"
