"""What honest clients notice of an attack: their answers, captions and places, and the server's memory, under floods.

The server is started as its owner does, with ``ACCESS=required``. Four members send it messages of type ``ping``, one
speaks, one joins and leaves again and again, all from one address. Beside them ``support.attacks`` attacks from others,
one way after another, with calm between them. Answers are asked for at a set pace, whether or not the last one has
come, so that a server that hangs is noticed as often as it would be. Each party has a process of its own; the
attackers' gives way to the others.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import psutil
from prometheus_client.parser import text_string_to_metric_families

from babblefish.cli.demo import CARRIED_SPEECH, read_speech
from babblefish.client import Client, ClientError, ConnectionLostError, connect
from babblefish.domain import Samples
from benchmarks.support import attacks, harness

_ROOM = "main"
_PINGING, _PING_EVERY_S = 4, 0.05
_SPEAK_EVERY_S, _JOIN_EVERY_S, _LOOK_EVERY_S = 1.0, 0.5, 0.1
_COME_BACK_S = 0.5
_PATIENCE_S = 30.0

_WARM_UP_S, _CALM_S, _SETTLE_S = 4.0, 3.0, 3.0
_AT_WORK, _IDLE_WITHIN_S = 1, 60.0
"""What attackers said before they left is still translated; calm begins when the honest speaker alone is left."""

_MOST_TIMES_CALM = 2.0
_MOST_GROWTH_MB = 64.0
"""What waits in an inbox and what engines keep for the next long utterance take 45; a flood that is kept, hundreds."""


class Sample(NamedTuple):
    """What an honest client, or the memory's observer, noted.

    Attributes:
        kind: ``ping``, ``caption`` and ``join`` in milliseconds, ``memory`` in bytes, ``lost`` for whatever was
            refused, failed or disconnected.
        at_s: When it was asked for, on the monotonic clock.
        value: By ``kind``.
        what: What was lost.
    """

    kind: str
    at_s: float
    value: float = 0.0
    what: str = ""


class _Honest:
    """The honest clients, all of one process."""

    def __init__(self, port: int, token: str, server_pid: int, said: Samples) -> None:
        self._port = port
        self._token = token
        self._server = psutil.Process(server_pid)
        self._said = said
        self.samples: list[Sample] = []

    async def be(self, orders: Connection) -> None:
        """Go on until an order comes."""
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(orders.fileno(), ended.set)
        acts = [*[self._ping] * _PINGING, self._speak, self._join, self._look]
        tasks = [asyncio.create_task(self._always(act)) for act in acts]
        await ended.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _always(self, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await act()
            except (ClientError, TimeoutError) as error:
                self.samples.append(Sample("lost", time.monotonic(), what=f"{act.__name__.strip('_')}: {error!r}"))
                await asyncio.sleep(_COME_BACK_S)

    def _member(self) -> contextlib.AbstractAsyncContextManager[Client]:
        return connect(
            harness.url(self._port), room=_ROOM, token=self._token, target_lang="eng", audio="none", backlog=None
        )

    def _took(self, kind: str, from_s: float) -> None:
        self.samples.append(Sample(kind, from_s, (time.monotonic() - from_s) * 1000))

    async def _ping(self) -> None:
        unanswered_s: deque[float] = deque()

        async def ask(client: Client) -> None:
            with contextlib.suppress(ConnectionLostError):  # listening ends then, too
                while True:
                    unanswered_s.append(time.monotonic())
                    await client.send_message(type="ping")
                    await asyncio.sleep(_PING_EVERY_S)

        async with self._member() as client:
            asking = asyncio.create_task(ask(client))
            try:
                async for message in client:
                    if message["type"] == "pong":
                        self._took("ping", unanswered_s.popleft())
            finally:
                asking.cancel()
                for from_s in unanswered_s:
                    self._took("ping", from_s)
        raise ConnectionLostError("disconnected")

    async def _speak(self) -> None:
        async with self._member() as client:
            client_id = (await client.ready())["client_id"]
            while True:
                from_s = time.monotonic()
                await client.say(self._said)
                if await self._is_captioned(client, client_id):
                    self._took("caption", from_s)
                await asyncio.sleep(_SPEAK_EVERY_S)

    async def _is_captioned(self, client: Client, client_id: str) -> bool:
        async with asyncio.timeout(_PATIENCE_S):
            async for message in client:
                match message["type"]:
                    case "result" if message["client_id"] == client_id:
                        return True
                    case "error":
                        self.samples.append(Sample("lost", time.monotonic(), what=f"speak: {message['code']}"))
                        return False
        raise ConnectionLostError("disconnected")

    async def _join(self) -> None:
        while True:
            from_s = time.monotonic()
            async with self._member():
                self._took("join", from_s)
            await asyncio.sleep(_JOIN_EVERY_S)

    async def _look(self) -> None:
        while True:
            self.samples.append(Sample("memory", time.monotonic(), self._server.memory_info().rss))
            await asyncio.sleep(_LOOK_EVERY_S)


def _be_honest(port: int, token: str, server_pid: int, orders: Connection) -> None:
    honest = _Honest(port, token, server_pid, read_speech(CARRIED_SPEECH))
    asyncio.run(honest.be(orders))
    orders.send(honest.samples)


@contextlib.contextmanager
def _honest_clients(port: int, token: str, server_pid: int) -> Iterator[Callable[[], list[Sample]]]:
    """Run the honest clients; yields what ends them and returns what they noted."""
    here, there = Pipe()
    process = get_context("spawn").Process(target=_be_honest, args=(port, token, server_pid, there))
    process.start()
    there.close()

    def ended() -> list[Sample]:
        here.send(None)
        samples: list[Sample] = here.recv()
        return samples

    try:
        yield ended
    finally:
        process.terminate()
        process.join()


def within(samples: Sequence[Sample], kind: str, spans: Sequence[tuple[float, float]]) -> list[float]:
    """Return the values of a kind that belong to some spans of time."""
    return [
        sample.value
        for sample in samples
        if sample.kind == kind and any(from_s <= sample.at_s <= until_s for from_s, until_s in spans)
    ]


def times(values: Sequence[float], calm: Sequence[float]) -> float | None:
    """Return how many times the median of the calm another median is; None where there is nothing to compare."""
    return round(statistics.median(values) / statistics.median(calm), 2) if values and calm else None


def summary(
    samples: Sequence[Sample], calm: Sequence[tuple[float, float]], outcomes: dict[str, attacks.Outcome]
) -> dict[str, Any]:
    """Compare what the honest clients noted under each attack with what they noted in calm.

    Args:
        samples: All that they noted.
        calm: When nobody attacked, from and until.
        outcomes: Of each attack.

    Returns:
        ``calm``, ``attacks`` and ``missed``, which says where an aim was not reached: medians of at most twice the
        calm, no memory that grows, nobody honest refused, until the next attack begins.
    """
    at_ease = {kind: within(samples, kind, calm) for kind in ("ping", "caption", "join")}
    found = {}
    missed = []
    next_s = [*(outcome.from_s for outcome in outcomes.values()), math.inf][1:]
    for (name, outcome), until_s in zip(outcomes.items(), next_s, strict=True):
        span = [(outcome.from_s, outcome.until_s)]
        noted = {kind: within(samples, kind, span) for kind in at_ease}
        times_calm = {kind: times(noted[kind], at_ease[kind]) for kind in at_ease}
        lost = [sample.what for sample in samples if sample.kind == "lost" and outcome.from_s <= sample.at_s < until_s]
        growth_mb = _growth_mb(samples, outcome)
        found[name] = {
            **{f"{kind}_ms": _spread(values) for kind, values in noted.items()},
            "times_calm": times_calm,
            "honest_refused_or_lost": dict(Counter(lost)),
            "memory_growth_mb": growth_mb,
            "connections": outcome.connections,
            "told": outcome.told,
        }
        for kind, factor in times_calm.items():
            if factor is None:
                missed.append(f"{name}: no {kind} came back")
            elif factor > _MOST_TIMES_CALM:
                missed.append(f"{name}: {kind} {factor} times the calm")
        if growth_mb > _MOST_GROWTH_MB:
            missed.append(f"{name}: {growth_mb} MB more memory")
        if lost:
            missed.append(f"{name}: {len(lost)} honest requests refused or lost")
    return {
        "calm": {f"{kind}_ms": _spread(values) for kind, values in at_ease.items()},
        "attacks": found,
        "missed": missed,
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {**harness.spread(values, 1), "max": round(max(values), 1)} if values else {"n": 0}


def _growth_mb(samples: Sequence[Sample], outcome: attacks.Outcome) -> float:
    """Return by how much the server's memory grew from the calm before an attack to its most in it."""
    before = within(samples, "memory", [(outcome.from_s - _CALM_S, outcome.from_s)])
    meanwhile = within(samples, "memory", [(outcome.from_s, outcome.until_s)])
    return round((max(meanwhile) - max(before)) / 1e6, 1)


def _token(state_dir: str, *options: str) -> str:
    """Ask for a token as the server's owner does."""
    environment = os.environ | {"BABBLEFISH_STATE_DIR": state_dir}
    command = [sys.executable, "-m", "babblefish.cli", "token", *options]
    printed = subprocess.run(command, cwd=harness.ROOT, env=environment, capture_output=True, text=True, check=True)
    return printed.stdout.strip()


def pending_jobs(metrics: str) -> int:
    """Return how many jobs the workers have, from the text of ``/metrics``."""
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "babblefish_pending_jobs"
    )


def _settle(port: int, admin: str) -> None:
    """Wait until nothing of an attack is left."""
    time.sleep(_SETTLE_S)
    give_up_s = time.monotonic() + _IDLE_WITHIN_S
    request = urllib.request.Request(harness.url(port) + "metrics", headers={"Authorization": f"Bearer {admin}"})
    while time.monotonic() < give_up_s:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
            if pending_jobs(answer.read().decode()) <= _AT_WORK:
                return
        time.sleep(_LOOK_EVERY_S)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(harness.url(port) + "readyz", timeout=_PATIENCE_S):
            return True
    except OSError:
        return False


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Attack a server in one way after another, with calm between them."""
    harness.clips(["eng"])  # ends here where there are none
    calm: list[tuple[float, float]] = []
    outcomes: dict[str, attacks.Outcome] = {}
    not_ready: list[str] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        harness.server_process(access="required", state_dir=folder) as (port, server),
    ):
        token, admin = _token(folder, "--room", _ROOM), _token(folder, "--admin")
        with _honest_clients(port, token, server.pid) as ended:
            time.sleep(_WARM_UP_S)
            # So that the engines have met the longest utterances, and keep the memory that they take.
            harness.alone(attacks.run, attacks.SPEAKING, port, token, _WARM_UP_S)
            _settle(port, admin)
            for name in attacks.ATTACKS:
                from_s = time.monotonic()
                time.sleep(_CALM_S)
                calm.append((from_s, time.monotonic()))
                outcomes[name] = harness.alone(attacks.run, name, port, token, options.seconds)
                if not _is_ready(port):
                    not_ready.append(name)
                _settle(port, admin)
            samples = ended()
    figures = summary(samples, calm, outcomes)
    figures["missed"] += [f"{name}: the server is not ready" for name in not_ready]
    return figures


if __name__ == "__main__":
    harness.main(__doc__ or "", measure, seconds=6)
