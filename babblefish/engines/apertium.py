"""Apertium: rule-based translation between the languages whose Debian packages are installed.

A mode of Apertium is a pipeline of ten to fifteen programs. The ``apertium`` command starts all of them for every
text, which takes most of its time. Here they keep running, and each text ends with a NUL byte, on which every program
of the pipeline flushes its output (the option ``-z``, which ``apertium-wblank-mode`` gives each of them).
"""

from __future__ import annotations

import heapq
import io
import itertools
import os
import queue
import re
import select
import shlex
import shutil
import subprocess
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO

from babblefish.domain import Deadline, Quality
from babblefish.engines.contracts import Route
from babblefish.errors import EngineError, SetupError
from babblefish.languages import LANGUAGES

MODES_DIR = Path("/usr/share/apertium/modes")
"""Where the Debian packages put their modes, one ``<source>-<target>.mode`` each."""

INSTALL_COMMAND = (
    "apt-get install apertium apertium-eng-spa apertium-eng-cat apertium-fra-cat apertium-fr-es apertium-es-pt "
    "apertium-por-cat apertium-spa-ita apertium-cat-ita"
)

_PREPARE_MODE = "apertium-wblank-mode"
"""Apertium's own program (since 3.8) that turns a mode into the commands that ``apertium`` runs."""

_ANSWER_LIMIT_S = 10.0
"""A warm pipeline answers in milliseconds, and the slowest starts in less than a second; one this late hangs."""

_MAX_PIPELINES = 8
"""Pairs kept running. A pipeline holds 40 to 620 MB; a conversation in three languages needs six."""

_TICK_MS = 50
"""How often a wait checks its deadline."""

_HOP_COST = 10
_ENGLISH_COST = 5
"""Added to a hop to or from English, which loses more than one between Romance languages."""

_PENALTY: Mapping[tuple[str, str], int] = {
    ("eng", "cat"): 1,
    ("cat", "eng"): 1,
    ("fra", "spa"): 1,
    ("fra", "cat"): 2,
    ("ita", "spa"): 1,
    ("ita", "cat"): 2,
    ("spa", "fra"): 2,
    ("spa", "ita"): 2,
}
"""Chosen so that the cheapest of several routes is the one with the best corpus chrF on 16 everyday sentences in all
six languages. Via Spanish against via Catalan: French to English 59/54, Italian to English 60/58, Portuguese to English
65/61, English to French 59/65, English to Italian 57/59, English to Portuguese 55/54, French to Italian 70/75, Italian
to French 69/74, Portuguese to Italian 64/67, Italian to Portuguese 57/56. What decides is the last hop: to English and
Portuguese Spanish does better, to French and Italian Catalan does. One to three recorded sentences per pair cannot
settle it: they agree except for English with French, where the two routes are a point apart. The penalties stay below a
hop, so fewer hops always win."""

_ROMANCE = frozenset({"cat", "fra", "ita", "por", "spa"})
"""Between these a single hop is good; their chrF on the same sentences was 60 to 76."""

_MODE_NAME = re.compile(r"([a-z]{2,3})-([a-z]{2,3})")
"""A plain mode; longer names are variants (``spa-eng_US``) or economical builds (``eco-es-fr``)."""

_RESERVED = re.compile(r"[][{}^$/\\@<>]")
_BLANK = re.compile(r"[ \t\r\n~]{2,}|[\t\r\n~]")
_MARKUP = re.compile(r"\.\[\]|\[((?:[^\\\]]|\\.)*)\]|\\(.)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")

Pair = tuple[str, str]
"""Source and target, ISO 639-3."""


def installed_modes(modes_dir: Path) -> dict[Pair, Path]:
    """Return the mode files of a folder by language pair, without those of languages that we do not know."""
    codes = {language.bcp47: language.code for language in LANGUAGES.values()} | {code: code for code in LANGUAGES}
    modes = {}
    # Old packages name their modes with two letters; where both exist, the newer, longer name comes last and stays.
    for path in sorted(modes_dir.glob("*.mode"), key=lambda path: (len(path.stem), path.stem)):
        name = _MODE_NAME.fullmatch(path.stem)
        if name and name[1] in codes and name[2] in codes:
            modes[codes[name[1]], codes[name[2]]] = path
    return modes


def shortest_path(pairs: Collection[Pair], source_lang: str, target_lang: str) -> tuple[str, ...] | None:
    """Return the languages of the cheapest route over these pairs, source first, or None where there is none.

    Dijkstra's algorithm over the costs above; ties are broken alphabetically.
    """
    frontier: list[tuple[int, tuple[str, ...]]] = [(0, (source_lang,))]
    done = set()
    while frontier:
        cost, path = heapq.heappop(frontier)
        if path[-1] == target_lang:
            return path if len(path) > 1 else None
        if path[-1] in done:
            continue
        done.add(path[-1])
        for pair in pairs:
            if pair[0] == path[-1] and pair[1] not in done:
                hop = _HOP_COST + _PENALTY.get(pair, 0) + (_ENGLISH_COST if "eng" in pair else 0)
                heapq.heappush(frontier, (cost + hop, (*path, pair[1])))
    return None


def deformat(text: str) -> str:
    """Turn plain text into Apertium's stream format, as ``apertium-destxt`` does.

    Reserved characters are escaped; every blank but a single space becomes a superblank in square brackets, which the
    pipeline passes on untouched; a full stop with an empty superblank marks the end of a paragraph, so that the tagger
    sees a sentence end. Control characters, among them the NUL that ends a text, become spaces.

    Args:
        text: Without blanks at its ends.
    """
    escaped = _RESERVED.sub(r"\\\g<0>", _CONTROL.sub(" ", text))
    return _BLANK.sub(lambda blank: (".[]" if "\n\n" in blank[0] else "") + f"[{blank[0]}]", escaped) + ".[]"


def reformat(stream: str) -> str:
    """Turn Apertium's stream format back into plain text, as ``apertium-retxt`` does."""
    return _MARKUP.sub(lambda markup: markup[1] or markup[2] or "", stream)


class Apertium:
    """Translates text over the installed pairs, with one pipeline per pair, which is started when it is first needed.

    A pipeline that died between two texts is simply replaced. One that hangs, dies or exceeds the deadline while it
    translates is killed with all its programs, which costs that text, and the next text gets a new one. ``close`` ends
    the programs; they also end with the server's process, as their input then ends.
    """

    name = "apertium"

    def __init__(self, modes_dir: Path = MODES_DIR) -> None:
        """Find what is installed; starts nothing.

        Args:
            modes_dir: Folder of the mode files.

        Raises:
            SetupError: Apertium or its language pairs are not installed.
        """
        self._modes = installed_modes(modes_dir)
        if not self._modes or not shutil.which(_PREPARE_MODE):
            raise SetupError(f"Apertium is not installed; install it with: {INSTALL_COMMAND}")
        # Whoever takes a pair's pipeline out of its queue owns it until they put it back; None is one not yet started.
        self._idle: dict[Pair, queue.Queue[_Pipeline | None]] = {pair: queue.Queue(1) for pair in self._modes}
        for idle in self._idle.values():
            idle.put(None)
        self._recent: dict[Pair, None] = {}

    @property
    def pairs(self) -> frozenset[Pair]:
        """The installed pairs."""
        return frozenset(self._modes)

    def route(self, source_lang: str, target_lang: str) -> Route | None:
        """Return the best route between two languages, or None where there is none."""
        path = shortest_path(self._modes, source_lang, target_lang)
        if path is None:
            return None
        good = len(path) == 2 and _ROMANCE.issuperset(path)
        return Route(path, Quality.GOOD if good else Quality.DRAFT)

    def translate(self, text: str, route: Route, deadline: Deadline) -> str:
        """Translate along a route that ``route`` returned; line breaks stay, unknown words stay as they are.

        Raises:
            EngineError: A pipeline died or hung.
            DeadlineExceededError: It took too long.
        """
        for pair in zip(route.path, route.path[1:], strict=False):
            text = self._translate_pair(text, pair, deadline)
        return text

    def prepare(self, route: Route, deadline: Deadline) -> None:
        """Start a route's pipelines, which takes up to a second; never at the cost of others that run.

        Raises:
            EngineError: A pipeline died or hung.
            DeadlineExceededError: It took too long.
        """
        for pair in zip(route.path, route.path[1:], strict=False):
            if pair not in self._recent and len(self._recent) < _MAX_PIPELINES:
                self._translate_pair(".", pair, deadline)

    def close(self) -> None:
        """End all pipelines; to be called when nothing translates any more."""
        for idle in self._idle.values():
            if pipeline := idle.get():
                pipeline.close()
            idle.put(None)

    def _translate_pair(self, text: str, pair: Pair, deadline: Deadline) -> str:
        body = text.strip(" \t\r\n~")
        if not body:
            return text
        before, _, after = text.partition(body)
        idle = self._idle[pair]
        pipeline = deadline.take(idle)
        answer = None
        try:
            if pipeline and not pipeline.is_alive():
                pipeline.close()
                pipeline = None
            pipeline = pipeline or _Pipeline(self._modes[pair])
            answer = pipeline.ask(deformat(body).encode("utf-8", "replace"), deadline)
        except (OSError, subprocess.SubprocessError) as error:
            raise EngineError(f"Apertium {pair[0]}-{pair[1]} failed on this text") from error
        finally:
            # The rest of a pipeline's output would be taken for the answer to the next text.
            if pipeline and answer is None:
                pipeline.close()
                pipeline = None
            idle.put(pipeline)
            self._used(pair)
        return before + reformat(answer.decode("utf-8", "replace")) + after

    def _used(self, pair: Pair) -> None:
        """Note that a pair was used, and end the least recently used pipelines beyond the limit."""
        self._recent.pop(pair, None)
        self._recent[pair] = None
        for old in list(self._recent)[:-_MAX_PIPELINES]:
            try:
                pipeline = self._idle[old].get_nowait()
            except queue.Empty:
                continue  # in use; its turn comes with the next text
            self._recent.pop(old, None)
            if pipeline:
                pipeline.close()
            self._idle[old].put(None)


class _Pipeline:
    """The running programs of one mode, each reading the output of the one before it."""

    def __init__(self, mode: Path) -> None:
        self._programs: list[subprocess.Popen[bytes]] = []
        source: int | IO[bytes] = subprocess.PIPE
        try:
            for command in _commands(mode):
                # A shell in between would hold the output open, and hide the end of the last program. In process
                # groups of their own, they are left to ``close`` on Ctrl-C at the server's terminal.
                program = subprocess.Popen(
                    command,
                    stdin=source,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    bufsize=0,
                    process_group=0,
                    env=os.environ | {"LC_ALL": "C.UTF-8"},
                )
                self._programs.append(program)
                if isinstance(source, io.IOBase):
                    source.close()
                assert program.stdout is not None
                source = program.stdout
        except BaseException:
            self.close()
            raise
        first, last = self._programs[0], self._programs[-1]
        assert first.stdin is not None
        assert last.stdout is not None
        self._stdin_fd, self._stdout_fd = first.stdin.fileno(), last.stdout.fileno()
        os.set_blocking(self._stdin_fd, False)

    def is_alive(self) -> bool:
        """Say whether every program is running."""
        return all(program.poll() is None for program in self._programs)

    def ask(self, text: bytes, deadline: Deadline) -> bytes:
        """Send one text, ending with an empty superblank, and return its translation.

        Raises:
            EngineError: A program ended, or it hangs.
            DeadlineExceededError: It took too long.
            OSError: A program ended while the text was written.
        """
        unsent, answer = memoryview(text + b"\0"), bytearray()
        give_up_s = time.monotonic() + _ANSWER_LIMIT_S
        poll = select.poll()
        poll.register(self._stdout_fd, select.POLLIN)
        poll.register(self._stdin_fd, select.POLLOUT)
        while not answer.endswith(b"\0"):
            deadline.check()
            if time.monotonic() > give_up_s:
                raise EngineError(f"Apertium did not answer within {_ANSWER_LIMIT_S:.0f} s")
            # Both ends together, as a long text fills the pipes before the first program has read all of it.
            for fd, _ in poll.poll(_TICK_MS):
                if fd == self._stdout_fd:
                    chunk = os.read(fd, 65536)
                    if not chunk:
                        raise EngineError("Apertium ended during a translation")
                    answer += chunk
                else:
                    unsent = unsent[os.write(fd, unsent) :]
                    if not unsent:
                        poll.unregister(fd)
        # When one program dies, those after it end the text early with a NUL of their own.
        if not answer.endswith(b"[]\0") or answer.count(b"\0") > 1:
            raise EngineError("Apertium ended during a translation")
        return bytes(answer[:-1])

    def close(self) -> None:
        """Kill all programs."""
        for program in self._programs:
            program.kill()
        for program in self._programs:
            program.wait()
            for pipe in (program.stdin, program.stdout):
                if pipe:
                    pipe.close()


def _commands(mode: Path) -> list[list[str]]:
    """Return the programs of a mode with their arguments, every one told to flush its output on NUL."""
    prepared = subprocess.run(
        [_PREPARE_MODE, "-z", str(mode)], capture_output=True, text=True, check=True, timeout=_ANSWER_LIMIT_S
    )
    # $1 is an option of the generator, -n for leaving unknown words unmarked; $2 is one of the tagger, none here.
    words = shlex.split(prepared.stdout.replace("$1", "-n").replace("$2", "").replace("|", " | "))
    return [list(group) for is_bar, group in itertools.groupby(words, "|".__eq__) if not is_bar]
