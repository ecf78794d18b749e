"""Passages: what somebody says without an end between, in clauses, and who waits for the whole of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from babblefish.conversation.history import HistoryEntry
from babblefish.conversation.members import Member
from babblefish.domain import Interpreting, Utterance
from babblefish.pipeline.recognition import Recognition

_T = TypeVar("_T")


@dataclass(eq=False)
class Passage:
    """Clauses that go on from each other.

    Each is an utterance with a result of its own for those who are interpreted to simultaneously. The others get one
    result of the whole, when it has ended. Who gets which is settled when somebody is first met in it, so that nobody
    who changes their mind within it hears something twice or not at all.

    Attributes:
        passage_id: The utterance that it begins with.
        continues: Whether it goes on from another passage, which was full.
        duration_s: Of its clauses so far.
        parts: Those that became a result, with their entries in the history.
    """

    passage_id: str
    continues: bool
    duration_s: float = 0.0
    parts: list[tuple[Recognition, HistoryEntry]] = field(default_factory=list)
    _modes: dict[str, Interpreting] = field(default_factory=dict)

    def waits(self, member: Member) -> bool:
        """Say whether a member gets the whole, and not its clauses."""
        return self._modes.setdefault(member.client_id, member.interpreting) == "consecutive"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an utterance stands among what its speaker says.

    Attributes:
        passage: That it is a clause of; None where it is an utterance of its own.
        continues: Whether it goes on from what the same client said before.
        is_last: Whether its passage ends with it.
        goes_on: Whether its speaker was still speaking when it was cut off.
    """

    passage: Passage | None = None
    continues: bool = False
    is_last: bool = True
    goes_on: bool = False

    def shared_among(self, members: Collection[Member]) -> tuple[list[Member], list[Member]]:
        """Return the members who get a result of this utterance by itself, and those who get one of its passage now."""
        if self.passage is None:
            return list(members), []
        waiting = [member for member in members if self.passage.waits(member)] if self.is_last else []
        return [member for member in members if not self.passage.waits(member)], waiting


class Passages:
    """The passages that are being spoken in one room."""

    def __init__(self, longest_s: float) -> None:
        """Begin with none; one of ``longest_s`` seconds is full, so that nobody waits for its end for ever."""
        self._longest_s = longest_s
        self._open: dict[str, Passage | None] = {}
        """By client that was cut within its speech; None where that made the passage full."""
        self._unfinished: set[Passage] = set()

    def place(self, utterance: Utterance, goes_on: bool) -> Place:
        """Return the place of the next utterance of a client.

        Args:
            utterance: That has ended.
            goes_on: Whether it was cut within its speech.
        """
        client_id = utterance.client_id
        continues = client_id in self._open
        passage = self._open.pop(client_id, None)
        if not goes_on:
            return Place(passage, continues)
        if passage is None:
            passage = Passage(utterance.utterance_id, continues)
            self._unfinished.add(passage)
        passage.duration_s += utterance.duration_s
        is_full = passage.duration_s >= self._longest_s
        self._open[client_id] = None if is_full else passage
        return Place(passage, continues, is_last=is_full, goes_on=True)

    def ended(self, place: Place) -> None:
        """Be done with an utterance, and where it was the last one with its passage."""
        if place.passage is not None and place.is_last:
            self._unfinished.discard(place.passage)

    def is_unfinished(self, passage_id: str) -> bool:
        """Say whether the whole of a passage may be still to come."""
        return any(passage.passage_id == passage_id for passage in self._unfinished)


def replayed(
    missed: Sequence[HistoryEntry], kept: Iterable[HistoryEntry], member: Member, passages: Passages
) -> list[HistoryEntry]:
    """Return which of the results that a member missed it is shown, so that it reads everything once.

    Of a passage that is either its clauses or the whole: what there is in the member's language, or else what it would
    have got. The whole of one that is not over comes by itself.

    Args:
        missed: Complete, in their order.
        kept: All that the history has.
        member: Who is to read them.
        passages: Of the room.
    """
    lang, waits = member.target_lang, member.interpreting == "consecutive"
    by_passage: dict[str, list[HistoryEntry]] = defaultdict(list)
    for entry in kept:
        by_passage[entry.passage].append(entry)

    def is_shown(entry: HistoryEntry) -> bool:
        if not entry.passage:
            return True
        if any(one.is_whole for one in by_passage[entry.passage]):
            return entry.is_whole == _as_whole(by_passage[entry.passage], lang, waits)
        return not (waits and passages.is_unfinished(entry.passage))

    return [entry for entry in missed if is_shown(entry)]


def _as_whole(passage: Sequence[HistoryEntry], lang: str, preferred: bool) -> bool:
    """Say whether a passage is read as a whole, and not clause by clause, in a language."""
    clauses = [entry for entry in passage if not entry.is_whole]
    has_clauses = all(lang in entry.captions for entry in clauses)
    has_whole = any(lang in entry.captions for entry in passage if entry.is_whole)
    return not clauses or (preferred if has_clauses == has_whole else has_whole)


class Readable(Generic[_T]):
    """Lets entries of a history through as they are read in one language: everything once, and in order.

    What comes after a clause that is not in the language waits until it is known whether the whole passage is.
    """

    def __init__(self, lang: str | None) -> None:
        """Begin with nothing; ``lang`` is None where everything is read as it was said."""
        self._lang = lang
        self._held: list[tuple[HistoryEntry, _T]] = []
        self._in_clauses: set[str] = set()
        """Passages that are read clause by clause."""

    def add(self, entry: HistoryEntry, told: _T) -> list[tuple[HistoryEntry, _T]]:
        """Take the next entry, and return those that can be read now.

        Args:
            entry: In the order of ``seq``.
            told: What is returned with it.
        """
        self._held.append((entry, told))
        if entry.is_whole:
            self._decide(entry.passage)
        newest = {one.client_id: one.passage for one, _ in self._held}
        waits = any(self._is_undecided(one) and newest[one.client_id] == one.passage for one, _ in self._held)
        return [] if waits else self.rest()

    def rest(self) -> list[tuple[HistoryEntry, _T]]:
        """Return what is left, as no more comes."""
        held, self._held = self._held, []
        self._in_clauses |= {entry.passage for entry, _ in held if not entry.is_whole}
        return held

    def _decide(self, passage: str) -> None:
        entries = [one for one, _ in self._held if one.passage == passage]
        as_whole = passage not in self._in_clauses and (
            len(entries) == 1 if self._lang is None else _as_whole(entries, self._lang, False)
        )
        self._held = [held for held in self._held if held[0].passage != passage or held[0].is_whole == as_whole]
        if not as_whole:
            self._in_clauses.add(passage)

    def _is_undecided(self, entry: HistoryEntry) -> bool:
        is_decided = not entry.passage or entry.is_whole or entry.passage in self._in_clauses
        return not is_decided and self._lang is not None and self._lang not in entry.captions
