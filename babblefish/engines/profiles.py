"""Which engines a server runs, and why: the requested profile, or the best one that is installed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from babblefish.models import install
from babblefish.models.catalogue import ProfileName
from babblefish.settings import KokoroRuntime, Settings, SpeakerEncoderName, SpeechTranslatorName, TextTranslatorName

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

    ``cascade`` is only chosen on request: its licence forbids commercial use, which somebody has to accept.
    """
    if settings.profile == "auto":
        lacks = _full_lacks(settings)
        name: ProfileName = "embedded" if lacks else "full"
        reason = f"the full profile {lacks}" if lacks else "everything the full profile needs is installed"
    else:
        name, reason = settings.profile, "requested in the settings"
    full = name == "full"
    return Profile(
        name=name,
        reason=reason,
        speech_translator=settings.speech_translator or ("seamless" if full else "whisper"),
        text_translator=settings.text_translator or _TEXT_TRANSLATORS[name],
        speaker_encoder=settings.speaker_encoder or ("pyannote" if full else "dvector"),
        # The fastest on a CPU, see benchmarks/kokoro_cost.py.
        kokoro=settings.kokoro or "int8",
        whisper_model=settings.whisper_model or ("whisper-small" if name == "open" else "whisper-base"),
        llm_model=settings.llm_model or ("eurollm-1.7b-instruct" if name == "open" else "qwen2.5-coder-1.5b-instruct"),
    )


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
