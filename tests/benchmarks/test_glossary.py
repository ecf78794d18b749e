"""What counts as a term that came out right."""

from __future__ import annotations

import pytest

from benchmarks.glossary import hits, read
from benchmarks.support import corpus

_TERMS, _SENTENCES = read()


@pytest.mark.parametrize("lang", corpus.LANGS)
def test_every_sentence_has_its_terms_in_each_language(lang: str) -> None:
    for sentence in _SENTENCES:
        hit, due = hits(sentence[lang], sentence, lang, _TERMS)
        assert hit == due > 0, sentence[lang]


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("Mr Kowalczyk brings the power of attorney on Monday.", 2),
        ("mr. kowalczyk brings the Power of Attorney", 2),
        ("Mr Kovalchik brings the power of attorney on Monday.", 1),
        ("Mr Kovalchik brings the mandate on Monday.", 0),
        ("", 0),
    ],
)
def test_a_term_is_hit_where_it_is_written_as_agreed(text: str, hit: int) -> None:
    assert hits(text, _SENTENCES[0], "eng", _TERMS) == (hit, 2)
