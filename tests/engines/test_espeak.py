"""What ends eSpeak NG's library, and that it ends nothing else."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import espeakng_loader
import pytest

from babblefish.domain import Deadline
from babblefish.engines.espeak import EspeakNg
from babblefish.engines.kokoro.phonemes import Phonemizer
from babblefish.engines.speakable import speakable
from babblefish.errors import EngineError

_HASH_CHAINS = 1024
_TEXTMODE = 29
_NO_TEXT, _COMPRESSED, _LENGTH = 0x80, 0x40, 0x3F
"""From eSpeak NG's ``dictionary.c``: an entry is a text in place of a word, and it has none."""


@pytest.fixture(scope="module")
def espeak() -> EspeakNg:
    return EspeakNg()


def duration_s(espeak: EspeakNg, text: str, lang: str) -> float:
    return sum(speech.duration_s for speech in espeak.synthesize(text, lang, Deadline.after(120)))


def test_a_text_that_ends_the_library_costs_only_its_own_speech(espeak: EspeakNg) -> None:
    with pytest.raises(EngineError, match="ended"):
        duration_s(espeak, "ਭਾਵਨਾ-", "vie")
    assert duration_s(espeak, "xin chào", "vie") > 0.3
    assert duration_s(EspeakNg(), "ਭਾਵਨਾ", "pan") > 0.3


@pytest.mark.parametrize(
    ("lang", "text"),
    [
        ("mya", "လူတိုင်း " * 12),
        ("mya", "လူတိုင်း" * 50),
        ("sin", "[මම ගෙදර යනවා] " * 20),
        ("eng", "s'" * 220),
        ("gle", "in" * 200),
        ("dan", "ehsiou" * 70),
        ("ron", "io\u2019" * 130),
        ("eng", "word " * 400),
        ("deu", "Donaudampfschifffahrt" * 40),
        ("hin", "नमस्ते " * 150),
        ("tam", "வணக்கம்" * 100),
        ("jpn", "こんにちは" * 100),
        ("cmn", "你好" * 300),
    ],
)
def test_a_long_clause_or_word_is_spoken(espeak: EspeakNg, lang: str, text: str) -> None:
    assert duration_s(espeak, text, lang) > 1.0


@pytest.mark.parametrize(
    ("lang", "text"), [("mya", "လူတိုင်း လူတိုင်း လူတိုင်း လူတိုင်း လူတိုင်း လူတိုင်း"), ("sin", "[මම] ගෙදර [යනවා] ගෙදර යනවා")]
)
def test_nothing_is_said_twice(espeak: EspeakNg, lang: str, text: str) -> None:
    plain = text.replace("\u1038", "").replace("[", "(").replace("]", ")")
    assert duration_s(espeak, text, lang) < 1.2 * duration_s(espeak, plain, lang)


def test_a_text_that_ends_the_phonemizer_of_kokoro_costs_only_itself() -> None:
    phonemizer = Phonemizer()
    with pytest.raises(EngineError, match="ended"):
        phonemizer.phonemes("s'" * 220, "en-us")
    assert phonemizer.phonemes("Hello.", "en-us") == "h\u0259l\u02c8o\u028a."


@pytest.mark.parametrize(
    ("code", "text"), [("en-us", "s'" * 220), ("fr-fr", "io\u2019" * 130), ("en-us", "[මම ගෙදර] " * 20)]
)
def test_the_phonemizer_of_kokoro_reads_a_speakable_text_to_its_end(code: str, text: str) -> None:
    assert Phonemizer().phonemes(speakable(text), code)


def replaced_by_nothing(dictionary: bytes) -> Iterator[str]:
    """Yield the words for which a dictionary has a text in their place that is empty."""
    at = 8
    for _ in range(_HASH_CHAINS):
        while dictionary[at]:
            entry = dictionary[at : at + dictionary[at]]
            end = 2 + (entry[1] & _LENGTH)
            if entry[1] & _NO_TEXT and not entry[1] & _COMPRESSED and _TEXTMODE in entry[end:]:
                yield entry[2:end].decode()
            at += len(entry)
        at += 1


def test_no_word_that_a_dictionary_replaces_by_nothing_is_left() -> None:
    words = [
        word
        for path in sorted(Path(espeakng_loader.get_data_path()).glob("*_dict"))
        if struct.unpack_from("<i", dictionary := path.read_bytes())[0] == _HASH_CHAINS
        for word in replaced_by_nothing(dictionary)
    ]
    assert words
    assert [word for word in words if speakable(word) == word] == []


def test_a_text_of_everyday_words_stays_as_it_is() -> None:
    for text in ("Grundstücksverkehrsgenehmigungszuständigkeit, ja!", "你好" * 60 + "。", "a b\nc", "မင်္ဂလာပါ", "5 < 6"):
        assert speakable(text) == text
