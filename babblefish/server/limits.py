"""Limits per network address, so that no client can use up the server for the others.

Rates are token buckets on a monotonic clock; failed tokens are answered with a delay that doubles.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

from babblefish.errors import NotAllowedError, TooFastError, TooManyError
from babblefish.settings import Settings

_T = TypeVar("_T")

ADDRESSES_REMEMBERED = 4096
"""Addresses that are kept when they are not in use; the one seen longest ago is dropped first."""

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
"""A failed attempt is answered after a delay, twice as long as the one before, but never longer than this."""

_FORGIVEN_AFTER_S = 600.0
"""An address without a failure for this long starts again with the shortest delay."""

_WAITING = 8
"""Failed attempts of one address that may wait for their answer; meanwhile further attempts are refused unread."""

_BYTES_PER_S = 32_000


class TokenBucket:
    """A token bucket on a monotonic clock."""

    def __init__(self, burst: float, per_s: float, now_s: Callable[[], float]) -> None:
        """Start full.

        Args:
            burst: What it holds.
            per_s: What it refills in a second.
            now_s: The clock, in seconds.
        """
        self._burst = burst
        self._per_s = per_s
        self._left = burst
        self._now_s = now_s
        self._seen_s = now_s()

    @property
    def is_full(self) -> bool:
        """Whether nothing is missing, so that a new one would do as well."""
        return self._left + (self._now_s() - self._seen_s) * self._per_s >= self._burst

    @property
    def left(self) -> float:
        """What was left when something was last taken."""
        return self._left

    def take(self, amount: float) -> bool:
        """Take an amount, or say that there is not enough left."""
        now_s = self._now_s()
        self._left = min(self._burst, self._left + (now_s - self._seen_s) * self._per_s)
        self._seen_s = now_s
        if amount > self._left:
            return False
        self._left -= amount
        return True

    def owe(self, amount: float) -> float:
        """Take an amount, if need be of what is yet to come, and return the seconds until it is there."""
        if self.take(amount):
            return 0.0
        self._left -= amount
        return -self._left / self._per_s

    def give_back(self, amount: float) -> None:
        """Put back an amount that was not needed."""
        self._left += amount


class Attempts:
    """Attempts to use a token: a valid one is never delayed, a failed one is answered with a delay."""

    def __init__(self, now_s: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        """Start without failures."""
        self._now_s = now_s
        self._sleep = sleep
        self._failures = 0
        self._failed_s = 0.0
        self.waiting = 0

    async def make(self, attempt: Callable[[], _T]) -> _T:
        """Make an attempt.

        Raises:
            NotAllowedError: The attempt failed.
            TooFastError: Too many attempts of this address have just failed; this one was not made.
        """
        if self.waiting >= _WAITING:
            raise TooFastError("too many failed attempts; try again in a moment")
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


class AddressLimits:
    """The limits of one network address.

    Attributes:
        owner: The address, or the network that one owner has.
        guest_id: The client that its programs are in every room where they say something without joining, which does
            not tell the address.
        joining: Attempts to join a room.
        joining_from_files: The same of pages without an origin, which any site can make a browser open, so that they do
            not keep the pages of this server from joining.
        administering: Attempts to open an admin page. They count separately, so that a stale admin page does not keep
            others behind the same address from joining.
    """

    def __init__(
        self, owner: str, settings: Settings, now_s: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        """Start with nothing used."""
        self.owner = owner
        self.guest_id = f"guest_{secrets.token_hex(4)}"
        self._limit = settings.connections_per_address
        self._connections = 0
        self._audio_s = TokenBucket(settings.audio_s_per_minute, settings.audio_s_per_minute / 60, now_s)
        self._messages = TokenBucket(settings.messages_per_minute, settings.messages_per_minute / 60, now_s)
        self.joining = Attempts(now_s, sleep)
        self.joining_from_files = Attempts(now_s, sleep)
        self.administering = Attempts(now_s, sleep)

    @property
    def in_use(self) -> bool:
        """Whether the address is connected or waits for an answer."""
        return bool(
            self._connections or self.joining.waiting or self.joining_from_files.waiting or self.administering.waiting
        )

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Count a connection for as long as it lasts.

        Raises:
            TooManyError: The address has reached its limit.
        """
        if self._connections >= self._limit:
            raise TooManyError(f"your address already has {self._connections} connections; try again later")
        self._connections += 1
        try:
            yield
        finally:
            self._connections -= 1

    def take(self, message: bytes | str) -> None:
        """Count a message from a client.

        Raises:
            TooFastError: The address exceeds its audio or messages per minute.
        """
        if not self._messages.take(1):
            raise TooFastError("too many messages from your address; try again in a moment")
        if isinstance(message, bytes) and not self._audio_s.take(len(message) / _BYTES_PER_S):
            raise TooFastError("too much audio from your address; try again in a moment")


class RateLimits:
    """The limits of every address that is connected or was seen lately; bounded."""

    def __init__(
        self,
        settings: Settings,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Start without an address.

        Args:
            settings: The server's.
            now_s: A monotonic clock, in seconds.
            sleep: Waits for a number of seconds.
        """
        self._parts = (settings, now_s, sleep)
        self._addresses: OrderedDict[str, AddressLimits] = OrderedDict()

    def __len__(self) -> int:
        """Count the addresses that are kept."""
        return len(self._addresses)

    def of(self, host: str) -> AddressLimits:
        """Return the limits of the network address that a client connects from."""
        name = owner_of(host)
        if name not in self._addresses:
            self._forget()
            self._addresses[name] = AddressLimits(name, *self._parts)
        self._addresses.move_to_end(name)
        return self._addresses[name]

    def _forget(self) -> None:
        if len(self._addresses) >= ADDRESSES_REMEMBERED:
            unused = next((name for name, address in self._addresses.items() if not address.in_use), None)
            if unused is not None:
                del self._addresses[unused]


def owner_of(host: str) -> str:
    """Return the key that stands for one owner: an IPv4 address, or the /64 network of an IPv6 address.

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
