"""The server's state, apart from its sockets: engines and profile, workers, rooms, connected clients."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict, defaultdict
from collections.abc import Collection
from typing import Literal

from babblefish.conversation.glossary import read_glossary
from babblefish.conversation.history_file import HistoryFile
from babblefish.conversation.history_keeper import HistoryKeeper
from babblefish.conversation.room import Room
from babblefish.conversation.rooms import Rooms
from babblefish.conversation.voice_file import VoiceFile
from babblefish.conversation.voice_keeper import VoiceKeeper
from babblefish.domain import Quality
from babblefish.engines.contracts import Engines
from babblefish.errors import NotReadyError, RestartingError, ServerFullError, SetupError
from babblefish.languages import LANGUAGES, spoken
from babblefish.pipeline.pace import Pace
from babblefish.pipeline.pipeline import Pipeline
from babblefish.pipeline.routing import plan_captions
from babblefish.pipeline.runtime import Runtime
from babblefish.server.access import Admission, access_of
from babblefish.server.files import read_key
from babblefish.server.limits import AddressLimits, RateLimits
from babblefish.server.session import Session
from babblefish.server.sites import Sites
from babblefish.server.tls import certificate_of
from babblefish.settings import Settings
from babblefish.telemetry.prometheus import Metrics
from babblefish.telemetry.recorder import Recorder
from babblefish.wire import client_messages, server_messages

_log = logging.getLogger(__name__)

_IDS_REMEMBERED = 4096

VOICES_KEY_FILE = "voices.key"


class Server:
    """What the routes share: the engines once loaded, the rooms, the connected clients, access control."""

    def __init__(self, settings: Settings, engines: Engines | None = None, pace: Pace | None = None) -> None:
        """Prepare a server; given ``engines`` it is ready at once, otherwise ``load`` loads its profile's."""
        self.pace = pace or Pace()
        self.runtime = Runtime(settings, engines, self.pace)
        self.settings = settings = self.runtime.settings
        self.certificate = certificate_of(settings)
        self.access = access_of(settings)
        self.limits = RateLimits(settings)
        self.sites = Sites(settings, lambda: self.certificate.names if self.certificate else ())
        self._terms = read_glossary(settings.glossary_file) if settings.glossary_file else ()
        stored = settings.history_file if settings.retain else None
        self.keeper = HistoryKeeper(HistoryFile(stored), settings.history_keep_days) if stored is not None else None
        self.voices = _voice_keeper(settings)
        self.rooms: Rooms | None = None
        self.languages: list[server_messages.LanguageInfo] = []
        self.sessions: dict[str, Session] = {}
        self._ids: OrderedDict[str, None] = OrderedDict()
        """Those that were in use, the latest last."""
        self.failure: str | None = None
        self.recorder = Recorder(Metrics())
        self.loaded = asyncio.Event()
        self.draining = False
        if self.runtime.pipeline is not None:
            self._open_rooms(self.runtime.pipeline)

    async def load(self) -> None:
        """Load the profile's engines; if that fails, ``failure`` says why."""
        profile = self.runtime.profile.name
        try:
            pipeline = await self.runtime.load()
        except SetupError as error:
            self.failure = error.message
            self.loaded.set()
            _log.critical("the %s profile cannot start: %s", profile, self.failure)
            return
        self._open_rooms(pipeline)
        _log.info("ready: %s profile", profile)

    def _open_rooms(self, pipeline: Pipeline) -> None:
        self.languages = _languages(pipeline.engines)
        self.rooms = Rooms(pipeline, self.settings, self.recorder, self.pace, self._terms, self.keeper, self.voices)
        self.loaded.set()

    @property
    def is_ready(self) -> bool:
        """Whether a client may join."""
        return self.not_ready is None

    @property
    def not_ready(self) -> str | None:
        """Why no client may join now, or None."""
        if self.draining:
            return "restarting"
        if self.failure is not None:
            return self.failure
        if self.rooms is None:
            return "loading"
        return f"an engine hangs: {', '.join(self.runtime.hanging)}" if self.runtime.hanging else None

    @property
    def history_kept(self) -> Literal["file", "failing", "memory", "none"]:
        """Where what is said is kept; ``failing`` while it cannot be written to its file."""
        if self.keeper is not None:
            return "file" if self.keeper.problem is None else "failing"
        return "memory" if self.settings.retain and self.settings.history_limit else "none"

    @property
    def voices_kept(self) -> Literal["file", "failing", "memory", "none"]:
        """Where voices are kept; ``failing`` while those who agreed to it cannot be written to the file."""
        if self.voices is not None:
            return "file" if self.voices.problem is None else "failing"
        return "memory" if self.settings.retain else "none"

    def forget_unheard(self, before_s: float) -> None:
        """Forget the voices that are stored and were last heard before a Unix time, as the store does."""
        for room in self.rooms or ():
            room.voices.forget_unheard(before_s)

    async def drain(self) -> None:
        """Admit nobody, finish what was said until now, deliver it, and disconnect the clients room by room.

        It goes on for as long as an utterance may take, while the workers get on with it; where nothing is finished for
        ``drain_s``, the rest is dropped.
        """
        self.draining = True
        of_room: dict[Room, list[Session]] = defaultdict(list)
        for session in self.sessions.values():
            of_room[session.room].append(session)
        closing = {asyncio.create_task(_close_room(room, sessions)) for room, sessions in of_room.items()}
        await self._wait_while_they_get_on(closing)
        unfinished = [task for task in closing if not task.done()]
        if unfinished:
            _log.warning("dropping what is not finished in %d rooms", len(unfinished))
        for task in unfinished:
            task.cancel()
        for outcome in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(outcome, Exception):
                _log.error("unhandled error while a room shut down", exc_info=outcome)

    async def _wait_while_they_get_on(self, closing: Collection[asyncio.Task[None]]) -> None:
        """Wait for rooms to close, until the workers have finished nothing for a while or it has taken too long."""
        longest_s = self.settings.utterance_deadline_s + self.settings.drain_s
        give_up_s = time.monotonic() + longest_s
        finished = -1
        while not all(task.done() for task in closing):
            before, finished = finished, sum(worker.finished for worker in self.runtime.workers)
            left_s = give_up_s - time.monotonic()
            if finished == before or left_s <= 0:
                return
            await asyncio.wait(closing, timeout=min(self.settings.drain_s, left_s))

    async def close(self) -> None:
        """Cancel what is in progress and end the engines' processes and the threads, except those of a hanging call."""
        if self.rooms is not None:
            await self.rooms.close()
        if self.keeper is not None:
            await self.keeper.close()
        if self.voices is not None:
            await self.voices.close()
        await self.runtime.close()

    async def admit(
        self, join: client_messages.Join, token: str, address: AddressLimits, from_file: bool
    ) -> tuple[str, Admission]:
        """Admit a client that may join; its place must be taken before anything else is awaited.

        Args:
            join: What it asks for.
            token: That it shows.
            address: Where it comes from.
            from_file: Whether it is a page without an origin.

        Returns:
            Its client id, which is free in ``sessions``, and what it may see.

        Raises:
            NotAllowedError: The token does not open the room.
            TooFastError: Too many attempts from its address have just failed.
            RestartingError: The server is shutting down.
            SetupError: The engines could not be loaded.
            NotReadyError: They are still loading, or one of them does not answer.
            ServerFullError: Every place is taken.
        """
        attempts = address.joining_from_files if from_file else address.joining
        admission = await attempts.make(lambda: self.access.admit(token, join.room, from_file))
        self.check_ready()
        if len(self.sessions) >= self.settings.max_clients:
            raise ServerFullError(f"the server is full ({self.settings.max_clients} clients); try again later")
        in_room = sum(session.room.name == join.room for session in self.sessions.values())
        if in_room >= self.settings.members_per_room:
            raise ServerFullError(f"the room is full ({in_room} clients); try again later")
        return self._client_id(join.client_id, admission), admission

    def check_ready(self) -> None:
        """Check that what somebody says now would be served.

        Raises:
            RestartingError: The server is shutting down.
            SetupError: The engines could not be loaded.
            NotReadyError: They are still loading, or one of them does not answer.
        """
        if self.draining:
            raise RestartingError("the server is restarting; reconnect in a moment")
        if self.failure is not None:
            raise SetupError(self.failure)
        if self.rooms is None:
            raise NotReadyError("the server is still loading; try again in a moment")
        if self.runtime.hanging:
            raise NotReadyError("an engine does not answer; try again in a moment")

    def _client_id(self, wanted: str | None, admission: Admission) -> str:
        """Return the id that a client goes by, which is the one it wants if nobody else has had that.

        Everybody can read ids in the presence list, and a voice is looked for first where it was heard last. So an id
        that is in use is not handed over, as its owner may still be there, and one that was in use only to whoever
        comes back with the token that was issued for it.
        """
        is_free = wanted not in self.sessions and (wanted not in self._ids or admission.client_id == wanted)
        client_id = wanted if wanted and is_free else f"client_{secrets.token_hex(4)}"
        self._ids[client_id] = None
        self._ids.move_to_end(client_id)
        if len(self._ids) > _IDS_REMEMBERED:
            self._ids.popitem(last=False)
        return client_id


def _voice_keeper(settings: Settings) -> VoiceKeeper | None:
    """Return what keeps voices, with its key, which is made if there is none; None where none are to be stored.

    Raises:
        SetupError: The key cannot be read or made, or is not valid.
    """
    if settings.voices_file is None or not settings.retain:
        return None
    path = settings.voices_key_file or settings.state_dir / VOICES_KEY_FILE
    try:
        key = read_key(path, is_ours=settings.voices_key_file is None)
    except (OSError, ValueError) as error:
        raise SetupError(f"cannot read or create the key of the voices, {path}: {error}") from error
    return VoiceKeeper(VoiceFile(settings.voices_file, key), settings.voices_keep_days)


async def _close_room(room: Room, sessions: list[Session]) -> None:
    await asyncio.gather(*(session.finish() for session in sessions))
    await room.drain()
    await asyncio.gather(*(session.dismiss() for session in sessions))


def _languages(engines: Engines) -> list[server_messages.LanguageInfo]:
    """List every language, with the quality of captions translated to it from English (to English: from French)."""
    to_each = plan_captions("eng", LANGUAGES.keys() - {"eng"}, engines) | plan_captions("fra", ["eng"], engines)
    found = []
    for code, language in LANGUAGES.items():
        synthesizer = engines.synthesizer_for(code)
        found.append(
            server_messages.LanguageInfo(
                code=code,
                bcp47=language.bcp47,
                name=language.name,
                native_name=language.native_name,
                captions=to_each[code].quality if spoken(to_each[code].lang) == spoken(code) else Quality.UNTRANSLATED,
                voice=synthesizer.voices(code)[0].name if synthesizer else None,
            )
        )
    return sorted(found, key=lambda info: (info.captions == Quality.UNTRANSLATED, info.name))
