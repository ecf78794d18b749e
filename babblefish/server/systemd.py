"""Notifications to the service manager (sd_notify(3)): the server is ready, alive, or stopping."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

_log = logging.getLogger(__name__)


class ServiceManager:
    """The service manager that started this process; without one, notifications go nowhere."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Find it from the process's environment."""
        path = environment.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the NUL byte of Linux's abstract socket namespace (unix(7)).
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        is_for_us = environment.get("WATCHDOG_PID") in (None, str(os.getpid()))
        usec = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if is_for_us and usec.isdigit() and int(usec) else None
        """It restarts the server after this long without ``WATCHDOG=1``; None if it does not watch."""

    @property
    def is_present(self) -> bool:
        """Whether a service manager listens."""
        return bool(self._address)

    def notify(self, **state: str | int) -> None:
        """Send variables, as in ``notify(READY=1, STATUS="ready")``; never blocks, and drops what cannot be sent."""
        if not self._address:
            return
        lines = [f"{name}={' '.join(str(value).splitlines())}" for name, value in state.items()]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            _log.warning("cannot notify the service manager of %s: %s", ", ".join(state), error.strerror)
