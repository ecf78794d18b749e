"""Which days of the week and which months a sentence names."""

from __future__ import annotations

import re

_DAYS = {
    "eng": "mondays?|tuesdays?|wednesdays?|thursdays?|fridays?|saturdays?|sundays?",
    "fra": "lundis?|mardis?|mercredis?|jeudis?|vendredis?|samedis?|dimanches?",
    "deu": r"montag\w*|dienstag\w*|mittwoch\w*|donnerstag\w*|freitag\w*|(?:samstag|sonnabend)\w*|sonntag\w*",
    "spa": "lunes|martes|miércoles|jueves|viernes|sábados?|domingos?",
    "ita": "lunedì|martedì|mercoledì|giovedì|venerdì|sabat[oi]|domenic(?:a|he)",
    "por": "segundas?(?:-feiras?)?|terças?(?:-feiras?)?|quartas?(?:-feiras?)?|quintas?(?:-feiras?)?|"
    "sextas?(?:-feiras?)?|sábados?|domingos?",
    "pol": r"poniedział\w+|wtor(?:ek|ku|kiem|ki)|środ(?:a|ę|y|ą|zie)|czwart(?:ek|ku|kiem|ki)|piąt(?:ek|ku|kiem|ki)|"
    r"sobot\w+|niedziel\w+",
}
"""From Monday on."""

_MONTHS = {
    "eng": r"january|february|march|april|may|june|july|august|"
    "september|october|november|december",
    "fra": "janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre",
    "deu": "januar|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember",
    "spa": "enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre",
    "ita": "gennaio|febbraio|marzo|aprile|maggio|giugno|luglio|agosto|settembre|ottobre|novembre|dicembre",
    "por": "janeiro|fevereiro|março|abril|maio|junho|julho|agosto|setembro|outubro|novembro|dezembro",
    "pol": r"stycz\w+|lut(?:y|ego|ym)|mar(?:zec|ca|cu)|kwie(?:cień|tni\w+)|maj(?:|a|u)|czerw(?:iec|ca|cu)|"
    r"lip(?:iec|ca|cu)|sierp\w+|wrze(?:sień|śni\w+)|październik\w*|listopad\w*|grud(?:zień|ni\w+)",
}
"""From January on."""

_VAGUE = re.compile(r"segundas?|terças?|quartas?|quintas?|sextas?|mars|march|may")
"""What is often something else: "quarta" is fourth, too, and "may" a verb."""


def _alternatives(words: str) -> list[re.Pattern[str]]:
    """Return a pattern for each word of a list; bars within brackets are not between words."""
    return [re.compile(rf"\b(?:{word})\b") for word in re.split(r"\|(?![^(]*\))", words)]


_NAMED = {
    lang: [
        (f"{kind} {number}", pattern)
        for kind, table in (("day", _DAYS), ("month", _MONTHS))
        for number, pattern in enumerate(_alternatives(table[lang]), 1)
    ]
    for lang in _DAYS
}


def differ(text: str, lang: str, other: str, other_lang: str) -> bool:
    """Say whether one of two texts names a day or a month that the other does not.

    Returns:
        False where one of the languages is none of English, French, German, Spanish, Italian, Portuguese and Polish.
    """
    if lang not in _NAMED or other_lang not in _NAMED:
        return False
    certain, maybe = _named(text, lang)
    other_certain, other_maybe = _named(other, other_lang)
    return bool(certain - other_certain - other_maybe or other_certain - certain - maybe)


def _named(text: str, lang: str) -> tuple[set[str], set[str]]:
    """Return the days and months of a text: those that are certain, and those that may be something else."""
    text = text.lower()
    found = {name: word[0] for name, pattern in _NAMED[lang] if (word := pattern.search(text))}
    certain = {name for name, word in found.items() if not _VAGUE.fullmatch(word)}
    return certain, set(found) - certain
