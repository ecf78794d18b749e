"""What one network address may ask for, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from babblefish.errors import NotAllowedError, TooFastError, TooManyError
from babblefish.server.limits import ADDRESSES_REMEMBERED, AddressLimits, Attempts, RateLimits
from babblefish.settings import Settings

FRAME = bytes(32_000)  # one second


class Time:
    """A clock whose sleepers wait until the test wakes them."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.delays_s: list[float] = []
        self.awake = asyncio.Event()
        self.awake.set()

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.delays_s.append(delay_s)
        await self.awake.wait()


@pytest.fixture
async def time() -> Time:
    return Time()


def known(time: Time, **given: Any) -> RateLimits:
    return RateLimits(Settings(**given), time.clock, time.sleep)


def taken(address: AddressLimits, message: bytes | str) -> int:
    """Count how often an address may send a message at once."""
    for count in range(10_000):
        try:
            address.take(message)
        except TooFastError:
            return count
    raise AssertionError("nothing stops it")


def refuse() -> None:
    raise NotAllowedError("no")


async def failed(attempts: Attempts) -> None:
    with pytest.raises(NotAllowedError):
        await attempts.make(refuse)


async def test_an_address_may_have_so_many_connections_and_no_more(time: Time) -> None:
    of = known(time, connections_per_address=2).of
    with of("192.0.2.1").connection():
        with of("192.0.2.1").connection():
            with pytest.raises(TooManyError), of("192.0.2.1").connection():
                pass
            with of("192.0.2.2").connection():
                pass
        with of("192.0.2.1").connection():
            pass


async def test_a_minutes_audio_may_come_at_once_and_then_as_fast_as_time_goes(time: Time) -> None:
    of = known(time, audio_s_per_minute=30).of
    assert taken(of("192.0.2.1"), FRAME) == 30
    assert taken(of("192.0.2.2"), FRAME) == 30
    time.now_s += 4
    assert taken(of("192.0.2.1"), FRAME) == 2
    time.now_s += 1e6
    assert taken(of("192.0.2.1"), FRAME) == 30
    of("192.0.2.1").take('{"type": "ping"}')


async def test_messages_are_counted_whatever_is_in_them(time: Time) -> None:
    of = known(time, messages_per_minute=10).of
    of("192.0.2.1").take(b"")
    assert taken(of("192.0.2.1"), "{}") == 9
    time.now_s += 6
    assert taken(of("192.0.2.1"), b"") == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "testclient", False),
    ],
)
async def test_an_ipv6_network_counts_as_one_address(time: Time, one: str, other: str, same: bool) -> None:
    of = known(time).of
    assert (of(one) is of(other)) is same


async def test_a_failed_attempt_is_answered_later_each_time_and_a_good_one_never_late(time: Time) -> None:
    attempts = known(time).of("192.0.2.1").joining
    for _ in range(8):
        await failed(attempts)
    assert time.delays_s == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert await attempts.make(lambda: "in") == "in"
    assert len(time.delays_s) == 8
    time.now_s += 600
    await failed(attempts)
    assert time.delays_s[-1] == 0.1


async def test_while_many_have_just_failed_no_further_attempt_of_that_address_is_looked_at(time: Time) -> None:
    of = known(time).of
    attempts = of("192.0.2.1").joining
    time.awake.clear()
    guessing = [asyncio.create_task(failed(attempts)) for _ in range(8)]
    await asyncio.sleep(0)
    looked_at: list[bool] = []
    with pytest.raises(TooFastError):
        await attempts.make(lambda: looked_at.append(True))
    assert looked_at == []
    await of("192.0.2.2").joining.make(lambda: looked_at.append(True))
    await of("192.0.2.1").administering.make(lambda: looked_at.append(True))
    assert len(looked_at) == 2
    time.awake.set()
    await asyncio.gather(*guessing)
    await attempts.make(lambda: looked_at.append(True))


async def test_an_attempt_whose_client_goes_away_waits_no_longer(time: Time) -> None:
    attempts = known(time).of("192.0.2.1").joining
    time.awake.clear()
    waiting = asyncio.create_task(attempts.make(refuse))
    await asyncio.sleep(0)
    assert attempts.waiting == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert attempts.waiting == 0


async def test_so_many_addresses_are_remembered_and_no_more(time: Time) -> None:
    addresses = known(time)
    with addresses.of("192.0.2.1").connection():
        connected = addresses.of("192.0.2.1")
        await failed(addresses.of("192.0.2.2").joining)
        for number in range(ADDRESSES_REMEMBERED + 100):
            addresses.of(f"host {number}")
        assert len(addresses) == ADDRESSES_REMEMBERED
        assert addresses.of("192.0.2.1") is connected


async def test_everyone_who_is_connected_is_remembered(time: Time) -> None:
    addresses = known(time)
    with contextlib.ExitStack() as connections:
        for number in range(ADDRESSES_REMEMBERED + 1):
            connections.enter_context(addresses.of(f"host {number}").connection())
        assert len(addresses) == ADDRESSES_REMEMBERED + 1
