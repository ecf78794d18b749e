"""What a server and a program without one share: engines that are loaded once, and threads that end."""

from __future__ import annotations

import pytest

from babblefish.engines import registry
from babblefish.errors import SetupError
from babblefish.pipeline.interpreter import Interpreter
from babblefish.pipeline.runtime import Runtime
from babblefish.pipeline.workers import left_running
from babblefish.settings import Settings
from tests.support.fakes import Fakes, ScriptedParts
from tests.support.waiting import until


async def test_engines_that_are_given_are_not_loaded_again(settings: Settings, fakes: Fakes) -> None:
    engines = fakes.engines
    runtime = Runtime(settings, engines)
    pipeline = runtime.pipeline
    assert await runtime.load() is pipeline
    assert runtime.engines is engines
    await runtime.close()
    assert fakes.text_translator.closed


async def test_a_program_whose_engines_cannot_be_loaded_is_told_and_leaves_no_thread(
    settings: Settings, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise SetupError("its weights are not there")

    monkeypatch.setattr(registry, "Parts", lambda *_: ScriptedParts(fakes.engines, espeak=absent))
    with pytest.raises(SetupError, match="the espeak cannot be loaded: its weights are not there"):
        async with Interpreter.open(settings):
            pytest.fail("there is nothing to work with")
    await until(lambda: not left_running())


async def test_what_a_server_lacks_is_known_by_its_part(
    settings: Settings, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise SetupError("its weights are not there")

    engines = fakes.engines
    monkeypatch.setattr(registry, "Parts", lambda *_: ScriptedParts(engines, kokoro=absent))
    runtime = Runtime(settings)
    assert runtime.engines is None
    await runtime.load()
    assert runtime.without == {"kokoro": "its weights are not there"}
    assert runtime.engines is engines
    await runtime.close()
