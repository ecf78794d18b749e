"""A test conversation with a running server: known speech, judged by how well and how soon it comes back."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import ssl
import unicodedata
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import jiwer

from babblefish.cli.demo import TRAILING_SILENCE_S, read_speech
from babblefish.cli.doctor_machine import Check, Outcome, failed
from babblefish.client import Client, ConnectionLostError, Message, RefusedError, connect
from babblefish.languages import language
from babblefish.wire.server_messages import AudioFormat

ASSETS = Path(__file__).parents[1] / "assets"
"""Where the clips are."""

_PATIENCE_S = 45.0
_POOR_WER, _BAD_WER = 0.35, 0.6
"""Whisper's smallest models get a fifth to a third of these clips' words wrong, counting numbers written as digits."""
_SLOW_MS = 6000.0
"""By then people have started to speak again."""

_SLOW_TRANSLATION_MS = 2000.0
"""With the second that recognition takes, and the silence before it, people have waited for three by then."""

_TYPED = (
    "The parcel for our neighbour is still at the post office.",
    "The second bus leaves from the other side of the bridge.",
)
"""Sentences in English; with the first the language model reads its examples for the pair, and the second is timed."""

_NOTHING_CAME = "check the server's log; if it requires a token, give one with --token"


@dataclass(frozen=True, slots=True)
class Clip:
    """Speech whose words are known.

    Attributes:
        file: Name of the sound file in the package.
        lang: ISO 639-3 of the language spoken.
        target_lang: ISO 639-3 of the listener's language.
        words: The words spoken.
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


_SECOND_HALF_S = 15.0
"""What was said after a pause comes back this long after what was said before, at the latest."""

_MOST_WORDS = 0.8
"""Of the words of a clip; some may have been misheard as one."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What came back for a clip."""

    results: list[Message]
    speech: list[Message]
    errors: list[str]

    @classmethod
    def by(cls, client: Client) -> _Heard:
        """Return what a client has received."""
        errors = [f"{error['code']}: {error['message']}" for error in client.of_type("error")]
        return cls(client.of_type("result"), client.of_type("speech"), errors)

    @property
    def is_complete(self) -> bool:
        """Whether everything announced has arrived."""
        due = {result["utterance_id"] for result in self.results if result["status"] == "speaking"}
        return bool(self.results) and due <= {piece["utterance_id"] for piece in self.speech if piece["last"]}

    def is_all_of(self, clip: Clip) -> bool:
        """Whether so much of a clip has come back that nothing more is to be expected."""
        heard = " ".join(result["source_text"] for result in self.results)
        return self.is_complete and len(_words(heard).split()) >= _MOST_WORDS * len(_words(clip.words).split())

    @property
    def first_speech_ms(self) -> list[float]:
        """From the end of speech to the first piece of each utterance that is spoken."""
        return [piece["latency_ms"] for piece in self.speech if piece["index"] == 0 and not piece["last"]]


async def converse(base: str, token: str | None, context: ssl.SSLContext | None) -> AsyncIterator[Check]:
    """Play every clip to a server, each in a room of its own, and judge what comes back.

    Args:
        base: URL of the server's page.
        token: For a server that requires one.
        context: For HTTPS.
    """
    for clip in CLIPS:
        name = f"speech {clip.lang} → {clip.target_lang}"
        try:
            yield _judge(name, clip, await _play(base, clip, token, context))
        except RefusedError as error:
            yield failed(name, str(error), _NOTHING_CAME)
            return
        except (ConnectionLostError, TimeoutError) as error:
            yield failed(
                name,
                f"the conversation was cut off: {str(error) or 'no answer'}",
                "check the server's log; a proxy must pass WebSockets through",
            )
            return


async def time_translation(base: str, token: str | None, context: ssl.SSLContext | None) -> Check | None:
    """Have a typed sentence translated, and say what its time means for a conversation.

    Args:
        base: URL of the server's page.
        token: For a server that requires one.
        context: For HTTPS.

    Returns:
        None where the server does not translate it.
    """
    try:
        async with asyncio.timeout(2 * _PATIENCE_S), _joining(base, "fra", "none", token, context) as client:
            for sentence in _TYPED:
                answer = await _answer(client, sentence)
    except (ConnectionLostError, RefusedError, TimeoutError) as error:
        return failed("translation", f"no typed sentence came back: {str(error) or 'no answer'}", _NOTHING_CAME)
    if answer["type"] == "error":
        return failed("translation", f"refused: {answer['message']}", _NOTHING_CAME)
    if answer["target_lang"] != "fra":
        return None
    took_ms = answer["timings"].get("translate", 0.0)
    figures = {"translate_ms": took_ms}
    found = f"a sentence takes {took_ms / 1000:.1f} s into one language"
    if took_ms <= _SLOW_TRANSLATION_MS:
        return Check("translation", Outcome.OK, f"{found}, which a conversation can wait for", figures=figures)
    return Check(
        "translation",
        Outcome.WARNING,
        f"{found}, and longer into several: people will wait for each other",
        "the language model wants a processor with AVX-512 VNNI or AVX-VNNI, or more cores; --profile light is faster",
        figures,
    )


async def _answer(client: Client, sentence: str) -> Message:
    """Type a sentence in English and return the result, or the error, that comes of it."""

    def answers() -> list[Message]:
        return [*client.of_type("result"), *client.of_type("error")]

    before = len(answers())
    await client.say_text(sentence, "eng")
    await client.wait_until(lambda: len(answers()) > before, _PATIENCE_S)
    return answers()[-1]


def word_error_rate(reference: str, heard: str) -> float:
    """Return wrong, missing and additional words over the words of the reference; case and punctuation do not count."""
    return float(jiwer.wer(_words(reference), _words(heard))) if _words(heard) else 1.0


def _words(text: str) -> str:
    return " ".join(re.findall(r"[^\W\d_]+|\d+", unicodedata.normalize("NFKC", text).casefold()))


def _joining(
    base: str, target_lang: str, audio: AudioFormat, token: str | None, context: ssl.SSLContext | None
) -> AbstractAsyncContextManager[Client]:
    return connect(
        base,
        target_lang=target_lang,
        room=f"doctor-{secrets.token_hex(4)}",
        name="Doctor",
        mode="stream",
        audio=audio,
        token=token,
        ssl=context,
    )


async def _play(base: str, clip: Clip, token: str | None, context: ssl.SSLContext | None) -> _Heard:
    joining = _joining(base, clip.target_lang, "stream", token, context)
    async with asyncio.timeout(_PATIENCE_S), joining as client:
        try:
            await client.stream(read_speech(ASSETS / clip.file), paced=True, silence_s=TRAILING_SILENCE_S)
            await client.flush()
            await client.catch_up(_PATIENCE_S)
            await client.wait_until(lambda: _Heard.by(client).is_complete or bool(client.of_type("error")), _PATIENCE_S)
            # A pause within a clip may have made two utterances of it.
            with contextlib.suppress(TimeoutError):
                await client.wait_until(
                    lambda: _Heard.by(client).is_all_of(clip) or bool(client.of_type("error")), _SECOND_HALF_S
                )
        except ConnectionLostError:  # an error received before says why
            if not client.of_type("error"):
                raise
        return _Heard.by(client)


def _judge(name: str, clip: Clip, heard: _Heard) -> Check:
    if not heard.results:
        why = "; ".join(heard.errors) or "nothing came back"
        return failed(name, why, _NOTHING_CAME)
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
        return (
            Outcome.FAILED,
            f"{language(clip.lang).name} was mistaken for {found}; check the weights with babblefish models verify",
        )
    if wer > _BAD_WER:
        return Outcome.FAILED, "most words are wrong; check the weights with babblefish models verify"
    if captions != {clip.target_lang}:
        wanted = language(clip.target_lang).name
        return Outcome.WARNING, f"no translation to {wanted}: install the Debian packages or the full profile"
    if not heard.first_speech_ms:
        return Outcome.WARNING, f"no voice for {language(clip.target_lang).name}: install the voices' weights"
    if wer > _POOR_WER:
        return Outcome.WARNING, "many words are wrong; the full profile is better"
    if caption_ms > _SLOW_MS:
        return Outcome.WARNING, "the machine is slow or busy; see Tuning in DEPLOYMENT.md"
    return Outcome.OK, ""
