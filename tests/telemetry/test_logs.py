"""The log: which line is about what, in text and in JSON, and that nobody's words are in it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

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
    await dan.control(type="set", target_lang="eng")
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
    assert (first, second) == ("ERROR babblefish.test: it failed", "Traceback (most recent call last):")
    assert last == "RuntimeError: scripted failure"
