"""The doctor: what it says about set-ups that are broken in one way each, and about servers that answer badly."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from babblefish.cli import doctor, doctor_conversation, doctor_machine
from babblefish.cli.doctor_machine import Check, Outcome
from babblefish.models.catalogue import PackagedAsset, WeightFile
from babblefish.server.access import access_of
from babblefish.server.addresses import Machine
from babblefish.server.tls import ensure
from babblefish.settings import Settings
from tests.support.scripted_service import free_port

ROOT = Path(__file__).resolve().parents[2]

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

TINY = PackagedAsset(
    name="tiny",
    path="tiny",
    licence="MIT",
    files=(WeightFile("tiny/file", 0, EMPTY_SHA256, ()),),
)


@pytest.fixture(autouse=True)
def _small_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "CATALOGUE", (TINY,))
    monkeypatch.setattr(doctor_machine, "weights", lambda settings, profile: ["tiny"])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    (tmp_path / "models" / "tiny" / "file").touch()
    return Settings(
        profile="embedded",
        port=free_port(),
        model_dir=tmp_path / "models",
        state_dir=tmp_path / "state",
        log_level="error",
    )


def machine(settings: Settings, **changed: Any) -> dict[str, Check]:
    """Check the machine only; the checks by their names."""
    return {check.name: check for check in doctor_machine.machine_checks(settings.model_copy(update=changed))}


def examined(settings: Settings, url: str | None = None) -> dict[str, Check]:
    found: dict[str, Check] = {}
    doctor.examine(settings, url, None, lambda check: found.__setitem__(check.name, check))
    return found


def test_a_machine_that_has_everything_fails_nothing(settings: Settings) -> None:
    found = machine(settings)
    assert [check for check in found.values() if check.outcome is Outcome.FAILED] == []
    assert found["weights tiny"].outcome is Outcome.OK
    assert found["state folder"].outcome is Outcome.OK


def test_missing_weights_come_with_the_command_that_installs_them(settings: Settings) -> None:
    shutil.rmtree(settings.model_dir / "tiny")
    check = machine(settings)["weights tiny"]
    assert (check.outcome, check.advice) == (Outcome.FAILED, "babblefish models pull")


def test_damaged_weights_are_named_with_their_file(settings: Settings) -> None:
    (settings.model_dir / "tiny" / "file").write_bytes(b"something else")
    check = machine(settings)["weights tiny"]
    assert (check.outcome, check.found) == (Outcome.FAILED, "damaged")
    assert str(settings.model_dir / "tiny" / "file") in check.advice


def test_the_licence_of_each_weight_in_use_is_said_and_whether_it_is_commercial(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = machine(settings)
    assert found["weights tiny"].found == "complete, hashes match; MIT"
    assert (found["licence"].outcome, found["licence"].found) == (Outcome.OK, "the weights may be used commercially")

    tiny = replace(TINY, licence="CC-BY-NC-4.0 (somebody)", non_commercial=True)
    monkeypatch.setattr(doctor_machine, "CATALOGUE", (tiny,))
    found = machine(settings)
    assert found["weights tiny"].found.endswith("CC-BY-NC-4.0 (somebody): NOT FOR COMMERCIAL USE")
    assert found["licence"].outcome is Outcome.WARNING
    assert found["licence"].found == "the weights are NOT FOR COMMERCIAL USE, because of tiny (CC-BY-NC-4.0 (somebody))"


def test_weights_of_ones_own_must_be_there_and_have_a_licence_nobody_here_knows(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "mine.gguf"
    monkeypatch.setattr(doctor_machine, "weights", lambda settings, profile: ["tiny", str(own)])
    assert machine(settings)[f"weights {own}"].outcome is Outcome.FAILED
    own.touch()
    found = machine(settings)
    assert found[f"weights {own}"].outcome is Outcome.OK
    assert f"if the licence of {own} allows it" in found["licence"].found


def test_too_little_memory_for_a_language_model_is_a_warning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_machine, "memory_limit_bytes", lambda: 2_000_000_000)
    with_model = machine(settings, text_translator="llm")["memory"]
    assert (with_model.outcome, with_model.found) == (Outcome.WARNING, "2000 MB")
    assert "--profile light" in with_model.advice
    assert machine(settings, profile="light")["memory"].outcome is Outcome.OK


def test_a_missing_package_comes_with_the_command_that_installs_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_machine, "_PACKAGES", ("numpy", "there_is_no_such_package"))
    check = machine(settings)["packages"]
    assert check.outcome is Outcome.FAILED
    assert "there_is_no_such_package" in check.found
    assert "numpy" not in check.found
    assert "pip install" in check.advice


def test_a_state_folder_that_cannot_be_written_to_fails(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = machine(settings, state_dir=tmp_path / "file" / "state")["state folder"]
    assert check.outcome is Outcome.FAILED
    assert "BABBLEFISH_STATE_DIR" in check.advice
    assert list((tmp_path / "models").iterdir()) == [tmp_path / "models" / "tiny"], "looking leaves nothing"


@pytest.mark.parametrize("kept", ["history", "voices"])
def test_a_folder_for_what_is_kept_that_cannot_be_written_to_fails(
    settings: Settings, tmp_path: Path, kept: str
) -> None:
    (tmp_path / "file").touch()
    given = {f"{kept}_file": tmp_path / "file" / "kept.db"}
    name = {"history": "history's folder", "voices": "voices' folder"}[kept]
    check = machine(settings, **given)[name]
    assert check.outcome is Outcome.FAILED
    assert f"BABBLEFISH_{kept.upper()}_FILE" in check.advice
    assert name not in machine(settings, retain=False, **given)


@pytest.mark.parametrize("kept", ["history", "voices"])
@pytest.mark.parametrize(("state_of_it", "outcomes"), [("file", []), ("failing", [Outcome.FAILED])])
def test_a_server_that_cannot_store_what_it_should_fails(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, kept: str, state_of_it: str, outcomes: list[Outcome]
) -> None:
    async def converse(*_: object) -> AsyncIterator[Check]:
        for check in ():
            yield check

    async def no_translation(*_: object) -> None:
        return None

    state = {"ready": True, "profile": "light", "clients": 0, kept: state_of_it}
    monkeypatch.setattr(doctor, "_state", lambda *_: state)
    monkeypatch.setattr(doctor_conversation, "converse", converse)
    monkeypatch.setattr(doctor_conversation, "time_translation", no_translation)
    checks: list[Check] = []
    doctor.examine(settings, "http://192.0.2.7:9000", None, checks.append)
    assert [check.outcome for check in checks if check.name == kept] == outcomes


def test_threads_beyond_the_cpus_are_a_warning(settings: Settings) -> None:
    check = machine(settings, translation_threads=10_000)["CPUs"]
    assert check.outcome is Outcome.WARNING
    assert "BABBLEFISH_TRANSLATION_THREADS" in check.advice


def test_too_few_open_files_are_a_warning(settings: Settings) -> None:
    check = machine(settings, max_clients=10**9)["open files"]
    assert check.outcome is Outcome.WARNING
    assert "LimitNOFILE" in check.advice


@pytest.mark.parametrize(("days_ago", "outcome"), [(0, Outcome.OK), (380, Outcome.WARNING), (500, Outcome.FAILED)])
def test_a_certificate_is_judged_by_its_date(
    settings: Settings, tmp_path: Path, days_ago: int, outcome: Outcome
) -> None:
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days_ago)
    chain = ensure(tmp_path / "own", Machine(("fish.local",), ()), then)
    check = machine(settings, tls_cert=chain.certificate, tls_key=chain.key)["certificate"]
    assert check.outcome is outcome
    assert ("fish.local" in check.found) == (outcome is Outcome.OK)
    assert bool(check.advice) == (outcome is not Outcome.OK)


def test_a_certificate_without_its_key_fails(settings: Settings, tmp_path: Path) -> None:
    assert machine(settings, tls_cert=tmp_path / "none.pem")["certificate"].outcome is Outcome.FAILED


def test_a_microphone_needs_an_address_that_others_reach_over_https(settings: Settings) -> None:
    assert "only this machine" in machine(settings)["microphones"].found
    assert "not secure" in machine(settings, host="0.0.0.0")["microphones"].found
    assert machine(settings, host="0.0.0.0", tls="auto")["microphones"].outcome is Outcome.OK


def test_looking_makes_no_certificate(settings: Settings) -> None:
    assert machine(settings, tls="auto")["certificate"].outcome is Outcome.OK
    assert not settings.state_dir.exists()


class _Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def stranger(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run an HTTP server that is not BabbleFish; yields its port."""
    with http.server.HTTPServer(("127.0.0.1", 0), _Quiet) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_port_that_a_stranger_has_fails(settings: Settings) -> None:
    with stranger() as port:
        found = examined(settings.model_copy(update={"port": port}))
    assert found["port"].outcome is Outcome.FAILED
    assert "another program" in found["port"].found
    assert "server" not in found


def test_an_address_that_is_not_this_machines_fails(settings: Settings) -> None:
    assert examined(settings.model_copy(update={"host": "192.0.2.1"}))["port"].outcome is Outcome.FAILED


def test_no_server_at_an_address_fails(settings: Settings) -> None:
    check = examined(settings, f"http://127.0.0.1:{free_port()}")["server"]
    assert check.outcome is Outcome.FAILED
    check = examined(settings, f"https://127.0.0.1:{free_port()}")["certificate"]
    assert check.outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("days_ago", "trusts", "outcome", "found"),
    [
        (0, True, Outcome.OK, "valid until"),
        (0, False, Outcome.WARNING, "does not trust"),
        (500, True, Outcome.FAILED, "expired"),
    ],
)
def test_the_certificate_that_a_server_shows_is_judged(
    settings: Settings, tmp_path: Path, days_ago: int, trusts: bool, outcome: Outcome, found: str
) -> None:
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days_ago)
    chain = ensure(tmp_path / "shown", Machine((), ()), then)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain.load_into(context)
    if trusts:
        (settings.state_dir / "tls").mkdir(parents=True)
        (settings.state_dir / "tls" / "ca.crt").write_bytes(chain.authority or b"")
    with stranger(context) as port:
        checks = examined(settings, f"https://127.0.0.1:{port}")
    assert checks["certificate"].outcome is outcome
    assert found in checks["certificate"].found
    assert checks["server"].outcome is Outcome.FAILED, "it is not BabbleFish"


def test_the_command_ends_with_1_where_something_failed_and_says_all_of_it_as_json(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "babblefish.cli",
        "doctor",
        "--json",
        "--url",
        f"http://127.0.0.1:{free_port()}",
    ]
    environment = {**os.environ, "BABBLEFISH_MODEL_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert not report["ok"]
    failed = [check for check in report["checks"] if check["outcome"] == "failed"]
    assert "server" in {check["name"] for check in failed}
    assert all(check["advice"] for check in failed)


WORDS = "good evening my friends"
RESULT = {
    "type": "result",
    "utterance_id": "1",
    "source_text": "Good evening, my friends!",
    "source_lang": "eng",
    "target_lang": "fra",
    "status": "speaking",
    "latency_ms": 800.0,
}
SPEECH = {"type": "speech", "utterance_id": "1", "latency_ms": 1200.0}
SPOKEN = [SPEECH | {"index": 0, "last": False}, SPEECH | {"index": 1, "last": True}]


async def talked(
    monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, Any]], close: bool = False, is_let_in: bool = True
) -> tuple[Check, str]:
    """Talk to a server that says these messages, and may close at once; returns the check and the path asked for."""
    paths = []

    async def answer(connection: ServerConnection) -> None:
        assert connection.request is not None
        paths.append(connection.request.path)
        if is_let_in:
            await connection.send(json.dumps({"type": "ready"}))
        if close:
            await connection.send(json.dumps(answers[0]))
            return
        async for message in connection:
            if isinstance(message, str) and "ping" in message:
                for one in (*answers, {"type": "pong"}):
                    await connection.send(json.dumps(one))

    monkeypatch.setattr(doctor_conversation, "CLIPS", (doctor_conversation.Clip("demo_eng.wav", "eng", "fra", WORDS),))
    monkeypatch.setattr(doctor_conversation, "TRAILING_SILENCE_S", 0.0)
    monkeypatch.setattr(doctor_conversation, "read_speech", lambda _: np.zeros(160, dtype=np.float32))
    async with serve(answer, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        (check,) = [check async for check in doctor_conversation.converse(f"http://127.0.0.1:{port}/", "s3cret", None)]
    return check, paths[0]


async def test_a_good_conversation_is_reported_with_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    check, path = await talked(monkeypatch, [RESULT, *SPOKEN])
    assert check.outcome is Outcome.OK
    assert check.figures == {"word_error_rate": 0.0, "caption_ms": 800.0, "first_speech_ms": 1200.0}
    assert "token=s3cret" in path


@pytest.mark.parametrize(
    ("changed", "outcome", "advice"),
    [
        ({"source_lang": "deu"}, Outcome.FAILED, "taken for German"),
        ({"source_text": "wood heaving by fiends"}, Outcome.FAILED, "most words are wrong"),
        ({"source_text": "good evening by fiends"}, Outcome.WARNING, "many words are wrong"),
        ({"target_lang": "eng"}, Outcome.WARNING, "no translation to French"),
        ({"latency_ms": 9000.0}, Outcome.WARNING, "slow"),
    ],
)
async def test_a_bad_conversation_says_what_is_wrong_with_it(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], outcome: Outcome, advice: str
) -> None:
    check, _ = await talked(monkeypatch, [RESULT | changed, *SPOKEN])
    assert check.outcome is outcome
    assert advice in check.advice


async def test_a_caption_without_speech_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    check, _ = await talked(monkeypatch, [RESULT | {"status": "final"}])
    assert check.outcome is Outcome.WARNING
    assert "no voice for French" in check.advice


async def test_a_server_that_refuses_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = {"type": "error", "code": "not_allowed", "message": "no such token", "fatal": True}
    check, _ = await talked(monkeypatch, [refusal], close=True, is_let_in=False)
    assert check.outcome is Outcome.FAILED
    assert check.found == "not_allowed: no such token"


async def test_a_server_that_ends_the_conversation_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = {"type": "error", "code": "restarting", "message": "back in a moment", "fatal": False}
    check, _ = await talked(monkeypatch, [ending], close=True)
    assert check.outcome is Outcome.FAILED
    assert check.found == "restarting: back in a moment"


async def timed(answer_to_second: dict[str, Any]) -> Check | None:
    """Time a translation on a server that takes long for the first sentence."""

    async def answer(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "ready"}))
        answers = iter([RESULT | {"timings": {"translate": 30_000.0}}, answer_to_second])
        async for message in connection:
            if isinstance(message, str) and json.loads(message)["type"] == "say":
                await connection.send(json.dumps(next(answers)))

    async with serve(answer, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        return await doctor_conversation.time_translation(f"http://127.0.0.1:{port}/", None, None)


@pytest.mark.parametrize(("took_ms", "outcome"), [(700.0, Outcome.OK), (4200.0, Outcome.WARNING)])
async def test_a_translation_is_timed_when_the_model_has_read_its_examples(took_ms: float, outcome: Outcome) -> None:
    check = await timed(RESULT | {"timings": {"translate": took_ms}})
    assert check is not None
    assert (check.outcome, check.figures) == (outcome, {"translate_ms": took_ms})
    assert ("VNNI" in check.advice) == (outcome is Outcome.WARNING)


async def test_where_nothing_is_translated_no_time_is_said() -> None:
    assert await timed(RESULT | {"target_lang": "eng", "timings": {}}) is None


async def test_a_typed_sentence_that_is_refused_is_said_to_be() -> None:
    check = await timed({"type": "error", "code": "too_fast", "message": "not so fast", "fatal": False})
    assert check is not None
    assert (check.outcome, check.found) == (Outcome.FAILED, "refused: not so fast")


def test_words_count_without_case_and_punctuation() -> None:
    assert doctor_conversation.word_error_rate("Bonjour à tous.", "bonjour, à TOUS") == 0
    assert doctor_conversation.word_error_rate("one two three four", "one two tree four") == 0.25
    assert doctor_conversation.word_error_rate("one", "") == 1


@pytest.mark.slow
def test_a_healthy_machine_is_healthy() -> None:
    """With the real engines, through the socket of a server that the doctor starts."""
    command = [sys.executable, "-m", "babblefish.cli", "doctor", "--json"]
    environment = {**os.environ, "BABBLEFISH_PROFILE": "embedded", "BABBLEFISH_PORT": str(free_port())}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    for name in ("speech eng → fra", "speech spa → eng", "speech fra → spa"):
        assert checks[name]["figures"]["word_error_rate"] < 0.35
        assert checks[name]["figures"]["first_speech_ms"] >= checks[name]["figures"]["caption_ms"]
    assert checks["translation"]["figures"]["translate_ms"] > 0


def test_the_token_of_these_settings_is_known_to_whoever_may_read_the_servers_key(settings: Settings) -> None:
    guarded = settings.model_copy(update={"access": "required"})
    assert doctor._own_token(guarded) is None
    assert not settings.state_dir.exists(), "asking makes no key"
    token = access_of(guarded).admin_token
    assert doctor._own_token(guarded) == token
    assert doctor._own_token(settings) is None
