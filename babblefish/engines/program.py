"""Programs that run beside the server and answer one question after another, each with a line of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import subprocess
import sys
import weakref
from typing import Any

from babblefish.domain import Deadline
from babblefish.errors import EngineError

_TICK_MS = 50
"""How often a wait checks its deadline."""


class Program:
    """A program in Python whose end costs one question its answer: the next question starts it again.

    It reads a line of JSON and writes one, over and over, and ends when its input does.
    """

    def __init__(self, path: str) -> None:
        """Start nothing yet.

        Args:
            path: The program's file. It finds installed packages, and nothing beside it.
        """
        self._path = path
        # Whoever takes the process out owns it until they put it back; None is one that has to be started.
        self._idle: queue.Queue[_Process | None] = queue.Queue()
        self._idle.put(None)

    def ask(self, question: object, deadline: Deadline) -> Any:
        """Return the answer to a question; both are such that JSON can hold them.

        Questions wait for each other.

        Raises:
            EngineError: The program cannot be started, or ended.
            DeadlineExceededError: It took too long.
        """
        process = deadline.take(self._idle)
        answer = None
        try:
            process = process or _Process(self._path)
            answer = process.ask(question, deadline)
        except OSError as error:
            raise EngineError("a program of an engine ended") from error
        finally:
            # A late answer would be taken for that to the next question.
            if process and answer is None:
                process.close()
                process = None
            self._idle.put(process)
        return json.loads(answer)


class _Process:
    def __init__(self, path: str) -> None:
        # In a process group of its own, Ctrl-C at the server's terminal does not reach it.
        program = subprocess.Popen(
            [sys.executable, "-P", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        self.close = weakref.finalize(self, _end, program)
        assert program.stdin is not None
        assert program.stdout is not None
        self._stdin, self._stdout_fd = program.stdin, program.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._stdout_fd, select.POLLIN)

    def ask(self, question: object, deadline: Deadline) -> bytes:
        self._stdin.write(json.dumps(question).encode() + b"\n")
        self._stdin.flush()
        answer = bytearray()
        while not answer.endswith(b"\n"):
            deadline.check()
            if self._poll.poll(_TICK_MS):
                read = os.read(self._stdout_fd, 1 << 20)
                if not read:
                    raise EngineError("a program of an engine ended at this text")
                answer += read
        return bytes(answer)


def _end(program: subprocess.Popen[bytes]) -> None:
    program.kill()
    program.wait()
    for pipe in (program.stdin, program.stdout):
        if pipe:
            with contextlib.suppress(BrokenPipeError):  # a question that it never read
                pipe.close()
