"""The commands, run as their user runs them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from babblefish.cli import main
from babblefish.errors import NotAllowedError
from babblefish.server.access import Access

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

OFF, ON = Access(None, 3600), Access(b"k" * 64, 3600)


def run(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "babblefish.cli", *arguments]
    embedded = {"BABBLEFISH_PROFILE": "embedded", "BABBLEFISH_UTTERANCE_DEADLINE_S": "240"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=240, cwd=cwd, env={**os.environ, **embedded, **environment}
    )


def test_the_demo_shows_one_utterance_in_three_languages(tmp_path: Path) -> None:
    done = run("demo", "--json", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    heard = {one["listener"]: one for one in report["heard"]}
    assert heard.keys() == {"eng", "spa", "ita"}
    for code, one in heard.items():
        assert one["results"]
        for result in one["results"]:
            assert (result["source_lang"], result["target_lang"]) == ("fra", code)
            assert {"endpoint", "encode", "decode", "speaker", "first_speech", "synthesize"} <= result["timings"].keys()
            assert one["first_audio_ms"][result["utterance_id"]] > result["latency_ms"] > 0
        assert soundfile.info(one["wav"]).duration > 1


def test_the_demo_takes_a_file_and_prints_for_people(tmp_path: Path) -> None:
    speech = ROOT / "babblefish" / "assets" / "demo_eng.wav"
    done = run("demo", str(speech), "--listen", "fra,eng", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "French listener hears" in done.stdout
    assert "dinner is ready" in done.stdout


def test_a_file_that_is_not_sound_is_one_line(tmp_path: Path) -> None:
    text = tmp_path / "speech.wav"
    text.write_text("this is not sound")
    done = run("demo", str(text))
    assert done.returncode == 1
    assert done.stderr.startswith("babblefish: cannot read speech from")
    assert "Traceback" not in done.stderr


def test_an_unknown_language_is_one_line() -> None:
    done = run("demo", "--listen", "english")
    assert done.returncode == 1
    assert "use a code such as 'eng'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_impossible_setting_is_one_line() -> None:
    done = run("serve", "--port", "99999")
    assert done.returncode == 1
    assert done.stderr.startswith("babblefish: port")


def test_missing_weights_name_the_command_that_installs_them(tmp_path: Path) -> None:
    done = run("demo", BABBLEFISH_MODEL_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "babblefish models pull" in done.stderr
    assert "Traceback" not in done.stderr


def test_models_are_listed_with_size_and_licence(tmp_path: Path) -> None:
    done = run("models", "list", "--profile", "embedded", BABBLEFISH_MODEL_DIR=str(tmp_path))
    assert done.returncode == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines.keys() == {
        *("whisper-base", "qwen2.5-coder-1.5b-instruct", "kokoro-int8", "kokoro-voices", "campplus", "smart-turn")
    }
    assert all("missing" in line and "MB" in line for line in lines.values())


def test_a_certificate_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = run("serve", "--tls-cert", str(tmp_path / "none.pem"), "--tls-key", str(tmp_path / "none.key"))
    assert done.returncode == 1
    assert done.stderr.startswith("babblefish: the certificate")
    assert "No such file" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_damaged_key_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "server.key").write_text("short")
    (tmp_path / "server.key").chmod(0o600)
    done = run("serve", "--access", "required", BABBLEFISH_STATE_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("babblefish: ")
    assert "server.key is not a valid key" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_port_that_is_taken_ends_the_server_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode != 0
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def start(tmp_path: Path, *arguments: str) -> str:
    """Start the server and return what it says until it is ready or cannot be."""
    command = [sys.executable, "-m", "babblefish.cli", "serve", "--port", "0", *arguments]
    environment = {"BABBLEFISH_MODEL_DIR": str(tmp_path), "BABBLEFISH_STATE_DIR": str(tmp_path)}
    environment["BABBLEFISH_PROFILE"] = "embedded"
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **environment}
    ) as server:
        assert server.stderr is not None
        said = ""
        for line in server.stderr:
            said += line
            if "cannot start" in line:  # no weights, which is all this needs
                server.terminate()
    return said


def test_a_server_says_where_it_can_be_opened_with_the_port_it_got(tmp_path: Path) -> None:
    said = start(tmp_path, "--tls", "auto")
    assert re.search(r"https://127\.0\.0\.1:[1-9]\d*/\n", said)
    assert re.search(r"projector: https://127\.0\.0\.1:[1-9]\d*/join\n", said)
    assert "microphone" not in said
    assert (tmp_path / "tls" / "ca.crt").exists()


def test_plain_http_for_other_devices_is_a_warning_with_the_command_that_helps(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING")
    main.invite("127.0.0.1", 9000, secure=False, access=OFF)
    main.invite("0.0.0.0", 9000, secure=True, access=OFF)
    assert caplog.text == ""
    main.invite("0.0.0.0", 9000, secure=False, access=OFF)
    assert "do not allow other devices to use the microphone" in caplog.text
    assert "babblefish serve --host 0.0.0.0 --tls auto" in caplog.text


def test_people_at_a_terminal_get_a_code_to_scan_and_a_pipe_gets_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main.invite("0.0.0.0", 9000, secure=True, access=OFF)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main.invite("0.0.0.0", 9000, secure=True, access=OFF)
    assert "█" in capsys.readouterr().out
    main.invite("127.0.0.1", 9000, secure=True, access=OFF)
    assert "█" not in capsys.readouterr().out, "nobody else could open it"


def test_tokens_are_shown_on_a_terminal_and_never_written_to_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    main.invite("0.0.0.0", 9000, secure=True, access=ON)
    assert "babblefish token" in caplog.text
    assert ON.admin_token not in caplog.text
    assert "token=" not in caplog.text
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main.invite("0.0.0.0", 9000, secure=True, access=ON)
    shown = capsys.readouterr().out
    assert f"/join?token={ON.admin_token}" in shown
    (token,) = set(re.findall(r"/\?room=main#token=(\S+)", shown))
    assert ON.admit(token, "main").claims


def test_the_command_prints_tokens_that_the_server_takes(tmp_path: Path) -> None:
    room = run("token", "--room", "kitchen", "--hours", "0.5", BABBLEFISH_STATE_DIR=str(tmp_path))
    admin = run("token", "--admin", BABBLEFISH_STATE_DIR=str(tmp_path))
    assert (room.returncode, admin.returncode) == (0, 0), room.stderr + admin.stderr
    key = (tmp_path / "server.key").read_bytes().strip()
    now_s = [time.time() + 1790]
    access = Access(key, 3600, lambda: now_s[0])
    assert access.admit(room.stdout.strip(), "kitchen").claims
    assert access.is_admin(admin.stdout.strip())
    now_s[0] += 20
    with pytest.raises(NotAllowedError):
        access.admit(room.stdout.strip(), "kitchen")


@pytest.mark.parametrize("arguments", [("--room", "a room"), ("--hours", "0"), ("--hours", "x")])
def test_a_token_that_cannot_be_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run("token", *arguments, BABBLEFISH_STATE_DIR=str(tmp_path))
    assert done.returncode != 0
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
