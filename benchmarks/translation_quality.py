"""How well each path translates: conversation between seven languages from text, and recorded speech into English.

From text: chrF of the corpus ``data/conversation.json``, for each pair and each path, with the interval that holds 95 %
of the scores of as many utterances drawn again from the same ones (bootstrap). A path beside the first has the
difference to it, drawn in pairs, and is chosen as the pair's best where that is surely above zero. Each pair and path
also has the sentences that it makes worst and how often a translation was found wrong and made again, and each
translator the utterances of ``data/adversarial.json`` that it got wrong as far as a program can tell. The table of
``babblefish/engines/llm/routes.py`` comes from here.

From speech: English by Whisper's own translation beside the text translators on Whisper's transcript, as sentence chrF.
The table of ``text_preferred`` pairs and the qualities that the Whisper engine states come from here.

``--pairs eng-fra,deu-eng`` limits both to these pairs, ``--every 1`` takes the whole corpus instead of every eighth
utterance; a language model needs hours for that. It translates several utterances at a time with ``--together 4``:
faster in all, but then each takes longer.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import sacrebleu
from numpy.typing import NDArray
from sacrebleu.metrics import CHRF

from babblefish.domain import Deadline, Quality
from babblefish.engines import profiles
from babblefish.engines.apertium import Apertium
from babblefish.engines.contracts import ConversationTranslator, Route, SpeechRequest, TextRequest, TextTranslator
from babblefish.engines.registry import Parts
from babblefish.engines.whisper import Whisper
from babblefish.errors import DeadlineExceededError, EngineError, NoSpeechError, SetupError
from babblefish.models import install
from babblefish.settings import Settings
from benchmarks.support import corpus, harness

_GOOD = 55.0
"""See ``babblefish/engines/llm/routes.py``."""

_DRAWS = 2_000
_WORST = 3
_LIMIT_S = 60.0


@dataclass(frozen=True)
class Way:
    """How a path translates one pair.

    Attributes:
        route: The languages passed through, source first, target last.
        translate: Translates a text; raises ``EngineError`` or ``DeadlineExceededError``.
        guarded: How often each fault was found in a translation, which was then made again, and how many translations
            remained ``doubtful``.
    """

    route: tuple[str, ...]
    translate: Callable[[str], str]
    guarded: Counter[str] = field(default_factory=Counter)


Path = Callable[[str, str], Way | None]
"""Returns how it translates from one language to another, or None where it does not."""


def paths(translators: Sequence[TextTranslator]) -> dict[str, Path]:
    """Return the paths to compare by name, the one that the others are compared with first."""
    found: dict[str, Path] = {}
    for text in translators:
        found[text.name] = partial(_own, text)
        found[f"{text.name} through English"] = partial(_through_english, text)
    return found


def _own(text: TextTranslator, source_lang: str, target_lang: str) -> Way | None:
    """Translate along the route that the translator chooses."""
    route = text.route(source_lang, target_lang)
    return None if route is None else _along(text, [route])


def _through_english(text: TextTranslator, source_lang: str, target_lang: str) -> Way | None:
    """Translate into English and on from there, where the translator's own route is another one."""
    if "eng" in (source_lang, target_lang):
        return None
    legs = [text.route(source_lang, "eng"), text.route("eng", target_lang)]
    found = [leg for leg in legs if leg is not None]
    if len(found) < len(legs):
        return None
    way, own = _along(text, found), text.route(source_lang, target_lang)
    return None if own is not None and own.path == way.route else way


def _along(text: TextTranslator, legs: Sequence[Route]) -> Way:
    guarded: Counter[str] = Counter()

    def translate(said: str) -> str:
        for leg in legs:
            deadline = Deadline.after(_LIMIT_S)
            if isinstance(text, ConversationTranslator):
                translation = text.translate_utterance(TextRequest(said, leg, deadline))
                guarded.update(translation.faults)
                guarded["doubtful"] += translation.is_doubtful
                said = translation.text
            else:
                said = text.translate(said, leg, deadline)
        return said

    return Way(legs[0].path + sum((leg.path[1:] for leg in legs[1:]), ()), translate, guarded)


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


def _translated(way: Way, said: Sequence[str], together: int) -> tuple[list[str], list[float], int]:
    """Return the translations, an empty one where it failed, the milliseconds of each, and how many failed."""

    def timed(text: str) -> tuple[str | None, float]:
        started_s = time.perf_counter()
        translation: str | None = None
        with contextlib.suppress(EngineError, DeadlineExceededError):
            translation = way.translate(text)
        return translation, 1000 * (time.perf_counter() - started_s)

    timed(said[0])  # what starts with the first text is not timed
    way.guarded.clear()
    with ThreadPoolExecutor(together) as threads:
        found = list(threads.map(timed, said))
    failed = sum(translation is None for translation, _ in found)
    return [translation or "" for translation, _ in found], [taken_ms for _, taken_ms in found], failed


def compare(
    ways: dict[str, Way], said: Sequence[str], references: Sequence[str], together: int = 1
) -> dict[str, dict[str, Any]]:
    """Score the paths of one pair on the same utterances; the first is the one that the others are compared with."""
    rows: dict[str, dict[str, Any]] = {}
    first: NDArray[np.int64] | None = None
    for name, way in ways.items():
        translations, times_ms, failed = _translated(way, said, together)
        counted = statistics_of(translations, references)
        each = chrf(counted)
        rows[name] = {
            **with_interval(counted),
            "route": " → ".join(way.route),
            "failed": failed,
            "guarded": dict(+way.guarded),
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


def best(rows: dict[str, dict[str, Any]]) -> str:
    """Return the path of a pair to choose: the first, unless another one is surely above it."""
    first = next(iter(rows))
    above = {name: row for name, row in rows.items() if name != first and row[f"above {first}"]["from"] > 0}
    return max(above, key=lambda name: above[name]["chrf"], default=first)


def quality(score: float) -> Quality:
    """Return what a pair's chrF is called."""
    return Quality.GOOD if score >= _GOOD else Quality.DRAFT


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


def _from_text(
    chosen: Sequence[corpus.Pair], translators: Sequence[TextTranslator], every: int, together: int
) -> dict[str, Any]:
    utterances, trials = corpus.conversation()[::every], corpus.adversarial()
    compared = paths(translators)
    by_pair: dict[str, Any] = {}
    chosen_paths: dict[str, str] = {}
    wrong: dict[str, dict[str, Any]] = {text.name: {"tried": 0, "wrong": 0, "which": []} for text in translators}
    for source, target in chosen:
        # One pair after the other: a translator that keeps programs running for a pair starts them once.
        ways = {name: way for name, path in compared.items() if (way := path(source, target)) is not None}
        if not ways:
            by_pair[f"{source}-{target}"] = "no path"
            continue
        # What a listener would be shown without a translation: from English, what there is of any language.
        ways["untranslated"] = Way((source,), str)
        said, references = ([utterance.texts[lang] for utterance in utterances] for lang in (source, target))
        rows = by_pair[f"{source}-{target}"] = compare(ways, said, references, together)
        path = best(rows)
        chosen_paths[f"{source}-{target}"] = f"{path}: {rows[path]['chrf']}, {quality(rows[path]['chrf'])}"
        tried = [trial for trial in trials if trial.lang == source]
        for name in wrong.keys() & ways.keys():
            wrong[name]["tried"] += len(tried)
            wrong[name]["which"] += _got_wrong(ways[name], tried, target)
            wrong[name]["wrong"] = len(wrong[name]["which"])
    return {"utterances": len(utterances), "chrf_by_pair": by_pair, "chosen": chosen_paths, "adversarial": wrong}


def _chrf(hypothesis: str, reference: str) -> float:
    return round(float(sacrebleu.sentence_chrf(hypothesis, [reference]).score), 1)


def _from_speech(clips: Sequence[harness.Clip], translators: Sequence[TextTranslator]) -> dict[str, Any]:
    """Translate clips that are not English in every way."""
    settings = Settings()
    whisper = Whisper(install.locate("whisper-base", settings.model_dir), settings.translation_threads)
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
        row["transcript"] = heard.transcript.text
        translations = {"whisper": heard.translations.get("eng", "")}
        for text in translators:
            way = _own(text, clip.lang, "eng")
            if way is not None:
                translations[text.name] = way.translate(heard.transcript.text)
        for name, translation in translations.items():
            scores[clip.lang][name].append(_chrf(translation, reference))
            row |= {name: translation, f"{name}_chrf": _chrf(translation, reference)}
        rows.append(row)
    table = {}
    for lang, ways in scores.items():
        means = {way: round(statistics.mean(values), 1) for way, values in ways.items()}
        better = max(means, key=lambda way: means[way])
        table[lang] = {**means, "better": better, "quality": quality(means[better])}
    return {"mean_chrf_to_english": table, "clips": rows}


def _translators(settings: Settings) -> list[TextTranslator]:
    """Load the text translator of the profile, without its other engines where that is possible, and Apertium."""
    parts = Parts(settings, profiles.choose(settings))
    try:
        if parts.text_translator is not None:
            own = parts.text_translator.load()
        else:
            assert parts.seamless is not None
            own = parts.seamless.load().text
    except SetupError as error:
        harness.missing(str(error))
    with contextlib.suppress(SetupError):
        return [own] if own.name == Apertium.name else [own, Apertium()]
    return [own]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Translate the corpus along every path, then the recordings."""
    try:
        chosen = corpus.pairs(options.pairs)
    except ValueError as error:
        sys.exit(str(error))
    langs = [source for source, target in chosen if target == "eng"]
    clips = [clip for clip in harness.clips(langs) if "eng" in clip.texts] if langs and harness.has_clips() else []
    translators = _translators(Settings())
    try:
        figures = {"from_text": _from_text(chosen, translators, options.every, options.together)}
        return figures | ({"from_speech": _from_speech(clips, translators)} if clips else {})
    finally:
        for text in translators:
            text.close()


if __name__ == "__main__":
    harness.main(__doc__, measure, pairs="all", every=8, together=1)
