"""The clients of a room as the room sees them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from babblefish.conversation.outbox import Envelope, Outbox
from babblefish.domain import NOBODY, Interpreting, Owner
from babblefish.wire import server_messages
from babblefish.wire.server_messages import AudioFormat, Mode, Partial, ServerMessage

_REMEMBERED = 5
"""Utterances whose language is remembered."""


@dataclass(eq=False)
class Backlog:
    """How many utterances of one client are not finished."""

    in_flight: int = 0
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def one_ended(self) -> None:
        """Count one utterance less."""
        self.in_flight -= 1
        self._ended.set()

    async def below(self, limit: int) -> None:
        """Wait until fewer utterances than that are unfinished."""
        while self.in_flight >= limit:
            self._ended.clear()
            await self._ended.wait()


@dataclass(eq=False)
class Member:
    """A connected client in a room.

    Attributes:
        source_lang: ISO 639-3, or one of the wire's words for languages that are to be detected.
        interpreting: Whether it hears what is said while it is being said.
        owner: Whose turn the work for what it says takes.
        allowed_since_s: Unix time since when it might have been in the room; what was said before is not replayed to
            it.
        is_admin: Whether it showed the admin token.
        voice_ids: The voices that are stored for it, by the tokens that it showed or was given.
        backlog: What this client has said and is not finished; it outlives the connection.
        joined_turn: Turns that were taken before it joined; later ones reach it by themselves, these only when it
            resumes.
        missed_until: Newest ``seq`` that was not sent to it, and will not be unless it resumes.
        captioned: Utterances of this client that the others have read an interim caption of, and nothing else yet.
        told_talking: Whether the others believe that it talks.
        spoken_langs: The languages of its last utterances that were sure, the newest last.
    """

    client_id: str
    name: str
    target_lang: str
    source_lang: str
    mode: Mode
    audio: AudioFormat
    outbox: Outbox
    interpreting: Interpreting = "consecutive"
    owner: Owner = NOBODY
    allowed_since_s: float = 0.0
    is_admin: bool = False
    voice_ids: set[str] = field(default_factory=set)
    backlog: Backlog = field(default_factory=Backlog)
    joined_turn: int = 0
    missed_until: int = 0
    captioned: set[str] = field(default_factory=set)
    is_talking: bool = False
    told_talking: bool = False
    spoken_langs: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def send(self, message: ServerMessage) -> None:
        """Encode a message for this client alone."""
        self.outbox.put(server_messages.encode(message))


class Backlogs:
    """What the clients of a room have said and is not finished; it outlives their connections."""

    def __init__(self, members: Mapping[str, Member]) -> None:
        """Begin with none; ``members`` are those of the room, by client id."""
        self._members = members
        self._by_client: dict[str, Backlog] = {}

    def adopt(self, member: Member) -> None:
        """Let a client go on with the backlog that it has, if it has one."""
        member.backlog = self._by_client.setdefault(member.client_id, member.backlog)

    def forget(self, client_id: str) -> None:
        """Forget the backlog of a client that has gone, once all of it is finished."""
        if client_id not in self._members and (backlog := self._by_client.get(client_id)) and not backlog.in_flight:
            del self._by_client[client_id]


def broadcast(members: Iterable[Member], message: ServerMessage) -> None:
    """Encode a message once and send it to every member."""
    envelope = Envelope(lambda: message)
    for member in members:
        member.outbox.put(envelope.encoded)


def offer(members: Iterable[Member], message: Partial) -> None:
    """Encode an interim caption once and send it to every member who has room for it."""
    envelope = Envelope(lambda: message)
    for member in members:
        member.outbox.offer(envelope.encoded)
