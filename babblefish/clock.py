"""Unix time for what must stay in its order, whatever happens to the machine's clock."""

from __future__ import annotations

import time
from collections.abc import Callable


class SteadyClock:
    """Unix time that never goes back.

    Links and captions are compared by it: after the machine's clock was set back, what was said later would otherwise
    count as older than the link of those who heard it. It follows the machine's clock forwards, as when that was wrong
    at the start or the machine slept; where that goes back, it goes on as before until the process ends.
    """

    def __init__(self, unix_s: Callable[[], float], monotonic_s: Callable[[], float]) -> None:
        """Start at the machine's time.

        Args:
            unix_s: The machine's clock, which people and programs set.
            monotonic_s: What nobody sets.
        """
        self._unix_s = unix_s
        self._monotonic_s = monotonic_s
        self._offset_s = unix_s() - monotonic_s()

    def __call__(self) -> float:
        """Return the time, in seconds since 1970."""
        monotonic_s = self._monotonic_s()
        self._offset_s = max(self._offset_s, self._unix_s() - monotonic_s)
        return self._offset_s + monotonic_s


steady_unix_s = SteadyClock(time.time, time.monotonic)
"""The one of this process."""
