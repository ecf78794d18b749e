"""What the members of a room are told of each other: who is here, who talks, which voice has got a new name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from babblefish.conversation.members import Member, broadcast
from babblefish.conversation.speakers import SpeakerRegistry
from babblefish.pipeline.pace import Pace
from babblefish.wire.server_messages import MemberInfo, Presence, Speaker, Talking


class PresenceNews:
    """Tells changes soon, and many at once only once."""

    def __init__(self, members: Mapping[str, Member], speakers: SpeakerRegistry, pace: Pace) -> None:
        """Tell the members of one room of themselves and their voices."""
        self._members = members
        self._speakers = speakers
        self._pace = pace
        self._renamed: set[str] = set()
        self._presence_due: asyncio.TimerHandle | None = None
        self._talking_due: asyncio.TimerHandle | None = None

    def greet(self, newcomer: Member) -> None:
        """Tell a newcomer, who is not among the members yet, who talks at the moment."""
        for other in self._members.values():
            if other.told_talking:
                newcomer.send(Talking(client_id=other.client_id, talking=True))

    def gone(self, member: Member) -> None:
        """Tell those who are left that a member that talked does so no more."""
        if member.told_talking:
            broadcast(self._members.values(), Talking(client_id=member.client_id, talking=False))

    def talking(self, member: Member, is_talking: bool) -> None:
        """Tell the others, in a moment, whether a member talks."""
        member.is_talking = is_talking
        if self._talking_due is None and is_talking != member.told_talking:
            self._talking_due = asyncio.get_running_loop().call_later(self._pace.talking_delay_s, self._tell_talking)

    def _tell_talking(self) -> None:
        self._talking_due = None
        for member in self._members.values():
            if member.is_talking != member.told_talking:
                member.told_talking = member.is_talking
                others = (other for other in self._members.values() if other is not member)
                broadcast(others, Talking(client_id=member.client_id, talking=member.is_talking))

    def renamed(self, speaker_id: str) -> None:
        """Tell everyone, in a moment, what a voice is called now."""
        self._renamed.add(speaker_id)
        self.changed()

    def changed(self) -> None:
        """Tell everyone, in a moment, who is here and what they hear."""
        if self._presence_due is None:
            self._presence_due = asyncio.get_running_loop().call_later(self._pace.presence_delay_s, self._tell)

    def _tell(self) -> None:
        self._presence_due = None
        for known in self._speakers.list():
            if known.speaker_id in self._renamed:
                broadcast(self._members.values(), Speaker(speaker_id=known.speaker_id, name=known.name))
        self._renamed.clear()
        members = [
            MemberInfo(
                client_id=member.client_id,
                name=member.name,
                target_lang=member.target_lang,
                source_lang=member.source_lang,
            )
            for member in self._members.values()
        ]
        broadcast(self._members.values(), Presence(members=members))
