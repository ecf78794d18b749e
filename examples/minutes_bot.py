"""A bot that joins a room and keeps its minutes: who said what, in one language, without losing a caption.

python examples/minutes_bot.py --room main --listen eng >> minutes.txt
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable

from babblefish import client

GIVE_UP = {"not_allowed", "invalid_message", "unknown_language", "setup"}
"""Refusals that trying again does not change."""


async def keep_minutes(url: str, room: str, listen: str, write: Callable[[str], None], retry_s: float = 2.0) -> None:
    """Write a line for each caption of a room, until cancelled; comes back when the connection is lost.

    Args:
        url: The server's address, or an invitation link.
        room: The room's name.
        listen: The language of the minutes, ISO 639-3.
        write: Takes each line.
        retry_s: Time between attempts to connect.

    Raises:
        RefusedError: The server does not let the bot in, and will not later.
    """
    history_id, written, token = "", 0, None
    while True:
        try:
            async with client.connect(
                url, room=room, target_lang=listen, name="Minutes", audio="none", token=token
            ) as connection:
                resuming = False
                newest = written
                async for message in connection:
                    match message["type"]:
                        case "ready":
                            token = message["token"]  # lets the bot back in after the link has expired
                            if history_id:
                                resuming = True
                                await connection.send_message(type="resume", history_id=history_id, after_seq=written)
                            else:
                                newest = message["last_seq"]
                            history_id = message["history_id"]
                        case "result":
                            write(line(message))
                            newest = max(newest, message["seq"])
                        case "resumed":
                            resuming = False
                            if message["lost"]:
                                write(f"({message['lost']} captions were lost)")
                    if not resuming:  # until then, results that were missed may still be on their way
                        written = newest
        except client.RefusedError as error:
            if error.code in GIVE_UP:
                raise
        except (client.ConnectionLostError, TimeoutError):
            pass
        await asyncio.sleep(retry_s)


def line(result: client.Message) -> str:
    """Return one line of the minutes; a doubtful translation is marked."""
    doubt = "" if result["quality"] in ("original", "good") else f" [{result['quality']}]"
    return f"{result['timestamp'][11:19]} {result['speaker_name']}: {result['translation']}{doubt}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write down what is said in a room.")
    parser.add_argument("--room", default="main")
    parser.add_argument("--listen", default="eng", metavar="LANG", help="language of the minutes, default eng")
    parser.add_argument("--url", default="http://localhost:9000", help="server or invitation link")
    arguments = parser.parse_args()
    try:
        asyncio.run(keep_minutes(arguments.url, arguments.room, arguments.listen, lambda text: print(text, flush=True)))
    except client.RefusedError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
