"""A room's glossary: the words and names that its members have agreed on, and the file that every room begins with."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from babblefish.conversation.members import Member, broadcast
from babblefish.domain import Term
from babblefish.errors import GlossaryFullError, SetupError, UnknownLanguageError
from babblefish.pipeline.pace import Pace
from babblefish.terms import Terms
from babblefish.wire.client_messages import GlossaryTerm
from babblefish.wire.server_messages import Glossary as GlossaryMessage
from babblefish.wire.server_messages import TermInfo

_MOST_TERMS = 200
_MOST_CHARACTERS = 20_000
"""All spellings together; each member is told the whole of it."""

_FILE: TypeAdapter[list[GlossaryTerm]] = TypeAdapter(list[GlossaryTerm])


class Glossary:
    """The glossary of one room; any member may change it, and everyone is told.

    Attributes:
        terms: As they are now; a change replaces them.
    """

    def __init__(self, members: Mapping[str, Member], pace: Pace, terms: Collection[Term] = ()) -> None:
        """Begin with some terms.

        Raises:
            GlossaryFullError: They are too many.
        """
        self._members = members
        self._pace = pace
        self._by_text: dict[str, Term] = {}
        self._telling_due: asyncio.TimerHandle | None = None
        self.terms = Terms()
        self._become({_key(term.text): term for term in terms})

    def greet(self, newcomer: Member) -> None:
        """Tell a newcomer what there is."""
        if self._by_text:
            newcomer.send(self._message())

    def change(self, put: Collection[Term], remove: Collection[str] = ()) -> None:
        """Put terms in, in place of those of the same text, and take others out.

        Args:
            put: The terms.
            remove: Text of those that go; unknown ones are ignored.

        Raises:
            GlossaryFullError: There is no place for them; nothing has changed.
        """
        gone = {_key(text) for text in remove}
        kept = {key: term for key, term in self._by_text.items() if key not in gone}
        self._change_to(kept | {_key(term.text): term for term in put})

    def offer(self, terms: Collection[Term]) -> None:
        """Put terms in that are not in it yet: a link does not undo what the members have changed.

        Raises:
            GlossaryFullError: As ``change``.
        """
        new = {_key(term.text): term for term in terms if _key(term.text) not in self._by_text}
        self._change_to(self._by_text | new)

    def _change_to(self, by_text: dict[str, Term]) -> None:
        if by_text != self._by_text:
            self._become(by_text)
            if self._telling_due is None:
                self._telling_due = asyncio.get_running_loop().call_later(self._pace.glossary_delay_s, self._tell)

    def _become(self, by_text: dict[str, Term]) -> None:
        characters = sum(_characters(term) for term in by_text.values())
        if len(by_text) > _MOST_TERMS or characters > _MOST_CHARACTERS:
            raise GlossaryFullError(
                f"a glossary has at most {_MOST_TERMS} terms and {_MOST_CHARACTERS} characters; remove some first"
            )
        self._by_text = by_text
        self.terms = Terms(tuple(by_text.values()))

    def _tell(self) -> None:
        self._telling_due = None
        broadcast(self._members.values(), self._message())

    def _message(self) -> GlossaryMessage:
        return GlossaryMessage(
            terms=[
                TermInfo(text=term.text, translations=dict(term.translations), spoken=dict(term.spoken))
                for term in self._by_text.values()
            ]
        )


def read_glossary(file: Path) -> tuple[Term, ...]:
    """Read terms from a JSON file: a list of objects with ``text``, ``translations`` and ``spoken``.

    Raises:
        SetupError: It cannot be read, is no such list, or has too many terms.
    """
    try:
        given = _FILE.validate_json(file.read_bytes())
        return Glossary({}, Pace(), [term.term for term in given]).terms.terms
    except (OSError, ValidationError, UnknownLanguageError, GlossaryFullError) as error:
        raise SetupError(f"the glossary {file} cannot be used: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}" if where else first["msg"]
    return str(error.strerror if isinstance(error, OSError) else error)


def _key(text: str) -> str:
    return text.casefold()


def _characters(term: Term) -> int:
    return sum(map(len, (term.text, *term.translations.values(), *term.spoken.values())))
