"""The histories of a server's rooms in an SQLite file: what was said and its captions, never audio, never voices."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from babblefish.conversation.history import (
    Change,
    HistoryEntry,
    KeptCaption,
    Relabelled,
    Renamed,
    Replaced,
    Said,
    StoredHistory,
)
from babblefish.conversation.history_keeper import StoredResult
from babblefish.conversation.sqlite_file import SqliteFile
from babblefish.conversation.store_thread import StoreError
from babblefish.domain import Caption, Quality, SpeakerMatch, Transcript

_APPLICATION = 0x42616246
"""Marks a file as one of these (SQLite's ``application_id``): "BabF"."""

_VERSION = 1

_VOICE = re.compile(r"speaker_(\d+)")

_SCHEMA = """
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
"""


class HistoryFile(SqliteFile):
    """The file of the histories.

    Beside the file lies a mark that it is complete. It is taken away when something cannot be written, which takes no
    space on a full disk: after numbers have been given that the file does not know, no history may go on under its id,
    or they would be given a second time.
    """

    def __init__(self, path: Path) -> None:
        """Keep histories in a file, which is made if there is none."""
        super().__init__(path, _APPLICATION, _VERSION, _SCHEMA)
        self._complete = path.with_name(f"{path.name}.complete")

    def write(self, changes: Sequence[Change]) -> None:
        """Write changes, all or none of them.

        Raises:
            StoreError: They cannot be written.
        """
        with self._open() as database:
            for change in changes:
                _write(database, change)
        if any(isinstance(change, Replaced) for change in changes):
            self._empty_log()

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

    def _begin(self, database: sqlite3.Connection) -> None:
        """Let no history go on where the file does not know every number that was given."""
        if not self._complete.exists():
            with database:
                database.execute("UPDATE histories SET is_ended = 1")
        self._complete.touch(0o600)


def _write(database: sqlite3.Connection, change: Change) -> None:
    if isinstance(change, Said):
        _write_said(database, change)
    elif isinstance(change, Renamed):
        database.execute(
            "UPDATE results SET speaker_name = ? WHERE history_id = ? AND speaker_id = ? AND NOT is_typed",
            (change.name, change.history_id, change.speaker_id),
        )
    elif isinstance(change, Relabelled):
        database.executemany(
            f"UPDATE results SET {_SPEAKER} WHERE history_id = ? AND seq = ?",
            [(*_speaker(change.speaker), change.history_id, seq) for seq in change.seqs],
        )
    elif isinstance(change, Replaced):
        database.execute(
            f"UPDATE results SET {_SPEAKER} WHERE speaker_id = ? AND (history_id = ? OR speaker_name = ? AND"
            " history_id IN (SELECT history_id FROM histories WHERE room = ?))",
            (*_speaker(change.speaker), change.was, change.history_id, change.name, change.room),
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


_SPEAKER = "speaker_id = ?, speaker_name = ?, speaker_confidence = ?, speaker_is_likely = ?"


def _speaker(match: SpeakerMatch) -> tuple[str, str, float, bool]:
    return match.speaker_id, match.name, match.confidence, match.is_likely


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
