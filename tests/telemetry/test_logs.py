"""The log: which line is about what, in text and in JSON, and that nobody's words are in it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from babblefish.server import routes
from babblefish.settings import Settings
from babblefish.telemetry import logs
from tests.support.fakes import PHRASES, Fakes, speech
from tests.support.serving import Running, serving, serving_on_a_port

WORDS = {word for _, text in PHRASES.values() for word in text.split() if len(word) > 3}


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("babblefish")
    before = (root.handlers[:], root.level, ours.level)
    yield
    for handler in root.handlers:
        root.removeHandler(handler)
    for handler in before[0]:
        root.addHandler(handler)
    root.setLevel(before[1])
    ours.setLevel(before[2])


async def converse(running: Running, fakes: Fakes) -> str:
    """Hold a conversation in which something goes wrong, too, and return the id of the utterance that is lost."""
    pierre = await running.client(target_lang="fra", client_id="pierre", audio="stream")
    dan = await running.client(target_lang="spa", client_id="dan", mode="stream")
    await pierre.say(speech(11))
    await dan.wait_for("result")
    await dan.send_message(type="set", target_lang="eng")
    fakes.text_translator.broken = True
    await pierre.say(speech(12))
    await dan.wait_for("result", 2)

    def breaks(_: int) -> None:
        raise RuntimeError("scripted failure")

    fakes.speech_translator.before = breaks
    await pierre.say(speech(21))
    (error,) = await pierre.wait_for("error")
    async with running.http() as browser:
        await browser.get("/speakers?token=secret")
    return str(error["utterance_id"])


@pytest.mark.parametrize("form", ["text", "json"])
async def test_a_debug_log_of_a_conversation_holds_none_of_its_words(
    form: str, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(log_level="debug", log_format=form)
    logs.configure(settings)
    async with serving_on_a_port(settings, fakes.engines) as running:
        await converse(running, fakes)
    written = capsys.readouterr().err
    assert "scripted failure" in written, "the log is looked at"
    assert [word for word in WORDS if word in written] == []
    assert "secret" not in written


async def test_transcripts_are_logged_where_a_setting_asks_for_them(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(log_transcripts=True)
    logs.configure(settings)
    async with serving(settings, fakes.engines) as running:
        await converse(running, fakes)
    assert "fra: bonjour tout le monde [" in capsys.readouterr().err


async def test_each_line_about_an_utterance_says_which_and_whose_it_is(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(log_level="debug", log_format="json")
    logs.configure(settings)
    async with serving(settings, fakes.engines) as running:
        lost = await converse(running, fakes)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert all({"level", "logger", "message", "timestamp"} <= line.keys() for line in lines)
    ended = [line for line in lines if line["message"].startswith("ended with")]
    assert [(line["client_id"], line["message"].split()[2]) for line in ended] == [
        ("pierre", "result"),
        ("pierre", "result"),
        ("pierre", "engine_failed"),
    ]
    assert ended[-1]["utterance_id"] == lost
    assert ended[0]["timings_ms"]["encode"] == 1.0
    (failure,) = [line for line in lines if line["message"] == "translation failed"]
    assert (failure["utterance_id"], failure["client_id"]) == (lost, "pierre")
    assert "RuntimeError: scripted failure" in failure["exc_info"]
    about_joining = [line for line in lines if "joined room" in line["message"]]
    assert [line["client_id"] for line in about_joining] == ["pierre", "dan"]
    assert len({line["request_id"] for line in about_joining}) == 2


async def test_each_request_has_an_id_in_its_answer_and_in_the_log(
    settings: Settings, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Settings(log_level="debug"))
    async with serving(settings, fakes.engines) as running, running.http() as browser:
        answers = [await browser.get(f"/{path}") for path in ("healthz", "nowhere")]
    written = capsys.readouterr().err
    for answer, line in zip(answers, ("GET /healthz: 200", "GET /nowhere: 404"), strict=True):
        request_id = answer.headers["x-request-id"]
        assert re.search(rf"{line}, [\d.]+ ms \[.*request_id={request_id}\]", written)


async def test_what_an_engine_logs_in_its_thread_says_what_it_is_for(
    running: Running, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Settings(log_level="info"))
    fakes.speech_translator.before = lambda _: logging.getLogger("babblefish.engines.fake").info("in its thread")
    client = await running.client(client_id="pierre")
    await client.say(speech(11))
    await client.wait_for("result")
    assert re.search(r"in its thread \[.*client_id=pierre utterance_id=\w+\]", capsys.readouterr().err)


def test_libraries_are_heard_from_warning_on_in_the_same_format(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_level="debug", log_format="json"))
    library = logging.getLogger("a.library")
    library.info("everything I do")
    library.warning("disk %s is full", "sda", extra={"free_bytes": 0})
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert list(line)[:4] == ["timestamp", "level", "logger", "message"]
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is UTC
    fields = {"level": "WARNING", "logger": "a.library", "message": "disk sda is full", "free_bytes": 0}
    assert line == fields


def test_a_traceback_follows_its_line_in_the_text_format(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings())
    try:
        raise RuntimeError("scripted failure")
    except RuntimeError:
        logging.getLogger("babblefish.test").exception("it failed")
    first, second, *_, last = capsys.readouterr().err.splitlines()
    assert (first, second) == ("ERROR babblefish.test: it failed", "  Traceback (most recent call last):")
    assert last == "  RuntimeError: scripted failure"


@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_path_forges_a_line_or_commands_a_terminal(
    form: str, settings: Settings, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Settings(log_level="debug", log_format=form))
    async with serving(settings, fakes.engines) as running, running.http() as browser:
        await browser.get("/a%0D%0AINFO%20babblefish:%20forged%1B%5B2J%C2%9B2J%E2%80%A8b")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "forged" in line]
    assert line.isprintable()
    assert "INFO babblefish: forged" in line, "it is there, within the line about its request"
    assert not line.startswith("INFO")


def test_no_line_of_a_traceback_passes_for_one_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings())
    try:
        raise ValueError("bad\nWARNING babblefish: forged\x1b[2J")
    except ValueError:
        logging.getLogger("babblefish").exception("failed")
    first, *below = capsys.readouterr().err.splitlines()
    assert first == "ERROR babblefish: failed"
    assert "  WARNING babblefish: forged\\x1b[2J" in below
    assert all(line.startswith("  ") and line.isprintable() for line in below)


_MALFORMED = {
    "text that is no UTF-8": b"\x81\x82\x00\x00\x00\x00\xff\xfe",
    "an unknown opcode": b"\x83\x80\x00\x00\x00\x00",
    "a reserved bit": b"\xc1\x80\x00\x00\x00\x00",
    "no mask": b"\x81\x01a",
    "a reason for closing that is no UTF-8": b"\x88\x83\x00\x00\x00\x00\x03\xe8\xff",
}


@pytest.mark.parametrize("frame", _MALFORMED.values(), ids=_MALFORMED)
async def test_a_malformed_frame_costs_its_sender_the_connection_and_the_log_no_traceback(
    frame: bytes, settings: Settings, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Settings(log_level="debug"))
    async with serving_on_a_port(settings, fakes.engines) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(
            b"GET /ws/client?target_lang=fra HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame)
        async with asyncio.timeout(30):
            await reader.read()
        writer.close()
    written = capsys.readouterr().err
    assert "joined room" in written, "the log is looked at"
    assert "Traceback" not in written


async def test_no_token_is_ever_logged(tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(log_level="debug", access="required", state_dir=tmp_path)
    logs.configure(settings)
    async with serving_on_a_port(settings, fakes.engines) as running:
        access = running.server.access
        link, admin, cookie = access.join_token("main"), access.admin_token, access.admin_cookie()
        await running.client(token=link, target_lang="fra")
        async with running.http() as browser:
            await browser.get(f"/join?token={admin}")
            await browser.get("/speakers", headers={"Authorization": f"Bearer {admin}"})
            await browser.get("/speakers", headers={"Cookie": f"{routes._COOKIE}={cookie}"})
            await browser.get("/speakers", headers={"Authorization": "Bearer a-wrong-one"})
    written = capsys.readouterr().err
    assert "joined room" in written, "the log is looked at"
    assert "GET /speakers" in written
    for secret in (link, admin, cookie, "a-wrong-one"):
        assert secret not in written
        assert secret.rpartition(".")[2] not in written
