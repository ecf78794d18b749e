"""Batch translation without a server: recordings or films in, subtitles in another language out.

python examples/subtitle_files.py lecture.mp4 interview.wav --into eng
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from babblefish import Interpreter, Settings
from babblefish.errors import BabbleFishError
from babblefish.pipeline.interpreter import Line

LONGEST_S = 4 * 3600.0


async def subtitle_all(files: Sequence[Path], into: str) -> list[Path]:
    """Load the engines once and subtitle one file after another; return those that failed.

    Args:
        files: In any format that FFmpeg reads.
        into: Language of the subtitles, ISO 639-3.
    """
    failed = []
    async with Interpreter.open(Settings()) as interpreter:
        for file in files:
            try:
                print(await subtitle(interpreter, file, into))
            except (BabbleFishError, OSError) as error:
                print(f"{file}: {error}", file=sys.stderr)
                failed.append(file)
    return failed


async def subtitle(interpreter: Interpreter, file: Path, into: str) -> Path:
    """Translate what is said in a file; return the subtitles beside it, ``lecture.eng.srt`` for ``lecture.mp4``."""
    samples = await interpreter.read(await asyncio.to_thread(file.read_bytes), LONGEST_S)
    lines = await interpreter.transcribe(samples, target_lang=into)
    path = file.with_suffix(f".{into}.srt")
    text = "\n".join(srt(number, line) for number, line in enumerate(lines, start=1))
    await asyncio.to_thread(path.write_text, text, encoding="utf-8")
    return path


def srt(number: int, line: Line) -> str:
    """Return one subtitle in SubRip's format."""
    assert line.caption is not None
    return f"{number}\n{clock(line.start_s)} --> {clock(line.end_s)}\n{line.caption.text}\n"


def clock(time_s: float) -> str:
    """Return a time as SubRip writes it: ``01:02:03,450``."""
    minutes, milliseconds = divmod(round(time_s * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Subtitle recordings and films in another language.")
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--into", default="eng", metavar="LANG", help="language of the subtitles, default eng")
    arguments = parser.parse_args()
    try:
        sys.exit(bool(asyncio.run(subtitle_all(arguments.files, arguments.into))))
    except BabbleFishError as error:  # something is not installed; the message says the command
        sys.exit(error.message)
