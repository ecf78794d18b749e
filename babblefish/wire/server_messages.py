"""The server messages, and the constants that both sides share.

Every message is JSON with a ``type``. The field names of ``Result`` are those of V1: old clients depend on them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from babblefish.domain import Interpreting, Quality, Shed
from babblefish.errors import BabbleFishError

Mode = Literal["utterance", "stream"]
AudioFormat = Literal["wav", "stream", "none"]

AUTO = "auto"
"""Detect the spoken language."""

ROOM = "room"
"""Detect the spoken language among those that the members of the room speak or hear."""

CLOSE_NOT_ALLOWED = 1008
CLOSE_FAULT = 1011
CLOSE_RESTART = 1012
CLOSE_FULL = 1013


class _Message(BaseModel):
    # every field is always sent, and the schema for other people's clients says so
    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class LanguageInfo(_Message):
    """A language that clients can ask for.

    Attributes:
        captions: Quality of translations to it from English; for English itself, from French.
        voice: The voice that speaks it, as ``<engine>:<voice>``, or null.
    """

    code: str
    bcp47: str
    name: str
    native_name: str
    captions: Quality
    voice: str | None


class Ready(_Message):
    """The client may speak.

    Attributes:
        history_id: Identifies the room's history; a new one means that the room started over.
        last_seq: The room's newest ``seq``; 0 before the first.
        token: For joining this room again under the same ``client_id``, instead of the link's token; it stays valid for
            a while after the link has expired. Null for the admin, whose own token does not expire.
        wants_played: Whether the client should send ``played`` when an utterance's first sound plays.
        voices_kept_days: Days without being heard for which the voice of whoever enrols is stored; null where it is
            forgotten with the room.
    """

    type: Literal["ready"] = "ready"
    message: str
    client_id: str
    target_lang: str
    source_lang: str
    room: str
    mode: Mode
    audio: AudioFormat
    interpreting: Interpreting = "consecutive"
    profile: str
    profile_reason: str
    engines: dict[str, str]
    languages: list[LanguageInfo]
    max_utterance_s: float
    history_id: str
    last_seq: int
    token: str | None = None
    wants_played: bool = True
    voices_kept_days: float | None = None


class Result(_Message):
    """One utterance for the listeners of one language.

    Attributes:
        seq: 1, 2, 3 … counts the room's results; they arrive in this order, and not every one is for everybody.
        speaker_likely: Whether too little was said to be sure of the voice, and the name is the likely one.
        source_lang: ISO 639-3 of the language spoken.
        source_confidence: Mean token probability of ``source_text``, 0 to 1.
        source_lang_confidence: Probability of ``source_lang``, 0 to 1; 1 if the client declared it.
        path: Languages passed through, the spoken one first, ``target_lang`` last.
        translation: The text for the listener.
        target_lang: ISO 639-3 of ``translation``; differs from ``requested_lang`` only if quality is ``untranslated``.
        requested_lang: The listener's language.
        quality: See ``domain.Quality``.
        status: ``speaking`` while ``speech`` messages with the audio follow, else ``final``.
        tts_audio: Base64 of a whole WAV file, or null.
        tts_voice: ``<engine>:<voice>``, or null if nothing is spoken.
        latency_ms: From the end of speech to the moment this message was made.
        timings: Milliseconds per stage.
        timestamp: ISO 8601, UTC.
        continues: Whether it goes on, without an end of speech between, from the previous result of the same client.
        replayed: Whether it comes from the history, after a ``resume``: without audio, and with its original latency
            and time.
        typed: Whether the words were typed and not spoken.
    """

    type: Literal["result"] = "result"
    utterance_id: str
    seq: int
    client_id: str
    speaker_id: str
    speaker_name: str
    speaker_confidence: float
    speaker_likely: bool = False
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
    continues: bool = False
    replayed: bool = False
    typed: bool = False


class Partial(_Message):
    """An interim caption of what somebody is saying (``mode=stream``); a newer one or the result replaces it.

    It may be wrong, and need not come at all.

    Attributes:
        utterance_id: The same as the result will have.
        client_id: The member who is speaking.
        name: That member's name; the voice is only identified at the end.
        source_text: Empty, like ``translation``, if the utterance came to nothing.
        target_lang: ISO 639-3 of ``translation``.
        continues: As the result will have it.
    """

    type: Literal["partial"] = "partial"
    utterance_id: str
    client_id: str
    name: str
    source_text: str
    source_lang: str
    translation: str
    target_lang: str
    continues: bool = False


class SpeechPiece(_Message):
    """A piece of the spoken translation, for clients with ``audio=stream``.

    The pieces of an utterance follow its result in order; those of two utterances may be interleaved.

    Attributes:
        index: 0, 1, 2 … within the utterance.
        audio: Base64 of a WAV file; null in a last message that only ends the utterance.
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
    """A voice was heard for the first time, has a new name, or has said more, or less, than it was taken for.

    Attributes:
        speaker_id: The voice; ``unknown`` where one is forgotten.
        name: What it is called now.
        seqs: Results that are this voice's, whatever they were taken for.
        replaces: A voice that there is no more: all that it has said is this one's.
    """

    type: Literal["speaker"] = "speaker"
    speaker_id: str
    name: str
    seqs: tuple[int, ...] = ()
    replaces: str | None = None


EnrolmentState = Literal["listening", "other_voice", "done", "ended"]


class Enrolment(_Message):
    """How far an ``enrol`` has come.

    Attributes:
        state: ``listening`` at the beginning and after what was said; ``other_voice`` where that sounded like somebody
            else and does not count; ``done``; or ``ended`` without having learnt anything.
        heard_s: Seconds of speech that have been heard for it.
        needed_s: Seconds of speech that it takes.
        speaker_id: The voice, when it is done.
        voice_id: Its id over HTTP, and where it is stored.
        voice_token: Shows that the voice is this client's; told once.
        stored: Whether the voice is stored, and so known after a restart.
    """

    type: Literal["enrolment"] = "enrolment"
    state: EnrolmentState
    heard_s: float
    needed_s: float
    speaker_id: str | None = None
    voice_id: str | None = None
    voice_token: str | None = None
    stored: bool = False


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


class TermInfo(_Message):
    """A word or a name of the room's glossary.

    Attributes:
        text: As it is written where ``translations`` has nothing else.
        translations: ISO 639-3 → how it is written in that language.
        spoken: ISO 639-3 → how it is spelled for a voice of that language to say it right.
    """

    text: str
    translations: dict[str, str]
    spoken: dict[str, str]


class Glossary(_Message):
    """The whole glossary of the room, after ``ready`` if there is one and whenever it has changed."""

    type: Literal["glossary"] = "glossary"
    terms: list[TermInfo]


class Talking(_Message):
    """Another member of the room started or stopped speaking (``mode=stream``)."""

    type: Literal["talking"] = "talking"
    client_id: str
    talking: bool


class Resumed(_Message):
    """Everything the client missed has been sent.

    Attributes:
        replayed: Number of results that were sent again.
        lost: Number of missed results that are not shown: dropped from the history, or older than the client's link.
        lost_unknown: Whether there may be more of them, in the history that the client knew and that has ended with its
            server or its room.
    """

    type: Literal["resumed"] = "resumed"
    replayed: int
    lost: int
    lost_unknown: bool


class Settled(_Message):
    """The client's settings after a ``set``."""

    type: Literal["settled"] = "settled"
    target_lang: str
    source_lang: str
    name: str
    audio: AudioFormat
    interpreting: Interpreting = "consecutive"


class Behind(_Message):
    """The room is behind what is said in it: told when that begins, changes by some seconds, and ends.

    Attributes:
        seconds: Age of what waits longest for its captions or its first spoken word; 0 when the room has caught up.
        without: What there is none of until then: ``interim`` captions, ``early_speech`` of clauses whose speaker goes
            on, and the ``speech`` of all new results.
    """

    type: Literal["behind"] = "behind"
    seconds: float
    without: tuple[Shed, ...]


class Pong(_Message):
    """The answer to ``ping``."""

    type: Literal["pong"] = "pong"


class Error(_Message):
    """Something went wrong; ``code`` is stable (the codes of ``domain``), ``message`` is for people.

    Attributes:
        fatal: Whether the server closes the connection after this.
        utterance_id: The utterance that is lost, if any.
    """

    type: Literal["error"] = "error"
    code: str
    message: str
    fatal: bool = False
    utterance_id: str | None = None


ServerMessage = (
    Ready
    | Result
    | Partial
    | SpeechPiece
    | Speaker
    | Enrolment
    | Presence
    | Glossary
    | Talking
    | Resumed
    | Settled
    | Behind
    | Pong
    | Error
)


def encode(message: ServerMessage) -> str:
    """Serialize a message as one JSON text frame."""
    return message.model_dump_json()


def error_message(error: BabbleFishError, utterance_id: str | None = None) -> Error:
    """Return an error as a message."""
    return Error(code=error.code, message=error.message, fatal=error.fatal, utterance_id=utterance_id)
