"""SeamlessM4T v2 from text to text, on a tiny random checkpoint, against transformers' own ``generate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from babblefish.domain import Deadline, Quality
from babblefish.engines.contracts import Route, TextRequest, TextTranslation
from babblefish.errors import DeadlineExceededError, EngineError
from babblefish.languages import to_seamless

torch = pytest.importorskip("torch", reason="the full extra is not installed")
pytest.importorskip("transformers", reason="the full extra is not installed")

from transformers import SeamlessM4TTokenizer, SeamlessM4Tv2ForTextToText, SeamlessM4Tv2Model  # noqa: E402

from babblefish.engines.seamless import text_translator  # noqa: E402 - only where torch is
from babblefish.engines.seamless.decoder import Hypothesis  # noqa: E402
from babblefish.engines.seamless.model import DType, SeamlessModel, load  # noqa: E402
from babblefish.engines.seamless.text_translator import SeamlessTextTranslator  # noqa: E402
from tests.support.tiny_seamless import SENTENCES  # noqa: E402

pytestmark = pytest.mark.slow

CODES = ("eng", "fra", "pol", "deu", "cmn", "ara")
LIMIT = 25
# Random weights seldom find an end.
ENDS = ("The dinner is ready.", ("fra", "ara"))


def never(_: Sequence[int]) -> bool:
    return False


@pytest.fixture(scope="module")
def loaded(checkpoint: Path) -> SeamlessModel:
    return load(checkpoint, "float32")


@pytest.fixture
def engine(loaded: SeamlessModel) -> SeamlessTextTranslator:
    return SeamlessTextTranslator(loaded, threads=1)


def way(engine: SeamlessTextTranslator, source: str, target: str) -> Route:
    route = engine.route(source, target)
    assert route is not None
    return route


class Scripted:
    """Stands in for the translation of a piece: says what was asked, or what it is told to."""

    def __init__(
        self, engine: SeamlessTextTranslator, monkeypatch: pytest.MonkeyPatch, row: Hypothesis | None = None
    ) -> None:
        self.asked: list[str] = []
        self._tokenizer = engine._loaded.tokenizer
        self._row = row
        monkeypatch.setattr(engine, "_decode", self._decode)

    def _decode(self, rows: Sequence[list[int]], *_: Any) -> list[Hypothesis]:
        self.asked += [self._tokenizer.decode(tokens) for tokens in rows]
        return [self._row or Hypothesis(tokens, -0.1, ended=True) for tokens in rows]


@pytest.mark.parametrize(
    ("source", "text"), [("eng", SENTENCES[0]), ("fra", SENTENCES[1]), ("pol", SENTENCES[2]), ("deu", SENTENCES[3])]
)
def test_a_text_becomes_token_for_token_what_transformers_makes_of_it(
    engine: SeamlessTextTranslator, checkpoint: Path, source: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_translator, "is_looping", never)
    monkeypatch.setattr(text_translator, "max_translation_tokens", lambda tokens: LIMIT)
    tokenizer = SeamlessM4TTokenizer.from_pretrained(checkpoint)
    asked = tokenizer(text, src_lang=to_seamless(source), return_tensors="pt").input_ids
    alone = SeamlessM4Tv2ForTextToText.from_pretrained(checkpoint).eval()
    whole = SeamlessM4Tv2Model.from_pretrained(checkpoint).eval()
    made = set()
    for target in set(CODES) - {source}:
        options = {"tgt_lang": to_seamless(target), "num_beams": 1, "do_sample": False, "max_new_tokens": LIMIT}
        options |= {"suppress_tokens": [1]}
        (row,) = engine._decode([engine._loaded.tokens(text)], source, target, Deadline.after(60))
        ours = [3, engine._loaded.languages[target], *row.tokens] + [3] * row.ended
        assert ours == alone.generate(asked, **options)[0].tolist()
        assert ours == whole.generate(asked, generate_speech=False, **options).sequences[0].tolist()
        made.add(tuple(row.tokens))
    assert len(made) > 1  # else a language could be another's unnoticed


def test_there_is_a_good_way_between_any_two_languages_of_the_checkpoint(engine: SeamlessTextTranslator) -> None:
    assert engine.route("pol", "ara") == Route(("pol", "ara"), Quality.GOOD)
    assert engine.route("ara", "pol") == Route(("ara", "pol"), Quality.GOOD)
    assert engine.route("pol", "pol") is None
    assert engine.route("pol", "ita") is None
    assert engine.route("bre", "pol") is None


def test_what_is_said_is_the_text_of_the_tokens(engine: SeamlessTextTranslator) -> None:
    text, route = ENDS
    (row,) = engine._decode([engine._loaded.tokens(text)], *route, Deadline.after(60))
    assert row.ended
    said = engine.translate(text, way(engine, *route), Deadline.after(60))
    assert said == engine._loaded.tokenizer.decode(row.tokens).strip()
    assert said


def test_line_breaks_and_lines_without_words_stay(
    engine: SeamlessTextTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = Scripted(engine, monkeypatch)
    text = "The dinner is ready.\n\n - \nThe soup is still hot."
    assert engine.translate(text, way(engine, "eng", "fra"), Deadline.after(60)) == text
    assert scripted.asked == ["The dinner is ready.", "The soup is still hot."]


def test_each_sentence_is_translated_by_itself(engine: SeamlessTextTranslator, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted(engine, monkeypatch)
    text = "The dinner is ready. The soup is hot. The end."
    assert engine.translate(text, way(engine, "eng", "fra"), Deadline.after(60)) == text
    assert scripted.asked == ["The dinner is ready.", "The soup is hot.", "The end."]


def test_sentences_decoded_together_say_what_each_says_alone(engine: SeamlessTextTranslator) -> None:
    rows = [engine._loaded.tokens(sentence) for sentence in SENTENCES * 2]
    together = engine._decode(rows, "eng", "deu", Deadline.after(60))
    alone = [engine._decode([row], "eng", "deu", Deadline.after(60))[0] for row in rows]
    assert [row.tokens for row in together] == [row.tokens for row in alone]
    assert len({tuple(row.tokens) for row in together}) > 1


def test_between_chinese_sentences_is_no_space(engine: SeamlessTextTranslator, monkeypatch: pytest.MonkeyPatch) -> None:
    Scripted(engine, monkeypatch)
    text = "The dinner is ready. The soup is hot."
    said = engine.translate(text, way(engine, "eng", "cmn"), Deadline.after(60))
    assert said == "The dinner is ready.The soup is hot."


def test_a_word_that_the_vocabulary_lacks_is_left_out_of_a_doubtful_translation(
    engine: SeamlessTextTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = Scripted(engine, monkeypatch)
    text, route = "The dinner is ready. The <unk> is hot.", way(engine, "eng", "fra")
    said = engine.translate_utterance(TextRequest(text, route, Deadline.after(60)))
    assert scripted.asked[1].replace(" ", "") == "The<unk>ishot."
    assert said == TextTranslation("The dinner is ready. The is hot.", is_doubtful=True)
    assert engine.translate(text, route, Deadline.after(60)) == said.text
    whole = engine.translate_utterance(TextRequest(SENTENCES[0], route, Deadline.after(60)))
    assert whole == TextTranslation(SENTENCES[0])


def test_a_text_that_never_ends_is_cut_into_parts(
    engine: SeamlessTextTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = Scripted(engine, monkeypatch)
    monkeypatch.setattr(text_translator, "is_repetitive", lambda _: False)
    engine.translate("the soup and " * 500, way(engine, "eng", "fra"), Deadline.after(60))
    lengths = [len(engine._loaded.tokens(part)) for part in scripted.asked]
    assert len(lengths) > 2
    assert max(lengths) <= 260  # counted again from the text of each part


@pytest.mark.parametrize(
    "row",
    [
        Hypothesis([40, 41, 42], -0.1, ended=False),
        Hypothesis([], -0.1, ended=True),
        Hypothesis([40, 41] * 60, -0.1, ended=True),
    ],
)
def test_no_words_or_the_same_again_and_again_are_an_error(
    engine: SeamlessTextTranslator, monkeypatch: pytest.MonkeyPatch, row: Hypothesis
) -> None:
    Scripted(engine, monkeypatch, row)
    with pytest.raises(EngineError):
        engine.translate("The dinner is ready.", way(engine, "eng", "fra"), Deadline.after(60))


def test_the_deadline_is_checked_between_tokens_and_before_the_first(
    engine: SeamlessTextTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_translator, "is_looping", never)
    deadline, steps = Deadline.after(60), []

    def second_step_cancels(*_: Any) -> None:
        steps.append(1)
        if len(steps) == 2:
            deadline.cancel()

    hook = engine._loaded.model.lm_head.register_forward_hook(second_step_cancels)
    try:
        with pytest.raises(DeadlineExceededError):
            engine.translate(SENTENCES[0], way(engine, "eng", "deu"), deadline)
        with pytest.raises(DeadlineExceededError):
            engine.translate(SENTENCES[0], way(engine, "eng", "deu"), deadline)
    finally:
        hook.remove()
    assert len(steps) == 2


@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
def test_int8_and_bfloat16_translate(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, dtype: DType) -> None:
    engine = SeamlessTextTranslator(load(checkpoint, dtype), threads=1)
    monkeypatch.setattr(engine, "_text", lambda row: (str(row.tokens), True))
    assert engine.translate(SENTENCES[0], way(engine, "eng", "pol"), Deadline.after(60)) != "[]"
