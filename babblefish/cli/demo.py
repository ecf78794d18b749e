"""The demonstration: a real server, three listeners and a recorded utterance played to it at the pace of speech."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import socket
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import uvicorn

from babblefish.audio import pcm
from babblefish.client import Message, connect
from babblefish.domain import SAMPLE_RATE_HZ, Samples
from babblefish.errors import SetupError
from babblefish.languages import language, language_code
from babblefish.server import invitation
from babblefish.server.app import create_app, server_config
from babblefish.server.server import Server
from babblefish.settings import Settings

CARRIED_SPEECH = Path(__file__).parents[1] / "assets" / "demo_fra.wav"
"""A French sentence spoken by the project's own synthesis, so that the demonstration needs no recording."""

TRAILING_SILENCE_S = 1.5
"""Follows speech that is played to a server, as the microphone stays open: longer than ends an utterance."""

_PATIENCE_S = 60.0
_ALONE = {
    "host": "127.0.0.1",
    "port": 0,
    "tls": "off",
    "tls_cert": None,
    "tls_key": None,
    "history_file": None,
    "voices_file": None,
    "log_level": "warning",
}
"""Settings of a server that nobody else is to reach, and that leaves nothing behind."""


@dataclass
class Heard:
    """What one listener got.

    Attributes:
        listener: ISO 639-3 code of the language it asked for.
        results: The ``result`` messages in order.
        interims: For each utterance, what was read of it while it was spoken.
        first_audio_ms: For each utterance that was spoken, from the end of speech to the first piece of translation.
        wav: File the spoken translations were written to, or None.
        errors: Codes of the errors it was told.
        pieces: WAV files as they came.
    """

    listener: str
    results: list[dict[str, Any]] = field(default_factory=list)
    interims: dict[str, list[str]] = field(default_factory=dict)
    first_audio_ms: dict[str, float] = field(default_factory=dict)
    wav: str | None = None
    errors: list[str] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list, repr=False)


@dataclass
class Report:
    """What the demonstration saw."""

    file: str
    duration_s: float
    start_s: float
    heard: list[Heard]

    @property
    def complete(self) -> bool:
        """Whether every listener got a result."""
        return all(heard.results for heard in self.heard)

    def as_json(self) -> str:
        """Return one JSON object."""
        plain = asdict(self)
        for heard in plain["heard"]:
            del heard["pieces"]
        return json.dumps(plain, ensure_ascii=False, indent=2)

    def as_text(self) -> str:
        """Return it as a person would like to read it."""
        lines = [f"{self.file}: {self.duration_s:.1f} s of speech; the server was ready after {self.start_s:.1f} s"]
        for heard in self.heard:
            wanted = language(heard.listener).name
            for result in heard.results:
                stages = ", ".join(f"{stage} {ms:.0f}" for stage, ms in result["timings"].items())
                lines += [
                    f"\n{wanted} listener hears {result['speaker_name']} ({language(result['source_lang']).name}):",
                    f"  said        {result['source_text']}",
                    *(f"  meanwhile   {text} …" for text in heard.interims.get(result["utterance_id"], ())),
                    f"  translation {result['translation']}   [{result['quality']}]",
                    f"  caption     {result['latency_ms']:.0f} ms after the end of speech",
                ]
                first_ms = heard.first_audio_ms.get(result["utterance_id"])
                if first_ms is not None:
                    lines.append(f"  first audio {first_ms:.0f} ms, {result['tts_voice']} → {heard.wav}")
                lines.append(f"  stages (ms) {stages}")
            if not heard.results:
                lines.append(f"\n{wanted} listener hears nothing ({', '.join(heard.errors) or 'no answer'})")
        return "\n".join(lines)


async def run(file: Path, listen: Sequence[str], out_dir: Path, settings: Settings | None = None) -> Report:
    """Start a server on a free port of this machine, play a file to it and report what each listener heard.

    Args:
        file: Speech in any format that libsndfile reads.
        listen: Each listener's language, a BCP 47 tag or ISO 639 code; the first one also speaks.
        out_dir: Gets ``<code>.wav`` for each spoken translation.
        settings: Of the server; by default those of the environment.

    Raises:
        SetupError: The file cannot be read, or the engines are not installed.
        UnknownLanguageError: A code in ``listen`` is not known.
    """
    listen = [language_code(tag) for tag in listen]
    samples = read_speech(file)
    _make_folder(out_dir)  # before the work, not after it
    started_s = time.perf_counter()
    async with own_server(settings or Settings()) as (server, base):
        assert server.runtime.pipeline is not None
        # A room gets ready for its languages while people arrive; here nobody waits before speaking.
        await server.runtime.pipeline.prepare(product(listen, listen))
        start_s = time.perf_counter() - started_s
        heard = await _converse(server, base, samples, listen)
    for one in heard:
        _write_speech(one, out_dir)
    return Report(str(file.name), len(samples) / SAMPLE_RATE_HZ, start_s, heard)


@contextlib.asynccontextmanager
async def own_server(settings: Settings) -> AsyncIterator[tuple[Server, str]]:
    """Run a server that only this machine reaches, on a free port; yields it and its address once it is ready.

    Raises:
        SetupError: The engines are not installed.
    """
    settings = settings.model_copy(update=_ALONE)
    app = create_app(settings)
    server = uvicorn.Server(server_config(app, settings))
    with socket.create_server((settings.host, 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        try:
            await _ready(app.state.server, serving)
            yield app.state.server, f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            await serving


def read_speech(file: Path) -> Samples:
    """Read a sound file as mono at 16 kHz.

    Raises:
        SetupError: There is no such file, or it is not sound.
    """
    try:
        data, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise SetupError(f"cannot read speech from {file}: {error}") from error
    return pcm.resample(np.asarray(data.mean(axis=1), dtype=np.float32), rate_hz)


async def _ready(server: Server, serving: asyncio.Task[None]) -> None:
    while server.runtime.engines is None:
        if server.failure is not None or serving.done():
            raise SetupError(server.failure or "the server did not start")
        await asyncio.sleep(0.05)


async def _converse(server: Server, base: str, samples: Samples, listen: Sequence[str]) -> list[Heard]:
    patience_s = _PATIENCE_S + 2 * len(samples) / SAMPLE_RATE_HZ
    token = server.access.join_token(invitation.DEFAULT_ROOM) if server.access.is_required else None
    async with asyncio.timeout(patience_s), contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                connect(
                    base,
                    target_lang=code,
                    name=f"Listener {number}",
                    mode="stream",
                    audio="stream",
                    token=token,
                    backlog=None,
                )
            )
            for number, code in enumerate(listen, 1)
        ]
        await clients[0].stream(samples, paced=True, silence_s=TRAILING_SILENCE_S)
        await clients[0].catch_up(patience_s)  # now everything it said is on its way
        assert server.rooms is not None
        await server.rooms.drain()
        for client in clients:
            await client.catch_up(patience_s)
    return [_heard(code, client.messages) for code, client in zip(listen, clients, strict=True)]


def _heard(listener: str, messages: Iterable[Message]) -> Heard:
    """Return what one listener got."""
    heard = Heard(listener)
    for message in messages:
        match message["type"]:
            case "error":
                heard.errors.append(message["code"])
            case "partial":
                heard.interims.setdefault(message["utterance_id"], []).append(message["translation"])
            case "result":
                message.pop("tts_audio")
                heard.results.append(message)
            case "speech" if message["last"]:
                spoken = next(one for one in heard.results if one["seq"] == message["seq"])
                spoken["timings"] |= message["timings"]
            case "speech":
                heard.pieces.append(base64.b64decode(message["audio"]))
                heard.first_audio_ms.setdefault(message["utterance_id"], message["latency_ms"])
    return heard


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"cannot write to {folder}: {error.strerror}") from error


def _write_speech(heard: Heard, out_dir: Path) -> None:
    """Join the pieces one listener heard into one WAV file."""
    if not heard.pieces:
        return
    decoded = [soundfile.read(io.BytesIO(piece), dtype="float32") for piece in heard.pieces]
    path = out_dir / f"{heard.listener}.wav"
    try:
        path.write_bytes(pcm.wav_bytes(np.concatenate([samples for samples, _ in decoded]), decoded[0][1]))
    except OSError as error:
        raise SetupError(f"cannot write {path}: {error.strerror}") from error
    heard.wav = str(path)
