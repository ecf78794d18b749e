"""The outbox: results go in the order of their slots, everything else at once, and each is encoded once."""

from __future__ import annotations

import asyncio
import json

import pytest

from babblefish.conversation.outbox import Envelope, Outbox
from babblefish.wire.server_messages import Error, Pong


def letter(text: str) -> Envelope:
    return Envelope(lambda: Error(code="x", message=text))


def sent(outbox: Outbox) -> list[str]:
    """Take all that is on its way: the messages' texts."""
    outbox.put(None)
    taken = []
    while (message := asyncio.run(asyncio.wait_for(outbox.get(), 1))) is not None:
        taken.append(json.loads(message).get("message", "other"))
    return taken


def test_results_go_in_the_order_of_their_slots_and_not_of_their_making() -> None:
    outbox = Outbox(10)
    first, second = outbox.reserve(), outbox.reserve()
    second.fill(letter("second"))
    assert not second.released.is_set()
    first.fill(letter("first"))
    assert first.released.is_set()
    assert second.released.is_set()
    assert sent(outbox) == ["first", "second"]


def test_a_slot_without_a_result_lets_the_next_one_go_but_not_past_an_earlier_one() -> None:
    outbox = Outbox(10)
    first, failed, last = outbox.reserve(), outbox.reserve(), outbox.reserve()
    last.fill(letter("last"))
    failed.settle()
    assert not last.released.is_set()
    first.fill(letter("first"))
    assert sent(outbox) == ["first", "last"]


def test_settling_a_slot_that_was_filled_sends_nothing_twice() -> None:
    outbox = Outbox(10)
    slot = outbox.reserve()
    slot.fill(letter("once"))
    slot.settle()
    assert sent(outbox) == ["once"]


def test_other_messages_do_not_wait_for_a_slot() -> None:
    outbox = Outbox(10)
    slot = outbox.reserve()
    outbox.put(Pong().model_dump_json())
    slot.fill(letter("result"))
    assert sent(outbox) == ["other", "result"]


def test_what_is_held_goes_after_what_the_client_missed() -> None:
    outbox = Outbox(10)
    outbox.hold()
    assert outbox.is_catching_up
    outbox.reserve().fill(letter("new"))
    outbox.put(letter("missed").encoded)

    asyncio.run(outbox.release())

    assert not outbox.is_catching_up
    assert sent(outbox) == ["missed", "new"]


def test_a_message_for_many_is_made_when_the_first_takes_it_and_only_once() -> None:
    made: list[int] = []

    def make() -> Pong:
        made.append(1)
        return Pong()

    pong = Envelope(make)
    boxes = [Outbox(10) for _ in range(3)]
    slots = [box.reserve() for box in boxes]
    earlier = boxes[0].reserve()
    earlier.settle()
    assert made == []
    for slot in slots:
        slot.fill(pong)
    assert made == [1]


def test_a_result_that_cannot_be_encoded_holds_up_nothing_behind_it() -> None:
    def broken() -> Pong:
        raise ValueError("scripted failure")

    outbox = Outbox(10)
    first, second = outbox.reserve(), outbox.reserve()
    second.fill(letter("second"))
    with pytest.raises(ValueError, match="scripted"):
        first.fill(Envelope(broken))
    second.settle()
    assert sent(outbox) == ["second"]


def test_the_end_comes_after_what_is_held() -> None:
    outbox = Outbox(10)
    outbox.hold()
    outbox.reserve().fill(letter("held"))
    outbox.end()
    asyncio.run(outbox.release())
    assert asyncio.run(outbox.get()) is not None
    assert asyncio.run(outbox.get()) is None
