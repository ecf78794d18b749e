"""Whose work is done next, and whose is given up where there is no place for all of it."""

from __future__ import annotations

from babblefish.domain import Owner
from babblefish.pipeline.fair_queue import FairQueue, Waiting

ANN = Owner("192.0.2.1", "main", "ann")
BEN = Owner("192.0.2.1", "main", "ben")
CLEO = Owner("192.0.2.1", "kitchen", "cleo")
DAN = Owner("192.0.2.2", "main", "dan")


def put(queue: FairQueue[Waiting], owner: Owner, count: int = 1, cost_s: float = 2.0) -> list[Waiting]:
    work = [Waiting(owner, cost_s, 0.0) for _ in range(count)]
    for one in work:
        queue.put(one)
    return work


def taken(queue: FairQueue[Waiting], count: int) -> list[Owner]:
    return [work.owner for _ in range(count) if (work := queue.take()) is not None]


def test_the_work_of_one_client_is_done_in_the_order_in_which_it_came() -> None:
    queue: FairQueue[Waiting] = FairQueue()
    work = put(queue, ANN, 3)
    assert [queue.take() for _ in range(4)] == [*work, None]


def test_what_is_needed_sooner_goes_first_within_one_client() -> None:
    queue: FairQueue[Waiting] = FairQueue()
    late, soon = Waiting(ANN, 1.0, 20.0), Waiting(ANN, 1.0, 10.0)
    queue.put(late)
    queue.put(soon)
    assert [queue.take(), queue.take()] == [soon, late]


def test_a_newcomer_waits_for_nobodys_backlog() -> None:
    queue: FairQueue[Waiting] = FairQueue()
    put(queue, ANN, 8, cost_s=15.0)
    assert taken(queue, 3) == [ANN] * 3
    put(queue, BEN)
    assert taken(queue, 1) == [BEN]


def test_who_says_more_at_a_time_has_fewer_turns() -> None:
    queue: FairQueue[Waiting] = FairQueue()
    put(queue, ANN, 10, cost_s=15.0)
    put(queue, BEN, 30, cost_s=3.0)
    owners = taken(queue, 24)
    assert (owners.count(ANN), owners.count(BEN)) == (4, 20)


def test_the_clients_of_an_address_share_what_is_one_addresss() -> None:
    queue: FairQueue[Waiting] = FairQueue()
    for owner in (ANN, BEN, CLEO, DAN):
        put(queue, owner, 20)
    owners = taken(queue, 16)
    assert owners.count(DAN) == 8, "half for each address"
    assert owners.count(CLEO) == 4, "and a half of that for each room"
    assert owners.count(ANN) == owners.count(BEN) == 2


def test_nobody_saves_up_turns_by_being_silent() -> None:
    queue: FairQueue[Waiting] = FairQueue()
    put(queue, ANN, 20)
    taken(queue, 10)
    put(queue, DAN, 5)
    assert taken(queue, 6).count(DAN) == 3


def test_after_a_rest_everybody_starts_even() -> None:
    queue: FairQueue[Waiting] = FairQueue()
    put(queue, ANN, 5, cost_s=15.0)
    taken(queue, 5)
    queue.forget()
    put(queue, ANN)
    put(queue, DAN)
    assert taken(queue, 2) == [ANN, DAN]


def test_the_newest_of_whoever_has_most_waiting_makes_room() -> None:
    queue: FairQueue[Waiting] = FairQueue()
    put(queue, DAN)
    *_, newest = put(queue, ANN, 3)
    assert queue.displaced_by(BEN) is newest
    assert queue.displaced_by(DAN) is newest


def test_whoever_has_most_waiting_makes_room_for_nobody_else_than_for_itself() -> None:
    queue: FairQueue[Waiting] = FairQueue()
    put(queue, ANN, 3)
    put(queue, DAN, 3)
    assert queue.displaced_by(ANN) is None
    assert queue.displaced_by(DAN) is None


def test_an_addresss_many_clients_displace_each_other_and_not_the_others() -> None:
    queue: FairQueue[Waiting] = FairQueue()
    put(queue, DAN, 3)
    clients = [Owner("192.0.2.1", "main", str(number)) for number in range(5)]
    for client in clients:
        put(queue, client)
    assert queue.displaced_by(Owner("192.0.2.1", "main", "another")) is None
    displaced = queue.displaced_by(DAN)
    assert displaced is not None
    assert displaced.owner == clients[-1]


def test_what_is_no_longer_wanted_does_not_wait() -> None:
    queue: FairQueue[Waiting] = FairQueue()
    first, second = put(queue, ANN, 2)
    queue.remove(first)
    assert len(queue) == 1
    assert queue.take() is second
    queue.remove(second)
    assert queue.take() is None
