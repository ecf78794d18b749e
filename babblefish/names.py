"""Names of people in what is said: where a word is somebody's name, though it may be any other word elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_WORD = re.compile(r"[^\W\d_]+(?:[-'\u2019][^\W\d_]{2,})*")

_SENTENCE_START = re.compile(r"(?:^|[.!?\u2026:\u00bf\u00a1\"\u201c\u201e\u00ab]|\s[-\u2013\u2014])\s*$")

_ADDRESSED = re.compile(r"\s*(?:[,!?.\u2026]|$)")
"""What follows a name by which somebody is called."""

_DOES = re.compile(
    r"(?:['\u2019]s\b|\s+(?:is|was|has|had|says|said|est|était|a|avait|dit|ist|war|hat|hatte|sagt|sagte|es|está|era|tiene|dice|"
    r"dijo|è|ha|aveva|é|tem|tinha|diz|disse|jest|był|była|ma|mówi)\b)"
)
"""What follows somebody of whom something is said, in the languages whose texts are told best."""

_NOUNS_ARE_CAPITALISED = frozenset({"deu", "ltz"})

_BEFORE_A_NOUN = re.compile(
    r"\b(?:d(?:er|ie|as|en|em|es)|"
    r"(?:[mds]?ein|kein|ihr|unser|euer|eur|dies|jed|welch|jen|viel|alle|manch)\w{0,2}|"
    r"im|ins|am|ans|zum|zur|beim|vom)\s+(?-i:[a-zäöüß]+e[mnrs]?\s+){0,2}$",
    re.IGNORECASE,
)
"""What makes a noun of a capitalised word in German; adjectives may stand between."""

_INTRODUCED = re.compile(
    r"\b(?:my name is|my name['\u2019]s|je m['\u2019]appelle|mon nom est|ich heiße|mein name ist|"
    r"me llamo|mi nombre es|mi chiamo|il mio nome è|(?:eu )?me chamo|chamo-me|(?:o )?meu nome é|"
    r"nazywam się|mam na imię)"
    r"\s+((?-i:[^\W\d_][\w'\u2019-]*(?:\s+[A-ZÀ-ÖØ-ÞĄĆĘŁŃÓŚŹŻ][\w'\u2019-]+)*))",
    re.IGNORECASE,
)
"""How people say their name, in the languages whose texts are told best."""


def said(text: str, lang: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return the words of a text that are people's names, each once.

    Many names are words as well ("Will", "Joy", "Rose"). Such a word is a name where it is capitalised within a
    sentence, and at the beginning of one where somebody is called by it, where more of the name follows, or where it
    says what somebody does. In German, which capitalises every noun, it is none behind an article or the like.

    Args:
        text: What was said.
        lang: ISO 639-3 of the text.
        known: Names that people go by, of one word or several. One with a number, such as that of a phone, is none.
    """
    names = [parts for name in known if not any(map(str.isdigit, name)) and (parts := _capitalised(name))]
    introduced = [word for found in _INTRODUCED.finditer(text) for word in _capitalised(found[1])]
    return tuple(dict.fromkeys([*introduced, *_used(text, lang, names)]))


def _capitalised(name: str) -> list[str]:
    return [word for word in _WORD.findall(name) if len(word) > 1 and word[0].isupper()]


def _used(text: str, lang: str, names: list[list[str]]) -> Iterator[str]:
    parts = {word for name in names for word in name}
    for found in _WORD.finditer(text):
        word = next((part for part in (found[0], re.split("['\u2019]", found[0])[0]) if part in parts), None)
        if word is None:
            continue
        before, after = text[: found.start()], text[found.start() + len(word) :]
        if _is_beside_another(word, before, after, names):
            yield word
        elif _SENTENCE_START.search(before):
            if _ADDRESSED.match(after) or _DOES.match(after):
                yield word
        elif lang not in _NOUNS_ARE_CAPITALISED or not _BEFORE_A_NOUN.search(before):
            yield word


def _is_beside_another(word: str, before: str, after: str, names: list[list[str]]) -> bool:
    """Say whether a word stands beside another word of the same name."""
    follows, precedes = re.match(r"\s+([\w'\u2019-]+)", after), re.search(r"([\w'\u2019-]+)\s+$", before)
    beside = {found[1] for found in (follows, precedes) if found}
    return any(word in name and not beside.isdisjoint(set(name) - {word}) for name in names)
