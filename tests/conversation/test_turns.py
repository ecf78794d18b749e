"""The order of a room's utterances."""

from __future__ import annotations

import asyncio

from babblefish.conversation.turns import Turns


async def test_a_turn_waits_for_all_before_it_and_for_none_after_it() -> None:
    turns = Turns()
    first, second, third = turns.take(), turns.take(), turns.take()
    assert (first, second, third) == (1, 2, 3)
    await asyncio.wait_for(turns.all_passed(first), 1)
    waiting = asyncio.create_task(turns.all_passed(third))
    turns.pass_on(second)
    await asyncio.sleep(0)
    assert not waiting.done()
    turns.pass_on(first)
    await asyncio.wait_for(waiting, 1)


async def test_turns_taken_later_are_not_waited_for() -> None:
    turns = Turns()
    first = turns.take()
    waiting = asyncio.create_task(turns.all_passed(first + 1))
    await asyncio.sleep(0)
    turns.take()
    turns.pass_on(first)
    await asyncio.wait_for(waiting, 1)


async def test_passing_on_twice_changes_nothing() -> None:
    turns = Turns()
    turns.pass_on(turns.take())
    turns.pass_on(1)
    await asyncio.wait_for(turns.all_passed(turns.newest + 1), 1)
