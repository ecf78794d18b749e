"""Marks and blanks as a language sets them, where a translator keeps to the source's ways."""

from __future__ import annotations

import re

_DOUBLED = re.compile(r"(?<=\S)[ \t]{2,}(?=\S)")
_BEFORE_MARK = re.compile(r"(?<=\w)[ \t]+(?=[,.](?:\s|\Z))")

_NARROW = "\u202f"
_FRENCH_MARK = re.compile(
    r"(?<=[\w%\u00bb)\u2026])[ \u00a0]?(?=[?!;:]+(?:[\s\u00bb)]|\Z))"
    r"|(?<=\u00ab)[ \u00a0]?(?=\w)|(?<=[\w.?!])[ \u00a0]?(?=\u00bb)"
)

_SENTENCE = re.compile(
    r"(?:\A|(?<=[!?\u2026\n])|(?<=\w{4}\.))(?P<blank>\s*)(?P<said>[^.!?\u2026\n]*\w)\s?(?P<mark>[!?])"
)
"""Ends with a question or exclamation mark; what begins behind an abbreviation is not looked at."""

_CLAUSE = re.compile(r"[,;:(\u00ab\u2013\u2014]")
_ASKING = re.compile(
    r"(?:(?:a|de|en|con|para|por|desde|hasta) )?(?:qué|quién(?:es)?|cómo|cuándo|cuánt[oa]s?|cuál(?:es)?|a?dónde)\b",
    re.IGNORECASE,
)
_OPENING = {"?": "\u00bf", "!": "\u00a1"}


def typeset(text: str, lang: str) -> str:
    """Return a text with the blanks and the opening marks of its language, as far as they are certain.

    The beginning of a text is set as in the whole, as long as it ends with a clause.

    Args:
        text: A translation.
        lang: Its language, ISO 639-3.
    """
    text = _BEFORE_MARK.sub("", _DOUBLED.sub(" ", text))
    if lang == "fra":
        return _FRENCH_MARK.sub(_NARROW, text)
    if lang == "spa":
        return _SENTENCE.sub(_opened, text)
    return text


def ended(sentence: str, mark: str, lang: str) -> str:
    """Return a sentence with a mark at its end, and what goes with that in its language.

    Args:
        sentence: Without a mark at its end or its beginning.
        mark: A full stop, a question mark or an exclamation mark.
        lang: ISO 639-3.
    """
    if mark != "." and lang == "spa":
        return _OPENING[mark] + sentence + mark
    return sentence + (_NARROW if mark != "." and lang == "fra" else "") + mark


def _opened(found: re.Match[str]) -> str:
    """Put the opening mark before a sentence of one clause, or before a clause that surely asks."""
    said, opening = found["said"], _OPENING[found["mark"]]
    if "\u00bf" in said or "\u00a1" in said:
        return found[0]
    *before, last = re.split(rf"(?<={_CLAUSE.pattern})\s*", said)
    if before and not (found["mark"] == "?" and _ASKING.match(last)):
        return found[0]
    at = len(said) - len(last)
    return f"{found['blank']}{said[:at]}{opening}{said[at:]}{found['mark']}"
