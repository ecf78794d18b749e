"""Which language is spoken, from how likely Whisper finds each of them and from what was expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from babblefish.domain import SAMPLE_RATE_HZ

_ANY_LANGUAGE = 0.01
"""What speaks for any language, in utterances that were in it."""

_AS_PROBABLE_S = 2.0
_MOST_PROBABLE = 2.0
"""The length of an utterance at which Whisper's probabilities of languages are what they say, and the power they are
raised to at most. Of 1,875 recorded prompts in five languages, 40 % of those below 1.2 s are in the likeliest language
and 98 % of those from 4 s on. With the power, and two languages expected alike, 61 % of those given 0.6 to 0.7 are
right, 82 % of those given 0.7 to 0.8, and 93 % of those given 0.8 to 0.9. To decode in the two likeliest languages and
keep the likelier text made more wrong than right."""

_SOUND_ALONE = 0.5
"""The share of that power with which the sound alone speaks for a language."""

_LEAST_S, _SURELY_ANOTHER, _LEAST_HEARD = 1.0, 0.8, 0.3
"""Sound on either side of a pause from which it may be cut, the probability of each language with what was expected,
and what Whisper alone must find it. Half a sentence that it takes for another of two languages is mostly likelier in a
third one."""


class Spoken(NamedTuple):
    """The language of an utterance.

    Attributes:
        lang: ISO 639-3.
        probability: From what was heard and what was expected.
        by_sound: The same if all that is expected were expected alike.
    """

    lang: str
    probability: float
    by_sound: float


def likeliest(heard: Mapping[str, float], expected_langs: Mapping[str, float], duration_s: float) -> tuple[str, float]:
    """Return the likeliest language and its probability, by Bayes' rule where something was expected.

    A short utterance says little of its language, however sure the model is of it.
    """
    power = _power(duration_s) if expected_langs else 1.0
    probabilities = _probabilities(heard, expected_langs, power)
    lang = max(probabilities, key=probabilities.__getitem__)
    return lang, probabilities[lang]


def by_sound(lang: str, heard: Mapping[str, float], expected_langs: Mapping[str, float], duration_s: float) -> float:
    """Return how probable a language is if its speaker were as likely to speak any other of those expected.

    It tells whether a word is in the language that it is taken to be in, or only follows others in that.
    """
    power = _SOUND_ALONE * _power(duration_s) if expected_langs else 1.0
    return _probabilities(heard, dict.fromkeys(expected_langs, 1.0), power)[lang]


def _power(duration_s: float) -> float:
    return min(_MOST_PROBABLE, duration_s / _AS_PROBABLE_S)


def _probabilities(heard: Mapping[str, float], expected_langs: Mapping[str, float], power: float) -> dict[str, float]:
    likely = {
        lang: probability**power * (_ANY_LANGUAGE + expected_langs.get(lang, 0.0))
        for lang, probability in heard.items()
    }
    total = max(sum(likely.values()), 1e-300)
    return {lang: of_it / total for lang, of_it in likely.items()}


class Change(NamedTuple):
    """Where one language ends and another begins.

    Attributes:
        pause: In samples.
        before: ISO 639-3 of what is before it.
        after: ISO 639-3 of what is after it.
    """

    pause: int
    before: str
    after: str


def change(
    pauses: Sequence[int],
    length: int,
    heard: Callable[[int, int], Mapping[str, float]],
    expected_langs: Mapping[str, float],
) -> Change | None:
    """Return where another of the expected languages probably goes on; mostly it does nowhere.

    Args:
        pauses: In samples, in their order.
        length: Of the utterance, in samples.
        heard: Returns how likely each language is between two of these places, of all that there are.
        expected_langs: As ``SpeechRequest`` has them.
    """
    if len(expected_langs) < 2:  # there is no other to go on in, so nothing needs to be heard
        return None
    least = int(_LEAST_S * SAMPLE_RATE_HZ)

    def spoken(first: int, last: int) -> tuple[str, float]:
        side = heard(first, last)
        lang, probability = likeliest(side, expected_langs, (last - first) / SAMPLE_RATE_HZ)
        is_likely = lang in expected_langs and side[lang] >= _LEAST_HEARD
        return lang, probability if is_likely else 0.0

    found = []
    for pause in pauses:
        if min(pause, length - pause) >= least:
            (before, sure_before), (after, sure_after) = spoken(0, pause), spoken(pause, length)
            if before != after:
                found.append((min(sure_before, sure_after), Change(pause, before, after)))
    probability, surest = max(found, default=(0.0, None))
    return surest if probability >= _SURELY_ANOTHER else None
