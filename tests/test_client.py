"""The client: how it joins, what it gets, and what it says when there is no server any more."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from babblefish import client as module
from babblefish.audio import pcm
from babblefish.client import Client, ConnectionLostError, RefusedError, connect, socket_url
from tests.support.fakes import Clock, silence, speech
from tests.support.scripted_service import free_port
from tests.support.serving import Running


class Scripted:
    """A connection without a network: what the server is to say is put in, what the client sends is kept."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.sent: list[str | bytes] = []
        self.taken = 0
        self.close_code: int | None = None
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()
        for message in messages:
            self._frames.put_nowait(json.dumps(message))

    async def send(self, frame: str | bytes) -> None:
        self.sent.append(frame)

    async def __aiter__(self) -> AsyncIterator[str]:
        while (frame := await self._frames.get()) is not None:
            self.taken += 1
            yield frame

    async def close(self) -> None:
        self.close_code = 1000
        self._frames.put_nowait(None)


READY = {"type": "ready"}
NUMBERS = [{"type": "number", "number": number} for number in range(10)]


async def test_a_client_joins_and_gets_what_it_said_itself_in_its_language(running_on_a_port: Running) -> None:
    async with connect(running_on_a_port.url, target_lang="spa", name="Dan", room="kitchen") as client:
        ready = await client.ready()
        assert (ready["target_lang"], ready["room"]) == ("spa", "kitchen")
        await client.say(speech(11))
        (result,) = await client.wait_for("result")
        assert (result["speaker_name"], result["requested_lang"]) == ("Dan", "spa")


async def test_leaving_leaves_the_room(running_on_a_port: Running) -> None:
    stays = await running_on_a_port.client()
    async with connect(running_on_a_port.url, name="Dan"):
        await stays.wait_until(lambda: [len(one["members"]) for one in stays.of_type("presence")][-1:] == [2])
    await stays.wait_until(lambda: [len(one["members"]) for one in stays.of_type("presence")][-1:] == [1])


async def test_messages_come_one_after_another_until_the_connection_ends(running_on_a_port: Running) -> None:
    async with connect(running_on_a_port.url, mode="stream", target_lang="fra") as client:
        await client.stream(speech(11))
        await client.flush()
        kinds = []
        async for message in client:
            kinds.append(message["type"])
            if message["type"] == "result":
                await client.close()
    assert kinds[0] == "ready"
    assert kinds.count("result") == 1
    assert not client.messages, "they were taken out"


async def test_what_is_changed_is_in_force(running_on_a_port: Running) -> None:
    async with connect(running_on_a_port.url) as client:
        await client.set(target_lang="fra", name="Marie")
        (settled,) = await client.wait_for("settled")
        assert (settled["target_lang"], settled["name"]) == ("fra", "Marie")


async def test_who_is_refused_is_told_why(running_on_a_port: Running) -> None:
    with pytest.raises(RefusedError, match="other sites") as refused:
        async with connect(running_on_a_port.url, origin="https://elsewhere.example"):
            pass
    assert refused.value.code == "not_allowed"


async def test_where_there_is_no_server_there_is_no_connection() -> None:
    with pytest.raises(ConnectionLostError, match="no connection"):
        async with connect(f"http://127.0.0.1:{free_port()}/"):
            pass


async def test_what_is_no_socket_is_no_connection(running_on_a_port: Running) -> None:
    with pytest.raises(ConnectionLostError, match="HTTP 4"):
        async with connect(f"{running_on_a_port.url}/elsewhere"):
            pass


async def test_a_client_that_waits_learns_that_the_connection_has_ended(running_on_a_port: Running) -> None:
    client = await running_on_a_port.client()
    waiting = asyncio.create_task(client.wait_for("result"))
    with contextlib.suppress(ConnectionLostError):  # the refusal may come before the last byte has gone
        await client.send(bytes(running_on_a_port.server.settings.max_frame_bytes + 2))
    with pytest.raises(ConnectionLostError, match="1009"):
        await waiting
    with pytest.raises(ConnectionLostError):
        await client.say(speech(11))


async def test_catching_up_waits_for_everything_said_before() -> None:
    connection = Scripted(READY, *NUMBERS, {"type": "pong"})
    async with Client(connection) as client:
        await client.catch_up()
        assert [message["type"] for message in client.messages] == ["ready", *["number"] * 10, "pong"]
    assert connection.sent == ['{"type": "ping"}']


async def test_messages_that_nobody_takes_are_left_with_the_server() -> None:
    connection = Scripted(READY, *NUMBERS)
    async with Client(connection, backlog=3) as client:
        await client.wait_until(lambda: len(client.messages) == 3)
        for _ in range(5):
            await asyncio.sleep(0)
        assert (connection.taken, len(client.messages)) == (4, 3), "one is in hand"
        taken = [await anext(client) for _ in range(11)]
    assert taken == [READY, *NUMBERS], "none is lost"


async def test_a_client_may_leave_while_messages_wait() -> None:
    async with asyncio.timeout(5), Client(Scripted(READY, *NUMBERS), backlog=1) as client:
        await client.ready()
    assert client.closed.is_set()


async def test_a_paced_stream_sends_each_frame_when_a_microphone_would_have_it(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    connection, at_s, begun_s = Scripted(), [], clock()

    async def sleep(delay_s: float) -> None:
        clock.now_s += delay_s

    async def send(frame: str | bytes) -> None:
        at_s.append(round(clock() - begun_s, 6))
        connection.sent.append(frame)

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(connection, "send", send)
    async with Client(connection) as client:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "sleep", sleep)
            await client.stream(speech(11, 0.1), paced=True, silence_s=0.1)
    assert at_s == [0.0, 0.04, 0.08, 0.12, 0.16]
    sent = b"".join(frame for frame in connection.sent if isinstance(frame, bytes))
    assert sent == pcm.float_to_pcm16(np.concatenate([speech(11, 0.1), silence(0.1)]))


@pytest.mark.parametrize(
    ("url", "query", "address"),
    [
        ("http://localhost:9000", {}, "ws://localhost:9000/ws/client"),
        ("https://fish.local/", {"room": "one two"}, "wss://fish.local/ws/client?room=one+two"),
        ("https://fish.local/?room=kitchen#token=a.b", {}, "wss://fish.local/ws/client?room=kitchen&token=a.b"),
        ("https://fish.local/?room=kitchen", {"room": "main"}, "wss://fish.local/ws/client?room=main"),
    ],
)
def test_a_client_finds_the_socket_by_the_page_or_a_link(url: str, query: dict[str, str], address: str) -> None:
    assert socket_url(url, **query) == address
