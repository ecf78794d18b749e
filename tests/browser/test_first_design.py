"""A page of the first design still works: it knows `ready` and `result`, and says an utterance in one binary frame."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from playwright.sync_api import Browser, Page

from babblefish.audio import pcm
from babblefish.settings import Settings
from tests.support.fakes import make_fakes, speech
from tests.support.serving import serving_on_a_port

pytestmark = pytest.mark.slow

FIRST_DESIGN = """<!doctype html><script>
    const said = [], played = [];
    let ready = false;
    const socket = new WebSocket("ADDRESS");
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "ready") ready = true;
      if (message.type !== "result") return;
      said.push([message.speaker_name, message.source_text, message.translation, message.target_lang]);
      if (!message.tts_audio) return;
      const voice = new Audio(`data:audio/wav;base64,${message.tts_audio}`);
      voice.onended = () => played.push(voice.duration);
      voice.play();
    };
    const say = (utterance) => socket.send(Uint8Array.from(atob(utterance), (letter) => letter.charCodeAt(0)));
</script>"""


@pytest.fixture
def address() -> Iterator[str]:
    """A real server with scripted engines, in a thread of its own: its address for sockets."""
    started = Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]]()

    async def serve() -> None:
        async with serving_on_a_port(Settings(log_level="warning"), make_fakes().engines) as running:
            stopped = asyncio.Event()
            started.set_result((running.url, asyncio.get_running_loop(), stopped))
            await stopped.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    http, loop, stopped = started.result(timeout=30)
    yield f"{http.replace('http', 'ws')}/ws/client"
    loop.call_soon_threadsafe(stopped.set)
    thread.join()


def open_page(browser: Browser, address: str) -> Page:
    """Open a page of the first design and wait until it may speak."""
    page = browser.new_page(bypass_csp=True)
    page.goto(f"{address.replace('ws', 'http', 1).partition('/ws/')[0]}/languages")  # a page of no site is refused
    page.set_content(FIRST_DESIGN.replace("ADDRESS", address))
    page.wait_for_function("() => ready")
    return page


def test_two_pages_of_the_first_design_hear_each_other_in_their_languages(browser: Browser, address: str) -> None:
    spanish = open_page(browser, f"{address}?client_id=phone_1&target_lang=spa&name=Rosa")
    english = open_page(browser, f"{address}?client_id=phone_2&target_lang=eng&name=Dan")
    for page, phrase in ((spanish, 11), (english, 21)):
        page.evaluate("say", base64.b64encode(pcm.float_to_pcm16(speech(phrase))).decode())
        for listener in (spanish, english):
            listener.wait_for_function("count => said.length === count", arg=1 if page is spanish else 2)
    spanish.wait_for_function("() => played.length === 2")
    english.wait_for_function("() => played.length === 1")  # the other words were English already
    assert spanish.evaluate("said") == [
        ["Rosa", "bonjour tout le monde", "<spa> bonjour tout le monde", "spa"],
        ["Dan", "good evening my dear friends", "<spa> good evening my dear friends", "spa"],
    ]
    assert [line[2] for line in english.evaluate("said")] == [
        "<eng> bonjour tout le monde",
        "good evening my dear friends",
    ]
    assert all(length > 0 for length in spanish.evaluate("played") + english.evaluate("played"))
    for page in (spanish, english):
        page.close()
