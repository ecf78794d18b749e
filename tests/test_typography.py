"""Marks and blanks as a language sets them."""

from __future__ import annotations

import pytest

from babblefish.typography import typeset


@pytest.mark.parametrize(
    ("lang", "text", "right"),
    [
        ("eng", "Yes ,  of course .", "Yes, of course."),
        ("eng", "Wait ... no. At .5", "Wait ... no. At .5"),
        ("deu", "Ja,  das  geht", "Ja, das geht"),
        ("deu", "Wie geht es?", "Wie geht es?"),
        ("fra", "Ça va? Oui! Voici: un; deux", "Ça va\u202f? Oui\u202f! Voici\u202f: un\u202f; deux"),
        ("fra", "Ça va ? Quoi ?!", "Ça va\u202f? Quoi\u202f?!"),
        ("fra", "\u00abOui\u00bb, \u00ab Non. \u00bb", "\u00ab\u202fOui\u202f\u00bb, \u00ab\u202fNon.\u202f\u00bb"),
        ("fra", "à 7:30, http://x.fr/?a=1 :-)", "à 7:30, http://x.fr/?a=1 :-)"),
        ("spa", "Dónde está la estación?", "\u00bfDónde está la estación?"),
        ("spa", "Vienes mañana? Claro que sí!", "\u00bfVienes mañana? \u00a1Claro que sí!"),
        ("spa", "Hola Juan, cómo estás?", "Hola Juan, \u00bfcómo estás?"),
        ("spa", "Vale. Está bien. A dónde vas?", "Vale. Está bien. \u00bfA dónde vas?"),
        ("spa", "\u00bfQué hora es? \u00a1Tarde!", "\u00bfQué hora es? \u00a1Tarde!"),
        ("spa", "Quieres té, o café?", "Quieres té, o café?"),
        ("spa", "El Sr. Smith viene?", "El Sr. Smith viene?"),
        ("spa", "Gracias!", "\u00a1Gracias!"),
    ],
)
def test_blanks_and_marks_are_those_of_the_language(lang: str, text: str, right: str) -> None:
    assert typeset(text, lang) == right
    assert typeset(right, lang) == right


@pytest.mark.parametrize(
    ("lang", "clauses"),
    [
        ("spa", ["Hola Juan,", " cómo estás?", " Vienes?", " Claro!"]),
        ("fra", ["Attention:", " il dit\u202f;", " oui!", " Vraiment?"]),
    ],
)
def test_the_beginning_of_a_text_is_set_as_in_the_whole(lang: str, clauses: list[str]) -> None:
    whole = typeset("".join(clauses), lang)
    for count in range(1, len(clauses)):
        assert whole.startswith(typeset("".join(clauses[:count]), lang))
