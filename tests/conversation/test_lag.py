"""A room that is behind what is said in it says so, and goes without what matters least until it has caught up."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import get_args

import pytest

from babblefish.conversation.lag import Lag
from babblefish.conversation.members import Member
from babblefish.conversation.outbox import Outbox
from babblefish.domain import Shed
from babblefish.pipeline.pace import Pace
from babblefish.settings import Settings
from babblefish.telemetry.prometheus import Metrics
from babblefish.telemetry.recorder import Recorder
from tests.support.fakes import Clock, Fakes, speech
from tests.support.serving import Running, serving
from tests.support.waiting import until


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(100)


@pytest.fixture
async def lag(clock: Clock, outbox: Outbox) -> AsyncIterator[Lag]:
    member = Member("dan", "Dan", "eng", "auto", "stream", "stream", outbox)
    lag = Lag({"dan": member}, Pace(behind_s=8.0, well_behind_s=11.0, far_behind_s=15.0), Recorder(Metrics()), clock)
    yield lag
    lag.close()


async def told(outbox: Outbox) -> list[str]:
    outbox.end()
    messages = []
    while (message := await outbox.get()) is not None:
        messages.append(message)
    return messages


def shed(lag: Lag) -> list[str]:
    return [what for what in get_args(Shed) if lag.sheds(what)]


async def test_interim_captions_go_first_then_early_speech_then_all_and_come_back(
    lag: Lag, clock: Clock, outbox: Outbox
) -> None:
    lag.waits("a")
    seen = []
    for _ in range(5):
        clock.now_s += 4.0
        lag.look()
        seen.append((lag.seconds, shed(lag)))
    everything = ["interim", "early_speech", "speech"]
    assert seen == [(4.0, []), (8.0, ["interim"]), (12.0, everything[:2]), (16.0, everything), (20.0, everything)]
    lag.waits("b")
    lag.served("a")
    assert shed(lag) == []
    assert await told(outbox) == [
        '{"type":"behind","seconds":8.0,"without":["interim"]}',
        '{"type":"behind","seconds":12.0,"without":["interim","early_speech"]}',
        '{"type":"behind","seconds":16.0,"without":["interim","early_speech","speech"]}',
        '{"type":"behind","seconds":20.0,"without":["interim","early_speech","speech"]}',
        '{"type":"behind","seconds":0.0,"without":[]}',
    ]


async def test_what_was_shed_does_not_come_back_at_the_limit_at_which_it_went(lag: Lag, clock: Clock) -> None:
    lag.waits("a")
    clock.now_s += 9.0
    lag.waits("b")
    clock.now_s += 6.0
    lag.look()
    assert shed(lag) == ["interim", "early_speech", "speech"]
    lag.served("a")
    assert shed(lag) == ["interim", "early_speech"], "the next has waited for 6 s"


async def test_speech_that_nobody_hears_yet_is_waited_for_as_well(lag: Lag, clock: Clock) -> None:
    lag.waits("a")
    lag.waits("a", "fra")
    clock.now_s += 9.0
    lag.served("a")
    assert (lag.seconds, shed(lag)) == (9.0, ["interim"])
    lag.served("a", "fra")
    assert (lag.seconds, shed(lag)) == (0.0, [])


@pytest.fixture
async def hurried(fakes: Fakes) -> AsyncIterator[Running]:
    """A server whose rooms are soon behind."""
    pace = Pace(behind_s=0.2, well_behind_s=0.3, far_behind_s=0.4, behind_look_s=0.02)
    async with serving(Settings(log_level="error"), fakes.engines, pace) as running:
        yield running


async def test_captions_go_on_without_speech_until_the_room_has_caught_up(
    hurried: Running, fakes: Fakes, gate: threading.Event
) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    french = await hurried.client(target_lang="fra", audio="none")
    english = await hurried.client(target_lang="eng")
    await french.say(speech(11))
    await french.say(speech(12))
    await english.wait_until(lambda: any("speech" in told["without"] for told in english.of_type("behind")))
    gate.set()
    results = await english.wait_for("result", 2)
    assert (results[0]["quality"], results[0]["status"], results[0]["tts_audio"]) == ("good", "final", None)
    await english.wait_until(lambda: english.of_type("behind")[-1] == {"type": "behind", "seconds": 0, "without": []})
    without = [told["without"] for told in english.of_type("behind")]
    assert (without[0], without[1][-1], without[2][-1]) == (["interim"], "early_speech", "speech")
    await french.say(speech(12))
    assert (await english.wait_for("result", 3))[-1]["tts_audio"]


async def test_one_who_never_stops_does_not_starve_five_others(
    hurried: Running, fakes: Fakes, gate: threading.Event
) -> None:
    fakes.speech_translator.before = lambda phrase: gate.wait(10) and None
    endless = await hurried.client(target_lang="fra", audio="none")
    for _ in range(hurried.server.settings.utterances_per_client):
        await endless.say(speech(31, 15.0))
    await until(lambda: fakes.calls.count["encode"] == 1)
    others = [await hurried.client(target_lang="fra", audio="none") for _ in range(5)]
    for other, phrase in zip(others, (11, 12, 21, 22, 23), strict=True):
        await other.say(speech(phrase))
        await other.catch_up()
    gate.set()
    results = await others[0].wait_for("result", 12)
    order = [result["client_id"] == endless.messages[0]["client_id"] for result in results]
    assert order == [*[False] * 5, *[True] * 7], "each waits for the one that was being recognised, and no further"
