"""What recognition makes of an utterance, or of several that are clauses of one passage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from babblefish import numerals
from babblefish.domain import Quality, Transcript
from babblefish.engines.contracts import Embedding, SpeechTranslation
from babblefish.engines.text_splitting import space
from babblefish.pipeline.coverage import doubtful
from babblefish.pipeline.job import UtteranceJob
from babblefish.pipeline.routing import CaptionPlan
from babblefish.typography import typeset


@dataclass(frozen=True, slots=True)
class Recognition:
    """What was said, by what voice, and how the listeners' captions are to be made.

    Attributes:
        job: The utterance.
        transcript: In the language spoken.
        embedding: Of the voice; None where the encoder failed, which costs the name and nothing else, or where it was
            not asked for.
        texts: Language → text made from the speech itself; holds the transcript too.
        plans: Target language → plan.
        is_doubtful: Whether the speech translator doubts the transcript, so that a translation of it is a draft.
    """

    job: UtteranceJob
    transcript: Transcript
    embedding: Embedding | None
    texts: Mapping[str, str]
    plans: Mapping[str, CaptionPlan]
    is_doubtful: bool = False

    def written(self, text: str) -> Recognition:
        """Return the same with its words written otherwise."""
        transcript = replace(self.transcript, text=text)
        return replace(self, transcript=transcript, texts={**self.texts, transcript.lang: text})

    def targets_by_plan(self) -> dict[CaptionPlan, frozenset[str]]:
        """Group the target languages that share a caption."""
        groups: dict[CaptionPlan, set[str]] = defaultdict(set)
        for target, plan in self.plans.items():
            groups[plan].add(target)
        return {plan: frozenset(targets) for plan, targets in groups.items()}


def recognised(
    job: UtteranceJob, plans: Mapping[str, CaptionPlan], translation: SpeechTranslation, embedding: Embedding | None
) -> Recognition:
    """Make a recognition of what the speech translator says.

    Args:
        job: The utterance.
        plans: Target language → plan.
        translation: The speech translator's.
        embedding: Of the voice, where it is known.
    """
    transcript = translation.transcript
    said, spoken = transcript.text, transcript.lang
    texts = {lang: as_written(text, said, spoken, lang) for lang, text in translation.translations.items()}
    texts[spoken] = said
    speech_s = job.utterance.speech_s
    if speech_s is not None:
        translation = replace(translation, doubtful=translation.doubtful | doubtful(transcript, texts, speech_s))
    sure = {lang: replace(plan, quality=translation.quality(plan.start, plan.quality)) for lang, plan in plans.items()}
    is_doubtful = translation.quality(spoken, Quality.GOOD) is Quality.DRAFT
    return Recognition(job, transcript, embedding, texts, sure, is_doubtful)


def joined(parts: Sequence[Recognition], job: UtteranceJob) -> Recognition:
    """Return the clauses of a passage as one utterance, in the language of the most of it.

    Its captions come from the speech itself where those of all clauses do.

    Args:
        parts: In their order; at least one.
        job: That it is made in.
    """
    length: dict[str, int] = defaultdict(int)
    for part in parts:
        length[part.transcript.lang] += len(part.transcript.text)
    spoken = max(length, key=length.__getitem__)
    langs = set.intersection(*(set(part.texts) for part in parts)) | {spoken}
    texts = {lang: space(lang).join(part.texts.get(lang, part.transcript.text) for part in parts) for lang in langs}
    transcript = Transcript(
        texts[spoken],
        spoken,
        min(part.transcript.lang_confidence for part in parts),
        min(part.transcript.confidence for part in parts),
    )
    last = parts[-1]
    is_doubtful = any(part.is_doubtful for part in parts)
    plans = {
        target: replace(plan, quality=Quality.DRAFT) if is_doubtful and plan.quality is Quality.GOOD else plan
        for target, plan in last.plans.items()
        if plan.start in texts and last.transcript.lang == spoken
    }
    return Recognition(job, transcript, last.embedding, texts, plans, is_doubtful)


def as_written(text: str, said: str, said_lang: str, lang: str) -> str:
    """Return a translation as its language is written, where a translator keeps to the source's ways."""
    return typeset(numerals.rewritten(text, lang, said, said_lang), lang)
