"""What goes wrong when a small language model is asked to translate one utterance, told from its text alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from enum import StrEnum

from babblefish import languages
from babblefish.engines import langid
from babblefish.engines.llm import dates, numbers, phrases
from babblefish.terms import DECLINING, has_term


class Fault(StrEnum):
    """What is wrong with a translation, the worst first."""

    SCRIPT = "script"
    """Letters that the target language is not written in."""
    LOOP = "loop"
    """The same words again and again."""
    LENGTH = "length"
    """Far longer or far shorter than the source lets expect."""
    EXPLANATION = "explanation"
    """Speaks about the translation, or offers several."""
    ECHO = "echo"
    """The source, or part of it, untranslated."""
    LANGUAGE = "language"
    """In another language than the target."""
    ANSWER = "answer"
    """Answers what was said instead of translating it."""
    NUMBER = "number"
    """A number, a day or a month of the source is missing, or there is one that the source does not have."""
    NAME = "name"
    """A name, an address or the like is missing."""
    TERM = "term"
    """A term of the glossary is missing, as the target language writes it."""

    @property
    def is_fatal(self) -> bool:
        """Whether the translation cannot be used at all; else it is good for the gist, a draft."""
        return self not in (Fault.NUMBER, Fault.NAME, Fault.TERM)


_KNOWN_BEST = ("eng", "fra", "deu", "spa", "ita", "por", "pol")
"""The languages that a translation may turn out to be in, besides the source's."""

_SURELY = 6.0
"""How much likelier (natural logarithm) another language must be. Of the 679 texts of ``benchmarks/data`` none is above
3.2; of the same texts taken for each of the other languages, 98 % are above 6."""

_CLEARLY = 1.0
"""The same for a text of one or two words that is the source itself."""

_TELLS = 8
"""Letters below which the language is not looked at."""

_SCRIPTS = frozenset().union(*(languages.scripts(lang) for lang in languages.LANGUAGES))

_ALSO_LATIN = ("srp",)
"""Languages that people write in Latin letters as well as in those of the language's own name."""

_WORD = re.compile(r"[\u3040-\u9fff\uac00-\ud7af]|[^\W_]+")

_REPEATS = {1: 3, 2: 3, 3: 2, 4: 2, 5: 2, 6: 2, 7: 2, 8: 2}
"""How often a group of so many words may follow itself, if the source does not do the same."""

_LETTERS_PER = {"CJK": 3, "HIRAGANA": 2, "KATAKANA": 2, "HANGUL": 2}
"""How many letters of an alphabet one of these stands for."""

_SHORTEST, _LONGEST, _SLACK = 0.4, 2.5, 20
"""Least and greatest share of the source's length, and how many letters a translation may be longer in any case; of a
source no longer than that, a part may be left out. No sentence of ``benchmarks/data`` is outside in any pair."""

_SHARED = 5
"""Words in a row that are not alike in two languages by chance."""

_MOSTLY = 0.75
"""Greatest share of so many words that may be in the source as well; no pair of ``benchmarks/data`` shares more."""

_CODE = re.compile(r"[{}=<>|_;\\]|\w\(")

_KEPT = re.compile(r"\S+@\S+\.\w+|\b(?:https?://|www\.)\S+|\b(?=\w*\d)(?=\w*[A-Z])[A-Z0-9]{2,}\b")
"""Addresses, and codes such as a seat's number."""

_TITLED = re.compile(
    r"\b(?:[Mm]rs?|[Mm]s|[Mm]iss|[Dd]r|[Mm]adame|[Mm]me|[Mm]onsieur|[Mm]lle|[Mm]ademoiselle|Herrn?|Frau|"
    r"[Ss]eñor(?:a|ita)?|[Ss]ra?|"
    r"[Ss]ignor(?:a|e|ina)?|[Ss]enhora?|[Pp]an(?:i|a|u|em|ią)?)\.? (?!Doktor|Professor|"
    r"President)([A-ZÀ-ÖØ-ÞĄĆĘŁŃÓŚŹŻ][\w'-]+)"
)


def check(
    source: str,
    source_lang: str,
    target: str,
    target_lang: str,
    complete: bool = True,
    names: Collection[str] = (),
    terms: Collection[tuple[str, str]] = (),
) -> Fault | None:
    """Return the worst fault of a translation, or None.

    Every fault but ``NUMBER``, ``NAME`` and ``TERM`` makes a translation unusable; these make it doubtful. English,
    French, German, Spanish, Italian, Portuguese and Polish are known best.

    Args:
        source: What was said.
        source_lang: ISO 639-3.
        target: The translation; empty is a ``LENGTH`` fault.
        target_lang: ISO 639-3.
        complete: False for the beginning of a translation that is still being written. What may yet follow (a number, a
            name, the rest, a question mark) is not looked for then.
        names: Words of the source that are names, the same in both languages where these have the same letters.
        terms: What the room's glossary has of the source, in both languages.
    """
    source, target = unicodedata.normalize("NFC", source.strip()), unicodedata.normalize("NFC", target.strip())
    texts, langs = (source, target), (source_lang, target_lang)
    checks: tuple[tuple[Fault, Callable[[], bool]], ...] = (
        (Fault.SCRIPT, lambda: _has_foreign_letters(*texts, *langs)),
        (Fault.LOOP, lambda: _loops(*texts)),
        (Fault.LENGTH, lambda: is_too_long(*texts) or (complete and is_too_short(*texts))),
        (Fault.EXPLANATION, lambda: phrases.explains(*texts)),
        (Fault.ECHO, lambda: _echoes(*texts, *langs)),
        (Fault.LANGUAGE, lambda: complete and _is_in_another_language(*texts, *langs)),
        (Fault.ANSWER, lambda: phrases.answers(*texts, complete)),
        (Fault.NUMBER, lambda: complete and _changes_numbers(*texts, *langs)),
        (Fault.NAME, lambda: complete and _loses_names(*texts, *langs, names)),
        (Fault.TERM, lambda: complete and any(not has_term(target, term, target_lang) for _, term in terms)),
    )
    return next((fault for fault, found in checks if found()), None)


# Script


def _has_foreign_letters(source: str, target: str, source_lang: str, target_lang: str) -> bool:
    """Say whether a translation has letters of a script that is not the target's.

    Latin words may stand in any language, unless nothing else does. What a source quotes from a third script may be
    quoted in the translation, too.
    """
    if target_lang not in languages.LANGUAGES:
        return False
    own = languages.scripts(target_lang)
    spoken = languages.scripts(source_lang) if source_lang in languages.LANGUAGES else frozenset()
    quoted = {letter for letter in source if languages.script(letter) not in spoken}
    found = {languages.script(letter) for letter in target if letter.isalpha() and letter not in quoted}
    if found & _SCRIPTS - own - {"LATIN"}:
        return True
    return bool(own) and target_lang not in _ALSO_LATIN and found == {"LATIN"} and len(target.split()) > 2


# Loops


def _loops(source: str, target: str) -> bool:
    return any(_repeats(target, size) > max(limit, _repeats(source, size)) for size, limit in _REPEATS.items())


def _repeats(text: str, size: int) -> int:
    """Return how often a group of this many words follows itself at most; a CJK letter counts as a word."""
    words = _WORD.findall(text.lower())
    longest = same = 0
    for at in range(size, len(words)):
        same = same + 1 if words[at] == words[at - size] else 0
        longest = max(longest, same)
    return longest // size + 1


# Length


def _width(text: str) -> int:
    """Return the length of a text in letters of an alphabet."""
    return sum(_LETTERS_PER.get(languages.script(letter), 1) for letter in text)


def is_too_long(source: str, target: str) -> bool:
    """Say whether a text, or the beginning of one, is longer than any translation of a source."""
    return _width(target) > max(_LONGEST * _width(source), _width(source) + _SLACK)


def is_too_short(source: str, target: str) -> bool:
    """Say whether a text is empty, or shorter than any translation of a source."""
    return not target or (_width(source) > _SLACK and _width(target) < _SHORTEST * _width(source))


# Echo and language


def _echoes(source: str, target: str, source_lang: str, target_lang: str) -> bool:
    """Say whether a translation is the source, or has more of it in a row than two languages share."""
    if source_lang == target_lang or _CODE.search(source):
        return False
    said, written = _WORD.findall(source), _WORD.findall(target)
    plain = {word for at, word in enumerate(said) if at == 0 or len(word) == 1 or word.islower()}
    if [word.lower() for word in said] == [word.lower() for word in written]:
        words = [word for word in said if word in plain and not word.isdigit()]
        return len(words) > 2 or (bool(words) and _prefers(target, source_lang, target_lang))
    left = [word for word in written if word in said]
    if (
        len(written) >= _SHARED
        and len(left) > _MOSTLY * len(written)
        and any(len(word) > 2 and word.islower() for word in left)  # and not names alone
    ):
        return True
    groups = {group for group in _in_a_row(said) if all(word in plain and word.isalpha() for word in group)}
    return not groups.isdisjoint(_in_a_row(written))


def _in_a_row(words: list[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[at:] for at in range(_SHARED)), strict=False)


def _prefers(text: str, lang: str, other: str) -> bool:
    scores = langid.scores(text)
    return lang in scores and other in scores and scores[lang] > scores[other] + _CLEARLY


def _is_in_another_language(source: str, target: str, source_lang: str, target_lang: str) -> bool:
    """Say whether a translation is clearly in the language of the source, or in one that the model likes to write."""
    names = {word for word in _WORD.findall(source) if not word.islower()}
    text = _WORD.sub(lambda found: "" if found[0] in names or found[0].isdigit() else found[0], target)
    if len(text) < _TELLS:
        return False
    scores = langid.scores(text)
    if target_lang not in scores:
        return False
    rivals = [scores[lang] for lang in {*_KNOWN_BEST, source_lang} - {target_lang} if lang in scores]
    return max(rivals) > scores[target_lang] + _SURELY


# Numbers and names


def _changes_numbers(source: str, target: str, source_lang: str, target_lang: str) -> bool:
    lost = numbers.missing(source, source_lang, target, target_lang)
    # two in words may be what "both" or "the others" became
    new = numbers.missing(target, target_lang, source, source_lang)
    if lost or dates.differ(source, source_lang, target, target_lang):
        return True
    return any(number.is_written or number.value != "2" for number in new)


def _loses_names(source: str, target: str, source_lang: str, target_lang: str, names: Collection[str]) -> bool:
    """Say whether what is the same in every language is missing: addresses, codes, given names, names after a title.

    Other capitalised words may have a name of their own elsewhere (Munich is Monaco in Italian).
    """
    if any(kept.strip(".,!?:;") not in target for kept in _KEPT.findall(source)):
        return True
    if target_lang in languages.LANGUAGES and languages.scripts(target_lang):
        return False
    there = _without_accents(target)
    titled = [found[1] for found in _TITLED.finditer(source)]
    declines = not DECLINING.isdisjoint({source_lang, target_lang})
    return any(not _name(name, declines).search(there) for name in [*names, *titled])


def _name(name: str, declines: bool) -> re.Pattern[str]:
    """Return what a name looks like in a translation: as it was said, or, where a language declines it, its stem.

    It begins with a capital, which tells Rose from a rose.
    """
    first, rest = _without_accents(name[:1].upper()), _without_accents(name[1:])
    if declines:
        return re.compile(rf"\b{re.escape(first)}(?i:{re.escape(rest[: max(min(2, len(rest)), len(rest) - 3)])})")
    return re.compile(rf"\b{re.escape(first)}(?i:{re.escape(rest)})(?:e?s)?\b")


def folded(text: str) -> str:
    """Return a text without its case and its accents."""
    return _without_accents(text.casefold())


def _without_accents(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text.replace("ł", "l").replace("Ł", "L"))
    return "".join(letter for letter in apart if not unicodedata.combining(letter))
