"""Which numbers of a sentence another one, in another language, does not say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from babblefish.engines.llm.number_words import READ, SPOKEN, VAGUE, in_digits

_MENTION = re.compile(rf"([{SPOKEN}{VAGUE}]?)(\d{{1,18}})([½¼¾]?)")

_BOTH = re.compile(
    rf"\b(?:the|these|les|ces|die|diese|[dl]?[oa]s|est[oa]s|ess[ea]s|i|le|quest[ei]|te|tych) {SPOKEN}2\b"
)
"""Two who are known already: another language may say "they" or "both"."""

_OFTEN_NONE = {0, 1, 100, 1000, 1_000_000}
"""In words: an article, a hundred times, a thousand thanks."""

_ASIDE = {
    2: r"both|couple|pairs?|twice|double|second|half|deux|double|moitié|fois|paire|beide[nsrm]?|zweimal|"
    r"doppelt\w*|paar|"
    r"hälfte|amb[oa]s|par|doble|mitad|veces|entramb[ei]|doppi[oa]|paio|coppia|metà|dobro|metade|segund[oa]|"
    r"second[oae]|"
    r"oba|obie|oboje|obaj|para|parę|podwójn\w+|dwukrotnie|połow[aęy]|deuxième",
    3: r"thirds?|tiers|drittel|terci\w+|terç\w+|triple|thrice|dreimal|trzykrotnie|terz[oai]",
    4: r"quarters?|quart|viertel|cuartos?|quartos?|quarti|quarta|ćwierć",
    7: r"weeks?|semaines?|wochen?|semanas?|settiman[ae]|tydzień|tygodni\w*",
    10: r"dizaines?|decenas?|decin[ae]|dezenas?",
    12: r"dozens?|noon|midnight|douzaines?|midi|minuit|dutzend|mittags?|mitternacht|docenas?|mediodía|"
    r"medianoche|dozzin[ae]|"
    r"mezzogiorno|mezzanotte|dúzias?|meio-dia|meia-noite|tuzin\w*|południ\w+|północ\w*",
    14: r"(?:zwei|two|deux|dos|due|duas|dwa|~?2) (?:wochen|weeks|semaines|semanas|settimane|tygodni\w*)|fortnight",
    15: r"(?:zwei|two|deux|dos|due|duas|dwa|~?2) (?:wochen|weeks|semaines|semanas|settimane|tygodni\w*)|"
    r"quinzaine|fortnight|quarts?|\w*viertel\w*|cuartos?|quart[oi]|kwadrans\w*",
    20: r"vingtaines?|veintenas?|ventin[ae]|dwudziest\w+",
    40: r"quarantaine|cuarentena|quarantina|czterdziest\w+",
    30: r"trentaine|treintena|trentina|trzydziest\w+|half|demie?|halb\w*|medi[ao]|mezz[aoe]|mei[ao]|w?pół",
    50: r"cinquantaine|cincuentena|cinquantina|pięćdziesiąt\w+|half|moitié|hälfte|mitad|metà|metade|połow\w+",
}
"""Words of any language that say a number in passing: it does not have to be there, and they will do for it."""

_ASIDES = {value: re.compile(rf"\b(?:{words})\b") for value, words in _ASIDE.items()}

_TO_THE_HOUR = re.compile(
    r"~?(?P<minutes>\d{1,2})(?: min\w*)? (?:to|before|vor|para as?|para las?|do) ~?(?P<hour>\d{1,2})\b|"
    r"~?(?P<hour_>\d{1,2})(?: heures?| h)? (?:moins|menos|meno) ~?(?P<minutes_>\d{1,2})\b|"
    r"\bza ~?(?P<minutes__>\d{1,2}) ~?(?P<hour__>\d{1,2})\b"
)
"""Ten to six; or from ten to twelve, which cannot be told apart."""

_MINUTES = {"½": (30, 5, 50), "¼": (15, 25), "¾": (45, 75)}
"""What the fractions are after a colon or a decimal point."""


@dataclass(frozen=True)
class Number:
    """A number of a sentence.

    Attributes:
        value: As it is said there; half past seven is ``7½``.
        readings: What it may be elsewhere: ``19½``.
        is_written: Whether it is in digits.
        is_certain: Whether it is a number beyond doubt; an article, a homonym or a thousand thanks are not.
    """

    value: str
    readings: frozenset[str]
    is_written: bool
    is_certain: bool


def missing(text: str, lang: str, other: str, other_lang: str) -> list[Number]:
    """Return the numbers of a text, as far as they are certain, that another one does not say.

    Number words are read in ``READ``. A text in another language may hold any number in its words, so of these texts
    a number of the other is looked for only where it has as many in digits, and only if it is written, above twelve and
    too small to be abbreviated (8.5 with a word for 10,000).
    """
    said, there = in_digits(text, lang), in_digits(other, other_lang)
    if _run(said) == _run(there):
        return []
    numbers = list(_numbers(said))
    if other_lang not in READ and _certain(_numbers(there)) < _certain(numbers):
        return []
    reads_both = lang in READ and other_lang in READ
    pool = set(_pool(there))
    return [
        number
        for number in numbers
        if number.is_certain and not number.readings & pool and (reads_both or _is_plain(number))
    ]


def _certain(numbers: Iterable[Number]) -> int:
    return sum(number.is_certain for number in numbers)


def _is_plain(number: Number) -> bool:
    return number.is_written and number.value.isdigit() and 12 < int(number.value) < 10_000


def _run(text: str) -> str:
    """Return all digits in a row: a telephone number may be grouped in another way."""
    return "".join(re.findall(r"\d", text))


def _numbers(text: str) -> Iterator[Number]:
    """Yield the numbers of a text of ``in_digits``."""
    otherwise = dict(_otherwise(text))
    for found in _MENTION.finditer(text):
        mark, value, fraction = found[1], int(found[2]), found[3]
        readings = {value}
        if 12 <= value <= 24:
            readings.add(value - 12)
        readings.update(otherwise.get(found.start(2), ()))
        if _BOTH.fullmatch(text, text.rfind(" ", 0, max(found.start() - 1, 0)) + 1, found.end()):
            mark = VAGUE
        certain = not mark or (mark == SPOKEN and (value not in _OFTEN_NONE or bool(fraction)))
        yield Number(f"{value}{fraction}", frozenset(f"{reading}{fraction}" for reading in readings), not mark, certain)


def _otherwise(text: str) -> Iterator[tuple[int, set[int]]]:
    """Yield where minutes to an hour and the hour stand, and what they are after the hour before."""
    for found in _TO_THE_HOUR.finditer(text):
        for name, digits in found.groupdict().items():
            if digits:
                value = int(digits)
                yield found.start(name), {60 - value if name.startswith("minutes") else value - 1 or 12}


def _pool(text: str) -> Iterator[str]:
    """Yield what a number may be called elsewhere if a text of ``in_digits`` says it."""
    before: Number | None = None
    for number in _numbers(text):
        yield from number.readings
        for reading in number.readings:
            yield from (reading.strip("½¼¾"), *map(str, _MINUTES.get(reading[-1], ())))
        if before:
            for fraction, minutes in _MINUTES.items():
                if number.readings & set(map(str, minutes)):
                    yield from (f"{reading}{fraction}" for reading in before.readings)
            # a year in two parts
            yield from (f"{century}{year:0>2}" for century in before.readings for year in number.readings)
        before = number
    yield from (str(value) for value, pattern in _ASIDES.items() if pattern.search(text))
