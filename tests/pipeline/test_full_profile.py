"""The full profile over the wire: tiny checkpoints of SeamlessM4T, pyannote's and Kokoro's real architectures."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from babblefish.cli.demo import read_speech
from babblefish.domain import SAMPLE_RATE_HZ
from babblefish.engines.contracts import Engines
from babblefish.engines.kokoro.voices import STYLES
from babblefish.engines.profiles import choose
from babblefish.models import install
from babblefish.server.server import Server
from babblefish.settings import Settings
from tests.support.fake_hub import hashes_in, pinned_to
from tests.support.serving import (
    ENGLISH_SPEECH,
    FRENCH_SPEECH,
    SPANISH_SPEECH,
    Running,
    heard,
    load_engines,
    serving_on_a_port,
)

pytest.importorskip("torch", reason="the full extra is not installed")
pytest.importorskip("pyannote.audio", reason="the full extra is not installed")
pytest.importorskip("kokoro", reason="kokoro does not support this Python")

from tests.support import tiny_kokoro, tiny_seamless
from tests.support.tiny_pyannote import make_wespeaker

pytestmark = pytest.mark.slow

PATIENCE_S = 60.0


SAYS = dict(zip(("eng", "fra", "pol", "deu"), tiny_seamless.SENTENCES, strict=False))
"""What the tiny SeamlessM4T has learnt to say in each language, whatever it hears."""

WRITES = SAYS | {"deu": SAYS["deu"].replace("Guten Abend,", "Guten <unk> Abend,")}
"""The same as it writes it: in German it lacks a word, as the published model often does."""


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights that packages carry, which are installed, and tiny ones where the hub's would be."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("whisper-base", "kokoro-v1.0.int8.onnx", "kokoro-voices-v1.0.npz", "smart-turn-v3.2-cpu.onnx"):
        (folder / name).symlink_to(Settings().model_dir / name)
    seamless, speakers, kokoro = (
        folder / name for name in ("seamless-m4t-v2-large", "wespeaker-voxceleb-resnet34-LM", "Kokoro-82M")
    )
    for made in (seamless, speakers, kokoro):
        made.mkdir()
    tiny_seamless.make_checkpoint(seamless, says=WRITES, max_shard_size="500KB")
    make_wespeaker(speakers)
    tiny_kokoro.make_checkpoint(kokoro, STYLES)
    return folder


@pytest.fixture(scope="module", autouse=True)
def catalogue(model_dir: Path) -> Iterator[None]:
    """A catalogue that states the hashes of the tiny weights in place of the published ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(install, "CATALOGUE", pinned_to(hashes_in(model_dir)))
        yield


@pytest.fixture(scope="module")
def settings(model_dir: Path) -> Settings:
    return Settings(model_dir=model_dir, kokoro="torch", log_level="warning")


@pytest.fixture(scope="module")
def engines(settings: Settings) -> Engines:
    return load_engines(settings)


@pytest.fixture
async def full(settings: Settings, engines: Engines) -> AsyncIterator[Running]:
    async with serving_on_a_port(settings, engines) as running:
        yield running


def test_it_loads_from_its_folder_without_a_network(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> None:
        pytest.fail("asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    engines = load_engines(settings.model_copy(update={"kokoro": None}))
    assert engines.speech_translator.name == "seamless"


def test_it_is_taken_by_itself_where_everything_is_installed(settings: Settings) -> None:
    assert choose(settings).name == "full"


async def test_a_client_is_told_its_engines_and_languages(full: Running) -> None:
    client = await full.client(target_lang="pol")
    ready = client.messages[0]
    assert (ready["profile"], ready["profile_reason"]) == ("full", "everything the full profile needs is installed")
    assert ready["engines"] == {
        "voice_detector": "silero",
        "turn_detector": "smart-turn",
        "speaker_encoder": "pyannote",
        "speech_translator": "seamless",
        "text_translator": "seamless",
        "synthesizers": "kokoro, seamless, espeak",
    }
    told = {info["code"]: (info["captions"], info["voice"]) for info in ready["languages"]}
    assert told["fra"] == ("good", "kokoro:ff_siwis")
    assert told["pol"] == ("good", "seamless:pol")
    assert told["hun"] == ("untranslated", "espeak:hu")


async def test_one_speaks_french_and_each_hears_it_in_their_language_and_voice(full: Running) -> None:
    french = await full.client(target_lang="fra", name="Pierre")
    english = await full.client(target_lang="eng", name="Dan")
    polish = await full.client(target_lang="pol", name="Anna")
    german = await full.client(target_lang="deu", name="Uwe")
    # The tiny model says one short sentence, which would leave something out of all that is said there.
    await french.say(read_speech(FRENCH_SPEECH)[: int(2.4 * SAMPLE_RATE_HZ)])
    results = {}
    for client in (french, english, polish, german):
        (result,) = await client.wait_for("result", timeout_s=PATIENCE_S)
        results[result["target_lang"]] = result
    assert {lang: result["translation"] for lang, result in results.items()} == SAYS
    for result in results.values():
        assert (result["source_lang"], result["source_text"], result["speaker_name"]) == ("fra", SAYS["fra"], "Pierre")
    qualities = {lang: result["quality"] for lang, result in results.items()}
    assert qualities == {"fra": "original", "eng": "good", "pol": "good", "deu": "draft"}
    voices = {lang: result["tts_voice"] for lang, result in results.items()}
    # The tiny vocoder has no German.
    assert voices == {"fra": None, "eng": "kokoro:af_heart", "pol": "seamless:pol", "deu": "espeak:de+f2"}
    assert all(heard(results[lang]["tts_audio"]) > 0.1 for lang in ("eng", "deu"))
    assert results["pol"]["tts_audio"]  # the tiny vocoder makes eight samples of a unit
    assert results["fra"]["tts_audio"] is None


async def test_people_of_different_rooms_who_speak_at_once_each_get_their_own(full: Running) -> None:
    """Three utterances in one batch, of three languages: one declared, one detected, one found among the room's."""
    people = {"eng": ("pol", ENGLISH_SPEECH), "auto": ("deu", FRENCH_SPEECH), "room": ("fra", FRENCH_SPEECH)}
    clients = [
        await full.client(target_lang=target, source_lang=declared, room=f"of-{declared}", audio="none")
        for declared, (target, _) in people.items()
    ]
    for client, (_, speech) in zip(clients, people.values(), strict=True):
        await client.say(read_speech(speech))
    spoken = []
    for client, (target, _) in zip(clients, people.values(), strict=True):
        (result,) = await client.wait_for("result", timeout_s=PATIENCE_S)
        assert result["translation"] == SAYS[target]
        spoken.append(result["source_lang"])
    assert spoken == ["eng", "fra", "fra"]


async def test_a_language_it_does_not_write_goes_through_whisper(full: Running) -> None:
    english = await full.client(target_lang="eng", audio="none")
    polish = await full.client(target_lang="pol", audio="none")
    await english.say(read_speech(SPANISH_SPEECH))  # the tiny checkpoint has no Spanish
    results = [(await client.wait_for("result", timeout_s=PATIENCE_S))[0] for client in (english, polish)]
    assert {result["source_lang"] for result in results} == {"spa"}
    assert all("cena" in result["source_text"] for result in results)
    assert "Good evening" in results[0]["translation"]
    # Whisper's English is two sentences, and each becomes the one that the tiny model says.
    assert (results[1]["translation"], results[1]["quality"]) == (f"{SAYS['pol']} {SAYS['pol']}", "draft")
    assert results[1]["path"] == ["spa", "eng", "pol"]


async def test_text_takes_the_way_through_it_where_whisper_recognises(settings: Settings) -> None:
    mixed = settings.model_copy(update={"speech_translator": "whisper", "kokoro": None})
    async with serving_on_a_port(mixed, load_engines(mixed)) as running:
        client = await running.client(target_lang="pol", source_lang="fra")
        await client.say(read_speech(FRENCH_SPEECH))
        (result,) = await client.wait_for("result", timeout_s=PATIENCE_S)
    assert client.messages[0]["engines"]["speech_translator"] == "whisper"
    assert "soir" in result["source_text"]
    assert (result["translation"], result["quality"], result["tts_voice"]) == (SAYS["pol"], "good", "seamless:pol")


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    path.write_bytes(b"\xff" * path.stat().st_size)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [cut_short, overwrite, remove])
@pytest.mark.parametrize(
    "file",
    [
        "wespeaker-voxceleb-resnet34-LM/pytorch_model.bin",
        "seamless-m4t-v2-large/model-00001-*.safetensors",
        "seamless-m4t-v2-large/model.safetensors.index.json",
        "seamless-m4t-v2-large/tokenizer_config.json",
        "seamless-m4t-v2-large/sentencepiece.bpe.model",
    ],
)
async def test_what_is_damaged_or_missing_is_told_with_the_command_to_run(
    model_dir: Path, tmp_path: Path, harm: Callable[[Path], None], file: str
) -> None:
    copy = shutil.copytree(model_dir, tmp_path / "models", symlinks=True, ignore=shutil.ignore_patterns("Kokoro-82M"))
    harm(next(copy.glob(file)))
    server = Server(Settings(profile="full", model_dir=copy, log_level="critical"))
    await server.load()
    failure, engines = server.failure, server.runtime.engines
    await server.close()
    assert engines is None
    assert failure is not None
    assert re.search(r"babblefish models (verify|pull --profile full)", failure), failure


async def test_english_from_typed_french_comes_from_the_text(full: Running) -> None:
    english = await full.client(target_lang="eng", audio="none")
    await english.say_text("bonsoir mes amis", lang="fra")
    (result,) = await english.wait_for("result", timeout_s=PATIENCE_S)
    assert (result["translation"], result["path"], result["typed"]) == (SAYS["eng"], ["fra", "eng"], True)
    assert "encode" not in result["timings"]
