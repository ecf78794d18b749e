"""Nothing is lost: what the page does with what is said, by either side, while there is no connection."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, Playwright, expect

from babblefish.domain import SAMPLE_RATE_HZ
from babblefish.wire import server_messages
from tests.support.browser import (
    DEMO,
    QUIET,
    ScriptedServer,
    browser_hearing,
    join,
    joined,
    microphone_file,
    result,
    tone_wav,
    wait_for_state,
    wait_until,
)

pytestmark = pytest.mark.slow

COUNTING = """
    // Every frame carries its number, so that the other side sees what is missing or came twice.
    let count = 0;
    const send = WebSocket.prototype.send;
    const Node = window.AudioWorkletNode;
    window.AudioWorkletNode = class extends Node {
      constructor(...wanted) {
        super(...wanted);
        const own = this.port;
        const numbered = {
          set onmessage(take) {
            own.onmessage = ({ data }) => {
              new Int16Array(data.pcm).fill(++count);
              take({ data });
            };
          },
        };
        Object.defineProperty(this, "port", { value: numbered });
      }
    };
    window.frames_made = () => count;
"""


@pytest.fixture(scope="module")
def browser(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose microphone hears somebody who goes on and on, as silence is not sent."""
    samples, rate_hz = soundfile.read(DEMO, dtype="float32")
    path = tmp_path_factory.mktemp("microphone") / "talk.wav"
    with browser_hearing(playwright, microphone_file(path, np.tile(samples, 10), rate_hz, silence_s=0.5)) as browser:
        yield browser


def numbers(server: ScriptedServer) -> list[int]:
    """Return the numbers of the frames that arrived, in order."""
    return [int(np.frombuffer(frame, np.int16)[0]) for frame in server.frames]


def past(seq: int, **changes: Any) -> dict[str, Any]:
    """Return a caption that was missed, as the server sends it again."""
    return json.loads(server_messages.encode(result(seq, **changes))) | {"replayed": True}


def test_what_is_said_during_a_short_drop_is_sent_once_and_in_order(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(COUNTING)
    joined(page, server)
    wait_until(page, lambda: len(server.frames) > 10, "sound arrives")
    server.door.clear()
    server.drop()
    wait_for_state(page, "reconnecting")
    expect(page.locator("#detail")).to_contain_text("Your last 15 s won\u2019t be lost.")
    before = page.evaluate("frames_made()")
    page.wait_for_function("made => frames_made() > made + 50", arg=before)
    server.door.set()
    wait_for_state(page, *QUIET, "behind")
    made = page.evaluate("frames_made()")
    wait_until(page, lambda: numbers(server)[-1] > made, "what was kept and what is new arrives")
    came = numbers(server)
    assert len(set(came)) == len(came), "nothing is sent twice"
    assert came == sorted(came), "everything comes in the order in which it was said"
    assert set(range(before, made)) <= set(came), "nothing of the drop is missing"


def test_a_server_that_says_it_ends_gets_no_more_and_the_next_gets_all_since(
    page: Page, server: ScriptedServer
) -> None:
    page.add_init_script(COUNTING)
    joined(page, server)
    wait_until(page, lambda: len(server.frames) > 10, "sound arrives")
    server.say({"type": "error", "code": "restarting", "message": "the server restarts", "fatal": True})
    server.send(result(1))  # what it was about to say it still says
    expect(page.locator("#captions > li")).to_have_count(1)
    page.wait_for_timeout(100)
    before = numbers(server)[-1]
    page.wait_for_function("made => frames_made() > made + 25", arg=before)
    assert numbers(server)[-1] == before
    server.drop()
    wait_for_state(page, "reconnecting")
    expect(page.locator("#detail")).to_contain_text("The server restarts.")
    wait_for_state(page, *QUIET, "behind")
    made = page.evaluate("frames_made()")
    wait_until(page, lambda: numbers(server)[-1] > made, "what was kept and what is new arrives")
    came = numbers(server)
    assert came == sorted(set(came)), "nothing is sent twice"
    assert set(range(before, made)) <= set(came), "nothing is missing"


def test_who_sent_too_much_is_told_and_comes_back(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.say({"type": "error", "code": "too_fast", "message": "more than 600 messages a minute", "fatal": True})
    server.drop(server_messages.CLOSE_FULL)
    wait_for_state(page, "limited")
    expect(page.locator("#state")).to_have_text("Too many requests from your network")
    expect(page.locator("#announcement")).to_contain_text("More than 600 messages a minute.")
    wait_for_state(page, *QUIET)


def test_of_a_long_drop_the_last_15_seconds_are_sent(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(COUNTING)
    joined(page, server)
    wait_until(page, lambda: len(server.frames) > 10, "sound arrives")
    server.door.clear()
    server.drop()
    before = page.evaluate("frames_made()")
    kept = 15 * SAMPLE_RATE_HZ // 640
    page.wait_for_function("([made, kept]) => frames_made() > made + kept + 60", arg=[before, kept])
    heard = len(server.frames)
    server.door.set()
    wait_until(page, lambda: len(server.frames) > heard + kept, "what was kept arrives")
    came = numbers(server)[heard:]
    assert came[0] > before + 50, "the oldest went first"
    assert came[: kept + 1] == list(range(came[0], came[0] + kept + 1))


def test_an_utterance_that_ends_during_a_drop_is_ended_where_it_ended(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(COUNTING)
    joined(page, server)
    wait_until(page, lambda: len(server.frames) > 5, "sound arrives")
    server.door.clear()
    server.drop()
    wait_for_state(page, "reconnecting")
    heard = len(server.frames)
    # Longer than the pauses of the speaker, of which nothing would be sent.
    page.wait_for_function("made => frames_made() > made + 25", arg=page.evaluate("frames_made()"))
    page.get_by_role("button", name="Mute microphone").click()
    server.door.set()
    wait_until(page, lambda: server.controls == [{"type": "flush"}], "the end of the utterance arrives")
    assert len(server.frames) > heard, "after what was said"


def test_captions_missed_while_away_are_asked_for_and_read_but_not_spoken(page: Page, server: ScriptedServer) -> None:
    server.history = {"history_id": "h1", "last_seq": 4}
    joined(page, server)
    assert server.resumes == [], "who joins for the first time has missed nothing"
    server.send(result(5, translation="five"), result(6, translation="six"))
    expect(page.locator("#captions > li")).to_have_count(2)
    server.drop()
    asked = {"type": "resume", "history_id": "h1", "after_seq": 6}
    wait_until(page, lambda: server.resumes == [asked], "the missed captions are asked for")
    server.say(past(6, translation="six"), past(7, translation="seven"), past(8, translation="eight"))
    server.say({"type": "resumed", "replayed": 3, "lost": 0})
    server.send(result(9, translation="nine", tts_audio=tone_wav(0.2)))
    texts = page.locator("#captions .text")
    expect(texts).to_have_text(["five", "six", "seven", "eight", "nine"])
    expect(page.locator("#captions .mark")).to_have_text(["while you were away"] * 2)
    page.wait_for_function("() => babblefish.playedUtterances === 1")
    assert [piece["seq"] for piece in page.evaluate("babblefish.playedPieces")] == [9]
    expect(page.locator("#note")).to_be_hidden()


def test_who_returns_before_anything_was_said_asks_from_where_they_joined(page: Page, server: ScriptedServer) -> None:
    server.history = {"history_id": "h1", "last_seq": 4}
    joined(page, server)
    server.drop()
    asked = {"type": "resume", "history_id": "h1", "after_seq": 4}
    wait_until(page, lambda: server.resumes == [asked], "the missed captions are asked for")


@pytest.mark.parametrize(
    ("lost", "unknown", "told"),
    [(12, False, "12"), (12, True, "12+"), (0, True, "?")],
    ids=["12", "12 or more", "unknown"],
)
def test_captions_that_are_gone_for_good_are_told(
    page: Page, server: ScriptedServer, lost: int, unknown: bool, told: str
) -> None:
    server.history = {"history_id": "h1", "last_seq": 0}
    joined(page, server)
    server.drop()
    wait_until(page, lambda: len(server.resumes) == 1, "the missed captions are asked for")
    server.say({"type": "resumed", "replayed": 0, "lost": lost, "lost_unknown": unknown})
    expect(page.locator("#note")).to_have_text(f"Captions you missed: {told}")


def test_ones_own_words_are_ones_own_after_a_return_under_another_id(page: Page, server: ScriptedServer) -> None:
    server.history = {"history_id": "h1", "last_seq": 0, "client_id": "first"}
    joined(page, server)
    server.history |= {"client_id": "second"}
    server.drop()
    wait_until(page, lambda: len(server.resumes) == 1, "the missed captions are asked for")
    server.say(past(1, client_id="first"))
    server.send(result(2, client_id="second"), result(3))
    expect(page.locator("#captions > li")).to_have_count(3)
    expect(page.locator("#captions > li.mine")).to_have_count(2)


def test_a_server_that_restarts_is_found_again_and_counts_anew(page: Page, server: ScriptedServer) -> None:
    server.history = {"history_id": "h1", "last_seq": 0}
    joined(page, server)
    server.send(result(7, translation="before"))
    expect(page.locator("#captions > li")).to_have_count(1)
    server.away = True
    server.drop()
    wait_for_state(page, "reconnecting")
    expect(page.get_by_role("button", name="Try now")).to_be_visible()
    page.wait_for_timeout(1000)
    server.away = False
    server.history = {"history_id": "h2", "last_seq": 0}
    wait_for_state(page, *QUIET, "behind")
    server.send(result(1, translation="after"))
    expect(page.locator("#captions .text")).to_have_text(["before", "after"])
    server.drop()
    asked = [
        {"type": "resume", "history_id": "h1", "after_seq": 7},
        {"type": "resume", "history_id": "h2", "after_seq": 1},
    ]
    wait_until(page, lambda: server.resumes == asked, "both are asked for what was missed")


def test_the_time_until_the_next_attempt_counts_down_and_is_announced_once(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    page.evaluate("""() => {
        window.said = { detail: [], announcement: [] };
        for (const [id, texts] of Object.entries(said)) {
          const node = document.getElementById(id);
          new MutationObserver(() => texts.push(node.textContent)).observe(node, { childList: true });
        }
    }""")
    server.away = True
    server.drop()
    counted = "() => [3, 2, 1].every((n) => said.detail.some((text) => text.endsWith(`again in ${n} s.`)))"
    page.wait_for_function(counted)
    announced = [text for text in page.evaluate("said.announcement") if text.startswith("Reconnecting")]
    assert len(announced) == 1


def test_leaving_and_joining_again_asks_for_nothing_of_before(page: Page, server: ScriptedServer) -> None:
    server.history = {"history_id": "h1", "last_seq": 0}
    joined(page, server)
    server.send(result(1))
    expect(page.locator("#captions > li")).to_have_count(1)
    page.get_by_role("button", name="Leave").click()
    join(page)
    wait_for_state(page, *QUIET)
    page.get_by_role("button", name="Mute microphone").click()
    wait_until(page, lambda: server.controls == [{"type": "flush"}], "the connection is used")


def test_a_network_too_slow_for_speech_shows_how_far_behind_it_is(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(
        "Object.defineProperty(WebSocket.prototype, 'bufferedAmount', { get: () => window.stuck ? 1e6 : 0 })"
    )
    joined(page, server)
    wait_until(page, lambda: len(server.frames) > 5, "sound arrives")
    page.evaluate("window.stuck = true")
    wait_for_state(page, "behind")
    expect(page.locator("#state")).to_have_text(re.compile(r"\d+ s behind"))
    page.evaluate("window.stuck = false")
    wait_for_state(page, *QUIET)


def test_voices_that_wait_to_be_heard_show_how_far_behind_they_are(page: Page, server: ScriptedServer) -> None:
    joined(page, server)
    server.send(result(1, tts_audio=tone_wav(4)), result(2, tts_audio=tone_wav(4)))
    wait_for_state(page, "behind")
    expect(page.locator("#state")).to_have_text(re.compile(r"\d+ s behind"))
    page.wait_for_function("() => babblefish.playedUtterances === 2")
    wait_for_state(page, *QUIET)


def test_what_went_into_a_connection_that_died_in_silence_is_sent_again(page: Page, server: ScriptedServer) -> None:
    page.clock.install()
    page.add_init_script(COUNTING)
    joined(page, server)
    wait_until(page, lambda: len(server.frames) > 10, "sound arrives")
    page.clock.fast_forward(11_000)
    wait_until(page, lambda: server.controls == [{"type": "ping"}], "the page asks whether anybody is there")
    asked_at = len(server.frames)
    wait_until(page, lambda: len(server.frames) > asked_at + 20, "sound arrives")
    page.clock.fast_forward(11_000)  # nobody answered
    wait_until(page, lambda: len(server.joins) == 2, "the page comes back")
    made = page.evaluate("frames_made()")
    wait_until(page, lambda: numbers(server)[-1] > made, "what was kept and what is new arrives")
    came = numbers(server)
    assert set(came) == set(range(1, came[-1] + 1)) - set(range(1, came[0])), "nothing is missing"
    again = sorted({number for number in came if came.count(number) > 1})
    assert len(again) >= 20
    assert again[0] >= came[asked_at] - 5, "what was sent before the question had arrived"
