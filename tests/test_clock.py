"""The clock that captions and links are compared by."""

from __future__ import annotations

import subprocess
import sys

from babblefish.clock import SteadyClock
from tests.support.fakes import Clock

HOUR_S = 3600.0


def test_it_follows_the_machines_clock_forwards_and_never_goes_back() -> None:
    wall, running = Clock(), Clock()
    running.now_s = 5.0
    clock = SteadyClock(wall, running)
    began_s = wall.now_s
    assert clock() == began_s
    wall.now_s -= HOUR_S
    running.now_s += 1
    assert clock() == began_s + 1
    wall.now_s = began_s + HOUR_S
    assert clock() == began_s + HOUR_S
    wall.now_s = began_s
    running.now_s += 1
    assert clock() == began_s + HOUR_S + 1


_SET_BACK = """
import time
import numpy as np
wrong_s, right = 3600.0, time.time
time.time = lambda: right() + wrong_s
from babblefish.conversation.history import History
from babblefish.domain import UNKNOWN_SPEAKER, Deadline, Transcript, Utterance
from babblefish.pipeline.job import UtteranceJob
from babblefish.server.access import Access
history, access = History(10), Access(b"k" * 64, 43200.0)

def say():
    job = UtteranceJob(Utterance("a", "b", np.zeros(0), frozenset(), time.monotonic()), Deadline.after(1.0))
    history.append(job, Transcript("bonjour", "fra", 0.9, 0.9), UNKNOWN_SPEAKER, 0)

say()
wrong_s += 5
link = access.join_token("main")
wrong_s = 0.0
say()
later = access.join_token("main")
seen = history.between(0, 2, access.admit(link, "main").allowed_since_s)[0]
print([entry.seq for entry in seen], access.admit(later, "main").allowed_since_s >= seen[0].made_s - 1)
"""


def test_a_clock_that_is_set_back_hides_nothing_that_is_newer_than_a_link() -> None:
    done = subprocess.run([sys.executable, "-c", _SET_BACK], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "[2] True\n", done.stderr
