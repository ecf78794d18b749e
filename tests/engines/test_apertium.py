"""Apertium: choosing a way, the stream format, and pipelines that are kept alive."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from babblefish.domain import Deadline, Quality
from babblefish.engines import apertium
from babblefish.engines.apertium import Apertium, deformat, installed_modes, reformat, shortest_path
from babblefish.engines.contracts import Route
from babblefish.errors import DeadlineExceededError, EngineError, SetupError

SPANISH_CATALAN = {("spa", "cat"), ("cat", "spa")}
ALL_PAIRS = {
    pair
    for one, other in (
        *(("eng", "spa"), ("eng", "cat"), ("fra", "cat"), ("fra", "spa")),
        *(("por", "spa"), ("por", "cat"), ("ita", "spa"), ("ita", "cat")),
    )
    for pair in ((one, other), (other, one))
}
SENTENCES = {
    "cat": "Els nens juguen al jardí amb el gos. On és l'estació?",
    "eng": "Where is the nearest train station? My brother works in a hospital.",
    "fra": "Les deux autres sont situés au bord de la mer Jaune.",
    "ita": "Dal passo si sale sulla vetta lungo la cresta sud.",
    "por": "Um grupo de crianças está andando em um rio",
    "spa": "Mi número favorito es 268. ¿Y el tuyo?",
}
AWKWARD = (
    "Xyzzy [a] {b} ^c$ d/e f\\g @h <i> *j",
    "one\n  two\n\nthree.\tfour  ~ five",
    "50 % & 3,5 € — (no)",
    "…",
    "😀",
)

needs_apertium = pytest.mark.skipif(not shutil.which("apertium-wblank-mode"), reason="Apertium is not installed")


@pytest.fixture(scope="module")
def engine() -> Iterator[Apertium]:
    engine = Apertium()
    yield engine
    engine.close()


class Fresh:
    """An engine of its own for a test that does something to its programs."""

    def __init__(self) -> None:
        self._others = {child.pid for child in psutil.Process().children(recursive=True)}
        self.engine = Apertium()

    @property
    def programs(self) -> dict[int, str]:
        children = psutil.Process().children(recursive=True)
        return {child.pid: child.name() for child in children if child.pid not in self._others}

    def signal(self, program: str, number: int, position: int = 0) -> None:
        """Send a signal to the first (-1: the last) program of this name."""
        os.kill([pid for pid, name in sorted(self.programs.items()) if name == program][position], number)


@pytest.fixture
def fresh() -> Iterator[Fresh]:
    fresh = Fresh()
    yield fresh
    fresh.engine.close()
    assert not fresh.programs


def hop(engine: Apertium, source: str, target: str, text: str, deadline_s: float = 30.0) -> str:
    return engine.translate(text, Route((source, target), Quality.DRAFT), Deadline.after(deadline_s))


# Choosing a way


@pytest.mark.parametrize(
    ("source", "target", "pivot"),
    [
        ("eng", "fra", "cat"),
        ("eng", "ita", "cat"),
        ("eng", "por", "spa"),
        ("fra", "eng", "spa"),
        ("ita", "eng", "spa"),
        ("por", "eng", "spa"),
        ("fra", "ita", "cat"),
        ("ita", "fra", "cat"),
        ("por", "ita", "cat"),
        ("ita", "por", "spa"),
    ],
)
def test_of_two_pivots_the_one_that_measured_better_is_taken(source: str, target: str, pivot: str) -> None:
    assert shortest_path(ALL_PAIRS, source, target) == (source, pivot, target)


def test_a_direct_pair_beats_every_pivot() -> None:
    for source, target in ALL_PAIRS:
        assert shortest_path(ALL_PAIRS, source, target) == (source, target)
    assert shortest_path(ALL_PAIRS | SPANISH_CATALAN, "spa", "cat") == ("spa", "cat")


def test_english_is_never_a_pivot_while_a_romance_language_can_be_one() -> None:
    without_portuguese = {pair for pair in ALL_PAIRS if "por" not in pair}
    for pairs in (ALL_PAIRS, without_portuguese):
        path = shortest_path(pairs, "spa", "cat")
        assert path is not None
        assert "eng" not in path
    assert shortest_path({("spa", "eng"), ("eng", "cat")}, "spa", "cat") == ("spa", "eng", "cat")


def test_a_missing_package_leads_to_the_other_pivot_and_then_to_no_way() -> None:
    pairs = {("eng", "spa"), ("spa", "fra")}
    assert shortest_path(pairs, "eng", "fra") == ("eng", "spa", "fra")
    assert shortest_path(pairs, "fra", "eng") is None
    assert shortest_path(pairs, "eng", "pol") is None
    assert shortest_path(pairs, "eng", "eng") is None


def test_modes_are_found_by_old_and_new_names_and_variants_are_left_out(tmp_path: Path) -> None:
    for name in ("fr-es", "spa-eng", "spa-eng_US", "eco-es-fr", "es-pt", "spa-por", "xx-yy", "eng-spa-tagger"):
        (tmp_path / f"{name}.mode").touch()
    modes = {pair: path.stem for pair, path in installed_modes(tmp_path).items()}
    assert modes == {("fra", "spa"): "fr-es", ("spa", "eng"): "spa-eng", ("spa", "por"): "spa-por"}


def test_without_apertium_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="apt-get install apertium apertium-eng-spa"):
        Apertium(tmp_path)


# The stream format


def test_reserved_characters_are_escaped_and_come_back() -> None:
    text = "[a] {b} ^c$ d/e f\\g @h <i>"
    assert deformat(text) == "\\[a\\] \\{b\\} \\^c\\$ d\\/e f\\\\g \\@h \\<i\\>.[]"
    assert reformat(deformat(text)) == text


def test_line_breaks_travel_in_brackets_and_end_a_sentence_only_between_paragraphs() -> None:
    assert deformat("one\ntwo\n\nthree  four") == "one[\n]two.[][\n\n]three[  ]four.[]"
    assert reformat(deformat("one\ntwo\n\nthree  four")) == "one\ntwo\n\nthree  four"


def test_the_nul_that_ends_a_text_cannot_stand_inside_one() -> None:
    assert "\0" not in deformat("one\0two")


# The real pipelines


@needs_apertium
@pytest.mark.slow
def test_every_installed_pair_gives_what_the_apertium_command_gives(engine: Apertium) -> None:
    for (source, target), mode in installed_modes(apertium.MODES_DIR).items():
        for text in (SENTENCES.get(source, "1"), "\n".join(AWKWARD)):
            command = subprocess.run(
                ["apertium", "-u", mode.stem], input=text, capture_output=True, text=True, check=True
            )
            assert hop(engine, source, target, text) == command.stdout, (mode.stem, text)


@needs_apertium
@pytest.mark.slow
def test_numbers_line_breaks_and_unknown_words_survive_two_hops(engine: Apertium) -> None:
    route = engine.route("ita", "eng")
    assert route is not None
    assert route.quality is Quality.DRAFT
    text = engine.translate("Il mio numero è 268.\nCiao Xyzzyplugh!\n", route, Deadline.after(30))
    first, second, last = text.split("\n")
    assert "268" in first
    assert "Xyzzyplugh" in second
    assert "*" not in text
    assert last == ""


@needs_apertium
@pytest.mark.slow
@pytest.mark.parametrize("text", ["", " \n ", "\0", "a\0b", "\ud800", "]", "\\", ".[]", "[<STREAMCMD:FLUSH>]"])
def test_no_text_gets_a_pipeline_out_of_step(engine: Apertium, text: str) -> None:
    expected = hop(engine, "spa", "eng", SENTENCES["spa"])
    hop(engine, "spa", "eng", text)
    assert hop(engine, "spa", "eng", SENTENCES["spa"]) == expected


@needs_apertium
@pytest.mark.slow
def test_a_text_longer_than_all_pipes_hold_is_translated_whole(engine: Apertium) -> None:
    assert hop(engine, "spa", "eng", "La casa es grande. " * 10_000).count("house") == 10_000


@needs_apertium
@pytest.mark.slow
def test_romance_pairs_are_good_and_anything_with_english_is_a_draft(engine: Apertium) -> None:
    qualities = {pair: route.quality for pair in engine.pairs if (route := engine.route(*pair))}
    assert qualities["fra", "spa"] is Quality.GOOD
    assert all(quality is Quality.DRAFT for pair, quality in qualities.items() if "eng" in pair)


@needs_apertium
@pytest.mark.slow
def test_programs_stay_alive_between_texts_and_end_with_close(fresh: Fresh) -> None:
    hop(fresh.engine, "spa", "eng", "Hola.")
    started = fresh.programs
    assert "lt-proc" in started.values()
    hop(fresh.engine, "spa", "eng", "Adiós.")
    assert fresh.programs == started
    fresh.engine.close()
    assert not fresh.programs


@needs_apertium
@pytest.mark.slow
def test_a_hung_program_costs_one_text_and_the_next_one_is_translated(fresh: Fresh) -> None:
    expected = hop(fresh.engine, "spa", "eng", SENTENCES["spa"])
    hung = fresh.programs
    fresh.signal("lrx-proc", signal.SIGSTOP)
    with pytest.raises(DeadlineExceededError):
        hop(fresh.engine, "spa", "eng", SENTENCES["spa"], deadline_s=0.3)
    assert hop(fresh.engine, "spa", "eng", SENTENCES["spa"]) == expected
    assert not hung.keys() & fresh.programs.keys()


@needs_apertium
@pytest.mark.slow
def test_a_hung_program_is_given_up_long_before_a_distant_deadline(
    fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    hop(fresh.engine, "spa", "eng", "Hola.")
    monkeypatch.setattr(apertium, "_ANSWER_LIMIT_S", 0.2)
    fresh.signal("lrx-proc", signal.SIGSTOP)
    with pytest.raises(EngineError, match="did not answer"):
        hop(fresh.engine, "spa", "eng", "Hola.", deadline_s=3600)


@needs_apertium
@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "position"),
    [("lt-proc", 0), ("lrx-proc", 0), ("apertium-transfer", 0), ("lt-proc", -2), ("lt-proc", -1)],
)
def test_a_program_that_dies_between_texts_costs_none(fresh: Fresh, program: str, position: int) -> None:
    expected = hop(fresh.engine, "spa", "eng", SENTENCES["spa"])
    fresh.signal(program, signal.SIGKILL, position)
    alive = len(fresh.programs)
    while len([pid for pid in fresh.programs if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]) == alive:
        time.sleep(0.001)
    assert hop(fresh.engine, "spa", "eng", SENTENCES["spa"]) == expected


@needs_apertium
@pytest.mark.slow
@pytest.mark.parametrize("position", [0, 1, -1])
def test_a_program_that_dies_in_the_middle_of_a_text_costs_that_text(fresh: Fresh, position: int) -> None:
    expected = hop(fresh.engine, "spa", "eng", SENTENCES["spa"])
    fresh.signal("lt-proc", signal.SIGSTOP, position)
    with ThreadPoolExecutor(1) as pool:
        translating = pool.submit(hop, fresh.engine, "spa", "eng", SENTENCES["spa"])
        with pytest.raises(TimeoutError):
            translating.result(timeout=0.2)
        fresh.signal("lt-proc", signal.SIGKILL, position)
        with pytest.raises(EngineError):
            translating.result(timeout=5)
    assert hop(fresh.engine, "spa", "eng", SENTENCES["spa"]) == expected


@needs_apertium
@pytest.mark.slow
def test_texts_of_several_threads_do_not_mix(engine: Apertium) -> None:
    texts = [f"Mi número favorito es {number}." for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        translated = list(pool.map(lambda text: hop(engine, "spa", "eng", text), texts))
    assert translated == [f"My favourite number is {number}." for number in range(40)]


@needs_apertium
@pytest.mark.slow
def test_pipelines_that_were_not_used_for_longest_end_when_there_are_too_many(
    fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apertium, "_MAX_PIPELINES", 1)
    hop(fresh.engine, "spa", "eng", "Hola.")
    spanish = set(fresh.programs)
    assert hop(fresh.engine, "eng", "spa", "Hello.") == "Hola."
    assert spanish
    assert not spanish & fresh.programs.keys()
    assert hop(fresh.engine, "spa", "eng", "Hola.") == "Hello."
