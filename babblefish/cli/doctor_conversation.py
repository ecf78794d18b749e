"""A conversation with a running server: known speech through its real socket, how well and how soon it comes back."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import ssl
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jiwer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from babblefish.cli.demo import play, read_speech
from babblefish.cli.doctor_machine import Check, Outcome, failed
from babblefish.languages import language

_ASSETS = Path(__file__).parents[1] / "assets"

_PATIENCE_S = 45.0
_POOR_WER, _BAD_WER = 0.35, 0.6
"""Whisper's smallest sizes make a fifth to a third of errors on these clips, numbers written as digits included."""
_SLOW_MS = 6000.0
"""Whoever waits longer for a caption has begun to speak again."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Speech whose words are known.

    Attributes:
        file: In the package.
        lang: ISO 639-3 of what is spoken.
        target_lang: ISO 639-3 of what the listener asks for.
        words: As they were spoken.
    """

    file: str
    lang: str
    target_lang: str
    words: str


CLIPS = (
    Clip("demo_eng.wav", "eng", "fra", "Good evening, my friends. The dinner is ready, and the soup is still hot."),
    Clip("demo_spa.wav", "spa", "eng", "Buenas noches, amigos. La cena está lista y la sopa todavía está caliente."),
    Clip(
        "demo_fra.wav",
        "fra",
        "spa",
        "Bonjour à tous, je suis très heureuse de vous voir ce soir. Le train pour Paris part demain matin à 7 heures.",
    ),
)


@dataclass
class _Heard:
    """What came back for a clip; ``spoken`` has the utterances whose speech is complete."""

    results: list[dict[str, Any]] = field(default_factory=list)
    first_speech_ms: list[float] = field(default_factory=list)
    spoken: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    pongs: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether everything that was announced has come."""
        due = {result["utterance_id"] for result in self.results if result["status"] == "speaking"}
        return bool(self.results) and due <= self.spoken


async def converse(base: str, token: str | None, context: ssl.SSLContext | None) -> AsyncIterator[Check]:
    """Play every clip to a server, each in a room of its own, and judge what comes back.

    Args:
        base: Address of the server's page.
        token: Is shown to a server that asks for one.
        context: For HTTPS.
    """
    for clip in CLIPS:
        name = f"speech {clip.lang} → {clip.target_lang}"
        try:
            yield _judge(name, clip, await _play(base, clip, token, context))
        except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
            status = f" (HTTP {error.response.status_code})" if isinstance(error, InvalidStatus) else ""
            yield failed(
                name,
                f"the conversation broke off: {str(error) or 'no answer'}{status}",
                "see the server's log; a proxy in between must pass WebSockets through",
            )
            return


def word_error_rate(reference: str, heard: str) -> float:
    """Return wrong, missing and additional words over the words of the reference; case and punctuation do not count."""
    return float(jiwer.wer(_words(reference), _words(heard))) if _words(heard) else 1.0


def _words(text: str) -> str:
    return " ".join(re.findall(r"[^\W\d_]+|\d+", unicodedata.normalize("NFKC", text).casefold()))


async def _play(base: str, clip: Clip, token: str | None, context: ssl.SSLContext | None) -> _Heard:
    query = {"target_lang": clip.target_lang, "room": f"doctor-{secrets.token_hex(4)}", "name": "Doctor"}
    query |= {"mode": "stream", "audio": "stream"} | ({"token": token} if token else {})
    url = f"{base.replace('http', 'ws', 1)}ws/client?{urlencode(query)}"
    heard = _Heard()
    async with asyncio.timeout(_PATIENCE_S), connect(url, ssl=context, max_size=None) as client:
        listening = asyncio.create_task(_listen(client, heard))
        try:
            await play(client, read_speech(_ASSETS / clip.file))
            await client.send('{"type": "flush"}')
            await client.send('{"type": "ping"}')
            while not listening.done() and not (heard.pongs and (heard.is_complete or heard.errors)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        except ConnectionClosed:  # what it was told before says why
            if not heard.errors:
                raise
        finally:
            listening.cancel()
    return heard


async def _listen(client: ClientConnection, heard: _Heard) -> None:
    async for text in client:
        message = json.loads(text)
        match message["type"]:
            case "result":
                heard.results.append(message)
            case "speech" if message["last"]:
                heard.spoken.add(message["utterance_id"])
            case "speech" if message["index"] == 0:
                heard.first_speech_ms.append(message["latency_ms"])
            case "error":
                heard.errors.append(f"{message['code']}: {message['message']}")
            case "pong":
                heard.pongs += 1


def _judge(name: str, clip: Clip, heard: _Heard) -> Check:
    if not heard.results:
        why = "; ".join(heard.errors) or "nothing came back"
        return failed(name, why, "see the server's log; where it asks for a token, give one with --token")
    wer = word_error_rate(clip.words, " ".join(result["source_text"] for result in heard.results))
    caption_ms = max(result["latency_ms"] for result in heard.results)
    figures = {"word_error_rate": round(wer, 3), "caption_ms": caption_ms}
    found = f"{100 * wer:.0f} % of the words wrong; caption {caption_ms:.0f} ms after the end of speech"
    if heard.first_speech_ms:
        figures["first_speech_ms"] = max(heard.first_speech_ms)
        found += f", speech {figures['first_speech_ms']:.0f} ms"
    outcome, advice = _verdict(clip, heard, wer, caption_ms)
    return Check(name, outcome, found, advice, figures)


def _verdict(clip: Clip, heard: _Heard, wer: float, caption_ms: float) -> tuple[Outcome, str]:
    detected = {result["source_lang"] for result in heard.results}
    captions = {result["target_lang"] for result in heard.results}
    if detected != {clip.lang}:
        found = ", ".join(language(code).name for code in sorted(detected - {clip.lang}))
        return Outcome.FAILED, f"{language(clip.lang).name} was taken for {found}; check the weights"
    if wer > _BAD_WER:
        return Outcome.FAILED, "the words are not understood: check the weights with babblefish models verify"
    if captions != {clip.target_lang}:
        wanted = language(clip.target_lang).name
        return Outcome.WARNING, f"no way to {wanted}: install the Debian packages, or the full profile"
    if not heard.first_speech_ms:
        return Outcome.WARNING, f"{language(clip.target_lang).name} is not spoken: install the voices' weights"
    if wer > _POOR_WER:
        return Outcome.WARNING, "many words are misunderstood; the full profile understands more"
    if caption_ms > _SLOW_MS:
        return Outcome.WARNING, "the machine is slow or busy: see Tuning in DEPLOYMENT.md"
    return Outcome.OK, ""
