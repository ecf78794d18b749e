"""``babblefish doctor --golden``: are the weights what is published of them, and what do they do here?

Written for machines that have weights which this was never run with: everything that is found goes into one report,
which can be sent to the project. The report holds no path, no name and no address of the machine.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import babblefish
from babblefish.audio import pcm
from babblefish.cli.demo import read_speech
from babblefish.cli.doctor_conversation import ASSETS, CLIPS, word_error_rate
from babblefish.domain import SAMPLE_RATE_HZ, Deadline, Samples
from babblefish.engines import facts, registry
from babblefish.engines.contracts import SpeakerEncoder, SpeechRequest, SpeechTranslator
from babblefish.engines.findings import Finding, Verdict, attempted, compared, measured
from babblefish.engines.kokoro.synthesizer import Kokoro
from babblefish.engines.kokoro.voices import DEFAULTS, KokoroVoice
from babblefish.engines.profiles import Profile, choose
from babblefish.engines.voice_calibration import Heard, equal_error, measured_scale
from babblefish.models import install
from babblefish.models.catalogue import CATALOGUE, PROFILES
from babblefish.models.store import megabytes
from babblefish.settings import Settings
from babblefish.telemetry.usage import memory_limit_bytes

_PACKAGES = ("torch", "transformers", "pyannote.audio", "ctranslate2", "onnxruntime", "faster-whisper", "tokenizers")
_CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")

_PATIENCE_S = 600.0

_SEAMLESS = "seamless-m4t-v2-large"
_NLLB = "nllb-200-distilled-600M"
_PIECE_S = 2.5
"""Seconds of each sentence that a voice says."""

_SENTENCES = (
    "Good evening, my friends. The dinner is ready, and the soup is still hot.",
    "Could you tell me where the nearest station is, and when the next train leaves?",
    "We have been waiting here for half an hour, and nobody has come to open the door.",
)

_PYANNOTE = ("wespeaker-voxceleb-resnet34-LM", "embedding")


def write_report(settings: Settings, file: Path, say: Callable[[Finding], None]) -> list[Finding]:
    """Examine what is installed, and write what is found as JSON, and as text beside it.

    Args:
        settings: Of the server.
        file: The JSON file; replaced.
        say: Told each finding as soon as it is made.
    """
    found: list[Finding] = []
    for finding in examine(settings):
        found.append(finding)
        say(finding)
    report = {"machine": _machine(), "findings": [asdict(one) for one in found]}
    file.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    file.with_suffix(".txt").write_text("\n".join(map(line, found)) + "\n", encoding="utf-8")
    return found


def line(finding: Finding) -> str:
    """Return a finding as people read it."""
    found = json.dumps(finding.found, ensure_ascii=False)
    if finding.verdict is Verdict.SAME:
        return f"{finding.verdict:8} {finding.name}"
    expected = f" instead of {json.dumps(finding.expected, ensure_ascii=False)}" if finding.expected is not None else ""
    return f"{finding.verdict:8} {finding.name}: {found}{expected}"


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what is found of the weights that are installed."""
    yield from attempted("seamless", partial(_seamless, settings))
    yield from attempted("nllb", partial(_nllb, settings))
    for name in PROFILES:
        yield from attempted(f"profile {name}", partial(_recognition, settings, choose(_of(settings, name))))
    yield from attempted("voices", partial(_voices, settings))


def _of(settings: Settings, profile: str) -> Settings:
    return settings.model_copy(update={"profile": profile})


def _skipped(name: str, *absent: str) -> Finding:
    return Finding(name, Verdict.SKIPPED, f"not installed: {', '.join(absent)}")


def _is_installed(name: str, settings: Settings) -> bool:
    return any(asset.name == name and install.is_installed(asset, settings.model_dir) for asset in CATALOGUE)


def _seamless(settings: Settings) -> Iterator[Finding]:
    if not _is_installed(_SEAMLESS, settings):
        yield _skipped("seamless", _SEAMLESS)
        return
    from babblefish.engines.seamless.golden import Clip, examine

    clips = [Clip(_speech(clip.file), clip.lang, clip.words) for clip in CLIPS]
    yield from examine(install.locate(_SEAMLESS, settings.model_dir), settings.translation_threads, clips)


def _nllb(settings: Settings) -> Iterator[Finding]:
    if not _is_installed(_NLLB, settings):
        yield _skipped("nllb", _NLLB)
        return
    import tokenizers

    folder = install.locate(_NLLB, settings.model_dir)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    sentence = facts.NLLB_READ
    ids = tokenizer.encode(sentence.text, add_special_tokens=False).ids
    made = [tokenizer.token_to_id(sentence.lang), *ids, tokenizer.token_to_id("</s>")]
    yield compared("nllb tokens of a text", made, list(sentence.tokens))


def _recognition(settings: Settings, profile: Profile) -> Iterator[Finding]:
    """Let the speech translator of a profile hear the carried clips, without being told their language."""
    absent = install.missing(profile.name, settings.model_dir)
    if absent:
        yield _skipped(f"profile {profile.name}", *absent)
        return
    parts = registry.Parts(settings, profile)
    translator: SpeechTranslator | None = parts.whisper.load() if parts.whisper else None
    if translator is None and parts.seamless is not None:
        translator = parts.seamless.load().speech
    assert translator is not None
    for clip in CLIPS:
        started_s = time.perf_counter()
        request = SpeechRequest(_speech(clip.file), Deadline.after(_PATIENCE_S), partial(_targets, {clip.target_lang}))
        heard = translator.translate(request)
        yield measured(
            f"profile {profile.name} hears {clip.lang}",
            {
                "engine": translator.name,
                "lang": heard.transcript.lang,
                "text": heard.transcript.text,
                "word_error_rate": round(word_error_rate(clip.words, heard.transcript.text), 3),
                "confidence": round(heard.transcript.confidence, 3),
                "translations": dict(heard.translations),
                "doubtful": sorted(heard.doubtful),
                "seconds": round(time.perf_counter() - started_s, 2),
            },
        )


def _targets(wanted: set[str], _: str) -> set[str]:
    return wanted


def _voices(settings: Settings) -> Iterator[Finding]:
    """Measure what the similarities of each speaker encoder mean, by voices of Kokoro's.

    All of them are women's, and each is the same in every sentence, so these similarities are no threshold. But the
    CAM++'s is known from recorded people: where it lies between the voices of others and one's own, there lies that of
    another encoder.
    """
    spoken = _people(settings)
    known = _encoder(settings, speaker_encoder="campplus")
    figures = _figures(known, spoken)
    yield measured("voices of campplus", figures)
    others = figures["similarity_of_other_voices"]
    place = (known.scale.threshold - others) / (1.0 - others)
    for name in _PYANNOTE:
        if _is_installed(name, settings):
            yield from attempted(f"voices of {name}", partial(_scale, settings, name, place, spoken))
        else:
            yield _skipped(f"voices of {name}", name)


def _people(settings: Settings) -> dict[tuple[str, int], Samples]:
    """Return what each of some voices says, by its name and the sentence's number: as much of each."""
    kokoro = registry.Parts(settings, choose(settings)).kokoro.load()
    assert isinstance(kokoro, Kokoro)
    spoken = {}
    for name in sorted(DEFAULTS):
        for number, sentence in enumerate(_SENTENCES):
            pieces = list(kokoro.speak_as(KokoroVoice(name), sentence, "eng", Deadline.after(_PATIENCE_S)))
            samples = pcm.resample(np.concatenate([piece.samples for piece in pieces]), pieces[0].sample_rate_hz)
            spoken[name, number] = samples[: int(_PIECE_S * SAMPLE_RATE_HZ)]
    return spoken


def _scale(settings: Settings, name: str, place: float, spoken: Mapping[tuple[str, int], Samples]) -> Iterator[Finding]:
    encoder = _encoder(settings, speaker_encoder="pyannote", speaker_model=name)
    figures = _figures(encoder, spoken)
    others = figures["similarity_of_other_voices"]
    yield measured(f"voices of {name}", figures)
    yield measured(f"suggested SPEAKER_THRESHOLD for {name}", round(others + place * (1.0 - others), 2))


def _encoder(settings: Settings, **chosen: str) -> SpeakerEncoder:
    settings = settings.model_copy(update=chosen)
    return registry.Parts(settings, choose(settings)).speaker_encoder.load()


def _figures(encoder: SpeakerEncoder, spoken: Mapping[tuple[str, int], Samples]) -> dict[str, float]:
    heard = [
        Heard(person, f"{person}-{number}", _PIECE_S, encoder.embed(samples))
        for (person, number), samples in spoken.items()
    ]
    return {
        "voices": len({one.person for one in heard}),
        "equal_error_percent": round(100 * equal_error(heard)[0], 1),
        **measured_scale(heard, _PIECE_S),
        "threshold": encoder.scale.threshold,
        "half_reliable_s_assumed": encoder.scale.half_reliable_s,
    }


def _speech(file: str) -> Samples:
    return read_speech(ASSETS / file)


def _machine() -> dict[str, Any]:
    """Describe what the figures depend on, and nothing that tells whose machine it is."""
    with contextlib.suppress(OSError):
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
        return _versions() | {"cpu_flags": [flag for flag in _CPU_FLAGS if flag in flags]}
    return _versions()


def _versions() -> dict[str, Any]:
    installed = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[package] = importlib.metadata.version(package)
    return {
        "babblefish": babblefish.__version__,
        "python": platform.python_version(),
        "processor": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mb": megabytes(memory_limit_bytes()),
        "packages": installed,
    }
