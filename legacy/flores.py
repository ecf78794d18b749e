"""Languages as V1 names them, by FLORES-200 codes such as ``fra_Latn``, and as the package does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from babblefish import languages
from babblefish.errors import UnknownLanguageError
from babblefish.languages import FLORES_CODES, LANGUAGES, Language, flores_code, language_code, language_of


def flores_or_iso(lang: str) -> str:
    """Return the FLORES-200 code of a language; the few that Whisper knows and FLORES does not keep ISO 639-3."""
    try:
        return flores_code(lang)
    except UnknownLanguageError:
        return lang


def named() -> dict[str, Language]:
    """Return the languages that have both a FLORES-200 code and a name, by that code."""
    return {flores: known for code, known in LANGUAGES.items() if (flores := flores_or_iso(code)) != code}


def flores_of(tag: str) -> str:
    """Return the FLORES-200 code of a language given by it, or by a BCP 47 tag or ISO 639 code; else what was given."""
    if tag in FLORES_CODES:
        return tag
    try:
        flores = flores_code(language_code(tag))
    except UnknownLanguageError:
        return tag
    in_script = f"{flores[:3]}_{''.join(tag.split('-')[1:2]).title()}"
    return in_script if in_script in FLORES_CODES else flores


def _one_of(codes: Iterable[str]) -> Any:
    return Field(description="FLORES-200 code", examples=["fra_Latn"], json_schema_extra={"enum": [*sorted(codes)]})


Written = Annotated[str, AfterValidator(flores_of), _one_of(FLORES_CODES)]
Spoken = Annotated[str, AfterValidator(flores_of), _one_of(named())]


def spoken(flores: str) -> str:
    """Return the ISO 639-3 code of a language that is heard or spoken.

    Raises:
        UnknownLanguageError: No such language, or of a language that no engine of speech has a name for.
    """
    lang = languages.spoken(language_of(flores))
    if lang not in LANGUAGES:
        raise UnknownLanguageError(f"no engine of speech knows {flores}")
    return lang


def written(flores: str) -> str:
    """Return what text translators call a language: ISO 639-3, or for a second script, such as ``ace_Arab``, its code.

    Raises:
        UnknownLanguageError: No such language.
    """
    lang = language_of(flores)
    return lang if lang in LANGUAGES and flores_code(lang) == flores else flores
