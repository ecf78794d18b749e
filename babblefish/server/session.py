"""One socket: frames in, utterances to the room, messages out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from fastapi import WebSocket, WebSocketDisconnect

from babblefish.audio import pcm
from babblefish.audio.format_check import FormatCheck
from babblefish.audio.segmenter import Segment, Segmenter
from babblefish.conversation.enrolment import voice_id_of
from babblefish.conversation.members import Member
from babblefish.conversation.outbox import Outbox
from babblefish.conversation.room import Room
from babblefish.conversation.rooms import Rooms
from babblefish.domain import SAMPLE_RATE_HZ, Owner, Samples, Utterance, new_utterance_id
from babblefish.errors import (
    BabbleFishError,
    BadAudioError,
    GlossaryFullError,
    InvalidMessageError,
    NoSpeechError,
    OverloadedError,
    RestartingError,
    TooFastError,
    UtteranceTooShortError,
)
from babblefish.pipeline.pace import Pace
from babblefish.pipeline.workers import Workers
from babblefish.server.access import Admission
from babblefish.server.limits import AddressLimits
from babblefish.settings import Settings
from babblefish.wire import client_messages, server_messages

_log = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 2.0

_RESUMES_LIMIT = 4
"""Requests for what was missed that may wait; one for each connection is enough."""


@dataclass(frozen=True, slots=True)
class _Frame:
    data: bytes | str
    arrived_s: float

    @property
    def weight(self) -> int:
        """Bytes it counts for, its bookkeeping included."""
        return len(self.data) + 1024


class Session:
    """A client's connection from ``ready`` to its end.

    Four tasks: one reads frames into a bounded inbox (a full inbox stops reading, so that TCP slows the sender), one
    turns them into utterances and answers client messages in order of arrival, one writes the outbox, one sends what
    the client missed, which may still be in progress.
    """

    def __init__(
        self,
        websocket: WebSocket,
        join: client_messages.Join,
        client_id: str,
        admission: Admission,
        address: AddressLimits,
        rooms: Rooms,
        new_segmenter: Callable[[], Segmenter],
        workers: Workers,
        settings: Settings,
        pace: Pace,
    ) -> None:
        """Serve an accepted socket whose client may join."""
        self._websocket = websocket
        self._address = address
        self._workers = workers
        self._settings = settings
        self._pace = pace
        self._new_segmenter = new_segmenter
        self._segmenter = new_segmenter() if join.mode == "stream" else None
        self._pcm = pcm.Pcm16Stream()
        self._format_check: FormatCheck | None = FormatCheck(whole_frames=join.mode == "utterance")
        """None once the client has been told."""
        self._fed_samples = 0
        self._utterance_id = new_utterance_id()
        """Of what is being said, or will be said next."""
        self._inbox: asyncio.Queue[_Frame | None] = asyncio.Queue()
        self._inbox_bytes = 0
        self._inbox_drained = asyncio.Event()
        self._finishing = False
        self._heard_out = asyncio.Event()
        self._dismissed = asyncio.Event()
        self._resumes: asyncio.Queue[client_messages.Resume] = asyncio.Queue(_RESUMES_LIMIT)
        self._outbox = Outbox(settings.outbox_limit)
        self.member = Member(
            client_id=client_id,
            name=join.name,
            target_lang=join.target_lang,
            source_lang=join.source_lang,
            mode=join.mode,
            audio=join.audio,
            outbox=self._outbox,
            interpreting=join.interpreting or settings.interpreting,
            owner=Owner(address.owner, join.room, client_id),
            allowed_since_s=admission.allowed_since_s,
            is_admin=admission.claims is None,
            voice_ids={voice_id_of(token) for token in join.voice_tokens},
        )
        self._brought = join.terms
        self._rooms = rooms
        self.room: Room = rooms.open(join.room)
        self._attend()
        self.connected_at = datetime.now(UTC)

    async def run(self, ready: server_messages.Ready) -> None:
        """Serve the client until it goes, falls behind or the server stops."""
        self.member.send(ready)
        self.room.join(self.member)
        self._offer_terms()
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read())
                writing = tasks.create_task(self._write())
                watching = tasks.create_task(self._give_up_when_behind(reading))
                processing = tasks.create_task(self._process())
                replaying = tasks.create_task(self._replay())
                await asyncio.wait([reading])
                replaying.cancel()
                self.room.leave(self.member)
                self._inbox.put_nowait(None)
                await processing  # what it was saying still reaches the others
                writing.cancel()
                if self._outbox.overflowed.is_set():
                    await watching  # it is telling the client why
                watching.cancel()
        finally:
            self.room.leave(self.member)
            self._clauses.end()
            self._early.give_up()
            await self._interim.close()

    def _offer_terms(self) -> None:
        """Put the terms that the client brought into the room's glossary."""
        try:
            self.room.glossary.offer(self._brought)
        except GlossaryFullError as error:
            self.member.send(server_messages.error_message(error))

    async def enter(self) -> None:
        """Open the room again, as it may have been forgotten, being empty, while the handshake was answered.

        Its history is read from where it is stored, and no number is shown to the client that is not stored.
        """
        self.room = await self._rooms.settled(self.room.name)
        self._attend()

    def _attend(self) -> None:
        """Have what the client says followed in its room while it says it."""
        self._early = self.room.anticipate(self.member)
        self._clauses = self.room.interpret(self.member, self._early)
        self._interim = self.room.follow(self.member, self._clauses)

    def gone(self) -> None:
        """Let nobody wait for this session any longer."""
        self._heard_out.set()
        self._dismissed.set()

    async def finish(self) -> None:
        """Tell the client to come back later and take nothing more; returns when all it said is with the room."""
        self.member.send(
            server_messages.error_message(RestartingError("the server is restarting; reconnect in a moment"))
        )
        self._finishing = True
        self._inbox.put_nowait(None)
        await self._heard_out.wait()

    async def dismiss(self) -> None:
        """Close the connection once everything that is in the outbox has been sent."""
        self._outbox.end()
        await self._dismissed.wait()

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if self._finishing:
                continue
            data = message.get("bytes")
            frame = _Frame(data if data is not None else message["text"], time.monotonic())
            try:
                self._address.take(frame.data)
            except TooFastError as error:
                await self._refuse(error)
                return
            self._inbox_bytes += frame.weight
            self._inbox.put_nowait(frame)
            while self._inbox_bytes > self._settings.inbox_bytes:
                self._inbox_drained.clear()
                await self._inbox_drained.wait()

    async def _refuse(self, error: BabbleFishError) -> None:
        """Say why, past all that waits in the outbox, and close."""
        _log.warning("%s is disconnected: %s", self.member.client_id, error.code)
        with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._websocket.send_text(server_messages.encode(server_messages.error_message(error)))
                await self._websocket.close(server_messages.CLOSE_FULL, error.code)

    async def _write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it has gone; reading ends the session
            while (message := await self._outbox.get()) is not None:
                await self._websocket.send_text(message)
            await self._websocket.close(server_messages.CLOSE_RESTART, "the server is restarting")
        self._dismissed.set()

    async def _replay(self) -> None:
        while True:
            await self.room.replay(self.member, await self._resumes.get())

    async def _give_up_when_behind(self, reading: asyncio.Task[None]) -> None:
        await self._outbox.overflowed.wait()
        reading.cancel()
        _log.warning("%s is disconnected: it reads too slowly", self.member.client_id)
        with contextlib.suppress(TimeoutError, RuntimeError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._websocket.close(server_messages.CLOSE_FULL, "the client reads too slowly")

    async def _process(self) -> None:
        """Work through the inbox; when the client has gone, what it was saying still reaches the others."""
        while (frame := await self._next_frame()) is not None:
            try:
                if isinstance(frame.data, str):
                    await self._control(client_messages.parse_message(frame.data), frame.arrived_s)
                else:
                    await self._audio(frame.data, frame.arrived_s)
            except BabbleFishError as error:
                self._failed(error)
            self._inbox_bytes -= frame.weight
            self._inbox_drained.set()
            # Otherwise a burst of messages would be answered in one go and fill outboxes before they are written.
            await asyncio.sleep(0)
        if self._segmenter is not None:
            await self._end_speech(self._segmenter, time.monotonic())
        self._heard_out.set()

    def _failed(self, error: BabbleFishError) -> None:
        """Tell the client what went wrong with something that it sent."""
        self.room.recorder.failed(error.code)
        self.member.send(server_messages.error_message(error))

    async def _end_speech(self, segmenter: Segmenter, arrived_s: float) -> None:
        """End the utterance, as nothing more is heard of it."""
        try:
            await self._flush(segmenter, arrived_s)
        except BabbleFishError as error:
            self._failed(error)

    async def _next_frame(self) -> _Frame | None:
        """Wait for a frame; a stream that stops in the middle of an utterance has ended it."""
        while self._segmenter is not None and self._segmenter.in_speech:
            arrived_s = time.monotonic()
            try:
                return await asyncio.wait_for(self._inbox.get(), self._pace.stalled_s)
            except TimeoutError:
                await self._end_speech(self._segmenter, arrived_s)
        return await self._inbox.get()

    async def _audio(self, data: bytes, arrived_s: float) -> None:
        if self._format_check and (looks_like := self._format_check.feed(data, arrived_s)):
            self._format_check = None
            self._failed(BadAudioError(looks_like))
        if self._segmenter is None:
            samples = pcm.pcm16_to_float(data)
            self.room.recorder.audio(len(samples))
            await self._utterance(samples, arrived_s)
            return
        samples = self._pcm.feed(data)
        self.room.recorder.audio(len(samples))
        after_s = len(samples) / SAMPLE_RATE_HZ
        for second in pcm.by_second(samples):  # other clients wait for the threads
            segments = await self._workers.sockets.run(self._segmenter.feed, second, owner=self.member.owner)
            self._fed_samples += len(second)
            after_s -= len(second) / SAMPLE_RATE_HZ
            await self._submit(segments, arrived_s - after_s)
            if (clause := self._clauses.cut(self._segmenter)) is not None:
                await self._submit([clause], arrived_s - after_s, goes_on=True)
            self.room.presence.talking(self.member, self._segmenter.in_speech)
            self._clauses.hear(self._segmenter, partial(self._utterance_of, arrived_s=arrived_s - after_s))
            self._interim.hear(self._utterance_id, self._segmenter, self.room.audience.may_speak(self.member))

    async def _utterance(self, samples: Samples, arrived_s: float) -> None:
        """Take a frame that is a whole utterance; one that is too long for one is split at its pauses.

        Its pieces wait until there is room for them, and what the client sends next waits in the inbox meanwhile.
        """
        duration_s = len(samples) / SAMPLE_RATE_HZ
        if duration_s < self._settings.min_utterance_s:
            raise UtteranceTooShortError(f"{duration_s * 1000:.0f} ms of audio is too short for a word")
        if duration_s <= self._settings.max_utterance_s:
            self._begin(self._utterance_from(samples, arrived_s, None))
            return
        segmenter = self._new_segmenter()
        is_silent = True
        async for segment in self._pieces(segmenter, samples):
            is_silent = False
            for part in await self._early.by_voice(segment, self.member.owner):
                await self.room.utterances.has_room(self.member)
                self._begin(self._utterance_from(part.samples, arrived_s, part.speech_s, part.pauses))
        if is_silent:
            raise NoSpeechError("nobody speaks in this audio")

    async def _pieces(self, segmenter: Segmenter, samples: Samples) -> AsyncIterator[Segment]:
        """Cut audio at its pauses, no sooner than the pieces are asked for."""
        for second in pcm.by_second(samples):  # other clients wait for the threads
            for segment in await self._workers.sockets.run(segmenter.feed, second, owner=self.member.owner):
                yield segment
        for segment in await self._workers.sockets.run(segmenter.flush, owner=self.member.owner):
            yield segment

    async def _flush(self, segmenter: Segmenter, arrived_s: float) -> None:
        await self._submit(await self._workers.sockets.run(segmenter.flush, owner=self.member.owner), arrived_s)
        self.room.presence.talking(self.member, segmenter.in_speech)

    async def _submit(self, segments: list[Segment], arrived_s: float, goes_on: bool = False) -> None:
        for segment in segments:
            parts = await self._early.by_voice(segment, self.member.owner)
            for part in parts:
                if part.start_sample < self._pcm.recorded:
                    # while somebody speaks, late captions would be of no use
                    await self.room.utterances.has_room(self.member)
                self._begin(self._utterance_of(part, arrived_s), goes_on and part is parts[-1])

    def _utterance_of(self, segment: Segment, arrived_s: float) -> Utterance:
        """Return the utterance that a segment is, where the newest sample arrived at that time."""
        ended_ago_s = (self._fed_samples - segment.end_sample) / SAMPLE_RATE_HZ
        return self._utterance_from(segment.samples, arrived_s - ended_ago_s, segment.speech_s, segment.pauses)

    def _utterance_from(
        self, samples: Samples, ended_at_s: float, speech_s: float | None, pauses: tuple[int, ...] = ()
    ) -> Utterance:
        return Utterance(
            utterance_id=self._utterance_id,
            client_id=self.member.client_id,
            samples=samples,
            source_langs=self.room.audience.may_speak(self.member),
            ended_at_s=ended_at_s,
            speech_s=speech_s,
            owner=self.member.owner,
            pauses=pauses,
        )

    def _begin(self, utterance: Utterance, goes_on: bool = False) -> None:
        """Hand an utterance that has ended, or a clause of one that goes on, over to the room."""
        self._utterance_id = new_utterance_id()
        self._interim.end()
        self._clauses.end(goes_on)
        try:
            self.room.utterances.begin(utterance, self.member, self._early, goes_on)
        except OverloadedError as error:
            self.member.send(server_messages.error_message(error, utterance.utterance_id))

    def _say(self, message: client_messages.Say, arrived_s: float) -> None:
        try:
            self.room.utterances.say(message.text, message.lang, self.member, arrived_s)
        except OverloadedError as error:
            self.member.send(server_messages.error_message(error))

    async def _control(self, message: client_messages.ClientMessage, arrived_s: float) -> None:
        match message:
            case client_messages.Ping():
                self.member.send(server_messages.Pong())
            case client_messages.Flush():
                if self._segmenter is None:
                    raise InvalidMessageError("flush belongs to mode=stream; in this mode each frame is an utterance")
                await self._flush(self._segmenter, arrived_s)
            case client_messages.Say():
                self._say(message, arrived_s)
            case client_messages.Glossary():
                self.room.glossary.change([given.term for given in message.terms], message.remove)
            case client_messages.Resume():
                if self._resumes.full():
                    raise OverloadedError("the results you missed are already on their way")
                self._resumes.put_nowait(message)
            case client_messages.Played():
                self.room.recorder.played(message.utterance_id, self.member.client_id)
            case client_messages.Set():
                self._set(message)
            case _:
                await self._change_voice(message)

    async def _change_voice(self, message: client_messages.VoiceMessage) -> None:
        voices, member = self.room.voices, self.member
        match message:
            case client_messages.RenameSpeaker():
                voices.rename(message.speaker_id, message.name, member)
            case client_messages.MergeSpeakers():
                voices.merge(message.keep, message.drop, member)
            case client_messages.SplitSpeaker():
                voices.split(message.speaker_id, message.seq, member)
            case client_messages.ForgetSpeaker():
                await voices.forget(message.speaker_id, member)
            case client_messages.Enrol(consent=False):
                voices.stop_enrolling(member)
            case client_messages.Enrol():
                voices.enrol(member, message.name or member.name)

    def _set(self, message: client_messages.Set) -> None:
        member = self.member
        member.target_lang = message.target_lang or member.target_lang
        member.name = member.name if message.name is None else message.name
        member.audio = message.audio or member.audio
        member.source_lang = message.source_lang or member.source_lang
        member.interpreting = message.interpreting or member.interpreting
        member.send(
            server_messages.Settled(
                target_lang=member.target_lang,
                source_lang=member.source_lang,
                name=member.name,
                audio=member.audio,
                interpreting=member.interpreting,
            )
        )
        self.room.voices.member_is_called(member)
        self.room.languages_changed()
