"""Which engines a server runs, and what it says about it."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path

import pytest

from babblefish.domain import Deadline, Quality, Speech
from babblefish.engines import profiles, registry
from babblefish.engines.contracts import Route, SyntheticVoice
from babblefish.engines.llm import routes
from babblefish.engines.profiles import choose, fitted, weights
from babblefish.errors import SetupError
from babblefish.languages import LANGUAGES, SPOKEN_WITH, spoken_by
from babblefish.models import install
from babblefish.models.catalogue import CATALOGUE, PROFILES, ProfileName
from babblefish.settings import Settings
from tests.support.fakes import make_fakes
from tests.support.serving import serving


@pytest.fixture
def all_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_is_installed", lambda package: True)


def install_all_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "is_installed", lambda entry, model_dir: True)


def test_auto_is_full_where_its_packages_and_weights_are(all_packages: None, monkeypatch: pytest.MonkeyPatch) -> None:
    install_all_weights(monkeypatch)
    profile = choose(Settings())
    assert (profile.name, profile.reason) == ("full", "everything the full profile needs is installed")
    assert (profile.speech_translator, profile.text_translator) == ("seamless", "seamless")
    assert (profile.speaker_encoder, profile.uses_seamless) == ("pyannote", True)


def test_utterances_are_shorter_where_seamless_recognises_unless_set() -> None:
    for given, longest_s in (
        ({"speech_translator": "seamless"}, 15.0),
        ({"speech_translator": "seamless", "max_utterance_s": 20.0}, 20.0),
        ({"speech_translator": "whisper"}, 20.0),
    ):
        settings = Settings.model_validate(given)
        assert fitted(settings, choose(settings)).max_utterance_s == longest_s


def test_auto_is_embedded_without_the_packages_and_names_them_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(profiles, "_is_installed", lambda package: package != "torch")
    profile = choose(Settings(model_dir=tmp_path))
    assert profile.name == "embedded"
    assert "lacks the packages torch (pip install 'babblefish[embedded,full]')" in profile.reason
    assert (profile.speech_translator, profile.text_translator) == ("whisper", "llm")
    assert (profile.speaker_encoder, profile.uses_seamless) == ("campplus", False)


def test_auto_is_embedded_without_the_weights_and_names_them_with_the_command(
    all_packages: None, tmp_path: Path
) -> None:
    profile = choose(Settings(model_dir=tmp_path))
    assert profile.name == "embedded"
    assert "seamless-m4t-v2-large" in profile.reason
    assert "babblefish models pull --profile full" in profile.reason


def test_auto_is_light_where_memory_is_short_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(profiles, "memory_limit_bytes", lambda: 2_000_000_000)
    profile = choose(Settings(model_dir=tmp_path))
    assert profile.name == "light"
    assert "the embedded profile needs 3500 MB of memory, and 2000 MB are there" in profile.reason
    assert (profile.speech_translator, profile.text_translator) == ("whisper", "apertium")
    assert choose(Settings(profile="embedded", model_dir=tmp_path)).name == "embedded", "who asks for it gets it"


def test_auto_is_light_where_the_disk_has_no_room_for_the_language_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**10, 9 * 10**9, 10**9))
    model_dir = tmp_path / "data" / "models"
    profile = choose(Settings(model_dir=model_dir))
    assert profile.name == "light"
    assert "its disk has 1000 MB left" in profile.reason
    assert not model_dir.exists(), "looking leaves nothing"

    embedded = {entry for entry in CATALOGUE if "embedded" in entry.needed_by}
    monkeypatch.setattr(install, "is_installed", lambda entry, model_dir: entry in embedded)
    assert choose(Settings(model_dir=model_dir)).name == "embedded", "what is there needs no room"


@pytest.mark.parametrize("name", PROFILES)
def test_the_catalogue_has_for_a_profile_what_its_engines_load(name: ProfileName) -> None:
    settings = Settings(profile=name)
    needed = {entry.name for entry in CATALOGUE if name in entry.needed_by}
    assert set(weights(settings, choose(settings))) == needed


def test_what_settings_put_in_the_place_of_an_engine_counts_as_loaded() -> None:
    own = Settings(
        profile="open",
        text_translator="nllb",
        whisper_model="whisper-large-v3-turbo",
        speaker_encoder="pyannote",
        kokoro="torch",
    )
    assert weights(own, choose(own)) == [
        *("whisper-large-v3-turbo", "nllb-200-distilled-600M-int8", "Kokoro-82M", "wespeaker-voxceleb-resnet34-LM"),
        "smart-turn",
    ]
    file = Settings(profile="embedded", text_translator="llm", llm_model="/data/mine.gguf")
    assert "/data/mine.gguf" in weights(file, choose(file))


def test_a_package_whose_folder_is_not_there_either_is_not_installed() -> None:
    assert profiles._is_installed("json.decoder")
    assert not profiles._is_installed("no_such_package.audio")
    assert not profiles._is_installed("no_such_package")


def part(name: str, settings: Settings) -> registry.Part[registry.Loaded]:
    (found,) = (part for part in registry.Parts(settings, choose(settings)) if part.name == name)
    return found


def test_cascade_is_whisper_before_nllb_and_never_taken_by_itself(
    all_packages: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile = choose(Settings(profile="cascade"))
    assert (profile.speech_translator, profile.text_translator) == ("whisper", "nllb")
    assert (profile.speaker_encoder, profile.uses_seamless) == ("campplus", False)
    cascade = {entry for entry in CATALOGUE if "cascade" in entry.needed_by}
    monkeypatch.setattr(install, "is_installed", lambda entry, model_dir: entry in cascade)
    assert choose(Settings()).name == "embedded"
    parts = registry.Parts(Settings(profile="cascade", model_dir=tmp_path), profile)
    assert {part.name for part in parts} == {
        *{"voice detector", "speaker encoder", "speech translator", "NLLB model"},
        *{"kokoro", "espeak", "language detector", "turn detector"},
    }


def test_nllb_is_a_name_of_the_catalogue_or_a_path_and_says_how_it_is_installed(tmp_path: Path) -> None:
    settings = Settings(text_translator="nllb", nllb_model="nllb-200-distilled-1.3B-int8", model_dir=tmp_path)
    with pytest.raises(SetupError, match=r"models pull nllb-200-distilled-1\.3B-int8$"):
        part("NLLB model", settings).load()
    settings = Settings(profile="cascade", model_dir=tmp_path)
    with pytest.raises(SetupError, match=r"models pull --profile cascade$"):
        part("NLLB model", settings).load()


def test_open_hears_with_a_larger_whisper_and_has_a_language_model_for_polish() -> None:
    profile = choose(Settings(profile="open"))
    assert (profile.speech_translator, profile.text_translator) == ("whisper", "llm")
    assert (profile.whisper_model, profile.llm_model) == ("whisper-small", "eurollm-1.7b-instruct")
    larger = Settings(profile="open", whisper_model="whisper-large-v3-turbo", llm_model="eurollm-9b-instruct")
    assert (choose(larger).whisper_model, choose(larger).llm_model) == (larger.whisper_model, larger.llm_model)


def test_every_weight_of_the_open_profile_may_be_used_commercially() -> None:
    used = [entry for entry in CATALOGUE if "open" in entry.needed_by + entry.optional_in]
    assert {"whisper-large-v3-turbo", "eurollm-9b-instruct", "kokoro-int8"} <= {entry.name for entry in used}
    assert not [entry.name for entry in used if entry.non_commercial]


@pytest.mark.parametrize("name", ["embedded", "light", "open", "cascade", "full"])
def test_a_profile_that_is_asked_for_is_taken_whatever_is_installed(name: str, tmp_path: Path) -> None:
    profile = choose(Settings(profile=name, model_dir=tmp_path))
    assert (profile.name, profile.reason) == (name, "requested in the settings")


def test_single_engines_are_replaced_by_settings(tmp_path: Path) -> None:
    settings = Settings(profile="full", text_translator="apertium", speaker_encoder="campplus", kokoro="torch")
    profile = choose(settings)
    assert (profile.speech_translator, profile.text_translator) == ("seamless", "apertium")
    assert (profile.speaker_encoder, profile.kokoro) == ("campplus", "torch")
    assert choose(Settings(profile="embedded", text_translator="seamless")).uses_seamless


def test_what_a_profile_lacks_is_an_error_with_the_command_that_installs_it(tmp_path: Path) -> None:
    settings = Settings(profile="full", model_dir=tmp_path)
    parts = {part.name: part for part in registry.Parts(settings, choose(settings))}
    found = {"SeamlessM4T model", "speaker encoder", "kokoro", "espeak", "voice detector", "language detector"}
    assert found | {"turn detector"} == parts.keys()
    with pytest.raises(SetupError, match="babblefish models pull --profile full"):
        parts["SeamlessM4T model"].load()


def test_a_package_that_is_missing_is_an_error_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_all_weights(monkeypatch)
    monkeypatch.delitem(sys.modules, "babblefish.engines.seamless.model", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    settings = Settings(profile="full", model_dir=tmp_path)
    with pytest.raises(SetupError, match=r"pip install 'babblefish\[embedded,full\]'.*torch"):
        part("SeamlessM4T model", settings).load()


def test_pyannotes_model_is_a_name_of_the_catalogue_or_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError, match="babblefish models pull embedding"):
        registry._of_catalogue_or_path("embedding", tmp_path)
    assert registry._of_catalogue_or_path(str(tmp_path / "mine.bin"), Path()) == tmp_path / "mine.bin"
    default = Settings().speaker_model
    assert [entry.needed_by for entry in CATALOGUE if entry.name == default] == [("full",)]


async def test_a_client_is_told_the_profile_and_the_reason(tmp_path: Path, all_packages: None) -> None:
    async with serving(Settings(model_dir=tmp_path), make_fakes().engines) as running:
        client = await running.client()
    assert client.messages[0]["profile"] == "embedded"
    assert "lacks the weights" in client.messages[0]["profile_reason"]


class _Voice:
    def __init__(self, name: str, *speaks: str) -> None:
        self.name = name
        self.speaks = speaks

    def voices(self, lang: str) -> Sequence[SyntheticVoice]:
        return (SyntheticVoice(f"{self.name}:x"),) if lang in self.speaks else ()

    def synthesize(
        self, text: str, lang: str, deadline: Deadline, voice: str | None = None
    ) -> itertools.repeat[Speech]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("lang", "profile", "engine"),
    [
        ("fra", "embedded", "kokoro"),
        ("fra", "full", "kokoro"),
        ("pol", "embedded", "espeak"),
        ("pol", "cascade", "espeak"),
        ("ita", "cascade", "kokoro"),
        ("pol", "full", "seamless"),
        ("kor", "full", "seamless"),
        ("deu", "full", "seamless"),
        ("rus", "full", "seamless"),
        ("hun", "full", "espeak"),
        ("jpn", "full", "kokoro"),
        ("bod", "full", None),
    ],
)
def test_each_language_is_spoken_by_the_best_engine_that_knows_it(lang: str, profile: str, engine: str | None) -> None:
    assert spoken_by(lang, profile) == engine


def test_voices_are_asked_in_the_order_of_the_profile_and_never_for_another_language() -> None:
    fakes = make_fakes()
    parts = registry.Parts(Settings(profile="full"), choose(Settings(profile="full")))
    parts.voice_detector.loaded = fakes.voice_detector
    parts.speaker_encoder.loaded = fakes.speaker_encoder
    parts.language_detector.loaded = fakes.language_detector
    parts.kokoro.loaded = _Voice("kokoro", "eng")
    parts.espeak.loaded = _Voice("espeak", "eng", "pol", "hun")
    assert parts.seamless is not None
    parts.seamless.loaded = registry.SeamlessEngines(
        fakes.speech_translator, fakes.text_translator, _Voice("seamless", "eng", "pol")
    )
    made = parts.assemble()
    assert made.turn_detector is None, "a server without its weights works as well"
    spoken = {lang: engine and engine.name for lang in LANGUAGES if (engine := made.synthesizer_for(lang))}
    assert spoken == {"eng": "kokoro", "pol": "seamless", "hun": "espeak"}
    assert [engine.name for engine in made.synthesizers] == list(SPOKEN_WITH["full"])
    assert made.speech_translator is fakes.speech_translator
    assert made.text_translator is fakes.text_translator


def test_polish_is_offered_by_another_language_model_than_the_one_that_was_measured() -> None:
    assert routes.best("eng", "pol", is_measured=True) is None
    assert routes.best("pol", "eng", is_measured=True) is not None
    assert routes.best("eng", "pol", is_measured=False) == Route(("eng", "pol"), Quality.DRAFT)
    assert routes.best("eng", "eng", is_measured=False) is None
    assert routes.best("eng", "swe", is_measured=False) is None
