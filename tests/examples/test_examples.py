"""The programs in ``examples/`` and the one in the README, as their readers would run them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from babblefish.client import RefusedError
from babblefish.pipeline.interpreter import Interpreter
from babblefish.settings import Settings
from examples import caption_file, minutes_bot, subtitle_files
from tests.support.browser_network import network_to
from tests.support.fakes import Fakes, silence, speech
from tests.support.serving import FRENCH_SPEECH, Running
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
FROM_HERE = {"PYTHONPATH": str(ROOT)}
PROGRAMS = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two utterances, French and English, as the scripted engines hear them."""
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.concatenate([speech(11, 1.2), silence(0.6), speech(21, 1.2)]), 16000)
    return path


async def test_the_file_client_prints_each_caption(
    running_on_a_port: Running, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await caption_file.caption(running_on_a_port.url, recording, "eng", wait_s=1.0)
    assert capsys.readouterr().out.splitlines() == [
        "speech said (fra): bonjour tout le monde",
        "  eng, good: <eng> bonjour tout le monde",
        "Speaker 2 said (eng): good evening my dear friends",
        "  eng, original: good evening my dear friends",
    ]


async def test_the_file_client_resamples_what_is_not_at_16_khz(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.full((48000, 2), 0.1, dtype=np.float32), 48000)
    samples = caption_file.read(path)
    assert (samples.shape, samples.dtype) == ((16000,), np.float32)


async def test_the_bot_writes_each_caption_once_though_its_connection_breaks(running_on_a_port: Running) -> None:
    minutes: list[str] = []

    def write(text: str) -> None:
        minutes.append(text.partition(" ")[2])

    speaker = await running_on_a_port.client(name="Claire", audio="none", target_lang="fra")
    with network_to(running_on_a_port.port) as network:
        bot = asyncio.create_task(
            minutes_bot.keep_minutes(f"http://127.0.0.1:{network.port}", "main", "eng", write, retry_s=0.05)
        )
        await until(lambda: len(running_on_a_port.server.sessions) == 2)
        await speaker.say(speech(11))
        await until(lambda: len(minutes) == 1)
        network.cut()
        await speaker.say(speech(21))
        await speaker.wait_for("result", 2)
        network.mend()
        await until(lambda: len(minutes) == 2)
        await speaker.say(speech(12))
        await until(lambda: len(minutes) == 3)
        bot.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await bot
    assert minutes == [
        "Claire: <eng> bonjour tout le monde",
        "Speaker 2: good evening my dear friends",
        "Claire: <eng> comment allez vous ce soir",
    ]


async def test_the_bot_gives_up_where_trying_again_is_of_no_use(running_on_a_port: Running) -> None:
    with pytest.raises(RefusedError, match="unknown_language"):
        await minutes_bot.keep_minutes(running_on_a_port.url, "main", "xxx", print)


async def test_subtitles_have_each_utterance_with_its_times(settings: Settings, fakes: Fakes, recording: Path) -> None:
    async with Interpreter.open(settings, fakes.engines) as interpreter:
        path = await subtitle_files.subtitle(interpreter, recording, "spa")
    assert path.name == "speech.spa.srt"
    assert path.read_text().split("\n\n") == [
        "1\n00:00:00,000 --> 00:00:01,216\n<spa> bonjour tout le monde",
        "2\n00:00:01,792 --> 00:00:03,000\n<spa> good evening my dear friends\n",
    ]


def test_a_subtitle_after_an_hour_says_the_hour() -> None:
    assert subtitle_files.clock(3723.45) == "01:02:03,450"


@pytest.mark.slow
async def test_a_real_recording_is_subtitled_and_a_file_without_sound_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film, text = tmp_path / "film.wav", tmp_path / "text.wav"
    film.write_bytes(FRENCH_SPEECH.read_bytes())
    text.write_text("no sound")
    assert await subtitle_files.subtitle_all([text, film], "eng") == [text]
    assert "train" in (tmp_path / "film.eng.srt").read_text()
    assert "text.wav: this is no sound file" in capsys.readouterr().err


async def test_the_program_in_the_readme_prints_a_caption(running_on_a_port: Running, recording: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    assert "http://localhost:9000" in code
    program = recording.with_name("program.py")
    program.write_text(code.replace("http://localhost:9000", running_on_a_port.url))
    soundfile.write(recording, speech(11), 16000)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        program,
        cwd=recording.parent,
        env=FROM_HERE,
        stdout=subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert out.decode() == "Claire (fra): <eng> bonjour tout le monde\n"


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_each_example_says_how_it_is_used(program: Path) -> None:
    done = subprocess.run(
        [sys.executable, program, "--help"], env=FROM_HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert program.name in (ROOT / "examples" / "README.md").read_text()
