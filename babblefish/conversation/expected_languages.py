"""Which languages are to be expected of somebody, before a word of an utterance is heard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from babblefish.conversation.members import Member
from babblefish.domain import Transcript
from babblefish.languages import spoken
from babblefish.wire import server_messages

_SURE = 0.9
"""Probability from which a language is remembered. Of 1,875 recorded prompts after utterances in another language, 93 %
of those with so much were in the language they seemed to be in."""

_FADING = 0.8
"""What each utterance since then leaves of one: two people on one microphone, or somebody who changes languages, make
themselves known."""

_OF_THE_ROOM = 0.5
"""What a language of the room counts for, in utterances of the speaker. Of 152 recorded prompts of up to three words,
each beside four other languages, 86 % are in the right one of two that count alike. If it counts twice, as what their
speaker hears does, it is 91 %, and 78 % if the other does."""


def expected_langs(member: Member, members: Iterable[Member]) -> dict[str, float]:
    """Return the languages that a member of these is likely to speak; see ``expectation``."""
    return expectation(member.spoken_langs, {lang for each in members for lang in _known(each)}, _known(member))


def _known(member: Member) -> set[str]:
    """Return what a member hears and, where it declared that, speaks."""
    return {spoken(member.target_lang), member.source_lang} - {server_messages.AUTO, server_messages.ROOM}


def expected_of_typed(member: Member, members: Iterable[Member]) -> dict[str, float]:
    """Return the languages that a member of these, or a guest, is likely to type: above all those that it knows.

    A few letters tell less of their language than a word that is heard, so something is always expected: of a guest, of
    whom nothing is known, what the members know.
    """
    here = tuple(members)
    known = {lang for each in here for lang in _known(each)}
    own = _known(member) or known
    expected = expectation(member.spoken_langs, known)
    return expected | {lang: expected.get(lang, 0.0) + _OF_THE_ROOM for lang in own}


def expectation(
    spoken_langs: Sequence[str], room_langs: Set[str], own_langs: Set[str] = frozenset()
) -> dict[str, float]:
    """Return how much speaks for a language, as ``SpeechRequest.expected_langs`` has it.

    A room of a single language says nothing: whoever is alone there, or not understood, speaks any other. Of who has
    said nothing yet, what they hear is likelier than what others hear.

    Args:
        spoken_langs: The languages of the speaker's last utterances, the newest last.
        room_langs: What the members of the room speak or hear.
        own_langs: What the speaker does.
    """
    expected: dict[str, float] = {}
    for age, lang in enumerate(reversed(spoken_langs)):
        expected[lang] = expected.get(lang, 0.0) + _FADING**age
    if expected or len(room_langs) > 1:
        for lang in (*room_langs, *(() if spoken_langs else own_langs)):
            expected[lang] = expected.get(lang, 0.0) + _OF_THE_ROOM
    return expected


def remember(member: Member, transcript: Transcript) -> None:
    """Keep the language of an utterance, where it is sure."""
    if transcript.lang_confidence >= _SURE:
        member.spoken_langs.append(transcript.lang)
