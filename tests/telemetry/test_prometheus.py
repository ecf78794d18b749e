"""What Prometheus is told after a conversation: the values, and that no label can grow with its use."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from babblefish.pipeline.pace import Pace
from babblefish.settings import Settings
from babblefish.telemetry.recorder import TRACES_LIMIT, Recorder
from tests.support.fakes import Fakes, silence, speech
from tests.support.serving import Client, Running, serving

LABELS = {"outcome", "part", "stage", "what", "code", "worker", "group", "engine", "state", "le"}


class Scrape:
    """One answer of ``/metrics``."""

    def __init__(self, text: str) -> None:
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """Return the one sample of this name (after ``babblefish_``) and these labels; 0 where there is none."""
        found = [s.value for s in self.samples if s.name == f"babblefish_{name}" and s.labels == labels]
        assert len(found) <= 1
        return found[0] if found else 0.0

    def by(self, name: str, label: str) -> Mapping[str, float]:
        """Return the samples of a name by one of their labels."""
        return {s.labels[label]: s.value for s in self.samples if s.name == f"babblefish_{name}"}


async def scrape(running: Running) -> Scrape:
    async with running.http() as browser:
        answer = await browser.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return Scrape(answer.text)


async def settled(client: Client) -> None:
    """Wait until the server has taken everything that this client has sent."""
    await client.send_message(type="ping")
    await client.wait_for("pong", len(client.of_type("pong")) + 1)


async def ended(running: Running) -> None:
    assert running.server.rooms is not None
    await running.server.rooms.drain()


async def test_utterances_are_counted_by_how_they_ended(running: Running, fakes: Fakes) -> None:
    client = await running.client(target_lang="spa")
    await client.say(speech(11))
    await client.say(speech(12))
    await client.wait_for("result", 2)
    await client.say(silence(2.0))
    await client.wait_for("error")

    def breaks(_: int) -> None:
        raise RuntimeError("scripted failure")

    fakes.speech_translator.before = breaks
    await client.say(speech(21))
    await client.wait_for("error", 2)
    await ended(running)
    told = await scrape(running)
    outcomes = {outcome: count for outcome, count in told.by("utterances_total", "outcome").items() if count}
    assert outcomes == {"result": 2, "no_speech": 1, "engine_failed": 1}
    assert {code: n for code, n in told.by("errors_total", "code").items() if n} == {"no_speech": 1, "engine_failed": 1}
    assert told.by("worker_failures_total", "worker")["translation"] == 1
    assert told.value("audio_seconds_total") == 8.0


async def test_what_is_too_short_is_an_error_but_no_utterance(running: Running) -> None:
    client = await running.client()
    await client.say(speech(11, 0.05))
    await client.send_message(type="nonsense")
    await client.wait_for("error", 2)
    told = await scrape(running)
    assert sum(told.by("utterances_total", "outcome").values()) == 0
    errors = {code: count for code, count in told.by("errors_total", "code").items() if count}
    assert errors == {"too_short": 1, "invalid_message": 1}


async def test_an_utterance_refused_as_overloaded_is_counted_as_one(fakes: Fakes, gate: threading.Event) -> None:
    async with serving(Settings(log_level="warning", utterances_per_client=1), fakes.engines) as running:
        client = await running.client()
        fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
        for _ in range(3):
            await client.say(speech(11))
        await client.wait_for("error", 2)
        gate.set()
        await client.wait_for("result")
        await ended(running)
        outcomes = (await scrape(running)).by("utterances_total", "outcome")
        assert (outcomes["overloaded"], outcomes["result"]) == (2, 1)


async def test_every_stage_is_timed_once_for_each_time_it_was_done(running: Running, fakes: Fakes) -> None:
    fakes.text_translator.delay_s = 0.05
    fakes.synthesizer.delay_s = {"spa": 0.1}
    spanish = await running.client(target_lang="spa", audio="stream")
    french = await running.client(target_lang="fra", audio="stream")
    await french.say(speech(11))
    await spanish.wait_until(lambda: any(piece["last"] for piece in spanish.of_type("speech")))
    await ended(running)
    told = await scrape(running)
    counts = told.by("stage_seconds_count", "stage")
    assert counts == dict.fromkeys(
        ["endpoint", "voice", "queue", "encode", "decode", "speaker", "translate", "synthesis_queue"], 1.0
    ) | {"first_speech": 1.0, "synthesize": 1.0}
    sums = told.by("stage_seconds_sum", "stage")
    assert sums["encode"] == pytest.approx(0.001)
    assert sums["translate"] >= 0.05
    assert sums["first_speech"] >= 0.1
    assert sums["synthesize"] >= 0.2
    assert told.value("caption_seconds_count") == 2, "one for each language"
    assert told.value("first_speech_seconds_count") == 1, "nothing is spoken in the language of the speaker"
    assert told.value("first_speech_seconds_sum") >= 0.15
    assert told.value("first_speech_seconds_sum") > told.value("caption_seconds_sum") / 2
    assert told.value("first_speech_seconds_bucket", le="0.1") == 0
    assert told.value("first_speech_seconds_bucket", le="+Inf") == 1


async def test_the_first_sound_at_a_listener_is_measured_once_for_each(running: Running) -> None:
    french = await running.client(target_lang="fra", client_id="speaker")
    english = await running.client(target_lang="eng", audio="wav")
    spanish = await running.client(target_lang="spa", audio="stream")
    assert all(client.messages[0]["wants_played"] for client in (french, english, spanish))
    await french.say(speech(11))
    await english.wait_for("result")
    (first, *_) = await spanish.wait_for("speech")
    utterance_id = first["utterance_id"]
    for client in (english, spanish, spanish, french):  # one tells it twice, one was given nothing to play
        await client.send_message(type="played", utterance_id=utterance_id)
        await client.send_message(type="played", utterance_id="never-heard-of")
        await settled(client)
    told = await scrape(running)
    assert told.value("playback_seconds_count") == 2
    assert told.value("playback_seconds_sum") > 0
    assert [client.of_type("error") for client in (french, english, spanish)] == [[], [], []]
    trace = running.server.recorder.traces[utterance_id]
    assert trace.caption_s is not None
    assert trace.speech_s is not None
    assert trace.played_s is not None
    assert 0 < trace.caption_s <= trace.speech_s <= trace.played_s


async def test_only_so_many_utterances_are_remembered(running: Running, fakes: Fakes) -> None:
    recorder: Recorder = running.server.recorder
    client = await running.client(target_lang="eng")
    await client.say(speech(11))
    (result,) = await client.wait_for("result")
    await ended(running)
    kept = recorder.traces[result["utterance_id"]]
    for index in range(TRACES_LIMIT - 1):
        recorder.traces[f"other {index}"] = kept
    await client.say(speech(12))
    await client.wait_for("result", 2)
    assert len(recorder.traces) == TRACES_LIMIT
    assert result["utterance_id"] not in recorder.traces
    await client.send_message(type="played", utterance_id=result["utterance_id"])
    await settled(client)
    assert (await scrape(running)).value("playback_seconds_count") == 0


async def test_parts_of_a_result_that_are_lost_are_counted(running: Running, fakes: Fakes) -> None:
    fakes.text_translator.broken = True
    fakes.speaker_encoder.broken = True
    fakes.synthesizer.broken_after = 1
    spanish = await running.client(target_lang="spa")
    await running.client(target_lang="eng")
    await spanish.say(speech(11))
    await spanish.wait_for("result")
    await ended(running)
    told = await scrape(running)
    assert told.by("lost_parts_total", "part") == {"caption": 1, "speaker": 1, "speech": 1}
    assert told.by("utterances_total", "outcome")["result"] == 1


async def test_refused_connections_are_counted_by_their_reason(fakes: Fakes) -> None:
    async with serving(Settings(log_level="warning", max_clients=1), fakes.engines) as running:
        await running.client()
        for _ in range(2):
            full = await running.client(wait_ready=False)
            await full.closed.wait()
        foreign = await running.client(wait_ready=False, origin="https://elsewhere.example")
        await foreign.closed.wait()
        refused = (await scrape(running)).by("refused_connections_total", "code")
        assert refused == {"full": 2, "not_allowed": 1}


async def test_the_state_of_the_moment_is_told(running: Running, fakes: Fakes, gate: threading.Event) -> None:
    clients = [await running.client(room=room) for room in ("one", "one", "two")]
    told = await scrape(running)
    assert (told.value("clients"), told.value("rooms")) == (3, 2)
    workers = {"translation", "text-translation", "synthesis", "speaker", "sockets"}
    assert set(told.by("pending_jobs", "worker")) == workers
    assert set(told.by("cpu_seconds_total", "group")) == workers | {*{"dashboard", "event-loop", "programs", "other"}}
    assert told.value("engine_state", engine="speech_translator", state="ready") == 1
    assert told.value("engine_state", engine="speech_translator", state="loading") == 0
    assert {sample.name for sample in told.samples} >= {"process_resident_memory_bytes", "process_cpu_seconds_total"}
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    await clients[0].say(speech(11))
    await clients[1].say(speech(12))
    while not running.server.runtime.workers.translation.pending:
        await settled(clients[1])
    assert (await scrape(running)).value("pending_jobs", worker="translation") >= 1
    gate.set()
    await clients[0].wait_for("result", 2)


async def test_a_room_that_is_behind_is_counted_once_for_each_thing_it_goes_without(
    fakes: Fakes, gate: threading.Event
) -> None:
    pace = Pace(behind_s=0.1, well_behind_s=0.15, far_behind_s=0.2, behind_look_s=0.02)
    async with serving(Settings(log_level="error"), fakes.engines, pace) as running:
        told = await scrape(running)
        assert told.value("behind_seconds") == 0
        assert told.by("shed_total", "what") == {"interim": 0, "early_speech": 0, "speech": 0}
        fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
        client = await running.client(target_lang="eng")
        await client.say(speech(11))
        await client.wait_until(lambda: any("speech" in told["without"] for told in client.of_type("behind")))
        told = await scrape(running)
        assert told.value("behind_seconds") >= 0.2
        assert told.by("shed_total", "what") == {"interim": 1, "early_speech": 1, "speech": 1}
        gate.set()
        await client.wait_for("result")
        await ended(running)
        told = await scrape(running)
        assert told.value("behind_seconds") == 0
        assert told.by("shed_total", "what") == {"interim": 1, "early_speech": 1, "speech": 1}


async def test_cpu_time_counts_to_the_worker_that_spends_it(running: Running) -> None:
    def compute() -> None:
        while time.thread_time() < 0.1:
            pass

    before = (await scrape(running)).by("cpu_seconds_total", "group")
    await running.server.runtime.workers.synthesis.run(compute)
    after = (await scrape(running)).by("cpu_seconds_total", "group")
    spent = {group: after[group] - before[group] for group in after}
    assert spent["synthesis"] >= 0.05
    assert spent["speaker"] == 0


async def test_no_label_grows_with_users_rooms_or_utterances(running: Running) -> None:
    client = await running.client(name="Somebody", room="secret-room", client_id="somebody")
    await client.say(speech(11))
    await client.wait_for("result")
    await ended(running)
    told = await scrape(running)
    assert {
        label for sample in told.samples for label in sample.labels if sample.name.startswith("babblefish")
    } <= LABELS
    values = {value for sample in told.samples for value in sample.labels.values()}
    assert not values & {"Somebody", "secret-room", "somebody", client.of_type("result")[0]["utterance_id"]}


async def test_two_servers_in_one_process_count_for_themselves(
    running: Running, settings: Settings, fakes: Fakes
) -> None:
    client = await running.client()
    await client.say(speech(11))
    await client.wait_for("result")
    await ended(running)
    async with serving(settings, fakes.engines) as other:
        assert (await scrape(other)).by("utterances_total", "outcome")["result"] == 0
    assert (await scrape(running)).by("utterances_total", "outcome")["result"] == 1
