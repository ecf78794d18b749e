"""HTTP routes for what a room has said: its members may read its record, and the admin may have it forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import chain

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from babblefish.conversation.passages import Readable
from babblefish.conversation.record import FORMATS, Record
from babblefish.conversation.rooms import Rooms
from babblefish.conversation.store_thread import StoreError
from babblefish.errors import BabbleFishError, InvalidMessageError, NoRecordError, NotAllowedError, NotReadyError
from babblefish.languages import language_code
from babblefish.server.rest import admit, check_origin, checked_room, refusal
from babblefish.server.routes import address_of, admin_cookie_of, bearer_of
from babblefish.server.server import Server

_FAILING = "the file with what was said cannot be read or written; try again later"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks for, and since when its sender might have been in the room."""

    room: str
    lang: str | None
    format: str
    since_s: float


def record_routes(server: Server) -> APIRouter:
    """Create the routes for a room's record."""
    router = APIRouter()

    @router.get("/rooms/{room}/transcript")
    async def transcript(request: Request, room: str, lang: str = "", format: str = "txt") -> Response:
        try:
            asked = await _asked(server, request, room, lang, format)
            written = await _written(server, asked)
        except BabbleFishError as error:
            return refusal(error)
        name = f"{room.replace(':', '_')}{f'.{asked.lang}' if asked.lang else ''}.{format}"
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(written, media_type=FORMATS[format].media_type, headers=headers)

    @router.delete("/rooms/{room}/transcript")
    async def forget(request: Request, room: str) -> Response:
        try:
            address = server.limits.of(address_of(request))
            await address.administering.make(lambda: server.access.check_admin(token=bearer_of(request)))
            rooms = await _rooms_with(server, checked_room(room))
            await rooms.forget(room)
        except StoreError:
            return refusal(NotReadyError(_FAILING))
        except BabbleFishError as error:
            return refusal(error)
        return Response(status_code=204)

    return router


async def _asked(server: Server, request: Request, room: str, lang: str, format_name: str) -> _Asked:
    """Read a request for a record, whose sender must be let into the room.

    Raises:
        BabbleFishError: It cannot be, or not by this sender.
    """
    check_origin(server, request)
    checked_room(room)
    since_s = 0.0
    if not _is_browsing_admin(server, request):
        since_s = (await admit(server, request, room)).allowed_since_s
    if format_name not in FORMATS:
        raise InvalidMessageError(f"the format is one of {', '.join(FORMATS)}")
    return _Asked(room, language_code(lang) if lang else None, format_name, since_s)


def _is_browsing_admin(server: Server, request: Request) -> bool:
    """Tell whether the admin's browser asks, which shows its cookie and no token."""
    cookie = admin_cookie_of(request)
    if not cookie or bearer_of(request):
        return False
    try:
        server.access.check_admin(cookie=cookie)
    except NotAllowedError:
        return False
    return True


async def _written(server: Server, asked: _Asked) -> AsyncIterator[str]:
    """Return a record, piece by piece.

    Raises:
        NoRecordError: There is none.
        NotReadyError: The engines are still loading, or the history's store fails.
    """
    rooms = await _rooms_with(server, asked.room)
    record = Record(asked.format, asked.room, asked.lang)
    readable: Readable[str] = Readable(asked.lang)

    async def write() -> AsyncIterator[str]:
        yield record.head()
        async for some in rooms.said_in(asked.room, asked.since_s):
            ready = chain.from_iterable(readable.add(entry, name) for entry, name in some)
            yield "".join(record.add(entry, name) for entry, name in ready)
        yield "".join(record.add(entry, name) for entry, name in readable.rest())
        yield record.tail()

    return write()


async def _rooms_with(server: Server, room: str) -> Rooms:
    """Return the server's rooms, of which this must be one.

    Raises:
        NoRecordError: There is none.
        NotReadyError: The engines are still loading, or the history's store fails.
    """
    if server.history_kept == "none":
        raise NoRecordError("this server keeps no history")
    if server.rooms is None:
        raise NotReadyError("the server is still loading; try again in a moment")
    try:
        if await server.rooms.have(room):
            return server.rooms
    except StoreError:
        raise NotReadyError(_FAILING) from None
    raise NoRecordError("there is no such room")
