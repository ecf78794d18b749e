"""What numbers, amounts of money and measures are called in the languages that are spoken from digits.

Number words are from num2words; names of currencies and units are from num2words and from Babel, which has the Common
Locale Data Repository (CLDR). What neither has stands in a table here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.numbers import format_decimal, get_currency_name
from babel.units import format_unit
from num2words import CONVERTER_CLASSES, num2words

from babblefish.languages import LANGUAGES
from babblefish.noun_gender import is_feminine

_LARGEST = 10**15
"""From here on numbers are read digit by digit, as nobody counts so far."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words of a language that no library has.

    Attributes:
        num2words: The code that num2words has for it.
        decimal: The mark before a fraction.
        minus: Before what is below zero.
        join: And.
        to: Between the ends of a range.
        plus, times, equals, at, dot, slash, dash, underscore: Signs.
        number: Before a number that counts a thing.
        version: Before a number that counts versions.
        of: Between a million and what there is a million of.
        by_digit: Whether the digits of a fraction are read one by one.
        fractions: ½, ¼, ¾, ⅓, ⅔.
    """

    num2words: str
    decimal: str
    minus: str
    join: str
    to: str
    plus: str
    times: str
    equals: str
    at: str
    dot: str
    slash: str
    dash: str
    underscore: str
    number: str
    version: str
    fractions: tuple[str, str, str, str, str]
    of: str = ""
    by_digit: bool = False


WORDS = {
    "eng": Words(
        *("en", "point", "minus", "and", "to", "plus", "times", "equals", "at", "dot", "slash", "dash", "underscore"),
        *("number", "version", ("a half", "a quarter", "three quarters", "a third", "two thirds")),
        by_digit=True,
    ),
    "fra": Words(
        *("fr", "virgule", "moins", "et", "à", "plus", "fois", "égale", "arobase", "point", "slash", "tiret"),
        *("tiret bas", "numéro", "version", ("un demi", "un quart", "trois quarts", "un tiers", "deux tiers")),
        of="de",
    ),
    "spa": Words(
        *("es", "coma", "menos", "y", "a", "más", "por", "igual a", "arroba", "punto", "barra", "guion", "guion bajo"),
        *("número", "versión", ("medio", "un cuarto", "tres cuartos", "un tercio", "dos tercios")),
        of="de",
    ),
    "ita": Words(
        *("it", "virgola", "meno", "e", "a", "più", "per", "uguale a", "chiocciola", "punto", "barra", "trattino"),
        *("trattino basso", "numero", "versione", ("mezzo", "un quarto", "tre quarti", "un terzo", "due terzi")),
        of="di",
    ),
    "por": Words(
        *("pt_BR", "vírgula", "menos", "e", "a", "mais", "vezes", "igual a", "arroba", "ponto", "barra", "hífen"),
        *("sublinhado", "número", "versão", ("meio", "um quarto", "três quartos", "um terço", "dois terços")),
        of="de",
    ),
    "deu": Words(
        *("de", "Komma", "minus", "und", "bis", "plus", "mal", "gleich", "ät", "Punkt", "Schrägstrich", "Bindestrich"),
        *(
            "Unterstrich",
            "Nummer",
            "Version",
            ("einhalb", "ein Viertel", "drei Viertel", "ein Drittel", "zwei Drittel"),
        ),
        by_digit=True,
    ),
    "pol": Words(
        *("pl", "przecinek", "minus", "i", "do", "plus", "razy", "równa się", "małpa", "kropka", "ukośnik", "myślnik"),
        *("podkreślenie", "numer", "wersja", ("pół", "jedna czwarta", "trzy czwarte", "jedna trzecia", "dwie trzecie")),
    ),
}
"""By ISO 639-3 code: the languages that are spoken from digits."""

_UNITS = (
    "length-kilometer length-meter length-centimeter length-millimeter length-mile length-foot mass-kilogram mass-gram "
    "mass-milligram mass-tonne mass-pound mass-ounce volume-liter volume-centiliter volume-milliliter "
    "speed-kilometer-per-hour speed-meter-per-second speed-mile-per-hour temperature-celsius temperature-fahrenheit "
    "angle-degree concentr-percent concentr-permille area-square-meter area-square-kilometer area-hectare "
    "volume-cubic-meter duration-hour duration-minute duration-second duration-millisecond digital-kilobyte "
    "digital-megabyte digital-gigabyte digital-terabyte power-watt power-kilowatt power-megawatt energy-kilowatt-hour "
    "energy-kilocalorie electric-volt frequency-hertz frequency-kilohertz frequency-megahertz frequency-gigahertz "
    "pressure-hectopascal"
)
"""Of CLDR; where two have the same sign, the first one has it."""

_NOT_SIGNS = frozenset({"", "in", "pi", "m", "#", "\u2032", "\u2033"})
"""Signs that are words as well, or of two units."""

_CODES = "USD EUR GBP PLN CHF JPY CNY BRL INR RUB UAH CZK SEK NOK DKK HUF RON CAD AUD MXN KRW ILS TRY"
"""Currencies whose codes (ISO 4217) are read as such; others, such as ALL and TOP, are words as well."""

_CENTAVOS = ("centavo", "centavos")
_FORMS = {
    "pt_BR": {
        "BRL": (("real", "reais"), _CENTAVOS),
        "USD": (("dólar", "dólares"), _CENTAVOS),
        "EUR": (("euro", "euros"), _CENTAVOS),
    }
}
"""Currencies that num2words has in European Portuguese only."""

_PARTICLES = frozenset(
    re.findall(r"\w+", "para contra hasta cada ella ela mañana ahora agora ainda fora que por con per del")
)
"""Words that are no nouns, although they stand behind a number and are as long as one."""

_BOOKS_OR_POUNDS = ("livre", "livres")
"""What is a pound where it is money, and mostly a book elsewhere."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Says numbers and what they count in one language.

    Attributes:
        lang: ISO 639-3, one of ``WORDS``.
        words: What no library has.
        locale: In CLDR.
        units: Sign → unit of CLDR.
        currencies: Sign → currency (ISO 4217).
    """

    lang: str
    words: Words
    locale: Locale
    units: dict[str, str] = field(repr=False)
    currencies: dict[str, str] = field(repr=False)

    def cardinal(self, number: int) -> str:
        """Say a number that is not negative."""
        return self._said(number, "cardinal")

    def ordinal(self, number: int) -> str:
        """Say a number that counts in a row, as a man's in languages that have genders."""
        return self._said(number, "ordinal")

    def year(self, number: int) -> str:
        """Say the number of a year."""
        return self._said(number, "year")

    def digits(self, digits: str) -> str:
        """Say digits one by one."""
        return " ".join(self.cardinal(int(digit)) for digit in digits)

    def decimal(self, value: Decimal, decimals: int) -> str:
        """Say a number that is not negative, with so many digits of its fraction."""
        whole = self.cardinal(int(value))
        if not decimals:
            return whole
        fraction = f"{value:.{decimals}f}".partition(".")[2]
        one_by_one = self.words.by_digit or fraction[0] == "0" or decimals > 2
        said = self.digits(fraction) if one_by_one else self.cardinal(int(fraction))
        return f"{whole} {self.words.decimal} {said}"

    def counted(self, number: int, noun: str) -> str:
        """Say a number before what it counts, whose singular or plural begins with this word."""
        word = noun.split()[0].lower() if noun.split() else ""
        said, feminine = self.cardinal(number), is_feminine(word, self.lang)
        for pattern, masculine, other in _AGREEING.get(self.lang, ()):
            said = re.sub(pattern, other if feminine else masculine, said)
        if number == 1 and (special := _ONE.get(self.lang)) and special[0].match(word) and not feminine:
            return special[1]
        return said

    def counted_in_text(self, number: int, noun: str) -> str:
        """Say a number before a noun of a text, with what stands between a million and its noun."""
        said = self.counted(number, noun)
        return f"{said} {self.words.of}" if self.words.of and number and number % 1_000_000 == 0 else said

    def measured(self, value: Decimal, decimals: int, unit: str) -> str:
        """Say a number of units."""
        said = self.decimal(value, decimals) if decimals else self.counted(int(value), self._unit(Decimal(1), unit))
        return f"{said} {self._unit(value, unit)}"

    def unit(self, unit: str) -> str:
        """Say a unit that stands by itself."""
        return self._unit(Decimal(1 if "-per-" in unit else 5), unit)

    def _unit(self, value: Decimal, unit: str) -> str:
        written = format_unit(value, unit, length="long", locale=self.locale)
        return _plain(written.replace(format_decimal(value, locale=self.locale), ""))

    def money(self, value: Decimal, decimals: int, currency: str) -> str:
        """Say an amount of money."""
        whole, forms = int(value), _forms(self.words.num2words, currency)
        if decimals == 2 and forms and len(forms) > 1:
            said = [self._amount(whole, currency)] if whole or not value else []
            if cents := int(value % 1 * 100):
                name = _pluralize(self.words.num2words, cents, forms[1])
                said.append(f"{self.counted(cents, forms[1][0])} {name}")
            return f" {self.words.join} ".join(said)
        if value != whole:
            return f"{self.decimal(value, decimals)} {self.currency(5, currency)}"
        return self._amount(whole, currency)

    def _amount(self, number: int, currency: str) -> str:
        said, name = self.counted(number, self.currency(1, currency)), self.currency(number, currency)
        return f"{said} {self.of(name) if number and number % 1_000_000 == 0 else name}"

    def of(self, name: str) -> str:
        """Return what stands behind a million of something."""
        if not self.words.of:
            return name
        return f"d'{name}" if self.lang == "fra" and name[0] in "aeiou" else f"{self.words.of} {name}"

    def currency(self, number: int, currency: str) -> str:
        """Name a currency of which there are so many units."""
        forms = _forms(self.words.num2words, currency)
        if forms:
            return _pluralize(self.words.num2words, number, forms[0])
        return _plain(get_currency_name(currency, count=number, locale=self.locale))

    def _said(self, number: int, kind: str) -> str:
        if number >= _LARGEST:
            return self.digits(str(number))
        return _number_words(number, kind, self.words.num2words)


@lru_cache(maxsize=16)
def reader(lang: str) -> Reader | None:
    """Return what says numbers in a language (ISO 639-3), or None for one that is not in ``WORDS``."""
    if lang not in WORDS:
        return None
    locale = Locale.parse(LANGUAGES[lang].bcp47, sep="-")
    return Reader(lang, WORDS[lang], locale, dict(_unit_signs(locale)), dict(_currency_signs(locale)))


def _unit_signs(locale: Locale) -> Iterator[tuple[str, str]]:
    """Yield the signs of units that a language and English have; of two with the same sign the first comes last."""
    for unit in reversed(_UNITS.split()):
        for place in (Locale.parse("en"), locale):
            for length in ("narrow", "short"):
                written = format_unit(Decimal(5), unit, length=length, locale=place)
                sign = _plain(written.replace(format_decimal(5, locale=place), ""))
                if sign not in _NOT_SIGNS and sign != unit:
                    yield sign, unit
    yield from (("m", "length-meter"), ("h", "duration-hour"), ("s", "duration-second"), ("t", "mass-tonne"))
    yield from (("l", "volume-liter"), ("ml", "volume-milliliter"), ("km/h", "speed-kilometer-per-hour"))
    yield "\u00b0", "angle-degree"


def _currency_signs(locale: Locale) -> Iterator[tuple[str, str]]:
    for place in (Locale.parse("pl"), locale, Locale.parse("en")):
        for code in _CODES.split():
            sign = place.currency_symbols.get(code, code)
            if sign != code:
                yield sign, code
    yield from ((code, code) for code in _CODES.split())
    yield from (("US$", "USD"), ("$", "USD"), ("£", "GBP"), ("¥", "JPY"))


@lru_cache(maxsize=4096)
def _number_words(number: int, kind: str, code: str) -> str:
    # The commas in English and Portuguese would be heard as pauses.
    return _plain(num2words(number, lang=code, to=kind).replace(",", ""))


def _forms(code: str, currency: str) -> tuple[tuple[str, ...], ...] | None:
    forms: dict[str, tuple[tuple[str, ...], ...]] = CONVERTER_CLASSES[code].CURRENCY_FORMS | _FORMS.get(code, {})
    return forms.get(currency)


def _pluralize(code: str, number: int, forms: tuple[str, ...]) -> str:
    name: str = CONVERTER_CLASSES[code].pluralize(number, forms)
    return name


_Agreement = tuple[str, str, str]

_AGREEING: dict[str, tuple[_Agreement, ...]] = {
    "fra": ((r"\bun$", "un", "une"),),
    "spa": ((r"\buno$", "un", "una"), (r"veintiuno$", "veintiún", "veintiuna"), (r"(?<=[cn]ient)os\b", "os", "as")),
    "ita": ((r"^uno$", "un", "una"),),
    "por": ((r"\bum$", "um", "uma"), (r"\bdois$", "dois", "duas"), (r"(?<=[czh]ent)os\b", "os", "as")),
    "deu": ((r"^eins$", "ein", "eine"),),
    "pol": ((r"^jeden$", "jeden", "jedna"), (r"\bdwa$", "dwa", "dwie")),
}
"""Ends of number words before a noun: pattern, before a masculine one, before a feminine one."""

_ONE = {
    "ita": (re.compile(r"s[^aeiouàèéìòù]|z|gn|ps|pn|x|y"), "uno"),
    "pol": (re.compile(r".*[oeęu]m?$"), "jedno"),
}
"""What one is before some nouns that are not feminine: those that begin so in Italian, neuter ones in Polish."""


def is_noun(word: str, lang: str) -> bool:
    """Say whether a word behind a number is likely to be what is counted, so that the number agrees with it."""
    if lang == "deu":
        return word.istitle()
    if len(word) < 3 or not word.islower() or word in _PARTICLES:
        return False
    if lang in ("fra", "pol"):
        return word not in _BOOKS_OR_POUNDS and is_feminine(word, lang)
    return lang in ("spa", "por", "ita")


def _plain(text: str) -> str:
    return " ".join(text.split())
