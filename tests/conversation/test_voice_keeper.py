"""Voices in a file: of those who agreed and nobody else's, sealed, and gone where they are to be forgotten."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from babblefish.conversation.speakers import Consent, Snapshot, SpeakerRecord, SpeakerRegistry, VoiceChange
from babblefish.conversation.voice_file import VoiceFile
from babblefish.conversation.voice_keeper import VoiceKeeper
from babblefish.engines.contracts import Embedding
from tests.support.fakes import VOICE_SCALE, Clock
from tests.support.waiting import until

DAY_S = 86_400.0
KEY = b"a key of this test"
ENCODER = "fake 1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "voices.db"


def voice(number: int) -> Embedding:
    """Return one of many voices that are not alike."""
    embedding = np.random.default_rng(number).normal(size=192).astype(np.float32)
    return np.asarray(embedding / np.linalg.norm(embedding), dtype=np.float32)


class House:
    """A keeper and the voices of the rooms that it keeps, until the process ends."""

    def __init__(self, path: Path, clock: Clock, key: bytes = KEY) -> None:
        self.file = VoiceFile(path, key)
        self.keeper = VoiceKeeper(self.file, 30.0, clock, retry_s=0.01)
        self.clock = clock

    async def voices(self, room: str = "main", encoder: str = ENCODER) -> SpeakerRegistry:
        """Open a room and return the voices that it knows."""

        def changed(voice_id: str, record: SpeakerRecord | None) -> None:
            self.keeper.put(VoiceChange(room, voice_id, encoder, record))

        voices = SpeakerRegistry(VOICE_SCALE, 1.0, when_changed=changed, clock=self.clock)
        voices.adopt(Snapshot(await self.keeper.load(room, encoder)))
        return voices

    def agreed(self, voices: SpeakerRegistry, number: int, name: str) -> str:
        """Let somebody speak who agrees that their voice is stored, and return under which id it is."""
        match = voices.identify(voice(number), 5.0, name, name)
        voices.agree(match.speaker_id, Consent(f"voice-of-{name}", self.clock()))
        return match.speaker_id


@contextlib.asynccontextmanager
async def open_house(path: Path, clock: Clock, key: bytes = KEY) -> AsyncIterator[House]:
    house = House(path, clock, key)
    try:
        yield house
    finally:
        await house.keeper.close()


@pytest.fixture
async def house(path: Path, clock: Clock) -> AsyncIterator[House]:
    async with open_house(path, clock) as house:
        yield house


def content(path: Path) -> bytes:
    """Return all that is in the file and its write-ahead log."""
    return path.read_bytes() + path.with_name(f"{path.name}-wal").read_bytes()


def spoil(path: Path) -> None:
    path.write_bytes(b"x" * 100 + path.read_bytes()[100:])


def names(voices: SpeakerRegistry) -> list[str]:
    return [known.name for known in voices.list()]


async def test_who_agreed_is_known_after_a_restart_and_nobody_else(path: Path, clock: Clock) -> None:
    async with open_house(path, clock) as house:
        voices = await house.voices()
        voices.identify(voice(1), 5.0, "phone", "Bob")
        house.agreed(voices, 2, "Anna")
        voices.rename("speaker_2", "Anna M.")
        voices.identify(voice(2), 5.0, "phone")
        before = voices.voice_of("voice-of-Anna")
        assert before is not None
    async with open_house(path, clock) as house:
        voices = await house.voices()
        (again,) = voices.snapshot().records
        assert (again.known, again.speech_s, again.consent) == (before.known, before.speech_s, before.consent)
        np.testing.assert_array_equal(again.centroid, before.centroid)
        assert again.first_client_id == again.last_client_id == "", "which client it was is nobody's business"
        assert voices.identify(voice(2), 5.0, "another phone").name == "Anna M."
        assert voices.identify(voice(1), 5.0, "phone").speaker_id == "speaker_3", "no voice's id is reused"
        assert names(await house.voices("kitchen")) == []


async def test_neither_a_name_nor_a_voice_can_be_read_without_the_key(house: House, path: Path) -> None:
    voices = await house.voices()
    house.agreed(voices, 1, "Annabella")
    assert await house.keeper.flush()
    written = content(path)
    assert b"voice-of-Annabella" in written, "the id tells nothing"
    for secret in (b'"Annabella"', voice(1).tobytes()[:16], base64.b64encode(voice(1).tobytes())[:16], KEY):
        assert secret not in written


async def test_a_file_of_another_key_is_left_as_it_is(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_house(path, clock) as house:
        house.agreed(await house.voices(), 1, "Anna")
    async with open_house(path, clock, b"another key") as other:
        voices = await other.voices()
        other.agreed(voices, 2, "Bob")
        assert names(voices) == ["Bob"], "talking goes on"
        assert not await other.keeper.flush()
        assert "encrypted with another key" in (other.keeper.problem or "")
        assert other.keeper.set_aside is None
    async with open_house(path, clock) as house:
        assert names(await house.voices()) == ["Anna"]
    assert "voices are not stored as they are" in caplog.text


async def test_voices_of_another_encoder_are_not_compared_and_not_lost(house: House) -> None:
    house.agreed(await house.voices(), 1, "Anna")
    assert names(await house.voices(encoder="fake 2")) == []
    assert names(await house.voices()) == ["Anna"]


async def test_no_voice_can_be_put_in_the_place_of_another(path: Path, clock: Clock) -> None:
    async with open_house(path, clock) as house:
        voices = await house.voices()
        house.agreed(voices, 1, "Anna")
        house.agreed(voices, 2, "Bob")
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        (of_bob,) = database.execute("SELECT sealed FROM voices WHERE voice_id = 'voice-of-Bob'").fetchone()
        database.execute("UPDATE voices SET sealed = ? WHERE voice_id = 'voice-of-Anna'", (of_bob,))
    async with open_house(path, clock) as house:
        assert names(await house.voices()) == ["Bob"]


async def test_who_is_forgotten_leaves_no_trace_in_the_file(house: House, path: Path) -> None:
    voices = await house.voices()
    anna = house.agreed(voices, 1, "Anna")
    house.agreed(voices, 2, "Bob")
    assert await house.keeper.flush()
    voices.forget(anna)
    assert await house.keeper.flush()
    assert b"voice-of-Anna" not in content(path)
    assert names(await house.voices()) == ["Bob"]


async def test_of_two_that_were_one_the_other_is_deleted(house: House) -> None:
    voices = await house.voices()
    house.agreed(voices, 1, "Anna")
    house.agreed(voices, 2, "Anne")
    voices.merge("speaker_1", "speaker_2")
    assert names(await house.voices()) == ["Anna"]
    voices = await house.voices("kitchen")
    voices.identify(voice(3), 5.0, "phone")
    house.agreed(voices, 4, "Chiara")
    voices.merge("speaker_1", "speaker_2")
    assert [known.speaker_id for known in (await house.voices("kitchen")).list()] == ["speaker_1"], "it has agreed"


async def test_a_voice_that_nobody_heard_for_long_is_deleted(house: House, path: Path, clock: Clock) -> None:
    voices = await house.voices()
    house.agreed(voices, 1, "Anna")
    clock.now_s += 20 * DAY_S
    house.agreed(voices, 2, "Bob")
    clock.now_s += 20 * DAY_S
    assert names(await house.voices()) == ["Bob"]
    watching = asyncio.create_task(house.keeper.watch())
    await until(lambda: b"voice-of-Anna" not in content(path))
    watching.cancel()
    await asyncio.wait([watching])
    assert names(await house.voices()) == ["Bob"]


async def test_the_voices_of_those_who_agreed_are_the_last_to_make_place(path: Path, clock: Clock) -> None:
    voices = SpeakerRegistry(VOICE_SCALE, 1.0, limit=2, clock=clock)
    voices.identify(voice(1), 5.0, "phone")
    voices.agree("speaker_1", Consent("voice-1", clock()))
    for number in (2, 3):
        clock.now_s += 1.0
        voices.identify(voice(number), 5.0, f"phone {number}", f"Guest {number}")
    assert names(voices) == ["Speaker 1", "Guest 3"]


async def test_the_file_of_the_voices_is_for_nobody_else(house: House, path: Path) -> None:
    house.agreed(await house.voices(), 1, "Anna")
    assert await house.keeper.flush()
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_where_the_disk_is_full_people_talk_and_what_changed_is_stored_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    voices = await house.voices()
    house.agreed(voices, 1, "Anna")
    assert await house.keeper.flush()
    connect = house.file._connect

    def small() -> sqlite3.Connection:
        database = connect()
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        return database

    house.file.close()
    monkeypatch.setattr(house.file, "_connect", small)
    for number in range(2, 20):
        house.agreed(voices, number, f"Guest {number}")
    assert not await house.keeper.flush()
    assert "full" in (house.keeper.problem or "")
    voices.forget("speaker_1")
    monkeypatch.setattr(house.file, "_connect", connect)
    await until(lambda: house.keeper.problem is None)
    assert set(names(await house.voices())) == {f"Guest {number}" for number in range(2, 20)}


async def test_a_damaged_file_of_voices_is_set_aside(path: Path, clock: Clock) -> None:
    async with open_house(path, clock) as house:
        house.agreed(await house.voices(), 1, "Anna")
    spoil(path)
    async with open_house(path, clock) as house:
        voices = await house.voices()
        assert names(voices) == []
        house.agreed(voices, 2, "Bob")
        assert names(await house.voices()) == ["Bob"]
        assert house.keeper.problem is None
        assert house.keeper.set_aside is not None


async def test_voices_that_do_not_come_let_people_in(
    house: House, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babblefish.conversation.voice_keeper._LOAD_S", 0.05)
    monkeypatch.setattr(house.file, "load", lambda *_: gate.wait(10) and ())
    assert names(await house.voices()) == []
    assert "does not answer" in (house.keeper.problem or "")
    gate.set()
    await until(lambda: house.keeper.problem is None)


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.conversation.test_voice_keeper import House, voice
from tests.support.fakes import Clock

async def talk():
    house = House(Path(sys.argv[1]), Clock())
    voices = await house.voices()
    for number in range(int(sys.argv[2])):
        house.agreed(voices, number, f"Guest {number}")
        if number % 3 == 2:
            voices.forget(f"speaker_{number}")  # the one before
        assert await house.keeper.flush()
        print(number, flush=True)
    house.agreed(voices, 1000, "Late")  # what nobody was told of may be lost
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(talk())
"""


@pytest.mark.slow
async def test_what_was_confirmed_outlives_a_process_that_is_killed(path: Path, clock: Clock) -> None:
    command = [sys.executable, "-c", _KILLED, str(path), "50"]
    killed = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    told, _ = await asyncio.wait_for(killed.communicate(), 60)
    assert [int(line) for line in told.split()] == list(range(50))
    async with open_house(path, clock) as house:
        voices = await house.voices()
        assert house.keeper.problem is None
        kept = [f"Guest {number}" for number in range(50) if number % 3 != 1 or number == 49]
        assert sorted(set(names(voices)) - {"Late"}) == sorted(kept)
        for known in voices.list():
            if known.name != "Late":
                number = int(known.name.removeprefix("Guest "))
                assert voices.identify(voice(number), 5.0, "phone").speaker_id == known.speaker_id
