"""Words that a room has heard already are not said again."""

from __future__ import annotations

import pytest

from babblefish.conversation.echo import EchoGuard
from babblefish.domain import Transcript, Utterance
from babblefish.errors import DuplicateUtteranceError, EchoError
from tests.support.fakes import silence

VOICE = "fake:default"


def said(text: str, client: str, ended_at_s: float, lang: str = "eng") -> tuple[Utterance, Transcript]:
    """Two seconds of speech that end at a moment."""
    return Utterance("u", client, silence(2.0), frozenset(), ended_at_s), Transcript(text, lang, 1.0, 1.0)


def test_a_second_microphone_that_hears_the_same_voice_is_a_duplicate() -> None:
    guard = EchoGuard(lambda: 0.0)
    guard.check(*said("The train leaves at seven.", "near", 10.0))
    with pytest.raises(DuplicateUtteranceError):
        guard.check(*said("the train leaves at 7", "far", 10.4))


def test_the_same_words_a_moment_later_are_an_answer() -> None:
    guard = EchoGuard(lambda: 0.0)
    guard.check(*said("the train leaves at seven", "a", 10.0))
    guard.check(*said("the train leaves at seven", "b", 14.0))


def test_one_client_may_repeat_itself() -> None:
    guard = EchoGuard(lambda: 0.0)
    guard.check(*said("the train leaves at seven", "a", 10.0))
    guard.check(*said("the train leaves at seven", "a", 10.5))


def test_two_people_may_greet_at_once() -> None:
    guard = EchoGuard(lambda: 0.0)
    guard.check(*said("good morning", "a", 10.0))
    guard.check(*said("good morning", "b", 10.0))


def test_other_words_at_the_same_time_are_another_utterance() -> None:
    guard = EchoGuard(lambda: 0.0)
    guard.check(*said("the train leaves at seven", "a", 10.0))
    guard.check(*said("I would like a cup of tea", "b", 10.0))


def test_what_a_loudspeaker_says_is_an_echo_while_it_says_it_and_shortly_after() -> None:
    guard = EchoGuard(lambda: 100.0)
    guard.spoke("Good evening, my dear friends!", "eng", VOICE, 2.0)
    with pytest.raises(EchoError):
        guard.check(*said("good evening my dear friends", "a", 102.5))
    guard.check(*said("good evening my dear friends", "a", 110.0))


def test_what_was_spoken_in_another_language_is_no_echo() -> None:
    guard = EchoGuard(lambda: 100.0)
    guard.spoke("no no no no", "spa", VOICE, 2.0)
    guard.check(*said("no no no no", "a", 102.0, lang="eng"))


def test_one_sentence_of_what_a_loudspeaker_says_is_an_echo_too() -> None:
    guard = EchoGuard(lambda: 100.0)
    guard.spoke("Good evening, my dear friends! The soup is still hot and the bread is fresh.", "eng", VOICE, 5.0)
    with pytest.raises(EchoError):
        guard.check(*said("the soup is still hot", "a", 104.0))


def test_speech_in_other_languages_does_not_make_the_window_longer() -> None:
    guard = EchoGuard(lambda: 100.0)
    for lang in ("spa", "ita", "por"):
        guard.spoke("a very long story about a ship", lang, VOICE, 20.0)
    guard.spoke("good evening my dear friends", "eng", VOICE, 2.0)
    guard.check(*said("good evening my dear friends", "a", 109.0))


def test_speech_queues_up_behind_speech_that_is_being_played() -> None:
    guard = EchoGuard(lambda: 100.0)
    guard.spoke("a very long story about a ship", "eng", VOICE, 20.0)
    guard.spoke("good evening my dear friends", "eng", VOICE, 2.0)
    with pytest.raises(EchoError):
        guard.check(*said("good evening my dear friends", "a", 122.0))


def test_a_person_may_say_what_a_loudspeaker_says_but_not_what_another_phone_hears() -> None:
    guard = EchoGuard(lambda: 100.0)
    guard.spoke("good evening my dear friends", "eng", VOICE, 2.0)
    guard.check(*said("good evening my dear friends", "a", 102.5), is_person=True)
    with pytest.raises(DuplicateUtteranceError):
        guard.check(*said("good evening my dear friends", "b", 102.5), is_person=True)


def test_it_is_quiet_until_a_loudspeaker_speaks_and_again_when_it_has_spoken() -> None:
    guard = EchoGuard(lambda: 100.0)
    assert guard.is_quiet(said("hello", "a", 100.0)[0])
    guard.spoke("good evening my dear friends", "eng", VOICE, 2.0)
    assert [guard.is_quiet(said("hello", "a", ended_at_s)[0]) for ended_at_s in (103.0, 108.0)] == [False, True]


def test_the_voice_that_said_the_words_is_known() -> None:
    guard = EchoGuard(lambda: 10.0)
    guard.spoke("the train leaves at seven", "eng", "fake:low", 2.0)
    guard.spoke("I would like a cup of tea", "eng", "fake:high", 2.0)
    assert guard.voice_repeated(*said("I would like a cup of tea", "a", 14.0)) == "fake:high"
    assert guard.voice_repeated(*said("Where is the station?", "a", 14.0)) is None
