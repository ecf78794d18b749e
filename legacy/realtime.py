"""What the three socket servers share: a stream of PCM is cut into utterances, and each takes the server's steps."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, WebSocket
from fastapi.responses import FileResponse
from starlette.websockets import WebSocketDisconnect

from babblefish.audio import pcm
from babblefish.audio.format_check import FormatCheck
from babblefish.audio.segmenter import Segment
from babblefish.domain import SAMPLE_RATE_HZ
from babblefish.errors import (
    BabbleFishError,
    BadAudioError,
    InvalidMessageError,
    NoSpeechError,
    OverloadedError,
    ServerFullError,
)
from babblefish.pipeline.interpreter import Interpreter
from babblefish.pipeline.pipeline import Rendition
from babblefish.pipeline.recognition import Recognition
from babblefish.server.sites import Sites
from babblefish.wire import client_messages
from babblefish.wire.server_messages import AUTO, CLOSE_FULL, CLOSE_NOT_ALLOWED
from legacy.flores import flores_of, flores_or_iso, named, spoken
from legacy.sites import OwnSite, check

LONGEST_S = 5.0
"""Unbroken speech is flushed after this long, at its quietest recent moment."""

_STALLED_S = 1.0
"""A microphone that is on sends all the time; who has sent nothing for this long has ended the utterance."""

_PAGE = Path(__file__).with_name("page.html")

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """One utterance of a stream, recognised.

    Attributes:
        segment: Its sound and its place in the stream.
        recognition: What was said, and by what voice where a step asks for that.
        translation: In the listener's language, or None where nothing leads there.
    """

    segment: Segment
    recognition: Recognition
    translation: Rendition | None


Step = Callable[[Said], AsyncIterator[Message]]
"""Makes the messages of one utterance."""

OpenSteps = Callable[[Interpreter], Sequence[Step]]
"""Makes the steps of one connection, with what they remember of it."""


async def tell_text(said: Said) -> AsyncIterator[Message]:
    """Say what was heard and what it means."""
    transcript = said.recognition.transcript
    yield {
        "type": "result",
        "text": transcript.text,
        "language": flores_or_iso(transcript.lang),
        "language_confidence": round(transcript.lang_confidence, 3),
        "translation": said.translation.caption.text if said.translation else None,
        "quality": said.translation.caption.quality if said.translation else None,
        "start": said.segment.start_sample / SAMPLE_RATE_HZ,
        "end": said.segment.end_sample / SAMPLE_RATE_HZ,
    }


def create_app(interpreter: Interpreter, open_steps: OpenSteps, with_voice: bool = False) -> FastAPI:
    """Make an application with one socket, ``/ws``, and the page that talks to it.

    Args:
        interpreter: Open as long as the application serves.
        open_steps: What the server does with each utterance.
        with_voice: Whether a step asks whose voice it is.
    """
    app = FastAPI(title="BabbleFish V1", docs_url=None, redoc_url=None, openapi_url=None)
    connected: set[WebSocket] = set()
    sites = Sites(interpreter.settings, certified=tuple)
    app.add_middleware(OwnSite, sites=sites)

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(_PAGE)

    @app.get("/languages")
    async def languages() -> dict[str, list[dict[str, str]]]:
        return {"languages": [{"code": code, "name": known.native_name} for code, known in named().items()]}

    @app.websocket("/ws")
    async def serve(websocket: WebSocket, target_lang: str = "eng_Latn", source_lang: str = AUTO) -> None:
        try:
            check(sites, websocket.headers)
            source_lang, target_lang = flores_of(source_lang), flores_of(target_lang)
            source = None if source_lang == AUTO else spoken(source_lang)
            target = spoken(target_lang)
            if len(connected) >= interpreter.settings.max_clients:
                raise ServerFullError("all places are taken; try again later")
        except BabbleFishError as error:
            await websocket.accept()
            await websocket.send_json(_error(error))
            is_full = isinstance(error, ServerFullError)
            await websocket.close(CLOSE_FULL if is_full else CLOSE_NOT_ALLOWED, error.code)
            return
        connected.add(websocket)
        try:
            await websocket.accept()
            stream = _Stream(websocket, interpreter, open_steps(interpreter), source, target, with_voice)
            with contextlib.suppress(WebSocketDisconnect):
                await websocket.send_json({"type": "ready", "source_lang": source_lang, "target_lang": target_lang})
            await stream.run()
        finally:
            connected.remove(websocket)

    return app


class _Stream:
    """One connection: a task listens and cuts, another answers utterance by utterance, in their order."""

    def __init__(
        self,
        websocket: WebSocket,
        interpreter: Interpreter,
        steps: Sequence[Step],
        source_lang: str | None,
        target_lang: str,
        with_voice: bool,
    ) -> None:
        self._websocket = websocket
        self._interpreter = interpreter
        self._steps = steps
        self._source_lang = source_lang
        self._target_lang = target_lang
        self._with_voice = with_voice
        self._segmenter = interpreter.segmenter()
        self._pcm = pcm.Pcm16Stream()
        self._format_check: FormatCheck | None = FormatCheck(whole_frames=False)
        """None once the client has been told."""
        # One more is refused as overloaded, as it would come too late to be of use; of a recording it waits.
        self._segments: asyncio.Queue[Segment] = asyncio.Queue(interpreter.settings.utterances_per_client)

    async def run(self) -> None:
        """Serve until the client goes."""
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(self._answer_all())
            await self._listen()
            answering.cancel()

    async def _listen(self) -> None:
        while True:
            segments: list[Segment] = []
            try:
                async with asyncio.timeout(_STALLED_S if self._segmenter.in_speech else None):
                    message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                segments = await self._take(message)
            except TimeoutError:
                segments = await self._flush()
            except BabbleFishError as error:
                await self._send(_error(error))
            for segment in segments:
                if segment.start_sample < self._pcm.recorded or not self._segments.full():
                    await self._segments.put(segment)
                else:
                    await self._send(_error(OverloadedError("you speak faster than can be translated")))

    async def _take(self, message: Mapping[str, Any]) -> list[Segment]:
        if message.get("bytes") is not None:
            if self._format_check and (found := self._format_check.feed(message["bytes"], time.monotonic())):
                self._format_check = None
                await self._send(_error(BadAudioError(found)))
            samples = self._pcm.feed(message["bytes"])
            return await self._interpreter.workers.sockets.run(self._segmenter.feed, samples)
        if isinstance(client_messages.parse_message(message["text"]), client_messages.Flush):
            return await self._flush()
        raise InvalidMessageError("the only control message here is flush")

    async def _flush(self) -> list[Segment]:
        return await self._interpreter.workers.sockets.run(self._segmenter.flush)

    async def _send(self, message: Message) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the client has gone; who listens notices it
            await self._websocket.send_json(message)

    async def _answer_all(self) -> None:
        for utterance in itertools.count(1):
            async for message in self._answer(await self._segments.get()):
                await self._send({**message, "utterance": utterance})

    async def _answer(self, segment: Segment) -> AsyncIterator[Message]:
        problem: BabbleFishError | None = None
        translation = None
        try:
            recognition = await self._interpreter.recognise(
                segment, self._source_lang, self._target_lang, self._with_voice
            )
            try:
                translation = await self._interpreter.translation(recognition, self._target_lang)
            except BabbleFishError as error:
                problem = error
            for step in self._steps:
                async for message in step(Said(segment, recognition, translation)):
                    yield message
        except NoSpeechError:
            return  # a cough, or music
        except BabbleFishError as error:
            problem = error
        if problem:
            yield _error(problem)


def _error(error: BabbleFishError) -> Message:
    return {"type": "error", "code": error.code, "message": error.message}
