"""Running the server as a service: an end that loses nothing, and a service manager that knows how it is."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import os
import socket
import time
from types import FrameType

import uvicorn

from babblefish.pipeline import workers
from babblefish.server.server import Server
from babblefish.server.systemd import ServiceManager

_log = logging.getLogger(__name__)

_LOADING_S = 600.0
"""The first start of the full profile converts its model, which may take minutes on a slow disk; longer is a fault."""

_SAY_AGAIN_S = 2.0
"""While the engines load, the service manager is asked this often for more time ..."""

_MORE_TIME_S = 30
"""... and for this much of it."""


class Service(uvicorn.Server):
    """uvicorn, but a signal first has the server finish what was said, and a second one ends the process at once."""

    def __init__(self, config: uvicorn.Config, server: Server, manager: ServiceManager) -> None:
        """Prepare to serve.

        Args:
            config: Of an application ...
            server: ... whose state this is.
            manager: Is told.
        """
        super().__init__(config)
        self._server = server
        self._manager = manager

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal; unlike uvicorn, do not raise it again at the end, as a drained server ended well."""
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal comes."""
        telling = asyncio.create_task(self._tell())
        try:
            await super().serve(sockets)
        finally:
            telling.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: first what was said, while newcomers are told to come back, then the sockets and the engines."""
        self._manager.tell(STOPPING=1, STATUS="finishing what was said")
        _log.info("finishing what was said; a second signal ends the server at once")
        await self._server.drain()
        await super().shutdown(sockets)

    async def _tell(self) -> None:
        await self._tell_loading()
        if self._server.failure is not None:
            self._manager.tell(STATUS=self._server.failure)
            # People who start it themselves find the reason on the page; a manager must not take this for a service.
            self.should_exit |= self._manager.is_there
            return
        self._manager.tell(READY=1, STATUS=self._status())
        if self._manager.watchdog_s is not None:
            await self._feed_watchdog(self._manager.watchdog_s)

    async def _tell_loading(self) -> None:
        give_up_s = time.monotonic() + _LOADING_S
        while not self._server.loaded.is_set():
            if time.monotonic() < give_up_s:
                self._manager.tell(STATUS="loading the engines", EXTEND_TIMEOUT_USEC=_MORE_TIME_S * 1_000_000)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._server.loaded.wait(), _SAY_AGAIN_S)

    async def _feed_watchdog(self, watchdog_s: float) -> None:
        """Say that the server works as long as the event loop turns and every worker gets on with its work."""
        reported = False
        while True:
            stalled = [worker.name for worker in self._server.workers if worker.stalled_s > watchdog_s / 2]
            if not stalled:
                self._manager.tell(WATCHDOG=1, STATUS=self._status())
            elif not reported:
                _log.critical("%s: no progress for %.0f s", ", ".join(stalled), watchdog_s / 2)
                self._manager.tell(STATUS=f"hangs: {', '.join(stalled)}")
            reported = bool(stalled)
            await asyncio.sleep(watchdog_s / 4)

    def _status(self) -> str:
        if self._server.draining:
            return "finishing what was said"
        return f"ready, {self._server.profile.name} profile, {len(self._server.sessions)} clients"


def run(config: uvicorn.Config, server: Server, listener: socket.socket) -> int:
    """Serve on a bound socket until a signal ends it, and return the process's exit status.

    A thread that hangs in an engine ends the process here, with that status, as nothing else could.

    Args:
        config: As ``app.server_config`` makes it.
        server: The state of its application.
        listener: Is closed at the end.
    """
    faulthandler.enable()  # a watchdog's SIGABRT leaves in the log where every thread was
    manager = ServiceManager(os.environ)
    Service(config, server, manager).run([listener])
    status = os.EX_CONFIG if manager.is_there and server.failure is not None else os.EX_OK
    if workers.left_running():
        logging.shutdown()
        os._exit(status)
    return status
