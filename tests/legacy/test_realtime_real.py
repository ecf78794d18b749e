"""V1's socket servers as their owner starts them, with the real engines."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from babblefish.cli.demo import read_speech
from babblefish.domain import Samples
from tests.support.fakes import silence
from tests.support.legacy import hear, process, say, talking_to
from tests.support.serving import FRENCH_SPEECH, SHARED_AUDIO, SocketTransport

pytestmark = pytest.mark.slow

MULTISPEAKER = "realtime_server_multispeaker"


@pytest.fixture(scope="module")
def multispeaker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with process(MULTISPEAKER, tmp_path_factory.mktemp("legacy") / "log") as port:
        yield port


def _spoken(path: Path) -> Samples:
    return np.concatenate([read_speech(path), silence(1)])


async def _converse(port: int, samples: Samples, until: str, **query: str) -> list[dict[str, Any]]:
    """Stream speech and return what comes up to the first message of a type."""
    async with talking_to(SocketTransport(port), **query) as client:
        await say(client, samples)
        messages = [await hear(client)]
        while messages[-1]["type"] != until:
            messages.append(await hear(client))
        return messages


async def test_recorded_speech_becomes_text_on_the_first(tmp_path: Path) -> None:
    with process("realtime_server", tmp_path / "log") as port:
        (result,) = await _converse(port, _spoken(FRENCH_SPEECH), "result", target_lang="spa_Latn")
    assert result["language"] == "fra_Latn"
    assert result["language_confidence"] > 0.8
    assert "bonjour" in result["text"].lower()
    assert "salud" in result["translation"].lower() or "buen" in result["translation"].lower()


async def test_recorded_speech_becomes_speech_on_the_second(tmp_path: Path) -> None:
    with process("realtime_server_tts", tmp_path / "log") as port:
        *_, speech = await _converse(port, _spoken(FRENCH_SPEECH), "speech")
    assert speech["voice"].startswith("kokoro:")
    samples, _ = soundfile.read(io.BytesIO(base64.b64decode(speech["audio"])))
    assert np.sqrt(np.mean(samples**2)) > 0.01


async def test_recorded_voices_are_told_apart_on_the_third(multispeaker: int) -> None:
    folder = SHARED_AUDIO / "speakers"
    if not folder.is_dir():
        pytest.skip("needs the recorded speech beside the project")
    people = sorted({path.name.split("-")[0] for path in folder.glob("*.flac")})[:2]
    order = [people[0], people[1], people[0], people[1]]
    recordings = {person: iter(sorted(folder.glob(f"{person}-*.flac"))) for person in people}
    said_by = [""]
    async with talking_to(SocketTransport(multispeaker)) as client:
        for person in order:
            await say(client, np.concatenate([read_speech(next(recordings[person]))[: 4 * 16000], silence(1)]))
            # What one of them says may be several sentences.
            while (message := await hear(client))["type"] != "speaker" or message["speaker_id"] == said_by[-1]:
                pass
            said_by.append(message["speaker_id"])
    assert said_by == ["", "speaker_1", "speaker_2", "speaker_1", "speaker_2"]
    assert [one["color"] for one in message["speakers"]] == ["#0072b2", "#d55e00"]
    assert all(one["samples"] >= 2 for one in message["speakers"])
