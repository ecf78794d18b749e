"""What the HTTP routes of a room share: who may use them, and how they say that something went wrong."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter, ValidationError

from babblefish.errors import (
    BabbleFishError,
    InvalidMessageError,
    NobodyHereError,
    NoRecordError,
    NotAllowedError,
    NotReadyError,
    NotYoursError,
    OverloadedError,
    RestartingError,
    SetupError,
    TooFastError,
    UnknownLanguageError,
    UnknownSpeakerError,
)
from babblefish.server.access import Admission
from babblefish.server.routes import address_of, bearer_of
from babblefish.server.server import Server
from babblefish.wire.client_messages import Identifier

_STATUS: dict[type[BabbleFishError], int] = {
    InvalidMessageError: 400,
    UnknownLanguageError: 400,
    NotAllowedError: 403,
    NoRecordError: 404,
    UnknownSpeakerError: 404,
    NotYoursError: 409,
    NobodyHereError: 404,
    OverloadedError: 429,
    TooFastError: 429,
    NotReadyError: 503,
    RestartingError: 503,
    SetupError: 503,
}

_ROOM: TypeAdapter[str] = TypeAdapter(Identifier)


def checked_room(room: str) -> str:
    """Check a room's name.

    Raises:
        InvalidMessageError: No room can have it.
    """
    try:
        return _ROOM.validate_python(room)
    except ValidationError:
        raise InvalidMessageError("no room can have this name") from None


def check_origin(server: Server, request: Request) -> None:
    """Check where a request comes from, and count it as a message of its address.

    Raises:
        NotAllowedError: It is made by a page of another site.
        TooFastError: Its address sends too much.
    """
    server.sites.check(request.headers.get("host"), request.headers.get("origin"))
    server.limits.of(address_of(request)).take("")


async def admit(server: Server, request: Request, room: str) -> Admission:
    """Let the sender of a request into a room, as it would be let in to join.

    Raises:
        NotAllowedError: Its token does not open the room.
        TooFastError: Too many attempts from its address have just failed.
    """
    token, from_file = bearer_of(request), server.sites.is_file(request.headers.get("origin"))
    address = server.limits.of(address_of(request))
    attempts = address.joining_from_files if from_file else address.joining
    return await attempts.make(lambda: server.access.admit(token, room, from_file))


async def body_of(request: Request, most_bytes: int) -> bytes:
    """Read a request's body.

    Raises:
        InvalidMessageError: It is too long; the rest of it is not read.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise InvalidMessageError(f"the body is longer than {most_bytes} bytes")
    return bytes(body)


def refusal(error: BabbleFishError) -> Response:
    """Return an error as an answer."""
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    return JSONResponse({"code": error.code, "message": error.message}, status, {"Cache-Control": "no-store"})
