"""Whether a text has as many words as the speech that it is of has room for, not far fewer and not more.

A recogniser that takes two people for one writes what one of them said and leaves out the other, and is sure of it. One
that goes on by itself, as SeamlessM4T does after "hello" with "how are you", is sure of that, too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from babblefish.domain import Transcript
from babblefish.languages import script, scripts

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

_MOST_LETTERS_PER_S = 28.0
_DRAWN_OUT_S = 0.1
"""What nobody says is more letters than this in each second of speech but for its end, which is drawn out. People who
read aloud have 12 to 17 a second; talkers in a hurry have half as many again, some nine syllables."""

_FEW_LETTERS = 10
"""Up to so many any speech has room for: of a short word the voice detector may hear no more than a vowel."""

_SYLLABLES = frozenset({"CJK", "HANGUL", "HIRAGANA", "KATAKANA"})
_LETTERS_PER_SYLLABLE = 2.5
"""Scripts of which a character is a syllable or more, and how many letters that is elsewhere."""


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


def says_more(text: str, speech_s: float) -> bool:
    """Say whether a text is longer than anybody can say in the time.

    Args:
        text: A transcript or a translation made from speech, in any script. Its digits count as letters, and so do
            the vowels of scripts that write them as marks.
        speech_s: Seconds of speech that the utterance has.
    """
    letters = sum(
        _LETTERS_PER_SYLLABLE if script(character) in _SYLLABLES else 1
        for character in text
        if unicodedata.category(character)[0] in "LMN"
    )
    return letters > max(_FEW_LETTERS, _MOST_LETTERS_PER_S * (speech_s - _DRAWN_OUT_S))


def doubtful(transcript: Transcript, texts: Mapping[str, str], speech_s: float) -> frozenset[str]:
    """Return the languages whose text is not what was said, or not all of it.

    Args:
        transcript: Of the speech.
        texts: Language → what was made from the speech itself; the transcript is among them.
        speech_s: Seconds of speech that the utterance has.
    """
    found = {lang for lang, text in texts.items() if says_more(text, speech_s)}
    return frozenset(found | {transcript.lang} if leaves_out(transcript, speech_s) else found)
