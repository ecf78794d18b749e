"""A scripted recogniser, to stand beside SeamlessM4T where Whisper does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from babblefish.domain import Quality, Transcript
from babblefish.engines.contracts import Hearing, SpeechRequest, SpeechTranslation
from babblefish.errors import NoSpeechError


@dataclass
class ScriptedRecogniser:
    """Hears the same in everything.

    Attributes:
        lang: The language it detects.
        says: What it hears; None is no words.
        knows: The languages it believes where they are declared.
        requests: What it was asked to transcribe.
        encoded: How often it encoded speech.
    """

    lang: str = "fra"
    says: str | None = "Mbote"
    knows: frozenset[str] = frozenset({"eng", "fra", "pol", "lin", "bre"})
    requests: list[SpeechRequest] = field(default_factory=list)
    encoded: int = 0

    def targets(self, source_lang: str) -> Mapping[str, Quality]:
        return {"eng": Quality.DRAFT}

    def hear(self, request: SpeechRequest) -> Hearing:
        self.encoded += 1
        possible = [lang for lang in request.source_langs if lang in self.knows]
        lang, confidence = (possible[0], 1.0) if len(possible) == 1 else (self.lang, 0.75)
        return Hearing(lang, confidence, lambda asked: self._write(asked, lang, confidence))

    def _write(self, request: SpeechRequest, lang: str, confidence: float) -> SpeechTranslation:
        self.requests.append(request)
        if self.says is None:
            raise NoSpeechError("no words were recognised")
        english = {"eng": "Hello"} if "eng" in request.choose_targets(lang) else {}
        return SpeechTranslation(Transcript(self.says, lang, confidence, 0.8), english)
