"""``babblefish models`` when a machine is set up: which weights it gets, what it is told, what is asked outside."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from babblefish.cli import main as command
from babblefish.cli import models
from babblefish.engines import profiles
from babblefish.models import hub as models_hub
from babblefish.models import install
from babblefish.models.catalogue import CATALOGUE, Asset, HubAsset
from babblefish.models.store import State
from tests.support.fake_hub import FakeHub, hashes, pinned_to

EUROLLM = "mradermacher/EuroLLM-1.7B-Instruct-GGUF"
LANGUAGE_MODEL = "qwen2.5-coder-1.5b-instruct"

Pulling = Callable[..., list[str]]


@pytest.fixture
def model_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BABBLEFISH_MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setattr(profiles, "memory_limit_bytes", lambda: 16_000_000_000)
    return tmp_path / "models"


@pytest.fixture
def pull(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Pulling:
    """Runs the command without fetching anything; returns the names of what it would install."""
    chosen: list[str] = []

    def install_nothing(folder: Path, assets: Sequence[Asset], *_: Any) -> None:
        assert folder == model_dir
        chosen[:] = [asset.name for asset in assets]

    def run(*arguments: str) -> list[str]:
        monkeypatch.setattr(install, "install", install_nothing)
        command.main(["models", "pull", *arguments])
        return chosen

    return run


def needed_by(profile: str) -> list[str]:
    return [asset.name for asset in CATALOGUE if profile in asset.needed_by]


@pytest.mark.parametrize("profile", ["embedded", "light", "open", "cascade", "full"])
def test_the_weights_of_a_profile_are_pulled(pull: Pulling, profile: str) -> None:
    assert pull("--profile", profile) == needed_by(profile)


def test_without_a_profile_the_machine_gets_what_its_server_will_load(
    pull: Pulling, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull() == needed_by("embedded")
    assert "light profile" not in capsys.readouterr().out
    monkeypatch.setenv("BABBLEFISH_PROFILE", "open")
    monkeypatch.setenv("BABBLEFISH_LLM_MODEL", "eurollm-9b-instruct")
    assert set(pull()) == set(needed_by("open")) - {"eurollm-1.7b-instruct"} | {"eurollm-9b-instruct"}


def test_a_small_machine_gets_the_light_profile_and_is_told_why(
    pull: Pulling, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(profiles, "memory_limit_bytes", lambda: 2_000_000_000)
    assert pull() == needed_by("light")
    told = capsys.readouterr().out
    assert "this machine gets the light profile" in told
    assert "needs 3500 MB of memory, and 2000 MB are there" in told
    assert LANGUAGE_MODEL in pull("--profile", "embedded")


def test_an_interrupted_pull_says_that_it_can_go_on(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(install, "install", interrupted)
    with pytest.raises(SystemExit) as ended:
        command.main(["models", "pull"])
    assert ended.value.code == 130
    assert "the same command fetches the rest" in capsys.readouterr().err


@pytest.fixture
def hub_with_open(hub: FakeHub) -> FakeHub:
    """A hub with what the open profile takes from there."""
    hub.files[EUROLLM] = {"EuroLLM-1.7B-Instruct.Q4_K_M.gguf": b"GGUF" * 500, "EuroLLM-1.7B-Instruct.Q8_0.gguf": b"no"}
    whisper = {"config.json": b"{}", "tokenizer.json": b"{}", "vocabulary.txt": b"a", "model.bin": b"w" * 2000}
    hub.files["Systran/faster-whisper-small"] = {**whisper, "README.md": b"#"}
    return hub


def test_where_the_hub_answers_the_open_profile_is_offered_with_its_size(
    hub_with_open: FakeHub, pull: Pulling, capsys: pytest.CaptureFixture[str]
) -> None:
    pull()
    told = capsys.readouterr().out
    assert "make open brings Polish" in told
    assert "whisper-small about 486 MB, eurollm-1.7b-instruct about 1045 MB; may be used commercially" in told
    assert [request.path for request in hub_with_open.requests] == [f"/api/models/{EUROLLM}"]
    assert hub_with_open.requests[0].user_agent == "babblefish"


@pytest.mark.parametrize("arguments", [("--from", "disk"), ("--profile", "light")])
def test_the_hub_is_asked_only_by_the_set_up_of_the_default_profile(
    hub_with_open: FakeHub, pull: Pulling, arguments: tuple[str, ...]
) -> None:
    pull(*arguments)
    assert hub_with_open.requests == []


def test_the_hub_is_not_asked_where_all_is_set_up_or_it_is_forbidden(
    hub_with_open: FakeHub, pull: Pulling, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as offline:
        offline.setattr(constants, "HF_HUB_OFFLINE", True)
        pull()
    monkeypatch.setattr(install, "is_installed", lambda asset, folder: "embedded" in asset.needed_by)
    pull()
    assert hub_with_open.requests == []


def eurollm() -> HubAsset:
    (asset,) = (asset for asset in CATALOGUE if asset.name == "eurollm-1.7b-instruct")
    assert isinstance(asset, HubAsset)
    return asset


def test_a_network_that_swallows_the_question_is_taken_for_one_without_a_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_hub, "_PATIENCE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert not models_hub.serves(eurollm())


def test_what_answers_and_is_no_hub_is_none(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not models_hub.serves(eurollm()), "it lacks the repository"
    hub.files[EUROLLM] = {}
    assert models_hub.serves(eurollm())
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert not models_hub.serves(eurollm())


def test_what_open_takes_from_the_hub_is_just_the_files_it_reads(
    hub_with_open: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = pinned_to(hashes(hub_with_open.files))
    monkeypatch.setattr(models, "CATALOGUE", catalogue)
    command.main(["models", "pull", "whisper-small", "eurollm-1.7b-instruct"])
    assert not {"README.md", "EuroLLM-1.7B-Instruct.Q8_0.gguf"} & set(hub_with_open.fetched())
    pulled = [asset for asset in catalogue if asset.name in ("whisper-small", "eurollm-1.7b-instruct")]
    assert set(install.verify(model_dir, pulled).values()) == {State.GOOD}
    assert "Apache-2.0 (UTTER project" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PROFILE": "embedded"}, "the embedded profile uses whisper-base"),
        ({"PROFILE": "open"}, "eurollm-1.7b-instruct: may be used commercially"),
        ({"PROFILE": "open", "LLM_MODEL": "/data/own.gguf"}, "if the licence of /data/own.gguf allows it"),
        (
            {"PROFILE": "cascade"},
            "NOT FOR COMMERCIAL USE, because of nllb-200-distilled-600M-int8 (CC-BY-NC-4.0 (Meta))",
        ),
    ],
)
def test_the_list_says_what_is_used_and_whether_commercially(
    model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, str],
    said: str,
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"BABBLEFISH_{name}", value)
    command.main(["models", "list"])
    assert said in capsys.readouterr().err
