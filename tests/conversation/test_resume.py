"""A client that loses its connection and comes back gets every result once, and those it missed from the history."""

from __future__ import annotations

import pytest

from babblefish.conversation.outbox import Envelope, Outbox
from babblefish.settings import Settings
from babblefish.wire.server_messages import Pong
from tests.support.fakes import Fakes, silence, speech
from tests.support.phones import WORDS, Phone, joined, recognition_held, said, spanish_held
from tests.support.serving import Running, serving
from tests.support.waiting import until


async def test_ready_says_which_history_it_is_and_how_far_it_goes(running: Running) -> None:
    speaker = await joined(running, target_lang="fra")
    await said(speaker, 11, 12)
    here = await Phone(running).connect()
    elsewhere = await Phone(running, room="kitchen").connect()
    assert (here["history_id"], here["last_seq"]) == (speaker.history_id, 2)
    assert elsewhere["last_seq"] == 0
    assert elsewhere["history_id"] != here["history_id"]


async def test_what_was_said_meanwhile_is_replayed_in_order_in_the_listeners_language(running: Running) -> None:
    speaker = await joined(running, target_lang="fra", name="Pierre")
    listener = await joined(running, target_lang="spa", audio="wav")
    await said(speaker, 11)
    await listener.now.wait_for("result")
    await listener.drop()
    await said(speaker, 12, 21)
    await listener.connect()
    assert await listener.resume() == (2, 0)
    _, *replayed = listener.results
    assert [(result["seq"], result["translation"]) for result in replayed] == [
        (2, f"<spa> {WORDS[12]}"),
        (3, f"<spa> {WORDS[21]}"),
    ]
    for result in replayed:
        assert (result["replayed"], result["status"], result["tts_audio"], result["tts_voice"]) == (
            True,
            "final",
            None,
            None,
        )
        assert (result["target_lang"], result["requested_lang"], result["quality"]) == ("spa", "spa", "draft")
    as_heard = speaker.results[1]
    same = ("utterance_id", "speaker_name", "client_id", "source_text", "source_lang")
    assert {key: replayed[0][key] for key in same} == {key: as_heard[key] for key in same}
    await said(speaker, 22)
    await listener.now.wait_for("result", 3)
    assert [result["replayed"] for result in listener.results] == [False, True, True, False]


async def test_a_language_that_nobody_heard_gets_the_english_caption_or_the_transcript(running: Running) -> None:
    speaker = await joined(running, target_lang="eng")
    await said(speaker, 11, 21)
    newcomer = await joined(running, target_lang="pol")
    assert await newcomer.resume() == (0, 0)  # its history begins where it came in
    assert await newcomer.resume(after_seq=0) == (2, 0)
    assert [
        (result["translation"], result["target_lang"], result["requested_lang"], result["quality"])
        for result in newcomer.results
    ] == [
        (f"<eng> {WORDS[11]}", "eng", "pol", "untranslated"),
        (WORDS[21], "eng", "pol", "untranslated"),
    ]


async def test_a_language_whose_only_listener_was_away_is_translated_all_the_same(
    running: Running, fakes: Fakes
) -> None:
    speaker = await joined(running, target_lang="fra")
    listener = await joined(running, target_lang="spa", audio="wav")
    await listener.drop()
    await said(speaker, 11)
    await listener.connect()
    assert await listener.resume() == (1, 0)
    assert listener.results[0]["translation"] == f"<spa> {WORDS[11]}"
    assert fakes.calls.count["speak spa"] == 0


async def test_what_was_in_flight_while_the_client_was_away_comes_once_when_it_is_ready(
    running: Running, fakes: Fakes
) -> None:
    speaker = await joined(running, target_lang="fra")
    listener = await joined(running, target_lang="spa")
    await said(speaker, 11)
    await listener.now.wait_for("result")
    with recognition_held(fakes, 12) as gate:
        await speaker.now.say(speech(12))
        await until(lambda: fakes.calls.count["encode"] == 2)
        await listener.drop()
        await listener.connect()
        await listener.ask()
        await listener.now.send_message(type="ping")
        await listener.now.wait_for("pong")
        assert listener.now.of_type("resumed") == []
        gate.set()
        assert (await listener.now.wait_for("resumed"))[0]["replayed"] == 1
    assert listener.texts == [WORDS[11], WORDS[12]]
    await said(speaker, 21)
    await listener.now.wait_for("result", 2)
    assert [result["seq"] for result in listener.results] == [1, 2, 3]


@pytest.mark.parametrize("is_finished", [False, True], ids=["before it is ready", "after it is ready"])
async def test_what_a_client_said_before_it_was_dropped_reaches_it_once(
    running: Running, fakes: Fakes, is_finished: bool
) -> None:
    phone = await joined(running, target_lang="spa")
    with recognition_held(fakes, 11) as gate:
        await phone.now.say(speech(11))
        await until(lambda: fakes.calls.count["encode"] == 1)
        await phone.drop()
        if is_finished:
            gate.set()
            assert running.server.rooms is not None
            await running.server.rooms.drain()
        await phone.connect()
        await phone.ask()
        gate.set()
        await phone.now.wait_for("resumed")
    await said(phone, 12)
    assert [(result["translation"], result["replayed"]) for result in phone.results] == [
        (f"<spa> {WORDS[11]}", True),
        (f"<spa> {WORDS[12]}", False),
    ]


async def test_a_sentence_that_the_drop_cut_short_reaches_its_speaker_once(running: Running) -> None:
    phone = await joined(running, target_lang="spa", mode="stream")
    await phone.now.stream(speech(11))
    await phone.now.send_message(type="ping")
    await phone.now.wait_for("pong")
    await phone.drop()
    await phone.connect()
    assert await phone.resume() == (1, 0)
    await phone.now.stream(speech(12))
    await phone.now.send_message(type="flush")
    await phone.now.wait_for("result", 2)
    assert phone.texts == [WORDS[11], WORDS[12]]


async def test_a_caption_that_comes_later_than_another_languages_is_waited_for(running: Running, fakes: Fakes) -> None:
    speaker = await joined(running, target_lang="eng")
    listener = await joined(running, target_lang="spa")
    with spanish_held(fakes, 11) as gate:
        await said(speaker, 11)
        await until(lambda: fakes.calls.count["held"] == 1)
        await listener.drop()
        ready = await listener.connect()
        assert ready["last_seq"] == 1
        await listener.ask()
        await listener.now.send_message(type="ping")
        await listener.now.wait_for("pong")
        assert listener.results == []
        gate.set()
        await listener.now.wait_for("resumed")
    assert [(result["translation"], result["quality"]) for result in listener.results] == [
        (f"<spa> {WORDS[11]}", "draft")
    ]


async def test_what_is_new_waits_for_what_was_missed(running: Running, fakes: Fakes) -> None:
    """So that the newest number a client has seen is one up to which it has seen everything."""
    speaker = await joined(running, target_lang="fra")
    listener = await joined(running, target_lang="spa", audio="stream")
    with spanish_held(fakes, 11) as gate:
        await said(speaker, 11)
        await until(lambda: fakes.calls.count["held"] == 1)
        await listener.drop()
        await listener.connect()
        await listener.ask()
        await listener.now.send_message(type="ping")
        await listener.now.wait_for("pong")
        await said(speaker, 12)
        await until(lambda: fakes.calls.count["speak spa"] == 1)
        assert listener.now.of_type("result") == []
        gate.set()
        await listener.now.wait_for("speech", 3)
    kinds = [message["type"] for message in listener.now.messages]
    order = [kind for kind in kinds if kind in ("result", "resumed", "speech")]
    assert order == ["result", "resumed", "result", "speech", "speech", "speech"]
    assert [result["seq"] for result in listener.results] == [1, 2]


async def test_what_ends_after_the_client_is_back_is_not_replayed(running: Running) -> None:
    speaker = await joined(running, target_lang="fra")
    listener = await joined(running, target_lang="spa")
    await listener.drop()
    await said(speaker, 11)
    await listener.connect()
    await said(speaker, 12)
    await listener.now.wait_for("result")
    assert await listener.resume() == (1, 0)
    assert [(result["seq"], result["replayed"]) for result in listener.results] == [(2, False), (1, True)]


async def test_while_the_old_connection_is_not_known_to_be_dead_a_fresh_id_resumes(running: Running) -> None:
    speaker = await joined(running, target_lang="fra")
    listener = await joined(running, target_lang="spa")
    first = listener.now.messages[0]["client_id"]
    await said(speaker, 11)
    await listener.now.wait_for("result")
    listener.last_seq = 1
    heard_by_nobody = listener.connections.pop()
    await said(speaker, 12)
    ready = await listener.connect()
    assert ready["client_id"] != first
    assert await listener.resume() == (1, 0)
    await said(speaker, 21)
    await listener.now.wait_for("result", 2)
    assert listener.texts == [WORDS[12], WORDS[21]]
    assert len(await heard_by_nobody.wait_for("result", 3)) == 3


async def test_asking_again_gives_nothing_twice(running: Running) -> None:
    speaker = await joined(running, target_lang="fra")
    await said(speaker, 11, 12, 21)
    listener = await joined(running, target_lang="fra")
    assert await listener.resume(after_seq=1) == (2, 0)
    assert await listener.resume(after_seq=1) == (0, 0)
    assert await listener.resume(after_seq=0) == (1, 0)
    assert await listener.resume(after_seq=99) == (0, 0)
    assert [result["seq"] for result in listener.results] == [2, 3, 1]


async def test_after_another_history_everything_is_new(running: Running) -> None:
    speaker = await joined(running, target_lang="fra")
    await said(speaker, 11, 12)
    listener = await joined(running, target_lang="fra")
    assert await listener.resume(after_seq=40, history_id="of-yesterday") == (2, 0)
    assert listener.texts == [WORDS[11], WORDS[12]]


async def test_what_a_killed_server_took_with_it_is_not_called_nothing(fakes: Fakes) -> None:
    settings = Settings(log_level="warning")
    async with serving(settings, fakes.engines) as before:
        speaker = await joined(before, target_lang="fra")
        await said(speaker, 11)
        history_id = speaker.now.messages[0]["history_id"]
    async with serving(settings, fakes.engines) as after:
        listener = await joined(after, target_lang="fra")
        assert await listener.resume(after_seq=1, history_id=history_id) == (0, 0)
        assert listener.now.of_type("resumed")[-1]["lost_unknown"] is True
        assert await listener.resume(after_seq=0) == (0, 0)
        assert listener.now.of_type("resumed")[-1]["lost_unknown"] is False


async def test_what_is_too_long_ago_is_lost_and_counted(fakes: Fakes) -> None:
    async with serving(Settings(history_limit=2, log_level="warning"), fakes.engines) as running:
        speaker = await joined(running, target_lang="fra")
        listener = await joined(running, target_lang="fra")
        await said(speaker, 11)
        await listener.now.wait_for("result")
        await listener.drop()
        await said(speaker, 12, 21, 22, 31)
        await listener.connect()
        assert await listener.resume() == (2, 2)
        assert [result["seq"] for result in listener.results] == [1, 4, 5]


async def test_a_server_that_is_to_remember_nothing_says_that_all_is_lost(fakes: Fakes) -> None:
    async with serving(Settings(history_limit=0, log_level="warning"), fakes.engines) as running:
        speaker = await joined(running, target_lang="fra")
        await said(speaker, 11, 12)
        listener = await joined(running, target_lang="fra")
        assert await listener.resume(after_seq=0) == (0, 2)


async def test_more_may_be_replayed_than_an_outbox_holds(fakes: Fakes) -> None:
    async with serving(Settings(outbox_limit=8, log_level="warning"), fakes.engines) as running:
        speaker = await joined(running, target_lang="fra")
        for _ in range(30):
            await said(speaker, 11)
        listener = await joined(running, target_lang="fra")
        assert await listener.resume(after_seq=0) == (30, 0)
        assert [result["seq"] for result in listener.results] == list(range(1, 31))


async def test_a_replayed_result_bears_the_name_that_the_voice_has_now(running: Running) -> None:
    speaker = await joined(running, target_lang="fra", name="Pierre")
    await said(speaker, 11)
    await speaker.now.send_message(type="rename_speaker", speaker_id="speaker_1", name="Claire")
    await speaker.now.wait_for("speaker", 2)
    listener = await joined(running, target_lang="fra")
    await listener.resume(after_seq=0)
    assert listener.results[0]["speaker_name"] == "Claire"


async def test_words_that_are_none_leave_no_gap_in_the_numbers(running: Running) -> None:
    speaker = await joined(running, target_lang="fra")
    listener = await joined(running, target_lang="fra")
    await listener.drop()
    await said(speaker, 11)
    await speaker.now.say(speech(50))  # no phrase
    await speaker.now.wait_for("error")
    await said(speaker, 12)
    await listener.connect()
    assert await listener.resume() == (2, 0)
    assert [result["seq"] for result in listener.results] == [1, 2]


async def test_an_empty_room_keeps_its_history_until_its_place_is_needed(fakes: Fakes) -> None:
    async with serving(Settings(max_clients=1, kept_rooms=0, log_level="warning"), fakes.engines) as running:
        phone = await joined(running, target_lang="fra")
        await said(phone, 11)
        await phone.drop()
        ready = await phone.connect()
        assert (ready["history_id"], ready["last_seq"]) == (phone.history_id, 1)
        await phone.drop()
        other = await joined(running, room="kitchen")
        await other.drop()
        ready = await phone.connect()
        assert ready["last_seq"] == 0
        assert ready["history_id"] != phone.history_id


async def test_a_client_that_does_not_ask_is_replayed_nothing(running: Running) -> None:
    phone = await joined(running, target_lang="fra", mode="stream")
    await phone.now.stream(speech(11))
    await phone.now.stream(silence(1.0))
    await phone.now.wait_for("result")
    await phone.drop()
    await phone.connect()
    await phone.now.stream(speech(12))
    await phone.now.send_message(type="flush")
    await phone.now.wait_for("result")
    assert phone.texts == [WORDS[11], WORDS[12]]


@pytest.mark.parametrize("after_seq", [-1, "x", None])
async def test_a_number_that_cannot_be_is_an_error_and_no_more(running: Running, after_seq: object) -> None:
    phone = await joined(running, target_lang="fra")
    await phone.now.send_message(type="resume", history_id="", after_seq=after_seq)
    (error,) = await phone.now.wait_for("error")
    assert (error["code"], error["fatal"]) == ("invalid_message", False)
    await said(phone, 11)


async def test_a_client_too_slow_for_what_it_missed_is_given_up_as_any_slow_one_is() -> None:
    outbox = Outbox(4)
    outbox.hold()
    for _ in range(4):
        outbox.send(Envelope(Pong))
    assert not outbox.overflowed.is_set()
    outbox.send(Envelope(Pong))
    assert outbox.overflowed.is_set()
