"""V1's REST server with scripted engines: its answers, its limits, and what it says where it cannot answer."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from babblefish.audio.pcm import float_to_pcm16, wav_bytes
from babblefish.settings import Settings
from legacy import limits
from legacy.flores import flores_of, written
from legacy.main import create_app
from tests.support.fakes import Fakes, silence, speech
from tests.support.legacy import serving, serving_on_a_port, upload

BONJOUR = wav_bytes(speech(11), 16000)

FLOATS = speech(11, 0.5).astype("<f4").tobytes()


def _labelled_as_pcm(data: bytes) -> bytes:
    """Return bytes of any kind with a header that says they are 16-bit PCM."""
    file = io.BytesIO()
    soundfile.write(file, np.frombuffer(data, "<i2"), 16000, format="WAV", subtype="PCM_16")
    return file.getvalue()


@pytest.fixture
async def client(settings: Settings, fakes: Fakes) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of the application itself, for what does not depend on a socket."""
    async with serving(create_app, settings, fakes.engines) as server, server.http() as client:
        yield client


@pytest.fixture
async def remote(settings: Settings, fakes: Fakes) -> AsyncIterator[httpx.AsyncClient]:
    """A caller over a socket."""
    async with serving_on_a_port(create_app, settings, fakes.engines) as server, server.http() as client:
        yield client


async def _until_taken(client: httpx.AsyncClient, path: str, **request: Any) -> None:
    """Ask until there is a place."""
    for _ in range(1000):
        if (await client.post(path, **request)).status_code != 503:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("no place became free")


async def test_text_is_translated_between_flores_codes(client: httpx.AsyncClient) -> None:
    asked = {"text": "le chat\nle chien", "source_lang": "fra_Latn", "target_lang": "spa_Latn"}
    answer = await client.post("/translate", json=asked)
    assert answer.status_code == 200
    assert answer.json() == {
        "translation": "<spa> le chat\nle chien",
        "source_lang": "fra_Latn",
        "target_lang": "spa_Latn",
    }


async def test_a_file_is_transcribed_with_the_times_of_its_utterances(client: httpx.AsyncClient) -> None:
    file = wav_bytes(np.concatenate([speech(11), silence(1), speech(12)]), 16000)
    answer = await client.post("/transcribe", files=upload(file))
    assert answer.status_code == 200
    said = answer.json()
    assert said["text"] == "bonjour tout le monde comment allez vous ce soir"
    assert said["language"] == "fra_Latn"
    assert [segment["text"] for segment in said["segments"]] == ["bonjour tout le monde", "comment allez vous ce soir"]
    first, second = said["segments"]
    assert 0 <= first["start"] < first["end"] <= second["start"] < second["end"] <= 5


async def test_speech_with_channels_upside_down_to_each_other_is_transcribed(client: httpx.AsyncClient) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.stack([speech(11), -speech(11)], axis=1), 16000, format="WAV")
    answer = await client.post("/transcribe", files=upload(file.getvalue()))
    assert answer.json()["text"] == "bonjour tout le monde"


async def test_a_file_whose_header_is_wrong_is_named_where_nothing_is_heard_in_it(client: httpx.AsyncClient) -> None:
    answer = await client.post("/transcribe", files=upload(_labelled_as_pcm(FLOATS)))
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_audio")
    assert "32-bit float samples" in answer.json()["detail"]


async def test_what_is_heard_in_a_file_whose_header_is_wrong_comes_with_a_warning(client: httpx.AsyncClient) -> None:
    file = _labelled_as_pcm(FLOATS + float_to_pcm16(np.concatenate([silence(1), speech(11)])))
    for path, asked in (("/transcribe", {}), ("/transcribe-translate", {"target_lang": "eng_Latn"})):
        answer = (await client.post(path, files=upload(file), data=asked)).json()
        assert "bonjour tout le monde" in (answer.get("text"), answer.get("transcription"))
        assert answer["warning"]["code"] == "bad_audio"
        assert "32-bit float samples" in answer["warning"]["detail"]


async def test_a_declared_language_reaches_the_engine(client: httpx.AsyncClient, fakes: Fakes) -> None:
    await client.post("/transcribe", files=upload(BONJOUR), data={"language": "fra_Latn"})
    assert [request.source_langs for request in fakes.speech_translator.requests] == [frozenset({"fra"})]


async def test_any_tag_names_a_language_and_text_is_composed(client: httpx.AsyncClient) -> None:
    asked = {"text": "Le cafe\u0301", "source_lang": "fr-FR", "target_lang": "en"}
    assert (await client.post("/translate", json=asked)).json() == {
        "translation": "<eng> Le caf\u00e9",
        "source_lang": "fra_Latn",
        "target_lang": "eng_Latn",
    }


def test_a_script_in_a_tag_chooses_how_a_language_is_written() -> None:
    assert [written(flores_of(tag)) for tag in ("zh-Hant", "zh-Hant-TW", "zh-CN")] == ["cmn-Hant", "cmn-Hant", "cmn"]


async def test_a_file_is_transcribed_and_translated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/transcribe-translate", files=upload(BONJOUR), data={"target_lang": "eng_Latn"})
    assert answer.json() == {
        "transcription": "bonjour tout le monde",
        "detected_language": "fra_Latn",
        "translation": "<eng> bonjour tout le monde",
        "target_lang": "eng_Latn",
    }


async def test_it_says_that_it_is_well_and_which_languages_lead_where(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json()["status"] == "ok"
    languages = {known["code"]: known for known in (await client.get("/languages")).json()["languages"]}
    assert languages["fra_Latn"]["name"] == "French"
    assert set(languages["fra_Latn"]["translates_to"]) == {"eng_Latn", "spa_Latn", "fra_Latn"}
    assert languages["pol_Latn"]["translates_to"] == []


async def test_it_describes_itself_and_its_documentation_needs_no_other_host(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert set(paths) == {"/translate", "/transcribe", "/transcribe-translate", "/health", "/languages"}
    page = (await client.get("/docs")).text
    assert "https://" not in page
    assert (await client.get("/static-offline-docs/swagger-ui-bundle.js")).status_code == 200


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"text": "", "source_lang": "fra_Latn", "target_lang": "spa_Latn"}, 422, "invalid_request"),
        ({"text": " \n ", "source_lang": "fra_Latn", "target_lang": "spa_Latn"}, 422, "invalid_request"),
        ({"text": "a" * 10_001, "source_lang": "fra_Latn", "target_lang": "spa_Latn"}, 422, "invalid_request"),
        ({"text": "le chat", "target_lang": "spa_Latn"}, 422, "invalid_request"),
        ({"text": "le chat", "source_lang": "french", "target_lang": "spa_Latn"}, 422, "unknown_language"),
        ({"text": "le chat", "source_lang": "fra_Latn", "target_lang": "xxx_Latn"}, 422, "unknown_language"),
        ({"text": "le chat", "source_lang": "fra_Latn", "target_lang": "pol_Latn"}, 422, "no_path"),
        ({"text": "le chat", "source_lang": "fra_Latn", "target_lang": "zho_Hant"}, 422, "no_path"),
    ],
)
async def test_text_that_cannot_be_translated_is_refused_by_name(
    client: httpx.AsyncClient, asked: dict[str, str], status: int, code: str
) -> None:
    answer = await client.post("/translate", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("file", "fields", "status", "code"),
    [
        (b"", {}, 422, "invalid_audio"),
        (b"a text called speech.wav\n" * 99, {}, 422, "invalid_audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), {}, 422, "invalid_audio"),
        (wav_bytes(silence(2), 16000), {}, 422, "no_speech"),
        (wav_bytes(speech(99), 16000), {}, 422, "no_speech"),
        (wav_bytes(np.zeros(601 * 8000, dtype=np.float32), 8000), {}, 413, "too_long"),
        (BONJOUR, {"language": "french"}, 422, "unknown_language"),
        (BONJOUR, {"language": "ace_Latn"}, 422, "unknown_language"),
    ],
    ids=[
        "empty",
        "text",
        "a picture",
        "silence",
        "no words",
        "too long",
        "no such language",
        "no voice engine knows it",
    ],
)
async def test_a_file_that_cannot_be_transcribed_is_refused_by_name(
    client: httpx.AsyncClient, file: bytes, fields: dict[str, str], status: int, code: str
) -> None:
    answer = await client.post("/transcribe", files=upload(file), data=fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await client.post("/transcribe", files=upload(BONJOUR))).status_code == 200


async def test_a_target_without_a_path_and_a_request_without_a_file_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/transcribe-translate", files=upload(BONJOUR), data={"target_lang": "pol_Latn"})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_path")
    answer = await client.post("/transcribe", data={"language": "fra_Latn"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_an_engine_that_fails_costs_one_request(client: httpx.AsyncClient, fakes: Fakes) -> None:
    asked = {"text": "le chat", "source_lang": "fra_Latn", "target_lang": "spa_Latn"}
    fakes.text_translator.broken = True
    answer = await client.post("/translate", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (500, "engine_failed")
    fakes.text_translator.broken = False
    assert (await client.post("/translate", json=asked)).status_code == 200


async def test_no_body_is_larger_than_the_limit_whether_it_says_so_or_not(
    remote: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_BODY_BYTES", 100_000)
    honest = await remote.post("/transcribe", files=upload(bytes(200_000)))
    assert (honest.status_code, honest.json()["code"]) == (413, "too_large")

    async def without_end() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        for _ in range(20):
            yield bytes(10_000)

    form = {"Content-Type": "multipart/form-data; boundary=x"}
    chunked = await remote.post("/transcribe", content=without_end(), headers=form)
    assert (chunked.status_code, chunked.json()["code"]) == (413, "too_large")


async def test_a_body_that_never_comes_loses_its_place(
    remote: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_GRACE_S", 0.05)
    async with _begun(remote) as reader, asyncio.timeout(30):
        assert b" 408 " in await reader.readline()


@contextlib.asynccontextmanager
async def _begun(remote: httpx.AsyncClient) -> AsyncIterator[asyncio.StreamReader]:
    """Begin to send a body, and send no more of it than its beginning."""
    reader, writer = await asyncio.open_connection(remote.base_url.host, remote.base_url.port)
    head = "POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    writer.write(head.encode())
    await writer.drain()
    try:
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def test_slow_uploads_of_one_address_leave_places_for_others(
    remote: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"text": "le chat", "source_lang": "fra_Latn", "target_lang": "spa_Latn"}
    async with contextlib.AsyncExitStack() as attack:
        for _ in range(20):
            await attack.enter_async_context(_begun(remote))
        for _ in range(1000):
            answer = await remote.post("/translate", json=asked)
            if answer.status_code == 429:
                break
            await asyncio.sleep(0.01)
        assert answer.json()["code"] == "too_many"
        monkeypatch.setattr(limits, "owner_of", lambda host: f"another than {host}")
        assert (await remote.post("/translate", json=asked)).status_code == 200
    monkeypatch.undo()
    for _ in range(1000):
        if (await remote.post("/translate", json=asked)).status_code == 200:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("uploads that were given up still count")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"X-Forwarded-For": "192.0.2.7"}, 403),
    ],
)
async def test_other_names_sites_and_hidden_proxies_are_refused(
    client: httpx.AsyncClient, fakes: Fakes, headers: dict[str, str], status: int
) -> None:
    for answer in (
        await client.get("/languages", headers=headers),
        await client.post("/transcribe", files=upload(BONJOUR), headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, "not_allowed")
        assert answer.json()["detail"]
    assert fakes.speech_translator.requests == []


async def test_the_page_of_the_server_itself_may_ask(client: httpx.AsyncClient) -> None:
    own = {"Origin": str(client.base_url).rstrip("/")}
    assert (await client.get("/languages", headers=own)).status_code == 200


async def test_a_full_server_says_when_to_come_again(fakes: Fakes) -> None:
    settings = Settings(log_level="warning", queue_limit=1)
    waits, goes_on = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        waits.set()
        goes_on.wait(30)

    fakes.speech_translator.before = hold
    async with serving(create_app, settings, fakes.engines) as server, server.http() as client:
        served = asyncio.create_task(client.post("/transcribe", files=upload(BONJOUR)))
        assert await asyncio.to_thread(waits.wait, 30)
        refused = await client.post("/transcribe", files=upload(BONJOUR))
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert int(refused.headers["Retry-After"]) > 0
        assert (await client.get("/health")).status_code == 200
        goes_on.set()
        assert (await served).status_code == 200
        assert (await client.post("/transcribe", files=upload(BONJOUR))).status_code == 200


async def test_nothing_more_is_done_for_a_caller_who_has_gone(fakes: Fakes) -> None:
    settings = Settings(log_level="warning", queue_limit=1)
    waits, goes_on = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        waits.set()
        goes_on.wait(30)

    fakes.speech_translator.before = hold
    three = wav_bytes(np.concatenate([speech(11), silence(1)] * 3), 16000)
    async with serving_on_a_port(create_app, settings, fakes.engines) as server, server.http() as client:
        leaving = asyncio.create_task(client.post("/transcribe", files=upload(three)))
        assert await asyncio.to_thread(waits.wait, 30)
        leaving.cancel()
        asked = {"text": "le chat", "source_lang": "fra_Latn", "target_lang": "spa_Latn"}
        await _until_taken(client, "/translate", json=asked)
        goes_on.set()
        await _until_taken(client, "/transcribe", files=upload(BONJOUR))
    assert fakes.calls.count["encode"] == 2


async def test_an_upload_is_never_a_file_on_the_disk(
    remote: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    long = wav_bytes(np.concatenate([speech(11), silence(240)]), 16000)
    assert len(long) > 7_000_000
    assert (await remote.post("/transcribe", files=upload(long))).status_code == 200
