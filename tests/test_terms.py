"""The terms of a glossary in what is said."""

from __future__ import annotations

import pytest

from babblefish.domain import Term
from babblefish.terms import NO_TERMS, Terms, has_term

KOWALCZYK = Term("Kowalczyk", spoken={"eng": "Kovalchick"})
HEATER = Term("water heater", {"fra": "chauffe-eau"}, {"fra": "chauffe o"})
TERMS = Terms((KOWALCZYK, HEATER, Term("BabbleFish")))


def test_the_terms_of_a_text_are_given_as_both_languages_write_them() -> None:
    text = "Mrs KOWALCZYK, the water heater is broken."
    assert TERMS.between(text, "eng", "fra") == (("Kowalczyk", "Kowalczyk"), ("water heater", "chauffe-eau"))
    assert TERMS.between("Le chauffe-eau est en panne.", "fra", "eng") == (("chauffe-eau", "water heater"),)
    assert TERMS.between("The water is hot, the heater cold.", "eng", "fra") == ()
    assert NO_TERMS.between(text, "eng", "fra") == ()


@pytest.mark.parametrize(
    ("text", "spelling", "lang"),
    [
        ("Two water heaters broke.", "water heater", "eng"),
        ("I saw Kowalczyk's car.", "Kowalczyk", "eng"),
        ("Widziałem Kowalczyka.", "Kowalczyk", "pol"),
        ("Mieszkam w Warszawie.", "Warszawa", "pol"),
        ("Is JOSE here?", "José", "eng"),
        ("我们用巴别鱼说话", "巴别鱼", "zho"),
    ],
)
def test_a_term_is_found_with_its_endings_and_in_any_case(text: str, spelling: str, lang: str) -> None:
    assert has_term(text, spelling, lang)


@pytest.mark.parametrize(
    ("text", "spelling", "lang"),
    [
        ("He is at the stationery shop.", "station", "eng"),
        ("We met Martin.", "Marta", "eng"),
        ("A man went home.", "Ann", "eng"),
        ("Boil water. Heater off!", "water heater", "eng"),
        ("It is late.", "...", "eng"),
    ],
)
def test_what_only_begins_like_a_term_is_none(text: str, spelling: str, lang: str) -> None:
    assert not has_term(text, spelling, lang)


@pytest.mark.parametrize(
    ("heard", "meant"),
    [
        ("I met Mr Kovalchik today.", "I met Mr Kowalczyk today."),
        ("Kovalchick's here, koval chick!", "Kowalczyk's here, Kowalczyk!"),
        ("Open the babble fish.", "Open the BabbleFish."),
        ("Open babblefish.", "Open BabbleFish."),
        ("The watter heater leaks.", "The water heater leaks."),
    ],
)
def test_a_term_that_was_heard_nearly_is_spelled_right(heard: str, meant: str) -> None:
    assert TERMS.corrected(heard, "eng") == meant


@pytest.mark.parametrize(
    "text",
    [
        "Water heaters are dear.",
        "Nie znam Kowalczyka.",
        "I bought a cheque book for the fish, a bubble bath and a towel.",
        "",
    ],
)
def test_what_is_right_or_something_else_stays_as_it_was_heard(text: str) -> None:
    assert TERMS.corrected(text, "eng") == text


@pytest.mark.parametrize("heard", ["Akonkwo called.", "Okonquo called.", "Ukonkwo called."])
def test_the_vowel_that_a_term_begins_with_may_be_heard_wrongly(heard: str) -> None:
    assert Terms((Term("Okonkwo"),)).corrected(heard, "eng") == "Okonkwo called."


def test_short_words_are_never_taken_for_a_term() -> None:
    assert Terms((Term("Ola"), Term("Kim"))).corrected("Hola, come in, all of you.", "eng") == (
        "Hola, come in, all of you."
    )


def test_a_term_is_spelled_for_the_voice_of_its_language_alone_and_as_a_whole_word() -> None:
    assert TERMS.respelled("Kowalczyk, kowalczyk's Kowalczykowa", "eng") == "Kovalchick, Kovalchick's Kowalczykowa"
    assert TERMS.respelled("Kowalczyk a un chauffe-eau", "fra") == "Kowalczyk a un chauffe o"
    assert TERMS.respelled("Kowalczyk", "deu") == "Kowalczyk"


def test_of_two_terms_the_longer_goes_before_its_part() -> None:
    terms = Terms((Term("Bank", spoken={"eng": "one"}), Term("Bank of Poland", spoken={"eng": "two"})))
    assert terms.respelled("The Bank of Poland is a bank.", "eng") == "The two is a one."


def test_each_spelling_is_a_hot_word_once() -> None:
    terms = Terms((HEATER, Term("Ewa"), Term("boiler", {"fra": "chauffe-eau"})))
    assert terms.written("fra") == ("chauffe-eau", "Ewa")
    assert terms.written("eng") == ("water heater", "Ewa", "boiler")
