"""People's names in what is said, told from the same words meaning something else."""

from __future__ import annotations

import pytest

from babblefish.names import said

PEOPLE = ("Will Cook", "Joy", "Rose", "Blanche", "Mark", "Pierre Petit", "Anna's phone", "Speaker 2", "Telefon 3")


@pytest.mark.parametrize(
    ("lang", "text", "names"),
    [
        ("eng", "Yesterday Will fixed it.", ("Will",)),
        ("eng", "Will Cook is here.", ("Will", "Cook")),
        ("eng", "Will is late again.", ("Will",)),
        ("eng", "Will's late again.", ("Will",)),
        ("eng", "Joy, are you coming?", ("Joy",)),
        ("eng", "Are you coming, Joy?", ("Joy",)),
        ("eng", "No. Rose!", ("Rose",)),
        ("eng", "I gave it to Anna.", ("Anna",)),
        ("fra", "Est-ce que Blanche arrive ?", ("Blanche",)),
        ("fra", "Blanche est partie.", ("Blanche",)),
        ("deu", "Gestern hat Rose angerufen.", ("Rose",)),
        ("pol", "Czy Rose już przyszła?", ("Rose",)),
    ],
)
def test_a_name_is_found_within_a_sentence_and_where_somebody_is_called(
    lang: str, text: str, names: tuple[str, ...]
) -> None:
    assert said(text, lang, PEOPLE) == names


@pytest.mark.parametrize(
    ("lang", "text"),
    [
        ("eng", "Will you come tomorrow?"),
        ("eng", "I will cook tonight."),
        ("eng", "Okay. Mark my words."),
        ("eng", "Rose petals are soft."),
        ("eng", "She rose early, full of joy."),
        ("eng", "The speaker 2 doors down."),
        ("fra", "Une robe blanche, un petit chien."),
        ("deu", "Ich habe eine Rose gekauft, und deine Rose ist rot."),
        ("deu", "Das Telefon klingelt."),
        ("deu", "Im Blumenladen lag die schönste rote Rose."),
    ],
)
def test_the_same_word_in_another_sense_is_no_name(lang: str, text: str) -> None:
    assert said(text, lang, PEOPLE) == ()


@pytest.mark.parametrize(
    ("lang", "text", "name"),
    [
        ("eng", "Hello, my name is Joy.", "Joy"),
        ("fra", "Je m'appelle Blanche et j'habite à Lyon.", "Blanche"),
        ("deu", "Ich heiße Rose.", "Rose"),
        ("spa", "Me llamo Consuelo.", "Consuelo"),
        ("ita", "Mi chiamo Bianca.", "Bianca"),
        ("por", "Chamo-me Rosa.", "Rosa"),
        ("pol", "Nazywam się Róża.", "Róża"),
    ],
)
def test_how_somebody_says_to_be_called_is_a_name_that_nobody_need_know(lang: str, text: str, name: str) -> None:
    assert said(text, lang, ()) == (name,)


def test_what_follows_saying_one_s_name_in_small_letters_is_none() -> None:
    assert said("My name is on the list.", "eng", ()) == ()
