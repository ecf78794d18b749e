"""SeamlessM4T v2 from text to text.

The way to a language where another engine recognised the speech, and the second try where the translation from the
speech repeated itself.
"""

from __future__ import annotations

from babblefish.domain import Deadline, EngineError, Quality
from babblefish.engines.contracts import Route
from babblefish.engines.decoding import is_repetitive, loops
from babblefish.engines.seamless.decoder import Row
from babblefish.engines.seamless.model import SeamlessModel
from babblefish.engines.text_splitting import has_words, space, split_line
from babblefish.engines.torch_threads import use_threads

_PIECE_CHARACTERS = 200
"""Sentences are translated together up to this length, as each tells what the next is about; the model learned from
single ones, and leaves some out of a long text."""

_PIECE_TOKENS = 256
"""Where a text without an end of a sentence is cut all the same."""

_TOKENS_PER_TOKEN = 3
_EXTRA_TOKENS = 12
"""No language needs more tokens for the same words; a row that gets there says something else."""


class SeamlessText:
    """SeamlessM4T v2 as a ``TextTranslator`` between all languages that it writes."""

    name = "seamless"

    def __init__(self, loaded: SeamlessModel, threads: int) -> None:
        """Use a loaded model.

        Args:
            loaded: From ``seamless_model.load``.
            threads: Threads of one call.
        """
        self._loaded = loaded
        self._threads = threads

    def route(self, source_lang: str, target_lang: str) -> Route | None:
        """Return the way between two languages, which is always a direct one."""
        known = source_lang in self._loaded.languages and target_lang in self._loaded.languages
        return Route((source_lang, target_lang), Quality.GOOD) if known and source_lang != target_lang else None

    def translate(self, text: str, route: Route, deadline: Deadline) -> str:
        """Translate a text, a few sentences at a time; line breaks stay, and lines without words stay as they are.

        Raises:
            EngineError: The translation of a part has no words, repeats itself or never ends.
            DeadlineExceededError: It took too long; checked before each token.
        """
        use_threads(self._threads)
        return "\n".join(self._line(line, route, deadline) for line in text.split("\n"))

    def prepare(self, route: Route, deadline: Deadline) -> None:
        """Return at once: the model is loaded, and no way needs anything of its own."""

    def close(self) -> None:
        """Return at once: nothing runs beside the server."""

    def _line(self, line: str, route: Route, deadline: Deadline) -> str:
        if not has_words(line):
            return line
        source, target = route.path
        said = []
        for piece in split_line(line, space(source), _PIECE_CHARACTERS):
            tokens = self._loaded.tokens(piece)
            for start in range(0, len(tokens), _PIECE_TOKENS):
                row = self._decode(tokens[start : start + _PIECE_TOKENS], source, target, deadline)
                said.append(self._text(row))
        return space(target).join(said)

    def _decode(self, tokens: list[int], source: str, target: str, deadline: Deadline) -> Row:
        deadline.check()
        encoded = self._loaded.encode_text(tokens, source)
        limit = _TOKENS_PER_TOKEN * len(tokens) + _EXTRA_TOKENS
        languages = {target: self._loaded.languages[target]}
        (row,) = self._loaded.decoder.greedy(encoded, languages, limit, loops, deadline)
        return row

    def _text(self, row: Row) -> str:
        text: str = self._loaded.tokenizer.decode(row.tokens, skip_special_tokens=True).strip()
        if not row.ended or is_repetitive(text) or not has_words(text):
            raise EngineError("SeamlessM4T finds no words for this text, or the same again and again")
        return text
