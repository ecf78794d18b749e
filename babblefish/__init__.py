"""Speech in one language becomes speech in each listener's language, for everyone in the room.

What other programs import from here: ``Interpreter`` to recognise, translate and speak without a server, ``create_app``
to serve, ``connect`` and ``Client`` to speak with a server, and ``Settings`` for all of that. Each is loaded when it is
first asked for, so importing the package itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babblefish.client import Client, connect
    from babblefish.pipeline.interpreter import Interpreter
    from babblefish.server.app import create_app
    from babblefish.settings import Settings

__version__ = "2.0.0"

__all__ = ["Client", "Interpreter", "Settings", "__version__", "connect", "create_app"]

_MODULES = {
    "Client": "babblefish.client",
    "Interpreter": "babblefish.pipeline.interpreter",
    "Settings": "babblefish.settings",
    "connect": "babblefish.client",
    "create_app": "babblefish.server.app",
}


def __getattr__(name: str) -> object:
    """Import what is asked for by name from the module that has it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
