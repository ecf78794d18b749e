"""V1's REST server: translates text, transcribes files; OpenAPI at ``/openapi.json``, to try at ``/docs``."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path
from typing import Annotated

if not __package__:  # started by its file: what it imports is found from the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from fastapi import FastAPI, Form, UploadFile
from fastapi_offline import FastAPIOffline
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from babblefish.errors import NoSpeechError
from babblefish.pipeline.interpreter import Interpreter, Line
from babblefish.server.sites import Sites
from legacy.flores import Spoken, Written, flores_or_iso, named, spoken, written
from legacy.limits import Limits
from legacy.problems import RESPONSES, Problem, answer_problems
from legacy.serving import run
from legacy.sites import OwnSite

PORT = 8000
MAX_RECORDING_S = 600.0
"""38 MB as samples."""


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


Text = Annotated[str, AfterValidator(_composed), StringConstraints(min_length=1, max_length=10_000, pattern=r"\S")]
File = Annotated[UploadFile, Field(description="Speech: WAV, AIFF, FLAC, Ogg, MP3, AAC, MP4, WebM, AMR, CAF or AU")]


class TranslateRequest(BaseModel):
    """Text of one or many lines."""

    text: Text
    source_lang: Written
    target_lang: Written


class Translation(BaseModel):
    """The text in the target language, line by line."""

    translation: str
    source_lang: str
    target_lang: str


class Segment(BaseModel):
    """One utterance, with its place in the file in seconds."""

    start: float
    end: float
    text: str


class Transcription(BaseModel):
    """What was said in a file, and what makes that doubtful, if anything does."""

    text: str
    language: str
    segments: list[Segment]
    warning: Problem | None = None


class TranslatedTranscription(BaseModel):
    """What was said in a file, and what that means."""

    transcription: str
    detected_language: str
    translation: str
    target_lang: str
    warning: Problem | None = None


class LanguageInfo(BaseModel):
    """A language, and those that text is translated to from it."""

    code: str
    name: str
    native_name: str
    translates_to: list[str]


def create_app(interpreter: Interpreter) -> FastAPI:
    """Make the application.

    Args:
        interpreter: Open as long as the application serves.
    """
    app = FastAPIOffline(title="BabbleFish V1", version="1", redoc_url=None, responses=RESPONSES)
    app.add_middleware(Limits, at_once=interpreter.settings.queue_limit)
    app.add_middleware(OwnSite, sites=Sites(interpreter.settings, certified=tuple))
    answer_problems(app)

    known = _languages(interpreter)

    async def lines(
        file: UploadFile, language: str | None, target_lang: str | None = None
    ) -> tuple[list[Line], Problem | None]:
        source = spoken(language) if language else None
        data = await file.read()
        samples = await interpreter.read(data, MAX_RECORDING_S)
        doubt = await interpreter.doubt(data, samples)
        try:
            said = await interpreter.transcribe(samples, source, target_lang)
        except NoSpeechError:
            if doubt is not None:
                raise doubt from None
            raise
        return said, Problem(code=doubt.code, detail=doubt.message) if doubt else None

    @app.post("/translate")
    async def translate(asked: TranslateRequest) -> Translation:
        source, target = written(asked.source_lang), written(asked.target_lang)
        caption = await interpreter.pipeline.texts.translate(asked.text, source, target)
        return Translation(translation=caption.text, source_lang=asked.source_lang, target_lang=asked.target_lang)

    @app.post("/transcribe", response_model_exclude_none=True)
    async def transcribe(file: File, language: Annotated[Spoken | None, Form()] = None) -> Transcription:
        said, warning = await lines(file, language)
        return Transcription(
            text=_joined([line.transcript.text for line in said]),
            language=flores_or_iso(said[0].transcript.lang),
            segments=[Segment(start=line.start_s, end=line.end_s, text=line.transcript.text) for line in said],
            warning=warning,
        )

    @app.post("/transcribe-translate", response_model_exclude_none=True)
    async def transcribe_translate(
        file: File, target_lang: Annotated[Written, Form()], language: Annotated[Spoken | None, Form()] = None
    ) -> TranslatedTranscription:
        said, warning = await lines(file, language, written(target_lang))
        return TranslatedTranscription(
            transcription=_joined([line.transcript.text for line in said]),
            detected_language=flores_or_iso(said[0].transcript.lang),
            translation=_joined([line.caption.text for line in said if line.caption]),
            target_lang=target_lang,
            warning=warning,
        )

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "profile": interpreter.profile.name, "profile_reason": interpreter.profile.reason}

    @app.get("/languages")
    async def languages() -> dict[str, list[LanguageInfo]]:
        return {"languages": known}

    return app


def _languages(interpreter: Interpreter) -> list[LanguageInfo]:
    translator = interpreter.pipeline.engines.text_translator
    codes = named()

    def reached(source: str) -> list[str]:
        return [flores for flores, known in codes.items() if translator and translator.route(source, known.code)]

    return [
        LanguageInfo(code=flores, name=known.name, native_name=known.native_name, translates_to=reached(known.code))
        for flores, known in codes.items()
    ]


def _joined(texts: list[str]) -> str:
    return " ".join(texts)


if __name__ == "__main__":
    run(__doc__, PORT, create_app)
