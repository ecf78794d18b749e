"""Settings and the owner's shares of the machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings

from babblefish.languages import LANGUAGES, from_whisper
from babblefish.settings import Settings


@pytest.mark.parametrize(
    ("cpus", "threads"),
    [(128, (32, 32, 16, 4, 8)), (64, (16, 16, 8, 2, 4)), (2, (1, 2, 2, 1, 1)), (1, (1, 1, 1, 1, 1))],
)
def test_threads_default_to_the_owners_shares(
    monkeypatch: pytest.MonkeyPatch, cpus: int, threads: tuple[int, ...]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    settings = Settings()
    assert (
        settings.translation_threads,
        settings.text_translation_threads,
        settings.synthesis_threads,
        settings.speaker_threads,
        settings.socket_threads,
    ) == threads


def test_settings_come_from_the_environment_and_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABBLEFISH_PORT", "9100")
    settings = Settings()
    assert settings.port == 9100
    with pytest.raises(ValidationError):
        settings.port = 9200  # type: ignore[misc]


def test_several_hosts_sites_and_proxies_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABBLEFISH_ALLOWED_HOSTS", "Babble.example.org, *.example.net")
    monkeypatch.setenv("BABBLEFISH_ALLOWED_ORIGINS", "https://example.org:8443")
    monkeypatch.setenv("BABBLEFISH_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")
    settings = Settings()
    assert settings.allowed_hosts == ("babble.example.org", "*.example.net")
    assert settings.allowed_origins == ("https://example.org:8443",)
    assert settings.trusted_proxies == ("127.0.0.1", "10.0.0.0/8")
    for name, wrong in (("origins", "example.org"), ("origins", "https://example.org/page")):
        with pytest.raises(ValidationError):
            Settings(**{f"allowed_{name}": (wrong,)})
    with pytest.raises(ValidationError):
        Settings(trusted_proxies=("*",))


def test_workers_are_given_cpus_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setenv("BABBLEFISH_WORKER_CPUS", "translation=0-3 synthesis=4,6-7")
    assert Settings().worker_cpus == {"translation": {0, 1, 2, 3}, "synthesis": {4, 6, 7}}
    for wrong in ("translation=8", "translation=3-1", "translation", "translation=a-b", "nobody=1"):
        monkeypatch.setenv("BABBLEFISH_WORKER_CPUS", wrong)
        with pytest.raises(ValidationError):
            Settings()


def test_a_setting_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError):
        Settings(port=70000)
    with pytest.raises(ValidationError, match="max_frame_bytes"):
        Settings(max_frame_bytes=10000)


def test_every_language_whisper_names_has_a_code_on_the_wire() -> None:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert {LANGUAGES[from_whisper(code)].whisper for code in _LANGUAGE_CODES} == set(_LANGUAGE_CODES)


PARTS = [base for base in Settings.__bases__ if base is not BaseSettings]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_each_part_has_a_table_in_the_deployment_guide(part: type[BaseModel]) -> None:
    guide = (Path(__file__).resolve().parents[1] / "DEPLOYMENT.md").read_text()
    title = (part.__doc__ or "").partition(":")[0]
    section = guide.partition(f"\n### {title}\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", section, re.MULTILINE)
    assert rows == [(name.upper(), field.description) for name, field in part.model_fields.items()]


def test_every_setting_belongs_to_exactly_one_part() -> None:
    assert sorted(name for part in PARTS for name in part.model_fields) == sorted(Settings.model_fields)
