"""The doctor's report on weights: what it says of those that it knows, of others, and of none."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from babblefish.cli import doctor_golden
from babblefish.cli.main import main
from babblefish.engines.findings import Finding, Verdict, attempted, compared, measured
from babblefish.engines.kokoro.voices import STYLES
from babblefish.models import install
from babblefish.settings import Settings
from tests.support.fake_hub import hashes_in, pinned_to

CARRIED = ("whisper-base", "kokoro-v1.0.int8.onnx", "kokoro-voices-v1.0.npz", "campplus-zh-en.pt")
"""Weights that packages carry, which are installed."""


def findings() -> Iterator[Finding]:
    yield compared("tokens", [1, 2], [1, 2])
    yield compared("units", [3], [4])
    yield measured("error", 0.012)
    raise RuntimeError("no such tensor")


def test_what_ends_a_look_is_a_finding_like_those_before_it() -> None:
    assert [one.verdict for one in attempted("weights", findings)] == ["same", "differs", "measured", "failed"]


def test_a_finding_is_read_in_one_line() -> None:
    assert [doctor_golden.line(one) for one in attempted("weights", findings)] == [
        "same     tokens",
        "differs  units: [3] instead of [4]",
        "measured error: 0.012",
        'failed   weights: "RuntimeError: no such tensor"',
    ]


def test_the_report_is_written_for_programs_and_for_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_golden, "examine", lambda _: attempted("weights", findings))
    file = tmp_path / "report.json"
    with pytest.raises(SystemExit):
        main(["doctor", "--golden", str(file)])
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["findings"][1] == {"name": "units", "verdict": "differs", "found": [3], "expected": [4]}
    assert report["machine"]["cpus"] > 0
    assert socket.gethostname() not in file.read_text(encoding="utf-8")
    assert str(tmp_path) not in file.read_text(encoding="utf-8")
    assert file.with_suffix(".txt").read_text(encoding="utf-8").splitlines()[0] == "same     tokens"
    assert "differs  units" in capsys.readouterr().out


def made(found: list[Finding]) -> dict[str, Any]:
    return {one.name: one.found for one in found if one.verdict is not Verdict.SKIPPED}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of weights of a machine with the embedded profile."""
    folder = tmp_path_factory.mktemp("models")
    for name in CARRIED:
        (folder / name).symlink_to(Settings().model_dir / name)
    return folder


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_what_is_not_installed_is_said_and_the_rest_is_examined(installed: Path) -> None:
    found = list(doctor_golden.examine(Settings(model_dir=installed)))
    assert not [one for one in found if one.verdict in (Verdict.FAILED, Verdict.DIFFERS)]
    skipped = {one.name for one in found if one.verdict is Verdict.SKIPPED}
    assert {"seamless", "nllb", "profile full", "profile cascade"} <= skipped
    heard = made(found)["profile light hears eng"]
    assert (heard["lang"], heard["word_error_rate"]) == ("eng", 0.0)
    assert made(found)["voices of campplus"]["threshold"] == 0.55


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_weights_that_nobody_published_differ_and_are_measured_to_the_end(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="the full extra is not installed")
    pytest.importorskip("pyannote.audio", reason="the full extra is not installed")
    from tests.support import tiny_kokoro, tiny_seamless
    from tests.support.tiny_pyannote import make_wespeaker

    for file in installed.iterdir():
        (tmp_path / file.name).symlink_to(file)
    folders = {
        name: tmp_path / name for name in ("seamless-m4t-v2-large", "wespeaker-voxceleb-resnet34-LM", "Kokoro-82M")
    }
    for folder in folders.values():
        folder.mkdir()
    says = dict(zip(("eng", "fra", "pol", "deu"), tiny_seamless.SENTENCES, strict=False))
    tiny_seamless.make_checkpoint(folders["seamless-m4t-v2-large"], says=says, max_shard_size="500KB")
    make_wespeaker(folders["wespeaker-voxceleb-resnet34-LM"])
    tiny_kokoro.make_checkpoint(folders["Kokoro-82M"], STYLES)
    monkeypatch.setattr(install, "CATALOGUE", pinned_to(hashes_in(tmp_path)))

    found = list(doctor_golden.examine(Settings(model_dir=tmp_path)))
    assert [one for one in found if one.verdict is Verdict.FAILED] == []
    differs = {one.name for one in found if one.verdict is Verdict.DIFFERS}
    assert {"seamless parameters", "seamless tokens of a text", "seamless greedy translation"} <= differs
    assert {"seamless units of speech", "seamless text_decoder_lang_to_code_id"} <= differs
    figures = made(found)
    exact, rounded = (figures[f"seamless {dtype} hears eng"] for dtype in ("float32", "int8"))
    for figure in (exact, rounded):
        assert says.items() <= figure["texts"].items()
    same = figures["seamless int8: tokens as in float32, after the same tokens"]
    assert all(0.9 <= same[lang] <= 1 for lang in says)
    errors = figures["seamless int8: error per layer"]
    assert {name.split()[0] for name in errors} == {"encoder", "decoder"}
    assert all(0 < error < 0.3 for error in errors.values())
    # It says the same for speech and for noise, and so nothing tells them apart.
    assert figures["seamless suggested SEAMLESS_MIN_LOGPROB"] is None
    assert figures["profile full hears fra"]["text"] == says["fra"]
    assert 0 < figures["suggested SPEAKER_THRESHOLD for wespeaker-voxceleb-resnet34-LM"] <= 1
