"""Trying out whether an engine still answers, after a call of it hung."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import permutations

import numpy as np

from babblefish.domain import SAMPLE_RATE_HZ, Deadline, Samples
from babblefish.engines.contracts import BatchSpeechTranslator, Engines, SpeechRequest
from babblefish.languages import LANGUAGES


def trial(worker: str, engines: Engines, deadline: Deadline) -> Callable[[], None]:
    """Return a short call of what a worker computes, for its threads; what comes of it does not matter."""
    trials: Mapping[str, Callable[[Engines, Deadline], None]] = {
        "translation": _translate_speech,
        "text-translation": _translate_text,
        "synthesis": _speak,
        "speaker": _embed,
        "sockets": _detect,
    }
    return lambda: trials[worker](engines, deadline)


def _translate_speech(engines: Engines, deadline: Deadline) -> None:
    translator = engines.speech_translator
    request = SpeechRequest(_hum(), deadline)
    if isinstance(translator, BatchSpeechTranslator):
        waiting = [request]
        for _ in translator.translate_batch(lambda: waiting.pop() if waiting else None):
            pass
    else:
        translator.translate(request)


def _translate_text(engines: Engines, deadline: Deadline) -> None:
    translator = engines.text_translator
    if translator is not None:
        routes = (translator.route(source, target) for source, target in permutations(LANGUAGES, 2))
        if (route := next(filter(None, routes), None)) is not None:
            translator.translate("1", route, deadline)


def _speak(engines: Engines, deadline: Deadline) -> None:
    for synthesizer in engines.synthesizers:
        if (lang := next(filter(synthesizer.voices, LANGUAGES), None)) is not None:
            for _ in synthesizer.synthesize("1", lang, deadline):
                pass


def _embed(engines: Engines, _: Deadline) -> None:
    engines.speaker_encoder.embed(_hum())


def _detect(engines: Engines, _: Deadline) -> None:
    stream = engines.voice_detector.open_stream()
    stream.probability(_hum()[: stream.chunk_samples])
    if engines.turn_detector is not None:
        engines.turn_detector.completeness(_hum())


def _hum() -> Samples:
    """Make a second of a low tone: shape ``[16000]``."""
    tone: Samples = (0.1 * np.sin(2 * np.pi * 200 * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)).astype(np.float32)
    return tone
