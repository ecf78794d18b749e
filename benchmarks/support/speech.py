"""Speech with its text: the prompts of a telephone exchange, read by people, and sentences of our voices in noise.

The prompts are in Debian's packages ``asterisk-core-sounds-*`` and ``asterisk-core-sounds-*-g722``, which
``deploy/install_debian.sh bench`` installs: one reader for each language, 16 kHz. A prompt has the same name in all
languages.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from babblefish.audio.pcm import resample
from babblefish.domain import SAMPLE_RATE_HZ, Deadline, Samples
from babblefish.engines.contracts import Synthesizer
from babblefish.engines.espeak import EspeakNg
from babblefish.engines.kokoro.onnx_runner import OnnxRunner
from babblefish.engines.kokoro.synthesizer import Kokoro
from babblefish.models import install
from babblefish.pipeline import phrasebook
from babblefish.settings import Settings
from benchmarks.support.corpus import DATA, conversation
from benchmarks.support.harness import Clip

PROMPTS = {"eng": "en", "fra": "fr", "spa": "es", "ita": "it", "rus": "ru"}
"""Languages that have prompts, as their packages call them."""

_SOUNDS = Path("/usr/share/asterisk/sounds")
_TEXTS = "/usr/share/doc/asterisk-core-sounds-{0}/core-sounds-{0}.txt.gz"

_REMARKS = re.compile(r"[\[\](){}<>]|\w\?\w|\?\s+[^\W\dA-Z]")
"""What is in brackets is now a remark, now spoken; a question mark within a sentence was a letter with an accent."""

_LONGEST_S = 15.0
_PATIENCE_S = 120.0
_SEED = 0


def texts(listing: str) -> dict[str, str]:
    """Return name → text from a package's list of its prompts, without those whose text is not just what is said."""
    found = {}
    for line in listing.removeprefix("\ufeff").splitlines():
        name, colon, text = line.partition(":")
        if colon and not line.startswith(";") and not _REMARKS.search(text):
            found[name.strip()] = " ".join(text.split())
    return found


def has_prompts(lang: str) -> bool:
    """Say whether the packages of a language are installed."""
    code = PROMPTS.get(lang)
    return code is not None and (_SOUNDS / code).is_dir() and Path(_TEXTS.format(code)).is_file()


def prompts(lang: str, least_words: int) -> Iterator[Clip]:
    """Yield the prompts of a language that have so many words and last no longer than 15 s, in an order of no meaning.

    The texts are in this language and, where it has the same prompt, in English.

    Args:
        lang: One that ``has_prompts``.
        least_words: Of the text.
    """
    own, english = (_listing(code) for code in (PROMPTS[lang], PROMPTS["eng"]))
    names = sorted(name for name, text in own.items() if len(text.split()) >= least_words)
    for at in np.random.default_rng(_SEED).permutation(len(names)):
        file = _SOUNDS / PROMPTS[lang] / f"{names[at]}.g722"
        if not file.is_file():  # the list has some that nobody has read
            continue
        samples = _decode(file)
        if len(samples) <= _LONGEST_S * SAMPLE_RATE_HZ:
            meant = {"eng": english[names[at]]} if names[at] in english else {}
            yield Clip(names[at], lang, meant | {lang: own[names[at]]}, samples)


def _listing(code: str) -> dict[str, str]:
    file = Path(_TEXTS.format(code))
    return texts(gzip.decompress(file.read_bytes()).decode()) if file.is_file() else {}


def _decode(file: Path) -> Samples:
    """Decode a file that is nothing but G.722."""
    with av.open(str(file), format="g722") as container:
        pieces = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(pieces).astype(np.float32) / 2**15


def sentences(lang: str, least_words: int) -> list[str]:
    """Return what is written for this project in a language: the parallel corpus, then the everyday phrases.

    Args:
        lang: ISO 639-3.
        least_words: Of each.
    """
    written = [utterance.texts[lang] for utterance in conversation()]
    phrases = (*phrasebook.read(), *phrasebook.read(DATA / "phrases.tsv"))
    written += [phrase[lang][0].text for phrase in phrases if lang in phrase]
    return [text for text in written if len(text.split()) >= least_words]


def spoken(lang: str, least_words: int, snr_db: float) -> Iterator[Clip]:
    """Yield our sentences, spoken by the default voice of a language, in noise.

    Args:
        lang: ISO 639-3.
        least_words: Of each sentence.
        snr_db: How far the speech is above the noise, both over the whole utterance.
    """
    engine = voice_of(lang)
    for at, text in enumerate(sentences(lang, least_words)):
        samples = noisy(read_aloud(text, lang, engine), snr_db, seed=at)
        yield Clip(f"sentence {at}", lang, {lang: text}, samples)


def read_aloud(text: str, lang: str, engine: Synthesizer, voice: str | None = None) -> Samples:
    """Return a text as an engine's voice, or its default one, speaks it in a language, shape ``[n]``, 16 kHz."""
    pieces = engine.synthesize(text, lang, Deadline.after(_PATIENCE_S), voice)
    return np.concatenate([resample(piece.samples, piece.sample_rate_hz) for piece in pieces])


def voice_of(lang: str) -> Synthesizer:
    """Return what speaks a language in the default profile."""
    model_dir = Settings().model_dir
    kokoro = Kokoro(OnnxRunner(*(install.locate(name, model_dir) for name in ("kokoro-int8", "kokoro-voices")), 1))
    return kokoro if kokoro.voices(lang) else EspeakNg()


def noisy(samples: Samples, snr_db: float, seed: int) -> Samples:
    """Return speech with pink noise, whose power falls with its frequency as that of a room's noise does.

    Args:
        samples: Shape ``[n]``.
        snr_db: Power of the speech over that of the noise.
        seed: Of the noise.
    """
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(samples)))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    noise = np.fft.irfft(spectrum, len(samples))
    level = np.sqrt(np.mean(np.square(samples)) / np.mean(np.square(noise)) / 10 ** (snr_db / 10))
    return np.asarray(samples + level * noise, dtype=np.float32)
