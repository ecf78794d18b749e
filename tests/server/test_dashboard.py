"""The dashboard's JSON: the shape of the first design, how the server is, and where an utterance's time went."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from babblefish.pipeline.pace import Pace
from babblefish.server import dashboard as watching
from babblefish.server.dashboard import Dashboard, spent
from babblefish.server.server import Server
from babblefish.server.trends import Trends
from babblefish.settings import Settings
from babblefish.telemetry.prometheus import Metrics
from babblefish.telemetry.recorder import Recorder, Trace
from babblefish.telemetry.usage import Usage
from tests.support.fakes import Fakes, speech
from tests.support.serving import Running, serving

SHAPE_OF_THE_OWNER: dict[str, set[str]] = {
    "server": {"uptime", "cpu_percent", "memory_mb", "threads_active"},
    "clients": {"connected", "list"},
    "speakers": {"known", "list"},
    "performance": {"avg_latency_ms", "utterances_processed", "errors"},
}
HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not what is looked at here."""
    monkeypatch.setattr(watching, "_LATE_LOOP_MS", float("inf"))
    monkeypatch.setattr(watching, "_LITTLE_MEMORY", 0.0)


async def look(running: Running, query: str = "") -> dict[str, Any]:
    async with running.http() as browser:
        state: dict[str, Any] = (await browser.get(f"/dashboard{query}")).json()
    return state


async def test_it_has_the_shape_of_the_first_design(running: Running) -> None:
    pierre = await running.client(target_lang="fra", name="Pierre", room="kitchen")
    dan = await running.client(target_lang="eng", name="Dan", room="kitchen")
    await pierre.say(speech(11))
    (result,) = await dan.wait_for("result")
    assert running.server.rooms is not None
    await running.server.rooms.drain()
    state = await look(running)
    assert {part: state[part].keys() >= keys for part, keys in SHAPE_OF_THE_OWNER.items()} == dict.fromkeys(
        SHAPE_OF_THE_OWNER, True
    )
    assert state["clients"]["connected"] == 2
    assert [(one["name"], one["target_lang"]) for one in state["clients"]["list"]] == [
        ("Pierre", "fra"),
        ("Dan", "eng"),
    ]
    assert state["clients"]["list"][0]["connected_at"].startswith("20")
    assert state["speakers"] == {
        "known": 1,
        "list": [{"id": "speaker_1", "name": "Pierre", "samples": 1, "room": "kitchen"}],
    }
    assert state["performance"]["utterances_processed"] == 1
    assert state["performance"]["errors"] == 0
    assert 0 < state["performance"]["avg_latency_ms"] <= result["latency_ms"] + 1000
    assert state["rooms"] == [{"room": "kitchen", "langs": {"fra": 1, "eng": 1}, "behind_s": 0.0, "without": []}]
    assert state["server"]["threads_active"] > 1
    assert state["server"]["process_memory_mb"] > 10


async def test_a_browser_gets_the_page_and_everybody_else_the_figures(running: Running) -> None:
    async with running.http() as browser:
        page = await browser.get("/dashboard", headers=HTML)
        figures = await browser.get("/dashboard?format=json", headers=HTML)
    assert page.headers["content-type"].startswith("text/html")
    assert "<title>BabbleFish dashboard" in page.text
    assert figures.json()["health"] == {"state": "well", "reasons": []}


async def test_no_word_of_a_conversation_is_in_it(running: Running) -> None:
    client = await running.client(target_lang="eng")
    await client.say(speech(11))
    await client.wait_for("result")
    async with running.http() as browser:
        text = (await browser.get("/dashboard")).text
    assert len(text) > 500
    assert not [word for word in ("bonjour", "tout le monde") if word in text]


async def test_what_belongs_to_a_conversation_is_no_error_and_a_failed_engine_degrades(
    running: Running, fakes: Fakes
) -> None:
    client = await running.client(target_lang="eng")
    await client.say(speech(11, 0.05))
    await client.wait_for("error")
    state = await look(running)
    assert (state["performance"]["errors"], state["performance"]["errors_by_code"]) == (0, {"too_short": 1})
    assert state["health"]["state"] == "well"

    def breaks(_: int) -> None:
        raise RuntimeError("scripted failure")

    fakes.speech_translator.before = breaks
    await client.say(speech(11))
    await client.wait_for("error", 2)
    state = await look(running)
    assert (state["performance"]["errors"], state["health"]["state"]) == (1, "degraded")
    assert state["health"]["reasons"] == [
        "engine_failed in the last 5 minutes: 1",
        "failed engine calls in the last 5 minutes: 1",
    ]


async def test_a_room_that_is_behind_degrades_until_it_has_caught_up(fakes: Fakes, gate: threading.Event) -> None:
    pace = Pace(behind_s=0.1, well_behind_s=0.15, far_behind_s=0.2, behind_look_s=0.02)
    async with serving(Settings(log_level="error"), fakes.engines, pace) as running:
        fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
        client = await running.client(target_lang="eng")
        await client.say(speech(11))
        await client.wait_until(lambda: any("speech" in told["without"] for told in client.of_type("behind")))
        state = await look(running)
        assert state["rooms"][0]["behind_s"] >= 0.2
        assert state["rooms"][0]["without"] == ["interim", "early_speech", "speech"]
        (reason,) = state["health"]["reasons"]
        assert reason.startswith("rooms behind what is said in them: 1, by up to ")
        assert reason.endswith(" s, without interim captions, the speech of clauses, the speech of new results")
        gate.set()
        await client.wait_until(lambda: client.of_type("behind")[-1]["seconds"] == 0)
        assert (await look(running))["health"] == {"state": "well", "reasons": []}


async def test_places_that_are_all_taken_and_parts_that_are_missing_degrade(settings: Settings, fakes: Fakes) -> None:
    server = Server(settings.model_copy(update={"max_clients": 0}), fakes.engines)
    server.runtime.without["kokoro"] = "its weights are not there"
    dashboard = Dashboard(server)
    state = await dashboard.state()
    assert state["health"]["state"] == "degraded"
    assert state["health"]["reasons"] == [
        "running without kokoro: its weights are not there",
        "the server is full: 0 clients",
    ]
    await dashboard.close()
    await server.close()


async def test_a_server_that_loads_or_cannot_is_not_ready_and_says_why(settings: Settings) -> None:
    server = Server(settings)
    dashboard = Dashboard(server)
    state = await dashboard.state()
    assert state["health"] == {"state": "not_ready", "reasons": ["the engines are loading"]}
    assert {engine["state"] for engine in state["engines"]} == {"loading"}
    server.failure = "the weights are not there"
    state = await dashboard.state()
    assert state["health"] == {"state": "not_ready", "reasons": ["the weights are not there"]}
    assert {engine["state"] for engine in state["engines"]} == {"failed"}
    await dashboard.close()
    await server.close()


async def test_a_server_that_ends_is_not_ready_any_more(running: Running) -> None:
    running.server.draining = True
    state = await look(running)
    assert state["health"] == {"state": "not_ready", "reasons": ["shutting down: finishing utterances in progress"]}


def usage(cpu_s: float) -> Usage:
    return Usage({"translation": cpu_s}, 500.0, 0.0, 10, 50.0, 2000.0, 0.5)


def trace(name: str, caption_s: float, finished_s: float) -> Trace:
    return Trace(
        name, 0.0, 1000.0, 2.0, {"encode": 100.0}, caption_s=caption_s, finished_s=finished_s, outcome="result"
    )


def test_points_tell_of_the_minute_before_and_no_more_than_an_hour_is_kept() -> None:
    recorder = Recorder(Metrics())
    recorder.traces.update((str(i), trace(str(i), caption_s, 5.0)) for i, caption_s in enumerate((1.0, 2.0, 3.0)))
    recorder.faults.append((1001.0, "internal"))
    trends = Trends(recorder, ())
    trends.add(at=0.0, now_s=1005.0, usage=usage(3.0), clients=2, lag_s=0.001, behind_s=0.0)
    recorder.faults.append((1008.0, "overloaded"))
    trends.add(at=10.0, now_s=1015.0, usage=usage(8.0), clients=2, lag_s=0.02, behind_s=4.0)
    first, second = trends.points
    assert first.caption == pytest.approx((2.0, 2.9))
    assert first.stages == {"encode": pytest.approx((0.1, 0.1))}
    assert (first.speech, first.utterances) == (None, 3)
    assert (first.errors, second.errors) == (1, 1)
    assert second.cpu_percent == {"translation": pytest.approx(50.0)}
    assert (second.lag_ms, second.behind_s) == (pytest.approx(20.0), 4.0)
    trends.add(at=60.0, now_s=1066.0, usage=usage(9.0), clients=0, lag_s=0.0, behind_s=0.0)
    assert (trends.points[-1].caption, trends.points[-1].utterances) == (None, 0)
    for index in range(1000):
        trends.add(at=70.0 + index, now_s=1070.0 + index, usage=usage(9.0), clients=0, lag_s=0.0, behind_s=0.0)
    assert len(trends.points) == 360


async def test_only_points_that_are_new_are_sent_again(running: Running) -> None:
    while not (points := (await look(running))["trend"]["points"]):
        pass
    assert points[0]["at"] == pytest.approx(time.time(), abs=60)
    assert (await look(running, f"?since={points[-1]['at']}"))["trend"]["points"] == []


def test_an_utterances_time_is_split_without_rest_up_to_the_sound_at_a_listener() -> None:
    timings_ms = {
        **{"endpoint": 400.0, "voice": 50.0, "speaker": 900.0, "queue": 100.0, "encode": 200.0, "decode": 300.0},
        **{"translate": 80.0, "synthesis_queue": 20.0, "first_speech": 250.0},
    }
    spoken = Trace("one", 0.0, 0.0, 2.0, timings_ms, caption_s=1.2, speech_s=1.5, played_s=1.75)
    assert dict(spent(spoken)) == pytest.approx(
        {
            **{"endpoint": 0.4, "voice": 0.05, "queue": 0.1, "encode": 0.2, "decode": 0.3, "translate": 0.08},
            **{"synthesis queue": 0.02, "synthesis": 0.23, "waiting": 0.12, "playback": 0.25},
        }
    )
    assert sum(seconds for _, seconds in spent(spoken)) == pytest.approx(1.75)
    read_only = Trace("two", 0.0, 0.0, 2.0, {"encode": 200.0}, caption_s=0.5)
    assert dict(spent(read_only)) == pytest.approx(
        {"endpoint": 0.0, "voice": 0.0, "queue": 0.0, "encode": 0.2, "translate": 0.0, "waiting": 0.3}
    )
    assert dict(spent(Trace("three", 0.0, 0.0, 2.0, finished_s=0.7, outcome="engine_failed"))) == {
        "until given up": 0.7
    }
    assert dict(spent(Trace("four", 0.0, 0.0, 2.0))) == {}
