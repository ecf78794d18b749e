"""The dashboard in a real browser, with the figures of a real server. It writes screenshots, too."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect
from websockets.sync.client import connect

from babblefish.audio import pcm
from babblefish.engines.contracts import SpeechRequest, SpeechTranslation
from babblefish.server import dashboard
from babblefish.server.app import create_app, server_config
from babblefish.server.server import Server
from babblefish.server.trends import EVERY_S, Point
from babblefish.settings import Settings
from tests.browser.test_access import SCREENS, SCREENSHOTS, photograph, serious
from tests.support.browser import wait_until
from tests.support.fakes import Fakes, FakeSpeechTranslator, make_fakes, speech

pytestmark = pytest.mark.slow

WORDS = "bonjour tout le monde"
STAGES = {"endpoint": 0.01, "voice": 0.05, "queue": 0.03, "encode": 0.4, "decode": 0.5, "translate": 0.08}


class _Timed(FakeSpeechTranslator):
    """Says where its time went, as an engine does."""

    def translate(self, request: SpeechRequest) -> SpeechTranslation:
        done = super().translate(request)
        return replace(done, timings_ms={"encode": 400 * self.delay_s, "decode": 550 * self.delay_s})


@dataclass
class Watched:
    """A server that has had an hour of conversation, as far as its dashboard knows."""

    url: str
    port: int
    server: Server
    fakes: Fakes
    stack: ExitStack

    def converse(self, utterances: int) -> None:
        """Let three people listen to one of them, who says so when the sound plays."""
        listeners = [("spa", "stream", "Ana"), ("eng", "wav", "Dan"), ("fra", "none", "<b>Pierre</b>")]
        clients = []
        for lang, form, name in listeners:
            query = urlencode({"target_lang": lang, "audio": form, "name": name})
            url = f"ws://127.0.0.1:{self.port}/ws/client?{query}"
            clients.append(self.stack.enter_context(connect(url, max_size=None)))
        for index in range(utterances):
            clients[2].send(pcm.float_to_pcm16(speech(11 if index % 2 else 12)))
            while (message := json.loads(clients[0].recv(10))).get("index") != 0:
                pass
            clients[0].send(json.dumps({"type": "played", "utterance_id": message["utterance_id"]}))
        for client in clients[:-1]:  # the last one stays
            client.close()


def an_hour() -> Iterator[Point]:
    """Every point of the past hour, with a busy quarter in the middle."""
    for index in range(350):
        busy = 1.0 + 1.2 * math.exp(-(((index - 190) / 45) ** 2)) + 0.12 * math.sin(index / 3) + 0.1 * math.sin(index)
        silent = 80 < index < 110
        yield Point(
            at=time.time() - (350 - index) * EVERY_S,
            caption=None if silent else (1.1 * busy, 1.6 * busy),
            speech=None if silent else (1.5 * busy, 2.3 * busy),
            playback=None if silent else (1.65 * busy, 2.6 * busy),
            stages={} if silent else {name: (s * busy, s * busy * 1.4 + 0.01) for name, s in STAGES.items()},
            utterances=0 if silent else round(9 * busy),
            errors=int(index in (150, 188, 189, 201)),
            failures=int(index == 188),
            pending={"translation": max(0, round(3 * busy - 3.4)), "synthesis": max(0, round(2 * busy - 2))},
            cpu_percent={
                "translation": 3.0 if silent else 55 * busy,
                "synthesis": 1.0 if silent else 40 * busy,
                "speaker": 4 * busy,
                "event-loop": 3 * busy,
                "programs": 2 * busy,
            },
            memory_mb=780 + index / 3,
            programs_mb=300 + (index > 60) * 180,
            clients=3,
            lag_ms=4 * busy,
            behind_s=0.0 if silent else 2.4 * busy,
        )


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(dashboard, "_LATE_LOOP_MS", math.inf)  # the machine may have other things to do
    fakes = make_fakes()
    fakes.speech_translator = _Timed(fakes.calls)
    fakes.speech_translator.delay_s = 0.25
    fakes.text_translator.delay_s = 0.05
    fakes.synthesizer.delay_s = {"spa": 0.15, "eng": 0.1}
    app = create_app(Settings(log_level="critical"), fakes.engines)
    app.state.dashboard.trends.points.extend(an_hour())
    server = uvicorn.Server(server_config(app, app.state.server.settings))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        port = listener.getsockname()[1]
        try:
            with ExitStack() as stack:
                yield Watched(f"http://127.0.0.1:{port}/dashboard", port, app.state.server, fakes, stack)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(params=[(screen, scheme) for screen in SCREENS for scheme in ("light", "dark")], ids="-".join)
def looked_at(browser: Browser, watched: Watched, request: pytest.FixtureRequest) -> Iterator[tuple[Page, str]]:
    """A page that may ask nobody but its server and must not raise, and what to call it."""
    screen, scheme = request.param
    width, height = SCREENS[screen]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    asked, errors = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page, f"{screen}_{scheme}"
    home = page.url.partition("/dashboard")[0]
    context.close()
    assert [url for url in asked if not url.startswith((f"{home}/dashboard", "data:"))] == []
    assert errors == []


def test_the_page_shows_a_conversation_as_it_goes_and_nothing_of_what_was_said(
    looked_at: tuple[Page, str], watched: Watched
) -> None:
    page, name = looked_at
    page.goto(watched.url)
    expect(page.locator("#headline")).to_have_text("All is well")
    expect(page.locator("#latest")).to_have_text("Nobody has spoken yet.")
    watched.converse(5)
    expect(page.locator("#latest > li")).to_have_count(5)
    newest = page.locator("#latest > li").first
    for reached in ("caption", "first word", "playback"):
        expect(newest).to_contain_text(reached)
    assert newest.locator(".track i:not(.mark)").count() >= 4
    assert newest.locator(".track i.mark").count() == 2
    expect(page.locator("#rooms")).to_contain_text("fra 1")
    expect(page.locator("#rooms")).to_contain_text("<b>Pierre</b>")
    expect(page.locator("#speakers tr")).to_have_count(1)
    expect(page.locator("#engines")).to_contain_text("fake-translator")
    expect(page.locator("#tiles")).to_contain_text("5 since startup")
    for chart in ("latency", "utterances", "pending", "trouble", "cpu", "memory"):
        assert page.locator(f"#{chart} svg path").count() >= 1
        assert page.locator(f"#{chart} svg").get_attribute("aria-label")
    drawn = page.locator("#latency svg path").nth(1).evaluate("path => path.getBBox().width")
    assert drawn > 0.9 * page.locator("#latency").evaluate("box => box.clientWidth - 40"), "the past hour is there"
    assert WORDS not in page.content()
    page.wait_for_timeout(300)
    photograph(page, f"dashboard_{name}")
    page.screenshot(path=SCREENSHOTS / f"dashboard_whole_{name}.png", full_page=True)
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out sideways"


def test_the_state_on_top_says_what_is_wrong(browser: Browser, watched: Watched) -> None:
    page = browser.new_page()
    page.goto(watched.url)
    state = page.locator("#state")
    expect(state).to_have_attribute("data-state", "well")

    def breaks(phrase: int) -> None:
        raise RuntimeError("scripted failure")

    watched.fakes.speech_translator.before = breaks
    with connect(f"ws://127.0.0.1:{watched.port}/ws/client") as client:
        client.send(pcm.float_to_pcm16(speech(11)))
        while json.loads(client.recv(10))["type"] != "error":
            pass
    expect(state).to_have_attribute("data-state", "degraded")
    expect(state).to_contain_text("engine_failed in the last 5 minutes: 1")
    expect(page.locator("#errors")).to_contain_text("engine_failed")
    photograph(page, "dashboard_degraded")
    watched.server.failure = "the kokoro cannot be loaded: it is not there"
    expect(state).to_have_attribute("data-state", "not_ready")
    expect(state).to_contain_text("it is not there")
    page.context.set_offline(True)
    expect(state).to_have_attribute("data-state", "silent")
    page.context.set_offline(False)
    expect(state).to_have_attribute("data-state", "not_ready")
    page.close()


def test_a_chart_tells_the_figures_of_the_moment_that_is_pointed_at(browser: Browser, watched: Watched) -> None:
    page = browser.new_page()
    page.goto(f"{watched.url}?token=secret")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    legend = page.locator("#memory .legend")
    expect(legend).to_contain_text("server")
    page.locator("#memory svg").hover()
    wait_until(page, lambda: len(asked) >= 2, "it has asked again twice")
    expect(legend).to_contain_text(":")  # the time of day
    assert "token=secret" in asked[0], "what lets the reader in goes along"
    page.close()
