"""The codes of languages."""

from __future__ import annotations

import pytest

from babblefish.errors import UnknownLanguageError
from babblefish.languages import FLORES_CODES, LANGUAGES, flores_code, language_code, language_of, spoken


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
    assert (language_of("zho_Hans"), language_of("zho_Hant")) == ("cmn", "cmn-Hant")
    assert (language_of("ace_Latn"), language_of("ace_Arab")) == ("ace", "ace")
    assert len(FLORES_CODES) == 202


@pytest.mark.parametrize("code", ["eng", "eng_latn", "xxx_Latn", ""])
def test_what_is_no_flores_code_is_refused(code: str) -> None:
    with pytest.raises(UnknownLanguageError, match="eng_Latn"):
        language_of(code)


def test_a_language_without_a_flores_code_is_refused_by_name() -> None:
    with pytest.raises(UnknownLanguageError, match="NLLB does not know Breton"):
        flores_code("bre")
    with pytest.raises(UnknownLanguageError, match="eng_Latn"):
        flores_code("eng_Latn")


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en", "eng"),
        ("ENG", "eng"),
        ("fr-FR", "fra"),
        ("fre", "fra"),
        ("ger", "deu"),
        ("pt-BR", "por"),
        ("cmn", "cmn"),
        ("zh-CN", "cmn"),
        ("zh-Hant-TW", "cmn-Hant"),
        ("zh-TW", "cmn-Hant"),
        ("ZH-HK", "cmn-Hant"),
        ("cmn-Hant", "cmn-Hant"),
        ("zh-Hans-TW", "cmn"),
        ("zh-SG", "cmn"),
        ("om-KE", "orm"),
        ("gaz", "orm"),
        ("or", "ori"),
        ("ff-Latn", "ful"),
        ("ar-EG", "ara"),
        ("arz", "arz"),
        ("chi", "cmn"),
        ("zh-yue", "yue"),
        ("nb-NO", "nor"),
        ("arb", "ara"),
        ("fil", "tgl"),
    ],
)
def test_a_language_is_known_by_every_usual_tag(tag: str, code: str) -> None:
    assert language_code(tag) == code


@pytest.mark.parametrize("tag", ["", "xx", "klingon", "en-", "en_GB", "auto", "english"])
def test_what_is_no_tag_of_a_known_language_is_refused(tag: str) -> None:
    with pytest.raises(UnknownLanguageError):
        language_code(tag)


def test_a_second_script_of_a_language_is_heard_as_that_language() -> None:
    assert {code: spoken(code) for code in LANGUAGES if spoken(code) != code} == {"cmn-Hant": "cmn"}
