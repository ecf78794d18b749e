"""What a service manager is told (sd_notify(3)): that the server is ready, that it works, that it ends."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

_log = logging.getLogger(__name__)


class ServiceManager:
    """The service manager that started this process; without one nobody is told anything."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Find it in the process's environment."""
        path = environment.get("NOTIFY_SOCKET", "")
        # An @ stands for the NUL that begins an address of Linux's abstract namespace (unix(7)).
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        is_meant = environment.get("WATCHDOG_PID") in (None, str(os.getpid()))
        usec = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if is_meant and usec.isdigit() and int(usec) else None
        """It restarts the server when it has not heard ``WATCHDOG=1`` for this long; None where it does not watch."""

    @property
    def is_there(self) -> bool:
        """Whether anybody is told."""
        return bool(self._address)

    def tell(self, **state: str | int) -> None:
        """Tell it variables, as in ``tell(READY=1, STATUS="ready")``; never waits, and what cannot be sent is lost."""
        if not self._address:
            return
        lines = [f"{name}={' '.join(str(value).splitlines())}" for name, value in state.items()]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            _log.warning("the service manager cannot be told %s: %s", ", ".join(state), error.strerror)
