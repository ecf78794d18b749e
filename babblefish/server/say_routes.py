"""The HTTP route by which a program says something in a room without joining it."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from babblefish.domain import Owner
from babblefish.errors import BabbleFishError, NobodyHereError
from babblefish.server.rest import admit, body_of, check_origin, checked_room, refusal
from babblefish.server.routes import address_of
from babblefish.server.server import Server
from babblefish.wire import client_messages

_MOST_BYTES = 16 * 1024
"""A thousand characters take a quarter of it, and twelve thousand bytes where JSON escapes all of them."""


def say_routes(server: Server) -> APIRouter:
    """Create the route for saying something."""
    router = APIRouter()

    @router.post("/rooms/{room}/say")
    async def say(request: Request, room: str) -> Response:
        try:
            utterance_ids = await _said(server, request, room)
        except BabbleFishError as error:
            server.recorder.failed(error.code)
            return refusal(error)
        return JSONResponse({"utterance_ids": utterance_ids}, 202, {"Cache-Control": "no-store"})

    return router


async def _said(server: Server, request: Request, name: str) -> list[str]:
    """Say in a room what a request says, and return the ids of its utterances.

    Raises:
        BabbleFishError: It cannot be said, or not by its sender.
    """
    arrived_s = time.monotonic()
    check_origin(server, request)
    checked_room(name)
    await admit(server, request, name)
    server.check_ready()
    remark = client_messages.parse_remark(await body_of(request, _MOST_BYTES))
    room = server.rooms.find(name) if server.rooms is not None else None
    if room is None or not room.audience.is_there:
        raise NobodyHereError("nobody is in this room")
    address = server.limits.of(address_of(request))
    guest = room.guest(remark.name, Owner(address.owner, name, address.guest_id))
    return room.utterances.say(remark.text, remark.lang, guest, arrived_s)
