"""Cuts speech at the ends of its clauses while it goes on, so that each is translated before the rest is said."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from babblefish.audio.segmenter import Segment, Segmenter
from babblefish.conversation.agreement import agreement, word_count
from babblefish.conversation.early import BegunRecognition, EarlyRecognition
from babblefish.domain import SAMPLE_RATE_HZ, Transcript, Utterance
from babblefish.pipeline.pipeline import Pipeline

_LEAST_WORDS, _LEAST_S = 3, 1.0
"""A shorter clause is translated better with the next one, and costs as much as a long one."""

_LONG_WORDS, _LONG_S = 8, 6.0
"""So much is cut also where no mark says that a clause has ended: its listeners would fall too far behind."""

_GOES_ON_S = 1.0
"""Of sound after a pause: enough for the words that tell whether a clause ended there, and whether its last word was
whole. Also from one draft to the next."""

_WITHOUT_PAUSE_S, _AGAIN_S = 8.0, 2.0
"""Speech in which nobody pauses is cut where it is quietest; where that is within a word, it is tried again later."""

_QUIETEST_AFTER_S, _QUIETEST_BEFORE_S = 3.0, 1.0

_KEPT = 2
"""The end of a clause that is not sure yet, and a pause after it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is recognised of speech that goes on.

    Attributes:
        utterance_id: Whose beginning it is.
        length: In samples.
        transcript: What it says.
    """

    utterance_id: str
    length: int
    transcript: Transcript


class Clauses:
    """Finds the ends of clauses in what one client says.

    A pause is kept in mind with what was recognised up to it (``EarlyRecognition``). Where its speaker goes on, a draft
    of all so far tells whether a clause has ended there: it begins with the same words, so that the pause is within
    none of them, and a mark follows these. Then the speech is cut at the pause, and what was recognised is its result.
    """

    def __init__(self, early: EarlyRecognition, pipeline: Pipeline, is_wanted: Callable[[str | None], bool]) -> None:
        """Follow a client.

        Args:
            early: Of this client.
            pipeline: With the engines.
            is_wanted: Says whether somebody wants clauses of what is said in a language, or in one not known yet.
        """
        self._early = early
        self._pipeline = pipeline
        self._is_wanted = is_wanted
        self.continues = False
        """Whether what is being said goes on from a clause that was cut off."""
        self._kept: deque[BegunRecognition] = deque()
        self._draft: Draft | None = None
        self._drafted = 0
        """Length of what the newest draft was asked for, in samples."""
        self._try_at = _samples(_WITHOUT_PAUSE_S)
        """Length from which a quiet moment is looked for."""

    def hear(self, segmenter: Segmenter, utterance: Callable[[Segment], Utterance]) -> None:
        """Recognise what has probably ended, and keep it in mind where its speaker goes on.

        Args:
            segmenter: Of this client's stream, after each frame.
            utterance: Returns the utterance that a segment will be.
        """
        is_wanted = self._is_wanted(None)
        if not is_wanted:
            self.end(self.continues)
        if segmenter.is_speaking and is_wanted and (begun := self._early.let_go()) is not None:
            self._keep(begun)
        self._early.hear(segmenter, utterance, is_wanted)
        if is_wanted and not self._kept and segmenter.is_speaking and segmenter.length >= self._try_at:
            self._try_without_pause(segmenter, utterance)

    def _keep(self, begun: BegunRecognition) -> None:
        if begun.segment.speech_s < _LEAST_S:
            begun.give_up()
            return
        if len(self._kept) == _KEPT:
            self._kept.popleft().give_up()
        self._kept.append(begun)

    def _try_without_pause(self, segmenter: Segmenter, utterance: Callable[[Segment], Utterance]) -> None:
        if not self._pipeline.takes_drafts:
            return
        self._try_at = segmenter.length + _samples(_AGAIN_S)
        segment = segmenter.up_to_quietest(_QUIETEST_AFTER_S, _QUIETEST_BEFORE_S)
        if segment is not None:
            self._keep(self._early.begin(segment, utterance))

    def awaits_draft(self, segmenter: Segmenter) -> bool:
        """Say whether a draft of all that was said so far would tell something now."""
        if not self._kept or segmenter.is_ending or not self._kept[-1].recognising.done():
            return False
        heard = max(len(self._kept[-1].segment.samples), self._drafted)
        return segmenter.length - heard >= _samples(_GOES_ON_S)

    def asked(self, length: int) -> None:
        """Take note that a draft of so many samples is being made."""
        self._drafted = length

    def take(self, draft: Draft) -> None:
        """Take a draft, which is looked at with the next frame."""
        self._draft = draft

    def cut(self, segmenter: Segmenter) -> Segment | None:
        """Cut what goes on after a clause, if it is sure by now that one has ended; ``early`` then has its recognition.

        Args:
            segmenter: Of this client's stream.
        """
        found = self._ended_clause()
        if found is None:
            return None
        self._forget()
        self._early.take_back(found)
        return segmenter.cut(len(found.segment.samples), found.segment.end_sample)

    def end(self, goes_on: bool = False) -> None:
        """Forget what was kept in mind, as the utterance has ended; ``goes_on`` says whether it was cut off."""
        self.continues = goes_on
        self._forget()

    def _forget(self) -> None:
        while self._kept:
            self._kept.pop().give_up()
        self._draft = None
        self._drafted = 0
        self._try_at = _samples(_WITHOUT_PAUSE_S)

    def _ended_clause(self) -> BegunRecognition | None:
        """Take out what is a clause that has ended, and let go of what turned out to be none."""
        while len(self._kept) > 1 and self._kept[1].recognising.done():
            newer = _transcript(self._kept[1])
            if newer is None:
                self._drop(1)
            elif found := self._compared(newer.text):
                return found
            elif len(self._kept) > 1:
                self._drop(0)
        draft, self._draft = self._draft, None
        if draft is None or not self._kept:
            return None
        begun = self._kept[0]
        is_newer = draft.utterance_id == begun.job.utterance_id and draft.length > len(begun.segment.samples)
        return self._compared(draft.transcript.text) if is_newer else None

    def _compared(self, longer: str) -> BegunRecognition | None:
        """Compare what was kept first with a recognition of more; None leaves it only where that cannot tell yet."""
        begun = self._kept[0]
        transcript = _transcript(begun)
        if transcript is None:
            if begun.recognising.done():
                self._drop(0)
            return None
        agreed = agreement(transcript.text, longer)
        if agreed is not None and not agreed.goes_on:
            return None
        if agreed is None or not self._is_worth_it(begun, transcript, agreed.is_marked):
            self._drop(0)
            return None
        self._kept.popleft()
        return replace(begun, text=agreed.text)

    def _is_worth_it(self, begun: BegunRecognition, transcript: Transcript, is_marked: bool) -> bool:
        words = word_count(transcript.text)
        is_long = words >= _LONG_WORDS or begun.segment.speech_s >= _LONG_S
        return words >= _LEAST_WORDS and (is_marked or is_long) and self._is_wanted(transcript.lang)

    def _drop(self, at: int) -> None:
        self._kept[at].give_up()
        del self._kept[at]


def _samples(duration_s: float) -> int:
    return round(duration_s * SAMPLE_RATE_HZ)


def _transcript(begun: BegunRecognition) -> Transcript | None:
    """Return what was recognised, or None where that is not known yet or nothing was."""
    task = begun.recognising
    if not task.done() or task.cancelled() or task.exception() is not None:
        return None
    return task.result().transcript
