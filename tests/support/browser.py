"""What the browser's tests need: a scripted server, a browser with a microphone made of a WAV file, and messages."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, Playwright
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from babblefish.audio import pcm
from babblefish.domain import Quality, Samples
from babblefish.languages import language
from babblefish.wire import client_messages, server_messages

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "client_thin.html"
DEMO = ROOT / "babblefish" / "assets" / "demo_fra.wav"
"""Somebody speaks French for six seconds, without a long pause."""
CHROMIUM = Path("/usr/bin/chromium")
VOICE = "test:voice"

TONE_HZ = 1000
ABOVE_NYQUIST_HZ = 11_000
"""Would be heard at 5 kHz if the page dropped samples without a low-pass."""
TONE_S = 3.0
"""How long the microphone of the ``browser`` fixture hears these two tones."""

QUIET = ("listening", "hearing", "translating")
"""States of a client that may speak; which one depends on what the microphone hears at the moment."""

LANGUAGES = [
    server_messages.LanguageInfo(
        code=code,
        bcp47=language(code).bcp47,
        name=language(code).name,
        native_name=language(code).native_name,
        captions=quality,
        voice=voice,
    )
    for code, quality, voice in [
        ("eng", Quality.GOOD, VOICE),
        ("fra", Quality.DRAFT, VOICE),
        ("spa", Quality.GOOD, VOICE),
        ("tha", Quality.DRAFT, None),
        ("cat", Quality.GOOD, None),
        ("pol", Quality.UNTRANSLATED, VOICE),
    ]
]


def ready(**changes: Any) -> server_messages.Ready:
    """The server lets a client in."""
    fields: dict[str, Any] = {
        "message": "welcome",
        "client_id": "me",
        "target_lang": "eng",
        "source_lang": "auto",
        "room": "main",
        "mode": "stream",
        "audio": "stream",
        "profile": "scripted",
        "profile_reason": "",
        "engines": {},
        "languages": LANGUAGES,
        "max_utterance_s": 20.0,
        "history_id": "history",
        "last_seq": 0,
    }
    return server_messages.Ready(**(fields | changes))


def result(seq: int, **changes: Any) -> server_messages.Result:
    """A caption from French to English without speech, unless told otherwise."""
    fields: dict[str, Any] = {
        "utterance_id": f"utterance_{seq}",
        "seq": seq,
        "client_id": "other",
        "speaker_id": "speaker_1",
        "speaker_name": "Speaker 1",
        "speaker_confidence": 0.9,
        "source_text": "Bonjour à tous",
        "source_lang": "fra",
        "source_confidence": 0.8,
        "source_lang_confidence": 0.9,
        "path": ("fra", "eng"),
        "translation": "Hello everyone",
        "target_lang": "eng",
        "requested_lang": "eng",
        "quality": Quality.GOOD,
        "status": "final",
        "tts_audio": None,
        "tts_voice": None,
        "latency_ms": 900.0,
        "timings": {},
        "timestamp": "2024-05-01T10:20:30+00:00",
    }
    return server_messages.Result(**(fields | changes))


def speech(seq: int, index: int, wav: str | None, last: bool = False) -> server_messages.SpeechPiece:
    """One piece of an utterance's speech."""
    return server_messages.SpeechPiece(
        utterance_id=f"utterance_{seq}",
        seq=seq,
        target_lang="eng",
        index=index,
        audio=wav,
        last=last,
        latency_ms=1000.0,
        timings={},
    )


def tone(seconds: float, *frequencies_hz: float, rate_hz: int, amplitude: float = 0.25) -> Samples:
    """A sum of sines, shape ``[seconds · rate_hz]``."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    angles = 2 * np.pi * np.outer(frequencies_hz, time_s)
    return np.asarray(amplitude * np.sin(angles).sum(axis=0), dtype=np.float32)


def tone_wav(seconds: float, frequency_hz: float = 300.0) -> str:
    """A base64 WAV file of that length, as it stands in a message."""
    return base64.b64encode(pcm.wav_bytes(tone(seconds, frequency_hz, rate_hz=24_000), 24_000)).decode()


def microphone_file(path: Path, samples: Samples, rate_hz: int, silence_s: float = 3.0) -> Path:
    """Write what the browser's microphone will hear, between silences that outlast joining and ending."""
    silence = np.zeros(int(silence_s * rate_hz), np.float32)
    soundfile.write(path, np.concatenate([silence, samples, silence]), rate_hz, subtype="PCM_16")
    return path


class ScriptedServer:
    """Serves the page, lets clients in (or not), keeps what they send, and says what the test wants said.

    Attributes:
        frames: Binary frames received, in order.
        arrived_s: When each of them came, on the clock of ``time.monotonic``.
        controls: Control messages received, in order.
        joins: Query parameters of each connection.
        refusals: Errors for the next connections, each sent with its close code before anyone is let in.
        door: While it is not set, whoever connects waits for ``ready``.
        answers_set: Whether a ``set`` is agreed to; otherwise the test answers it.
        history: What ``ready`` says about the captions that can be had again, as in ``history_id`` and ``last_seq``;
            otherwise each connection is one to a server that was restarted.
        resumes: Every ``resume``; it is not among the ``controls``.
        played: The utterances whose voice began to be heard, as the page told; not among the ``controls`` either.
        record: What the server has kept of every room; None where it keeps nothing.
        record_status: Of the answer to who asks for it.
        asked: The address and the token of each request for it.
        away: Whether nobody is there: no connection is taken.
    """

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.arrived_s: list[float] = []
        self.controls: list[dict[str, Any]] = []
        self.joins: list[dict[str, str]] = []
        self.refusals: list[tuple[server_messages.Error, int]] = []
        self.door = threading.Event()
        self.door.set()
        self.answers_set = True
        self.history: dict[str, Any] = {}
        self.resumes: list[dict[str, Any]] = []
        self.played: list[str] = []
        self.record: str | None = None
        self.record_status = HTTPStatus.OK
        self.asked: list[tuple[str, str]] = []
        self.away = False
        self.port = 0
        self._settled = server_messages.Settled(target_lang="eng", source_lang="auto", name="", audio="stream")
        self._client: ServerConnection | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def send(self, *messages: server_messages.ServerMessage) -> None:
        """Say something to the client that joined last."""
        self.say(*(json.loads(server_messages.encode(message)) for message in messages))

    def say(self, *messages: dict[str, Any]) -> None:
        """Say something that need not be a message of this server's own protocol."""
        assert self._client is not None, "nobody has joined"
        for message in messages:
            self._client.send(json.dumps(message))

    def drop(self, code: int = 1012) -> None:
        """End the connection; unless told otherwise, as a restarting server does."""
        assert self._client is not None, "nobody has joined"
        self._client.close(code)

    def received_audio(self) -> Samples:
        """Everything heard so far, as 16 kHz samples."""
        return pcm.pcm16_to_float(b"".join(self.frames))

    def handle(self, client: ServerConnection) -> None:
        """Serve one connection until it ends."""
        assert client.request is not None
        join = dict(parse_qsl(urlsplit(client.request.path).query))
        self.joins.append(join)
        if self.refusals:
            error, code = self.refusals.pop(0)
            client.send(server_messages.encode(error))
            client.close(code)
            return
        wish = client_messages.parse_join(join)
        self.door.wait()
        self._client = client
        self._settled = server_messages.Settled(
            **wish.model_dump(include=server_messages.Settled.model_fields.keys() - {"type"}, exclude_none=True)
        )
        members = [
            server_messages.MemberInfo(client_id="me", name=wish.name, target_lang=wish.target_lang, source_lang="auto")
        ]
        members.append(server_messages.MemberInfo(client_id="other", name="Anna", target_lang="fra", source_lang="fra"))
        agreed = {"target_lang", "source_lang", "room", "audio", "interpreting"}
        welcome = ready(**wish.model_dump(include=agreed, exclude_none=True))
        life = {"history_id": f"life {len(self.joins)}"}
        self.say(json.loads(server_messages.encode(welcome)) | life | self.history)
        self.send(server_messages.Presence(members=members))
        try:
            for message in client:
                self._received(message)
        except ConnectionClosed:
            pass

    def _received(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.arrived_s.append(time.monotonic())
            self.frames.append(message)
            return
        control = client_messages.parse_message(message)  # raises, and so drops a client that does not keep to the wire
        if isinstance(control, client_messages.Played):
            self.played.append(control.utterance_id)
            return
        if isinstance(control, client_messages.Resume):
            self.resumes.append(json.loads(message))
            return
        if isinstance(control, client_messages.Set) and self.answers_set:
            self._settled = self._settled.model_copy(update=control.model_dump(exclude_none=True, exclude={"type"}))
            self.send(self._settled)
        self.controls.append(json.loads(message))

    def answer_http(self, _: ServerConnection, request: Request) -> Response | None:
        """Answer what is not a WebSocket; None goes on to ``handle``."""
        path = urlsplit(request.path).path
        if path == "/ws/client":
            return _response(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"") if self.away else None
        if path == "/":
            return _response(HTTPStatus.OK, "text/html; charset=utf-8", PAGE.read_bytes())
        if path == "/languages":
            body = json.dumps({"languages": [info.model_dump(mode="json") for info in LANGUAGES]})
            return _response(HTTPStatus.OK, "application/json", body.encode())
        if path == "/rooms/main/transcript":
            self.asked.append((request.path, request.headers.get("Authorization", "")))
            if self.record is not None and self.record_status == HTTPStatus.OK:
                return _response(HTTPStatus.OK, "text/plain; charset=utf-8", self.record.encode())
            refusal = {"code": "too_fast", "message": "too many attempts"}
            status = HTTPStatus.NOT_FOUND if self.record is None else self.record_status
            return _response(status, "application/json", json.dumps(refusal).encode())
        return _response(HTTPStatus.NOT_FOUND, "text/plain", b"")


def _response(status: HTTPStatus, content_type: str, body: bytes) -> Response:
    headers = Headers({"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body)


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """Run a scripted server on a free port of the loopback interface."""
    scripted = ScriptedServer()
    with serve(scripted.handle, "127.0.0.1", 0, process_request=scripted.answer_http, compression=None) as server:
        scripted.port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield scripted
        finally:
            scripted.door.set()
            server.shutdown()
            thread.join()


@contextmanager
def browser_hearing(
    playwright: Playwright, wav: Path, further_flags: Sequence[str] = (), home: Path | None = None
) -> Iterator[Browser]:
    """Run Chromium with a microphone that plays a WAV file once, from the moment a page opens it."""
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing; `make test` installs it")
    flags = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={wav}%noloop",
        "--autoplay-policy=no-user-gesture-required",
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        *further_flags,
    ]
    environment = {**os.environ, "HOME": str(home)} if home else None
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags, env=environment)
    try:
        yield browser
    finally:
        browser.close()


def join(page: Page, **fields: str) -> None:
    """Fill the form (by the labels that people read) and tap Join."""
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " "), exact=False).first.fill(value)
    page.get_by_role("button", name="Join").click()


def wait_for_state(page: Page, *states: str) -> str:
    """Wait until the page is in one of these states and return which."""
    handle = page.wait_for_function(
        "states => states.includes(document.body.dataset.state) && document.body.dataset.state", arg=list(states)
    )
    return str(handle.json_value())


def joined(page: Page, server: ScriptedServer) -> None:
    """Open the page and join with what the form offers."""
    page.goto(server.url)
    join(page)
    wait_for_state(page, *QUIET)


def wait_until(page: Page, holds: Callable[[], bool], what: str, at_most_s: int = 60) -> None:
    """Let the page go on until something holds on this side."""
    for _ in range(at_most_s * 20):
        if holds():
            return
        page.wait_for_timeout(50)
    pytest.fail(f"waited in vain until {what}")
