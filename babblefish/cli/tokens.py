"""The command ``babblefish token``: what lets people in, for those who give out links themselves."""

from __future__ import annotations

import argparse
from typing import Any

from pydantic import TypeAdapter

from babblefish.server import invitation
from babblefish.server.access import Access, server_key
from babblefish.settings import Settings
from babblefish.wire import client_messages


def add_to(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command."""
    token = commands.add_parser("token", help="print a token that lets people into a room, or the admin's")
    token.add_argument("--room", default=invitation.DEFAULT_ROOM, help="the room it opens (default main)")
    token.add_argument("--hours", type=float, help="how long it is good (default BABBLEFISH_LINK_HOURS, 12)")
    token.add_argument("--admin", action="store_true", help="the admin's, for the pages that only the admin may open")
    token.set_defaults(run=_print)


def _print(parsed: argparse.Namespace) -> None:
    settings = Settings() if parsed.hours is None else Settings(link_hours=parsed.hours)
    room = TypeAdapter(client_messages.Identifier).validate_python(parsed.room)
    access = Access(server_key(settings), settings.link_hours * 3600)
    print(access.admin_token if parsed.admin else access.join_token(room))
