"""eSpeak NG: formant synthesis, a robotic voice in about a hundred languages, faster than any model.

Its library and data come with ``espeakng_loader``, so no system package is needed. It runs in a process of its own
(``espeak_process``), as it may end at any text; that costs this text its speech, and the next one gets a new process.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import select
import subprocess
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from babblefish.domain import BabbleFishError, Deadline, EngineError, SetupError, Speech
from babblefish.engines import espeak_process
from babblefish.engines.speakable import speakable
from babblefish.engines.text_splitting import has_words
from babblefish.languages import LANGUAGES

_START_LIMIT_S = 30.0
"""It starts in a tenth of a second."""

_TICK_MS = 50
"""How often a wait checks its deadline."""


class _Process:
    """eSpeak NG's process, for one text at a time, as all of the library's state is global.

    Attributes:
        sample_rate_hz: Of everything it speaks.
        identifiers: Language, as eSpeak NG calls it → identifier of its default voice.
    """

    def __init__(self, deadline: Deadline) -> None:
        """Start it.

        Raises:
            SetupError: The library cannot be loaded, or finds no data.
            EngineError: It ended at once.
            DeadlineExceededError: It took too long.
        """
        # By its path, so that nothing of this process needs to be found again, and no folder is searched for its
        # imports. In a process group of its own, Ctrl-C at the server's terminal does not reach it.
        self._program = subprocess.Popen(
            [sys.executable, "-P", espeak_process.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        self.close = weakref.finalize(self, _end, self._program)
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._stdin, self._stdout_fd = self._program.stdin, self._program.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._stdout_fd, select.POLLIN)
        self._received = bytearray()
        while (end := self._received.find(b"\n")) < 0:
            self._receive(deadline)
        found = json.loads(self._take(end + 1, deadline))
        if "error" in found:
            raise SetupError(f"{found['error']}; install it with: pip install --force-reinstall espeakng-loader")
        self.sample_rate_hz: int = found["sample_rate_hz"]
        self.identifiers: dict[str, str] = found["identifiers"]

    def speak(self, identifier: str, text: str, deadline: Deadline) -> bytes:
        """Return the PCM of a text, 16 bits.

        Whatever it raises, the process is of no more use.

        Raises:
            EngineError: It ended, or failed on this text.
            DeadlineExceededError: It took too long.
            OSError: It had ended before.
        """
        self._stdin.write(json.dumps([identifier, text]).encode() + b"\n")
        self._stdin.flush()
        pcm = bytearray()
        while count := self._count(deadline):
            if count < 0:
                raise EngineError("eSpeak NG failed on this text")
            pcm += self._take(count, deadline)
        return bytes(pcm)

    def _count(self, deadline: Deadline) -> int:
        (count,) = espeak_process.COUNT.unpack(self._take(espeak_process.COUNT.size, deadline))
        return int(count)

    def _take(self, count: int, deadline: Deadline) -> bytes:
        while len(self._received) < count:
            self._receive(deadline)
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _receive(self, deadline: Deadline) -> None:
        deadline.check()
        if self._poll.poll(_TICK_MS):
            read = os.read(self._stdout_fd, 65536)
            if not read:
                raise EngineError("eSpeak NG ended at this text")
            self._received += read


def _end(program: subprocess.Popen[bytes]) -> None:
    program.kill()
    program.wait()
    for pipe in (program.stdin, program.stdout):
        if pipe:
            with contextlib.suppress(BrokenPipeError):  # a text that it never read
                pipe.close()


@dataclass(frozen=True, slots=True)
class _Library:
    """What all engines share.

    Attributes:
        sample_rate_hz: Of everything it speaks.
        identifiers: Language, as eSpeak NG calls it → identifier of its default voice.
        idle: Holds the process while nobody uses it, None where it has to be started; whoever takes it out owns it
            until they put it back.
    """

    sample_rate_hz: int
    identifiers: dict[str, str]
    idle: queue.Queue[_Process | None]


@functools.cache
def _library() -> _Library:
    """Start the process, one for however many engines there are.

    Raises:
        SetupError: The library cannot be loaded, or finds no data.
    """
    try:
        process = _Process(Deadline.after(_START_LIMIT_S))
    except SetupError:
        raise
    except (OSError, BabbleFishError) as error:
        raise SetupError(f"eSpeak NG does not start ({error})") from error
    idle: queue.Queue[_Process | None] = queue.Queue()
    idle.put(process)
    return _Library(process.sample_rate_hz, process.identifiers, idle)


class EspeakNg:
    """Speaks with eSpeak NG's default voice of each language."""

    name = "espeak"

    def __init__(self) -> None:
        """Start eSpeak NG, unless another engine has, and get its list of voices.

        Raises:
            SetupError: It cannot be loaded, or finds no data.
        """
        self._library = _library()
        self._voices = {
            code: language.espeak
            for code, language in LANGUAGES.items()
            if language.espeak and language.espeak in self._library.identifiers
        }

    def voice(self, lang: str) -> str | None:
        """Return ``espeak:<voice>``, or None for a language it does not know."""
        return f"{self.name}:{self._voices[lang]}" if lang in self._voices else None

    def synthesize(self, text: str, lang: str, deadline: Deadline) -> Iterator[Speech]:
        """Speak ``text`` as one piece; a text without a letter or digit yields nothing.

        Raises:
            EngineError: eSpeak NG does not know the language, failed on this text, or ended at it.
            DeadlineExceededError: It took too long.
        """
        if lang not in self._voices:
            raise EngineError(f"eSpeak NG has no voice for {lang!r}")
        if not has_words(text):
            return
        pcm = self._speak(speakable(text), self._library.identifiers[self._voices[lang]], deadline)
        deadline.check()
        if pcm:
            samples = np.frombuffer(pcm, dtype=np.int16).astype(np.float32) / np.float32(32768.0)
            yield Speech(samples, self._library.sample_rate_hz, lang, f"{self.name}:{self._voices[lang]}")

    def _speak(self, text: str, identifier: str, deadline: Deadline) -> bytes:
        process = deadline.take(self._library.idle)
        try:
            process = process or _Process(deadline)
            return process.speak(identifier, text, deadline)
        except BaseException as error:
            # The rest of its answer would be taken for that to the next text.
            if process:
                process.close()
                process = None
            if isinstance(error, OSError):
                raise EngineError("eSpeak NG failed on this text") from error
            raise
        finally:
            self._library.idle.put(process)
