"""The voices of those who agreed to it, in an SQLite file, encrypted with a key that is not in it.

What a voice sounds like, whose it is and when its person agreed are sealed with AES-256-GCM, each voice with a nonce of
its own at every writing. Room, voice id and encoder are authenticated with them, so that no voice can be put in
another's place. They can be read without the key, and so can the time at which a voice was last heard, as what has
become too old is deleted by it.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from babblefish.conversation.speakers import Consent, KnownSpeaker, SpeakerRecord, VoiceChange
from babblefish.conversation.sqlite_file import SqliteFile

_log = logging.getLogger(__name__)

_APPLICATION = 0x42616256
"""Marks a file as one of these: "BabV"."""

_VERSION = 1

_SCHEMA = """
CREATE TABLE voices (
    room TEXT NOT NULL,
    voice_id TEXT NOT NULL,
    encoder TEXT NOT NULL,
    last_heard_s REAL NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (room, voice_id)
) WITHOUT ROWID;
CREATE INDEX voices_by_age ON voices (last_heard_s);
CREATE TABLE seal (sealed BLOB NOT NULL);
"""

_NONCE_BYTES = 12
_SEAL = b"babblefish voices"


class VoiceFile(SqliteFile):
    """The file of the voices."""

    def __init__(self, path: Path, key: bytes) -> None:
        """Keep voices in a file, which is made if there is none.

        Args:
            path: Where.
            key: Secret, of any length with 256 bits of chance in it.
        """
        super().__init__(path, _APPLICATION, _VERSION, _SCHEMA)
        derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_SEAL).derive(key)
        self._cipher = AESGCM(derived)

    def write(self, changes: Sequence[VoiceChange]) -> None:
        """Write changes, all or none of them; nothing is left of what is deleted.

        Raises:
            StoreError: They cannot be written.
        """
        with self._open() as database:
            for room, voice_id, encoder, record in changes:
                if record is None:
                    database.execute("DELETE FROM voices WHERE room = ? AND voice_id = ?", (room, voice_id))
                else:
                    sealed = self._seal(_content(record), _place(room, voice_id, encoder))
                    row = (room, voice_id, encoder, record.known.last_heard_s, sealed)
                    database.execute("INSERT OR REPLACE INTO voices VALUES (?, ?, ?, ?, ?)", row)
        if any(change.record is None for change in changes):
            self._empty_log()

    def load(self, room: str, encoder: str, since_s: float) -> tuple[SpeakerRecord, ...]:
        """Return the voices of a room whose embeddings can be compared with those of an encoder.

        Args:
            room: Its name.
            encoder: Name and version.
            since_s: Unix time; voices that were last heard before it are left out.

        Raises:
            StoreError: The file cannot be read.
        """
        return tuple(record for found, record in self.kept(room, since_s) if found == encoder)

    def kept(self, room: str, since_s: float) -> list[tuple[str, SpeakerRecord]]:
        """Return the voices of a room and the name and version of each one's encoder; who agreed first comes first.

        Args:
            room: Its name.
            since_s: Unix time; voices that were last heard before it are left out.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._open() as database:
            rows = database.execute(
                "SELECT voice_id, encoder, sealed FROM voices WHERE room = ? AND last_heard_s >= ?", (room, since_s)
            ).fetchall()
        found = [(row["encoder"], self._record((room, row["voice_id"], row["encoder"]), row["sealed"])) for row in rows]
        records = [(encoder, record) for encoder, record in found if record is not None]
        return sorted(records, key=lambda of: of[1].consent.given_s if of[1].consent else 0.0)

    def forget_before(self, last_heard_s: float) -> None:
        """Delete the voices that were last heard before a Unix time.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._open() as database:
            gone = database.execute("DELETE FROM voices WHERE last_heard_s < ?", (last_heard_s,)).rowcount
        if gone:
            self._empty_log()

    def _begin(self, database: sqlite3.Connection) -> None:
        """Make sure that what is in the file was sealed with this key."""
        found = database.execute("SELECT sealed FROM seal").fetchone()
        if found is None:
            with database:
                database.execute("INSERT INTO seal VALUES (?)", (self._seal(b"", _SEAL),))
            return
        try:
            self._unseal(found["sealed"], _SEAL)
        except InvalidTag:
            raise OSError("it is encrypted with another key; bring that back, or name another file") from None

    def _record(self, place: tuple[str, str, str], sealed: bytes) -> SpeakerRecord | None:
        try:
            content = json.loads(self._unseal(sealed, _place(*place)))
        except InvalidTag:  # SQLite would have noticed a damaged page, and the key is right
            _log.critical("a voice in %s has been changed by somebody else, and is left out", self.path)
            return None
        return _restored(place[1], content)

    def _seal(self, content: bytes, place: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, place)

    def _unseal(self, sealed: bytes, place: bytes) -> bytes:
        return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)


def _place(room: str, voice_id: str, encoder: str) -> bytes:
    return json.dumps([room, voice_id, encoder]).encode()


def _content(record: SpeakerRecord) -> bytes:
    """Put down all that is known of a voice but the clients that carried it, which are gone after a restart."""
    assert record.consent is not None
    known = record.known
    content = {
        "speaker_id": known.speaker_id,
        "name": known.name,
        "samples": known.samples,
        "last_heard_s": known.last_heard_s,
        "is_named": record.is_named,
        "centroid": base64.b64encode(record.centroid.astype("<f4").tobytes()).decode(),
        "speech_s": record.speech_s,
        "is_person": record.is_person,
        "agreed_s": record.consent.given_s,
    }
    return json.dumps(content).encode()


def _restored(voice_id: str, content: dict[str, Any]) -> SpeakerRecord:
    known = KnownSpeaker(content["speaker_id"], content["name"], content["samples"], content["last_heard_s"])
    return SpeakerRecord(
        known=known,
        is_named=content["is_named"],
        centroid=np.frombuffer(base64.b64decode(content["centroid"]), dtype="<f4").astype(np.float32),
        speech_s=content["speech_s"],
        first_client_id="",
        last_client_id="",
        is_person=content["is_person"],
        consent=Consent(voice_id, content["agreed_s"]),
    )
