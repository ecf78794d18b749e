"""Paths are scored as sacrebleu scores them, with an interval, and what they get wrong is named."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pytest
import sacrebleu

from babblefish.engines.contracts import TextRequest, TextTranslation
from babblefish.errors import EngineError
from benchmarks import translation_quality
from benchmarks.support import corpus
from benchmarks.translation_quality import Way, best, chrf, compare, paths, statistics_of, with_interval
from tests.support.fakes import FakeTextTranslator, make_fakes

SPOKEN = [[utterance.texts[lang] for utterance in corpus.conversation()] for lang in ("fra", "spa", "ita")]
FRENCH, SPANISH, ITALIAN = SPOKEN


@pytest.fixture
def text() -> FakeTextTranslator:
    return FakeTextTranslator(make_fakes().calls)


def routes(text: FakeTextTranslator, source: str, target: str) -> dict[str, tuple[str, ...] | None]:
    found = {name: path(source, target) for name, path in paths([text]).items()}
    return {name: way and way.route for name, way in found.items()}


@pytest.mark.parametrize(
    "translations", [SPANISH, FRENCH, ["", *SPANISH[1:]], [""] * len(FRENCH), ["Ja"] * len(FRENCH)]
)
def test_the_score_is_the_one_of_sacrebleu(translations: list[str]) -> None:
    expected = sacrebleu.corpus_chrf(translations, [FRENCH]).score
    assert chrf(statistics_of(translations, FRENCH).sum(axis=0)) == pytest.approx(expected)


def test_each_utterance_has_the_score_of_sacrebleu_too() -> None:
    each = chrf(statistics_of(SPANISH, FRENCH))
    expected = [sacrebleu.sentence_chrf(said, [meant]).score for said, meant in zip(SPANISH, FRENCH, strict=True)]
    assert each == pytest.approx(np.array(expected))


def test_the_interval_is_around_the_score_and_the_same_every_time() -> None:
    counted = statistics_of(SPANISH, FRENCH)
    found = with_interval(counted)
    assert found == with_interval(counted)
    assert found["from"] < found["chrf"] < found["to"]
    wide = with_interval(counted[:10])
    assert wide["to"] - wide["from"] > found["to"] - found["from"]


def test_utterances_that_are_all_alike_leave_no_doubt() -> None:
    found = with_interval(statistics_of(["Bonjour à tous."] * 9, ["Bonsoir à tous."] * 9))
    assert found["from"] == found["chrf"] == found["to"]


def test_a_difference_is_taken_utterance_by_utterance() -> None:
    spanish, italian = statistics_of(SPANISH, FRENCH), statistics_of(ITALIAN, FRENCH)
    assert with_interval(spanish, spanish) == {"chrf": 0.0, "from": 0.0, "to": 0.0}
    apart = with_interval(spanish)["chrf"] - with_interval(italian)["chrf"]
    assert with_interval(spanish, italian)["chrf"] == pytest.approx(apart, abs=0.11)
    perfect = statistics_of(FRENCH, FRENCH)
    assert with_interval(perfect, spanish)["from"] > 0


def test_a_pair_goes_its_own_way_and_through_english(text: FakeTextTranslator) -> None:
    own, through = ("fra", "spa"), ("fra", "eng", "spa")
    assert routes(text, "fra", "spa") == {"fake-text": own, "fake-text through English": through}
    way = paths([text])["fake-text through English"]("fra", "spa")
    assert way is not None
    assert way.translate("oui") == "<spa> <eng> oui"


@pytest.mark.parametrize(
    ("source", "target", "own"),
    [("eng", "fra", ("eng", "fra")), ("fra", "eng", ("fra", "eng")), ("fra", "deu", None), ("deu", "eng", None)],
)
def test_nothing_goes_through_english_that_begins_or_ends_there_or_cannot(
    text: FakeTextTranslator, source: str, target: str, own: tuple[str, ...] | None
) -> None:
    assert routes(text, source, target) == {"fake-text": own, "fake-text through English": None}


def test_paths_are_compared_with_the_first_on_the_same_utterances() -> None:
    perfect = dict(zip(SPANISH, FRENCH, strict=True))
    ways = {"echo": Way(("spa", "fra"), str), "perfect": Way(("spa", "eng", "fra"), perfect.__getitem__)}
    rows = compare(ways, SPANISH, FRENCH)
    assert rows["perfect"]["chrf"] == 100.0
    assert rows["perfect"]["route"] == "spa → eng → fra"
    assert rows["perfect"]["above echo"]["chrf"] == pytest.approx(100 - rows["echo"]["chrf"], abs=0.11)
    assert "above echo" not in rows["echo"]
    assert rows["echo"]["failed"] == 0
    assert rows["echo"]["ms"]["n"] == len(SPANISH)


def test_an_utterance_that_fails_counts_as_not_translated() -> None:
    def fail_once(said: str) -> str:
        if said == "non":
            raise EngineError("scripted failure")
        return said

    rows = compare({"some": Way(("fra", "fra"), fail_once)}, ["non", "bonjour"], ["non", "bonjour"])
    assert rows["some"]["failed"] == 1
    assert 0 < rows["some"]["chrf"] < 100
    assert rows["some"]["worst"][0].startswith("non →  (0;")


def test_the_benchmark_is_limited_to_the_pairs_that_are_asked_for(
    text: FakeTextTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translation_quality, "_translators", lambda settings: [text])
    figures = translation_quality.measure(argparse.Namespace(pairs="deu-pol,fra-spa", every=10, together=2))
    assert list(figures["from_text"]["chrf_by_pair"]) == ["fra-spa", "deu-pol"]
    assert figures["from_text"]["chrf_by_pair"]["deu-pol"] == "no path"
    assert list(figures["from_text"]["chosen"]) == ["fra-spa"]
    assert figures["from_text"]["utterances"] == 10
    assert "from_speech" not in figures
    assert text.closed
    wrong = figures["from_text"]["adversarial"]["fake-text"]
    french = [trial for trial in corpus.adversarial() if trial.lang == "fra"]
    assert wrong["tried"] == len(french)
    assert wrong["wrong"] == len(wrong["which"])


def test_a_pair_that_does_not_exist_ends_the_benchmark() -> None:
    with pytest.raises(SystemExit, match="no pair of the corpus: eng-xyz"):
        translation_quality.measure(argparse.Namespace(pairs="eng-xyz", every=1, together=1))


class FakeLanguageModel(FakeTextTranslator):
    """Finds something wrong with every ``non``."""

    name = "llm"

    def translate_utterance(self, request: TextRequest) -> TextTranslation:
        text = self.translate(request.text, request.route, request.deadline)
        is_wrong = request.text == "non"
        return TextTranslation(text, is_doubtful=is_wrong, faults=("echo", "length") if is_wrong else ())


def test_what_a_translator_found_wrong_is_counted() -> None:
    way = paths([FakeLanguageModel(make_fakes().calls)])["llm"]("fra", "eng")
    assert way is not None
    said = ["non", "oui", "non"]
    rows = compare({"llm": way}, said, said)
    assert rows["llm"]["guarded"] == {"echo": 2, "length": 2, "doubtful": 2}


@pytest.mark.parametrize(
    ("above", "chosen"),
    [
        ([], "first"),
        ([(4.0, -0.1)], "first"),
        ([(4.0, 0.1)], "path 0"),
        ([(4.0, 0.1), (5.0, 1.0), (9.0, -1.0)], "path 1"),
    ],
)
def test_another_path_is_chosen_only_where_it_is_surely_better(above: list[tuple[float, float]], chosen: str) -> None:
    rows: dict[str, dict[str, Any]] = {"first": {"chrf": 50.0}}
    for n, (points, at_least) in enumerate(above):
        rows[f"path {n}"] = {"chrf": 50 + points, "above first": {"from": at_least}}
    assert best(rows) == chosen
