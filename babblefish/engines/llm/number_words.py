"""Number words, halves and quarters as digits, so that the numbers of two languages can be compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from text_to_num import find_numbers

_TEXT_TO_NUM = {"eng": "en", "fra": "fr", "deu": "de", "spa": "es", "ita": "it", "por": "pt", "nld": "nl", "dan": "da"}
"""Languages that the library reads, with its codes."""

READ = frozenset(_TEXT_TO_NUM) | {"pol"}
"""Languages whose number words are read."""

SPOKEN = "~"
VAGUE = "?"
"""Marks before a number that was said in words, and before one that may well be none."""

_WORDS = re.compile(r"\w+|\W+")
_PLAIN = str.maketrans("\u00a0\u202f\u2019", "  '")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:[.,' ]\d{3})+(?!\d)")

_HOMONYMS = {
    "eng": {"second", "seconds"},
    "fra": {"neuf", "neuve"},
    "ita": {"sei"},
    "spa": {"quinta", "quinto"},
    "por": {"segunda", "terça", "quarta", "quinta", "sexta"},
}
"""Words that are more often something else than a number: "sei" is "you are", "quarta" Wednesday."""

_LEFT_ALONE = {
    "eng": {"third", "thirds", "quarter", "quarters"},
    "spa": {"cuarto", "cuartos", "tercio", "tercios"},
    "ita": {"quarto", "quarti", "terzi"},
    "por": {"quarto", "quartos", "terço", "terços"},
}
"""Fractions that the library takes for ordinals; ``_FRACTIONS`` needs them as they are, and "cuarto" is a room."""

_BEFORE = {
    "eng": (
        (r"(twent|thirt|fort|fift|sixt|sevent|eight|ninet)ies\b", r"\1y"),
        (r"\b(?:an?|one) (?:\w+ )?and a half\b", "1½"),
    ),
    "deu": (
        (r"(zwanzig|ßig|zig)ern?\b", r"\1"),
        (r"\b(?:anderthalb|eineinhalb)", "1½"),
        *(
            (rf"\b{word}einhalb", f"{value}½")
            for value, word in enumerate(("zwei", "drei", "vier", "fünf", "sechs"), 2)
        ),
        (r"\b(halb|viertel|vor|nach) eins\b", r"\1 1"),
    ),
    "fra": ((r"\b(une (?:heure|journée|année)) et demie\b", "1½"), (r"\bun (\w+) et demi\b", "1½")),
    "spa": ((r"\b(?:una?) (\w+) y medi[ao]\b", "1½"),),
    "ita": ((r"\bun(?:[ao] |')(\w+) e mezz[ao]\b", "1½"),),
    "por": ((r"\b(?:uma?) (\w+) e mei[ao]\b", "1½"),),
    "pol": ((r"\bpółtor(?:a|ej)\b", "1½"), (r"\bpół do pierwszej\b", "12½")),
}
"""What is rewritten before the words are read."""

_H = rf"[{SPOKEN}{VAGUE}]?(?<!\d)(\d{{1,2}})(?!\d)"
_NOUN = r"(?: [^\W\d]+)?"
_FRACTIONS = {
    "eng": (
        (rf"\bhalf(?: past)? {_H}", 0, "½"),
        (rf"\bquarter (?:past|after) {_H}", 0, "¼"),
        (rf"\bquarter (?:to|of|before) {_H}", -1, "¾"),
        (rf"{_H} and a half\b", 0, "½"),
        (rf"{_H} and a quarter\b", 0, "¼"),
    ),
    "deu": (
        (rf"\bhalb {_H}", -1, "½"),
        (rf"\bviertel nach {_H}", 0, "¼"),
        (rf"\b(?:viertel vor|dreiviertel|~?3 ?viertel) {_H}", -1, "¾"),
        (rf"(?<!dr)(?<!ein )\bviertel {_H}", -1, "¼"),
    ),
    "fra": (
        (rf"{_H}{_NOUN} et demie?\b", 0, "½"),
        (rf"{_H}{_NOUN} et quart\b", 0, "¼"),
        (rf"{_H}{_NOUN} moins (?:le |un |~1 )?quart\b", -1, "¾"),
    ),
    "spa": (
        (rf"{_H}{_NOUN} y medi[ao]\b", 0, "½"),
        (rf"{_H}{_NOUN} y cuarto\b", 0, "¼"),
        (rf"{_H}{_NOUN} menos cuarto\b", -1, "¾"),
        (rf"\bcuarto para las? {_H}", -1, "¾"),
    ),
    "ita": (
        (rf"{_H}{_NOUN} e mezz[aoe]\b", 0, "½"),
        (rf"{_H}{_NOUN} e (?:un |~1 )?quarto\b", 0, "¼"),
        (rf"{_H}{_NOUN} meno (?:un |~1 )?quarto\b", -1, "¾"),
        (rf"\bquarto alle {_H}", -1, "¾"),
    ),
    "por": (
        (rf"{_H}{_NOUN} e mei[ao]\b", 0, "½"),
        (rf"{_H}{_NOUN} e (?:um |~1 )?quarto\b", 0, "¼"),
        (rf"(?:\bquarto|~?\b15) para (?:as?|o) {_H}", -1, "¾"),
    ),
    "nld": (
        (rf"\bhalf {_H}", -1, "½"),
        (rf"\bkwart over {_H}", 0, "¼"),
        (rf"\bkwart voor {_H}", -1, "¾"),
    ),
    "dan": ((rf"\bhalv {_H}", -1, "½"),),
    "pol": (
        (rf"\b(?:wpół|pół) do {_H}", -1, "½"),
        (rf"{_H} i pół\b", 0, "½"),
        (rf"\bkwadrans po {_H}", 0, "¼"),
        (rf"\bza kwadrans {_H}", -1, "¾"),
    ),
}
"""Halves and quarters of an hour, or of anything: pattern, what to add to the number in it, and the fraction."""


def in_digits(text: str, lang: str) -> str:
    """Return a text in lower case whose numbers are all digits.

    What was said in words has the mark ``SPOKEN``, or ``VAGUE`` where the word often means something else. Half past
    seven, in whatever way a language says it, is ``7½``.
    """
    text = (
        unicodedata.normalize("NFC", text).lower().replace("\u00a0", " ").replace("\u202f", " ").replace("\u2019", "'")
    )
    text = _GROUPED.sub(lambda found: re.sub(r"\D", "", found[0]), text)
    for pattern, written in _BEFORE.get(lang, ()):
        text = re.sub(pattern, written, text)
    if lang == "pol":
        text = _polish(text)
    elif lang in _TEXT_TO_NUM:
        text = _read(text, lang)
    for pattern, shift, fraction in _FRACTIONS.get(lang, ()):
        text = re.sub(pattern, _with(shift, fraction), text)
    return text


def _with(shift: int, fraction: str) -> Callable[[re.Match[str]], str]:
    """Return what writes a number and a fraction as one; before one comes twelve."""
    return lambda found: f" {int(found[1]) + shift or 12}{fraction} "


@dataclass(frozen=True)
class _Word:
    """What the library asks of a token."""

    word: str
    is_left_alone: bool

    def text(self) -> str:
        return self.word

    def nt_separated(self, previous: _Word) -> bool:
        return False

    def not_a_number_part(self) -> bool:
        return self.is_left_alone


def _read(text: str, lang: str) -> str:
    left_alone, homonyms = _LEFT_ALONE.get(lang, set()), _HOMONYMS.get(lang, set())
    words = _WORDS.findall(text)
    written = list(words)
    for found in find_numbers([_Word(word, word in left_alone) for word in words], _TEXT_TO_NUM[lang], 0):
        said = "".join(words[found.start : found.end])
        if any(letter.isdigit() for letter in said):
            continue
        mark = VAGUE if said in homonyms else SPOKEN
        written[found.start : found.end] = [f"{mark}{found.value:.9g}"] + [""] * (found.end - found.start - 1)
    return "".join(written)


_ORDINAL = "(?:y|a|e|ego|ej|emu|ą|ym|ych|ymi)"


def _polish_words() -> list[tuple[re.Pattern[str], int]]:
    """Return the forms of the Polish cardinals and ordinals, with their values."""
    forms = {
        1: "jeden|jedn(?:a|o|ego|ej|emu|ą|ym)|pierwsz(?:y|a|e|ego|ej|emu|ą|ym)",
        2: "dwa|dwie|dwóch|dwu|dwóm|dwoma|dwiema|dwoje|dwójk[aię]|drug(?:i|a|ie|iego|iej|iemu|ą|im)",
        3: "trzy|trzech|trzem|trzema|troje|trójk[aię]|trzeci(?:|a|e|ego|ej|emu|ą|m|ch)",
        4: f"cztery|czterech|czterem|czterema|czworo|czwart{_ORDINAL}",
        5: f"pięć|pięciu|pięcioma|pięcioro|piąt{_ORDINAL}",
        6: f"sześć|sześciu|sześcioma|sześcioro|szóst{_ORDINAL}",
        7: f"siedem|siedmiu|siedmioma|siedmioro|siódm{_ORDINAL}",
        8: f"osiem|ośmiu|ośmioma|ośmioro|ósm{_ORDINAL}",
        9: f"dziewięć|dziewięciu|dziewięcioma|dziewiąt{_ORDINAL}",
        10: f"dziesięć|dziesięciu|dziesięcioma|dziesiąt{_ORDINAL}",
        100: f"sto|stu|setn{_ORDINAL}",
        200: "dwieście|dwustu",
        300: "trzysta|trzystu",
        400: "czterysta|czterystu",
        1000: "tysiąc|tysiące|tysięcy|tysiąca|tysiącem",
        1_000_000: "milion|miliony|milionów|miliona",
    }
    teens = ("jede", "dwa", "trzy", "czter", "pięt", "szes", "siedem", "osiem", "dziewięt")
    forms |= {11 + n: f"{stem}na(?:ście|stu|stoma|st{_ORDINAL})" for n, stem in enumerate(teens)}
    forms |= {
        20: f"dwadzieścia|dwudziestu|dwudziest{_ORDINAL}",
        30: f"trzydzieści|trzydziestu|trzydziest{_ORDINAL}",
        40: f"czterdzieści|czterdziestu|czterdziest{_ORDINAL}",
    }
    for n, stem in enumerate(("pięć", "sześć", "siedem", "osiem", "dziewięć"), 5):
        forms[10 * n] = f"{stem}dziesiąt|{stem}dziesięciu|{stem}dziesiąt{_ORDINAL}"
        forms[100 * n] = f"{stem}set|{stem}uset"
    return [(re.compile(pattern), value) for value, pattern in forms.items()]


_POLISH = _polish_words()


def _polish(text: str) -> str:
    """Write Polish numbers as digits; no library at hand reads them in their cases."""
    written: list[str] = []
    total, least, blank = 0, 0, ""
    for word in [*_WORDS.findall(text), "."]:
        value = next((value for pattern, value in _POLISH if pattern.fullmatch(word)), None)
        if value is None:
            if least and word.isspace():
                blank = word
                continue
            if least:
                written.append(f"{SPOKEN}{total}")
            written += [blank, word]
            total, least, blank = 0, 0, ""
        elif value >= 1000 and 0 < total < value:
            total, least, blank = total * value, value, ""
        elif least and value < least and least != 10 and not 10 < least < 20:
            total, least, blank = total + value, value, ""
        else:
            if least:
                written += [f"{SPOKEN}{total}", blank]
            total, least, blank = value, value, ""
    return "".join(written[:-1])
