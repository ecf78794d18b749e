"""Grapheme-to-phoneme conversion for Kokoro, by language.

Most languages go through eSpeak NG's phonemizer. In all but English, an affricate or a diphthong becomes the one
symbol that Kokoro was trained with (``misaki.espeak``). Chinese and Japanese go through misaki, the text processing of
that training, where it is installed. English uses eSpeak NG too: misaki's English dictionary needs a spaCy
model that is downloaded at run time, and without it misaki falls back to eSpeak NG in another spelling. With both,
Whisper heard 1.7 % of the words wrong (measured on twelve sentences with the int8 weights).
"""

from __future__ import annotations

import importlib
import logging
import re
import unicodedata
from collections.abc import Callable

from kokoro_onnx.config import DEFAULT_VOCAB

from babblefish.domain import Deadline
from babblefish.engines.kokoro import phonemizer_process
from babblefish.engines.program import Program
from babblefish.errors import EngineError

_log = logging.getLogger(__name__)

_LANGUAGE_SWITCH = re.compile(r"\([a-z]{2,3}(?:-[a-z]+)*\)")
"""What eSpeak NG's phonemizer puts around a foreign word, ``(en)`` and ``(fr)``; Kokoro would read it out."""

_JOINED = {
    "a\u026a": "I", "aʊ": "W", "e\u026a": "A", "oʊ": "O", "əʊ": "Q", "ɔ\u026a": "Y",
    "dz": "ʣ", "dʒ": "ʤ", "ts": "ʦ", "tʃ": "ʧ", "ss": "S",
}  # fmt: skip
"""Kokoro's own symbols for two signs that are one sound. Of fifteen sentences each, spoken with the int8 weights,
Whisper heard as many words wrong with them as without in Spanish (10.3 %), Italian (9.1 %) and French (8.5 %), and half
as many in Portuguese (3.6 %)."""

_LETTER = "[A-Za-z\u00c0-\u024f\uff21-\uff3a\uff41-\uff5a]"
_LATIN = re.compile(rf"({_LETTER}+(?:['\u2019]{_LETTER}+)*)")
"""A word in Latin letters, of normal or full width; misaki would return its letters as if they were phonemes."""

_LIMIT_S = 10.0
"""A text takes milliseconds, the first one a second."""

_Reader = Callable[[str], str]


class Phonemizer:
    """Turns text into Kokoro's phonemes; calls may run side by side."""

    def __init__(self) -> None:
        """Load the installed dictionaries, which takes a second for Chinese."""
        self._espeak = Program(phonemizer_process.__file__)
        self._misaki: dict[str, _Reader] = {}
        for code, make in (("ja", _japanese), ("zh", _chinese)):
            try:
                self._misaki[code] = make()
            except (ImportError, RuntimeError) as error:  # RuntimeError: a package has no dictionary
                _log.info("Kokoro does not read %r here: %s", code, error)

    def reads(self, code: str) -> bool:
        """Return whether ``phonemes`` takes this code of ``KokoroVoice.phonemizer``."""
        return code not in ("ja", "zh") or code in self._misaki

    def phonemes(self, text: str, code: str) -> str:
        """Return the phonemes of a text; empty where there is nothing to speak.

        Raises:
            EngineError: eSpeak NG ended at this text, or does not know the code.
        """
        if code not in self._misaki:
            return self._by_espeak(text, code)
        parts = _LATIN.split(text)  # every other one is a word in Latin letters
        read = [
            self._by_espeak(unicodedata.normalize("NFKC", part), "en-us") if index % 2 else self._misaki[code](part)
            for index, part in enumerate(parts)
            if part.strip()
        ]
        return " ".join(" ".join(read).split())

    def _by_espeak(self, text: str, code: str) -> str:
        answer = self._espeak.ask((text.strip(), code), Deadline.after(_LIMIT_S))
        if "error" in answer:
            raise EngineError(f"eSpeak NG: {answer['error']}")
        known = "".join(symbol for symbol in answer["phonemes"] if symbol in DEFAULT_VOCAB)
        phonemes = _LANGUAGE_SWITCH.sub("", known.strip())
        if not code.startswith("en"):
            for signs, symbol in _JOINED.items():
                phonemes = phonemes.replace(signs, symbol)
        return phonemes


def _japanese() -> _Reader:
    # What misaki's JAG2P does by default; importing its module would need a second dictionary, which this never uses.
    cutlet = importlib.import_module("misaki.cutlet").Cutlet
    cutlet()  # without a dictionary it fails here rather than in a call
    # The analyser holds the sentence it works on, so each call makes its own, in a millisecond.
    return lambda text: cutlet()(text)[0]


def _chinese() -> _Reader:
    jieba = importlib.import_module("jieba")
    # By itself jieba caches its dictionary in the temporary folder, and trusts whatever it finds there.
    words = jieba.dt
    words.FREQ, words.total = words.gen_pfdict(words.get_dict_file())
    words.initialized = True
    read = importlib.import_module("misaki.zh").ZHG2P()
    return lambda text: read(text)[0]
