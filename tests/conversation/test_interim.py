"""Interim captions: what somebody is saying, read in each language while they say it."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import pytest

from babblefish.conversation import interim
from babblefish.conversation.outbox import Outbox
from babblefish.errors import NoSpeechError
from babblefish.pipeline.pace import Pace
from tests.support.fakes import PHRASES, Fakes, silence, speech
from tests.support.serving import Running

SLOW_MACHINE = Pace(stalled_s=1000.0, interim_cost_valid_s=0.0)
OFTEN = replace(SLOW_MACHINE, interim_every_s=0.0)


@pytest.fixture
def pace() -> Pace:
    """A slow machine's pauses mean nothing: neither the end of a stream, nor that an interim recognition takes long."""
    return SLOW_MACHINE


def encoded(fakes: Fakes) -> int:
    return fakes.calls.count["encode"]


async def test_everybody_reads_what_is_being_said_in_their_language_until_the_result(
    running: Running,
) -> None:
    pierre = await running.client(client_id="pierre", name="Pierre", target_lang="fra", mode="stream")
    listeners = {
        lang: await running.client(target_lang=lang, mode="stream", audio="none") for lang in ("fra", "eng", "spa")
    }
    await pierre.wait_for("presence")
    assert running.server.rooms is not None
    await running.server.rooms.drain()  # the text translator gets ready for the languages of those who came
    await pierre.stream(speech(11))
    for client in (pierre, *listeners.values()):
        await client.wait_for("partial")
    await pierre.stream(silence(1.0))
    read = {}
    for lang, client in {"pierre": pierre, **listeners}.items():
        (result,) = await client.wait_for("result")
        (partial,) = client.of_type("partial")
        assert client.messages.index(partial) < client.messages.index(result)
        assert partial["utterance_id"] == result["utterance_id"]
        read[lang] = (partial["translation"], partial["target_lang"])
    assert partial.keys() == {
        *{"type", "utterance_id", "client_id", "name"},
        *{"source_text", "source_lang", "translation", "target_lang", "continues"},
    }
    assert (partial["client_id"], partial["name"]) == ("pierre", "Pierre")
    assert (partial["source_text"], partial["source_lang"]) == ("bonjour tout le", "fra")  # the last word may be half
    assert read == {
        "pierre": ("bonjour tout le", "fra"),
        "fra": ("bonjour tout le", "fra"),
        "eng": ("<eng> bonjour tout le", "eng"),
        "spa": ("<spa> bonjour tout le", "spa"),
    }


@pytest.mark.parametrize("pace", [OFTEN], ids=["often"])
async def test_two_utterances_have_each_their_id(running: Running) -> None:
    speaker = await running.client(mode="stream", audio="none")
    for count in (1, 2):
        await speaker.stream(speech(11))
        await speaker.wait_for("partial", count)
        await speaker.stream(silence(1.0))
        await speaker.wait_for("result", count)
    ids = [message["utterance_id"] for kind in ("partial", "result") for message in speaker.of_type(kind)]
    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2


async def test_clients_that_know_only_ready_and_result_get_none(running: Running) -> None:
    speaker = await running.client(mode="stream", audio="none")
    simple = await running.client(audio="none")
    await speaker.stream(speech(11))
    await speaker.wait_for("partial")
    await speaker.stream(silence(1.0))
    await simple.wait_for("result")
    assert simple.of_type("partial") == []


@pytest.mark.parametrize("pace", [OFTEN], ids=["often"])
async def test_a_text_that_says_nothing_new_is_not_sent_again(running: Running, fakes: Fakes) -> None:
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(speech(11))
    await speaker.wait_for("partial")
    for _ in range(100):
        await speaker.stream(speech(11, 0.1))
        await speaker.catch_up()
        if encoded(fakes) > 3:
            break
    assert encoded(fakes) > 3
    assert len(speaker.of_type("partial")) == 1


async def test_nothing_came_of_it_after_all_and_the_readers_are_told(running: Running, fakes: Fakes) -> None:
    calls = itertools.count()

    def words_at_first_only(_: int) -> None:
        if next(calls):
            raise NoSpeechError("no words were recognised")

    fakes.speech_translator.before = words_at_first_only
    speaker = await running.client(mode="stream", audio="none")
    listener = await running.client(mode="stream", audio="none")
    await speaker.stream(speech(11))
    await listener.wait_for("partial")
    await speaker.stream(silence(1.0))
    shown, gone = await listener.wait_for("partial", 2)
    assert shown["translation"]
    assert (gone["utterance_id"], gone["source_text"], gone["translation"]) == (shown["utterance_id"], "", "")
    (error,) = await speaker.wait_for("error")
    assert error["utterance_id"] == shown["utterance_id"]


async def test_a_recognition_that_fails_early_says_nothing_and_the_result_comes(running: Running, fakes: Fakes) -> None:
    calls = itertools.count()

    def breaks_at_first(_: int) -> None:
        if not next(calls):
            raise RuntimeError("scripted failure")

    fakes.speech_translator.before = breaks_at_first
    speaker = await running.client(mode="stream", audio="none")
    await speaker.stream(speech(11))
    await speaker.catch_up()
    await speaker.stream(silence(1.0))
    await speaker.wait_for("result")
    assert speaker.of_type("partial") == speaker.of_type("error") == []


@pytest.mark.parametrize("pace", [OFTEN], ids=["often"])
async def test_what_will_be_refused_as_an_echo_is_not_shown(
    running: Running, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.synthesizer.piece_samples = 24000 * 5
    dan = await running.client(mode="stream", target_lang="fra", audio="stream")
    pierre = await running.client(mode="stream", target_lang="eng", audio="none")
    monkeypatch.setitem(PHRASES, 13, ("fra", "<fra> good evening my dear friends"))
    await dan.say(speech(21))
    await dan.send_message(type="flush")
    await dan.wait_for("speech", 3)
    for _ in range(100):  # the second recognition begins after the first is over
        await pierre.stream(speech(13, 0.4))
        await pierre.catch_up()
        if encoded(fakes) > 4:
            break
    assert encoded(fakes) > 4
    assert {partial["client_id"] for partial in pierre.of_type("partial")} <= {dan.messages[0]["client_id"]}
    await pierre.send_message(type="flush")
    (error,) = await pierre.wait_for("error")
    assert error["code"] in ("echo", "duplicate")  # it is sent faster than it is spoken, and so at the same time


async def test_a_language_is_left_out_while_the_text_translator_is_busy(
    running: Running, fakes: Fakes, gate: threading.Event
) -> None:
    prepared = threading.Event()
    prepare = fakes.text_translator.prepare
    fakes.text_translator.prepare = lambda *args: (prepared.set(), gate.wait(10), prepare(*args))[2]  # type: ignore[method-assign]
    speaker = await running.client(mode="stream", source_lang="fra", target_lang="fra", audio="none")
    spanish = await running.client(mode="stream", source_lang="spa", target_lang="spa", audio="none")
    await spanish.wait_for("presence")
    assert prepared.wait(10)
    await speaker.stream(speech(11))
    await speaker.wait_for("partial")
    await spanish.catch_up()
    assert spanish.of_type("partial") == []
    assert fakes.calls.count["text spa"] == 0


def test_an_outbox_that_is_half_full_loses_what_may_be_lost_and_nothing_else() -> None:
    outbox = Outbox(4)
    for _ in range(3):
        outbox.offer("interim")
    outbox.offer("interim, lost")
    assert not outbox.overflowed.is_set()
    outbox.put("result")
    assert not outbox.overflowed.is_set()
    outbox.put("result, too much")
    assert outbox.overflowed.is_set()


@pytest.mark.parametrize(
    ("text", "lang", "steady"),
    [
        ("Good evening, my fr", "eng", "Good evening, my"),
        ("Bonjour.", "fra", ""),
        ("皆さんこんばんは。", "jpn", "皆さんこんばん"),
    ],
)
def test_the_end_of_a_text_is_left_out_as_it_changes_most(text: str, lang: str, steady: str) -> None:
    assert interim._steady(text, lang) == steady
