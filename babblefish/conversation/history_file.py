"""The histories of a server's rooms in an SQLite file: what was said and its captions, never audio, never voices.

A transaction is in the file's write-ahead log before it counts as written, so a process that is killed loses nothing of
it. It is not forced to the disk (``synchronous=NORMAL``): a power cut may lose the last seconds, and leaves the file
consistent.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from babblefish.conversation.history import Change, HistoryEntry, KeptCaption, Renamed, Said, StoredHistory
from babblefish.conversation.history_keeper import StoredResult, StoreError
from babblefish.domain import Caption, Quality, SpeakerMatch, Transcript

_log = logging.getLogger(__name__)

_APPLICATION = 0x42616246
"""Marks a file as one of these (SQLite's ``application_id``): "BabF"."""

_VERSION = 1

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_LOCKED_S = 1.0

_VOICE = re.compile(r"speaker_(\d+)")

_SCHEMA = f"""
BEGIN;
CREATE TABLE histories (
    number INTEGER PRIMARY KEY,
    history_id TEXT NOT NULL UNIQUE,
    room TEXT NOT NULL,
    newest_seq INTEGER NOT NULL,
    next_voice INTEGER NOT NULL,
    is_ended INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX histories_of_rooms ON histories (room);
CREATE TABLE results (
    history_id TEXT NOT NULL REFERENCES histories (history_id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    utterance_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    speaker_id TEXT NOT NULL,
    speaker_name TEXT NOT NULL,
    speaker_confidence REAL NOT NULL,
    speaker_is_likely INTEGER NOT NULL,
    text TEXT NOT NULL,
    lang TEXT NOT NULL,
    lang_confidence REAL NOT NULL,
    confidence REAL NOT NULL,
    made_s REAL NOT NULL,
    made_at TEXT NOT NULL,
    ended_s REAL NOT NULL,
    duration_s REAL NOT NULL,
    is_typed INTEGER NOT NULL,
    is_doubtful INTEGER NOT NULL,
    passage TEXT NOT NULL,
    continues INTEGER NOT NULL,
    is_whole INTEGER NOT NULL,
    latency_ms REAL NOT NULL,
    PRIMARY KEY (history_id, seq)
) WITHOUT ROWID;
CREATE INDEX results_by_age ON results (made_s);
CREATE TABLE captions (
    history_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    lang TEXT NOT NULL,
    text TEXT NOT NULL,
    quality TEXT NOT NULL,
    path TEXT NOT NULL,
    latency_ms REAL NOT NULL,
    PRIMARY KEY (history_id, seq, lang),
    FOREIGN KEY (history_id, seq) REFERENCES results (history_id, seq) ON DELETE CASCADE
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
COMMIT;
"""


class HistoryFile:
    """The file; opened when it is first used. Its methods wait for the disk, and come one after another.

    A damaged file is set aside under another name and a new one is begun. Beside the file lies a mark that it is
    complete. It is taken away when something cannot be written, which takes no space on a full disk: after numbers have
    been given that the file does not know, no history may go on under its id, or they would be given a second time.

    Attributes:
        set_aside: Where a damaged file went, if there was one.
    """

    def __init__(self, path: Path) -> None:
        """Keep histories in a file, which is made if there is none."""
        self._path = path
        self._complete = path.with_name(f"{path.name}.complete")
        self._database: sqlite3.Connection | None = None
        self._was_open = False
        self.set_aside: Path | None = None

    def write(self, changes: Sequence[Change]) -> None:
        """Write changes, all or none of them.

        Raises:
            StoreError: They cannot be written.
        """
        with self._open() as database:
            for change in changes:
                _write(database, change)

    def mark(self, is_complete: bool) -> None:
        """Say whether the file knows every number that was given.

        Raises:
            StoreError: That cannot be written either.
        """
        try:
            if is_complete:
                self._complete.touch(0o600)
            else:
                self._complete.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(str(error)) from error

    def load(self, room: str, limit: int, since_s: float) -> StoredHistory | None:
        """Return the history that a room goes on with, or None where it has none.

        Args:
            room: Its name.
            limit: How many of its newest results are returned.
            since_s: Time of ``steady_unix_s``; older results are not returned.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._open() as database:
            found = database.execute(
                "SELECT history_id, newest_seq, next_voice FROM histories WHERE room = ? AND NOT is_ended"
                " ORDER BY number DESC LIMIT 1",
                (room,),
            ).fetchone()
            if found is None:
                return None
            rows = database.execute(
                "SELECT * FROM results WHERE history_id = ? AND made_s >= ? ORDER BY seq DESC LIMIT ?",
                (found["history_id"], since_s, limit),
            ).fetchall()
            entries = tuple(_entry(database, row) for row in reversed(rows))
            return StoredHistory(found["history_id"], found["newest_seq"], found["next_voice"], entries)

    def knows(self, room: str) -> bool:
        """Say whether there is a history of a room.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._open() as database:
            return database.execute("SELECT 1 FROM histories WHERE room = ?", (room,)).fetchone() is not None

    def said_in(self, room: str, since_s: float, after: tuple[int, int], limit: int) -> list[StoredResult]:
        """Return what was said in a room, in order, at most ``limit`` results.

        Args:
            room: Its name.
            since_s: Time of ``steady_unix_s``; older results are left out.
            after: The place of the last one before these.
            limit: At most so many.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._open() as database:
            rows = database.execute(
                "SELECT number, results.* FROM results JOIN histories USING (history_id)"
                " WHERE room = ? AND made_s >= ? AND (number, seq) > (?, ?) ORDER BY number, seq LIMIT ?",
                (room, since_s, *after, limit),
            ).fetchall()
            return [StoredResult((row["number"], row["seq"]), _entry(database, row)) for row in rows]

    def forget(self, room: str) -> None:
        """Delete what was said in a room, so that nothing of it is left in the file.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._open() as database:
            database.execute("DELETE FROM histories WHERE room = ?", (room,))
        self._empty_log()

    def forget_before(self, made_s: float) -> None:
        """Delete what became a result before a time of ``steady_unix_s``, and rooms of which nothing is left.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._open() as database:
            gone = database.execute("DELETE FROM results WHERE made_s < ?", (made_s,)).rowcount
            database.execute("DELETE FROM histories WHERE history_id NOT IN (SELECT history_id FROM results)")
        if gone:
            self._empty_log()

    def close(self) -> None:
        """Close the file; it is opened again where it is used again."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _empty_log(self) -> None:
        """Leave nothing in the write-ahead log, which would hold deleted texts for longer."""
        with self._open() as database:
            database.commit()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Give a transaction; what goes wrong in it is undone, and a damaged file is set aside.

        Raises:
            StoreError: What went wrong.
        """
        try:
            if self._database is None:
                self._database = self._connect()
            with self._database:
                yield self._database
        except (sqlite3.Error, OSError) as error:
            self.close()  # and look at it anew, as it may be another by then
            if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                self._set_aside()
                raise StoreError(f"{self._path} was damaged, and was set aside as {self.set_aside}") from error
            raise StoreError(f"{self._path}: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600))
        database = sqlite3.connect(self._path, timeout=_LOCKED_S, check_same_thread=False)
        try:
            self._set_up(database)
        except BaseException:
            database.close()
            raise
        return database

    def _set_up(self, database: sqlite3.Connection) -> None:
        """Check the file and lay out a new one; another process is kept out of it from then on."""
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL").fetchall()
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("PRAGMA secure_delete = ON").fetchall()
        for (found,) in database.execute("PRAGMA quick_check(1)"):
            if found != "ok":
                error = sqlite3.DatabaseError(found)
                error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise error
        application = database.execute("PRAGMA application_id").fetchone()[0]
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
            database.executescript(_SCHEMA)
        elif (application, version) != (_APPLICATION, _VERSION):
            raise OSError("it is a database of another program or another version; name another file")
        if not self._was_open:
            if not self._complete.exists():
                with database:
                    database.execute("UPDATE histories SET is_ended = 1")
            self._complete.touch(0o600)
            self._was_open = True

    def _set_aside(self) -> None:
        """Give a damaged file another name, with what belongs to it.

        Raises:
            StoreError: That cannot be done.
        """
        aside = self._path.with_name(f"{self._path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            for suffix in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    self._path.with_name(f"{self._path.name}{suffix}").rename(f"{aside}{suffix}")
        except OSError as error:
            raise StoreError(f"{self._path} is damaged and cannot be set aside: {error}") from error
        self.set_aside = aside
        _log.critical("%s is damaged; it was set aside as %s, and a new one is begun", self._path, aside)


def _write(database: sqlite3.Connection, change: Change) -> None:
    if isinstance(change, Said):
        _write_said(database, change)
    elif isinstance(change, Renamed):
        database.execute(
            "UPDATE results SET speaker_name = ? WHERE history_id = ? AND speaker_id = ? AND NOT is_typed",
            (change.name, change.history_id, change.speaker_id),
        )
    else:
        caption = change.kept.caption
        database.execute(
            "INSERT OR REPLACE INTO captions SELECT ?, ?, ?, ?, ?, ?, ?"
            " WHERE EXISTS (SELECT 1 FROM results WHERE history_id = ? AND seq = ?)",  # it may be forgotten already
            (
                *(change.history_id, change.seq, caption.lang, caption.text, caption.quality),
                *(" ".join(caption.path), change.kept.latency_ms, change.history_id, change.seq),
            ),
        )


def _write_said(database: sqlite3.Connection, said: Said) -> None:
    entry = said.entry
    speaker, transcript = entry.speaker, entry.transcript
    voice = _VOICE.fullmatch(speaker.speaker_id)
    database.execute(
        "INSERT INTO histories (history_id, room, newest_seq, next_voice) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (history_id) DO UPDATE SET newest_seq = max(newest_seq, excluded.newest_seq),"
        " next_voice = max(next_voice, excluded.next_voice)",
        (said.history_id, said.room, entry.seq, int(voice[1]) + 1 if voice else 1),
    )
    row = (
        *(said.history_id, entry.seq, entry.utterance_id, entry.client_id),
        *(speaker.speaker_id, speaker.name, speaker.confidence, speaker.is_likely),
        *(transcript.text, transcript.lang, transcript.lang_confidence, transcript.confidence),
        *(entry.made_s, entry.made_at.isoformat(), entry.ended_s, entry.duration_s),
        *(entry.is_typed, entry.is_doubtful, entry.passage, entry.continues, entry.is_whole),
        entry.captions[transcript.lang].latency_ms,
    )
    database.execute(f"INSERT OR IGNORE INTO results VALUES ({', '.join('?' * len(row))})", row)


def _entry(database: sqlite3.Connection, row: sqlite3.Row) -> HistoryEntry:
    original = Caption(row["text"], row["lang"], Quality.ORIGINAL, (row["lang"],))
    captions = {row["lang"]: KeptCaption(original, row["latency_ms"], {})}
    of_it = (row["history_id"], row["seq"])
    for made in database.execute("SELECT * FROM captions WHERE history_id = ? AND seq = ?", of_it):
        caption = Caption(made["text"], made["lang"], Quality(made["quality"]), tuple(made["path"].split()))
        captions[made["lang"]] = KeptCaption(caption, made["latency_ms"], {})
    entry = HistoryEntry(
        seq=row["seq"],
        utterance_id=row["utterance_id"],
        client_id=row["client_id"],
        speaker=SpeakerMatch(
            row["speaker_id"], row["speaker_name"], row["speaker_confidence"], is_likely=bool(row["speaker_is_likely"])
        ),
        transcript=Transcript(row["text"], row["lang"], row["lang_confidence"], row["confidence"]),
        due=0,
        captions=captions,
        made_s=row["made_s"],
        ended_s=row["ended_s"],
        duration_s=row["duration_s"],
        is_typed=bool(row["is_typed"]),
        is_doubtful=bool(row["is_doubtful"]),
        passage=row["passage"],
        continues=bool(row["continues"]),
        is_whole=bool(row["is_whole"]),
        made_at=datetime.fromisoformat(row["made_at"]),
    )
    entry.complete.set()
    entry.kept.set()
    return entry
