"""V1's REST server as its owner starts it, with the real engines, recorded speech and made-up requests."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import httpx
import jiwer
import numpy as np
import pytest
import schemathesis
import soundfile
from hypothesis import HealthCheck, given, settings

from babblefish.audio.pcm import wav_bytes
from babblefish.cli.demo import read_speech
from tests.support.fakes import silence
from tests.support.legacy import process, upload
from tests.support.serving import FRENCH_SPEECH, SHARED_AUDIO
from tests.support.sound_files import FORMATS, encoded

pytestmark = pytest.mark.slow

SAID = "bonjour à tous je suis très heureuse de vous voir ce soir le train pour paris part demain matin à sept heures"
"""What the French demonstration says."""

REQUESTS_EACH = 30
POSTS = ("/translate", "/transcribe", "/transcribe-translate")


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with process("main", tmp_path_factory.mktemp("legacy") / "log") as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def client(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, timeout=120) as client:
        yield client


def _word_errors(said: str, heard: str) -> float:
    plain = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip()])
    return float(jiwer.wer(plain(said), plain(heard)))


@pytest.mark.parametrize("name", FORMATS)
def test_speech_is_transcribed_from_every_format(client: httpx.Client, name: str) -> None:
    file = encoded(read_speech(FRENCH_SPEECH), name)
    answer = client.post("/transcribe", files=upload(file, f"speech.{name}"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["language"] == "fra_Latn"
    assert _word_errors(SAID, answer.json()["text"]) < 0.25


def test_a_recording_of_somebody_is_transcribed(client: httpx.Client) -> None:
    manifest = SHARED_AUDIO / "manifest.json"
    if not manifest.is_file():
        pytest.skip("needs the recorded speech beside the project")
    recordings = {entry["file"]: entry["text"] for entry in json.loads(manifest.read_text())["utterances"]}
    for name in ("test_en.wav", "test_de.wav"):
        answer = client.post("/transcribe", files=upload((SHARED_AUDIO / name).read_bytes(), name))
        assert _word_errors(recordings[name], answer.json()["text"]) < 0.3, answer.text


def test_a_recording_with_channels_upside_down_to_each_other_is_transcribed(client: httpx.Client) -> None:
    speech, file = read_speech(FRENCH_SPEECH), io.BytesIO()
    soundfile.write(file, np.stack([speech, -speech], axis=1), 16000, format="WAV")
    files = [(SAID, file.getvalue())]
    cases = SHARED_AUDIO / "cases"
    if (cases / "cases.json").is_file():
        recordings = json.loads((SHARED_AUDIO / "manifest.json").read_text())["utterances"]
        said = next(entry["text"] for entry in recordings if entry["file"] == "test_fr.wav")
        files.append((said, (cases / "09_antiphase_stereo_fra.wav").read_bytes()))
    for said, data in files:
        answer = client.post("/transcribe", files=upload(data))
        assert _word_errors(said, answer.json()["text"]) < 0.3, answer.text


def test_speech_is_transcribed_and_translated(client: httpx.Client) -> None:
    answer = client.post(
        "/transcribe-translate", files=upload(FRENCH_SPEECH.read_bytes()), data={"target_lang": "spa_Latn"}
    )
    assert answer.json()["detected_language"] == "fra_Latn"
    assert "tren" in answer.json()["translation"]
    assert "train" in answer.json()["transcription"]


def test_many_sentences_keep_their_order_and_their_line_breaks(client: httpx.Client) -> None:
    numbers = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    lines = ["I bought one book.", *(f"I bought {number} books." for number in numbers[1:])]
    lines[4:4] = ["", "  "]
    asked = {"text": "\n".join(lines), "source_lang": "eng_Latn", "target_lang": "spa_Latn"}
    translated = client.post("/translate", json=asked).json()["translation"].split("\n")
    assert len(translated) == len(lines)
    assert translated[4].strip() == translated[5].strip() == ""
    words = ["un", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez"]
    said = [line for line in translated if line.strip()]
    assert [line for line in said if "libro" not in line] == []
    assert [word for word, line in zip(words, said, strict=True) if word not in line] == []


@pytest.mark.parametrize(
    ("file", "status", "code"),
    [
        (b"", 422, "invalid_audio"),
        (b"these are words and no sound\n" * 100, 422, "invalid_audio"),
        (FRENCH_SPEECH.read_bytes()[:30], 422, "invalid_audio"),
        (wav_bytes(silence(3), 16000), 422, "no_speech"),
        (wav_bytes(silence(650), 8000), 413, "too_long"),
        (bytes(26 * 1024 * 1024), 413, "too_large"),
    ],
    ids=["nothing", "text", "cut off", "silence", "too long", "too large"],
)
def test_a_bad_file_is_refused_and_the_next_one_served(
    client: httpx.Client, file: bytes, status: int, code: str
) -> None:
    answer = client.post("/transcribe", files=upload(file))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        *((path, "POST", mode) for path in POSTS for mode in schemathesis.GenerationMode),
        ("/health", "GET", schemathesis.GenerationMode.POSITIVE),
        ("/languages", "GET", schemathesis.GenerationMode.POSITIVE),
    ],
)
def test_whatever_the_description_allows_or_not_is_answered_as_it_says(
    base_url: str, path: str, method: str, mode: schemathesis.GenerationMode
) -> None:
    operation = schemathesis.openapi.from_url(f"{base_url}/openapi.json")[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=REQUESTS_EACH, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def ask(case: schemathesis.Case) -> None:
        # that a file is no sound, or that no path leads from one language to another, a schema cannot say
        case.call_and_validate(excluded_checks=[schemathesis.checks.CHECKS.get_one("positive_data_acceptance")])

    ask()
