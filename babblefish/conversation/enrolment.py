"""Enrolment: somebody agrees that their voice is kept, and says some sentences that make it known."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from babblefish.conversation.heard_voices import HeardVoice, together
from babblefish.conversation.members import Member
from babblefish.engines.contracts import VoiceScale
from babblefish.wire import server_messages

NEEDED_S = 5.0
"""Seconds of speech, some two sentences; with CAM++, which hears four seconds of an utterance, at least two of them."""

_MOST_S = 60.0
"""After that it has ended: whoever speaks into this phone later has not agreed to anything."""


def new_voice_token() -> str:
    """Return a secret by which somebody shows later that a voice is theirs."""
    return secrets.token_urlsafe(24)


def voice_id_of(token: str) -> str:
    """Return the id of the voice that a token is for; nobody can find the token by it."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


@dataclass(eq=False)
class _Enrolment:
    name: str
    ends: asyncio.TimerHandle
    said: list[HeardVoice] = field(default_factory=list)

    @property
    def heard_s(self) -> float:
        return sum(heard.speech_s for heard in self.said)


class Enrolments:
    """The members of a room who are enrolling at the moment."""

    def __init__(self, scale: VoiceScale) -> None:
        """Begin with nobody; ``scale`` is that of the encoder."""
        self._scale = scale
        self._of: dict[Member, _Enrolment] = {}

    def begin(self, member: Member, name: str) -> None:
        """Take what a member says from now on for their voice, until it is enough; one under way begins anew."""
        if member in self._of:
            self._of.pop(member).ends.cancel()
        ends = asyncio.get_running_loop().call_later(_MOST_S, self.end, member)
        self._of[member] = _Enrolment(name, ends)
        member.send(_message("listening", 0.0))

    def end(self, member: Member) -> None:
        """Learn nothing more from what a member says; nothing is kept of what was heard."""
        if (enrolment := self._of.pop(member, None)) is not None:
            enrolment.ends.cancel()
            member.send(_message("ended", enrolment.heard_s))

    def heard(self, member: Member, heard: HeardVoice, learn: Callable[[list[HeardVoice], str], None]) -> None:
        """Take something that a member has said, if that is enrolling.

        Args:
            member: Through whose client it came.
            heard: What it sounds like.
            learn: Is given all that was said, and the name, once it is enough.
        """
        enrolment = self._of.get(member)
        if enrolment is None:
            return
        if enrolment.said:
            voice, speech_s = together(enrolment.said)
            if self._scale.similarity(heard.embedding, heard.speech_s, voice, speech_s) < self._scale.threshold:
                member.send(_message("other_voice", enrolment.heard_s))
                return
        enrolment.said.append(heard)
        if enrolment.heard_s < NEEDED_S:
            member.send(_message("listening", enrolment.heard_s))
            return
        del self._of[member]
        enrolment.ends.cancel()
        learn(enrolment.said, enrolment.name)


def _message(state: server_messages.EnrolmentState, heard_s: float) -> server_messages.Enrolment:
    return server_messages.Enrolment(state=state, heard_s=round(heard_s, 1), needed_s=NEEDED_S)
