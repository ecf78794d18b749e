"""The client messages: how a client joins, and every text frame it may send.

Its binary frames are Int16 PCM (see ``audio``); text frames are JSON with a ``type``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from babblefish.domain import Interpreting, Term
from babblefish.errors import InvalidMessageError
from babblefish.languages import language_code, spoken
from babblefish.wire.server_messages import AUTO, ROOM, AudioFormat, Mode

_MAX_CHARACTERS = 4096
"""Validating a megabyte of JSON would hold up everybody else."""


_JOINERS = "\u200c\u200d"
"""Zero-width joiners, which Persian and emoji need between two characters."""

_MOST_MARKS = 4
"""Combining marks on one character; no orthography needs more, and a tower of them covers the lines above."""


def _printable(name: str) -> str:
    """Drop what cannot be seen but alters the text around it, and marks beyond what a character can bear.

    Control characters and direction marks go, joiners unless they stand between two characters that are kept, and
    letters that are drawn as nothing (Hangul fillers, Braille blank). A name without any visible character is empty.
    Accents are composed with their letters (NFC), as engines write them.
    """
    kept: list[str] = []
    marks = 0
    for char in name:
        category = unicodedata.category(char)
        if category.startswith("M"):
            marks += 1
            if not kept or marks > _MOST_MARKS:
                continue
        elif char in _JOINERS:
            if not kept or kept[-1] in _JOINERS or kept[-1].isspace():
                continue
        elif category in ("Cc", "Cf", "Cs", "Cn", "Co") or char in _BLANKS:
            continue
        else:
            marks = 0
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept)).strip().strip(_JOINERS)


_BLANKS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols by their category, and yet drawn as nothing."""

Name = Annotated[str, AfterValidator(_printable), StringConstraints(max_length=60)]


def _not_empty(name: str) -> str:
    if not name:
        raise ValueError("a name needs at least one character")
    return name


Spelling = Annotated[Name, AfterValidator(_not_empty)]
"""Of a glossary's term."""

_LONGEST_TEXT = 1000
"""Characters that may be typed at once: some four of the longest utterances."""


def _readable_text(text: str) -> str:
    """Return a text on one line, without what cannot be seen but alters the text around it; see ``_printable``."""
    shown = _printable(" ".join(text.split()))
    if not shown:
        raise ValueError("a text needs at least one character that can be seen")
    return shown


TypedText = Annotated[str, AfterValidator(_readable_text), StringConstraints(max_length=_LONGEST_TEXT)]
"""What somebody types instead of saying it."""

LanguageCode = Annotated[str, AfterValidator(language_code)]
"""Given as any BCP 47 tag or ISO 639 code, and kept as the server's own."""


def _spoken_language(given: str) -> str:
    return given if given in (AUTO, ROOM) else spoken(language_code(given))


SpokenLanguage = Annotated[str, AfterValidator(_spoken_language)]
"""The same, as it is heard, or ``auto``, or ``room``."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]


class _Request(BaseModel):
    """A message from a client; an unknown field is an error, so that typos are noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GlossaryTerm(_Request):
    """A word or a name, as ``TermInfo`` has it."""

    text: Spelling
    translations: dict[LanguageCode, Spelling] = Field(default_factory=dict)
    spoken: dict[LanguageCode, Spelling] = Field(default_factory=dict)

    @property
    def term(self) -> Term:
        """The same as a term of the domain."""
        return Term(self.text, self.translations, self.spoken)


def _terms(given: str) -> list[GlossaryTerm]:
    """Read terms from a query: ``TEXT;TEXT=LANG:WRITTEN|SPOKEN,LANG:WRITTEN``, where either spelling may be empty."""
    return [_term(item) for part in given.split(";") if (item := part.strip())]


def _term(item: str) -> GlossaryTerm:
    text, _, spellings = item.partition("=")
    translations, spoken = {}, {}
    for spelling in filter(None, spellings.split(",")):
        lang, _, both = spelling.partition(":")
        written, _, sound = both.partition("|")
        if written or not sound:
            translations[lang.strip()] = written
        if sound:
            spoken[lang.strip()] = sound
    return GlossaryTerm(text=text, translations=translations, spoken=spoken)


def _readable(given: str) -> str:
    _terms(given)
    return given


class Join(BaseModel):
    """The query string of ``/ws/client``; unknown parameters are ignored, as browsers may add some.

    Attributes:
        interpreting: Whether the client hears what is said while it is being said; left out, as the server has it.
        glossary: Terms for the room, as ``TEXT;TEXT=LANG:WRITTEN|SPOKEN,LANG:WRITTEN``.
        voices: The ``voice_token`` of each voice that is kept for this client, separated by commas.
    """

    model_config = ConfigDict(frozen=True)

    client_id: Identifier | None = None
    target_lang: LanguageCode = "eng"
    source_lang: SpokenLanguage = AUTO
    name: Name = ""
    room: Identifier = "main"
    mode: Mode = "utterance"
    audio: AudioFormat = "wav"
    interpreting: Interpreting | None = None
    glossary: Annotated[str, StringConstraints(max_length=_MAX_CHARACTERS), AfterValidator(_readable)] = ""
    voices: Annotated[str, StringConstraints(max_length=1024)] = ""

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms of ``glossary``."""
        return tuple(given.term for given in _terms(self.glossary))

    @property
    def voice_tokens(self) -> tuple[str, ...]:
        """The tokens of ``voices``."""
        return tuple(filter(None, self.voices.split(",")))


class Set(_Request):
    """Change what this client hears, speaks or is called; fields left out do not change."""

    type: Literal["set"] = "set"
    target_lang: LanguageCode | None = None
    source_lang: SpokenLanguage | None = None
    name: Name | None = None
    audio: AudioFormat | None = None
    interpreting: Interpreting | None = None


class Flush(_Request):
    """End the utterance now, without waiting for silence (push-to-talk released, microphone muted)."""

    type: Literal["flush"] = "flush"


class Say(_Request):
    """Say something by typing it; the others get it as if it had been spoken.

    Attributes:
        text: In any language; line breaks become blanks.
        lang: Which language that is. Without, it is the one that the client declared, or is told by the text.
    """

    type: Literal["say"] = "say"
    text: TypedText
    lang: LanguageCode | None = None


class RenameSpeaker(_Request):
    """Name a voice, for everyone in the room."""

    type: Literal["rename_speaker"] = "rename_speaker"
    speaker_id: Identifier
    name: Annotated[Name, AfterValidator(_not_empty)]


class MergeSpeakers(_Request):
    """Make one voice of two that are one person's, for everyone in the room.

    Attributes:
        keep: The voice that stays.
        drop: The one that becomes part of it.
    """

    type: Literal["merge_speakers"] = "merge_speakers"
    keep: Identifier
    drop: Identifier


class SplitSpeaker(_Request):
    """Make two voices of one that two people were taken for.

    Attributes:
        speaker_id: The voice.
        seq: A result that was said by the other one.
    """

    type: Literal["split_speaker"] = "split_speaker"
    speaker_id: Identifier
    seq: Annotated[int, Field(ge=1)]


class ForgetSpeaker(_Request):
    """Forget a voice everywhere: in the room, where it is stored, and in the history."""

    type: Literal["forget_speaker"] = "forget_speaker"
    speaker_id: Identifier


class Enrol(_Request):
    """Have one's voice learnt from what one says next, and kept.

    Attributes:
        consent: Whether whoever speaks has agreed that their voice is kept; false ends what is under way, of which
            nothing is kept.
        name: Of whoever speaks; without, the client's.
    """

    type: Literal["enrol"] = "enrol"
    consent: bool
    name: Name = ""


class Glossary(_Request):
    """Change the room's glossary, for everyone.

    Attributes:
        terms: Are put into it; one whose ``text`` is in it already is replaced.
        remove: The ``text`` of terms that go; unknown ones are ignored.
    """

    type: Literal["glossary"] = "glossary"
    terms: tuple[GlossaryTerm, ...] = ()
    remove: tuple[Spelling, ...] = ()


class Resume(_Request):
    """Ask for the results missed while the client was disconnected.

    Attributes:
        history_id: From the ``ready`` of the lost connection; if it is not the room's, nothing counts as received.
        after_seq: The newest ``seq`` received before the connection was lost. Keep it until ``resumed`` arrives: a new
            result may come before those that are replayed.
    """

    type: Literal["resume"] = "resume"
    history_id: Annotated[str, StringConstraints(max_length=64)]
    after_seq: Annotated[int, Field(ge=0)]


class Played(_Request):
    """Report that the first sound of an utterance is playing now.

    Sent once for each utterance that is heard, and only if ``ready`` has ``wants_played``. There is no answer; an
    utterance that the client was not sent is ignored.
    """

    type: Literal["played"] = "played"
    utterance_id: Identifier


class Ping(_Request):
    """Ask whether the server is responding."""

    type: Literal["ping"] = "ping"


VoiceMessage = RenameSpeaker | MergeSpeakers | SplitSpeaker | ForgetSpeaker | Enrol
ClientMessage = Set | Flush | Say | VoiceMessage | Glossary | Resume | Played | Ping
_MESSAGE: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])


def parse_join(query: Mapping[str, str]) -> Join:
    """Parse the query string of a connection.

    Raises:
        InvalidMessageError: A parameter has an invalid value.
        UnknownLanguageError: A language is not known.
    """
    known = {key: value for key, value in query.items() if key in Join.model_fields and value != ""}
    try:
        return Join.model_validate(known)
    except ValidationError as error:
        raise InvalidMessageError(_explain(error)) from None


def parse_message(text: str) -> ClientMessage:
    """Parse a text frame.

    Raises:
        InvalidMessageError: Not JSON, an unknown type, or a field missing, unknown or invalid.
        UnknownLanguageError: A language is not known.
    """
    if len(text) > _MAX_CHARACTERS:
        raise InvalidMessageError(f"the message is longer than {_MAX_CHARACTERS} characters")
    try:
        return _MESSAGE.validate_json(text)
    except ValidationError as error:
        raise InvalidMessageError(_explain(error)) from None


class Remark(_Request):
    """What a program says in a room that it has not joined; the body of ``POST /rooms/{room}/say``.

    Attributes:
        text: As in ``Say``.
        lang: As in ``Say``.
        name: Whose words the others take it for.
    """

    text: TypedText
    lang: LanguageCode | None = None
    name: Name = ""


class ExportedVoice(BaseModel):
    """A voice as it is kept, to be taken along; what ``GET /rooms/{room}/voices/{voice}`` answers.

    Attributes:
        name: Of its person.
        encoder: Name and version of what made the embedding; it means nothing to any other.
        embedding: Unit vector.
        speech_s: Seconds of speech that it is made from, at most a minute.
        samples: Utterances that were recognised as this voice.
        room: In which it was kept.
        voice_id: Under which it was stored there.
        speaker_id: By which it was known there.
        agreed_at: When its person agreed to that; ISO 8601, UTC.
        last_heard_at: When it was last heard.
    """

    model_config = ConfigDict(frozen=True)

    name: Annotated[Name, AfterValidator(_not_empty)]
    encoder: Annotated[str, StringConstraints(max_length=200)]
    embedding: Annotated[list[float], Field(min_length=1, max_length=4096)]
    speech_s: Annotated[float, Field(ge=0.1, le=60.0)]
    samples: Annotated[int, Field(ge=1, le=1_000_000_000)]
    room: str = ""
    voice_id: str = ""
    speaker_id: str = ""
    agreed_at: str = ""
    last_heard_at: str = ""


class BroughtVoice(_Request):
    """A voice that was exported, to be kept in another room; the body of ``POST /rooms/{room}/voices``.

    Attributes:
        consent: Whether its person has agreed that it is kept here.
        voice: As it was exported.
    """

    consent: Literal[True]
    voice: ExportedVoice


def parse_brought_voice(body: bytes) -> BroughtVoice:
    """Parse the body of a request.

    Raises:
        InvalidMessageError: Not JSON, no consent, or a field is missing or invalid.
    """
    try:
        return BroughtVoice.model_validate_json(body)
    except ValidationError as error:
        raise InvalidMessageError(_explain(error)) from None


def parse_remark(body: bytes) -> Remark:
    """Parse the body of a request.

    Raises:
        InvalidMessageError: Not JSON, or a field is missing, unknown or invalid.
        UnknownLanguageError: The language is not known.
    """
    try:
        return Remark.model_validate_json(body)
    except ValidationError as error:
        raise InvalidMessageError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    """Describe the first problem in one line, without echoing the client's input at length."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}"[:200] if where else first["msg"][:200]
