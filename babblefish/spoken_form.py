"""A text as a voice is to read it: numbers, dates, amounts, signs and addresses in words, marks of markup left out.

Voices read digits one group at a time and name the marks between them, each in its own way. What is rewritten here is
rewritten for all of them, and only for the voice: captions keep their digits.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache

from babel.dates import format_date

from babblefish import numerals
from babblefish.spoken_words import Reader, is_noun, reader

_Say = Callable[[re.Match[str]], str]

_NARROW_BLANK = re.compile("[\u00a0\u2009\u202f]")
_BLANK = "[ \u00a0\u2009\u202f]?"

_LONGEST = 20_000
"""Characters beyond which a text is left as it is; nobody says as much at a time."""


def spoken_form(text: str, lang: str) -> str:
    """Return a text as a voice of its language is to read it.

    Args:
        text: Perhaps with digits, signs, addresses, emoji and markup. Line breaks stay.
        lang: ISO 639-3; the text of a language that is not in ``spoken_words.WORDS`` stays as it is.
    """
    speaker = _speaker(lang)
    if speaker is None or len(text) > _LONGEST:
        return text
    if not _MARKED.search(text):
        return _NARROW_BLANK.sub(" ", text)
    return speaker.read(unicodedata.normalize("NFC", text))


@lru_cache(maxsize=16)
def _speaker(lang: str) -> _Speaker | None:
    known = reader(lang)
    return _Speaker(known) if known else None


_MARKUP = (
    # before addresses, which may be in links; the others may be in addresses
    (re.compile(r"```\w*|`"), ""),
    (re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*\)"), r"\1"),
    (re.compile(r"</?(?:[abipu]|br|code|div|em|li|ol|pre|speak|span|strong|ul)\b[^<>\n]{0,200}>", re.IGNORECASE), " "),
    (re.compile(r"^[ \t]*(?:#{1,6}|>+|[-*+\u2022])[ \t]+", re.MULTILINE), ""),
    (re.compile(r"\*\*|~~|__|(?<![\w*])\*(?=\S)|(?<=\S)\*(?!\w)|(?<!\w)_(?=\w)|(?<=\w)_(?!\w)"), ""),
)

_ADDRESS = re.compile(
    r"(?P<mail>[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+)"
    r"|(?:https?://(?:www\.)?|\bwww\.)(?P<url>[^\s<>\"\u00ab\u00bb]+)"
    r"|(?<![\w.@-])(?P<host>(?:[A-Za-z0-9-]{1,63}\.){1,5}(?:com|org|net|edu|gov|info|io|app|dev|eu|de|fr|es|it|pt|"
    r"br|pl|uk|ch|at)(?:/[\w./-]*)?)(?!\w)"
)
_WORD_OR_MARK = re.compile(r"[^\W_]+|[\W_]")

_DATE = re.compile(
    r"(?<![\w.,/-])(?:(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)|(?P<a>\d{1,2})(?P<mark>[./-])(?P<b>\d{1,2})(?P=mark)"
    r"(?P<year>\d{4}|\d\d))(?![\w/-]|[.,]\d)"
)
_DAY_AND_MONTH = re.compile(
    r"(?P<case>\b(?:der|am|vom|zum|dem|den|bis|ab|seit) )(?P<d>\d{1,2})\. ?(?P<m>0?[1-9]|1[0-2])\.(?!\d)"
)
_TWO_DIGITS_FROM = 1970
"""The first year that is written with two digits."""

_TIME = re.compile(
    r"(?<![\w.,:])(?P<h>[01]?\d|2[0-4]):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d))?(?![\w:]|[.,]\d)"
    rf"(?:{_BLANK}(?P<half>[AaPp])\.?{_BLANK}[Mm]\b\.?)?(?:{_BLANK}Uhr\b)?"
)
_TIMES_OTHERWISE = {
    "eng": r"(?<![\w.,:])(?P<h>1?\d)(?:\.(?P<m>[0-5]\d))? ?(?P<half>[AaPp])\.?[Mm]\b\.?",
    "fra": r"(?<![\w.,:])(?P<h>[01]?\d|2[0-4]) ?[hH] ?(?P<m>[0-5]\d)(?!\w)",
    "por": r"(?<![\w.,:])(?P<h>[01]?\d|2[0-4]) ?h ?(?P<m>[0-5]\d)(?!\w)(?: ?min\b)?",
    "ita": r"(?:(?<=lle )|(?<=ore ))(?P<h>[01]?\d|2[0-4])\.(?P<m>[0-5]\d)(?![\w.,])",
    "deu": r"(?<![\w.,:])(?P<h>[01]?\d|2[0-4])\.(?P<m>[0-5]\d) ?Uhr\b",
    "pol": r"(?:(?<=\bo )|(?<=\bpo )|(?<=\bod )|(?<=\bdo ))(?P<h>[01]?\d|2[0-4])\.(?P<m>[0-5]\d)"
    r"(?![\w.,]| ?(?:zł|%|k?[mg]\b))",
}
"""Times without a colon."""

_PHONE = re.compile(
    r"(?<![\w.,+])(?:\+\d[\d \u00a0\u202f().-]{6,20}\d|\(\d{2,5}\)[ -]?\d{2,4}(?:[ .-]?\d{2,4}){1,3}"
    r"|\d{3}[-.]\d{3}[-.]\d{4}|0\d{1,4}(?:[ \u00a0\u202f./-]\d{2,4}){2,5}|0\d{1,4}[ /-]\d{5,8}|0\d{7,11}"
    r"|\d{2,4}(?:[ -]\d{2,4}){2,4}|\d{3}-\d{4}|\d{9,})(?![\w]|[.,:/-]\d)"
)
_PHONE_BEFORE = re.compile(
    r"(?:phone|call|tel[eé]f\w*|telefon\w*|t[eé]l\b|t[eé]l[eé]phone|appel\w*|num[eéè]ro|llám\w*|llam\w*|chiam\w*|lig\w+|"
    r"ruf\w*|nummer|numer\w*|number|zadzwo\w*)\W+(?:\w+\W+){0,3}\Z",
    re.IGNORECASE,
)
_GROUPED = re.compile(r"\d{1,3}(?:[ \u00a0\u202f]\d{3})+")

_VERSION = re.compile(
    rf"(?:(?P<word>{numerals.VERSION}) ?(?P<of>\d+(?:\.\d+)*)|(?<![\w.,])(?P<bare>\d+(?:\.\d+){{2,}}))(?![\w.]\w)"
)

_ORDINALS = {
    "eng": r"(?P<n>\d{1,9})(?:st|nd|rd|th)",
    "fra": r"(?P<n>\d{1,9})(?:er|(?P<fem>re|ère)|e|è|ème|eme)",
    "spa": r"(?P<n>\d{1,3})\.?(?:º|(?P<fem>ª))",
    "ita": r"(?P<n>\d{1,3})(?:º|(?P<fem>ª))",
    "por": r"(?P<n>\d{1,3})\.?(?:º|(?P<fem>ª))",
    "deu": r"(?P<case>\b(?:der|die|das|am|vom|zum|zur|beim|dem|den|im|des) )(?P<n>\d{1,3})\.(?= \w)",
}
_MONTH_DAYS = {
    "eng": r"(?P<month>{months})\s+(?P<n>\d{{1,2}})(?:st|nd|rd|th)?(?!\w|[:.,-]\d)"
    r"|(?P<the>\bthe )?(?<![\w.,:-])(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<of>{months})\b",
    "fra": r"(?<![\w.,:])(?P<n>1)(?:er)?(?P<after> (?:{months})\b)",
    "ita": r"(?<![\w.,:])(?P<n>1)º?(?P<after> (?:{months})\b)",
    "por": r"(?<![\w.,:])(?P<n>1)º?(?P<after> de (?:{months})\b)",
    "deu": r"(?P<case>\b(?:der|die|das|am|vom|zum|dem|den|bis|ab|seit) )?(?<![\w.,:])(?P<n>\d{{1,2}})\."
    r"(?P<after> ?(?:{months})\b)",
    "pol": r"(?<![\w.,:-])(?P<n>\d{{1,2}})(?P<after> (?:{months})\b)",
}
_DECADE = re.compile(r"(?<![\w.,])(?:'|\u2019)?(?P<n>(?:1[1-9]|20)?\d0)['\u2019]?s\b")

_SHARES = {
    "1/2": 0,
    "1/4": 1,
    "3/4": 2,
    "1/3": 3,
    "2/3": 4,
    "\u00bd": 0,
    "\u00bc": 1,
    "\u00be": 2,
    "\u2153": 3,
    "\u2154": 4,
}
_SHARE = re.compile(
    r"(?<![\w.,/])(?:(?P<n>\d{1,3})(?: |(?=[^\d/])))?(?P<share>[123]/[234](?![\w/])|[\u00bc-\u00be\u2153\u2154])"
)

_MAGNITUDES = {"k": 3, "K": 3, "M": 6, "m": 6, "bn": 9, "B": 9}
_SHORTENED = {
    "deu": {"Mio.": "Millionen", "Mrd.": "Milliarden", "Mio": "Millionen", "Mrd": "Milliarden"},
    "pol": {"tys.": "tysięcy", "mln": "milionów", "mld": "miliardów"},
}
"""What a voice would read as it is written."""

_MAGNITUDE_WORD = (
    r"(?:thousand|million|billion|trillion|mille|millions?|milliards?|mil|millón|millones|milion[ei]|miliard[oi]|milhão|"
    r"milhões|bilhão|bilhões|tysi\w+|milion\w*|miliard\w*|Tausend|Million(?:en)?|Milliarden?)\b"
)
_COUNTED = re.compile(r"[ \u00a0\u202f](?:mil )?([^\W\d_]{1,40})")
_NUMBER_SIGN = re.compile(
    r"(?:\u2116|(?<!\w)#|(?<!\w)[Nn][ro]?[º°]|(?<!\w)No\.|(?<!\w)[Nn]r\.?|(?<!\w)[Nn]úm\.)[ \u00a0\u202f]?(?=\d)"
)
_MINUS = re.compile(r"(?<![\w)\].,])[-\u2212](?=\d)")
_KEPT_SIGNS = frozenset(".,;:!?\u2026\u00a1\u00bf'\u2019\u2018\"\u201c\u201d\u201e\u00ab\u00bb()-\u2013\u2014\n")
_DIGITS = re.compile(r"\d")
_MARKED = re.compile(
    r"[\d_]|\w\.\w|[^\w\s.,;:!?\u2026\u00a1\u00bf'\u2019\u2018\"\u201c\u201d\u201e\u00ab\u00bb()\-\u2013\u2014]"
)
"""What a text has in which something is to be rewritten."""


class _Speaker:
    """Rewrites the texts of one language, kind by kind; what one step has put into words no other looks at."""

    def __init__(self, known: Reader) -> None:
        self._reader = known
        self._words = known.words
        self._lang = lang = known.lang
        number = numerals.pattern(lang)
        alone = rf"(?<![\w.,])(?P<n>{number})"
        money, units = _any_of(known.currencies), _any_of(known.units)
        magnitude = rf"(?:{_BLANK}(?P<short>{_any_of(_MAGNITUDES)})(?!\w)|{_BLANK}(?P<word>{_MAGNITUDE_WORD}))?"
        range_ = (
            rf"(?<![\w.,:/-])(?P<a>{number})(?P<dash>[-\u2013]| - | \u2013 )"
            rf"(?=[$€£]?(?P<b>{number})(?!\w*[-\u2013:/]))"
        )
        before = rf"(?<!\w)(?P<sign>{money}){_BLANK}(?P<minus>-)?(?P<n>{number}){magnitude}(?!\w)"
        behind = rf"{alone}(?:,[-\u2013])?{magnitude}{_BLANK}(?P<sign>{money})(?!\w)"
        amounts = (before, behind) if lang in ("eng", "por") else (behind, before)
        shortened = _SHORTENED.get(lang, {})
        months = "|".join(re.escape(month) for month in known.locale.months["format"]["wide"].values())
        steps: list[tuple[str | re.Pattern[str], _Say]] = [
            *(_replacing(*markup) for markup in _MARKUP[:3]),
            (_ADDRESS, self._address),
            *(_replacing(*markup) for markup in _MARKUP[3:]),
            (_DATE, self._date),
            (_DAY_AND_MONTH if lang == "deu" else r"(?!)", self._day_and_month),
            (r"(?<=\d:[0-5]\d) ?[-\u2013] ?(?=\d{1,2}:[0-5]\d)", lambda _: f" {self._words.to} "),
            (_TIME, self._time),
            (_TIMES_OTHERWISE.get(lang, r"(?!)"), self._time),
            (_flags(lang) + _MONTH_DAYS.get(lang, r"(?!)").format(months=months), self._month_day),
            (_PHONE, self._phone),
            (_VERSION, self._version),
            (rf"(?<![\w.,])(?:{_ORDINALS.get(lang, '(?!)')})(?!\w)", self._ordinal),
            (_DECADE if lang == "eng" else r"(?!)", self._decade),
            (_SHARE, self._share),
            (_NUMBER_SIGN, lambda _: f"{self._words.number} "),
            (range_, self._range),
            (rf"(?<=\d) ?(?P<short>{_any_of(shortened)})(?!\w)", lambda found: f" {shortened[found['short']]}"),
            *((amount, self._money) for amount in amounts),
            (_MINUS, lambda _: f"{self._words.minus} "),
            (rf"{alone}{_BLANK}(?P<unit>{units})(?![\w/])", self._measure),
            (rf"(?<!\w)(?P<unit>{_any_of(sign for sign in known.units if '/' in sign)}|°[CF]|%)(?!\w)", self._unit),
            (rf"{alone}(?!\w)", self._number),
        ]
        self._steps = [(re.compile(pattern), say) for pattern, say in steps]
        self._signs = {
            "&": self._words.join,
            "+": self._words.plus,
            "=": self._words.equals,
            "\u00d7": self._words.times,
            "@": self._words.at,
        }

    def read(self, text: str) -> str:
        """Return a text as it is to be spoken."""
        for pattern, say in self._steps:
            text = pattern.sub(say, text)
        return self._tidy("".join(self._sign(character) for character in text))

    def _sign(self, character: str) -> str:
        if character in self._signs:
            return f" {self._signs[character]} "
        kind = unicodedata.category(character)
        if kind[0] in "LN" or character in _KEPT_SIGNS:
            return character
        if kind[0] == "M":  # an accent; but selectors and key caps belong to emoji
            return "" if "\ufe00" <= character <= "\ufe0f" or kind == "Me" else character
        return "" if kind == "Cf" else " "

    def _tidy(self, text: str) -> str:
        lines = (" ".join(line.split()) for line in text.split("\n"))
        return "\n".join(re.sub(r" (?=[,.;)](?:\s|$))|(?<=\() ", "", line) for line in lines).strip("\n")

    # Addresses

    def _address(self, found: re.Match[str]) -> str:
        address: str = found["mail"] or found["url"] or found["host"]
        shown = address.rstrip(".,;:!?)'\u2019\u201d\"")
        ending = address[len(shown) :]
        shown = re.split(r"[?#]", shown)[0]
        names = {".": self._words.dot, "/": self._words.slash, "-": self._words.dash, "_": self._words.underscore}
        names |= {"@": self._words.at, "+": self._words.plus}
        said = [names.get(part, part) for part in _WORD_OR_MARK.findall(shown.rstrip("/"))]
        return " ".join(part for part in said if part.strip()) + ending

    # Dates and times

    def _date(self, found: re.Match[str]) -> str:
        if found["y"]:
            year, month, day = int(found["y"]), int(found["m"]), int(found["d"])
        else:
            first, second, year = int(found["a"]), int(found["b"]), int(found["year"])
            if len(found["year"]) == 2:
                if found["mark"] == "." and (self._lang == "eng" or len(found["b"]) < 2):
                    return found[0]  # as likely a version
                year += 1900 if year >= _TWO_DIGITS_FROM % 100 else 2000
            month_first = self._lang == "eng" and found["mark"] == "/" and first <= 12
            month, day = (first, second) if month_first else (second, first)
            if month > 12 and month_first:
                month, day = day, month
        with suppress(ValueError):
            return format_date(datetime.date(year, month, day), "long", locale=self._reader.locale)
        return found[0]

    def _day_and_month(self, found: re.Match[str]) -> str:
        month = self._reader.locale.months["format"]["wide"][int(found["m"])]
        return f"{found['case']}{found['d']}. {month}"

    def _time(self, found: re.Match[str]) -> str:
        groups = found.groupdict()
        hour, minute = int(groups["h"]), int(groups["m"] or 0)
        half = f" {groups['half'].upper()} M" if groups.get("half") else ""
        said = _TIMES[self._lang](self._reader, hour, minute, found, bool(half))
        if second := int(groups.get("s") or 0):
            said += f" {self._words.join} {self._reader.cardinal(second)}"
        return said + half

    def _month_day(self, found: re.Match[str]) -> str:
        groups, ordinal = found.groupdict(), self._reader.ordinal
        if groups.get("day"):
            return f"the {ordinal(int(groups['day']))} of {groups['of']}"
        number = int(groups["n"])
        if number > 31:
            return found[0]
        said = ordinal(number)
        if self._lang == "eng":
            return f"{groups['month']} {said}"
        if self._lang == "deu":
            return f"{groups['case'] or ''}{said}{_german_end(groups['case'], 'r')}{groups['after']}"
        if self._lang == "pol":
            said = re.sub(r"y\b", "ego", re.sub(r"i\b", "iego", said))
        return f"{said}{groups['after']}"

    # Telephone numbers, versions, ordinals

    def _phone(self, found: re.Match[str]) -> str:
        number, before = found[0], found.string[max(0, found.start() - 40) : found.start()]
        is_meant = number[0] in "+0(" or bool(_PHONE_BEFORE.search(before))
        if not is_meant and (_GROUPED.fullmatch(number) or re.fullmatch(r"\d{3}-\d+00", number)):
            return number
        if not is_meant and re.fullmatch(r"\d{2,4}([ -])\d{2,4}\1\d{2,4}", number) and len(_digits(number)) < 7:
            return number
        groups = [self._reader.digits(group) for group in re.findall(r"\d+", number)]
        return (f"{self._words.plus} " if number[0] == "+" else "") + ", ".join(groups)

    def _version(self, found: re.Match[str]) -> str:
        number = found["of"] or found["bare"]
        if found["bare"] and numerals.value(number, self._lang) is not None:
            return number
        word = found["word"] or ""
        word = f"{self._words.version} " if word.rstrip(".") == "v" else f"{word} " if word else ""
        return word + f" {self._words.dot} ".join(self._digits_or_number(part) for part in number.split("."))

    def _digits_or_number(self, digits: str) -> str:
        if len(digits) > 1 and digits[0] == "0":
            return self._reader.digits(digits)
        return self._reader.cardinal(int(digits))

    def _ordinal(self, found: re.Match[str]) -> str:
        groups = found.groupdict()
        said = self._reader.ordinal(int(groups["n"]))
        if groups.get("fem"):
            said = "première" if said == "premier" else re.sub(r"o\b", "a", said)
        if self._lang == "deu":
            return f"{groups['case']}{said}{_german_end(groups['case'], '')}"
        return said

    def _decade(self, found: re.Match[str]) -> str:
        said = self._reader.year(int(found["n"]))
        return said.removesuffix("y") + "ies" if said.endswith("y") else said + "s"

    def _share(self, found: re.Match[str]) -> str:
        share = self._words.fractions[_SHARES[found["share"]]] if found["share"] in _SHARES else None
        if share is None:
            return found[0]
        if not found["n"]:
            return share
        return f"{self._reader.cardinal(int(found['n']))} {self._words.join} {share}"

    # Quantities

    def _range(self, found: re.Match[str]) -> str:
        first, second = (numerals.value(found[end], self._lang) for end in "ab")
        if first is None or second is None or (" " in found["dash"] and first >= second):
            return found[0]
        return f"{found['a']} {self._words.to} "

    def _money(self, found: re.Match[str]) -> str:
        value, decimals = self._read(found["n"])
        if value is None:
            return found[0]
        minus = f"{self._words.minus} " if found.groupdict().get("minus") else ""
        currency = self._reader.currencies[found["sign"]]
        if found["word"]:
            name = self._reader.currency(5, currency)
            is_large = not found["word"].startswith(("mil ", "mille", "thousand", "tysi")) and found["word"] != "mil"
            name = self._reader.of(name) if is_large else name
            return f"{minus}{self._reader.decimal(value, decimals)} {found['word']} {name}"
        if found["short"]:
            value, decimals = value * 10 ** _MAGNITUDES[found["short"]], 0
        return minus + self._reader.money(value, decimals, currency)

    def _measure(self, found: re.Match[str]) -> str:
        value, decimals = self._read(found["n"])
        return (
            self._reader.measured(value, decimals, self._reader.units[found["unit"]]) if value is not None else found[0]
        )

    def _unit(self, found: re.Match[str]) -> str:
        return self._reader.unit(self._reader.units[found["unit"]])

    def _number(self, found: re.Match[str]) -> str:
        numeral = found["n"]
        value, decimals = self._read(numeral)
        if value is None:
            return _DIGITS.sub(lambda digit: f" {self._reader.cardinal(int(digit[0]))} ", numeral)
        if decimals:
            return self._reader.decimal(value, decimals)
        if numeral.isdecimal() and len(numeral) > 1 and numeral[0] == "0":
            return self._reader.digits(numeral)
        if self._lang in ("eng", "deu") and numeral.isdecimal() and 1100 <= value < 2100:
            return self._reader.year(int(value))
        after = _COUNTED.match(found.string, found.end())
        if after and is_noun(after[1], self._lang):
            return self._reader.counted_in_text(int(value), after[1])
        return self._reader.cardinal(int(value))

    def _read(self, numeral: str) -> tuple[Decimal | None, int]:
        """Return the value of a numeral, and how many digits its fraction has."""
        value = numerals.value(numeral, self._lang)
        exponent = value.as_tuple().exponent if value is not None else 0
        return value, -exponent if isinstance(exponent, int) else 0


def _replacing(pattern: re.Pattern[str], by: str) -> tuple[re.Pattern[str], _Say]:
    return pattern, lambda found: found.expand(by)


def _any_of(signs: Iterable[str]) -> str:
    """Return a pattern for one of several signs, of which the longest is taken, or for nothing where there is none."""
    return "|".join(re.escape(sign) for sign in sorted(signs, key=len, reverse=True)) or "(?!)"


def _flags(lang: str) -> str:
    """In English and German a month has a capital, and may be a word without it."""
    return "" if lang in ("eng", "deu") else "(?i)"


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _german_end(case: str | None, alone: str) -> str:
    if case is None:
        return alone
    return "" if case.strip() in ("der", "die", "das") else "n"


# What a time is called


def _english(known: Reader, hour: int, minute: int, _: re.Match[str], has_half: bool) -> str:
    said = known.cardinal(hour)
    if minute:
        return f"{said} {'oh ' if minute < 10 else ''}{known.cardinal(minute)}"
    if has_half:
        return said
    return f"{said} o'clock" if 1 <= hour <= 12 else f"{said} hundred hours"


def _with_hours(known: Reader, hour: int, minute: int, _: re.Match[str], __: bool) -> str:
    hours = known.measured(Decimal(hour), 0, "duration-hour")
    if not minute:
        return hours
    join = "" if known.lang == "fra" else f" {known.words.join}"
    return f"{hours}{join} {known.cardinal(minute)}"


def _with_and(known: Reader, hour: int, minute: int, _: re.Match[str], __: bool) -> str:
    said = {1: "una", 21: "veintiuna" if known.lang == "spa" else "ventuno"}.get(hour) or known.cardinal(hour)
    return f"{said} {known.words.join} {known.cardinal(minute)}" if minute else said


def _german(known: Reader, hour: int, minute: int, _: re.Match[str], __: bool) -> str:
    return f"{known.counted(hour, 'Uhr')} Uhr" + (f" {known.cardinal(minute)}" if minute else "")


def _polish(known: Reader, hour: int, minute: int, found: re.Match[str], _: bool) -> str:
    is_after = re.search(r"\b(?:o|po|od|do|przed|około|godzinie|godziny)\s\Z", found.string[: found.start()])
    said = known.ordinal(hour or 24)
    said = re.sub(r"y\b", "ej", re.sub(r"i\b", "iej", said)) if is_after else re.sub(r"[yi]\b", _polish_a, said)
    zero = "zero " if 0 < minute < 10 else ""
    return f"{said} {zero}{known.cardinal(minute)}" if minute else said


def _polish_a(found: re.Match[str]) -> str:
    return "ia" if found.string[found.start() - 1] == "c" else "a"


_TIMES: dict[str, Callable[[Reader, int, int, re.Match[str], bool], str]] = {
    "eng": _english,
    "fra": _with_hours,
    "por": _with_hours,
    "spa": _with_and,
    "ita": _with_and,
    "deu": _german,
    "pol": _polish,
}
