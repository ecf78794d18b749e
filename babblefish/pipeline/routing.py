"""Which way an utterance takes to each listener's language: through the speech translator, through text, or both."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from babblefish.domain import Quality
from babblefish.engines.contracts import Engines, Route


@dataclass(frozen=True, slots=True)
class Way:
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


def plan(source_lang: str, target_langs: Collection[str], engines: Engines) -> dict[str, Way]:
    """Choose a way to each target language.

    Args:
        source_lang: The language spoken.
        target_langs: The listeners' languages.
        engines: What there is.

    Returns:
        Target → way. A target that no way leads to shares the way to English, which most listeners without a path of
        their own can read, or else the transcript; the way's ``lang`` then is not the target.
    """
    return {
        target: _best(source_lang, target, engines)
        or _best(source_lang, "eng", engines)
        or Way(source_lang, None, Quality.ORIGINAL)
        for target in target_langs
    }


def _best(source: str, target: str, engines: Engines) -> Way | None:
    if target == source:
        return Way(source, None, Quality.ORIGINAL)
    from_speech = engines.speech_translator.targets(source)
    text = engines.text_translator.route(source, target) if engines.text_translator else None
    if target in from_speech:
        # What was measured decides; else a draft gives way to what promises more.
        promises_more = from_speech[target] is Quality.DRAFT and text is not None and text.quality is Quality.GOOD
        if text is None or not (promises_more or (source, target) in engines.text_preferred):
            return Way(target, None, from_speech[target])
    if text:
        return Way(source, text, text.quality)
    if engines.text_translator:
        for pivot in from_speech:
            onward = engines.text_translator.route(pivot, target)
            if onward:
                return Way(pivot, onward, Quality.DRAFT)
    return None
