"""The registry: makes the engines of a profile, which are imported only when they are loaded.

Each is made by a function that is declared to return the Protocol that the pipeline asks for, so the type checker
compares every real engine with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from babblefish.domain import SAMPLE_RATE_HZ, Deadline
from babblefish.engines.contracts import (
    BatchSpeechTranslator,
    ConversationTranslator,
    Engines,
    LanguageDetector,
    SpeakerEncoder,
    SpeechRequest,
    SpeechTranslator,
    Synthesizer,
    TextTranslator,
    TurnDetector,
    VoiceDetector,
)
from babblefish.engines.profiles import INSTALL_COMMANDS, MEASURED_LLM, Profile
from babblefish.errors import DeadlineExceededError, EngineError, NoSpeechError, SetupError
from babblefish.languages import SPOKEN_WITH
from babblefish.models import install
from babblefish.models.catalogue import CATALOGUE, ProfileName
from babblefish.settings import Settings, TextTranslatorName, WorkerName

if TYPE_CHECKING:
    from babblefish.engines.kokoro.synthesizer import Runner
    from babblefish.engines.whisper import Whisper

_WARM_UP_S = 60.0

_TEXT_PREFERRED: dict[TextTranslatorName, frozenset[tuple[str, str]]] = {
    "apertium": frozenset({("ita", "eng"), ("spa", "eng")}),
    "llm": frozenset((lang, "eng") for lang in ("fra", "deu", "spa", "ita", "por", "pol")),
}
"""Where a text translator on the transcript beats Whisper's own English in ``benchmarks/translation_quality.py``."""


class Loaded(Protocol):
    """What loading a part gives."""

    @property
    def name(self) -> str:
        """What people are told it is."""
        ...


_L_co = TypeVar("_L_co", bound=Loaded, covariant=True)


@dataclass(slots=True, eq=False)
class Part(Generic[_L_co]):
    """Something of a profile that is loaded by itself: an engine, or a model that several engines share.

    Attributes:
        name: What people are told it is.
        make: Makes it, ready for its first utterance; raises ``SetupError`` where something is not installed.
        worker: Whose calls it computes; the threads that its library makes while it is loaded count as this worker's.
        is_optional: Whether the server works without it, with fewer languages or a plainer voice.
        loaded: What was made, or None where nothing was.
    """

    name: str
    make: Callable[[], _L_co]
    worker: WorkerName = "translation"
    is_optional: bool = False
    loaded: _L_co | None = None

    def load(self) -> _L_co:
        """Make it, and keep it.

        Raises:
            SetupError: Something it needs is not installed.
            EngineError: Its files are damaged.
        """
        self.loaded = self.make()
        return self.loaded

    @property
    def needed(self) -> _L_co:
        """What was made of a part that no profile goes without."""
        assert self.loaded is not None, f"the {self.name} is not loaded"
        return self.loaded


@dataclass(frozen=True, slots=True)
class SeamlessEngines:
    """What one SeamlessM4T does in a profile."""

    speech: BatchSpeechTranslator | None
    text: TextTranslator
    voice: Synthesizer

    @property
    def name(self) -> str:
        """What it is used for."""
        return "speech, text and voice" if self.speech else "text and voice"


class Parts:
    """The parts of a profile, which may be loaded side by side and are then put together."""

    def __init__(self, settings: Settings, profile: Profile) -> None:
        """List the parts that the profile has; nothing is imported or loaded yet."""
        self._profile = profile
        self.voice_detector = Part("voice detector", _silero, "sockets")
        self.turn_detector = Part("turn detector", lambda: _smart_turn(settings), "sockets", is_optional=True)
        self.speaker_encoder = Part("speaker encoder", lambda: _speaker_encoder(settings, profile), "speaker")
        self.kokoro = Part("kokoro", lambda: _kokoro(settings, profile), "synthesis", is_optional=True)
        self.espeak = Part("espeak", _espeak, "synthesis")
        self.language_detector = Part("language detector", _langid, "sockets")
        self.whisper: Part[SpeechTranslator] | None = None
        self.text_translator: Part[TextTranslator] | None = None
        self.seamless: Part[SeamlessEngines] | None = None
        if profile.speech_translator == "whisper":
            self.whisper = Part("speech translator", lambda: _whisper(settings, profile))
        if profile.text_translator == "apertium":
            self.text_translator = Part("text translator", _apertium, "text-translation", is_optional=True)
        if profile.text_translator == "llm":
            self.text_translator = Part("language model", lambda: _llm(settings, profile), "text-translation")
        if profile.text_translator == "nllb":
            self.text_translator = Part("NLLB model", lambda: _nllb(settings), "text-translation")
        if profile.uses_seamless:
            self.seamless = Part("SeamlessM4T model", lambda: _seamless(settings, profile))

    def __iter__(self) -> Iterator[Part[Loaded]]:
        """Yield the parts that the profile has."""
        yield from (self.voice_detector, self.turn_detector, self.speaker_encoder)
        yield from (self.kokoro, self.espeak, self.language_detector)
        yield from (part for part in (self.whisper, self.text_translator, self.seamless) if part is not None)

    def assemble(self) -> Engines:
        """Put together what was loaded; only optional parts may be missing."""
        profile = self._profile
        seamless = self.seamless.needed if self.seamless else None
        speech: SpeechTranslator | None = seamless.speech if seamless else None
        if speech is None:
            assert self.whisper is not None
            speech = self.whisper.needed
        text = self.text_translator.loaded if self.text_translator else None
        if seamless is not None and profile.text_translator == "seamless":
            text = seamless.text
        voices: dict[str, Synthesizer | None] = {
            "kokoro": self.kokoro.loaded,
            "espeak": self.espeak.needed,
            "seamless": seamless.voice if seamless else None,
        }
        by_whisper = profile.speech_translator == "whisper"
        return Engines(
            voice_detector=self.voice_detector.needed,
            speaker_encoder=self.speaker_encoder.needed,
            speech_translator=speech,
            text_translator=text,
            synthesizers=tuple(voice for name in SPOKEN_WITH[profile.name] if (voice := voices[name]) is not None),
            language_detector=self.language_detector.needed,
            turn_detector=self.turn_detector.loaded,
            text_preferred=_TEXT_PREFERRED.get(profile.text_translator, frozenset()) if by_whisper else frozenset(),
        )


@contextlib.contextmanager
def _importing(engine: str, profile: ProfileName = "embedded") -> Iterator[None]:
    """Say of an engine whose packages are not installed how they are installed."""
    try:
        yield
    except ImportError as error:
        raise SetupError(f"{engine} needs a package: run {INSTALL_COMMANDS[profile]} ({error})") from error


def _silero() -> VoiceDetector:
    with _importing("Silero"):
        from babblefish.engines.silero import Silero
    return Silero()


def _smart_turn(settings: Settings) -> TurnDetector:
    with _importing("Smart Turn"):
        from babblefish.engines.smart_turn import SmartTurn
    engine = SmartTurn(install.locate("smart-turn", settings.model_dir))
    engine.completeness(np.zeros(SAMPLE_RATE_HZ, dtype=np.float32))
    return engine


def _espeak() -> Synthesizer:
    with _importing("eSpeak NG"):
        from babblefish.engines.espeak import EspeakNg
    return EspeakNg()


def _langid() -> LanguageDetector:
    with _importing("the language detector"):
        from babblefish.engines.langid import LangId
    return LangId()


def _apertium() -> TextTranslator:
    with _importing("Apertium"):
        from babblefish.engines.apertium import Apertium
    return Apertium()


def _whisper(settings: Settings, profile: Profile) -> Whisper:
    model_dir = _of_catalogue_or_path(profile.whisper_model, settings.model_dir)
    with _importing("Whisper"):
        from babblefish.engines.whisper import Whisper
    engine = Whisper(model_dir, settings.translation_threads)
    _warm_up(engine)
    return engine


def _llm(settings: Settings, profile: Profile) -> ConversationTranslator:
    path = _of_catalogue_or_path(profile.llm_model, settings.model_dir)
    file = next(path.glob("*.gguf"), path) if path.is_dir() else path
    with _importing("the language model", profile.name):
        from babblefish.engines.llm.model import LanguageModel
        from babblefish.engines.llm.translator import LlmTranslator
    model = LanguageModel(file, settings.text_translation_threads, settings.parallel_translations)
    engine = LlmTranslator(model, is_measured=profile.llm_model == MEASURED_LLM)
    route = engine.route("fra", "eng")
    assert route is not None
    with contextlib.suppress(DeadlineExceededError):  # a machine that is busy at the moment
        engine.prepare(route, Deadline.after(_WARM_UP_S))
    return engine


def _nllb(settings: Settings) -> TextTranslator:
    folder = _of_catalogue_or_path(settings.nllb_model, settings.model_dir)
    with _importing("NLLB", "cascade"):
        from babblefish.engines.nllb import Nllb
    engine = Nllb(folder, settings.translation_threads)
    route = engine.route("eng", "fra")
    assert route is not None
    with contextlib.suppress(EngineError):  # the first call makes its allocations, whatever it says
        engine.translate("Ready.", route, Deadline.after(_WARM_UP_S))
    return engine


def _seamless(settings: Settings, profile: Profile) -> SeamlessEngines:
    """Load SeamlessM4T once for all it does; Whisper, beside it, tells languages and hears what it does not write."""
    folder = install.locate("seamless-m4t-v2-large", settings.model_dir)
    with _importing("SeamlessM4T", "full"):
        from babblefish.engines.seamless.model import load
        from babblefish.engines.seamless.speech_translator import SeamlessSpeechTranslator
        from babblefish.engines.seamless.synthesizer import SeamlessSynthesizer
        from babblefish.engines.seamless.text_translator import SeamlessTextTranslator
    loaded = load(folder, settings.seamless_dtype)
    speech: BatchSpeechTranslator | None = None
    if profile.speech_translator == "seamless":
        speech = SeamlessSpeechTranslator(
            loaded,
            settings.translation_threads,
            _whisper(settings, profile),
            beams=settings.seamless_beams,
            max_batch=settings.parallel_utterances,
            min_logprob=settings.seamless_min_logprob,
        )
        _warm_up(speech)
    return SeamlessEngines(
        speech=speech,
        text=SeamlessTextTranslator(loaded, settings.translation_threads),
        voice=SeamlessSynthesizer(loaded, settings.synthesis_threads),
    )


def _warm_up(engine: SpeechTranslator) -> None:
    """Let an engine make the first call's allocations."""
    noise = np.random.default_rng(0).normal(0, 0.01, SAMPLE_RATE_HZ).astype(np.float32)
    with contextlib.suppress(NoSpeechError):
        engine.translate(SpeechRequest(noise, Deadline.after(_WARM_UP_S), source_langs=frozenset({"eng"})))


def _speaker_encoder(settings: Settings, profile: Profile) -> SpeakerEncoder:
    engine = _pyannote(settings) if profile.speaker_encoder == "pyannote" else _campplus(settings)
    engine.embed(np.zeros(SAMPLE_RATE_HZ, dtype=np.float32))
    return engine


def _pyannote(settings: Settings) -> SpeakerEncoder:
    model, model_dir = settings.speaker_model, settings.model_dir
    folder = _of_catalogue_or_path(model, model_dir)
    with _importing("pyannote", "full"):
        from babblefish.engines.pyannote import Pyannote
    return Pyannote(folder, settings.speaker_threads, _is_of_catalogue(model) and install.is_known(model, model_dir))


def _campplus(settings: Settings) -> SpeakerEncoder:
    with _importing("the speaker encoder"):
        from babblefish.engines.campplus.encoder import CamPlusPlus
    return CamPlusPlus(install.locate("campplus", settings.model_dir), settings.speaker_threads)


def _of_catalogue_or_path(model: str, model_dir: Path) -> Path:
    """Return where a model of the settings is, which is a name of the catalogue or else a path."""
    return install.locate(model, model_dir) if _is_of_catalogue(model) else Path(model)


def _is_of_catalogue(model: str) -> bool:
    return model in {entry.name for entry in CATALOGUE}


def _kokoro(settings: Settings, profile: Profile) -> Synthesizer:
    runner = _kokoro_on_torch(settings) if profile.kokoro == "torch" else _kokoro_on_onnx(settings, profile)
    with _importing("Kokoro"):
        from babblefish.engines.kokoro.synthesizer import Kokoro
    engine = Kokoro(runner)
    for _ in engine.synthesize("Ready.", "eng", Deadline.after(_WARM_UP_S)):
        pass
    return engine


def _kokoro_on_torch(settings: Settings) -> Runner:
    folder = install.locate("Kokoro-82M", settings.model_dir)
    with _importing("Kokoro on PyTorch", "full"):
        from babblefish.engines.kokoro.torch_runner import TorchRunner
    return TorchRunner(folder, settings.synthesis_threads)


def _kokoro_on_onnx(settings: Settings, profile: Profile) -> Runner:
    model = install.locate(f"kokoro-{profile.kokoro}", settings.model_dir)
    model = model / "onnx" / "model.onnx" if model.is_dir() else model
    voices = install.locate("kokoro-voices", settings.model_dir)
    with _importing("Kokoro"):
        from babblefish.engines.kokoro.onnx_runner import OnnxRunner
    return OnnxRunner(model, voices, settings.synthesis_threads)
