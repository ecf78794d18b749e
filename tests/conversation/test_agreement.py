"""Where two recognitions agree that a clause has ended."""

from __future__ import annotations

import pytest

from babblefish.conversation.agreement import Agreement, agreement, word_count


@pytest.mark.parametrize(
    ("shorter", "longer", "agreed"),
    [
        ("We bought a house.", "We bought a house, and since", Agreement("We bought a house,", True, True)),
        ("We bought a house.", "We bought a house. And since", Agreement("We bought a house.", True, True)),
        ("we bought a house", "We bought a house that", Agreement("We bought a house", False, True)),
        ("Été à Liège.", "ete a liege, puis", Agreement("ete a liege,", True, True)),
        ("Is it you?", "Is it you? Yes", Agreement("Is it you?", True, True)),
        ("私は家を買った。", "私は家を買った、そして", Agreement("私は家を買った、", True, True)),
        ("私は家を", "私は家を買った", Agreement("私は家を", False, True)),
    ],
)
def test_the_longer_one_says_what_follows_the_words_of_both(shorter: str, longer: str, agreed: Agreement) -> None:
    assert agreement(shorter, longer) == agreed


@pytest.mark.parametrize(
    ("shorter", "longer"),
    [
        ("We bought a horse.", "We bought a house, and"),
        ("We bought a house and.", "We bought a house"),
        ("We bought a how", "We bought a however"),
        ("I don", "I don't know"),
        ("It costs 2", "It costs 2,500 dollars"),
        ("", "We bought"),
    ],
)
def test_other_words_and_halves_of_words_are_no_agreement(shorter: str, longer: str) -> None:
    assert agreement(shorter, longer) is None


def test_where_no_word_follows_nothing_is_known_of_a_mark() -> None:
    agreed = agreement("We bought a house.", "We bought a house.")
    assert agreed is not None
    assert not agreed.goes_on


@pytest.mark.parametrize("longer", ["I think... that", "I think\u2026 that", "I think that", "I think Dr. Who"])
def test_a_hesitation_and_an_abbreviation_end_no_clause(longer: str) -> None:
    agreed = agreement("I think Dr" if "Dr" in longer else "I think", longer)
    assert agreed is not None
    assert not agreed.is_marked


def test_words_are_counted_where_nothing_separates_them_too() -> None:
    assert word_count("we bought a house") == 4
    assert word_count("私は家を買った、") == 2
