"""How well each path translates: conversation between seven languages from text, and recorded speech into English.

From text: chrF of the corpus ``data/conversation.json``, for each pair and each path, with the interval that holds 95 %
of the scores of as many utterances drawn again from the same ones (bootstrap). A path beside the first has the
difference to it, drawn in pairs. Each pair and path also has the sentences that it makes worst, and each path the
utterances of ``data/adversarial.json`` that it got wrong as far as a program can tell.

From speech: English by Whisper's own translation beside Apertium on Whisper's transcript, as sentence chrF. The table
of ``text_preferred`` pairs and the qualities that the Whisper engine states come from here.

``--pairs eng-fra,deu-eng`` limits both to these pairs.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sacrebleu
from numpy.typing import NDArray
from sacrebleu.metrics import CHRF

from babblefish.domain import Deadline, DeadlineExceededError, EngineError, NoSpeechError, SetupError
from babblefish.engines import profiles
from babblefish.engines.apertium import Apertium
from babblefish.engines.contracts import Route, SpeechRequest, TextTranslator
from babblefish.engines.registry import Parts
from babblefish.engines.whisper import Whisper
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.support import corpus, harness

_GOOD = 50.0
_DRAWS = 2_000
_WORST = 3
_LIMIT_S = 60.0


@dataclass(frozen=True)
class Way:
    """How a path translates one pair.

    Attributes:
        route: The languages passed through, source first, target last.
        translate: Translates a text; raises ``EngineError`` or ``DeadlineExceededError``.
    """

    route: tuple[str, ...]
    translate: Callable[[str], str]


Path = Callable[[str, str], Way | None]
"""Returns how it translates from one language to another, or None where it does not."""


def paths(text: TextTranslator) -> dict[str, Path]:
    """Return the paths to compare by name, the one that the others are compared with first."""
    return {
        text.name: lambda source, target: _own(text, source, target),
        f"{text.name} through English": lambda source, target: _through_english(text, source, target),
    }


def _own(text: TextTranslator, source_lang: str, target_lang: str) -> Way | None:
    """Translate along the route that the translator chooses."""
    route = text.route(source_lang, target_lang)
    return None if route is None else _along(text, [route])


def _through_english(text: TextTranslator, source_lang: str, target_lang: str) -> Way | None:
    """Translate into English and on from there, where the translator's own route is another one."""
    if "eng" in (source_lang, target_lang):
        return None
    legs = [text.route(source_lang, "eng"), text.route("eng", target_lang)]
    routes = [leg for leg in legs if leg is not None]
    if len(routes) < len(legs):
        return None
    way, own = _along(text, routes), text.route(source_lang, target_lang)
    return None if own is not None and own.path == way.route else way


def _along(text: TextTranslator, routes: Sequence[Route]) -> Way:
    def translate(said: str) -> str:
        for route in routes:
            said = text.translate(said, route, Deadline.after(_LIMIT_S))
        return said

    return Way(routes[0].path + sum((route.path[1:] for route in routes[1:]), ()), translate)


def statistics_of(translations: Sequence[str], references: Sequence[str]) -> NDArray[np.int64]:
    """Count what chrF is made of in each utterance.

    Returns:
        Shape ``[n, 6, 3]``: for the character n-grams of each order those of the translation, of the reference, and of
        both.
    """
    counted = CHRF()._extract_corpus_statistics(translations, [references])
    return np.array(counted, dtype=np.int64).reshape(len(translations), CHRF.CHAR_ORDER, 3)


def chrf(counted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the chrF, 0 to 100, of corpora whose utterances' statistics have been added up, as sacrebleu does.

    Args:
        counted: Shape ``[..., 6, 3]``.
    """
    translated, reference, both = np.moveaxis(counted, -1, 0)
    used = (translated > 0) & (reference > 0)
    orders = np.maximum(used.sum(axis=-1), 1)
    precision = np.where(used, both / np.maximum(translated, 1), 0.0).sum(axis=-1) / orders
    recall = np.where(used, both / np.maximum(reference, 1), 0.0).sum(axis=-1) / orders
    weight = CHRF.BETA**2
    total = weight * precision + recall
    return np.asarray(100 * (1 + weight) * precision * recall / np.where(total > 0, total, 1.0))


def with_interval(counted: NDArray[np.int64], less: NDArray[np.int64] | None = None) -> dict[str, float]:
    """Return the chrF of a corpus, or by how much it is above another path's, with its 95 % interval.

    Args:
        counted: Shape ``[n, 6, 3]``, as ``statistics_of`` returns it.
        less: That of the same utterances by another path.
    """
    n = len(counted)
    # How often each utterance is drawn: a product of matrices then adds up all corpora at once.
    drawn = np.random.default_rng(0).multinomial(n, [1 / n] * n, _DRAWS)

    def scores(of: NDArray[np.int64]) -> NDArray[np.float64]:
        return chrf((drawn @ of.reshape(n, -1)).reshape(_DRAWS, *of.shape[1:]))

    score, found = float(chrf(counted.sum(axis=0))), scores(counted)
    if less is not None:
        score, found = score - float(chrf(less.sum(axis=0))), found - scores(less)
    low, high = np.percentile(found, [2.5, 97.5])
    return {"chrf": round(score, 1), "from": round(float(low), 1), "to": round(float(high), 1)}


def _translated(way: Way, said: Sequence[str]) -> tuple[list[str], list[float], int]:
    """Return the translations, an empty one where it failed, the milliseconds of each, and how many failed."""
    with contextlib.suppress(EngineError, DeadlineExceededError):
        way.translate(said[0])  # what starts with the first text is not timed
    translations, times_ms, failed = [], [], 0
    for text in said:
        started_s = time.perf_counter()
        try:
            translations.append(way.translate(text))
        except (EngineError, DeadlineExceededError):
            translations.append("")
            failed += 1
        times_ms.append(1000 * (time.perf_counter() - started_s))
    return translations, times_ms, failed


def compare(ways: dict[str, Way], said: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """Score the paths of one pair on the same utterances; the first is the one that the others are compared with."""
    rows: dict[str, Any] = {}
    first: NDArray[np.int64] | None = None
    for name, way in ways.items():
        translations, times_ms, failed = _translated(way, said)
        counted = statistics_of(translations, references)
        each = chrf(counted)
        rows[name] = {
            **with_interval(counted),
            "route": " → ".join(way.route),
            "failed": failed,
            "ms": harness.spread(times_ms),
            "worst": [
                f"{said[at]} → {translations[at]} ({each[at]:.0f}; {references[at]})"
                for at in np.argsort(each, kind="stable")[:_WORST]
            ],
        }
        if first is None:
            first = counted
        else:
            rows[name][f"above {next(iter(ways))}"] = with_interval(counted, first)
    return rows


def _got_wrong(way: Way, trials: Sequence[corpus.Trial], target_lang: str) -> list[str]:
    """Return the trials that a path got wrong, each with its translation and what is wrong with it."""
    found = []
    for trial in trials:
        try:
            translation = way.translate(trial.text)
        except (EngineError, DeadlineExceededError) as error:
            translation, faults = "", [type(error).__name__]
        else:
            faults = corpus.faults(trial, translation, target_lang)
        if faults:
            found.append(f"{trial.lang}-{target_lang} {trial.kind}: {trial.text} → {translation} ({', '.join(faults)})")
    return found


def _from_text(chosen: Sequence[corpus.Pair], text: TextTranslator) -> dict[str, Any]:
    utterances, trials = corpus.conversation(), corpus.adversarial()
    compared = paths(text)
    by_pair: dict[str, Any] = {}
    wrong: dict[str, dict[str, Any]] = {name: {"tried": 0, "wrong": 0, "which": []} for name in compared}
    for source, target in chosen:
        # One pair after the other: a translator that keeps programs running for a pair starts them once.
        ways = {name: way for name, path in compared.items() if (way := path(source, target)) is not None}
        said, references = ([utterance.texts[lang] for utterance in utterances] for lang in (source, target))
        by_pair[f"{source}-{target}"] = compare(ways, said, references) if ways else "no path"
        tried = [trial for trial in trials if trial.lang == source]
        for name, way in ways.items():
            wrong[name]["tried"] += len(tried)
            wrong[name]["which"] += _got_wrong(way, tried, target)
            wrong[name]["wrong"] = len(wrong[name]["which"])
    return {"utterances": len(utterances), "chrf_by_pair": by_pair, "adversarial": wrong}


def _chrf(hypothesis: str, reference: str) -> float:
    return round(float(sacrebleu.sentence_chrf(hypothesis, [reference]).score), 1)


def _from_speech(clips: Sequence[harness.Clip]) -> dict[str, Any]:
    """Translate clips that are not English both ways."""
    settings = Settings()
    whisper = Whisper(install.locate("whisper-base", settings.model_dir), settings.translation_threads)
    apertium = Apertium()
    rows = []
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        reference = clip.texts["eng"]
        row: dict[str, Any] = {"clip": clip.name, "reference": reference}
        try:
            heard = whisper.translate(SpeechRequest(clip.samples, Deadline.after(_LIMIT_S), lambda _: ("eng",)))
        except NoSpeechError:
            rows.append(row | {"whisper": "not recognised"})
            continue
        own = heard.translations.get("eng", "")
        scores[clip.lang]["whisper"].append(_chrf(own, reference))
        row |= {"transcript": heard.transcript.text, "whisper": own, "whisper_chrf": _chrf(own, reference)}
        route = apertium.route(clip.lang, "eng")
        if route is not None:
            text = apertium.translate(heard.transcript.text, route, Deadline.after(_LIMIT_S))
            scores[clip.lang]["apertium"].append(_chrf(text, reference))
            row |= {"apertium": text, "apertium_chrf": _chrf(text, reference), "path": " → ".join(route.path)}
        rows.append(row)
    apertium.close()
    table = {}
    for lang, ways in scores.items():
        means = {way: round(statistics.mean(values), 1) for way, values in ways.items()}
        better = max(means, key=lambda way: means[way])
        table[lang] = {**means, "better": better, "quality": "good" if means[better] >= _GOOD else "draft"}
    return {"mean_chrf_to_english": table, "clips": rows}


def _text_translator(settings: Settings) -> TextTranslator:
    """Load the text translator of the profile, without its other engines where that is possible."""
    parts = Parts(settings, profiles.choose(settings))
    try:
        if parts.text_translator is not None:
            return parts.text_translator.load()
        assert parts.seamless is not None
        return parts.seamless.load().text
    except SetupError as error:
        harness.missing(str(error))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Translate the corpus along every path, then the recordings."""
    try:
        chosen = corpus.pairs(options.pairs)
    except ValueError as error:
        sys.exit(str(error))
    text = _text_translator(Settings())
    try:
        figures = {"from_text": _from_text(chosen, text)}
    finally:
        text.close()
    langs = [source for source, target in chosen if target == "eng"]
    clips = [clip for clip in harness.clips(langs) if "eng" in clip.texts] if langs and harness.has_clips() else []
    return figures | ({"from_speech": _from_speech(clips)} if clips else {})


if __name__ == "__main__":
    harness.main(__doc__, measure, pairs="all")
