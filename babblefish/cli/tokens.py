"""The command ``babblefish token``: prints a token, for those who hand out links themselves."""

from __future__ import annotations

import argparse
from typing import Any

from pydantic import TypeAdapter

from babblefish.server import invitation
from babblefish.server.access import Access, server_key
from babblefish.settings import Settings
from babblefish.wire import client_messages


def add_to(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the subparsers of ``babblefish``."""
    token = commands.add_parser("token", help="print a token for joining a room, or the admin token")
    token.add_argument("--room", default=invitation.DEFAULT_ROOM, help="room that the token opens (default main)")
    token.add_argument("--hours", type=float, help="how long it is valid (default BABBLEFISH_LINK_HOURS, 12)")
    token.add_argument("--admin", action="store_true", help="print the admin token, which opens the admin pages")
    token.set_defaults(run=_print)


def _print(parsed: argparse.Namespace) -> None:
    settings = Settings() if parsed.hours is None else Settings(link_hours=parsed.hours)
    room = TypeAdapter(client_messages.Identifier).validate_python(parsed.room)
    access = Access(server_key(settings), settings.link_hours * 3600)
    print(access.admin_token if parsed.admin else access.join_token(room))
