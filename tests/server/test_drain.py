"""What happens when the server is asked to end: what was said is finished, and everybody is told to come back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from babblefish.cli import demo
from babblefish.domain import Samples
from babblefish.settings import Settings
from tests.support.fakes import Fakes, silence, speech
from tests.support.scripted_service import HANGS, ROOT, WAITS, Connection, free_port, process, ready
from tests.support.serving import FRENCH_SPEECH, Client, serving

pytestmark = pytest.mark.slow


def close_code(client: Client) -> int | None:
    return client.close_code


def marked(state_dir: Path) -> list[psutil.Process]:
    """Return the processes of the server with this state folder."""
    found = psutil.process_iter(["environ"])
    return [one for one in found if (one.info["environ"] or {}).get("BABBLEFISH_STATE_DIR") == str(state_dir)]


async def has_said(client: Client, samples: Samples) -> None:
    """Say something and wait until the server has taken it."""
    await client.say(samples)
    await client.send_message(type="ping")
    await client.wait_for("pong")


async def test_an_utterance_in_flight_is_finished_and_spoken_before_clients_are_sent_away() -> None:
    async with process(WAITS) as server:
        async with (
            server.client(target_lang="fra") as speaker,
            server.client(target_lang="spa") as listener,
            server.client(target_lang="eng", audio="stream") as streaming,
        ):
            await has_said(speaker, speech(11))
            server.signal()
            await speaker.wait_for("error")
            server.go_on()
            for client in (speaker, listener, streaming):
                await asyncio.wait_for(client.closed.wait(), 10)
                assert close_code(client) == 1012
                assert [error["code"] for error in client.of_type("error")] == ["restarting"]
            assert speaker.of_type("result")[0]["translation"] == "bonjour tout le monde"
            assert listener.of_type("result")[0]["tts_audio"]
            assert streaming.of_type("result")[0]["status"] == "speaking"
            assert streaming.of_type("speech")[-1]["last"]
            assert len(streaming.of_type("speech")) > 1
        assert await server.ended() == 0


async def test_speech_that_takes_longer_than_the_bound_is_finished_while_pieces_are_made(fakes: Fakes) -> None:
    """Five people have just spoken, and one piece after another is made for three seconds."""
    fakes.synthesizer.delay_s = {"eng": 0.3}
    settings = Settings(parallel_syntheses=1, drain_s=1.2, log_level="error")
    async with serving(settings, fakes.engines) as running:
        talking = [
            await running.client(target_lang="eng", audio="stream", room=f"room-{number}") for number in range(5)
        ]
        for client in talking:
            await has_said(client, speech(11))
        await running.server.drain()
        for client in talking:
            await asyncio.wait_for(client.closed.wait(), 10)
            assert [piece["last"] for piece in client.of_type("speech")] == [False, False, True]


async def test_what_was_being_said_becomes_an_utterance() -> None:
    async with process() as server:
        async with server.client(target_lang="fra", mode="stream") as speaker, server.client() as listener:
            await speaker.stream(speech(11, 1.5))  # and no silence after it
            await speaker.send_message(type="ping")
            await speaker.wait_for("pong")
            assert not listener.of_type("result")
            server.signal()
            await asyncio.wait_for(listener.closed.wait(), 10)
            assert listener.of_type("result")[0]["source_text"] == "bonjour tout le monde"
            assert close_code(listener) == 1012
        assert await server.ended() == 0


async def test_nothing_new_is_taken_while_it_drains() -> None:
    async with process(WAITS) as server:
        async with server.client(target_lang="fra") as inside:
            await has_said(inside, speech(11))
            server.signal()
            await inside.wait_for("error")
            await inside.say(speech(12))
            async with server.client(wait_ready=False) as newcomer:
                await asyncio.wait_for(newcomer.closed.wait(), 10)
                assert [message["type"] for message in newcomer.messages] == ["error"]
                assert newcomer.messages[0]["code"] == "restarting"
                assert close_code(newcomer) == 1012
            with pytest.raises(urllib.error.HTTPError) as refused:
                await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{server.port}/readyz", timeout=10)
            assert json.load(refused.value) == {"ready": False, "reason": "restarting"}
            server.go_on()
            await asyncio.wait_for(inside.closed.wait(), 10)
            assert len(inside.of_type("result")) == 1
        assert await server.ended() == 0


async def test_a_room_that_is_quiet_does_not_wait_for_one_that_talks() -> None:
    async with process(WAITS) as server:
        async with server.client(room="talks") as talks, server.client(room="quiet") as quiet:
            await has_said(talks, speech(11))
            server.signal()
            await asyncio.wait_for(quiet.closed.wait(), 10)
            assert close_code(quiet) == 1012
            assert not talks.closed.is_set()
            server.go_on()
            await talks.wait_for("result")
        assert await server.ended() == 0


async def test_an_engine_that_never_returns_does_not_keep_the_process() -> None:
    async with process(HANGS, BABBLEFISH_DRAIN_S="0.2") as server:
        async with server.client() as speaker:
            await has_said(speaker, speech(22))
            server.signal()
            await asyncio.wait_for(speaker.closed.wait(), 10)
            assert close_code(speaker) == 1012
        assert await server.ended() == 0


async def test_a_call_that_was_given_up_does_not_keep_the_process_either() -> None:
    async with process(HANGS, BABBLEFISH_UTTERANCE_DEADLINE_S="1") as server:
        async with server.client(target_lang="fra", audio="none") as speaker:
            await has_said(speaker, speech(22))
            await speaker.wait_for("error")
            await speaker.say(speech(11))  # waits behind the one that hangs, and is too late
            await speaker.wait_for("error", 2)
            async with asyncio.timeout(30):
                while not speaker.of_type("result"):
                    await speaker.say(speech(12))
                    await asyncio.sleep(0.5)
            server.signal()
            await asyncio.wait_for(speaker.closed.wait(), 10)
        assert await server.ended() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_process_at_once(second: signal.Signals) -> None:
    async with process(HANGS, BABBLEFISH_DRAIN_S="3600") as server, server.client() as speaker:
        await has_said(speaker, speech(22))
        server.signal()
        await speaker.wait_for("error")
        server.signal(second)
        assert await server.ended() == 128 + second


async def test_a_server_that_still_loads_ends_when_it_is_asked_to() -> None:
    async with process(loaded=False) as server, server.client(wait_ready=False) as early:
        await early.wait_for("error")
        server.signal()
        assert await server.ended() == 0


async def test_a_real_server_finishes_an_utterance_and_leaves_nothing_running(tmp_path: Path) -> None:
    """With the real engines, and Apertium's programs as children."""
    port = free_port()
    command = [sys.executable, "server_cpu.py", "--port", str(port), "--profile", "light"]
    log = (tmp_path / "log").open("w")
    environment = {
        **os.environ,
        "BABBLEFISH_DRAIN_S": "100",
        "BABBLEFISH_STATE_DIR": str(tmp_path),
    }  # marks its children
    with log, subprocess.Popen(command, cwd=ROOT, stderr=log, env=environment) as running:  # noqa: ASYNC220 - psutil looks at it as well
        server = Connection(port)
        try:
            await ready(port)
            async with (
                server.client(target_lang="fra", mode="stream") as speaker,
                server.client(target_lang="spa", audio="stream") as listener,
            ):
                async with asyncio.timeout(30):  # Apertium is started as soon as it may be needed
                    while len(marked(tmp_path)) < 2:  # noqa: ASYNC110 - only the process table knows
                        await asyncio.sleep(0.1)
                await speaker.stream(demo.read_speech(FRENCH_SPEECH))
                await speaker.stream(silence(0.1))  # less than ends an utterance
                await speaker.send_message(type="ping")
                await speaker.wait_for("pong", timeout_s=30)
                running.send_signal(signal.SIGTERM)
                await asyncio.wait_for(listener.closed.wait(), 30)
                assert close_code(listener) == 1012
                results = listener.of_type("result")
                assert results
                assert {result["target_lang"] for result in results} == {"spa"}
                assert len([piece for piece in listener.of_type("speech") if piece["last"]]) == len(results)
            assert await asyncio.to_thread(running.wait, 30) == 0
        finally:
            running.kill()
    assert psutil.wait_procs(marked(tmp_path), timeout=5)[1] == []
    assert "Traceback" not in (tmp_path / "log").read_text()
