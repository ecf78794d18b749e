"""The registry: makes the engines of a profile, which are imported only when they are loaded."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from babblefish.domain import SAMPLE_RATE_HZ, Deadline, EngineError, NoSpeechError, SetupError
from babblefish.engines.contracts import Engines, SpeechRequest, SpeechTranslator, Synthesizer, TextTranslator
from babblefish.engines.profiles import INSTALL_COMMANDS, Profile
from babblefish.languages import SPOKEN_WITH
from babblefish.models import install
from babblefish.models.catalogue import CATALOGUE, ProfileName
from babblefish.settings import Settings, WorkerName

Loader = Callable[[], Any]
"""Makes one engine, ready for its first utterance; raises ``SetupError`` where something is not installed."""

_WARM_UP_S = 60.0

_TEXT_PREFERRED = frozenset({("ita", "eng"), ("spa", "eng")})
"""Where Apertium on the transcript beats Whisper's own English in ``benchmarks/translation_quality.py``."""


@dataclass(frozen=True, slots=True)
class _Seamless:
    """What one SeamlessM4T does in a profile."""

    speech: SpeechTranslator | None
    text: TextTranslator
    voice: Synthesizer

    @property
    def name(self) -> str:
        """What it is used for."""
        return "speech, text and voice" if self.speech else "text and voice"


def loaders(settings: Settings, profile: Profile) -> Mapping[str, Loader]:
    """Return what makes each part of a profile, by its name; they may run side by side."""
    parts: dict[str, Loader] = {
        "voice detector": lambda: _engine("silero", "Silero")(),
        "speaker encoder": lambda: _speaker_encoder(settings, profile),
        "kokoro": lambda: _kokoro(settings, profile),
        "espeak": lambda: _engine("espeak", "EspeakNg")(),
    }
    if profile.speech_translator == "whisper":
        parts["speech translator"] = lambda: _whisper(settings)
    if profile.text_translator == "apertium":
        parts["text translator"] = lambda: _engine("apertium", "Apertium")()
    if profile.text_translator == "nllb":
        parts["NLLB model"] = lambda: _nllb(settings)
    if profile.uses_seamless:
        parts["SeamlessM4T model"] = lambda: _seamless(settings, profile)
    return parts


OPTIONAL = frozenset({"text translator", "kokoro"})
"""Parts without which the server still works: fewer languages, a plainer voice."""


WORKERS: Mapping[str, WorkerName] = {
    "voice detector": "sockets",
    "speaker encoder": "speaker",
    "text translator": "text-translation",
    "NLLB model": "text-translation",
    "kokoro": "synthesis",
    "espeak": "synthesis",
}
"""The workers whose calls a part computes, to which the threads count that its library makes while it is loaded; for
others it is ``translation``."""


def assemble(parts: Mapping[str, Any], profile: Profile) -> Engines:
    """Put loaded parts together; of ``loaders``' keys only the optional ones may be missing."""
    seamless: _Seamless | None = parts.get("SeamlessM4T model")
    voices = {"kokoro": parts.get("kokoro"), "espeak": parts["espeak"]}
    if seamless is not None:
        voices["seamless"] = seamless.voice
    by_text = seamless.text if seamless is not None and profile.text_translator == "seamless" else None
    measured = (profile.speech_translator, profile.text_translator) == ("whisper", "apertium")
    return Engines(
        voice_detector=parts["voice detector"],
        speaker_encoder=parts["speaker encoder"],
        speech_translator=(seamless and seamless.speech) or parts["speech translator"],
        text_translator=by_text or parts.get("NLLB model") or parts.get("text translator"),
        synthesizers=tuple(voices[name] for name in SPOKEN_WITH[profile.name] if voices.get(name) is not None),
        text_preferred=_TEXT_PREFERRED if measured else frozenset(),
    )


def _engine(module: str, name: str, needed_by: ProfileName = "embedded") -> Any:
    try:
        return getattr(importlib.import_module(f"babblefish.engines.{module}"), name)
    except ImportError as error:
        raise SetupError(f"{module} needs a package: run {INSTALL_COMMANDS[needed_by]} ({error})") from error


def _whisper(settings: Settings) -> Any:
    model_dir = install.locate("whisper-base", settings.model_dir)
    engine = _engine("whisper", "Whisper")(model_dir, settings.translation_threads)
    _warm_up(engine)
    return engine


def _nllb(settings: Settings) -> Any:
    folder = _of_catalogue_or_path(settings.nllb_model, settings.model_dir)
    engine = _engine("nllb", "Nllb", "cascade")(folder, settings.translation_threads)
    route = engine.route("eng", "fra")
    with contextlib.suppress(EngineError):  # the first call makes its allocations, whatever it says
        engine.translate("Ready.", route, Deadline.after(_WARM_UP_S))
    return engine


def _seamless(settings: Settings, profile: Profile) -> _Seamless:
    """Load SeamlessM4T once for all it does; Whisper tells it the language spoken where nobody declared it."""
    folder = install.locate("seamless-m4t-v2-large", settings.model_dir)
    loaded = _engine("seamless.model", "load", "full")(folder, settings.seamless_dtype)
    speech: SpeechTranslator | None = None
    if profile.speech_translator == "seamless":
        speech = _engine("seamless.speech_translator", "SeamlessSpeechTranslator", "full")(
            loaded,
            settings.translation_threads,
            _whisper(settings).detect_language,
            beams=settings.seamless_beams,
            max_batch=settings.parallel_utterances,
        )
        _warm_up(speech)
    return _Seamless(
        speech=speech,
        text=_engine("seamless.text_translator", "SeamlessTextTranslator", "full")(
            loaded, settings.translation_threads
        ),
        voice=_engine("seamless.synthesizer", "SeamlessSynthesizer", "full")(loaded, settings.synthesis_threads),
    )


def _warm_up(engine: Any) -> None:
    """Let an engine make the first call's allocations."""
    noise = np.random.default_rng(0).normal(0, 0.01, SAMPLE_RATE_HZ).astype(np.float32)
    with contextlib.suppress(NoSpeechError):
        engine.translate(SpeechRequest(noise, Deadline.after(_WARM_UP_S), source_langs=frozenset({"eng"})))


def _speaker_encoder(settings: Settings, profile: Profile) -> Any:
    if profile.speaker_encoder == "pyannote":
        folder = _of_catalogue_or_path(settings.speaker_model, settings.model_dir)
        engine = _engine("pyannote", "Pyannote", "full")(folder, settings.speaker_threads)
    else:
        engine = _engine("dvector", "DVector")(install.locate("d-vector", settings.model_dir), settings.speaker_threads)
    engine.embed(np.zeros(SAMPLE_RATE_HZ, dtype=np.float32))
    return engine


def _of_catalogue_or_path(model: str, model_dir: Path) -> Path:
    """Return where a model of the settings is, which is a name of the catalogue or else a path."""
    if model in {entry.name for entry in CATALOGUE}:
        return install.locate(model, model_dir)
    return Path(model)


def _kokoro(settings: Settings, profile: Profile) -> Any:
    if profile.kokoro == "torch":
        folder = install.locate("Kokoro-82M", settings.model_dir)
        runner = _engine("kokoro.torch_runner", "TorchRunner", "full")(folder, settings.synthesis_threads)
    else:
        model = install.locate(f"kokoro-{profile.kokoro}", settings.model_dir)
        model = model / "onnx" / "model.onnx" if model.is_dir() else model
        voices = install.locate("kokoro-voices", settings.model_dir)
        runner = _engine("kokoro.onnx_runner", "OnnxRunner")(model, voices, settings.synthesis_threads)
    engine = _engine("kokoro.synthesizer", "Kokoro")(runner)
    for _ in engine.synthesize("Ready.", "eng", Deadline.after(_WARM_UP_S)):
        pass
    return engine
