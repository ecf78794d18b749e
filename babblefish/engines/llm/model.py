"""A language model on llama.cpp: continues texts, those of several threads in one batch.

llama.cpp's own server runs in this process and does what is worth sharing: it decodes side by side what is asked at the
same time, and keeps what it has read of each prompt's beginning, so that the examples of a pair of languages are read
once. It cannot be had without a socket to listen on; that socket is given a name in a folder of our own and loses it at
once, so nobody can connect.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from babblefish.domain import Deadline
from babblefish.errors import EngineError

# Its threads wait for each other many times a token. Spinning, they hold the CPUs from the very threads that they wait
# for as soon as another engine works as well: a token then took eleven times as long as with threads that sleep. It is
# read when the library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import xllamacpp

_CONTEXT_TOKENS = 4096
"""What all texts under way may have together: eight of 500 tokens, with their examples. Costs 28 KB a token."""

_CACHE_MIB = 192
"""What may be kept of prompts that nobody is using: 3 MB each, so some sixty of them."""

_BATCH_TOKENS = 64
"""Tokens that are read in one step, which takes 0.8 s on two cores: the texts that are being written wait for it."""


class Message(TypedDict):
    """One message of a chat."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Completion:
    """How a text goes on.

    Attributes:
        text: Up to where it was to stop.
        is_finished: Whether it came to its end, and was not cut off.
    """

    text: str
    is_finished: bool


class LanguageModel:
    """A model in a GGUF file; safe to be called from several threads."""

    def __init__(self, file: Path, threads: int, parallel: int) -> None:
        """Load the model, which takes seconds.

        Args:
            file: GGUF.
            threads: Of one step, which serves all texts under way.
            parallel: Texts that are continued at once; more of them wait.

        Raises:
            EngineError: The file is damaged, or holds what llama.cpp does not know.
        """
        parameters: Any = xllamacpp.CommonParams()
        parameters.model.path = str(file)
        # Weights are rearranged when they are loaded, so a mapped file would be in memory a second time.
        parameters.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
        parameters.n_ctx = _CONTEXT_TOKENS
        parameters.n_batch = parameters.n_ubatch = _BATCH_TOKENS
        parameters.n_parallel = parallel
        parameters.kv_unified = True
        parameters.cache_ram_mib = _CACHE_MIB
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.n_threads_http = 1
        parameters.ui = False
        parameters.offline = True
        parameters.verbosity = 0
        with tempfile.TemporaryDirectory() as folder:
            parameters.hostnames = [str(Path(folder) / "unused.sock")]
            try:
                self._server: Any = xllamacpp.Server(parameters)
            except Exception as error:  # the library raises nothing narrower
                raise EngineError(f"{file.name} cannot be loaded as a language model: {error}") from error

    def complete(
        self,
        prompt: str | Sequence[Message],
        stop: str,
        max_tokens: int,
        deadline: Deadline,
        goes_on: Callable[[str], bool] = lambda _: True,
        temperature: float = 0.0,
    ) -> Completion:
        """Continue a text, or answer the last of some messages in the form of the model's own chat template.

        Args:
            prompt: A text, or messages. Its beginning is best the same as that of others.
            stop: Ends the continuation, and does not belong to it.
            max_tokens: At most so many.
            deadline: Checked at each token.
            goes_on: Called with the continuation so far at each token; False ends it there.
            temperature: 0 takes the likeliest token each time.

        Raises:
            EngineError: llama.cpp refused or failed.
            DeadlineExceededError: It took too long.
        """
        deadline.check()
        answer = _Answer(deadline, goes_on)
        options = {"stop": [stop], "max_tokens": max_tokens, "temperature": temperature, "stream": True}
        options |= {"cache_prompt": True, "seed": 0}
        if isinstance(prompt, str):
            self._server.handle_completions({"prompt": prompt, **options}, answer)
        else:
            self._server.handle_chat_completions({"messages": list(prompt), **options}, answer)
        if answer.failure is not None:
            raise answer.failure
        deadline.check()
        return Completion(answer.text, answer.reason == "stop")


class _Answer:
    """Takes a text as it is written.

    It never raises: llama.cpp's binding loses what is raised in a call from there.
    """

    def __init__(self, deadline: Deadline, goes_on: Callable[[str], bool]) -> None:
        self._deadline = deadline
        self._goes_on = goes_on
        self.text = ""
        self.reason: str | None = None
        self.failure: Exception | None = None

    def __call__(self, chunk: Any) -> bool:
        """Take what was written, and say whether to stop."""
        try:
            for part in chunk if isinstance(chunk, list) else [chunk]:
                if "error" in part:
                    self.failure = EngineError(f"the language model failed: {part['error'].get('message')}")
                    return True
                for choice in part.get("choices", ()):
                    self.text += choice["text"] if "text" in choice else choice["delta"].get("content") or ""
                    self.reason = choice.get("finish_reason") or self.reason
            return self._deadline.is_over or not (self.reason or self._goes_on(self.text))
        except Exception as error:  # what is wrong here would be lost
            self.failure = error
            return True
