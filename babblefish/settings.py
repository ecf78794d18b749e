"""Every setting of the server, by part; ``Settings`` holds them all, is read once, and is passed down.

A new setting goes into the class of its part, and into that part's table in DEPLOYMENT.md.
"""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from babblefish.domain import Interpreting

SpeechTranslatorName = Literal["whisper", "seamless"]
TextTranslatorName = Literal["llm", "apertium", "nllb", "seamless"]
SpeakerEncoderName = Literal["campplus", "pyannote"]
KokoroRuntime = Literal["int8", "float32", "torch"]
WorkerName = Literal["translation", "text-translation", "synthesis", "speaker", "sockets"]


def _cpu_count() -> int:
    """Count the CPUs this process may run on; a container can have fewer than the machine."""
    return len(os.sched_getaffinity(0))


def _share(percent: int, at_least: int = 1) -> int:
    """Return a share of the CPUs as a number of threads, rounded up: 25, 12, 3 and 6 % of 128 are 32, 16, 4 and 8."""
    return max(-(-_cpu_count() * percent // 100), min(at_least, _cpu_count()))


def _default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "babblefish"


def _default_model_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "babblefish" / "models"


def _split(given: Any) -> Any:
    return [item for part in given.split(",") if (item := part.strip())] if isinstance(given, str) else given


def _placed(given: Any) -> Any:
    """Read ``translation=0-31 synthesis=32-47,96-111``."""
    if not isinstance(given, str):
        return given
    return {worker: _cpus(cpus) for worker, _, cpus in (item.partition("=") for item in given.split())}


def _cpus(written: str) -> frozenset[int]:
    try:
        ends = [tuple(map(int, part.split("-"))) for part in written.split(",")]
        return frozenset(cpu for first, *last in ends for cpu in range(first, (last or [first])[0] + 1))
    except ValueError:
        raise ValueError("write CPUs as 0-31 or 0-15,64-79") from None


def _usable(cpus: frozenset[int]) -> frozenset[int]:
    if not cpus or cpus - os.sched_getaffinity(0):
        raise ValueError("some of these CPUs do not exist, or this process may not use them")
    return cpus


def _site(origin: str) -> str:
    if origin.lower() == "null":
        return "null"
    parts = urlsplit(origin.lower())
    if parts.scheme not in ("http", "https") or origin.lower() != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("write a site as https://NAME or https://NAME:PORT, with nothing after it")
    return origin.lower()


def _network(address: str) -> str:
    ip_network(address)
    return address


_Item = Annotated[str, AfterValidator(str.lower)]
_Site = Annotated[str, AfterValidator(_site)]
_Network = Annotated[str, AfterValidator(_network)]
_Cpus = Annotated[frozenset[int], AfterValidator(_usable)]
_Listed = (NoDecode, BeforeValidator(_split))
"""A list, given as text with commas between its items."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class NetworkSettings(_Part):
    """Network: where the server listens, and how it stops."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(9000, ge=0, le=65535, description="TCP port; 0 picks a free one.")
    drain_s: float = Field(
        10.0, ge=0, description="Seconds without progress after which a server that stops drops what is unfinished."
    )


class TlsSettings(_Part):
    """HTTPS: which certificate is used, and where the server keeps its secrets."""

    tls: Literal["off", "auto"] = Field(
        "off", description="auto serves HTTPS with a certificate of a private CA; both are made and renewed as needed."
    )
    tls_cert: Path | None = Field(None, description="Your own certificate, a PEM file; used instead of `TLS`.")
    tls_key: Path | None = Field(None, description="The certificate's private key, a PEM file.")
    state_dir: Path = Field(
        default_factory=_default_state_dir,
        description="Folder for the server's keys, the private CA and the certificate.",
    )


class AccessSettings(_Part):
    """Access control: who may join, under which names, and through which proxies."""

    access: Literal["auto", "required", "off"] = Field(
        "auto", description="Whether joining requires a token; auto requires none while only this machine can connect."
    )
    key_file: Path | None = Field(
        None, description="Key that signs the tokens, 64 hexadecimal digits; by default a file in `STATE_DIR`."
    )
    link_hours: float = Field(12.0, gt=0, le=8784, description="Hours for which a link to a room is valid.")
    allowed_hosts: Annotated[tuple[_Item, ...], *_Listed] = Field(
        (),
        description="More host names of the server, such as a proxy's; *.NAME for subdomains. Comma-separated.",
    )
    allowed_origins: Annotated[tuple[_Site, ...], *_Listed] = Field(
        (),
        description="Other sites whose pages may join (https://NAME). Comma-separated. `null` stands for pages opened "
        "as files, and for every site that puts its page in a sandboxed frame.",
    )
    trusted_proxies: Annotated[tuple[_Network, ...], *_Listed] = Field(
        (), description="Addresses or networks of proxies whose X-Forwarded-* headers are trusted. Comma-separated."
    )


class EngineSettings(_Part):
    """Engines and models: what recognises, translates and speaks, and where the weights are."""

    profile: Literal["auto", "embedded", "light", "open", "cascade", "full"] = Field(
        "auto",
        description="Set of engines; auto means full if its packages and weights are installed, else embedded, or "
        "light on a machine without memory or disk space for it.",
    )
    speech_translator: SpeechTranslatorName | None = Field(
        None, description="Engine that recognises and translates speech, instead of the profile's."
    )
    text_translator: TextTranslatorName | None = Field(
        None, description="Engine that translates text, instead of the profile's."
    )
    whisper_model: str | None = Field(
        None, description="Whisper's model, instead of the profile's: a name from `models list`, or a folder."
    )
    llm_model: str | None = Field(
        None, description="Language model, instead of the profile's: a name from `models list`, or a GGUF file."
    )
    speaker_encoder: SpeakerEncoderName | None = Field(
        None, description="Engine that tells voices apart, instead of the profile's."
    )
    speaker_model: str = Field(
        "wespeaker-voxceleb-resnet34-LM", description="pyannote's model: a name from `models list`, or a path."
    )
    nllb_model: str = Field(
        "nllb-200-distilled-600M-int8", description="NLLB's model: a converted one from `models list`, or a path."
    )
    kokoro: KokoroRuntime | None = Field(None, description="Runtime of Kokoro's model, instead of the profile's.")
    seamless_beams: int = Field(1, ge=1, le=10, description="Beams of SeamlessM4T's search; 1 is greedy decoding.")
    parallel_utterances: int = Field(
        8, ge=1, description="Utterances that SeamlessM4T decodes in one batch; more of them wait."
    )
    seamless_min_logprob: float = Field(
        -1.0,
        le=0,
        description="Mean log-probability of a token below which SeamlessM4T's texts are doubted, or taken for noise "
        "where no language is declared; `doctor --golden` measures it.",
    )
    seamless_dtype: Literal["int8", "bfloat16", "float32"] = Field(
        "int8", description="Type of SeamlessM4T's weights; int8 keeps a converted copy beside them."
    )
    model_dir: Path = Field(default_factory=_default_model_dir, description="Folder of the model weights.")


class ThreadSettings(_Part):
    """Threads and CPUs: what each worker may use of the machine."""

    translation_threads: int = Field(
        default_factory=lambda: _share(25), ge=1, description="Threads of the speech translator (25 %)."
    )
    text_translation_threads: int = Field(
        # On two cores the language model is measured with both.
        default_factory=lambda: _share(25, at_least=2),
        ge=1,
        description="Threads of the language model (25 %, at least 2).",
    )
    parallel_translations: int = Field(
        8, ge=1, description="Texts translated at the same time; a language model decodes them in one batch."
    )
    synthesis_threads: int = Field(
        # On two cores a voice is 1.6 times as fast with both; two voices at once lose a tenth by it.
        default_factory=lambda: _share(12, at_least=2),
        ge=1,
        description="Threads of one synthesis (12 %, at least 2).",
    )
    parallel_syntheses: int = Field(
        default_factory=lambda: max(1, _cpu_count() // _share(12, at_least=2)),
        ge=1,
        description="Pieces of speech synthesized at the same time; the most urgent one goes first.",
    )
    speaker_threads: int = Field(
        default_factory=lambda: _share(3), ge=1, description="Threads of the speaker encoder (3 %)."
    )
    socket_threads: int = Field(
        default_factory=lambda: _share(6), ge=1, description="Threads for voice activity detection and encoding (6 %)."
    )
    worker_cpus: Annotated[dict[WorkerName, _Cpus], NoDecode, BeforeValidator(_placed)] = Field(
        default_factory=dict,
        description="CPUs of single workers, as `translation=0-31 synthesis=32-47`; other workers run anywhere.",
    )


class LimitSettings(_Part):
    """Limits: how much the server, one client and one network address may have at once."""

    max_clients: int = Field(64, ge=1, description="Clients at once; the next one is refused with 1013.")
    members_per_room: int = Field(64, ge=1, description="Clients in one room; the next one is refused with 1013.")
    connections_per_address: int = Field(
        16, ge=1, description="Connections at once from one network address; the next one is refused as `too_many`."
    )
    audio_s_per_minute: float = Field(
        # What 16 connections say who are never silent, and a quarter more; two cores recognise 1700 s per minute.
        1200.0,
        gt=0,
        description="Seconds of audio per minute from one network address.",
    )
    messages_per_minute: int = Field(
        240_000, ge=1, description="Messages per minute from one network address, frames of audio included."
    )
    utterances_per_client: int = Field(
        8,
        ge=1,
        description="Unfinished utterances of one client; the next one is refused as `overloaded`, or waits if it is "
        "part of a recording sent at once.",
    )
    queue_limit: int = Field(
        16, ge=1, description="Jobs that may wait for one worker; the next one is refused as `overloaded`."
    )
    inbox_bytes: int = Field(
        4 * 1024 * 1024,
        ge=32_000,
        description="Bytes of unprocessed audio of one client; beyond them its socket is not read.",
    )
    outbox_limit: int = Field(
        256, ge=1, description="Messages that may wait for a slow client before it is disconnected."
    )
    max_frame_bytes: int = Field(
        4 * 1024 * 1024, ge=3200, description="Largest WebSocket frame; a larger one closes the connection with 1009."
    )


class UtteranceSettings(_Part):
    """Utterances: where speech begins and ends, and how long one may take."""

    speech_threshold: float = Field(
        0.5, gt=0, lt=1, description="Voice probability from which a chunk of audio counts as speech."
    )
    pre_roll_ms: int = Field(300, ge=0, description="Audio kept from before the first chunk of speech.")
    hangover_ms: int = Field(
        400,
        ge=64,
        description="Silence that ends an utterance of which the turn detector is unsure, or every utterance where "
        "there is none; one that is finished ends after 192 ms.",
    )
    longest_hangover_ms: int = Field(
        1200, ge=64, description="Silence that ends an utterance which the turn detector takes for unfinished."
    )
    min_speech_ms: int = Field(160, ge=32, description="Less speech than this is a click, not an utterance.")
    min_utterance_s: float = Field(0.1, ge=0.0, description="Shorter audio is refused as `too_short`.")
    max_utterance_s: float = Field(
        20.0,
        ge=2.0,
        le=25.0,
        description="Longest utterance; longer speech is split at a pause. Unless set, 15 with SeamlessM4T.",
    )
    utterance_deadline_s: float = Field(
        30.0, gt=0, description="Seconds after which an unfinished utterance is given up with an error."
    )


class ConversationSettings(_Part):
    """Conversation: what rooms show and remember, and when two voices are one speaker."""

    partials: bool = Field(
        True, description="Interim captions while somebody is still speaking, when the engines are otherwise idle."
    )
    interpreting: Interpreting = Field(
        "simultaneous",
        description="How clients that do not choose are interpreted to: simultaneous translates clause by clause while "
        "somebody speaks, consecutive when they have stopped.",
    )
    retain: bool = Field(
        True, description="Whether rooms remember anything; false keeps no history, and no voices in an empty room."
    )
    history_limit: int = Field(
        200, ge=0, description="Results that a room keeps for clients that reconnect; 0 keeps none."
    )
    history_file: Path | None = Field(
        None,
        description="SQLite file in which rooms keep what was said, without audio and voices, so that it outlives the "
        "server; unless set, nothing is stored.",
    )
    history_keep_days: float = Field(
        7.0, gt=0, le=3660, description="Days for which what was said stays in `HISTORY_FILE`; then it is deleted."
    )
    voices_file: Path | None = Field(
        None,
        description="SQLite file in which rooms keep the voices of people who agreed to it, encrypted, so that they "
        "are known after a restart; unless set, no voice is stored.",
    )
    voices_key_file: Path | None = Field(
        None,
        description="Key that encrypts `VOICES_FILE`, 64 hexadecimal digits; by default a file in `STATE_DIR`.",
    )
    voices_keep_days: float = Field(
        180.0,
        gt=0,
        le=3660,
        description="Days without being heard after which a voice in `VOICES_FILE` is deleted.",
    )
    glossary_file: Path | None = Field(
        None, description="JSON file with the terms that the glossary of every room begins with."
    )
    kept_rooms: int = Field(64, ge=0, description="Empty rooms whose voices and history are kept.")
    speaker_threshold: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Length-corrected similarity from which two voices are the same, instead of the encoder's own.",
    )
    speaker_min_s: float = Field(
        1.0, ge=0, description="Less speech than this, all words of a voice together, never creates a new speaker."
    )


class LogSettings(_Part):
    """Log: what is written to standard error."""

    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "info", description="Lowest level that is logged."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="text for people; json for log collectors, one object per line."
    )
    log_transcripts: bool = Field(False, description="Write what is said to the log.")


class Settings(
    NetworkSettings,
    TlsSettings,
    AccessSettings,
    EngineSettings,
    ThreadSettings,
    LimitSettings,
    UtteranceSettings,
    ConversationSettings,
    LogSettings,
    BaseSettings,
):
    """Settings of one server; each can be given as the environment variable ``BABBLEFISH_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="BABBLEFISH_", frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _frame_holds_an_utterance(self) -> Self:
        if self.max_frame_bytes < int(self.max_utterance_s * 32000):
            raise ValueError("max_frame_bytes is smaller than one utterance of max_utterance_s seconds")
        return self
