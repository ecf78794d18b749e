"""SeamlessM4T v2 from text to text.

For languages that the speech was not translated to: where another engine recognised it, or where the translation from
speech repeated itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from babblefish.domain import Deadline, Quality
from babblefish.engines.contracts import Route, TextRequest, TextTranslation
from babblefish.engines.decoding import (
    MAX_SOURCE_TOKENS,
    is_looping,
    is_repetitive,
    last_word_start,
    max_translation_tokens,
)
from babblefish.engines.seamless.decoder import Hypothesis
from babblefish.engines.seamless.model import SeamlessModel
from babblefish.engines.text_splitting import has_words, space, split_line
from babblefish.engines.torch_threads import use_threads
from babblefish.errors import EngineError

_MAX_BATCH = 8
"""Sentences decoded together; a step costs about what reading the weights costs, whatever the number of rows."""


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
        """Translate a text sentence by sentence; line breaks stay, and lines without words stay as they are.

        The model learned from single sentences, and leaves some out where it gets several.

        Raises:
            EngineError: The translation of a sentence has no words, repeats itself or never ends.
            DeadlineExceededError: It took too long; checked before each token.
        """
        return self._translate(text, route, deadline).text

    def translate_utterance(self, request: TextRequest) -> TextTranslation:
        """Translate what somebody said; where the model could not write a word, it is doubtful.

        Raises:
            EngineError: The translation of a sentence has no words, repeats itself or never ends.
            DeadlineExceededError: It took too long; checked before each token.
        """
        return self._translate(request.text, request.route, request.deadline)

    def prepare(self, route: Route, deadline: Deadline) -> None:
        """Return at once: the model is loaded, and no route needs anything of its own."""

    def close(self) -> None:
        """Return at once: no process is running."""

    def _translate(self, text: str, route: Route, deadline: Deadline) -> TextTranslation:
        use_threads(self._threads)
        source, target = route.path
        lines = [self._rows(line, source) for line in text.split("\n")]
        hypotheses = self._decode(list(chain.from_iterable(lines)), source, target, deadline)
        made = [self._text(hypothesis) for hypothesis in hypotheses]
        texts = (text for text, _ in made)
        translated = (
            space(target).join(islice(texts, len(rows))) if rows else line
            for line, rows in zip(text.split("\n"), lines, strict=True)
        )
        return TextTranslation("\n".join(translated), is_doubtful=not all(is_whole for _, is_whole in made))

    def _rows(self, line: str, source: str) -> list[list[int]]:
        """Return the tokens of each sentence of a line, those of a long one in several parts."""
        if not has_words(line):
            return []
        sentences = split_line(line, space(source))
        return [part for sentence in sentences for part in self._cut(self._loaded.tokens(sentence))]

    def _cut(self, tokens: list[int]) -> Iterator[list[int]]:
        """Cut what is too long for one row, before a word where there is one."""
        while len(tokens) > MAX_SOURCE_TOKENS:
            pieces = self._loaded.tokenizer.convert_ids_to_tokens(tokens[: MAX_SOURCE_TOKENS + 1])
            end = last_word_start(pieces)
            yield tokens[:end]
            tokens = tokens[end:]
        yield tokens

    def _decode(self, rows: Sequence[list[int]], source: str, target: str, deadline: Deadline) -> list[Hypothesis]:
        """Decode sentences, those of a batch in the same steps."""
        decoder, languages = self._loaded.decoder, {target: self._loaded.languages[target]}
        hypotheses = []
        for start in range(0, len(rows), _MAX_BATCH):
            states = []
            for row in rows[start : start + _MAX_BATCH]:
                deadline.check()
                encoded = self._loaded.encode_text(row, source)
                states.append(decoder.start(encoded, languages, max_translation_tokens(len(row)), is_looping))
            while running := [state for state in states if state.running]:
                deadline.check()
                decoder.step(running)
            hypotheses += [state.hypotheses[0] for state in states]
        return hypotheses

    def _text(self, hypothesis: Hypothesis) -> tuple[str, bool]:
        """Return a hypothesis' text, and whether nothing is missing in it.

        Raises:
            EngineError: It has no words, repeats itself or never ended.
        """
        text, is_whole = self._loaded.text(hypothesis.tokens)
        if not hypothesis.ended or is_repetitive(text) or not has_words(text):
            raise EngineError("SeamlessM4T's translation of this text has no words, or repeats itself")
        return text, is_whole
