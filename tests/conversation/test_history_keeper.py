"""Histories in a file: what is written is there afterwards, and where it cannot be written, talking goes on."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from babblefish.conversation.history import History, HistoryEntry, KeptCaption
from babblefish.conversation.history_file import HistoryFile
from babblefish.conversation.history_keeper import HistoryKeeper
from babblefish.conversation.store_thread import StoreError
from babblefish.domain import UNKNOWN_SPEAKER, Caption, Deadline, Quality, SpeakerMatch, Transcript, Utterance
from babblefish.pipeline.job import UtteranceJob
from tests.support.fakes import Clock, speech
from tests.support.waiting import until

DAY_S = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "history.db"


class House:
    """A keeper and the histories that it keeps, until the process ends."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.file = HistoryFile(path)
        self.keeper = HistoryKeeper(self.file, 7.0, clock, retry_s=0.01)
        self.clock = clock

    async def history(self, room: str = "main", limit: int = 10) -> History:
        history = History(limit, self.clock, room, self.keeper)
        await history.settle()
        return history

    async def said(self, room: str = "main", since_s: float = 0.0) -> list[str]:
        assert await self.keeper.flush()
        return [entry.transcript.text async for some in self.keeper.said_in(room, since_s) for entry in some]


@contextlib.asynccontextmanager
async def open_house(path: Path, clock: Clock) -> AsyncIterator[House]:
    house = House(path, clock)
    try:
        yield house
    finally:
        await house.keeper.close()


@pytest.fixture
async def house(path: Path, clock: Clock) -> AsyncIterator[House]:
    async with open_house(path, clock) as house:
        yield house


def add(history: History, text: str, speaker: str = "speaker_1", **translations: str) -> HistoryEntry:
    """Let something have been said in French and translated."""
    job = UtteranceJob(Utterance(f"u-{text}", "phone", speech(11), frozenset(), 0.0), Deadline.after(1.0))
    match = SpeakerMatch(speaker, "Claire", 0.75, is_likely=True)
    entry = history.append(job, Transcript(text, "fra", 0.9, 0.8), match, len(translations), is_doubtful=True)
    for lang, translation in translations.items():
        entry.add(KeptCaption(Caption(translation, lang, Quality.DRAFT, ("fra", "eng", lang)), 12.5, {"decode": 1.0}))
    return entry


def known(entry: HistoryEntry) -> dict[str, Any]:
    """What a store has of a result: all but how long its stages took."""
    kept = {lang: (one.caption, one.latency_ms) for lang, one in entry.captions.items()}
    fields = vars(entry) | {"captions": kept}
    return {name: value for name, value in fields.items() if name not in ("complete", "kept", "when_captioned", "due")}


def content(path: Path) -> bytes:
    """Return all that is in the file and its write-ahead log."""
    return path.read_bytes() + path.with_name(f"{path.name}-wal").read_bytes()


def spoil(path: Path, damage: str) -> bytes:
    """Damage a file and return what is in it then."""
    data = bytearray(path.read_bytes())
    if damage == "no database":
        data[:100] = b"x" * 100
    else:
        data[4096 * 4 : 4096 * 12] = b"\xff" * 4096 * 8
    path.write_bytes(data)
    return bytes(data)


async def test_what_was_said_is_there_after_a_restart_and_the_numbers_go_on(path: Path, clock: Clock) -> None:
    async with open_house(path, clock) as house:
        history = await house.history()
        before = [add(history, "bonjour", spa="hola", eng="hello"), add(history, "oui", "speaker_3")]
        await asyncio.gather(*(entry.kept.wait() for entry in before))
    async with open_house(path, clock) as house:
        again = await house.history()
        assert (again.history_id, again.newest_seq, again.next_voice) == (history.history_id, 2, 4)
        entries, lost = again.between(0, 2, 0.0)
        assert [known(entry) for entry in entries] == [known(entry) for entry in before]
        assert lost == 0
        assert add(again, "non").seq == 3
        assert await house.said() == ["bonjour", "oui", "non"]
        assert (await house.history("kitchen")).newest_seq == 0


async def test_only_the_newest_come_into_memory_and_all_are_in_the_record(house: House) -> None:
    history = await house.history()
    for number in range(450):  # more than are written or read at once
        add(history, f"said {number}")
    again = await house.history(limit=5)
    assert [entry.seq for entry in again.between(0, 450, 0.0)[0]] == [446, 447, 448, 449, 450]
    assert again.between(0, 450, 0.0)[1] == 445
    assert await house.said() == [f"said {number}" for number in range(450)]


async def test_a_new_name_of_a_voice_is_that_of_what_it_said(house: House) -> None:
    history = await house.history()
    add(history, "bonjour")
    add(history, "oui", "speaker_2")
    history.renamed("speaker_1", "Claire M.")
    entries, _ = (await house.history()).between(0, 2, 0.0)
    assert [entry.speaker.name for entry in entries] == ["Claire M.", "Claire"]


async def test_whose_a_result_was_after_all_is_stored(house: House) -> None:
    history = await house.history()
    for text in ("bonjour", "oui", "non"):
        add(history, text)
    assert history.relabel({"u-oui", "u-gone"}, SpeakerMatch("speaker_2", "Bob", 1.0)) == (2,)
    entries, _ = (await house.history()).between(0, 9, 0.0)
    assert [(one.speaker.speaker_id, one.speaker.name, one.speaker.is_likely) for one in entries] == [
        ("speaker_1", "Claire", True),
        ("speaker_2", "Bob", False),
        ("speaker_1", "Claire", True),
    ]


async def test_the_name_of_a_forgotten_voice_is_in_no_history_of_its_room(house: House) -> None:
    add(await house.history(), "bonjour")
    add(await house.history("kitchen"), "salut")
    await house.said()
    with house.file._open() as database:
        database.execute("UPDATE histories SET is_ended = 1 WHERE room = 'main'")
    history = await house.history()
    add(history, "oui")
    add(history, "non", "speaker_2")
    history.replace_voice("speaker_1", UNKNOWN_SPEAKER, "Claire")
    assert [entry.speaker.speaker_id for entry in history] == ["unknown", "speaker_2"]
    assert await house.keeper.flush()
    said = [
        (entry.speaker.name, entry.transcript.text) async for some in house.keeper.said_in("main", 0) for entry in some
    ]
    assert said == [("Unknown speaker", "bonjour"), ("Unknown speaker", "oui"), ("Claire", "non")]
    assert [entry.speaker.name for entry in await house.history("kitchen")] == ["Claire"], "another room's"


async def test_what_is_too_old_is_shown_to_nobody_and_deleted(house: House, path: Path, clock: Clock) -> None:
    history = await house.history()
    add(history, "a secret of last week", eng="gone")
    clock.now_s += 6 * DAY_S
    add(history, "bonjour")
    add(await house.history("kitchen"), "salut")
    assert len(await house.said()) == 2
    clock.now_s += 2 * DAY_S
    assert await house.said() == ["bonjour"]
    assert len((await house.history()).between(0, 9, 0.0)[0]) == 1
    watching = asyncio.create_task(house.keeper.watch())
    await until(lambda: b"secret of last week" not in content(path))
    watching.cancel()
    await asyncio.wait([watching])
    assert await house.said() == ["bonjour"]
    assert (await house.history()).newest_seq == 2


async def test_what_is_forgotten_leaves_no_trace_in_the_file(house: House, path: Path) -> None:
    history = await house.history()
    entry = add(history, "a secret", eng="whispered")
    add(await house.history("kitchen"), "salut")
    await house.keeper.forget("main")
    history.clear()
    entry.add(KeptCaption(Caption("whispered again", "spa", Quality.GOOD, ("fra", "spa")), 1.0, {}))
    assert await house.said() == []
    assert await house.said("kitchen") == ["salut"]
    assert add(history, "bonjour").seq == 2
    assert await house.said() == ["bonjour"]
    assert b"secret" not in content(path)
    assert b"whispered" not in content(path)
    assert (await house.history()).history_id == history.history_id


async def test_the_file_is_for_nobody_else(house: House, path: Path) -> None:
    add(await house.history(), "bonjour")
    await house.said()
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_second_server_stays_out_of_the_file(
    house: House, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babblefish.conversation.sqlite_file._LOCKED_S", 0.01)
    add(await house.history(), "bonjour")
    await house.said()
    async with open_house(path, clock) as other:
        history = await other.history()
        assert "locked" in (other.keeper.problem or "")
        add(history, "oui")
        await until(lambda: history.is_settled)
    assert await house.said() == ["bonjour"]


async def test_a_full_disk_stops_the_storing_and_holds_up_nobody(
    house: House, path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = await house.history()
    add(history, "bonjour")
    await house.said()
    connect = house.file._connect

    def small() -> sqlite3.Connection:
        database = connect()
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        return database

    house.file.close()
    monkeypatch.setattr(house.file, "_connect", small)
    entries = [add(history, f"{number} {'x' * 5000}", eng="y" * 5000) for number in range(5)]
    await asyncio.gather(*(entry.kept.wait() for entry in entries))
    assert "full" in (house.keeper.problem or "")
    assert await house.keeper.load("kitchen", 5) is None
    assert not path.with_name("history.db.complete").exists()
    with pytest.raises(StoreError):
        await house.keeper.forget("main")
    monkeypatch.setattr(house.file, "_connect", connect)
    await until(lambda: house.keeper.problem is None)
    assert len(await house.said()) == 6, "what waited is stored when there is space again"
    assert path.with_name("history.db.complete").exists()
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "what is said is not stored",
        "what is said is stored again",
    ]


async def test_numbers_that_no_file_knows_are_not_given_again_under_the_same_id(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(path, clock) as house:
        history = await house.history()
        add(history, "bonjour")
        await house.said()

        def broken(changes: object) -> None:
            raise StoreError("scripted failure")

        monkeypatch.setattr(house.file, "write", broken)
        await add(history, "oui").kept.wait()
    async with open_house(path, clock) as house:
        again = await house.history()
        assert again.history_id != history.history_id
        assert add(again, "non").seq == 1
        assert await house.said() == ["bonjour", "non"]
    async with open_house(path, clock) as house:
        assert (await house.history()).history_id == again.history_id


async def test_too_much_that_waits_is_lost_and_counted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("babblefish.conversation.history_keeper._MOST_WAITING", 3)
    history = await house.history()
    write = house.file.write

    def broken(changes: object) -> None:
        raise StoreError("scripted failure")

    monkeypatch.setattr(house.file, "write", broken)
    entries = [add(history, f"said {number}") for number in range(5)]
    await asyncio.gather(*(entry.kept.wait() for entry in entries[2:]))
    monkeypatch.setattr(house.file, "write", write)
    await until(lambda: house.keeper.problem is None)
    assert house.keeper.lost == 2
    assert await house.said() == ["said 2", "said 3", "said 4"]


@pytest.mark.parametrize("damage", ["no database", "a broken page"])
async def test_a_damaged_file_is_set_aside_and_a_new_one_is_begun(path: Path, clock: Clock, damage: str) -> None:
    async with open_house(path, clock) as house:
        history = await house.history()
        for number in range(300):
            add(history, f"said {number}", eng="x" * 200)
        await house.said()
    data = spoil(path, damage)
    async with open_house(path, clock) as house:
        history = await house.history()
        assert house.keeper.problem is None
        add(history, "bonjour")
        assert await house.said() == ["bonjour"]
        assert house.keeper.set_aside is not None
        assert house.keeper.set_aside.read_bytes() == data


async def test_a_file_of_another_program_is_left_alone(path: Path, clock: Clock) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE accounts (owner TEXT)")
    async with open_house(path, clock) as house:
        add(await house.history(), "bonjour")
        assert "another program" in (house.keeper.problem or "")
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("accounts",)]


async def test_a_store_that_does_not_answer_holds_up_a_result_for_a_moment_only(
    house: House, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babblefish.conversation.history_keeper._PATIENCE_S", 0.05)
    history = await house.history()
    write = house.file.write
    monkeypatch.setattr(house.file, "write", lambda changes: (gate.wait(10), write(changes)))
    await add(history, "bonjour").kept.wait()
    assert house.keeper._waiting
    gate.set()
    assert await house.said() == ["bonjour"]


async def test_a_store_that_does_not_answer_lets_people_in(
    house: House, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babblefish.conversation.history_keeper._LOAD_S", 0.05)
    monkeypatch.setattr(house.file, "load", lambda *_: gate.wait(10) and None)
    assert (await house.history()).newest_seq == 0
    assert "does not answer" in (house.keeper.problem or "")
    gate.set()
    await until(lambda: house.keeper.problem is None)


async def test_whoever_reads_a_lot_keeps_nothing_from_being_stored(house: House) -> None:
    history = await house.history()
    for number in range(300):
        add(history, f"said {number}")
    reading = [asyncio.create_task(house.said()) for _ in range(100)]
    await asyncio.sleep(0)
    add(history, "bonjour")
    assert {len(said) for said in await asyncio.gather(*reading)} <= {300, 301}
    assert house.keeper.problem is None
    assert (await house.said())[-1] == "bonjour"


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.conversation.test_history_keeper import House, add
from tests.support.fakes import Clock

async def talk():
    house = House(Path(sys.argv[1]), Clock())
    history = await house.history()
    for number in range(int(sys.argv[2])):
        entry = add(history, f"said {number}", eng="hello")
        await entry.kept.wait()
        print(entry.seq, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(talk())
"""


@pytest.mark.slow
async def test_what_may_be_sent_outlives_a_process_that_is_killed(path: Path, clock: Clock) -> None:
    command = [sys.executable, "-c", _KILLED, str(path), "50"]
    killed = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    told, _ = await asyncio.wait_for(killed.communicate(), 60)
    assert [int(line) for line in told.split()] == list(range(1, 51))
    async with open_house(path, clock) as house:
        assert (await house.history()).newest_seq == 50
        assert len(await house.said()) == 50
