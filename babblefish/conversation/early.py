"""Recognition of an utterance that has probably ended, begun before that is sure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from babblefish.audio.segmenter import Segment, Segmenter
from babblefish.domain import Owner, Utterance
from babblefish.pipeline.job import UtteranceJob
from babblefish.pipeline.pipeline import Pipeline
from babblefish.pipeline.recognition import Recognition
from babblefish.terms import Terms


@dataclass(frozen=True, slots=True)
class BegunRecognition:
    """An utterance that is being recognised.

    Attributes:
        segment: Of the stream.
        job: The utterance.
        recognising: Its recognition; cancel it where nothing is to become of it.
        parting: Finds out whether it is of one voice.
        pipeline: That recognises it.
        text: What its words are taken for, where a recognition of more has confirmed them.
    """

    segment: Segment
    job: UtteranceJob
    recognising: asyncio.Task[Recognition]
    parting: asyncio.Task[list[Segment]]
    pipeline: Pipeline
    text: str | None = None

    def give_up(self) -> None:
        """Let go of it, as nothing is to become of it."""
        self.recognising.cancel()
        self.parting.cancel()
        self.job.deadline.cancel()
        self.pipeline.end(self.job)


class EarlyRecognition:
    """Uses the silence that makes sure of an utterance's end to recognise it.

    As soon as the silence is as long as an utterance keeps of it (``Segmenter.is_ending``), the samples are those that
    it will have, so what is recognised then is what would be recognised later. Where its speaker goes on after all, the
    work was in vain; so it begins only while nobody else needs the engines.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        target_langs: Callable[[], set[str]],
        terms: Callable[[], Terms],
        expected_langs: Callable[[], Mapping[str, float]],
    ) -> None:
        """Follow a client.

        Args:
            pipeline: With the engines.
            target_langs: Returns the languages that its room hears at this moment.
            terms: Returns the glossary of its room.
            expected_langs: Returns the languages that it is likely to speak.
        """
        self._pipeline = pipeline
        self._target_langs = target_langs
        self._terms = terms
        self._expected_langs = expected_langs
        self._begun: BegunRecognition | None = None
        self._end_sample = 0
        """Of the newest stretch of speech that was taken for the end of an utterance."""

    def hear(self, segmenter: Segmenter, utterance: Callable[[Segment], Utterance], is_draft: bool = False) -> None:
        """Recognise what is probably over, and give up what turns out to go on.

        Args:
            segmenter: Of this client's stream, after each frame.
            utterance: Returns the utterance that a segment will be.
            is_draft: Whether it is of use also where its speaker goes on, so that less is waited for.
        """
        if segmenter.is_speaking:
            self.give_up()
        is_free = self._pipeline.takes_drafts if is_draft else self._pipeline.is_idle
        if not segmenter.is_ending or not is_free:
            return
        segment = segmenter.ending()
        if segment is None or segment.end_sample == self._end_sample:
            return
        self.give_up()
        self._end_sample = segment.end_sample
        self._begun = self.begin(segment, utterance)

    def begin(self, segment: Segment, utterance: Callable[[Segment], Utterance]) -> BegunRecognition:
        """Recognise a segment; whoever asks takes care of what becomes of it.

        Args:
            segment: That speech could be cut at.
            utterance: Returns the utterance that it will be.
        """
        job = self._pipeline.begin(utterance(segment), self._terms())
        job.expected_langs = self._expected_langs()
        recognising = asyncio.create_task(self._pipeline.recognise(job, self._target_langs()))
        recognising.add_done_callback(lambda task: task.cancelled() or task.exception())
        parting = asyncio.create_task(self._pipeline.by_voice(segment, job.utterance.owner))
        return BegunRecognition(segment, job, recognising, parting, self._pipeline)

    def let_go(self) -> BegunRecognition | None:
        """Return what has begun, and leave it to whoever asks."""
        begun, self._begun = self._begun, None
        return begun

    def take_back(self, begun: BegunRecognition) -> None:
        """Have begun what was let go."""
        self.give_up()
        self._begun = begun
        self._end_sample = begun.segment.end_sample

    async def by_voice(self, segment: Segment, owner: Owner) -> list[Segment]:
        """Cut what has ended now where another voice goes on; as ``Pipeline.by_voice``, or found out already."""
        if self._begun is not None and self._begun.segment.end_sample == segment.end_sample:
            return await self._begun.parting
        return await self._pipeline.by_voice(segment, owner)

    def take(self, utterance: Utterance) -> BegunRecognition | None:
        """Return the recognition of an utterance that has ended now, if it has begun."""
        begun = self._begun
        if begun is None:
            return None
        said = begun.job.utterance
        if len(said.samples) != len(utterance.samples) or said.source_langs != utterance.source_langs:
            self.give_up()
            return None
        self._begun = None
        begun.job.utterance = replace(utterance, samples=said.samples)
        return begun

    def give_up(self) -> None:
        """Let go of what has begun, as its speaker goes on or has gone."""
        if self._begun is not None:
            self._begun.give_up()
            self._begun = None
