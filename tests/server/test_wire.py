"""The wire: real WebSocket clients against a real server with scripted engines."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import threading
import wave
from collections.abc import AsyncIterator

import pytest

from babblefish.settings import Settings
from babblefish.wire import server_messages
from tests.support.fakes import Fakes, silence, speech
from tests.support.serving import Running, serving
from tests.support.waiting import until

RESULT_FIELDS_OF_THE_OWNER = {
    "speaker_id",
    "speaker_name",
    "speaker_confidence",
    "source_text",
    "source_lang",
    "translation",
    "target_lang",
    "tts_audio",
    "tts_voice",
    "latency_ms",
    "timestamp",
}


async def test_a_simple_client_gets_ready_and_one_result_with_a_playable_wav(running: Running) -> None:
    client = await running.client(target_lang="spa", name="Pierre")
    ready = client.messages[0]
    assert (ready["type"], ready["target_lang"], ready["room"]) == ("ready", "spa", "main")
    await client.say(speech(11))
    (result,) = await client.wait_for("result")
    assert result.keys() >= RESULT_FIELDS_OF_THE_OWNER
    assert (result["source_text"], result["source_lang"]) == ("bonjour tout le monde", "fra")
    assert (result["translation"], result["target_lang"]) == ("<spa> bonjour tout le monde", "spa")
    assert (result["speaker_id"], result["speaker_name"]) == ("speaker_1", "Pierre")
    assert (result["tts_voice"], result["status"], result["quality"]) == ("fake:spa", "final", "draft")
    assert result["latency_ms"] > 0
    assert result["timings"].keys() >= {"voice", "queue", "encode", "decode", "speaker", "translate", "synthesize"}
    assert (result["path"], result["source_confidence"], result["source_lang_confidence"]) == (["fra", "spa"], 0.9, 0.9)
    with wave.open(io.BytesIO(base64.b64decode(result["tts_audio"]))) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getnframes()) == (24000, 1, 4800)


async def test_a_named_client_whose_voice_is_not_known_yet_is_likely_to_be_who_it_says(running: Running) -> None:
    client = await running.client(name="Pierre")
    await client.say(speech(11, 0.6))
    await client.wait_for("result")
    await client.say(speech(12, 0.6))
    word, sure = await client.wait_for("result", 2)
    assert (word["speaker_id"], word["speaker_name"], word["speaker_likely"]) == ("unknown", "Pierre", True)
    assert (sure["speaker_id"], sure["speaker_name"], sure["speaker_likely"]) == ("speaker_1", "Pierre", False)
    (known,) = client.of_type("speaker")
    assert (known["speaker_id"], known["name"], known["seqs"]) == ("speaker_1", "Pierre", [1]), "so was the word before"


async def test_each_member_of_a_room_hears_each_utterance_in_their_own_language(running: Running) -> None:
    french = await running.client(target_lang="fra", name="Pierre")
    english = await running.client(target_lang="eng", name="Dan")
    polish = await running.client(target_lang="pol", name="Marek")
    await french.say(speech(11))
    await english.say(speech(21))
    await polish.say(speech(31))
    heard = {}
    for name, client in (("french", french), ("english", english), ("polish", polish)):
        results = await client.wait_for("result", 3)
        heard[name] = {result["source_lang"]: (result["translation"], result["target_lang"]) for result in results}
    assert heard["french"] == {
        "fra": ("bonjour tout le monde", "fra"),
        "eng": ("<fra> good evening my dear friends", "fra"),
        "pol": ("<fra> <eng> dobry wieczór drodzy przyjaciele", "fra"),
    }
    assert heard["english"]["fra"] == ("<eng> bonjour tout le monde", "eng")
    assert heard["english"]["pol"] == ("<eng> dobry wieczór drodzy przyjaciele", "eng")
    assert heard["polish"]["pol"] == ("dobry wieczór drodzy przyjaciele", "pol")


async def test_a_language_without_a_path_gets_a_caption_that_exists_and_is_marked(running: Running) -> None:
    polish = await running.client(target_lang="pol")
    await polish.say(speech(11))
    (result,) = await polish.wait_for("result")
    assert (result["translation"], result["target_lang"]) == ("<eng> bonjour tout le monde", "eng")
    assert (result["requested_lang"], result["quality"]) == ("pol", "untranslated")
    assert result["tts_voice"] == "fake:eng"


async def test_nothing_is_spoken_to_a_listener_of_the_language_that_was_spoken(running: Running, fakes: Fakes) -> None:
    client = await running.client(target_lang="fra")
    await client.say(speech(11))
    (result,) = await client.wait_for("result")
    assert (result["quality"], result["tts_audio"], result["tts_voice"]) == ("original", None, None)
    assert not [call for call in fakes.calls.count if call.startswith("speak")]


async def test_a_streaming_client_reads_the_caption_before_the_speech_is_made(
    running: Running, fakes: Fakes, gate: threading.Event
) -> None:
    fakes.synthesizer.before = lambda text: gate.wait(10) and None
    client = await running.client(target_lang="eng", audio="stream", mode="stream")
    await client.stream(silence(0.5))
    await client.stream(speech(11))
    await client.stream(silence(1.0))
    await client.wait_for("result")
    gate.set()
    pieces = await client.wait_for("speech", 3)
    kinds = [message["type"] for message in client.messages if message["type"] in ("result", "speech")]
    assert kinds == ["result", "speech", "speech", "speech"]
    (result,) = client.of_type("result")
    assert (result["status"], result["tts_audio"], result["tts_voice"]) == ("speaking", None, "fake:eng")
    assert [piece["index"] for piece in pieces] == [0, 1, 2]
    assert [piece["last"] for piece in pieces] == [False, False, True]
    assert pieces[0]["audio"]
    assert pieces[2]["audio"] is None
    assert {piece["utterance_id"] for piece in pieces} == {result["utterance_id"]}
    assert pieces[2]["timings"].keys() == {"synthesis_queue", "first_speech", "synthesize"}


async def test_a_stream_is_cut_into_utterances_at_its_pauses(running: Running) -> None:
    client = await running.client(target_lang="fra", mode="stream", audio="none")
    for phrase in (11, 12):
        await client.stream(speech(phrase))
        await client.stream(silence(1.0))
    results = await client.wait_for("result", 2)
    assert [result["source_text"] for result in results] == ["bonjour tout le monde", "comment allez vous ce soir"]
    assert [result["seq"] for result in results] == [1, 2]


async def test_flush_ends_the_utterance_without_waiting_for_silence(running: Running) -> None:
    client = await running.client(target_lang="fra", mode="stream")
    await client.stream(speech(11))
    await client.send_message(type="flush")
    (result,) = await client.wait_for("result")
    assert result["source_text"] == "bonjour tout le monde"


async def test_captions_only_costs_no_synthesis(running: Running, fakes: Fakes) -> None:
    client = await running.client(target_lang="eng", audio="none")
    await client.say(speech(11))
    (result,) = await client.wait_for("result")
    assert (result["translation"], result["tts_audio"]) == ("<eng> bonjour tout le monde", None)
    assert fakes.calls.count["speak eng"] == 0


async def test_fifty_listeners_in_three_languages_cost_one_of_each(fakes: Fakes) -> None:
    async with serving(Settings(connections_per_address=50, log_level="warning"), fakes.engines) as running:
        langs = ("eng", "spa", "fra")
        clients = [await running.client(target_lang=langs[index % 3]) for index in range(50)]
        await clients[0].say(speech(11))
        for client in clients:
            await client.wait_for("result")
        assert len({client.of_type("result")[0]["utterance_id"] for client in clients}) == 1
    per_utterance = {call: count for call, count in fakes.calls.count.items() if call not in ("voice", "prepare")}
    assert per_utterance == {
        "encode": 1,
        "embed": 1,
        "text spa": 1,
        "speak eng": 1,
        "speak spa": 1,
    }


async def test_listeners_without_a_path_share_the_english_speech(running: Running, fakes: Fakes) -> None:
    english = await running.client(target_lang="eng")
    polish = await running.client(target_lang="pol")
    await english.say(speech(11))
    (for_english,) = await english.wait_for("result")
    (for_polish,) = await polish.wait_for("result")
    assert for_english["tts_audio"] == for_polish["tts_audio"]
    assert (for_english["quality"], for_polish["quality"]) == ("good", "untranslated")
    assert (for_english["requested_lang"], for_polish["requested_lang"]) == ("eng", "pol")
    assert fakes.calls.count["speak eng"] == 1


async def test_each_result_is_serialized_once_per_language(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = server_messages.encode

    def counting(message: server_messages.ServerMessage) -> str:
        encoded.append(message.type)
        return encode(message)

    clients = [await running.client(target_lang=lang) for lang in ("eng", "spa") * 5]
    monkeypatch.setattr(server_messages, "encode", counting)
    await clients[0].say(speech(11))
    for client in clients:
        await client.wait_for("result")
    assert encoded.count("result") == 2


async def test_rooms_do_not_hear_each_other(running: Running) -> None:
    here = await running.client(target_lang="eng", room="kitchen")
    there = await running.client(target_lang="eng", room="garden")
    await here.say(speech(11))
    await here.wait_for("result")
    await there.say(speech(12))
    (result,) = await there.wait_for("result")
    assert result["source_text"] == "comment allez vous ce soir"
    assert result["speaker_id"] == "speaker_1"
    assert len(here.of_type("result")) == 1


@contextlib.asynccontextmanager
async def first_is_slow_to_speak(fakes: Fakes, gate: threading.Event) -> AsyncIterator[Running]:
    """Speak the first phrase only when the gate is opened, which keeps no other from being spoken."""
    fakes.synthesizer.before = lambda text: gate.wait(10) and None if "bonjour" in text else None
    async with serving(Settings(parallel_syntheses=2, log_level="warning"), fakes.engines) as running:
        try:
            yield running
        finally:
            gate.set()


async def test_results_come_in_the_order_the_utterances_ended(fakes: Fakes, gate: threading.Event) -> None:
    async with first_is_slow_to_speak(fakes, gate) as running:
        client = await running.client(target_lang="eng")
        await client.say(speech(11))
        await client.say(speech(12))
        await until(lambda: len(fakes.synthesizer.spoken) == 1)
        assert not client.of_type("result"), "the second is spoken, and waits"
        gate.set()
        results = await client.wait_for("result", 2)
        assert [result["source_text"] for result in results] == ["bonjour tout le monde", "comment allez vous ce soir"]
        assert [result["seq"] for result in results] == [1, 2]


async def test_an_utterance_without_words_does_not_let_later_ones_overtake(fakes: Fakes, gate: threading.Event) -> None:
    async with first_is_slow_to_speak(fakes, gate) as running:
        client = await running.client(target_lang="eng")
        await client.say(speech(11))
        await client.say(speech(50))  # no phrase
        await client.say(speech(12))
        await until(lambda: len(fakes.synthesizer.spoken) == 1)
        assert not client.of_type("result")
        gate.set()
        await client.wait_for("error")
        results = await client.wait_for("result", 2)
        assert [result["source_text"] for result in results] == ["bonjour tout le monde", "comment allez vous ce soir"]
        assert [result["seq"] for result in results] == [1, 2]


async def test_order_is_kept_when_a_listener_changes_to_captions_only(fakes: Fakes, gate: threading.Event) -> None:
    async with first_is_slow_to_speak(fakes, gate) as running:
        client = await running.client(target_lang="eng")
        await client.say(speech(11))
        await until(lambda: fakes.calls.count["speak eng"] == 1)
        await client.send_message(type="set", audio="none")
        await client.wait_for("settled")
        await client.say(speech(12))
        await until(lambda: fakes.calls.count["encode"] == 2)
        await client.catch_up()
        assert not client.of_type("result")
        gate.set()
        results = await client.wait_for("result", 2)
        assert [result["seq"] for result in results] == [1, 2]


async def test_languages_are_synthesized_side_by_side(fakes: Fakes, gate: threading.Event) -> None:
    """A slow Spanish voice does not keep the English listener waiting."""
    fakes.synthesizer.before = lambda text: gate.wait(10) and None if text.startswith("spa") else None
    async with serving(Settings(parallel_syntheses=2), fakes.engines) as running:
        english = await running.client(target_lang="eng")
        spanish = await running.client(target_lang="spa")
        await english.say(speech(11))
        await english.wait_for("result")
        assert not spanish.of_type("result")
        gate.set()
        await spanish.wait_for("result")


async def test_two_voices_on_one_client_are_told_apart_and_can_be_named(running: Running) -> None:
    client = await running.client(target_lang="eng", audio="none", name="Pierre")
    for phrase in (11, 21, 12):
        await client.say(speech(phrase))
    results = await client.wait_for("result", 3)
    assert [result["speaker_name"] for result in results] == ["Pierre", "Speaker 2", "Pierre"]
    await client.send_message(type="rename_speaker", speaker_id="speaker_2", name="Dan")
    named = (await client.wait_for("speaker", 3))[-1]
    assert (named["speaker_id"], named["name"], named["seqs"], named["replaces"]) == ("speaker_2", "Dan", [], None)
    await client.say(speech(22))
    assert (await client.wait_for("result", 4))[-1]["speaker_name"] == "Dan"


async def test_a_client_changes_what_it_hears_speaks_and_is_called(running: Running, fakes: Fakes) -> None:
    client = await running.client(target_lang="eng", audio="none")
    await client.send_message(
        type="set", target_lang="spa", source_lang="fra", name="Pierre", audio="wav", interpreting="simultaneous"
    )
    (settled,) = await client.wait_for("settled")
    assert settled == {
        "type": "settled",
        "target_lang": "spa",
        "source_lang": "fra",
        "name": "Pierre",
        "audio": "wav",
        "interpreting": "simultaneous",
    }
    await client.say(speech(11))
    (result,) = await client.wait_for("result")
    assert result["target_lang"] == "spa"
    assert result["tts_audio"]
    assert [request.source_langs for request in fakes.speech_translator.requests] == [{"fra"}]


async def test_everyone_sees_who_is_there(running: Running) -> None:
    first = await running.client(target_lang="eng", name="Dan", client_id="dan")
    second = await running.client(target_lang="fra", name="Pierre", client_id="pierre")

    def seen() -> list[tuple[str, str, str]]:
        told = first.of_type("presence")
        members = told[-1]["members"] if told else []
        return [(member["client_id"], member["name"], member["target_lang"]) for member in members]

    await first.wait_until(lambda: seen() == [("dan", "Dan", "eng"), ("pierre", "Pierre", "fra")])
    await second.send_message(type="set", target_lang="spa")
    await first.wait_until(lambda: seen()[-1] == ("pierre", "Pierre", "spa"))
    await second.close()
    await first.wait_until(lambda: seen() == [("dan", "Dan", "eng")])


async def test_a_client_id_that_is_taken_is_not_handed_over(running: Running) -> None:
    first = await running.client(client_id="phone")
    second = await running.client(client_id="phone")
    assert first.messages[0]["client_id"] == "phone"
    assert second.messages[0]["client_id"] != "phone"


async def test_routes_between_the_members_languages_are_ready_before_anyone_speaks(
    running: Running, fakes: Fakes
) -> None:
    """Polish becomes English from the speech itself, and Spanish through English text."""
    await running.client(target_lang="spa")
    await running.client(target_lang="eng", source_lang="pol")
    await until(lambda: fakes.text_translator.prepared == {("eng", "spa")})


async def test_routes_are_got_ready_when_no_utterance_is_being_served(running: Running, fakes: Fakes) -> None:
    recognised = threading.Event()
    heard = threading.Event()

    def recognise(_: int) -> None:
        heard.set()
        recognised.wait(10)

    fakes.speech_translator.before = recognise
    spanish = await running.client(target_lang="spa")
    await spanish.say(speech(11))
    await until(heard.is_set)
    ready = set(fakes.text_translator.prepared)
    await running.client(target_lang="fra", source_lang="eng")
    await asyncio.sleep(0.2)  # longer than the room waits for further changes
    assert fakes.text_translator.prepared == ready
    recognised.set()
    await until(lambda: fakes.text_translator.prepared > ready)


async def test_no_engine_ever_runs_on_the_event_loops_thread(running: Running, fakes: Fakes) -> None:
    client = await running.client(target_lang="spa", mode="stream", audio="stream")
    await client.stream(speech(11))
    await client.stream(silence(1.0))
    await client.wait_for("speech", 3)
    simple = await running.client(target_lang="eng")
    await simple.say(speech(31))
    await simple.wait_for("result")
    assert fakes.calls.count.keys() >= {"voice", "encode", "embed", "text spa", "speak spa", "speak eng"}
    assert threading.get_ident() not in fakes.calls.threads


async def test_http_tells_state_languages_and_speakers(running: Running) -> None:
    client = await running.client(target_lang="eng", name="Pierre", room="kitchen")
    await client.say(speech(11))
    await client.wait_for("result")
    async with running.http() as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).json() == {"ready": True}
        state = (await http.get("/")).json()
        assert (state["service"], state["clients"], state["ready"]) == ("BabbleFish", 1, True)
        page = await http.get("/", headers={"accept": "text/html"})
        assert "<html" in page.text
        assert page.headers["content-encoding"] == "gzip"
        plain = await http.get("/", headers={"accept": "text/html", "accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.text == page.text
        languages = {info["code"]: info for info in (await http.get("/languages")).json()["languages"]}
        assert languages["spa"]["captions"] == "draft"
        assert languages["spa"]["voice"] == "fake:spa"
        assert languages["pol"]["captions"] == "untranslated"
        rooms = (await http.get("/speakers")).json()["rooms"]
        assert [(room["room"], [speaker["name"] for speaker in room["speakers"]]) for room in rooms] == [
            ("kitchen", ["Pierre"])
        ]
