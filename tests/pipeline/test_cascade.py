"""The profile ``cascade`` over the wire: the real Whisper, and a tiny NLLB that knows one sentence per language."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from babblefish.cli.demo import read_speech
from babblefish.engines.contracts import Engines
from babblefish.models.catalogue import CATALOGUE, ConvertedAsset
from babblefish.models.conversion import convert
from babblefish.server.app import Server
from babblefish.settings import Settings
from tests.support.serving import ENGLISH_SPEECH, FRENCH_SPEECH, Running, heard, load_engines, serving_on_a_port

pytest.importorskip("torch", reason="the cascade extra is not installed")
pytest.importorskip("transformers", reason="the cascade extra is not installed")

from tests.support import tiny_nllb

pytestmark = pytest.mark.slow

PATIENCE_S = 60.0
NLLB = "nllb-200-distilled-600M-int8"

SAYS = {
    lang: tiny_nllb.SENTENCES[code]
    for lang, code in {"eng": "eng_Latn", "pol": "pol_Latn", "deu": "deu_Latn", "hun": "hun_Latn"}.items()
}
"""What the tiny NLLB has learnt to write in each language, whatever it reads."""


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights that packages carry, which are installed, and a tiny NLLB, converted as the real one is."""
    folder = tmp_path_factory.mktemp("models")
    kokoro = ("kokoro-v1.0.int8.onnx", "kokoro-voices-v1.0.npz")
    for name in ("whisper-base", *kokoro, "campplus-zh-en.pt", "smart-turn-v3.2-cpu.onnx"):
        (folder / name).symlink_to(Settings().model_dir / name)
    (asset,) = (entry for entry in CATALOGUE if isinstance(entry, ConvertedAsset) and entry.name == NLLB)
    (folder / asset.origin.path).mkdir()
    tiny_nllb.make_checkpoint(folder / asset.origin.path, says=tiny_nllb.SENTENCES)
    convert(asset, folder, lambda line: None)
    shutil.rmtree(folder / asset.origin.path)
    return folder


@pytest.fixture(scope="module")
def settings(model_dir: Path) -> Settings:
    return Settings(profile="cascade", model_dir=model_dir, log_level="warning")


@pytest.fixture(scope="module")
def engines(settings: Settings) -> Engines:
    return load_engines(settings)


@pytest.fixture
async def cascade(settings: Settings, engines: Engines) -> AsyncIterator[Running]:
    async with serving_on_a_port(settings, engines) as running:
        yield running


async def test_a_client_is_told_its_engines_and_languages(cascade: Running) -> None:
    client = await cascade.client(target_lang="pol")
    ready = client.messages[0]
    assert (ready["profile"], ready["profile_reason"]) == ("cascade", "requested in the settings")
    assert ready["engines"] == {
        "voice_detector": "silero",
        "turn_detector": "smart-turn",
        "speaker_encoder": "campplus",
        "speech_translator": "whisper",
        "text_translator": "nllb",
        "synthesizers": "kokoro, espeak",
    }
    told = {info["code"]: (info["captions"], info["voice"]) for info in ready["languages"]}
    assert told["fra"] == ("good", "kokoro:ff_siwis")
    assert told["pol"] == ("good", "espeak:pl")
    assert told["jpn"][0] == told["yor"][0] == "draft"
    assert {code for code, (captions, _) in told.items() if captions == "untranslated"} == {"bre", "haw", "lat"}


async def test_one_speaks_french_and_each_reads_and_hears_it_in_their_language(cascade: Running) -> None:
    french = await cascade.client(target_lang="fra", name="Pierre")
    others = [await cascade.client(target_lang=lang, name=lang) for lang in SAYS]
    await french.say(read_speech(FRENCH_SPEECH))
    (own,) = await french.wait_for("result", timeout_s=PATIENCE_S)
    assert (own["source_lang"], own["quality"], own["tts_audio"]) == ("fra", "original", None)
    assert "soir" in own["source_text"]
    results = {}
    for client in others:
        (result,) = await client.wait_for("result", timeout_s=PATIENCE_S)
        results[result["target_lang"]] = result
    # English too: Whisper's own would be a draft.
    assert {lang: result["translation"] for lang, result in results.items()} == SAYS
    assert {result["quality"] for result in results.values()} == {"good"}
    assert all(result["source_text"] == own["source_text"] for result in results.values())
    voices = {lang: result["tts_voice"] for lang, result in results.items()}
    assert voices == {"eng": "kokoro:af_heart", "pol": "espeak:pl+f2", "deu": "espeak:de+f2", "hun": "espeak:hu+f2"}
    assert all(heard(result["tts_audio"]) > 0.1 for result in results.values())


async def test_english_becomes_chinese_as_a_draft(cascade: Running) -> None:
    client = await cascade.client(target_lang="cmn", source_lang="eng", audio="none")
    await client.say(read_speech(ENGLISH_SPEECH))
    (result,) = await client.wait_for("result", timeout_s=PATIENCE_S)
    said = 2 * tiny_nllb.SENTENCES["zho_Hans"]  # one for each of the two sentences that were spoken
    assert (result["translation"], result["quality"]) == (said, "draft")


async def test_nllb_alone_takes_the_language_models_place_in_the_embedded_profile(settings: Settings) -> None:
    mixed = settings.model_copy(update={"profile": "embedded", "text_translator": "nllb"})
    async with serving_on_a_port(mixed, load_engines(mixed)) as running:
        client = await running.client(target_lang="hun", source_lang="fra", audio="none")
        await client.say(read_speech(FRENCH_SPEECH))
        (result,) = await client.wait_for("result", timeout_s=PATIENCE_S)
    assert (client.messages[0]["profile"], client.messages[0]["engines"]["text_translator"]) == ("embedded", "nllb")
    assert (result["translation"], result["quality"]) == (SAYS["hun"], "good")


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    path.write_bytes(b"\xff" * path.stat().st_size)


@pytest.mark.parametrize(("file", "harm"), [("model.bin", cut_short), ("tokenizer.json", overwrite)])
async def test_what_is_damaged_or_missing_is_told_with_the_command_to_run(
    model_dir: Path, tmp_path: Path, file: str, harm: Callable[[Path], None]
) -> None:
    copy = shutil.copytree(model_dir, tmp_path / "models", symlinks=True)
    harm(copy / NLLB / file)
    server = Server(Settings(profile="cascade", model_dir=copy, log_level="critical"))
    await server.load()
    failure, engines = server.failure, server.runtime.engines
    await server.close()
    assert engines is None
    assert failure is not None
    assert re.search(r"babblefish models (verify|pull --profile cascade)", failure), failure
