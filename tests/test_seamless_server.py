"""SeamlessM4T in the server: a tiny checkpoint of the real architecture, the other engines real, over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from babblefish import engines as registry
from babblefish.demo import read_speech
from babblefish.domain import SetupError
from babblefish.settings import Settings
from tests.support import ENGLISH_SPEECH, FRENCH_SPEECH, SPANISH_SPEECH, Client, Running, serving

pytest.importorskip("torch", reason="the full extra is not installed")

from tests.tiny_seamless import make_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings_with_seamless(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The installed weights, and beside them a tiny SeamlessM4T."""
    folder = tmp_path_factory.mktemp("models")
    for installed in Settings().model_dir.iterdir():
        (folder / installed.name).symlink_to(installed)
    tiny = folder / registry.SEAMLESS_FOLDER
    tiny.unlink(missing_ok=True)
    tiny.mkdir()
    make_checkpoint(tiny)
    return Settings(speech_translator="seamless", model_dir=folder, log_level="warning")


@pytest.fixture
async def running_seamless(settings_with_seamless: Settings) -> AsyncIterator[Running]:
    engines = registry.assemble({part: load() for part, load in registry.loaders(settings_with_seamless).items()})
    async with serving(settings_with_seamless, engines) as running:
        yield running
    engines.close()


async def test_polish_and_german_have_a_way_from_every_language_it_writes(running_seamless: Running) -> None:
    client = await running_seamless.client(target_lang="pol")
    ready = client.messages[0]
    assert ready["engines"]["speech_translator"] == "seamless"
    captions = {info["code"]: info["captions"] for info in ready["languages"]}
    assert (captions["pol"], captions["deu"], captions["eng"]) == ("good", "good", "good")


def _answered(client: Client, utterances: int) -> bool:
    return len(client.of_type("result")) + len(client.of_type("error")) == utterances


async def test_an_utterance_goes_through_it_and_the_next_one_too(running_seamless: Running) -> None:
    """Random weights say random words, or none that are accepted; either way each listener hears of each utterance."""
    polish = await running_seamless.client(target_lang="pol", audio="none")
    german = await running_seamless.client(target_lang="deu", audio="none")
    for count, speech in enumerate((FRENCH_SPEECH, ENGLISH_SPEECH), start=1):
        await polish.say(read_speech(speech))
        await polish.wait_until(partial(_answered, polish, count), 60)
    for error in polish.of_type("error"):
        assert error["code"] == "no_speech"
    for result in polish.of_type("result") + german.of_type("result"):
        assert result["source_lang"] in ("fra", "eng")
        assert result["requested_lang"] in ("pol", "deu")
    assert len(german.of_type("result")) == len(polish.of_type("result"))


async def test_a_language_it_does_not_write_is_a_typed_error(running_seamless: Running) -> None:
    client = await running_seamless.client(target_lang="eng")
    await client.say(read_speech(SPANISH_SPEECH))  # the tiny checkpoint has no Spanish
    (error,) = await client.wait_for("error", timeout_s=60)
    assert error["code"] == "engine_failed"
    assert "Spanish" in error["message"]


def test_without_its_checkpoint_the_folder_to_fill_is_named(tmp_path: Path) -> None:
    settings = Settings(speech_translator="seamless", model_dir=tmp_path)
    with pytest.raises(SetupError, match="seamless-m4t-v2-large"):
        registry.loaders(settings)["speech translator"]()
