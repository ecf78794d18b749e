"""An utterance under way: one object from the end of speech to the last listener."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from babblefish.domain import Deadline, Utterance
from babblefish.errors import DeadlineExceededError
from babblefish.terms import NO_TERMS, Terms


class Timings:
    """Milliseconds per stage. A branch goes on from what is known and adds stages of its own."""

    def __init__(self, known_ms: Mapping[str, float] | None = None) -> None:
        """Begin with the stages that are known already."""
        self._known = dict(known_ms or {})
        self._own: dict[str, float] = {}

    def branch(self) -> Timings:
        """Return timings that begin with all stages so far, for one of several that go on side by side."""
        return Timings(self.all_ms)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; one that fails is not counted."""
        started_s = time.perf_counter()
        yield
        self._own[name] = (time.perf_counter() - started_s) * 1000.0

    def add(self, stages_ms: Mapping[str, float]) -> None:
        """Take over stages that were timed elsewhere."""
        self._own.update(stages_ms)

    @property
    def own_ms(self) -> dict[str, float]:
        """The stages that were added here."""
        return dict(self._own)

    @property
    def all_ms(self) -> dict[str, float]:
        """Every stage, those from before the branch first."""
        return self._known | self._own


@dataclass(eq=False)
class UtteranceJob:
    """An utterance on its way to everybody who listens.

    Attributes:
        utterance: What was said; ``speech_s`` is filled in where nobody had measured it.
        deadline: After which no more work is done for it.
        timings: Stages that all its captions share.
        is_recognised: Whether no more is to be recognised of it.
        is_interim: Whether its speaker is still speaking: it will be recognised again as a whole, and yields to every
            utterance that has ended.
        turn: Its place in the order of its room: 1, 2, 3 …; not every turn becomes a result.
        terms: The glossary of its conversation when it began.
        expected_langs: Languages that its speaker is likely to speak, as ``SpeechRequest`` has them.
        names: That people in its conversation go by.
        voice_in: Returns the voice that speaks for its speaker in a language; None where the default one does.
        context: Returns what was said before it in two languages, oldest first, as ``TextRequest`` has it.
    """

    utterance: Utterance
    deadline: Deadline
    timings: Timings = field(default_factory=Timings)
    is_interim: bool = False
    is_recognised: bool = False
    turn: int = 0
    terms: Terms = NO_TERMS
    expected_langs: Mapping[str, float] = field(default_factory=dict)
    names: Collection[str] = ()
    voice_in: Callable[[str], str | None] = lambda _lang: None
    context: Callable[[str, str], tuple[tuple[str, str], ...]] = lambda _source, _target: ()

    @property
    def utterance_id(self) -> str:
        """The id of its utterance, which its result will have as well."""
        return self.utterance.utterance_id

    def latency_ms(self) -> float:
        """Return the milliseconds since the end of speech."""
        return round((time.monotonic() - self.utterance.ended_at_s) * 1000.0, 1)


@contextlib.asynccontextmanager
async def until(deadline: Deadline) -> AsyncGenerator[None, None]:
    """Give up waiting at the deadline, even for an engine that does not look at it.

    Raises:
        DeadlineExceededError: The moment has passed.
    """
    try:
        async with asyncio.timeout(max(0.0, deadline.at_s - time.monotonic())):
            yield
    except TimeoutError:
        deadline.cancel()
        raise DeadlineExceededError("the utterance took too long and was given up") from None


def since_ms(started_s: float) -> float:
    """Return the milliseconds since a moment of ``time.perf_counter``."""
    return (time.perf_counter() - started_s) * 1000.0
