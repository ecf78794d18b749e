"""HTTP routes for the voices that are kept: whose one is may export, bring and delete it, and so may the admin."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from babblefish.conversation.enrolment import new_voice_token, voice_id_of
from babblefish.conversation.rooms import Rooms
from babblefish.conversation.speakers import KnownSpeaker, SpeakerRecord
from babblefish.conversation.store_thread import StoreError
from babblefish.errors import BabbleFishError, InvalidMessageError, NotAllowedError, NotReadyError, UnknownSpeakerError
from babblefish.server.rest import admit, body_of, check_origin, checked_room, refusal
from babblefish.server.routes import address_of, bearer_of
from babblefish.server.server import Server
from babblefish.wire.client_messages import ExportedVoice, parse_brought_voice

_MOST_BYTES = 64 * 1024

_NO_STORE = {"Cache-Control": "no-store"}

_REFUSAL = "this takes the token of the voice, which was told when it was enrolled, or the admin's"


def voice_routes(server: Server) -> APIRouter:
    """Create the routes for voices."""
    router = APIRouter()

    @router.get("/rooms/{room}/voices")
    async def voices(request: Request, room: str) -> Response:
        return await _answered(_listed(server, request, room))

    @router.post("/rooms/{room}/voices")
    async def bring(request: Request, room: str) -> Response:
        return await _answered(_brought(server, request, room))

    @router.get("/rooms/{room}/voices/{voice}")
    async def export(request: Request, room: str, voice: str) -> Response:
        return await _answered(_exported(server, request, room, voice))

    @router.delete("/rooms/{room}/voices/{voice}")
    async def forget(request: Request, room: str, voice: str) -> Response:
        return await _answered(_forgotten(server, request, room, voice))

    return router


async def _answered(answer: Awaitable[Response]) -> Response:
    try:
        return await answer
    except StoreError:
        return refusal(NotReadyError("the file with the voices cannot be read or written; try again later"))
    except BabbleFishError as error:
        return refusal(error)


async def _listed(server: Server, request: Request, room: str) -> Response:
    check_origin(server, request)
    address = server.limits.of(address_of(request))
    await address.administering.make(lambda: server.access.check_admin(token=bearer_of(request)))
    kept = await _rooms(server).kept_voices(checked_room(room))
    shown = [_as_exported(room, encoder, record).model_dump(exclude={"embedding", "room"}) for encoder, record in kept]
    return JSONResponse({"voices": shown}, headers=_NO_STORE)


async def _exported(server: Server, request: Request, room: str, voice_id: str) -> Response:
    def is_admin(token: str) -> bool:  # where no tokens are required nobody is, as everybody would be
        return server.access.is_admin(token)

    encoder, record = await _found(server, request, room, voice_id, is_admin)
    headers = _NO_STORE | {"Content-Disposition": 'attachment; filename="voice.json"'}
    return JSONResponse(_as_exported(room, encoder, record).model_dump(), headers=headers)


async def _forgotten(server: Server, request: Request, room: str, voice_id: str) -> Response:
    def is_admin(token: str) -> bool:
        return not server.access.is_required or server.access.is_admin(token)

    _, record = await _found(server, request, room, voice_id, is_admin)
    voices = (await _rooms(server).settled(room)).voices
    voices.forget_stored(record)
    await voices.stored("it is forgotten, and will be deleted from the file as soon as that can be written")
    return Response(status_code=204)


async def _brought(server: Server, request: Request, name: str) -> Response:
    check_origin(server, request)
    checked_room(name)
    await admit(server, request, name)
    server.check_ready()
    voice = parse_brought_voice(await body_of(request, _MOST_BYTES)).voice
    room = await _rooms(server).settled(name)
    if voice.encoder != room.voices.encoder:
        raise InvalidMessageError(f"this voice was learnt by {voice.encoder[:60]}; here it is {room.voices.encoder}")
    token = new_voice_token()
    voice_id = voice_id_of(token)
    speaker_id = room.voices.bring(_record(voice, room.voices.dimensions), voice_id)
    await room.voices.stored("it is known here, but not stored, as the file cannot be written")
    told = {"speaker_id": speaker_id, "voice_id": voice_id, "voice_token": token, "stored": server.voices is not None}
    return JSONResponse(told, 201, _NO_STORE)


async def _found(
    server: Server, request: Request, room: str, voice_id: str, is_admin: Callable[[str], bool]
) -> tuple[str, SpeakerRecord]:
    """Return a voice that is kept, and its encoder, to whoever may have it.

    Raises:
        NotAllowedError: Whoever asks has neither its token nor the admin's.
        UnknownSpeakerError: There is none.
    """
    check_origin(server, request)
    checked_room(room)
    token = bearer_of(request)

    def check() -> None:
        is_theirs = hmac.compare_digest(voice_id_of(token).encode(), voice_id.encode())
        if not is_theirs and not is_admin(token):
            raise NotAllowedError(_REFUSAL)

    await server.limits.of(address_of(request)).administering.make(check)
    for encoder, record in await _rooms(server).kept_voices(room):
        if record.consent is not None and record.consent.voice_id == voice_id:
            return encoder, record
    raise UnknownSpeakerError("no such voice is kept in this room")


def _rooms(server: Server) -> Rooms:
    if server.rooms is None:
        raise NotReadyError("the server is still loading; try again in a moment")
    return server.rooms


def _as_exported(room: str, encoder: str, record: SpeakerRecord) -> ExportedVoice:
    assert record.consent is not None
    known = record.known
    return ExportedVoice(
        name=known.name,
        encoder=encoder,
        embedding=[float(number) for number in record.centroid],
        speech_s=record.speech_s,
        samples=known.samples,
        room=room,
        voice_id=record.consent.voice_id,
        speaker_id=known.speaker_id,
        agreed_at=_iso(record.consent.given_s),
        last_heard_at=_iso(known.last_heard_s),
    )


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")


def _record(voice: ExportedVoice, dimensions: int) -> SpeakerRecord:
    """Make of an exported voice what is known of one here.

    Raises:
        InvalidMessageError: Its embedding is none.
    """
    embedding: np.ndarray[Any, np.dtype[np.float64]] = np.array(voice.embedding)
    length = float(np.linalg.norm(embedding))
    if len(embedding) != dimensions or not np.isfinite(length) or abs(length - 1.0) > 0.01:
        raise InvalidMessageError(f"the embedding is not a unit vector of {dimensions} numbers")
    known = KnownSpeaker("", voice.name, voice.samples, time.time())
    centroid = np.asarray(embedding / length, dtype=np.float32)
    return SpeakerRecord(known, True, centroid, voice.speech_s, "", "", is_person=True)
