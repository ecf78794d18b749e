"""Below the application: TCP connections and WebSocket frames, counted and bounded before anybody is let in.

uvicorn parses whatever a socket delivers in one step, up to 256 KiB, and shows the application whole messages only. So
pings, pongs and fragments are never seen there, and 43,000 empty ones hold up the event loop for a second. Here they
are read in small steps with the other connections' turns in between, and they cost: who sends more of them than any
honest client needs is disconnected. What a refused client still sends is thrown away unread, and not for long.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.protocol import State

from babblefish.errors import TooFastError
from babblefish.server.limits import TokenBucket, owner_of
from babblefish.settings import Settings
from babblefish.wire import server_messages

_log = logging.getLogger(__name__)

_SLICE_BYTES = 1024
"""Bytes parsed before the clock is looked at: at most 170 frames, some milliseconds."""

_STEP_S = 0.002
"""Time for which one connection is parsed before the others have their turn."""

_FRAMES_PER_S, _FRAMES_BURST = 10.0, 200.0
"""Pings, pongs and small fragments of one connection. A browser sends a pong every 20 s, and no fragments."""

_ADDRESS_FACTOR = 10
"""As many connections of one address may use their whole allowance at once."""

_SMALL_FRAGMENT_BYTES = 1024
"""Larger fragments are bounded by their bytes, as every message is."""

_OPENED_PER_S = 30.0
"""New connections of one address that are read; the burst is as many as it may have open, and further ones wait for
their turn. With the default settings 128 may wait, none longer than 4.3 s: httpx waits 5 s for an answer by default.
Not more, as each may join a room and leave it again, of which everybody there is told."""

_REQUEST_S = 10.0
"""A request's headers must be there this long after its first byte."""

_RESPONSE_S = 60.0
"""An answer must be made and taken within this; none is longer than a page."""

_LINGER_S = 10.0
"""After its end a connection has this long to take what was written, speech perhaps; then it is cut."""

_REFUSED_LINGER_S = 2.0
"""The same for one that was refused, which gets a line."""

_MOST_TEXT_BYTES = 16 * 1024
"""A message of a client has 4,096 characters at most, of four bytes each."""

_FORGET_EVERY_S = 1.0

_GOODBYE_BYTES = 1024 * 1024
"""What may still be on its way when the server closes, such as the audio of a phone: a connection that is cut with
anything unread loses what was written to it last, and so the reason."""

_RESERVED_FILES = 256
"""Descriptors for files, engines and their programs."""

_LOG_EVERY_S = 60.0


def raise_file_limit() -> None:
    """Let this process have as many open files as it may; the usual soft limit of 1,024 is soon reached by sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class ConnectionLimits:
    """Counts the TCP connections of a server, as a whole and by network address."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without a connection.

        Args:
            settings: For ``connections_per_address`` and ``trusted_proxies``, which speak for many.
            clock: Monotonic, in seconds.
        """
        # Beside the conversation's own, a browser opens up to six for the page.
        self._most_of_address = 8 * settings.connections_per_address
        self._proxies = tuple(ip_network(proxy) for proxy in settings.trusted_proxies)
        self._clock = clock
        self._open: Counter[str] = Counter()
        self._opening: dict[str, TokenBucket] = {}
        self._frames: dict[str, TokenBucket] = {}
        self._logged_s = -_LOG_EVERY_S
        self._forgot_s = -_FORGET_EVERY_S

    @property
    def most(self) -> int:
        """Connections that there may be, as many as the process's open files allow at the moment."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return max(soft // 2, soft - _RESERVED_FILES)

    @property
    def open(self) -> int:
        """Connections at the moment."""
        return self._open.total()

    def opened(self, host: str) -> float | None:
        """Count a connection; ``closed`` follows in any case.

        Returns:
            Seconds until it may be read, 0 unless its address opens connections too fast. None if it may not stay,
            because there are too many.
        """
        owner = owner_of(host)
        self._open[owner] += 1
        most = self.most
        if self.open > most:
            self._say(f"all {most} connections are in use; further ones are refused")
            return None
        if self._is_proxy(host):
            return 0.0
        if self._open[owner] > self._most_of_address:
            self._say(f"{owner} has too many connections open; further ones are refused")
            return None
        opening = self._opening.setdefault(owner, self._bucket(_OPENED_PER_S, float(self._most_of_address)))
        return opening.owe(1)

    def closed(self, host: str, had_turn: bool = True) -> None:
        """Count a connection as gone; with its last one an address is forgotten as soon as its buckets are full.

        Args:
            host: As given to ``opened``.
            had_turn: Whether it did not leave while it waited to be read; its turn is then another's.
        """
        owner = owner_of(host)
        if not had_turn:
            self._opening[owner].give_back(1)
        self._open[owner] -= 1
        if self._open[owner] <= 0:
            del self._open[owner]
        if self._clock() - self._forgot_s < _FORGET_EVERY_S:
            return
        self._forgot_s = self._clock()
        for buckets in (self._opening, self._frames):
            for name in [name for name, bucket in buckets.items() if name not in self._open and bucket.is_full]:
                del buckets[name]

    def takes_frame(self, host: str) -> bool:
        """Count a ping, pong or small fragment, and say whether its address may send that many."""
        if self._is_proxy(host):
            return True
        burst, per_s = _ADDRESS_FACTOR * _FRAMES_BURST, _ADDRESS_FACTOR * _FRAMES_PER_S
        return self._frames.setdefault(owner_of(host), self._bucket(per_s, burst)).take(1)

    def of_one_connection(self) -> TokenBucket:
        """Return the allowance of a new connection for pings, pongs and small fragments."""
        return self._bucket(_FRAMES_PER_S, _FRAMES_BURST)

    def _is_proxy(self, host: str) -> bool:
        """Say whether an address speaks for many clients."""
        if not self._proxies or not host:
            return False
        return any(ip_address(host.partition("%")[0]) in network for network in self._proxies)

    def _bucket(self, per_s: float, burst: float) -> TokenBucket:
        return TokenBucket(burst, per_s, self._clock)

    def _say(self, what: str) -> None:
        """Log at most once a minute, as whoever causes it may do so a thousand times a second."""
        if self._clock() - self._logged_s >= _LOG_EVERY_S:
            self._logged_s = self._clock()
            _log.warning("%s", what)


class BoundedHttp(H11Protocol):
    """An HTTP connection that is counted, and has to come to the point."""

    def __init__(self, limits: ConnectionLimits, **uvicorns: Any) -> None:
        """Serve a connection; ``uvicorns`` is what uvicorn gives its protocols."""
        super().__init__(**uvicorns)
        self._limits = limits
        self._counted_as = ""
        self._turn: asyncio.TimerHandle | None = None
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection; leave it unread until its turn, and cut it where there are too many."""
        super().connection_made(transport)
        self._counted_as = self.client[0] if self.client else ""
        # Asked again after the upgrade, a socket that has been reset would not know its peer any more.
        upgraded: Any = self.ws_protocol_class
        self.ws_protocol_class = partial(upgraded, counted_as=self._counted_as)  # type: ignore[assignment]
        turn_s = self._limits.opened(self._counted_as)
        if turn_s is None:
            transport.abort()
        elif turn_s > 0:
            self.flow.pause_reading()
            self._turn = self.loop.call_later(turn_s, self._begin)
        else:
            self._wait(_REQUEST_S)

    def _begin(self) -> None:
        self._turn = None
        self._wait(_REQUEST_S)
        self.flow.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the request that they begin must be complete in time, and its answer be taken."""
        was_answering = self._is_answering
        try:
            super().data_received(data)
        except ValueError:  # h11 reads a length of thousands of digits
            self.transport.abort()
            return
        if self.transport.get_protocol() is not self:
            self._stop_waiting()
        elif self._is_answering != was_answering or self._waiting is None:
            self._stop_waiting()
            self._wait(_RESPONSE_S if self._is_answering else _REQUEST_S)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def on_response_complete(self) -> None:
        """Be done with a request; uvicorn waits for the next one for some seconds."""
        self._stop_waiting()
        super().on_response_complete()
        if self.transport.is_closing():
            self._wait(_LINGER_S)
        elif self._is_answering:  # the next one was there already
            self._wait(_RESPONSE_S)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection without a further request, and cut it if what was written is not taken."""
        super().timeout_keep_alive_handler()
        self._wait(_LINGER_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection as gone; one that became a WebSocket ends there."""
        self._stop_waiting()
        if self._turn is not None:
            self._turn.cancel()
        self._limits.closed(self._counted_as, had_turn=self._turn is None)
        super().connection_lost(exc)

    def _wait(self, seconds: float) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket connection whose frames are counted and parsed in small steps."""

    def __init__(self, limits: ConnectionLimits, counted_as: str = "", **uvicorns: Any) -> None:
        """Take a connection over from HTTP, where it was counted.

        Args:
            limits: Of the server.
            counted_as: The address that it was counted for.
            uvicorns: What uvicorn gives its protocols.
        """
        super().__init__(**uvicorns)
        self._limits = limits
        self._frames = limits.of_one_connection()
        self._counted_as = counted_as
        self._unparsed = bytearray()
        self._goodbye_bytes = _GOODBYE_BYTES
        self._is_refused = False
        self._step_due = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over whether there is room for writing, too: the transport tells only of changes."""
        super().connection_made(transport)
        _, high_water = self.transport.get_write_buffer_limits()
        if self.transport.get_write_buffer_size() > high_water:
            self.writable.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection as gone."""
        self._unparsed.clear()
        self._limits.closed(self._counted_as)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, to be parsed as soon as there is time and the application has asked for them."""
        if self.close_sent:
            self._goodbye_bytes -= len(data)
            if self._goodbye_bytes < 0:
                self.transport.abort()
        if not self._is_refused:
            self._unparsed += data
            self._parse()

    def _parse(self) -> None:
        """Parse for a moment, and go on after the other connections' turns."""
        self._step_due = False
        until_s = time.monotonic() + _STEP_S
        while self._unparsed and not self._is_refused and not self.transport.is_closing():
            if self._waits_for_application:
                break
            if time.monotonic() > until_s:
                self._parse_soon()
                break
            size = len(self._unparsed) if not self.handshake_initiated else _SLICE_BYTES
            piece = bytes(self._unparsed[:size])
            del self._unparsed[:size]
            super().data_received(piece)
            self._end_failed_handshake()
        if self.transport.is_closing():
            self._unparsed.clear()
            self._cut_soon()
        elif self._unparsed:
            self.transport.pause_reading()
        elif not self._waits_for_application and not self._is_refused:
            self.transport.resume_reading()

    @property
    def _waits_for_application(self) -> bool:
        """Whether it has a message to take, or has not said yet whether this client may join."""
        return self.read_paused or (self.handshake_initiated and not self.handshake_complete)

    def _parse_soon(self) -> None:
        if not self._step_due:
            self._step_due = True
            self.loop.call_soon(self._parse)

    async def receive(self) -> Any:
        """Give the application a message, and parse on when it has taken all of them."""
        message = await super().receive()
        self._go_on()
        return message

    async def send(self, message: Any) -> None:
        """Send for the application; what closes the connection must be taken soon."""
        await super().send(message)
        self._go_on()
        if message["type"] == "websocket.close":
            self._cut_soon()

    def _go_on(self) -> None:
        if self._unparsed:
            self.transport.pause_reading()
            if not self._waits_for_application:
                self._parse_soon()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Cut the connection soon after the application is done with it, even if nobody takes the rest."""
        super().on_task_complete(task)
        self._cut_soon()

    def _cut_soon(self) -> None:
        """Cut the connection if it does not end by itself.

        The timer is uvicorn's, which does not close once more while it runs: over TLS a second close would leave
        nothing that could be cut.
        """
        if self.close_timer is not None:
            self.close_timer.cancel()
        linger_s = _REFUSED_LINGER_S if self._is_refused else _LINGER_S
        self.close_timer = None if self.disconnected else self.loop.call_later(linger_s, self.transport.abort)

    def handle_text(self, event: Frame) -> None:
        """Take text, of which no client needs to send much."""
        if self._is_too_long(len(event.data)):
            return
        super().handle_text(event)

    def _is_too_long(self, text_bytes: int) -> bool:
        if text_bytes <= _MOST_TEXT_BYTES:
            return False
        self.frames = []
        self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "a message is too long")
        self.handle_parser_exception()
        return True

    def handle_ping(self) -> None:
        """Answer a ping, unless the client does not take its answers; one for the newest will do (RFC 6455, 5.5.3)."""
        pongs = b"".join(self.conn.data_to_send())
        if self._count_frame() and pongs and self.writable.is_set():
            self.transport.write(pongs)

    def handle_pong(self, event: Frame) -> None:
        """Take a pong; the one that was asked for costs nothing."""
        if bytes(event.data) == self.pending_ping_payload or self._count_frame():
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment."""
        if len(event.data) < _SMALL_FRAGMENT_BYTES and not self._count_frame():
            return
        if self.curr_msg_data_type == "text" and self._is_too_long(len(event.data) + sum(map(len, self.frames))):
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Give the application a message; uvicorn would log text that is not UTF-8 with a traceback each time."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.fail(CloseCode.INVALID_DATA, "text must be UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        """Cut a connection whose client does not answer; closing would wait until it takes what was written."""
        super().keepalive_timeout()
        self.transport.abort()

    def _count_frame(self) -> bool:
        if self._is_refused:
            return False
        # An address that has used up its allowance costs only those of its connections that did so.
        if self._frames.take(1) and (
            self._limits.takes_frame(self._counted_as) or self._frames.left > _FRAMES_BURST / 2
        ):
            return True
        self._refuse()
        return False

    def _refuse(self) -> None:
        """Say why, parse nothing any more, and cut the connection."""
        self._is_refused = True
        self._unparsed.clear()
        error = TooFastError("too many pings or fragments; try again in a moment")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": server_messages.CLOSE_FULL})
        self._cut_soon()
        if self.conn.state is State.OPEN and not self.close_sent and self.writable.is_set():
            self.conn.send_text(server_messages.encode(server_messages.error_message(error)).encode())
            self.conn.send_close(server_messages.CLOSE_FULL, error.code)
            self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.resume_reading()

    def _end_failed_handshake(self) -> None:
        """Answer a handshake that the parser gave up, such as one with too many or too long headers."""
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.handshake_complete = self.close_sent = True
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.close()
            self._cut_soon()
