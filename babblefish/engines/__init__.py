"""The registry: which engines make up a profile, imported only when they are loaded."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from babblefish import weights
from babblefish.domain import SAMPLE_RATE_HZ, Deadline, NoSpeechError, SetupError
from babblefish.engines.base import Engines
from babblefish.settings import Settings

Loader = Callable[[], Any]
"""Makes one engine, ready for its first utterance; raises ``SetupError`` where something is not installed."""

PROFILES = ("embedded",)

SEAMLESS_FOLDER = "seamless-m4t-v2-large"
"""Of SeamlessM4T's checkpoint, in the model folder."""

_WARM_UP_S = 60.0

_TEXT_PREFERRED = frozenset({("ita", "eng"), ("spa", "eng")})
"""Where Apertium on the transcript beats Whisper's own English in ``benchmarks/translation_quality.py``."""


def loaders(settings: Settings) -> Mapping[str, Loader]:
    """Return what makes each engine of the profile, by its part; they may run side by side.

    Raises:
        SetupError: No such profile.
    """
    if settings.profile not in PROFILES:
        raise SetupError(f"unknown profile {settings.profile!r}: choose one of {', '.join(PROFILES)}")
    return {
        "voice detector": lambda: _engine("silero", "Silero")(),
        "speaker encoder": lambda: _speaker_encoder(settings),
        "speech translator": lambda: _speech_translator(settings),
        "text translator": lambda: _engine("apertium", "Apertium")(),
        "kokoro": lambda: _kokoro(settings),
        "espeak": lambda: _engine("espeak", "EspeakNg")(),
    }


OPTIONAL = frozenset({"text translator", "kokoro"})
"""Parts without which the server still works: fewer languages, a plainer voice."""


def assemble(parts: Mapping[str, Any]) -> Engines:
    """Put loaded parts together; of ``loaders``' keys only the optional ones may be missing."""
    voices = (parts.get("kokoro"), parts["espeak"])
    return Engines(
        voice_detector=parts["voice detector"],
        speaker_encoder=parts["speaker encoder"],
        speech_translator=parts["speech translator"],
        text_translator=parts.get("text translator"),
        synthesizers=tuple(voice for voice in voices if voice is not None),
        text_preferred=_TEXT_PREFERRED if parts["speech translator"].name == "whisper" else frozenset(),
    )


def _engine(module: str, name: str, extra: str = "embedded") -> Any:
    try:
        return getattr(importlib.import_module(f"babblefish.engines.{module}"), name)
    except ImportError as error:
        raise SetupError(f"{module} needs a package: run pip install -e '.[{extra}]' ({error})") from error


def _speech_translator(settings: Settings) -> Any:
    """Make Whisper, which also tells SeamlessM4T the language spoken where that is wanted."""
    if settings.speech_translator == "whisper":
        return _whisper(settings)
    folder = settings.model_dir / SEAMLESS_FOLDER
    if not (folder / "config.json").is_file():
        raise SetupError(f"{folder} does not hold SeamlessM4T v2; copy the checkpoint {SEAMLESS_FOLDER} there")
    seamless = _engine("seamless", "Seamless", extra="full")
    whisper = _whisper(settings)
    return seamless(folder, settings.translation_threads, whisper.detect_language, settings.seamless_dtype)


def _whisper(settings: Settings) -> Any:
    model_dir = weights.locate("whisper-base", settings.model_dir)
    engine = _engine("whisper", "Whisper")(model_dir, settings.translation_threads)
    noise = np.random.default_rng(0).normal(0, 0.01, SAMPLE_RATE_HZ).astype(np.float32)
    with contextlib.suppress(NoSpeechError):  # only the first call's allocations are wanted
        engine.translate(noise, "eng", lambda _: (), Deadline.after(_WARM_UP_S))
    return engine


def _speaker_encoder(settings: Settings) -> Any:
    engine = _engine("dvector", "DVector")(weights.locate("d-vector", settings.model_dir), settings.speaker_threads)
    engine.embed(np.zeros(SAMPLE_RATE_HZ, dtype=np.float32))
    return engine


def _kokoro(settings: Settings) -> Any:
    model = weights.locate("kokoro-int8", settings.model_dir)
    voices = weights.locate("kokoro-voices", settings.model_dir)
    runner = _engine("kokoro_onnxruntime", "OnnxRunner")(model, voices, settings.synthesis_threads)
    engine = _engine("kokoro", "Kokoro")(runner)
    for _ in engine.synthesize("Ready.", "eng", Deadline.after(_WARM_UP_S)):
        pass
    return engine
