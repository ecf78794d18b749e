"""How each listener's caption is made: by the speech translator, by the text translator, or by one after the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from babblefish.domain import Quality
from babblefish.engines.contracts import Engines, Route
from babblefish.languages import spoken


@dataclass(frozen=True, slots=True)
class CaptionPlan:
    """How a caption is made.

    Attributes:
        start: Language of the speech translator's text it starts from; the spoken one is the transcript.
        route: What the text translator then does, or None if the caption is that text itself.
        quality: Of the caption, for listeners of its own language.
    """

    start: str
    route: Route | None
    quality: Quality

    @property
    def lang(self) -> str:
        """Language of the caption."""
        return self.route.path[-1] if self.route else self.start

    def path(self, source_lang: str) -> tuple[str, ...]:
        """Return every language passed through, the spoken one first."""
        texts = self.route.path if self.route else (self.start,)
        return texts if self.start == source_lang else (source_lang, *texts)


def plan_captions(
    source_lang: str, target_langs: Collection[str], engines: Engines, is_typed: bool = False
) -> dict[str, CaptionPlan]:
    """Choose how the caption in each target language is made.

    Args:
        source_lang: The language spoken.
        target_langs: The listeners' languages.
        engines: What there is.
        is_typed: Whether there is nothing but the text, as it was typed.

    Returns:
        Target → plan. A target that nothing leads to shares the plan for its language in another script, or else for
        English, which most listeners without a path of their own can read, or else the transcript; the plan's ``lang``
        then is not the target.
    """
    from_speech = {} if is_typed else engines.speech_translator.targets(source_lang)
    return {
        target: _best(source_lang, target, engines, from_speech)
        or _best(source_lang, spoken(target), engines, from_speech)
        or _best(source_lang, "eng", engines, from_speech)
        or CaptionPlan(source_lang, None, Quality.ORIGINAL)
        for target in target_langs
    }


def _best(source: str, target: str, engines: Engines, from_speech: Mapping[str, Quality]) -> CaptionPlan | None:
    if target == source:
        return CaptionPlan(source, None, Quality.ORIGINAL)
    text = engines.text_translator.route(source, target) if engines.text_translator else None
    if target in from_speech:
        # What was measured decides; else a draft gives way to what promises more.
        promises_more = from_speech[target] is Quality.DRAFT and text is not None and text.quality is Quality.GOOD
        if text is None or not (promises_more or (source, target) in engines.text_preferred):
            return CaptionPlan(target, None, from_speech[target])
    if text:
        return CaptionPlan(source, text, text.quality)
    if engines.text_translator:
        for pivot in from_speech:
            onward = engines.text_translator.route(pivot, target)
            if onward:
                return CaptionPlan(pivot, onward, Quality.DRAFT)
    return None
