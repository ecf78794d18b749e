"""``babblefish models`` for both profiles, run as its user runs it; the model hub is one on the loopback interface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from babblefish.errors import SetupError
from babblefish.models import install
from babblefish.models.catalogue import CATALOGUE, HubAsset
from tests.support.fake_hub import FakeHub, archive, hashes, pinned_to, safetensors, serving_hub

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
Hashes = dict[str, dict[str, str]]
SEAMLESS, WESPEAKER, EMBEDDING = "seamless-m4t-v2-large", "wespeaker-voxceleb-resnet34-LM", "embedding"
CONFIG_NAMES = ("config.json", "generation_config.json", "preprocessor_config.json", "tokenizer_config.json")


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with serving_hub() as hub:
        shards = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
        hub.files["facebook/seamless-m4t-v2-large"] = {
            **dict.fromkeys(CONFIG_NAMES, b"{}"),
            **dict.fromkeys(shards, safetensors(2000)),
            "model.safetensors.index.json": b'{"weight_map": {"a": "%s", "b": "%s"}}'
            % tuple(s.encode() for s in shards),
            "sentencepiece.bpe.model": b"pieces",
            "seamlessM4T_v2_large.pt": archive(b"o" * 5000),
            "vocoder_v2.pt": archive(b"v" * 5000),
        }
        pyannote = {"config.yaml": b"task:", "pytorch_model.bin": archive(b"p" * 2000), "README.md": b"#"}
        hub.files["pyannote/wespeaker-voxceleb-resnet34-LM"] = hub.files["pyannote/embedding"] = pyannote
        hub.files["hexgrad/Kokoro-82M"] = {
            "config.json": b"{}",
            "kokoro-v1_0.pth": archive(b"k" * 2000),
            "voices/af_heart.pt": archive(b"h"),
            "samples/HEARME.wav": b"RIFF",
        }
        hub.gated.add("pyannote/embedding")
        yield hub


@pytest.fixture
def catalogue(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> Hashes:
    """The hashes that the catalogue states of the files of this hub, here and, given to it, in a program."""
    stated = hashes(hub.files)
    monkeypatch.setattr(install, "CATALOGUE", pinned_to(stated))
    return stated


def models(
    model_dir: Path, *arguments: str, catalogue: Hashes | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command, with the hashes of a hub of the test in place of the published ones where there are any."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    program = ["babblefish.cli", "models"]
    if catalogue is not None:
        program = ["tests.support.models_command", json.dumps(catalogue)]
    return subprocess.run(
        [sys.executable, "-m", *program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**inherited, "BABBLEFISH_MODEL_DIR": str(model_dir), **environment},
    )


def hub_assets(profile: str) -> list[str]:
    return [entry.name for entry in CATALOGUE if isinstance(entry, HubAsset) and profile in entry.needed_by]


def listed(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    return {line.split()[0]: line for line in done.stdout.splitlines()}


def test_the_full_profile_is_listed_with_what_is_approximate_optional_and_forbidden(model_dir: Path) -> None:
    lines = listed(models(model_dir, "list", "--profile", "full"))

    assert {SEAMLESS, WESPEAKER, EMBEDDING, "Kokoro-82M", "whisper-base", "kokoro-int8"} <= lines.keys()
    assert "about 9300 MB" in lines[SEAMLESS]
    assert "NOT FOR COMMERCIAL USE" in lines[SEAMLESS]
    assert "(full)" in lines[EMBEDDING]
    assert all("missing" in line for line in lines.values())


def test_without_a_profile_everything_is_listed(model_dir: Path) -> None:
    assert listed(models(model_dir, "list")).keys() == {entry.name for entry in CATALOGUE}


def test_a_profile_s_models_are_pulled_by_name_found_and_verified(
    hub: FakeHub, catalogue: Hashes, model_dir: Path
) -> None:
    names = hub_assets("full")
    assert SEAMLESS in names
    assert EMBEDDING not in names

    done = models(model_dir, "pull", *names, catalogue=catalogue, HF_ENDPOINT=hub.url)

    assert done.returncode == 0, done.stderr
    assert "NOT FOR COMMERCIAL USE" in done.stdout
    assert "fetching model-00001-of-00002.safetensors," in done.stdout
    assert not any(name.endswith(("large.pt", "vocoder_v2.pt", ".wav", ".md")) for name in hub.fetched())
    assert all(install.locate(name, model_dir) == model_dir / name for name in names)
    verified = listed(models(model_dir, "verify", "--profile", "full", catalogue=catalogue))
    assert {name: line.split()[1] for name, line in verified.items() if name in names} == dict.fromkeys(names, "good")
    assert "present" in listed(models(model_dir, "list", catalogue=catalogue))[SEAMLESS]
    assert "about" not in listed(models(model_dir, "list", catalogue=catalogue))[SEAMLESS]


def test_the_hub_is_told_nothing_of_the_machine(hub: FakeHub, catalogue: Hashes, model_dir: Path) -> None:
    models(model_dir, "pull", WESPEAKER, catalogue=catalogue, HF_ENDPOINT=hub.url)

    assert hub.requests
    assert not any("torch" in request.user_agent for request in hub.requests)
    assert all(request.path.startswith(("/api/models/", "/pyannote/", "/large/")) for request in hub.requests)


def test_a_gated_model_names_the_command_with_the_token_and_the_token_opens_it(hub: FakeHub, model_dir: Path) -> None:
    refused = models(model_dir, "pull", EMBEDDING, HF_ENDPOINT=hub.url)
    assert refused.returncode == 1
    assert "HF_TOKEN=... babblefish models pull embedding" in refused.stderr
    assert "Traceback" not in refused.stderr

    assert models(model_dir, "pull", EMBEDDING, HF_ENDPOINT=hub.url, HF_TOKEN=hub.token).returncode == 0
    assert install.locate(EMBEDDING, model_dir)


def test_offline_is_one_line_and_a_folder_helps(
    hub: FakeHub, catalogue: Hashes, model_dir: Path, tmp_path: Path
) -> None:
    assert models(tmp_path / "disk", "pull", WESPEAKER, catalogue=catalogue, HF_ENDPOINT=hub.url).returncode == 0
    hub.requests.clear()

    refused = models(model_dir, "pull", SEAMLESS, catalogue=catalogue, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1")
    assert refused.returncode == 1
    assert "HF_HUB_OFFLINE is set" in refused.stderr
    done = models(
        model_dir, "pull", WESPEAKER, "--from", str(tmp_path / "disk"), catalogue=catalogue, HF_HUB_OFFLINE="1"
    )

    assert done.returncode == 0, done.stderr
    assert hub.requests == []
    assert listed(models(model_dir, "verify", catalogue=catalogue))[WESPEAKER].split()[1] == "good"


def test_a_damaged_model_ends_verify_with_an_error_that_names_the_file(
    hub: FakeHub, catalogue: Hashes, model_dir: Path
) -> None:
    models(model_dir, "pull", WESPEAKER, catalogue=catalogue, HF_ENDPOINT=hub.url)
    (model_dir / WESPEAKER / "config.yaml").write_bytes(b"tusk:")

    done = models(model_dir, "verify", catalogue=catalogue)

    assert done.returncode == 1
    assert f"{WESPEAKER}/config.yaml is damaged" in done.stderr


def test_a_pickle_in_place_of_the_published_one_is_not_pulled_copied_or_loaded(
    hub: FakeHub, catalogue: Hashes, model_dir: Path, tmp_path: Path
) -> None:
    """Here the published one is the hub's at first, whatever somebody puts in its place later."""
    assert models(tmp_path / "disk", "pull", WESPEAKER, catalogue=catalogue, HF_ENDPOINT=hub.url).returncode == 0
    exchanged = archive(b"q" * 2000)
    hub.files["pyannote/wespeaker-voxceleb-resnet34-LM"]["pytorch_model.bin"] = exchanged
    hub.requests.clear()

    pulled = models(model_dir, "pull", WESPEAKER, catalogue=catalogue, HF_ENDPOINT=hub.url)

    assert pulled.returncode == 1
    assert "has another pytorch_model.bin" in pulled.stderr
    assert hub.fetched() == []
    file = tmp_path / "disk" / WESPEAKER / "pytorch_model.bin"
    file.write_bytes(exchanged)
    copied = models(model_dir, "pull", WESPEAKER, "--from", str(tmp_path / "disk"), catalogue=catalogue)
    assert copied.returncode == 1
    assert not (model_dir / WESPEAKER).exists()
    with pytest.raises(SetupError, match=r"pytorch_model\.bin is damaged .* keep it elsewhere or delete it"):
        install.locate(WESPEAKER, tmp_path / "disk")
    assert file.read_bytes() == exchanged


def test_the_list_says_whose_hashes_weights_are_held_against(model_dir: Path) -> None:
    lines = listed(models(model_dir, "list"))

    assert {"whisper-base", "whisper-small", "Kokoro-82M", "eurollm-1.7b-instruct"} <= {
        name for name, line in lines.items() if "  stated here  " in line
    }
    assert " weights stated here " in lines[WESPEAKER]
    assert {SEAMLESS, EMBEDDING} <= {name for name, line in lines.items() if " of the pull " in line}
    assert " of the making " in lines["nllb-200-distilled-600M-int8"]


def test_what_was_asked_for_by_name_and_cannot_be_had_is_an_error(model_dir: Path, tmp_path: Path) -> None:
    done = models(model_dir, "pull", "kokoro-voices", "--from", str(tmp_path))

    assert done.returncode == 1
    assert "not installed: kokoro-voices" in done.stderr


def test_a_name_that_is_not_in_the_catalogue_is_one_line_with_those_that_are(model_dir: Path) -> None:
    done = models(model_dir, "pull", "whisper-huge")

    assert done.returncode == 1
    assert "unknown weights: whisper-huge" in done.stderr
    assert SEAMLESS in done.stderr


def test_locating_says_the_command_that_installs_just_that(tmp_path: Path) -> None:
    commands = {
        "whisper-base": "babblefish models pull",
        SEAMLESS: "babblefish models pull --profile full",
        EMBEDDING: "babblefish models pull embedding",
    }
    for name, command in commands.items():
        with pytest.raises(SetupError, match=f"{command}$"):
            install.locate(name, tmp_path)


def test_a_profile_misses_what_it_cannot_do_without(hub: FakeHub, model_dir: Path) -> None:
    language_model = "qwen2.5-coder-1.5b-instruct"
    assert install.missing("embedded", model_dir) == ["whisper-base", language_model, "kokoro-int8", "campplus"]
    assert install.missing("light", model_dir) == ["whisper-base", "kokoro-int8", "campplus"]
    assert install.missing("open", model_dir) == ["kokoro-int8", "campplus", "whisper-small", "eurollm-1.7b-instruct"]
    assert install.missing("full", model_dir) == ["whisper-base", "kokoro-int8", SEAMLESS, WESPEAKER]

    models(model_dir, "pull", SEAMLESS, HF_ENDPOINT=hub.url)

    assert install.missing("full", model_dir) == ["whisper-base", "kokoro-int8", WESPEAKER]
