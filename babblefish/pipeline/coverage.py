"""Whether a transcript has words enough for the speech that it is of.

A recogniser that takes two people for one writes what one of them said and leaves out the other, and is sure of it.
"""

from __future__ import annotations

from babblefish.domain import Transcript
from babblefish.languages import scripts

_LEAST_LETTERS_PER_S = 8.0
"""Of 125 recorded prompts in five languages the slowest had 9.1 letters in each second of speech, and of 38 sentences
of five readers 11.6. Of 35 pairs of prompts in two languages, taken for one utterance, 13 had fewer than 8: in all of
these one person's words were missing."""

_LEAST_S = 2.5
"""Speech below which a word that is drawn out weighs too much."""

_LETTERS_PER_DIGIT = 4
"""How long the name of a digit is."""

_LETTERS_ARE_SOUNDS = frozenset({"CYRILLIC", "GREEK"})
"""Scripts, beside Latin, that write as many letters: others write syllables, words, or no vowels."""


def leaves_out(transcript: Transcript, speech_s: float) -> bool:
    """Say whether a transcript surely leaves out something of what was said.

    Args:
        transcript: In any language; of some scripts it is not known how many letters they have.
        speech_s: Seconds of speech that the utterance has.
    """
    if speech_s < _LEAST_S or not scripts(transcript.lang) <= _LETTERS_ARE_SOUNDS:
        return False
    letters = sum(_LETTERS_PER_DIGIT if character.isdigit() else character.isalpha() for character in transcript.text)
    return letters < _LEAST_LETTERS_PER_S * speech_s
