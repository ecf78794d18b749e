"""A minimal client: play a recording to a running server and print the captions that come back.

python examples/caption_file.py speech.wav --listen fra
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from babblefish import client

SERVER_HZ = 16_000


async def caption(url: str, file: Path, listen: str, wait_s: float = 5.0) -> None:
    """Play a file at the pace of speech, as a microphone would, and print what the server makes of it.

    Args:
        url: The server's address, or an invitation link.
        file: Speech in any format that libsndfile reads.
        listen: The language of the captions, ISO 639-3.
        wait_s: How long to wait for the last captions after the end of the file.
    """
    async with (
        client.connect(url, target_lang=listen, name=file.stem, mode="stream", audio="none") as room,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(show(room))
        await room.stream(read(file), paced=True)
        await room.flush()  # the file has ended: do not wait for a silence
        await asyncio.sleep(wait_s)
        await room.close()


def read(file: Path) -> npt.NDArray[np.float32]:
    """Read a sound file as the server wants it: float32, mono, 16 kHz."""
    data, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(data.mean(axis=1), rate_hz, SERVER_HZ))


async def show(room: client.Client) -> None:
    """Print captions and errors until the connection is closed."""
    async for message in room:
        match message["type"]:
            case "result":
                print(f"{message['speaker_name']} said ({message['source_lang']}): {message['source_text']}")
                print(f"  {message['target_lang']}, {message['quality']}: {message['translation']}")
            case "error":
                print(f"  {message['code']}: {message['message']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Play a recording to a running server and print the captions.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--listen", default="eng", metavar="LANG", help="language of the captions, default eng")
    parser.add_argument("--url", default="http://localhost:9000", help="server or invitation link")
    arguments = parser.parse_args()
    asyncio.run(caption(arguments.url, arguments.file, arguments.listen))
