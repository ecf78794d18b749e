"""An SQLite file that somebody's words or voice are stored in: whole after a crash, for nobody else, damage set aside.

A transaction is in the file's write-ahead log before it counts as written, so a process that is killed loses nothing of
it. It is not forced to the disk (``synchronous=NORMAL``): a power cut may lose the last seconds, and leaves the file
consistent.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from babblefish.conversation.store_thread import StoreError

_log = logging.getLogger(__name__)

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_LOCKED_S = 1.0


class SqliteFile:
    """The file; opened when it is first used. Its methods wait for the disk, and come one after another.

    A damaged file is set aside under another name and a new one is begun. Another process is kept out of it.

    Attributes:
        path: Where it is.
        set_aside: Where a damaged file went, if there was one.
    """

    def __init__(self, path: Path, application: int, version: int, schema: str) -> None:
        """Use a file, which is made if there is none.

        Args:
            path: Where it is.
            application: Marks it as one of its kind (SQLite's ``application_id``).
            version: Of its schema.
            schema: Statements that lay out a new one.
        """
        self.path = path
        self.set_aside: Path | None = None
        self._application = application
        self._version = version
        self._schema = schema
        self._database: sqlite3.Connection | None = None
        self._was_open = False

    def close(self) -> None:
        """Close the file; it is opened again where it is used again."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _begin(self, database: sqlite3.Connection) -> None:
        """Look at what is in the file, when this process first opens it.

        Raises:
            OSError: It is not to be used.
        """

    def _empty_log(self) -> None:
        """Leave nothing in the write-ahead log, which would hold what is deleted for longer."""
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
                raise StoreError(f"{self.path} was damaged, and was set aside as {self.set_aside}") from error
            raise StoreError(f"{self.path}: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600))
        database = sqlite3.connect(self.path, timeout=_LOCKED_S, check_same_thread=False)
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
            database.executescript(
                f"BEGIN; {self._schema} PRAGMA application_id = {self._application};"
                f" PRAGMA user_version = {self._version}; COMMIT;"
            )
        elif (application, version) != (self._application, self._version):
            raise OSError("it is a database of another program or another version; name another file")
        if not self._was_open:
            self._begin(database)
            self._was_open = True

    def _set_aside(self) -> None:
        """Give a damaged file another name, with what belongs to it.

        Raises:
            StoreError: That cannot be done.
        """
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            for suffix in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    self.path.with_name(f"{self.path.name}{suffix}").rename(f"{aside}{suffix}")
        except OSError as error:
            raise StoreError(f"{self.path} is damaged and cannot be set aside: {error}") from error
        self.set_aside = aside
        _log.critical("%s is damaged; it was set aside as %s, and a new one is begun", self.path, aside)
