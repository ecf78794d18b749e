"""The codes of languages."""

from __future__ import annotations

import pytest

from babblefish.domain import UnknownLanguageError
from babblefish.languages import FLORES_CODES, LANGUAGES, flores_code, language_of


def test_nllb_knows_all_languages_but_three_and_each_code_leads_back() -> None:
    unknown = set()
    for lang in LANGUAGES:
        try:
            assert flores_code(lang) in FLORES_CODES
            assert language_of(flores_code(lang)) == lang
        except UnknownLanguageError:
            unknown.add(lang)
    assert unknown == {"bre", "haw", "lat"}


def test_nllb_calls_languages_by_a_member_where_the_wire_says_a_group() -> None:
    assert [flores_code(lang) for lang in ("eng", "pol", "cmn", "ara", "nor")] == [
        *("eng_Latn", "pol_Latn", "zho_Hans", "arb_Arab", "nob_Latn")
    ]


def test_a_second_script_and_a_language_without_a_name_here_have_their_codes_too() -> None:
    assert language_of("zho_Hant") == "cmn"
    assert (language_of("ace_Latn"), language_of("ace_Arab")) == ("ace", "ace")
    assert len(FLORES_CODES) == 202


@pytest.mark.parametrize("code", ["eng", "eng_latn", "xxx_Latn", ""])
def test_what_is_no_flores_code_is_refused(code: str) -> None:
    with pytest.raises(UnknownLanguageError, match="eng_Latn"):
        language_of(code)


def test_a_language_without_a_flores_code_is_refused_by_name() -> None:
    with pytest.raises(UnknownLanguageError, match="NLLB does not know Breton"):
        flores_code("bre")
    with pytest.raises(UnknownLanguageError, match="ISO 639-3"):
        flores_code("eng_Latn")
