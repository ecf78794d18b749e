"""What was said before in a room helps to translate what is said now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from babblefish.conversation.history import History, KeptCaption
from babblefish.domain import UNKNOWN_SPEAKER, Caption, Deadline, Quality, Transcript, Utterance
from babblefish.engines.contracts import Engines
from babblefish.pipeline.job import UtteranceJob
from babblefish.settings import Settings
from tests.support.fakes import Clock, Fakes, ScriptedConversationTranslator, speech
from tests.support.phones import WORDS, joined, said
from tests.support.serving import serving


def add(history: History, lang: str, text: str, quality: Quality = Quality.GOOD, **translations: str) -> None:
    """Let something have been said and translated."""
    job = UtteranceJob(Utterance("u", "c", speech(11), frozenset(), 0.0), Deadline.after(1.0))
    entry = history.append(job, Transcript(text, lang, 1.0, 1.0), UNKNOWN_SPEAKER, len(translations))
    for target, translation in translations.items():
        entry.add(KeptCaption(Caption(translation, target, quality, (lang, target)), 1.0, {}))


@pytest.fixture
def history(clock: Clock) -> History:
    return History(10, clock)


def test_the_context_has_the_last_three_utterances_in_both_languages_oldest_first(history: History) -> None:
    for number in range(5):
        add(history, "eng", f"said {number}", fra=f"dit {number}")
    assert history.context("eng", "fra") == (("said 2", "dit 2"), ("said 3", "dit 3"), ("said 4", "dit 4"))


def test_what_was_answered_in_the_other_language_is_context_as_well(history: History) -> None:
    add(history, "eng", "Where is it?", fra="Où est-ce ?")
    add(history, "fra", "Ici.", eng="Here.")
    assert history.context("eng", "fra") == (("Where is it?", "Où est-ce ?"), ("Here.", "Ici."))
    assert history.context("fra", "eng") == (("Où est-ce ?", "Where is it?"), ("Ici.", "Here."))


def test_only_what_was_said_before_an_utterance_is_its_context(history: History) -> None:
    for number in range(3):
        add(history, "eng", f"said {number}", fra=f"dit {number}")
    assert history.context("eng", "fra", before_seq=2) == (("said 0", "dit 0"),)


def test_drafts_and_what_one_of_the_languages_lacks_are_no_context(history: History) -> None:
    add(history, "eng", "rough", Quality.DRAFT, fra="brouillon")
    add(history, "eng", "spanish only", spa="solo español")
    add(history, "deu", "deutsch", eng="german", fra="allemand")
    assert history.context("eng", "fra") == (("german", "allemand"),)


def test_what_was_perhaps_misheard_is_no_context_even_in_its_own_language(history: History) -> None:
    job = UtteranceJob(Utterance("u", "c", speech(11), frozenset(), 0.0), Deadline.after(1.0))
    entry = history.append(job, Transcript("sound", "eng", 1.0, 0.2), UNKNOWN_SPEAKER, 1, is_doubtful=True)
    entry.add(KeptCaption(Caption("son", "fra", Quality.GOOD, ("eng", "fra")), 1.0, {}))
    assert history.context("eng", "fra") == ()


def test_the_context_is_short_and_begins_with_the_newest(history: History) -> None:
    add(history, "eng", "old", fra="vieux")
    add(history, "eng", "l" * 100, fra="l" * 90)
    add(history, "eng", "new", fra="neuf")
    assert history.context("eng", "fra") == (("l" * 100, "l" * 90), ("new", "neuf"))
    add(history, "eng", "a bit more", fra="un peu plus")
    assert history.context("eng", "fra") == (("new", "neuf"), ("a bit more", "un peu plus"))


def test_what_was_said_more_than_two_minutes_ago_is_no_context(history: History, clock: Clock) -> None:
    add(history, "eng", "long ago", fra="il y a longtemps")
    clock.now_s += 100
    add(history, "eng", "lately", fra="récemment")
    clock.now_s += 60
    assert history.context("eng", "fra") == (("lately", "récemment"),)


@pytest.fixture
def translator(fakes: Fakes) -> ScriptedConversationTranslator:
    return ScriptedConversationTranslator(fakes.calls)


@pytest.fixture
def engines(fakes: Fakes, translator: ScriptedConversationTranslator) -> Engines:
    return replace(fakes.engines, text_translator=translator)


async def test_a_translation_is_asked_for_with_what_was_said_before_it_in_this_room(
    engines: Engines, translator: ScriptedConversationTranslator, settings: Settings
) -> None:
    async with serving(settings, engines) as running:
        elsewhere = await joined(running, room="kitchen", target_lang="spa")
        await said(elsewhere, 21)
        dan = await joined(running, target_lang="spa")
        await said(dan, 21, 22)
    assert [request.context for request in translator.requests] == [
        (),
        (),
        ((WORDS[21], f"<spa> {WORDS[21]}"),),
    ]


@pytest.mark.parametrize("settings", [Settings(retain=False, log_level="warning")], ids=["no retain"])
async def test_where_nothing_is_retained_there_is_no_context(
    engines: Engines, translator: ScriptedConversationTranslator, settings: Settings
) -> None:
    async with serving(settings, engines) as running:
        dan = await joined(running, target_lang="spa")
        await said(dan, 21, 22)
    assert [request.context for request in translator.requests] == [(), ()]
