"""NLLB-200 through CTranslate2: text in any of its 202 languages to any other, without PyTorch.

The sentences of a text are rows of one batch: a decoder step is bound by reading the weights once, so several cost
little more than one.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import tokenizers

from babblefish.domain import Deadline, Quality
from babblefish.engines.contracts import Route
from babblefish.engines.decoding import (
    MAX_SOURCE_TOKENS,
    is_looping,
    is_repetitive,
    last_word_start,
    max_translation_tokens,
)
from babblefish.engines.text_splitting import has_words, space, split_line
from babblefish.errors import EngineError, UnknownLanguageError
from babblefish.languages import FLORES_CODES, flores_code, language_of

_END = "</s>"

_MAX_BATCH = 16
"""Sentences decoded as one batch."""

_GOOD_CODES = (
    "afr ara bos bul cat ces dan deu ell eng est fin fra glg heb hin hrv hun ind ita lav lit mkd msa nld nor pol por "
    "ron rus slk slv spa srp swe tur ukr vie"
)
_GOOD = frozenset(_GOOD_CODES.split())
"""Languages between which a translation counts as good: those with much text to learn from, except Chinese, Japanese,
Korean and Thai, which NLLB writes poorly all the same. This is a judgement; we have not measured the real weights."""


class Nllb:
    """NLLB-200 as a ``TextTranslator`` between all languages that its vocabulary has.

    A language is named by its ISO 639-3 code or by its FLORES code, which says the script too: ``"cmn"`` is written as
    ``"zho_Hans"``, and ``"zho_Hant"`` has no other name. One instance serves several threads; their texts take turns.
    """

    name = "nllb"

    def __init__(self, model_dir: Path, threads: int) -> None:
        """Load the model.

        Args:
            model_dir: CTranslate2 model with ``tokenizer.json`` beside it.
            threads: Threads of one call.

        Raises:
            EngineError: The folder holds no complete model, or not one of NLLB-200.
        """
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(model_dir / "tokenizer.json"))
            vocabulary = json.loads((model_dir / "shared_vocabulary.json").read_text(encoding="utf-8"))
            self._model = ctranslate2.Translator(
                str(model_dir), device="cpu", compute_type="int8", inter_threads=1, intra_threads=threads
            )
        except Exception as error:  # the tokenizer's library raises nothing narrower
            raise EngineError(f"{model_dir.name} holds no complete NLLB model: {error}") from error
        # Text that looks like a special token is text like any other.
        self._tokenizer.encode_special_tokens = True
        ids = {token: id for id, token in enumerate(vocabulary)}
        self._codes = FLORES_CODES & ids.keys()
        for token in (_END, *self._codes):
            if self._tokenizer.token_to_id(token) != ids.get(token):
                raise EngineError(
                    f"the tokenizer in {model_dir.name} does not belong to the model: {token} is another token"
                )
        if not self._codes:
            raise EngineError(f"the model in {model_dir.name} has none of NLLB's languages")

    def route(self, source_lang: str, target_lang: str) -> Route | None:
        """Return the route between two languages, which is always direct, or None where the model lacks one.

        Args:
            source_lang: ISO 639-3 or FLORES code; the route names the languages as they are given.
            target_lang: Likewise.
        """
        source, target = self._code(source_lang), self._code(target_lang)
        if source is None or target is None or source == target:
            return None
        good = _GOOD.issuperset((language_of(source), language_of(target)))
        return Route((source_lang, target_lang), Quality.GOOD if good else Quality.DRAFT)

    def translate(self, text: str, route: Route, deadline: Deadline) -> str:
        """Translate a text sentence by sentence; line breaks stay, and lines without words stay as they are.

        Raises:
            EngineError: The translation of a sentence has no words, repeats itself or never ends.
            DeadlineExceededError: It took too long; checked at each token.
        """
        source, target = (self._code(lang) for lang in route.path)
        assert source is not None
        assert target is not None
        lines = [self._rows(line, source) for line in text.split("\n")]
        translated = self._translated(list(itertools.chain.from_iterable(lines)), source, target, deadline)
        between = space(language_of(target))
        return "\n".join(
            between.join(itertools.islice(translated, len(rows))) if rows else line
            for line, rows in zip(text.split("\n"), lines, strict=True)
        )

    def prepare(self, route: Route, deadline: Deadline) -> None:
        """Return at once: the model is loaded, and no route needs anything of its own."""

    def close(self) -> None:
        """Return at once: no process is running."""

    def _code(self, lang: str) -> str | None:
        """Return the token of a language, None where the model does not have it."""
        if lang in self._codes:
            return lang
        try:
            code = flores_code(lang)
        except UnknownLanguageError:
            return None
        return code if code in self._codes else None

    def _rows(self, line: str, source: str) -> list[list[str]]:
        """Return the tokens of each sentence of a line, those of a long one in several parts."""
        if not has_words(line):
            return []
        sentences = split_line(line, space(language_of(source)))
        tokens = (self._tokenizer.encode(sentence, add_special_tokens=False).tokens for sentence in sentences)
        return [part for sentence in tokens for part in _cut(sentence)]

    def _translated(self, rows: Sequence[list[str]], source: str, target: str, deadline: Deadline) -> Iterator[str]:
        for start in range(0, len(rows), _MAX_BATCH):
            batch = rows[start : start + _MAX_BATCH]
            deadline.check()
            watch = _Watch(deadline)
            results = self._model.translate_batch(
                # As NLLB was trained: the language begins both the text that is read and the one that is written.
                [[source, *row, _END] for row in batch],
                target_prefix=[[target]] * len(batch),
                beam_size=1,
                max_decoding_length=max_translation_tokens(max(map(len, batch))),
                return_end_token=True,
                callback=watch,
            )
            deadline.check()
            if watch.is_looping:
                raise EngineError("NLLB's translation of this text repeats itself")
            yield from (self._text(result.hypotheses[0]) for result in results)

    def _text(self, tokens: Sequence[str]) -> str:
        ids = [self._tokenizer.token_to_id(token) for token in tokens]
        text: str = self._tokenizer.decode([id for id in ids if id is not None], skip_special_tokens=True).strip()
        if tokens[-1] != _END or is_repetitive(text) or not has_words(text):
            raise EngineError("NLLB's translation of this text has no words, or repeats itself")
        return text


def _cut(tokens: list[str]) -> Iterator[list[str]]:
    """Cut what is too long for one row, before a word where there is one."""
    while len(tokens) > MAX_SOURCE_TOKENS:
        end = last_word_start(tokens)
        yield tokens[:end]
        tokens = tokens[end:]
    yield tokens


class _Watch:
    """Is called with each token, and ends a batch that loops or is too late.

    It never raises: CTranslate2 calls it in a thread of its own, and an exception that dies there can take with it the
    frames it came through, among them the last reference to the model, which cannot wait for its own thread to end.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._tokens: dict[int, list[int]] = defaultdict(list)
        self.is_looping = False

    def __call__(self, step: Any) -> bool:
        """Say whether to stop."""
        row = self._tokens[step.batch_id]
        row.append(step.token_id)
        self.is_looping = self.is_looping or is_looping(row)
        return self.is_looping or self._deadline.is_over
