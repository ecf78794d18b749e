"""NLLB-200 on a tiny random checkpoint, converted as the real one is, against transformers' own ``generate``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from babblefish.domain import Deadline, Quality
from babblefish.engines.contracts import Route
from babblefish.errors import DeadlineExceededError, EngineError
from babblefish.languages import FLORES_CODES, LANGUAGES
from babblefish.models.catalogue import CATALOGUE, ConvertedAsset
from babblefish.models.conversion import convert

torch = pytest.importorskip("torch", reason="the full extra is not installed")
pytest.importorskip("transformers", reason="the full extra is not installed")

from transformers import M2M100ForConditionalGeneration, NllbTokenizer  # noqa: E402

from babblefish.engines import nllb  # noqa: E402
from babblefish.engines.nllb import Nllb  # noqa: E402
from tests.support.tiny_nllb import SENTENCES, make_checkpoint  # noqa: E402

pytestmark = pytest.mark.slow

LIMIT = 25
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint as it is published, and as it is converted."""
    folder = tmp_path_factory.mktemp("models")
    (asset,) = (entry for entry in CATALOGUE if entry.name == "nllb-200-distilled-600M-int8")
    assert isinstance(asset, ConvertedAsset)
    (folder / asset.origin.path).mkdir()
    make_checkpoint(folder / asset.origin.path)
    convert(asset, folder, lambda line: None)
    return folder


@pytest.fixture(scope="module")
def checkpoint(model_dir: Path) -> Path:
    return model_dir / "nllb-200-distilled-600M"


@pytest.fixture(scope="module")
def converted(model_dir: Path) -> Path:
    return model_dir / "nllb-200-distilled-600M-int8"


@pytest.fixture
def engine(converted: Path) -> Nllb:
    return Nllb(converted, threads=1)


@pytest.fixture
def exact(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nllb:
    """The engine on float32 weights, so that rounding decides no word."""
    from ctranslate2 import Translator
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(checkpoint)).convert(str(tmp_path / "exact"), quantization="float32")
    shutil.copy(checkpoint / "tokenizer.json", tmp_path / "exact")
    as_float = SimpleNamespace(
        Translator=lambda path, **given: Translator(path, **{**given, "compute_type": "float32"})
    )
    monkeypatch.setattr(nllb, "ctranslate2", as_float)
    monkeypatch.setattr(nllb, "is_looping", lambda tokens: False)
    return Nllb(tmp_path / "exact", threads=1)


def way(engine: Nllb, source: str, target: str) -> Route:
    route = engine.route(source, target)
    assert route is not None
    return route


class Scripted:
    """Stands in for the model: says what was asked, or what it is told to."""

    def __init__(self, engine: Nllb, monkeypatch: pytest.MonkeyPatch, *says: list[str]) -> None:
        self.asked: list[list[str]] = []
        self.batches: list[int] = []
        self._says = says
        monkeypatch.setattr(engine, "_model", self)

    def translate_batch(self, rows: list[list[str]], **_: Any) -> list[Any]:
        self.asked += rows
        self.batches.append(len(rows))
        return [SimpleNamespace(hypotheses=[says]) for says in self._says or rows]


@pytest.mark.parametrize("source", ["eng_Latn", "pol_Latn", "zho_Hans"])
def test_a_text_becomes_token_for_token_what_transformers_makes_of_it(
    exact: Nllb, checkpoint: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nllb, "max_translation_tokens", lambda tokens: LIMIT)
    said: list[Sequence[str]] = []
    monkeypatch.setattr(exact, "_text", lambda tokens: said.append(tokens) or "")
    tokenizer = NllbTokenizer.from_pretrained(checkpoint)
    model = M2M100ForConditionalGeneration.from_pretrained(checkpoint).eval()
    tokenizer.src_lang = source
    text = SENTENCES[source].split("。")[0]
    asked = tokenizer(text, return_tensors="pt")
    for target in set(SENTENCES) - {source}:
        exact.translate(text, way(exact, source, target), Deadline.after(PATIENCE_S))
        theirs = model.generate(
            **asked,
            forced_bos_token_id=tokenizer.convert_tokens_to_ids(target),
            num_beams=1,
            do_sample=False,
            max_length=LIMIT + 1,
        )
        assert [2, *tokenizer.convert_tokens_to_ids(list(said[-1]))] == theirs[0].tolist()
    assert len({tuple(tokens[1:]) for tokens in said}) > 2  # else a language could be another's unnoticed


def test_a_batch_says_of_each_sentence_what_it_says_of_it_alone(exact: Nllb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nllb, "max_translation_tokens", lambda tokens: LIMIT)
    monkeypatch.setattr(exact, "_text", lambda tokens: "".join(tokens))
    sentences = [SENTENCES[code] for code in ("fra_Latn", "pol_Latn", "deu_Latn", "hun_Latn")]
    route = way(exact, "fra", "eng")
    alone = [exact.translate(sentence, route, Deadline.after(PATIENCE_S)) for sentence in sentences]
    assert len(set(alone)) > 1
    monkeypatch.setattr(nllb, "_MAX_BATCH", 3)
    assert exact.translate("\n".join(sentences), route, Deadline.after(PATIENCE_S)).split("\n") == alone


def test_any_two_languages_have_a_direct_route_and_the_judged_ones_are_good(engine: Nllb) -> None:
    assert engine.route("pol", "fra") == Route(("pol", "fra"), Quality.GOOD)
    assert engine.route("ara", "cmn") == Route(("ara", "cmn"), Quality.DRAFT)
    ways = [engine.route("eng", lang) for lang in LANGUAGES]
    assert [way.path[-1] for way in ways if way] == [
        lang for lang in LANGUAGES if lang not in {"eng", "bre", "haw", "lat"}
    ]
    assert engine.route("pol", "pol") is None
    assert engine.route("bre", "pol") is None
    assert engine.route("xxx", "pol") is None


def test_every_flores_code_is_a_name_too_and_says_the_script(engine: Nllb) -> None:
    assert all(engine.route("eng_Latn", code) for code in FLORES_CODES - {"eng_Latn"})
    assert way(engine, "pol_Latn", "zho_Hant").path == ("pol_Latn", "zho_Hant")
    assert engine.route("zho_Hans", "zho_Hant") is not None
    assert engine.route("cmn", "zho_Hans") is None  # the same
    assert engine.route("zho_Hant", "cmn-Hant") is None


def test_the_languages_stand_where_the_model_learned_them(engine: Nllb, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted(engine, monkeypatch)
    engine.translate("Guten Abend", way(engine, "deu", "ara"), Deadline.after(PATIENCE_S))
    assert scripted.asked[0][0] == "deu_Latn"
    assert scripted.asked[0][-1] == "</s>"


def texts(scripted: Scripted) -> list[str]:
    return ["".join(row[1:-1]).replace("▁", " ").strip() for row in scripted.asked]


def test_line_breaks_and_lines_without_words_stay(engine: Nllb, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted(engine, monkeypatch)
    text = "The dinner is ready. The soup is still hot.\n\n - \nThe soup."
    assert engine.translate(text, way(engine, "eng", "fra"), Deadline.after(PATIENCE_S)) == text
    assert texts(scripted) == ["The dinner is ready.", "The soup is still hot.", "The soup."]
    assert scripted.batches == [3]


def test_between_chinese_sentences_is_no_space(engine: Nllb, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted(engine, monkeypatch)
    said = engine.translate(SENTENCES["zho_Hans"], way(engine, "cmn", "zho_Hant"), Deadline.after(PATIENCE_S))
    assert said == SENTENCES["zho_Hans"]
    assert scripted.batches == [2]


def test_a_text_that_never_ends_is_cut_into_parts_between_words(engine: Nllb, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted(engine, monkeypatch)
    monkeypatch.setattr(nllb, "is_repetitive", lambda text: False)
    text = "the soup and " * 3000
    said = engine.translate(text, way(engine, "eng", "fra"), Deadline.after(PATIENCE_S))
    assert said == text.strip()
    assert all(len(row) <= 258 and row[1].startswith("▁") for row in scripted.asked)
    assert len(scripted.batches) > 2
    assert max(scripted.batches) == 16
    scripted.asked.clear()
    engine.translate("soup" * 1000, way(engine, "eng", "fra"), Deadline.after(PATIENCE_S))
    assert max(map(len, scripted.asked)) == 258


def test_what_reads_like_a_special_token_is_text(engine: Nllb, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted(engine, monkeypatch)
    engine.translate("the </s> fra_Latn <s> soup", way(engine, "eng", "fra"), Deadline.after(PATIENCE_S))
    (row,) = scripted.asked
    assert not {"</s>", "fra_Latn", "<s>"} & set(row[1:-1])


@pytest.mark.parametrize(
    "says", [["fra_Latn", "▁s", "oup"], ["fra_Latn", "</s>"], ["fra_Latn", *["▁s", "oup"] * 60, "</s>"]]
)
def test_no_words_or_the_same_again_and_again_are_an_error(
    engine: Nllb, monkeypatch: pytest.MonkeyPatch, says: list[str]
) -> None:
    Scripted(engine, monkeypatch, says)
    with pytest.raises(EngineError, match="no words"):
        engine.translate("The dinner is ready.", way(engine, "eng", "fra"), Deadline.after(PATIENCE_S))


def test_a_translation_that_loops_is_stopped_and_the_engine_goes_on(
    engine: Nllb, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def third_token(tokens: Sequence[int]) -> bool:
        seen.append(len(tokens))
        return len(tokens) == 3

    monkeypatch.setattr(nllb, "is_looping", third_token)
    for _ in range(2):
        with pytest.raises(EngineError, match="repeats itself"):
            engine.translate(SENTENCES["pol_Latn"], way(engine, "pol", "fra"), Deadline.after(PATIENCE_S))
    assert seen == [1, 2, 3] * 2


def test_the_deadline_is_checked_at_each_token_and_before_the_first(
    engine: Nllb, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadline, steps = Deadline.after(PATIENCE_S), []

    def second_step_cancels(tokens: Sequence[int]) -> bool:
        steps.append(1)
        if len(steps) == 2:
            deadline.cancel()
        return False

    monkeypatch.setattr(nllb, "is_looping", second_step_cancels)
    for _ in range(2):
        with pytest.raises(DeadlineExceededError):
            engine.translate(SENTENCES["pol_Latn"], way(engine, "pol", "fra"), deadline)
    assert len(steps) == 2


def cut_short(folder: Path) -> None:
    path = folder / "model.bin"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def another_tokenizer(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    first, last = (token for token in content["added_tokens"] if token["content"] in ("ace_Arab", "zul_Latn"))
    first["content"], last["content"] = last["content"], first["content"]
    vocabulary = content["model"]["vocab"]
    vocabulary.update({token["content"]: token["id"] for token in (first, last) if token["content"] in vocabulary})
    (folder / "tokenizer.json").write_text(json.dumps(content))


def no_languages(folder: Path) -> None:
    words = json.loads((folder / "shared_vocabulary.json").read_text())
    kept = [f"word{place}" if word in FLORES_CODES else word for place, word in enumerate(words)]
    (folder / "shared_vocabulary.json").write_text(json.dumps(kept))


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize("harm", [cut_short, another_tokenizer, no_languages, no_tokenizer])
def test_a_folder_that_holds_no_whole_nllb_is_refused(
    converted: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    copy = shutil.copytree(converted, tmp_path / "copy")
    harm(copy)
    with pytest.raises(EngineError, match="copy"):
        Nllb(copy, threads=1)
