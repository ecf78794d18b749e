"""Numbers in digits: read as a language writes them, and rewritten where a translation keeps the source's format."""

from __future__ import annotations

from decimal import Decimal

import pytest

from babblefish.numerals import rewritten, value

NARROW, NO_BREAK = "\u202f", "\u00a0"

FROM_ENGLISH = {
    "fra": [
        ("3,400", f"3{NARROW}400"),
        ("2.5", "2,5"),
        ("2.50", "2,50"),
        ("1,234,567.89", f"1{NARROW}234{NARROW}567,89"),
        ("0.005", "0,005"),
        ("100,000", f"100{NARROW}000"),
        ("1.5-2.5", "1,5-2,5"),
        ("-4.5", "-4,5"),
        ("99.9", "99,9"),
        ("12,000.5", f"12{NARROW}000,5"),
        ("10,000,000", f"10{NARROW}000{NARROW}000"),
        ("3.14159", "3,14159"),
    ],
    "deu": [
        ("3,400", "3.400"),
        ("2.5", "2,5"),
        ("2.50", "2,50"),
        ("1,234,567.89", "1.234.567,89"),
        ("0.005", "0,005"),
        ("100,000", "100.000"),
        ("1.5-2.5", "1,5-2,5"),
        ("-4.5", "-4,5"),
        ("99.9", "99,9"),
        ("12,000.5", "12.000,5"),
        ("10,000,000", "10.000.000"),
        ("3.14159", "3,14159"),
    ],
    "pol": [
        ("3,400", f"3{NO_BREAK}400"),
        ("2.5", "2,5"),
        ("2.50", "2,50"),
        ("1,234,567.89", f"1{NO_BREAK}234{NO_BREAK}567,89"),
        ("0.005", "0,005"),
        ("100,000", f"100{NO_BREAK}000"),
        ("1.5-2.5", "1,5-2,5"),
        ("-4.5", "-4,5"),
        ("99.9", "99,9"),
        ("12,000.5", f"12{NO_BREAK}000,5"),
        ("10,000,000", f"10{NO_BREAK}000{NO_BREAK}000"),
        ("3.14159", "3,14159"),
    ],
}
FROM_ENGLISH |= {lang: FROM_ENGLISH["deu"] for lang in ("spa", "ita", "por")}
INTO_ENGLISH = {
    "fra": [(there.replace(NARROW, " "), english) for english, there in FROM_ENGLISH["fra"]],
    "pol": FROM_ENGLISH["pol"],
} | {lang: FROM_ENGLISH["deu"] for lang in ("spa", "ita", "por", "deu")}


@pytest.mark.parametrize(
    ("lang", "said", "right"), [(lang, *row) for lang, rows in FROM_ENGLISH.items() for row in rows]
)
def test_english_numerals_become_the_target_languages(lang: str, said: str, right: str) -> None:
    assert rewritten(f"x {said}, y.", lang, f"About {said} of them.", "eng") == f"x {right}, y."


@pytest.mark.parametrize(
    ("lang", "said", "right"),
    [(lang, said, right) for lang in ("fra", "spa", "ita", "por", "deu") for right, said in FROM_ENGLISH[lang]],
)
def test_numerals_of_other_languages_become_english_ones(lang: str, said: str, right: str) -> None:
    assert rewritten(f"About {said} of them.", "eng", f"x {said}, y.", lang) == f"About {right} of them."


def test_a_blank_of_any_width_groups_digits_in_french() -> None:
    assert rewritten("It has 3 400 seats.", "eng", "Il y a 3 400 places.", "fra") == "It has 3,400 seats."


@pytest.mark.parametrize(
    "text",
    [
        "at 7:30 on 11/29/2026 or 2026-11-29",
        "at 7.30 pm",
        "on 29.11.2026",
        "version 2.5 and v3.1",
        "2.0.1",
        "call +1 555.123.4567",
        "mail a1.5@example.com, see http://x.com/1.5",
        "in 2026, 100 of them",
        "chapter A1.5",
    ],
)
def test_times_dates_versions_and_telephone_numbers_stay(text: str) -> None:
    assert rewritten(text, "fra", text, "eng") == text


def test_only_what_the_source_says_in_the_same_way_is_rewritten() -> None:
    assert rewritten("3.400 places", "fra", "3,400 seats", "eng") == "3.400 places"
    assert rewritten("2,5 ou 2.500", "fra", "2.5 seats", "eng") == "2,5 ou 2.500"


def test_a_numeral_is_read_as_the_source_reads_it() -> None:
    assert rewritten("3.400", "eng", "3.400 Menschen", "deu") == "3,400"
    assert rewritten("3.400", "fra", "3.400 litres", "eng") == "3,400"


def test_a_numeral_that_is_another_ones_right_form_stays() -> None:
    assert rewritten("1,5 und 1.500", "deu", "1.5 and 1,500", "eng") == "1,5 und 1.500"
    assert rewritten("2.500 und 2.500", "deu", "2.500 and 2,500", "eng") == "2.500 und 2.500"


@pytest.mark.parametrize(("lang", "said_lang"), [("eng", "eng"), ("spa", "deu"), ("xxx", "eng"), ("fra", "ben")])
def test_without_two_known_formats_nothing_changes(lang: str, said_lang: str) -> None:
    assert rewritten("2.5 and 2,5", lang, "2.5 and 2,5", said_lang) == "2.5 and 2,5"


def test_the_beginning_of_a_text_is_rewritten_as_in_the_whole() -> None:
    said, whole = "It has 3,400 seats, or 2.5 km.", "Il y a 3,400 places, ou 2.5 km."
    assert rewritten(whole, "fra", said, "eng").startswith(rewritten("Il y a 3,400 places,", "fra", said, "eng"))


@pytest.mark.parametrize(
    ("numeral", "lang", "number"),
    [
        ("3,400", "eng", "3400"),
        ("3,400", "fra", "3.400"),
        ("3.400", "ita", "3400"),
        ("2.5", "deu", "2.5"),
        ("1,234.50", "deu", "1234.50"),
        ("1.234,50", "eng", "1234.50"),
        ("3'400", "deu", "3400"),
        ("3 400", "pol", "3400"),
        ("12,34,567", "eng", "1234567"),
        ("0,500", "eng", "0.500"),
    ],
)
def test_a_numeral_is_read_by_its_language_or_else_as_it_must_be_meant(numeral: str, lang: str, number: str) -> None:
    assert value(numeral, lang) == Decimal(number)


@pytest.mark.parametrize("numeral", ["1.2.3", "29.11.2026", "1,2.3,4", "9" * 40])
def test_what_is_no_number_has_no_value(numeral: str) -> None:
    assert value(numeral, "eng") is None
    assert rewritten(numeral, "fra", numeral, "eng") == numeral
