"""A network between a browser and a server that can be cut, for tests of what happens to people without one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Network:
    """Carries bytes between a port of its own and a server's, on the loopback interface, while it is not cut.

    Attributes:
        port: Where the server is found through it.
    """

    def __init__(self, server_port: int) -> None:
        self.port = 0
        self._server_port = server_port
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._is_cut = False

    def cut(self) -> None:
        """Break every connection, and each new one, until ``mend``."""
        self._is_cut = True
        self._loop.call_soon_threadsafe(lambda: [writer.transport.abort() for writer in self._open])

    def mend(self) -> None:
        """Carry what comes from now on."""
        self._is_cut = False

    def run(self, ready: threading.Event) -> None:
        """Carry until ``stop``; blocks."""
        self._loop.run_until_complete(self._carry_all(ready))
        self._loop.close()

    def stop(self) -> None:
        """Break everything for good; may be called from any thread."""
        self.cut()
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def _carry_all(self, ready: threading.Event) -> None:
        self._stopped = asyncio.Event()
        async with await asyncio.start_server(self._carry, "127.0.0.1", 0) as listening:
            self.port = listening.sockets[0].getsockname()[1]
            ready.set()
            await self._stopped.wait()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            onward, outward = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, outward}
        self._open |= ends
        await asyncio.gather(_copy(reader, outward), _copy(onward, writer))
        self._open -= ends


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on one direction until either end is gone, then end the other."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@contextmanager
def network_to(server_port: int) -> Iterator[Network]:
    """Run a network in a thread until it is left."""
    network = Network(server_port)
    ready = threading.Event()
    thread = threading.Thread(target=network.run, args=(ready,))
    thread.start()
    ready.wait()
    try:
        yield network
    finally:
        network.stop()
        thread.join()
