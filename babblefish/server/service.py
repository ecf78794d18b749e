"""Running the server as a service: graceful shutdown, and notifications to the service manager."""

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
from babblefish.server.connections import raise_file_limit
from babblefish.server.server import Server
from babblefish.server.systemd import ServiceManager

_log = logging.getLogger(__name__)

_LOADING_S = 600.0
"""The first start of the full profile converts its model, which can take minutes on a slow disk, but not longer."""

_EXTEND_EVERY_S = 2.0
"""While the engines load, the service manager is asked for more time this often ..."""

_EXTEND_BY_S = 30
"""... and for this much."""


class DrainingServer(uvicorn.Server):
    """uvicorn, except that a signal first drains the server, and a second one ends the process at once."""

    def __init__(self, config: uvicorn.Config, server: Server, manager: ServiceManager) -> None:
        """Prepare to serve.

        Args:
            config: For the application.
            server: The application's state.
            manager: Gets the notifications.
        """
        super().__init__(config)
        self._server = server
        self._manager = manager

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal; unlike uvicorn, do not raise it again at the end, as a drained server ended well."""
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal arrives."""
        notifying = asyncio.create_task(self._notify())
        try:
            await super().serve(sockets)
        finally:
            notifying.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the utterances in progress while new clients are turned away, then close sockets and engines."""
        self._manager.notify(STOPPING=1, STATUS="shutting down: finishing utterances in progress")
        _log.info("shutting down: finishing utterances in progress; a second signal ends the server at once")
        await self._server.drain()
        await super().shutdown(sockets)

    async def _notify(self) -> None:
        await self._notify_while_loading()
        if self._server.failure is not None:
            self._manager.notify(STATUS=self._server.failure)
            # Started by hand, the server stays up to show the reason on its page; a service manager must see it fail.
            self.should_exit |= self._manager.is_present
            return
        self._manager.notify(READY=1, STATUS=self._status())
        if self._manager.watchdog_s is not None:
            await self._feed_watchdog(self._manager.watchdog_s)

    async def _notify_while_loading(self) -> None:
        give_up_s = time.monotonic() + _LOADING_S
        while not self._server.loaded.is_set():
            if time.monotonic() < give_up_s:
                self._manager.notify(STATUS="loading the engines", EXTEND_TIMEOUT_USEC=_EXTEND_BY_S * 1_000_000)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._server.loaded.wait(), _EXTEND_EVERY_S)

    async def _feed_watchdog(self, watchdog_s: float) -> None:
        """Report the server alive as long as the event loop runs and every worker makes progress."""
        reported = False
        while True:
            stalled = [worker.name for worker in self._server.runtime.workers if worker.stalled_s > watchdog_s / 2]
            if not stalled:
                self._manager.notify(WATCHDOG=1, STATUS=self._status())
            elif not reported:
                _log.critical("%s: no progress for %.0f s", ", ".join(stalled), watchdog_s / 2)
                self._manager.notify(STATUS=f"stalled: {', '.join(stalled)}")
            reported = bool(stalled)
            await asyncio.sleep(watchdog_s / 4)

    def _status(self) -> str:
        if self._server.draining:
            return "shutting down: finishing utterances in progress"
        if self._server.not_ready is not None:
            return f"not ready: {self._server.not_ready}"
        return f"ready, {self._server.runtime.profile.name} profile, {len(self._server.sessions)} clients"


def run(config: uvicorn.Config, server: Server, listener: socket.socket) -> int:
    """Serve on a bound socket until a signal ends it, and return the process's exit status.

    If a thread hangs in an engine, the process exits here with that status, as nothing else could end it.

    Args:
        config: From ``app.server_config``.
        server: The application's state.
        listener: Closed at the end.
    """
    raise_file_limit()
    faulthandler.enable()  # on a watchdog's SIGABRT the log gets every thread's stack
    manager = ServiceManager(os.environ)
    DrainingServer(config, server, manager).run([listener])
    status = os.EX_CONFIG if manager.is_present and server.failure is not None else os.EX_OK
    if workers.left_running():
        logging.shutdown()
        os._exit(status)
    return status
