"""Who is in a room, and which languages they speak and hear."""

from __future__ import annotations

import time

from babblefish.conversation.members import Member
from babblefish.domain import Interpreting
from babblefish.languages import spoken
from babblefish.pipeline.pace import Pace
from babblefish.settings import Settings
from babblefish.wire.server_messages import AUTO, ROOM


class Audience:
    """Those who are in a room, and those who left it so lately that they may come back.

    Attributes:
        members: By client id.
    """

    def __init__(self, settings: Settings, pace: Pace) -> None:
        """Begin with nobody.

        Args:
            settings: The server's.
            pace: How long those who left may come back.
        """
        self.members: dict[str, Member] = {}
        self._utterances_per_client = settings.utterances_per_client
        self._away_s = pace.away_s if settings.retain else 0.0
        self._left_s: dict[tuple[str, Interpreting], float] = {}
        """Language and mode → ``time.monotonic()`` at which the last of their listeners left."""

    def left(self, member: Member) -> None:
        """Expect a member that has gone to come back."""
        self._left_s[member.target_lang, member.interpreting] = time.monotonic()

    @property
    def is_there(self) -> bool:
        """Whether anybody is here, or may come back."""
        return bool(self.langs())

    def langs(self) -> set[str]:
        """Return the languages of those here, and of those who may come back."""
        return {member.target_lang for member in self.members.values()} | self.langs_away()

    def langs_away(self, interpreting: Interpreting | None = None) -> set[str]:
        """Return the languages of those who left so lately that they may come back, all or of one mode."""
        now_s = time.monotonic()
        return {
            lang
            for (lang, mode), left_s in self._left_s.items()
            if now_s - left_s < self._away_s and interpreting in (None, mode)
        }

    def may_speak(self, member: Member) -> frozenset[str]:
        """Return the languages a member may be speaking; none at all means any."""
        if member.source_lang == AUTO:
            return frozenset()
        return self.spoken() if member.source_lang == ROOM else frozenset({member.source_lang})

    def spoken(self) -> frozenset[str]:
        """Return what those here declared that they speak, and where they did not, what they hear."""
        return frozenset(
            spoken(member.target_lang) if member.source_lang in (AUTO, ROOM) else member.source_lang
            for member in self.members.values()
        )

    def wants_clauses(self, speaker: Member, lang: str | None) -> bool:
        """Say whether clauses are wanted of what a member says; they are too much where much is unfinished already.

        Args:
            speaker: The member.
            lang: ISO 639-3 of what it says, or None where that is not known yet.
        """
        if speaker.backlog.in_flight >= self._utterances_per_client // 2:
            return False
        if lang is None and speaker.source_lang not in (AUTO, ROOM):
            lang = speaker.source_lang
        elif lang is None and speaker.spoken_langs:
            lang = speaker.spoken_langs[-1]
        return any(
            member.interpreting == "simultaneous" and member.target_lang != lang for member in self.members.values()
        )
