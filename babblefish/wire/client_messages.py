"""What a client may say: how it joins and every control message.

Its binary frames are Int16 PCM (see ``audio``); everything else is JSON with a ``type``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from babblefish.domain import InvalidMessageError
from babblefish.languages import language
from babblefish.wire.server_messages import AUTO, ROOM, AudioFormat, Mode

_MAX_CONTROL_CHARACTERS = 4096
"""Validating a megabyte of JSON would hold up everybody else."""


def _printable(name: str) -> str:
    """Drop what cannot be seen but changes what is: control characters and marks that turn the writing round."""
    kept = (char for char in name if char in _JOINERS or unicodedata.category(char) not in ("Cc", "Cf", "Cs"))
    return "".join(kept).strip()


_JOINERS = "\u200c\u200d"
"""Zero-width joiners, which Persian and emoji need."""

Name = Annotated[str, AfterValidator(_printable), StringConstraints(max_length=60)]


def _not_empty(name: str) -> str:
    if not name:
        raise ValueError("a name has at least one character")
    return name


Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]


class _Request(BaseModel):
    """Something a client sends; a misspelt field is an error rather than a silent no."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Join(BaseModel):
    """The query string of ``/ws/client``; parameters it does not know are ignored, as browsers add their own."""

    model_config = ConfigDict(frozen=True)

    client_id: Identifier | None = None
    target_lang: str = "eng"
    source_lang: str = AUTO
    name: Name = ""
    room: Identifier = "main"
    mode: Mode = "utterance"
    audio: AudioFormat = "wav"


class Set(_Request):
    """Change what this client hears, speaks or is called; a field left out stays as it is."""

    type: Literal["set"] = "set"
    target_lang: str | None = None
    source_lang: str | None = None
    name: Name | None = None
    audio: AudioFormat | None = None


class Flush(_Request):
    """End the utterance now, without waiting for silence (push-to-talk released, microphone muted)."""

    type: Literal["flush"] = "flush"


class RenameSpeaker(_Request):
    """Give a voice its name, for everyone in the room."""

    type: Literal["rename_speaker"] = "rename_speaker"
    speaker_id: Identifier
    name: Annotated[Name, AfterValidator(_not_empty)]


class Resume(_Request):
    """Ask for the results missed while the client was away, as soon as it is back.

    Attributes:
        history_id: As the ``ready`` of the connection that was lost had it; another than the room's counts as nothing
            received.
        after_seq: The newest ``seq`` received before the connection was lost. It stays the same until ``resumed``: a
            result that ended in between may come before those that are replayed.
    """

    type: Literal["resume"] = "resume"
    history_id: Annotated[str, StringConstraints(max_length=64)]
    after_seq: Annotated[int, Field(ge=0)]


class Played(_Request):
    """Tell that the first sound of an utterance is playing now.

    Sent once for each utterance that is heard, and only to a server whose ``ready`` has ``wants_played``. Nothing
    answers it; what the client was not given to play is ignored.
    """

    type: Literal["played"] = "played"
    utterance_id: Identifier


class Ping(_Request):
    """Ask whether the server is there."""

    type: Literal["ping"] = "ping"


Control = Set | Flush | RenameSpeaker | Resume | Played | Ping
_CONTROL: TypeAdapter[Control] = TypeAdapter(Annotated[Control, Field(discriminator="type")])


def parse_join(query: Mapping[str, str]) -> Join:
    """Read the query string of a connection.

    Raises:
        InvalidMessageError: A parameter has a value it cannot have.
        UnknownLanguageError: A language code that is not ISO 639-3 or not known.
    """
    known = {key: value for key, value in query.items() if key in Join.model_fields and value != ""}
    try:
        join = Join.model_validate(known)
    except ValidationError as error:
        raise InvalidMessageError(_explain(error)) from None
    _check_languages(join.target_lang, join.source_lang)
    return join


def parse_control(text: str) -> Control:
    """Read a text frame.

    Raises:
        InvalidMessageError: Not JSON, not a known type, or a field missing, unknown or of the wrong kind.
        UnknownLanguageError: A language code that is not ISO 639-3 or not known.
    """
    if len(text) > _MAX_CONTROL_CHARACTERS:
        raise InvalidMessageError(f"a control message has at most {_MAX_CONTROL_CHARACTERS} characters")
    try:
        message = _CONTROL.validate_json(text)
    except ValidationError as error:
        raise InvalidMessageError(_explain(error)) from None
    if isinstance(message, Set):
        _check_languages(message.target_lang, message.source_lang)
    return message


def _check_languages(target_lang: str | None, source_lang: str | None) -> None:
    if target_lang is not None:
        language(target_lang)
    if source_lang is not None and source_lang not in (AUTO, ROOM):
        language(source_lang)


def _explain(error: ValidationError) -> str:
    """Say the first problem in one line, without echoing what the client sent at length."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}"[:200] if where else first["msg"][:200]
