"""Who is let in by a model hub, what is sent where, and what is said when nothing comes."""

from __future__ import annotations

import builtins
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from babblefish.errors import SetupError
from babblefish.models import install
from babblefish.models.store import FetchError, State
from tests.support.fake_hub import REPOSITORY, SPEECH, FakeHub

GATED = replace(SPEECH, gated=True)


def pull(model_dir: Path, asset: Any = SPEECH) -> list[str]:
    lines: list[str] = []
    install.install(model_dir, (asset,), lines.append)
    return lines


def is_good(model_dir: Path) -> bool:
    return install.verify(model_dir, (SPEECH,)) == {"speech": State.GOOD}


def test_a_gated_model_without_a_token_says_how_to_get_it(hub: FakeHub, model_dir: Path) -> None:
    hub.gated.add(REPOSITORY)

    with pytest.raises(SetupError, match="accept the conditions on the page of somebody/speech") as refused:
        pull(model_dir, GATED)

    assert "HF_TOKEN=... babblefish models pull speech" in refused.value.message
    assert not install.is_installed(SPEECH, model_dir)


def test_a_token_whose_owner_has_not_accepted_the_conditions_says_the_same(
    hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated.add(REPOSITORY)
    monkeypatch.setenv("HF_TOKEN", "hf_somebody_else")

    with pytest.raises(SetupError, match="accept the conditions"):
        pull(model_dir, GATED)


@pytest.mark.parametrize("asset", [GATED, SPEECH], ids=["known to be gated", "gated since"])
def test_a_gated_model_is_pulled_with_the_token_which_only_the_hub_sees(
    hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch, asset: Any
) -> None:
    hub.gated.add(REPOSITORY)
    monkeypatch.setenv("HF_TOKEN", hub.token)

    pull(model_dir, asset)

    assert is_good(model_dir)
    elsewhere = [request for request in hub.requests if request.path.startswith("/large/")]
    assert elsewhere
    assert {request.authorization for request in elsewhere} == {None}


def test_a_public_model_is_pulled_without_the_token(
    hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)

    pull(model_dir)

    assert {request.authorization for request in hub.requests} == {None}


def test_the_login_of_the_client_goes_to_the_hub_and_to_no_mirror(
    hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.gated.add(REPOSITORY)
    (tmp_path / "token").write_text(hub.token)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(SetupError, match="is gated"):
        pull(model_dir, GATED)
    assert {request.authorization for request in hub.requests} == {None}

    # The same server in the place of the hub itself.
    monkeypatch.delenv("HF_ENDPOINT")
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    pull(model_dir, GATED)
    assert is_good(model_dir)


def test_what_answers_but_is_no_hub_is_one_error(hub: FakeHub, model_dir: Path) -> None:
    del hub.files[REPOSITORY]

    with pytest.raises(FetchError, match="could not be fetched from the model hub"):
        pull(model_dir)


def test_a_hub_that_cannot_be_reached_is_one_error(
    hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    with pytest.raises(FetchError, match="could not be fetched from the model hub"):
        pull(model_dir)


def test_what_the_server_can_do_without_is_left_out_with_a_word(
    hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    lines = pull(model_dir, replace(SPEECH, without="another voice speaks instead"))

    assert lines[-1].endswith("; another voice speaks instead")


def test_offline_nothing_is_asked_and_the_folder_is_suggested(
    hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(FetchError, match=r"HF_HUB_OFFLINE is set.*--from FOLDER"):
        pull(model_dir)

    assert hub.requests == []


def test_without_the_client_the_command_that_installs_it_is_named(
    hub: FakeHub, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def no_client(name: str, *arguments: Any) -> Any:
        if name.startswith("huggingface_hub"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", no_client)
    with pytest.raises(SetupError, match="-m pip install huggingface_hub"):
        pull(model_dir)
