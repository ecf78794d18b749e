"""Every message of the wire, as types: what a client may say and what the server answers.

Binary frames from a client are Int16 PCM (see ``audio``); everything else is JSON with a ``type``. The names of the
fields of ``Result`` are the owner's: old clients depend on them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from babblefish.domain import BabbleFishError, InvalidMessageError, Quality
from babblefish.languages import language

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
Mode = Literal["utterance", "stream"]
AudioFormat = Literal["wav", "stream", "none"]

AUTO = "auto"
"""A spoken language to be detected."""

ROOM = "room"
"""A spoken language to be detected among those that the members of the room speak or hear."""

CLOSE_NOT_ALLOWED = 1008
CLOSE_FAULT = 1011
CLOSE_FULL = 1013


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


# Client → server


class _Request(_Message):
    """Something a client sends; a misspelt field is an error rather than a silent no."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Join(_Message):
    """The query string of ``/ws/client``; parameters it does not know are ignored, as browsers add their own."""

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


class Ping(_Request):
    """Ask whether the server is there."""

    type: Literal["ping"] = "ping"


Control = Set | Flush | RenameSpeaker | Ping
_CONTROL: TypeAdapter[Control] = TypeAdapter(Annotated[Control, Field(discriminator="type")])


# Server → client


class LanguageInfo(_Message):
    """One language that can be asked for.

    Attributes:
        captions: Quality with which English speech, or French where it is English itself, is translated to it.
        voice: Voice that speaks it, as ``<engine>:<voice>``, or None.
    """

    code: str
    bcp47: str
    name: str
    native_name: str
    captions: Quality
    voice: str | None


class Ready(_Message):
    """The client may speak."""

    type: Literal["ready"] = "ready"
    message: str
    client_id: str
    target_lang: str
    source_lang: str
    room: str
    mode: Mode
    audio: AudioFormat
    profile: str
    profile_reason: str
    engines: dict[str, str]
    languages: list[LanguageInfo]
    max_utterance_s: float


class Result(_Message):
    """One utterance for the listeners of one language.

    Attributes:
        seq: Order of the utterances of the room; results arrive in this order.
        source_lang: ISO 639-3 of what was spoken.
        source_confidence: Mean token probability of ``source_text``, 0 to 1.
        source_lang_confidence: Probability of ``source_lang``, 0 to 1; 1 where the client declared it.
        path: Languages passed through, the spoken one first, ``target_lang`` last.
        translation: The text for the listener.
        target_lang: ISO 639-3 of ``translation``; other than ``requested_lang`` only with quality ``untranslated``.
        requested_lang: The listener's language.
        quality: See ``domain.Quality``.
        status: ``speaking`` while ``speech`` messages with the audio follow, else ``final``.
        tts_audio: Base64 of a whole WAV file, or null.
        tts_voice: ``<engine>:<voice>``, or null where nothing is spoken.
        latency_ms: From the end of speech to the moment this message was made.
        timings: Milliseconds per stage.
        timestamp: ISO 8601, UTC.
    """

    type: Literal["result"] = "result"
    utterance_id: str
    seq: int
    client_id: str
    speaker_id: str
    speaker_name: str
    speaker_confidence: float
    source_text: str
    source_lang: str
    source_confidence: float
    source_lang_confidence: float
    path: tuple[str, ...]
    translation: str
    target_lang: str
    requested_lang: str
    quality: Quality
    status: Literal["final", "speaking"]
    tts_audio: str | None
    tts_voice: str | None
    latency_ms: float
    timings: dict[str, float]
    timestamp: str


class SpeechPiece(_Message):
    """A piece of the spoken translation, for clients with ``audio=stream``.

    The pieces of an utterance follow its result in order; those of two utterances may come mixed.

    Attributes:
        index: 0, 1, 2 … within the utterance.
        audio: Base64 of a WAV file; null in a last message that only says that nothing follows.
        last: Whether this is the last piece.
        latency_ms: From the end of speech to the moment this message was made.
        timings: Milliseconds per stage of the synthesis so far.
    """

    type: Literal["speech"] = "speech"
    utterance_id: str
    seq: int
    target_lang: str
    index: int
    audio: str | None
    last: bool
    latency_ms: float
    timings: dict[str, float]


class Speaker(_Message):
    """A voice was heard for the first time, or has a new name."""

    type: Literal["speaker"] = "speaker"
    speaker_id: str
    name: str


class MemberInfo(_Message):
    """Someone in the room."""

    client_id: str
    name: str
    target_lang: str
    source_lang: str


class Presence(_Message):
    """Who is in the room now."""

    type: Literal["presence"] = "presence"
    members: list[MemberInfo]


class Settled(_Message):
    """What the client's settings are after a ``set``."""

    type: Literal["settled"] = "settled"
    target_lang: str
    source_lang: str
    name: str
    audio: AudioFormat


class Pong(_Message):
    """The server is there."""

    type: Literal["pong"] = "pong"


class Error(_Message):
    """Something went wrong; ``code`` is stable (the codes of ``domain``), ``message`` is for people.

    Attributes:
        fatal: Whether the server closes the connection after this.
        utterance_id: The utterance that is lost by it, if one is.
    """

    type: Literal["error"] = "error"
    code: str
    message: str
    fatal: bool = False
    utterance_id: str | None = None


ServerMessage = Ready | Result | SpeechPiece | Speaker | Presence | Settled | Pong | Error


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


def encode(message: ServerMessage) -> str:
    """Serialize a message as one JSON text frame."""
    return message.model_dump_json()


def error_message(error: BabbleFishError, utterance_id: str | None = None) -> Error:
    """Say an error in the words of the wire."""
    return Error(code=error.code, message=error.message, fatal=error.fatal, utterance_id=utterance_id)


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
