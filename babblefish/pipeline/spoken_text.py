"""The text of a caption on its way to a voice, which may begin before the text is complete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

_FIRST_WORDS = 3
"""A voice hurries over fewer words on their own."""

_UNSPACED_CHARACTERS = 12
"""The same for text without spaces between words."""


class SpokenText:
    """What is to be spoken in one language; grows while it is being translated, and is read once."""

    def __init__(self, lang: str, text: str | None = None) -> None:
        """Begin with nothing, or with all of it.

        Args:
            lang: ISO 639-3.
            text: Complete, where it is known already.
        """
        self.lang = lang
        self.so_far = text or ""
        self._taken = ""
        self._complete = text is not None
        self._changed = asyncio.Event()
        self._changed.set()

    def grow(self, so_far: str) -> None:
        """Take what is finished of the text; clauses that come too late to be the beginning of it are left out."""
        if so_far.startswith(self._taken):
            self.so_far = so_far
            self._changed.set()

    def complete(self, text: str) -> bool:
        """Take the whole text, and say whether it begins with what has been taken from it to be spoken."""
        if not text.startswith(self._taken):
            return False
        self.so_far = text
        self._complete = True
        self._changed.set()
        return True

    async def stretches(self) -> AsyncIterator[str]:
        """Yield the text from its beginning to its end, each time as much as there is."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            complete = self._complete
            stretch = self.so_far[len(self._taken) :]
            if stretch.strip() and (complete or _suffices(stretch)):
                self._taken = self.so_far
                yield stretch.strip()
            if complete:
                return


def _suffices(stretch: str) -> bool:
    words = stretch.split()
    return len(words) >= _FIRST_WORDS or (len(words) == 1 and len(stretch) >= _UNSPACED_CHARACTERS)
