"""The engines of the profile ``open`` with other files: those of the embedded profile, as no hub is asked by a test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from babblefish.cli.demo import read_speech
from babblefish.domain import Quality
from babblefish.models import install
from babblefish.pipeline.interpreter import Interpreter
from babblefish.settings import Settings
from tests.support.serving import FRENCH_SPEECH

pytestmark = pytest.mark.slow


async def test_french_becomes_english_and_polish_by_a_language_model_of_ones_own(
    tmp_path: Path,
) -> None:
    model_dir = Settings().model_dir
    pulled = tmp_path / "mine"
    pulled.mkdir()
    (pulled / "any-name.gguf").symlink_to(install.locate("qwen2.5-coder-1.5b-instruct", model_dir))
    whisper = tmp_path / "whisper"
    shutil.copytree(install.locate("whisper-base", model_dir), whisper)
    settings = Settings(profile="open", whisper_model=str(whisper), llm_model=str(pulled), utterance_deadline_s=240)

    async with Interpreter.open(settings) as interpreter:
        assert interpreter.profile.name == "open"
        captions = {}
        for lang in ("eng", "pol"):
            (line,) = await interpreter.transcribe(read_speech(FRENCH_SPEECH), "fra", lang)
            assert line.caption is not None
            captions[lang] = line.caption
    assert "tonight" in captions["eng"].text or "evening" in captions["eng"].text
    assert (captions["pol"].lang, captions["pol"].quality) == ("pol", Quality.DRAFT)
