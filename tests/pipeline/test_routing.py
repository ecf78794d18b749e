"""How the caption in each language is made."""

from __future__ import annotations

from dataclasses import replace

from babblefish.domain import Quality
from babblefish.engines.contracts import Route
from babblefish.pipeline.routing import CaptionPlan, plan_captions
from tests.support.fakes import Fakes, FakeTextTranslator


def test_the_spoken_language_needs_no_translation(fakes: Fakes) -> None:
    plan = plan_captions("fra", ["fra"], fakes.engines)["fra"]
    assert (plan.start, plan.route, plan.quality) == ("fra", None, Quality.ORIGINAL)


def test_the_speech_translator_is_preferred_where_it_knows_the_language(fakes: Fakes) -> None:
    plan = plan_captions("fra", ["eng"], fakes.engines)["eng"]
    assert (plan.start, plan.route, plan.quality) == ("eng", None, Quality.GOOD)


def test_text_is_preferred_where_it_was_measured_to_be_better(fakes: Fakes) -> None:
    engines = replace(fakes.engines, text_preferred=frozenset({("spa", "eng")}))
    assert plan_captions("spa", ["eng"], engines)["eng"].path("spa") == ("spa", "eng")
    assert plan_captions("spa", ["eng"], engines)["eng"].start == "spa"
    assert plan_captions("fra", ["eng"], engines)["eng"].start == "eng"


def test_other_languages_go_through_the_transcript(fakes: Fakes) -> None:
    plan = plan_captions("fra", ["spa"], fakes.engines)["spa"]
    assert (plan.start, plan.lang, plan.quality) == ("fra", "spa", Quality.DRAFT)


def test_a_language_the_text_translator_does_not_read_goes_through_english(fakes: Fakes) -> None:
    plan = plan_captions("pol", ["spa"], fakes.engines)["spa"]
    assert (plan.start, plan.lang, plan.quality) == ("eng", "spa", Quality.DRAFT)
    assert plan.path("pol") == ("pol", "eng", "spa")


def test_listeners_without_a_way_share_the_caption_of_the_english_ones(fakes: Fakes) -> None:
    plans = plan_captions("fra", ["eng", "pol", "deu", "kor"], fakes.engines)
    assert len(set(plans.values())) == 1
    assert plans["pol"].lang == "eng"


def test_listeners_without_a_way_share_it_where_english_comes_from_text_too(fakes: Fakes) -> None:
    engines = replace(fakes.engines, text_preferred=frozenset({("spa", "eng")}))
    plans = plan_captions("spa", ["eng", "pol"], engines)
    assert plans["pol"] == plans["eng"]
    assert plans["pol"].path("spa") == ("spa", "eng")


def test_without_a_way_from_english_the_listener_gets_the_transcript(fakes: Fakes) -> None:
    plan = plan_captions("eng", ["pol"], fakes.engines)["pol"]
    assert (plan.lang, plan.route) == ("eng", None)


def test_what_nobody_writes_in_another_script_is_read_in_the_usual_one(fakes: Fakes) -> None:
    assert plan_captions("cmn", ["cmn-Hant"], fakes.engines)["cmn-Hant"] == CaptionPlan("cmn", None, Quality.ORIGINAL)
    both = plan_captions("fra", ["cmn", "cmn-Hant"], replace(fakes.engines, text_translator=_ChineseText(fakes.calls)))
    assert both["cmn"] == both["cmn-Hant"]
    assert both["cmn"].lang == "cmn"


def test_without_a_text_translator_english_still_works(fakes: Fakes) -> None:
    engines = replace(fakes.engines, text_translator=None)
    assert plan_captions("fra", ["eng"], engines)["eng"].quality is Quality.GOOD
    assert plan_captions("fra", ["spa"], engines)["spa"].lang == "eng"


class _ChineseText(FakeTextTranslator):
    """A text translator that writes Chinese, in simplified characters."""

    def route(self, source_lang: str, target_lang: str) -> Route | None:
        return Route((source_lang, target_lang), Quality.GOOD) if target_lang == "cmn" else None


class _GoodText:
    """A text translator that is good between any two languages but for one."""

    def route(self, source_lang: str, target_lang: str) -> Route:
        return Route((source_lang, target_lang), Quality.DRAFT if "mlt" in (source_lang, target_lang) else Quality.GOOD)


class _DraftSpeech:
    def targets(self, source_lang: str) -> dict[str, Quality]:
        return {"eng": Quality.GOOD if source_lang == "deu" else Quality.DRAFT}


def test_a_draft_from_speech_gives_way_to_text_that_promises_more_and_to_no_other(fakes: Fakes) -> None:
    engines = replace(fakes.engines, speech_translator=_DraftSpeech(), text_translator=_GoodText())
    starts = {source: plan_captions(source, ["eng"], engines)["eng"].start for source in ("pol", "mlt", "deu")}
    assert starts == {"pol": "pol", "mlt": "eng", "deu": "eng"}
    assert plan_captions("pol", ["eng"], engines)["eng"].quality is Quality.GOOD
