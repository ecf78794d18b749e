"""What can go wrong, each with the code that clients get."""

from __future__ import annotations


class BabbleFishError(Exception):
    """Base of every error that reaches a client; ``code`` is stable, the message is for people."""

    code = "internal"
    fatal = False

    def __init__(self, message: str) -> None:
        """Keep the message, which is shown to people."""
        super().__init__(message)
        self.message = message


class InvalidAudioError(BabbleFishError):
    """A binary frame that is not Int16 mono PCM."""

    code = "invalid_audio"


class BadAudioError(BabbleFishError):
    """What a client sends as Int16 PCM at 16 kHz is something else, by the looks of it."""

    code = "bad_audio"

    def __init__(
        self,
        looks_like: str,
        wanted: str = "send the samples alone: 16-bit signed integers, little-endian, 16000 a second, one channel",
    ) -> None:
        """Say what it looks like, as "a WebM file", and what is to be sent instead."""
        super().__init__(f"this looks like {looks_like}; {wanted}")


class MislabelledError(BadAudioError):
    """A sound file whose header says something else than what it holds, by the looks of it."""

    def __init__(self, looks_like: str) -> None:
        """Say what it holds, as "sound at 44100 or 48000 Hz"."""
        super().__init__(looks_like, "the file's header says something else, and should say this")


class RecordingTooLongError(BabbleFishError):
    """A recording longer than the limit for one request."""

    code = "too_long"


class UtteranceTooShortError(BabbleFishError):
    """Less audio than the shortest word."""

    code = "too_short"


class NoSpeechError(BabbleFishError):
    """Audio in which nobody says a word: silence, noise, music, a click."""

    code = "no_speech"


class TwoLanguagesError(BabbleFishError):
    """An utterance in which one language ends and another begins; nobody is told, as it becomes two.

    Attributes:
        pause: The one of ``Utterance.pauses`` at which that happens.
    """

    def __init__(self, pause: int) -> None:
        """Say where to cut."""
        super().__init__("two languages are spoken in this utterance")
        self.pause = pause


class InvalidMessageError(BabbleFishError):
    """A text frame that is not a client message."""

    code = "invalid_message"


class UnknownLanguageError(BabbleFishError):
    """A language code that the server does not know."""

    code = "unknown_language"


class NoPathError(BabbleFishError):
    """No engine of the profile translates between two languages."""

    code = "no_path"


class NotYoursError(BabbleFishError):
    """A voice that belongs to another member, who is in the room."""

    code = "not_yours"


class UnknownSpeakerError(BabbleFishError):
    """A speaker id that no voice has."""

    code = "unknown_speaker"


class GlossaryFullError(BabbleFishError):
    """The room's glossary has no place for these terms; it stays as it was."""

    code = "glossary_full"


class NoRecordError(BabbleFishError):
    """The server keeps no history, or has no room of this name."""

    code = "no_record"


class NobodyHereError(BabbleFishError):
    """A room that nobody is in, so that nobody would get what is said there."""

    code = "nobody_here"


class OverloadedError(BabbleFishError):
    """The queue is full; this utterance was refused."""

    code = "overloaded"


class DeadlineExceededError(BabbleFishError):
    """Work that was dropped because it took too long or is no longer needed."""

    code = "deadline_exceeded"


class EngineError(BabbleFishError):
    """An engine failed on this utterance; the next one may well succeed."""

    code = "engine_failed"


class MistranslatedError(EngineError):
    """A translator made nothing usable of an utterance, however often it tried."""

    def __init__(self, message: str, faults: tuple[str, ...]) -> None:
        """Keep the message, and what was wrong each time."""
        super().__init__(message)
        self.faults = faults


class DuplicateUtteranceError(BabbleFishError):
    """The same words were picked up at the same moment by another member's microphone."""

    code = "duplicate"


class EchoError(BabbleFishError):
    """The microphone picked up the server's own speech from a loudspeaker."""

    code = "echo"


class ServerFullError(BabbleFishError):
    """The server or the room has no place for another client."""

    code = "full"
    fatal = True


class TooManyError(BabbleFishError):
    """The network address has reached its limit of connections."""

    code = "too_many"
    fatal = True


class TooFastError(BabbleFishError):
    """The network address exceeds its limit of audio, messages or failed attempts."""

    code = "too_fast"
    fatal = True


class NotAllowedError(BabbleFishError):
    """No valid token for this room, a page of another site, or a host name that is not the server's."""

    code = "not_allowed"
    fatal = True


class NotReadyError(BabbleFishError):
    """The engines are still loading, or one of them does not answer."""

    code = "not_ready"
    fatal = True


class RestartingError(BabbleFishError):
    """The server is shutting down, mostly to restart; the client should reconnect in a moment."""

    code = "restarting"
    fatal = True


class SetupError(BabbleFishError):
    """Something that the server needs is missing or wrong; the message says what to do."""

    code = "setup"
    fatal = True
