"""Below the application: what floods of frames, idle connections and deaf clients cost the others."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import resource
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from babblefish.server import connections, tls
from babblefish.server.addresses import Machine
from babblefish.server.app import create_app, server_config
from babblefish.server.connections import ConnectionLimits
from babblefish.settings import Settings
from tests.support.fakes import Clock, Fakes, make_fakes, speech
from tests.support.serving import Running, SocketTransport, listening, serving_on_a_port, still_works
from tests.support.waiting import until

HANDSHAKE = (
    "GET /ws/client?{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(opcode: int, data: bytes = b"", fin: bool = True) -> bytes:
    """Encode a client's frame, masked with zeros."""
    length = bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack("!BH", 0x80 | 126, len(data))
    return bytes([(0x80 if fin else 0) | opcode]) + length + b"\0\0\0\0" + data


HEALTH = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"

PING, PONG, CONTINUATION = frame(9), frame(10), frame(0, fin=False)


class RawClient:
    """A connection whose bytes the test writes itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def upgraded(self) -> str:
        return (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()

    async def flood(self, piece: bytes, count: int) -> None:
        """Send a frame so many times, or until the server has had enough."""
        with contextlib.suppress(ConnectionError):
            for _ in range(0, count, 1000):
                self.writer.write(piece * 1000)
                await asyncio.wait_for(self.writer.drain(), 10)

    async def rest(self) -> bytes:
        """Read until the server ends the connection."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while piece := await asyncio.wait_for(self.reader.read(65536), 10):
                received += piece
        return received


@contextlib.asynccontextmanager
async def raw(running: Running, query: str | None = "name=Mallory", **limits: int) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, **limits)
    if query is not None:
        writer.write(HANDSHAKE.format(query=query, port=running.port).encode())
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
async def server(settings: Settings, fakes: Fakes) -> AsyncIterator[Running]:
    async with serving_on_a_port(settings, fakes.engines) as running:
        yield running


@pytest.mark.parametrize(
    ("first", "piece"),
    [(b"", PING), (b"", PONG), (frame(2, b"x", fin=False), CONTINUATION)],
    ids=["pings", "pongs", "empty fragments"],
)
async def test_a_flood_of_frames_without_a_message_ends_the_connection(
    server: Running, first: bytes, piece: bytes
) -> None:
    honest = await server.client(target_lang="fra")
    async with raw(server) as hostile:
        assert "101" in await hostile.upgraded()
        hostile.writer.write(first)
        flooding = asyncio.create_task(hostile.flood(piece, 100_000))
        assert b"too_fast" in await hostile.rest()
        await flooding
    await still_works(honest)


async def test_frames_count_for_their_address_as_well(settings: Settings, clock: Clock) -> None:
    limits = ConnectionLimits(settings, clock)
    taken = 0
    while limits.takes_frame("192.0.2.1"):
        taken += 1
    assert taken == 2000
    assert limits.takes_frame("192.0.2.2")
    clock.now_s += 1
    assert limits.takes_frame("192.0.2.1")


async def test_pings_of_an_honest_client_are_answered(server: Running) -> None:
    client = await server.client()
    for _ in range(20):
        assert (await client.connection.ping()) is not None
    await client.catch_up()


async def test_a_message_in_many_large_fragments_is_taken(server: Running) -> None:
    async with raw(server, "target_lang=fra") as client:
        await client.upgraded()
        client.writer.write(frame(2, b"\0" * 8000, fin=False))
        for _ in range(300):
            client.writer.write(frame(0, b"\0" * 8000, fin=False))
        client.writer.write(frame(0, b"\0" * 8000))
        client.writer.write(frame(1, b'{"type": "ping"}'))
        received = b""
        while b'"pong"' not in received:
            received += await asyncio.wait_for(client.reader.read(65536), 10)
        assert b"too_fast" not in received


async def test_what_a_client_sends_before_it_is_let_in_is_not_read(fakes: Fakes) -> None:
    settings = Settings(access="required", log_level="critical")
    async with serving_on_a_port(settings, fakes.engines) as running, raw(running, "token=wrong") as hostile:
        flooding = asyncio.create_task(hostile.flood(PING, 2_000_000))
        upgraded = await hostile.upgraded()
        received = await hostile.rest()
        await flooding
        assert "101" in upgraded
        assert b"not_allowed" in received


async def test_a_client_that_pings_and_never_reads_costs_no_memory_and_is_cut_off(
    settings: Settings, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_FRAMES_BURST", 1e9)  # so that flow control alone has to hold
    app = create_app(settings, fakes.engines)
    config = server_config(app, settings)
    config.ws_ping_interval, config.ws_ping_timeout = 1.0, 1.0
    async with listening(config) as port:
        running = Running(app.state.server, SocketTransport(port), contextlib.AsyncExitStack())
        async with raw(running, limit=1) as deaf:
            deaf.reader._transport.pause_reading()  # type: ignore[attr-defined]
            before = resident_bytes()
            await deaf.flood(frame(9, b"x" * 100), 300_000)
            assert resident_bytes() - before < 20e6
            await until(lambda: not app.state.server.sessions)


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_half_a_request_is_not_waited_for_any_longer_than_its_deadline(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_REQUEST_S", 0.2)
    for said in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"):
        async with raw(server, None) as slow:
            slow.writer.write(said)
            assert await slow.rest() == b""


async def test_a_second_request_that_never_ends_is_not_waited_for_either(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_REQUEST_S", 0.3)
    async with raw(server, None) as slow:
        slow.writer.write(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        await slow.upgraded()
        slow.writer.write(b"GET /healthz HTTP/1.1\r\n")
        await slow.rest()


async def test_connections_are_counted_before_they_say_anything(fakes: Fakes) -> None:
    settings = Settings(connections_per_address=2, log_level="critical")
    async with serving_on_a_port(settings, fakes.engines) as running, contextlib.AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(raw(running, None)) for _ in range(16)]
        one_more = await stack.enter_async_context(raw(running, None))
        assert await one_more.rest() == b""
        for client in idle:
            assert not client.reader.at_eof()


async def test_an_address_that_opens_connections_without_end_is_slowed(clock: Clock) -> None:
    limits = ConnectionLimits(Settings(connections_per_address=2), clock)

    def opens() -> float | None:
        turn_s = limits.opened("192.0.2.1")
        limits.closed("192.0.2.1")
        return turn_s

    per_s = connections._OPENED_PER_S
    assert [opens() for _ in range(18)] == pytest.approx([0] * 16 + [1 / per_s, 2 / per_s])
    assert limits.opened("192.0.2.2") == 0
    clock.now_s += 1
    assert opens() == 0


async def test_the_line_of_an_address_is_as_long_as_what_it_may_have_open(clock: Clock) -> None:
    limits = ConnectionLimits(Settings(), clock)
    for _ in range(128):
        limits.opened("192.0.2.1")
        limits.closed("192.0.2.1")
    turns_s = [limits.opened("192.0.2.1") for _ in range(128)]
    assert turns_s[-1] == pytest.approx(128 / connections._OPENED_PER_S)
    assert turns_s[-1] < 5.0  # as long as httpx waits for an answer unless it is told otherwise
    assert limits.opened("192.0.2.1") is None


async def test_who_leaves_the_line_gives_the_turn_to_another(clock: Clock) -> None:
    limits = ConnectionLimits(Settings(connections_per_address=1), clock)
    for _ in range(8):
        limits.opened("192.0.2.1")
        limits.closed("192.0.2.1")
    waits = [limits.opened("192.0.2.1") for _ in range(2)]
    for _ in range(1000):
        limits.opened("192.0.2.1")
        limits.closed("192.0.2.1", had_turn=False)
    assert limits.opened("192.0.2.1") == pytest.approx(3 / connections._OPENED_PER_S)
    assert waits == pytest.approx([1 / connections._OPENED_PER_S, 2 / connections._OPENED_PER_S])
    assert limits.open == 3


async def test_a_script_that_opens_a_connection_for_every_request_is_always_answered(fakes: Fakes) -> None:
    settings = Settings(connections_per_address=1, log_level="critical")
    async with serving_on_a_port(settings, fakes.engines) as running:
        for _ in range(40):  # of which eight are the burst
            async with raw(running, None) as client:
                client.writer.write(HEALTH.format(port=running.port).encode())
                assert b"200 OK" in await client.rest()


async def test_requests_that_come_at_once_are_answered_in_their_turn(fakes: Fakes) -> None:
    settings = Settings(connections_per_address=2, log_level="critical")
    async with serving_on_a_port(settings, fakes.engines) as running, contextlib.AsyncExitStack() as stack:
        for _ in range(16):
            async with raw(running, None):
                pass
        clients = [await stack.enter_async_context(raw(running, None)) for _ in range(10)]
        for client in clients:
            client.writer.write(HEALTH.format(port=running.port).encode())
        for client in clients:
            assert b"200 OK" in await client.rest()


async def test_a_request_has_its_whole_time_from_its_turn_on(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_OPENED_PER_S", 1.0)
    monkeypatch.setattr(connections, "_REQUEST_S", 0.2)
    settings = Settings(connections_per_address=1, log_level="critical")
    async with serving_on_a_port(settings, fakes.engines) as running:
        for _ in range(8):
            async with raw(running, None):
                pass
        async with raw(running, None) as waits, raw(running, None) as says_nothing:
            waits.writer.write(HEALTH.format(port=running.port).encode())
            assert b"200 OK" in await waits.rest()
            assert await says_nothing.rest() == b""


async def test_what_waits_for_its_turn_is_not_read(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_OPENED_PER_S", 1e-3)
    settings = Settings(connections_per_address=1, log_level="critical")
    async with serving_on_a_port(settings, fakes.engines) as running:
        for _ in range(8):
            async with raw(running, None):
                pass
        async with raw(running, None) as hostile:
            hostile.writer.write(HEALTH.format(port=running.port).encode())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await hostile.flood(b"x" * 100, 1_000_000)
            hostile.writer.transport.abort()


async def test_who_resets_a_waiting_connection_over_https_is_counted_out_at_once(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There the server notices, as TLS is read while the request waits."""
    monkeypatch.setattr(connections, "_OPENED_PER_S", 1e-3)
    settings = Settings(connections_per_address=1, log_level="critical")
    limits = ConnectionLimits(settings)
    config = server_config(create_app(settings, fakes.engines), settings)
    config.http = partial(connections.BoundedHttp, limits)  # type: ignore[assignment]
    chain = tls.ensure(tmp_path / "tls", Machine(("localhost",), ()), datetime.datetime.now(datetime.UTC))
    config.ssl_certfile, config.ssl_keyfile = str(chain.certificate), str(chain.key)
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    async with listening(config) as port:
        for number in range(30):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=anyone)
            writer.write(HEALTH.format(port=port).encode())
            await writer.drain()
            await until(lambda: limits.open == 1)
            if number >= 8:
                reset = writer.get_extra_info("socket")
                reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            await until(lambda: limits.open == 0)
        assert limits.opened("127.0.0.1") == pytest.approx(1 / connections._OPENED_PER_S, rel=0.1)


async def test_a_limit_of_open_files_that_is_raised_at_the_start_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    files = (1024, 20_000)
    monkeypatch.setattr(resource, "getrlimit", lambda _: files)
    limits = ConnectionLimits(Settings())  # made before the server is run, which raises the limit
    assert limits.most == 768
    files = (20_000, 20_000)
    assert limits.most == 19_744


def test_one_address_takes_a_quarter_of_the_places_at_most() -> None:
    assert Settings().connections_per_address <= Settings().max_clients / 4


async def test_proxies_that_are_trusted_speak_for_many(clock: Clock) -> None:
    limits = ConnectionLimits(Settings(connections_per_address=1, trusted_proxies="192.0.2.9"), clock)
    assert [limits.opened("192.0.2.9") for _ in range(50)] == [0.0] * 50


async def test_addresses_that_are_gone_are_forgotten(clock: Clock) -> None:
    limits = ConnectionLimits(Settings(), clock)
    for number in range(100):
        limits.opened(f"192.0.2.{number}")
        limits.closed(f"192.0.2.{number}")
    clock.now_s += 60
    limits.opened("198.51.100.1")
    limits.closed("198.51.100.1")
    assert limits.open == 0
    assert len(limits._opening) <= 1


@pytest.mark.parametrize(
    "request_head",
    [
        "GET /ws/client?name=" + "x" * 9000 + " HTTP/1.1\r\n{rest}\r\n",
        "GET /ws/client HTTP/1.1\r\n{rest}" + "".join(f"X-Header-{i}: y\r\n" for i in range(200)) + "\r\n",
    ],
    ids=["a long request line", "many headers"],
)
async def test_a_handshake_that_is_too_large_is_answered_and_closed(server: Running, request_head: str) -> None:
    rest = HANDSHAKE.format(query="", port=server.port).partition("\r\n")[2].removesuffix("\r\n")
    async with raw(server, None) as client:
        client.writer.write(request_head.format(rest=rest).encode())
        assert (await client.rest()).startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(1, b"\xed\xa0\x80"), 1007),
        (frame(1, b"\xc3", fin=False) + frame(0, b"\x28"), 1007),
        (frame(3), 1002),
        (frame(11), 1002),
        (bytes([0xC1]) + frame(1)[1:], 1002),
        (frame(9, fin=False), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(0, b"x"), 1002),
        (frame(1, b"x", fin=False) + frame(2, b"x"), 1002),
        (b"\x81\x01x", 1002),
        (frame(8, b"\x03"), 1002),
        (frame(8, struct.pack("!H", 999)), 1002),
        (frame(8, struct.pack("!H", 1000) + b"\xff"), 1007),
        (bytes([0x82, 0xFF]) + struct.pack("!Q", 1 << 40) + b"\0" * 4, 1009),
        (frame(8, struct.pack("!H", 1000)), 1000),
        (frame(8), 1005),
    ],
    ids=[
        *("a surrogate", "half a character", "a reserved opcode", "a reserved control opcode", "a reserved bit"),
        *("a fragmented ping", "a ping too long", "a continuation of nothing", "a message within another"),
        *("an unmasked frame", "a close of one byte", "an invalid close code", "a close reason that is not UTF-8"),
        *("a terabyte", "a close", "a close without a code"),
    ],
)
async def test_frames_are_answered_as_the_standard_says_and_none_with_a_traceback(
    server: Running, caplog: pytest.LogCaptureFixture, sent: bytes, code: int
) -> None:
    """RFC 6455, sections 5.5 and 7.4; the cases are of the kinds that the Autobahn test suite tries."""
    async with raw(server) as client:
        await client.upgraded()
        client.writer.write(sent)
        received = await client.rest()
    close = received[received.rindex(b"\x88") :]
    assert (struct.unpack("!H", close[2:4])[0] if close[1] >= 2 else 1005) == code
    assert not [record for record in caplog.records if record.exc_info]


async def test_an_utterance_reaches_the_others_though_its_frames_come_byte_by_byte(server: Running) -> None:
    listener = await server.client(target_lang="fra")
    async with connect(f"ws://127.0.0.1:{server.port}/ws/client?target_lang=fra") as speaker:
        await speaker.send(speech(11).tobytes()[:3200])
        with contextlib.suppress(ConnectionClosed):
            await speaker.recv()
    await still_works(listener)


async def test_a_connection_that_is_reset_during_its_upgrade_is_counted_out_again(settings: Settings) -> None:
    """The socket that became a WebSocket then does not know its peer any more."""
    limits = ConnectionLimits(settings)
    app = create_app(settings, make_fakes().engines)
    config = server_config(app, settings)
    config.http = partial(connections.BoundedHttp, limits)  # type: ignore[assignment]
    config.ws = partial(connections.BoundedWebSocket, limits)  # type: ignore[assignment]
    async with listening(config) as port:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as reset:
                reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                reset.send(HANDSHAKE.format(query="", port=port).encode())
            await asyncio.sleep(0.01)
        await until(lambda: limits.open == 0)


async def test_a_pong_that_was_asked_for_costs_nothing(
    settings: Settings, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_FRAMES_BURST", 3.0)
    monkeypatch.setattr(connections, "_FRAMES_PER_S", 1e-9)
    app = create_app(settings, fakes.engines)
    config = server_config(app, settings)
    config.ws_ping_interval, config.ws_ping_timeout = 0.02, 5.0
    async with listening(config) as port, contextlib.AsyncExitStack() as stack:
        client = await Running(app.state.server, SocketTransport(port), stack).client()
        await asyncio.sleep(0.5)  # some twenty pings
        await client.catch_up()


@pytest.mark.parametrize("fragments", [1, 20], ids=["whole", "in fragments"])
async def test_text_that_no_client_needs_ends_the_connection(server: Running, fragments: int) -> None:
    part = b"x" * (20_000 // fragments)
    async with raw(server) as client:
        await client.upgraded()
        for number in range(fragments):
            client.writer.write(frame(0 if number else 1, part, fin=number == fragments - 1))
        received = await client.rest()
    close = received[received.rindex(b"\x88") :]
    assert struct.unpack("!H", close[2:4])[0] == 1009


async def test_an_answer_that_nobody_takes_is_not_waited_for(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_RESPONSE_S", 0.3)
    async with raw(server, None, limit=1) as deaf:
        deaf.reader._transport.pause_reading()  # type: ignore[attr-defined]
        request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAccept: text/html\r\n\r\n".encode()
        for _ in range(100):  # more than the kernel takes
            deaf.writer.write(request)
        await asyncio.sleep(1.0)
        deaf.reader._transport.resume_reading()  # type: ignore[attr-defined]
        assert (await deaf.rest()).count(b"200 OK") < 100


@pytest.mark.parametrize(
    "head",
    ["Origin: http://[\r\n", "Content-Length: " + "9" * 5000 + "\r\n"],
    ids=["an origin that is none", "a length of 5000 digits"],
)
async def test_a_header_that_cannot_be_read_costs_no_traceback(
    server: Running, caplog: pytest.LogCaptureFixture, head: str
) -> None:
    rest = HANDSHAKE.format(query="", port=server.port).partition("\r\n")[2].removesuffix("\r\n")
    async with raw(server, None) as client:
        client.writer.write(f"GET /ws/client HTTP/1.1\r\n{rest}{head}\r\n".encode())
        with contextlib.suppress(ConnectionError):
            while (answer := await asyncio.wait_for(client.reader.read(65536), 10)) and b"not_allowed" not in answer:
                pass
    assert not [record for record in caplog.records if record.exc_info]
