"""What the room knows of an utterance, put into the words of the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from babblefish.conversation.history import HistoryEntry, KeptCaption
from babblefish.domain import Quality
from babblefish.languages import spoken
from babblefish.wire.server_messages import Result, SpeechPiece


def result_message(
    entry: HistoryEntry,
    kept: KeptCaption,
    requested_lang: str,
    *,
    status: Literal["final", "speaking"] = "final",
    tts_audio: str | None = None,
    tts_voice: str | None = None,
    speaker_name: str | None = None,
    replayed: bool = False,
) -> Result:
    """Make the result for the listeners of a language; a caption in another language is marked as untranslated.

    Args:
        entry: The utterance.
        kept: The caption for these listeners.
        requested_lang: ISO 639-3 of their language.
        status: ``speaking`` where pieces of speech follow.
        tts_audio: Base64 of a whole WAV file.
        tts_voice: ``<engine>:<voice>``.
        speaker_name: Where the voice has got another name since.
        replayed: Whether it comes from the history.
    """
    caption, transcript, speaker = kept.caption, entry.transcript, entry.speaker
    return Result(
        utterance_id=entry.utterance_id,
        seq=entry.seq,
        client_id=entry.client_id,
        speaker_id=speaker.speaker_id,
        speaker_name=speaker_name or speaker.name,
        speaker_confidence=round(speaker.confidence, 3),
        speaker_likely=speaker.is_likely,
        source_text=transcript.text,
        source_lang=transcript.lang,
        source_confidence=round(transcript.confidence, 3),
        source_lang_confidence=round(transcript.lang_confidence, 3),
        path=caption.path,
        translation=caption.text,
        target_lang=caption.lang,
        requested_lang=requested_lang,
        quality=caption.quality if spoken(caption.lang) == spoken(requested_lang) else Quality.UNTRANSLATED,
        status=status,
        tts_audio=tts_audio,
        tts_voice=tts_voice,
        latency_ms=kept.latency_ms,
        timings=rounded(kept.timings_ms),
        timestamp=entry.made_at.isoformat(timespec="milliseconds"),
        continues=entry.continues,
        replayed=replayed,
        typed=entry.is_typed,
    )


def speech_message(
    entry: HistoryEntry, lang: str, index: int, audio: str | None, latency_ms: float, timings_ms: Mapping[str, float]
) -> SpeechPiece:
    """Make a piece of speech; one without ``audio`` is the last."""
    return SpeechPiece(
        utterance_id=entry.utterance_id,
        seq=entry.seq,
        target_lang=lang,
        index=index,
        audio=audio,
        last=audio is None,
        latency_ms=latency_ms,
        timings=rounded(timings_ms),
    )


def rounded(timings_ms: Mapping[str, float]) -> dict[str, float]:
    """Round milliseconds per stage to what is worth reading."""
    return {stage: round(ms, 1) for stage, ms in timings_ms.items()}
