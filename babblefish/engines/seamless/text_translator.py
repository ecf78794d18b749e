"""SeamlessM4T v2 from text to text.

For languages that the speech was not translated to: where another engine recognised it, or where the translation from
speech repeated itself.
"""

from __future__ import annotations

from babblefish.domain import Deadline, EngineError, Quality
from babblefish.engines.contracts import Route
from babblefish.engines.decoding import MAX_SOURCE_TOKENS, is_looping, is_repetitive, max_translation_tokens
from babblefish.engines.seamless.decoder import Hypothesis
from babblefish.engines.seamless.model import SeamlessModel
from babblefish.engines.text_splitting import has_words, space, split_line
from babblefish.engines.torch_threads import use_threads

_MAX_CHARACTERS = 200
"""Sentences are translated together up to this length, as each gives the next its context; the model learned from
single ones, and leaves some out of a long text."""


class SeamlessTextTranslator:
    """SeamlessM4T v2 as a ``TextTranslator`` between all languages that it writes."""

    name = "seamless"

    def __init__(self, loaded: SeamlessModel, threads: int) -> None:
        """Use a loaded model.

        Args:
            loaded: From ``seamless.model.load``.
            threads: Threads of one call.
        """
        self._loaded = loaded
        self._threads = threads

    def route(self, source_lang: str, target_lang: str) -> Route | None:
        """Return the route between two languages, which is always direct."""
        known = source_lang in self._loaded.languages and target_lang in self._loaded.languages
        return Route((source_lang, target_lang), Quality.GOOD) if known and source_lang != target_lang else None

    def translate(self, text: str, route: Route, deadline: Deadline) -> str:
        """Translate a text, a few sentences at a time; line breaks stay, and lines without words stay as they are.

        Raises:
            EngineError: A translation has no words, repeats itself or never ends.
            DeadlineExceededError: It took too long; checked before each token.
        """
        use_threads(self._threads)
        return "\n".join(self._line(line, route, deadline) for line in text.split("\n"))

    def prepare(self, route: Route, deadline: Deadline) -> None:
        """Return at once: the model is loaded, and no route needs anything of its own."""

    def close(self) -> None:
        """Return at once: no process is running."""

    def _line(self, line: str, route: Route, deadline: Deadline) -> str:
        if not has_words(line):
            return line
        source, target = route.path
        translated = []
        for sentences in split_line(line, space(source), _MAX_CHARACTERS):
            tokens = self._loaded.tokens(sentences)
            for start in range(0, len(tokens), MAX_SOURCE_TOKENS):
                hypothesis = self._decode(tokens[start : start + MAX_SOURCE_TOKENS], source, target, deadline)
                translated.append(self._text(hypothesis))
        return space(target).join(translated)

    def _decode(self, tokens: list[int], source: str, target: str, deadline: Deadline) -> Hypothesis:
        deadline.check()
        encoded = self._loaded.encode_text(tokens, source)
        max_tokens = max_translation_tokens(len(tokens))
        languages = {target: self._loaded.languages[target]}
        (hypothesis,) = self._loaded.decoder.greedy_search(encoded, languages, max_tokens, is_looping, deadline)
        return hypothesis

    def _text(self, hypothesis: Hypothesis) -> str:
        text: str = self._loaded.tokenizer.decode(hypothesis.tokens, skip_special_tokens=True).strip()
        if not hypothesis.ended or is_repetitive(text) or not has_words(text):
            raise EngineError("SeamlessM4T's translation of this text has no words, or repeats itself")
        return text
