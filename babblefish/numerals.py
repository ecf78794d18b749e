"""Numbers in digits as languages write them: read, and rewritten where a translation keeps the source's format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.numbers import format_decimal, get_decimal_symbol, get_group_symbol

from babblefish.languages import LANGUAGES

_BLANKS = " \u00a0\u2009\u202f"
_APOSTROPHES = "'\u2019"

_NARROW = _BLANKS.replace(" ", "")


def _numeral(blanks: str) -> str:
    return rf"(?:\d{{1,3}}(?:[{blanks}]\d{{3}})+(?!\d)|\d+)(?:[.,{_APOSTROPHES}]\d+)*"


_NUMERAL = _numeral(_BLANKS)
"""A number with all of its marks; blanks stand between groups of three digits only."""

_LONGEST = 24
"""Characters of a numeral beyond which it counts nothing."""

VERSION = r"\b(?:[Vv]ersi(?:on|ón|one)|[Vv]ersão|[Ww]ersj[aięą]|v)\.?"
"""Words before a number that counts versions; it has the same form in each language."""

_ALONE = re.compile(rf"(?<![\w.,:/@+])(?<!\d['\u2019]){_NUMERAL}(?![\w:/@])")
"""A numeral that is no part of a time, a date, a telephone number, a code or an address."""

_BEFORE_IT = re.compile(rf"(?:{VERSION})\s*\Z")
_TIME_AFTER_IT = re.compile(r"\s*(?:[ap]\.?\s?m\b|uhr\b|h\b|heures?\b|o'clock)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Format:
    """How a language writes numbers.

    Attributes:
        locale: In the Common Locale Data Repository (CLDR).
        decimal: The mark before the fraction.
        groups: The marks that may stand between groups of digits.
    """

    locale: Locale
    decimal: str
    groups: str

    def value(self, numeral: str) -> Decimal | None:
        """Return what a numeral says by the rules of the language, or None where it breaks them."""
        if len(numeral) > _LONGEST:
            return None
        whole, mark, fraction = numeral.partition(self.decimal)
        groups = re.split(f"[{re.escape(self.groups)}]", whole)
        if mark and not fraction.isdecimal():
            return None
        if not all(group.isdecimal() for group in groups):
            return None
        if len(groups) > 1 and (len(groups[0]) > 3 or groups[0][0] == "0" or not _is_grouped(groups[1:])):
            return None
        return Decimal("".join(groups) + ("." + fraction if mark else ""))

    def written(self, whole: int, fraction: str, grouped: bool) -> str:
        """Write a number.

        Args:
            whole: Before the decimal mark; not negative.
            fraction: The digits behind it, if there are any.
            grouped: Whether the digits of the whole are.
        """
        written = format_decimal(whole, format=None if grouped else "0", locale=self.locale)
        return written + self.decimal + fraction if fraction else written


def _is_grouped(groups: list[str]) -> bool:
    """Say whether groups after the first are of three digits, or of two as in India, the last of three."""
    return len(groups[-1]) == 3 and {len(group) for group in groups[:-1]} in (set(), {2}, {3})


@lru_cache(maxsize=256)
def format_of(lang: str) -> Format | None:
    """Return how a language writes numbers, or None where CLDR does not know it, or it has digits of its own.

    Args:
        lang: ISO 639-3.
    """
    known = LANGUAGES.get(lang)
    try:
        locale = Locale.parse(known.bcp47, sep="-") if known else None
    except (UnknownLocaleError, ValueError):
        return None
    if locale is None or locale.default_numbering_system != "latn":
        return None
    group = get_group_symbol(locale)
    # Whoever writes a blank does not always take the narrow one, and one mark or another is used beside it.
    groups = _BLANKS if group in _BLANKS else group + _NARROW
    return Format(locale, get_decimal_symbol(locale), groups)


def pattern(lang: str) -> str:
    """Return a regular expression for the numerals of a text, with all of their marks.

    Args:
        lang: ISO 639-3. In English two numbers with a blank between them are two, except 100 000.
    """
    return rf"(?:\d{{1,3}}(?: \d{{3}})* 000(?!\d)|{_numeral(_NARROW)})" if lang == "eng" else _numeral(_BLANKS)


def value(numeral: str, lang: str) -> Decimal | None:
    """Return what a numeral says in a language; where it breaks the language's rules, what else it must mean.

    Args:
        numeral: What ``pattern`` matches.
        lang: ISO 639-3.

    Returns:
        None where there is no telling, as in 1.2.3, or it is too long to be said.
    """
    if len(numeral) > _LONGEST:
        return None
    own = format_of(lang)
    found = own.value(numeral) if own else None
    if found is not None:
        return found
    marks = list(dict.fromkeys(re.sub(r"\d", "", numeral)))
    *groups, last = re.split(r"\D", numeral)
    if len(marks) == 1 and len(groups) and _is_grouped([*groups[1:], last]) and numeral[0] != "0":
        return Decimal("".join((*groups, last)))  # 3.400 where neither mark is the language's
    if len(marks) == 1 and len(groups) == 1:
        return Decimal(f"{groups[0]}.{last}")
    if len(marks) == 2 and numeral.count(marks[1]) == 1 and _is_grouped(groups[1:]):
        return Decimal("".join(groups) + "." + last)  # 1,234.50
    return None


def rewritten(text: str, lang: str, said: str, said_lang: str) -> str:
    """Return a translation whose numerals are written as its language writes them.

    What is rewritten stands in the source in the same way, and is read as the source's language reads it: nothing else
    says whether 3.400 is three thousand or three.

    Args:
        text: The translation.
        lang: Its language, ISO 639-3.
        said: The source.
        said_lang: Its language, ISO 639-3.
    """
    own, theirs = format_of(lang), format_of(said_lang)
    if own is None or theirs is None or (own.decimal, own.groups) == (theirs.decimal, theirs.groups):
        return text
    right = {numeral: _in(own, theirs, numeral) for numeral in _numerals(said)}

    def write(found: re.Match[str]) -> str:
        numeral = found[0]
        if numeral in right.values() or not _is_number(found):
            return numeral
        return right.get(numeral) or numeral

    return _ALONE.sub(write, text)


def _numerals(text: str) -> set[str]:
    """Return the numerals of a text that have a mark."""
    return {found[0] for found in _ALONE.finditer(text) if not found[0].isdecimal() and _is_number(found)}


def _is_number(found: re.Match[str]) -> bool:
    """Say whether a numeral counts something; a version and a time have the same marks."""
    return not (_BEFORE_IT.search(found.string, 0, found.start()) or _TIME_AFTER_IT.match(found.string, found.end()))


def _in(own: Format, theirs: Format, numeral: str) -> str | None:
    """Write a numeral of another language as this one does, or return None where the other has no such numeral."""
    number = theirs.value(numeral)
    if number is None:
        return None
    whole, _, fraction = numeral.partition(theirs.decimal)
    return own.written(int(number), fraction, grouped=not whole.isdecimal())
