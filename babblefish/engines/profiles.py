"""Which engines a server runs, and why: the requested profile, or the best one that is installed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from babblefish.models import install
from babblefish.models.catalogue import ProfileName
from babblefish.models.store import megabytes
from babblefish.settings import KokoroRuntime, Settings, SpeakerEncoderName, SpeechTranslatorName, TextTranslatorName
from babblefish.telemetry.usage import memory_limit_bytes

INSTALL_COMMANDS: dict[ProfileName, str] = {
    "embedded": "pip install 'babblefish[embedded]'",
    "light": "pip install 'babblefish[embedded]'",
    "open": "pip install 'babblefish[embedded]'",
    "cascade": "pip install 'babblefish[embedded]'",
    "full": "pip install 'babblefish[embedded,full]'",
}
"""The commands that install the packages of a profile."""

_TEXT_TRANSLATORS: dict[ProfileName, TextTranslatorName] = {
    "embedded": "llm",
    "light": "apertium",
    "open": "llm",
    "cascade": "nllb",
    "full": "seamless",
}

MEASURED_LLM = "qwen2.5-coder-1.5b-instruct"
"""The language model of the embedded profile, by which languages and routes were chosen."""

MEMORY_BYTES = 3_500_000_000
"""Memory of the smallest machine that gets a language model by itself: what is sold as 4 GB has a little less."""

_SEAMLESS_UTTERANCE_S = 15.0
"""What SeamlessM4T's maintainers advise at most: it skips words of utterances of half a minute."""

FULL_PACKAGES = ("torch", "transformers", "sentencepiece", "pyannote.audio")


@dataclass(frozen=True, slots=True)
class Profile:
    """The engines of a server.

    Attributes:
        name: Of the set; a setting may replace single engines.
        reason: Why this set, as it is shown to the admin.
        speech_translator: What recognises speech and translates it.
        text_translator: What translates text.
        speaker_encoder: What tells voices apart.
        kokoro: What runs Kokoro's model.
        whisper_model: Whisper's, wherever Whisper is used: a name of the catalogue, or a folder.
        llm_model: Of the text translator ``llm``: a name of the catalogue, or a GGUF file.
    """

    name: ProfileName
    reason: str
    speech_translator: SpeechTranslatorName
    text_translator: TextTranslatorName
    speaker_encoder: SpeakerEncoderName
    kokoro: KokoroRuntime
    whisper_model: str
    llm_model: str

    @property
    def uses_seamless(self) -> bool:
        """Whether SeamlessM4T is loaded; the full profile speaks with it the languages that Kokoro lacks."""
        return self.name == "full" or "seamless" in (self.speech_translator, self.text_translator)


def choose(settings: Settings) -> Profile:
    """Return the profile of the settings; cheap, as packages are looked for and not imported.

    ``cascade`` is only chosen on request: its licence forbids commercial use, which somebody has to accept. So is
    ``open``, whose larger Whisper not every machine has the time for.
    """
    name, reason = _best(settings) if settings.profile == "auto" else (settings.profile, "requested in the settings")
    full = name == "full"
    return Profile(
        name=name,
        reason=reason,
        speech_translator=settings.speech_translator or ("seamless" if full else "whisper"),
        text_translator=settings.text_translator or _TEXT_TRANSLATORS[name],
        speaker_encoder=settings.speaker_encoder or ("pyannote" if full else "campplus"),
        # The fastest on a CPU, see benchmarks/kokoro_cost.py.
        kokoro=settings.kokoro or "int8",
        whisper_model=settings.whisper_model or ("whisper-small" if name == "open" else "whisper-base"),
        llm_model=settings.llm_model or ("eurollm-1.7b-instruct" if name == "open" else MEASURED_LLM),
    )


def fitted(settings: Settings, profile: Profile) -> Settings:
    """Return the settings with the longest utterance that a profile's engines take well, unless somebody set it."""
    if profile.speech_translator != "seamless" or "max_utterance_s" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"max_utterance_s": _SEAMLESS_UTTERANCE_S})


def weights(settings: Settings, profile: Profile) -> list[str]:
    """Return what the engines of a profile load: names of the catalogue, and paths of weights of one's own."""
    used = [profile.whisper_model]  # where SeamlessM4T hears, Whisper tells it the language
    if profile.text_translator == "llm":
        used.append(profile.llm_model)
    if profile.text_translator == "nllb":
        used.append(settings.nllb_model)
    if profile.uses_seamless:
        used.append("seamless-m4t-v2-large")
    used += ["Kokoro-82M"] if profile.kokoro == "torch" else [f"kokoro-{profile.kokoro}", "kokoro-voices"]
    used += [settings.speaker_model if profile.speaker_encoder == "pyannote" else "campplus", "smart-turn"]
    return used


def _best(settings: Settings) -> tuple[ProfileName, str]:
    """Return the best profile that is installed or that this machine has the room for, and why."""
    lacks = _full_lacks(settings)
    if not lacks:
        return "full", "everything the full profile needs is installed"
    memory = memory_limit_bytes()
    if memory < MEMORY_BYTES:
        small = f"{megabytes(MEMORY_BYTES)} MB of memory, and {megabytes(memory)} MB are there"
        return "light", f"the full profile {lacks}; the embedded profile needs {small}"
    small = install.lack_of_room("embedded", settings.model_dir)
    if small:
        return "light", f"the full profile {lacks}; for the embedded profile, {small}"
    return "embedded", f"the full profile {lacks}"


def _full_lacks(settings: Settings) -> str:
    """Say what is missing for the full profile and the command that installs it, or nothing."""
    packages = [package for package in FULL_PACKAGES if not _is_installed(package)]
    if packages:
        return f"lacks the packages {', '.join(packages)} ({INSTALL_COMMANDS['full']})"
    absent = install.missing("full", settings.model_dir)
    if absent:
        return f"lacks the weights {', '.join(absent)} ({install.PULL_COMMAND} --profile full)"
    return ""


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # its parent package is not installed either
        return False
