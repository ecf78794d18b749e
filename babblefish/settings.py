"""Every setting of the server, in one frozen class that is read once and passed down."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SpeechTranslatorName = Literal["whisper", "seamless"]
TextTranslatorName = Literal["apertium", "nllb", "seamless"]
SpeakerEncoderName = Literal["dvector", "pyannote"]
KokoroRuntime = Literal["int8", "float32", "torch"]
WorkerName = Literal["translation", "text-translation", "synthesis", "speaker", "sockets"]


def _cpu_count() -> int:
    """Count the CPUs this process may run on, which a container can make fewer than the machine's."""
    return len(os.sched_getaffinity(0))


def _share(percent: int, at_least: int = 1) -> int:
    """Return a share of the machine in threads, rounded up: 25, 12, 3 and 6 % of 128 CPUs are 32, 16, 4 and 8."""
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
        raise ValueError("CPUs are written as 0-31 or 0-15,64-79") from None


def _usable(cpus: frozenset[int]) -> frozenset[int]:
    if not cpus or cpus - os.sched_getaffinity(0):
        raise ValueError("some of the CPUs are not there, or not this process's to use")
    return cpus


def _site(origin: str) -> str:
    parts = urlsplit(origin.lower())
    if parts.scheme not in ("http", "https") or origin.lower() != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("a site is written as https://NAME or https://NAME:PORT, with nothing after it")
    return origin.lower()


def _network(address: str) -> str:
    ip_network(address)
    return address


_Item = Annotated[str, AfterValidator(str.lower)]
_Site = Annotated[str, AfterValidator(_site)]
_Network = Annotated[str, AfterValidator(_network)]
_Cpus = Annotated[frozenset[int], AfterValidator(_usable)]
_Listed = (NoDecode, BeforeValidator(_split))
"""Several items are written with commas between them."""


class Settings(BaseSettings):
    """Settings of one server; each can be given as the environment variable ``BABBLEFISH_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="BABBLEFISH_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(9000, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    tls: Literal["off", "auto"] = Field(
        "off", description="auto serves HTTPS, with a certificate of a private CA that is made and renewed by itself."
    )
    tls_cert: Path | None = Field(None, description="Certificate of one's own, a PEM file; goes before `TLS`.")
    tls_key: Path | None = Field(None, description="Its private key, a PEM file.")
    state_dir: Path = Field(
        default_factory=_default_state_dir, description="Folder for the server's key, the private CA and certificate."
    )

    access: Literal["auto", "required", "off"] = Field(
        "auto", description="Whether joining takes a token; auto asks for none where it listens for this machine alone."
    )
    key_file: Path | None = Field(
        None, description="Key that tokens are signed with, 64 hexadecimal digits; by default one in `STATE_DIR`."
    )
    link_hours: float = Field(12.0, gt=0, le=8784, description="Hours that a link to a room lets people in.")
    allowed_hosts: Annotated[tuple[_Item, ...], *_Listed] = Field(
        (), description="Further names the server is called by, as behind a proxy; *.NAME for all below it."
    )
    allowed_origins: Annotated[tuple[_Site, ...], *_Listed] = Field(
        (), description="Other sites whose pages may join (https://NAME)."
    )
    trusted_proxies: Annotated[tuple[_Network, ...], *_Listed] = Field(
        (), description="Addresses or networks of proxies that are believed whom they speak for (X-Forwarded-For)."
    )
    connections_per_address: int = Field(
        64, ge=1, description="Connections at once from one network address; a further one is refused as too many."
    )
    audio_s_per_minute: float = Field(
        4800.0, gt=0, description="Seconds of audio that one network address may send within a minute."
    )
    messages_per_minute: int = Field(
        240_000, ge=1, description="Messages, audio's frames among them, that one network address may send in a minute."
    )
    retain: bool = Field(
        True, description="Whether rooms remember anything: no keeps no history, and no voices once a room is empty."
    )
    profile: Literal["auto", "embedded", "cascade", "full"] = Field(
        "auto", description="Set of engines; auto takes full where its packages and weights are, else embedded."
    )
    speech_translator: SpeechTranslatorName | None = Field(
        None, description="What recognises and translates speech, if not the profile's."
    )
    text_translator: TextTranslatorName | None = Field(None, description="What translates text, if not the profile's.")
    speaker_encoder: SpeakerEncoderName | None = Field(
        None, description="What tells the voices apart, if not the profile's."
    )
    speaker_model: str = Field(
        "wespeaker-voxceleb-resnet34-LM", description="pyannote's model: a name of `models list`, or a path."
    )
    nllb_model: str = Field(
        "nllb-200-distilled-600M-int8", description="NLLB's model: a converted one of `models list`, or a path."
    )
    kokoro: KokoroRuntime | None = Field(None, description="What runs Kokoro's model, if not the profile's.")
    seamless_beams: int = Field(1, ge=1, le=10, description="Beams of SeamlessM4T's search; 1 decodes greedily.")
    parallel_utterances: int = Field(
        8, ge=1, description="Utterances that SeamlessM4T decodes in one batch; further ones wait."
    )
    seamless_dtype: Literal["int8", "bfloat16", "float32"] = Field(
        "int8", description="Type of SeamlessM4T's weights; int8 keeps a converted copy beside them."
    )
    model_dir: Path = Field(default_factory=_default_model_dir, description="Folder that holds the model weights.")

    translation_threads: int = Field(
        default_factory=lambda: _share(25), ge=1, description="Threads of the speech translator (25 %)."
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
        description="Pieces of speech made at the same time; the one that is needed soonest comes first.",
    )
    speaker_threads: int = Field(
        default_factory=lambda: _share(3), ge=1, description="Threads of the speaker encoder (3 %)."
    )
    socket_threads: int = Field(
        default_factory=lambda: _share(6), ge=1, description="Threads for voice activity and encoding (6 %)."
    )

    worker_cpus: Annotated[dict[WorkerName, _Cpus], NoDecode, BeforeValidator(_placed)] = Field(
        default_factory=dict, description="CPUs of workers, as `translation=0-31 synthesis=32-47`; others run anywhere."
    )

    max_clients: int = Field(64, ge=1, description="Clients at once; a further one is refused with 1013.")
    members_per_room: int = Field(64, ge=1, description="Clients in one room; a further one is refused with 1013.")
    kept_rooms: int = Field(64, ge=0, description="Empty rooms whose voices and history are remembered.")
    history_limit: int = Field(
        200, ge=0, description="Results a room remembers for clients that come back; 0 remembers none."
    )
    max_frame_bytes: int = Field(
        4 * 1024 * 1024, ge=3200, description="Largest WebSocket frame; a larger one closes with 1009."
    )
    max_utterance_s: float = Field(
        20.0, ge=2.0, le=25.0, description="Longest utterance; longer speech is split at a pause."
    )
    min_utterance_s: float = Field(0.1, ge=0.0, description="Shorter audio holds no word and is refused as too short.")
    utterance_deadline_s: float = Field(
        30.0, gt=0, description="An utterance not finished this long after it was taken is given up, with an error."
    )
    drain_s: float = Field(
        10.0, ge=0, description="When the server ends, utterances in flight may take this long to be finished."
    )
    queue_limit: int = Field(16, ge=1, description="Jobs that may wait for one worker before it is overloaded.")
    utterances_per_client: int = Field(
        8, ge=1, description="Unfinished utterances of one client; a further one is refused as overloaded."
    )
    inbox_bytes: int = Field(
        4 * 1024 * 1024, ge=32_000, description="Audio of one client that may wait; then its socket is not read."
    )
    outbox_limit: int = Field(
        256, ge=1, description="Messages that may wait for one slow client before it is disconnected."
    )

    partials: bool = Field(
        True, description="Interim captions while somebody still speaks, where the engines have nothing else to do."
    )

    speech_threshold: float = Field(
        0.5, gt=0, lt=1, description="Voice probability from which a chunk counts as speech."
    )
    pre_roll_ms: int = Field(300, ge=0, description="Audio kept from before the first chunk of speech.")
    hangover_ms: int = Field(400, ge=64, description="Silence after which an utterance has ended.")
    min_speech_ms: int = Field(160, ge=32, description="Less speech than this is a click, not an utterance.")

    speaker_threshold: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Similarity, corrected for length, from which two utterances are one voice; "
        "by default the speaker encoder's own.",
    )
    speaker_min_s: float = Field(1.0, ge=0, description="Less speech than this never makes a new speaker.")

    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "info", description="Level of the log on standard error."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="text for people; json for machines, one object a line."
    )
    log_transcripts: bool = Field(False, description="Write what is said into the log.")

    @model_validator(mode="after")
    def _frame_holds_an_utterance(self) -> Self:
        if self.max_frame_bytes < int(self.max_utterance_s * 32000):
            raise ValueError("max_frame_bytes is smaller than one utterance of max_utterance_s seconds")
        return self
