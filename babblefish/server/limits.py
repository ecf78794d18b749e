"""How much one network address may ask for, so that one cannot take the server from the others."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

from babblefish.domain import NotAllowedError, TooFastError, TooManyError
from babblefish.settings import Settings

_T = TypeVar("_T")

_REMEMBERED = 4096
"""Addresses that are remembered; beyond them are only those in use. The one seen longest ago is forgotten first."""

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
"""A failed attempt is answered late, twice as late as the one before it, but not later than this."""

_FORGIVEN_AFTER_S = 600.0
"""An address that fails no more for this long begins anew."""

_WAITING = 8
"""Failed attempts of one address that may wait for their answer; meanwhile no further one is looked at."""

_BYTES_PER_S = 32_000


class _Allowance:
    """So much per minute: a whole minute's at once, and then as fast as it comes back (a token bucket)."""

    def __init__(self, per_minute: float, now_s: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._left = per_minute
        self._now_s = now_s
        self._seen_s = now_s()

    def take(self, amount: float) -> bool:
        now_s = self._now_s()
        self._left = min(self._per_minute, self._left + (now_s - self._seen_s) * self._per_minute / 60)
        self._seen_s = now_s
        if amount > self._left:
            return False
        self._left -= amount
        return True


class Attempts:
    """Attempts to come in with a token: one that succeeds is never delayed, one that fails is answered late."""

    def __init__(self, now_s: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        """Begin without a failure."""
        self._now_s = now_s
        self._sleep = sleep
        self._failures = 0
        self._failed_s = 0.0
        self.waiting = 0

    async def make(self, attempt: Callable[[], _T]) -> _T:
        """Let an attempt be made.

        Raises:
            NotAllowedError: It failed.
            TooFastError: Too many others of this address have just failed; this one was not looked at.
        """
        if self.waiting >= _WAITING:
            raise TooFastError("too many attempts have failed; try again in a moment")
        try:
            return attempt()
        except NotAllowedError:
            await self._delay()
            raise

    async def _delay(self) -> None:
        now_s = self._now_s()
        self._failures = self._failures + 1 if now_s - self._failed_s < _FORGIVEN_AFTER_S else 1
        self._failed_s = now_s
        self.waiting += 1
        try:
            await self._sleep(min(_FIRST_DELAY_S * 2 ** min(self._failures - 1, 16), _LONGEST_DELAY_S))
        finally:
            self.waiting -= 1


class Address:
    """One network address and what it has asked for lately.

    Attributes:
        joining: Attempts to join a room.
        administering: Attempts to open what is the admin's. They are apart, so that a page of the admin's that was
            left open keeps nobody behind the same address from joining.
    """

    def __init__(
        self, settings: Settings, now_s: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        """Begin with everything unused."""
        self._limit = settings.connections_per_address
        self._connections = 0
        self._audio_s = _Allowance(settings.audio_s_per_minute, now_s)
        self._messages = _Allowance(settings.messages_per_minute, now_s)
        self.joining = Attempts(now_s, sleep)
        self.administering = Attempts(now_s, sleep)

    @property
    def in_use(self) -> bool:
        """Whether it is connected, or waits for an answer."""
        return bool(self._connections or self.joining.waiting or self.administering.waiting)

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Count a connection for as long as it lasts.

        Raises:
            TooManyError: The address has as many as it may have.
        """
        if self._connections >= self._limit:
            raise TooManyError(f"{self._connections} connections come from your address already; try again later")
        self._connections += 1
        try:
            yield
        finally:
            self._connections -= 1

    def take(self, message: bytes | str) -> None:
        """Count a message of a client.

        Raises:
            TooFastError: The address has sent more audio or more messages within a minute than it may.
        """
        if not self._messages.take(1):
            raise TooFastError("your address sends too many messages; try again in a moment")
        if isinstance(message, bytes) and not self._audio_s.take(len(message) / _BYTES_PER_S):
            raise TooFastError("your address sends more audio than it may; try again in a moment")


class Limits:
    """The addresses that are connected or were seen lately, so many and no more."""

    def __init__(
        self,
        settings: Settings,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Begin without an address.

        Args:
            settings: Of the server.
            now_s: A clock that never goes back, in seconds.
            sleep: Waits for some seconds.
        """
        self._parts = (settings, now_s, sleep)
        self._addresses: OrderedDict[str, Address] = OrderedDict()

    def __len__(self) -> int:
        """Count the addresses that are remembered."""
        return len(self._addresses)

    def of(self, host: str) -> Address:
        """Return what is known of the network address that a client comes from."""
        name = _whose(host)
        if name not in self._addresses:
            self._forget()
            self._addresses[name] = Address(*self._parts)
        self._addresses.move_to_end(name)
        return self._addresses[name]

    def _forget(self) -> None:
        if len(self._addresses) >= _REMEMBERED:
            unused = next((name for name, address in self._addresses.items() if not address.in_use), None)
            if unused is not None:
                del self._addresses[unused]


def _whose(host: str) -> str:
    """Return what stands for one owner: an IPv4 address, or the 64-bit network that an IPv6 address is one of.

    Within such a network a single device picks its addresses freely (RFC 4291, section 2.5.4).
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((address, 64), strict=False))
    return str(address)
