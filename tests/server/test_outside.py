"""A server in conversation opens no connection to anywhere else: every attempt of its processes would be seen."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

import httpx
import psutil
import pytest

from babblefish.cli import demo
from babblefish.client import connect
from babblefish.server import addresses
from babblefish.server.access import Access, server_key
from babblefish.settings import Settings
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]

# Python runs this before anything else in every process it is started in, and tells every attempt, also a vain one.
HOOK = r"""
import json, os, sys

_NAMES = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
          "socket.gethostbyaddr", "socket.getnameinfo"}

def _hook(event, arguments):
    if event in _NAMES:
        first, *others = arguments
        kind = getattr(first, "type", None)
        target = first if kind is None else others[0]
        told = {"event": event, "kind": None if kind is None else kind.name, "target": repr(target)}
        host = target[0] if isinstance(target, tuple) else target
        told["host"] = host if isinstance(host, str) else None if host is None else repr(host)
        descriptor = os.open(os.environ["WATCH_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, (json.dumps(told) + "\n").encode())
        os.close(descriptor)

sys.addaudithook(_hook)
"""


def watched(folder: Path) -> dict[str, str]:
    """Return the environment of a process whose attempts are told to a file in a folder."""
    (folder / "sitecustomize.py").write_text(HOOK)
    path = os.pathsep.join([str(folder), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "WATCH_FILE": str(folder / "attempts")}


def is_outside(host: str | None) -> bool:
    """Tell whether a host is not this machine; a path of the machine's own is none."""
    if host is None or host.startswith(("/", "\0")) or host in ("", "localhost"):
        return False
    try:
        return not (ip_address(host).is_loopback or ip_address(host).is_unspecified)
    except ValueError:
        return True


def attempts(folder: Path) -> list[str]:
    """Return the attempts to reach somewhere else, but for the question which way a packet would take.

    ``addresses`` asks it by connecting a UDP socket to an address of the documentation range, which sends nothing.
    """
    file = folder / "attempts"
    told = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    way = {"event": "socket.connect", "kind": "SOCK_DGRAM", "target": repr(addresses._NOWHERE), "host": "192.0.2.1"}
    return [f"{one['event']} {one['target']}" for one in told if one != way and is_outside(one["host"])]


def connections(process: psutil.Process) -> set[str]:
    """Return where a process and those it has started are connected to, whatever language they are written in."""
    found = set()
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            for connection in one.net_connections(kind="inet"):
                host = connection.raddr.ip if connection.raddr else None
                asks_the_way = connection.type == socket.SOCK_DGRAM and host == addresses._NOWHERE[0]
                if is_outside(host) and not asks_the_way:
                    found.add(f"{one.name()} → {host}")
    return found


@asynccontextmanager
async def watching(process: psutil.Process) -> AsyncIterator[set[str]]:
    """Look at the sockets of a process some times a second; an attempt that nobody answers stands for longer."""
    seen: set[str] = set()

    async def look() -> None:
        while True:
            seen.update(await asyncio.to_thread(connections, process))
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


def test_the_watch_sees_every_kind_of_attempt_though_it_is_in_vain(tmp_path: Path) -> None:
    program = """if True:
        import asyncio, socket
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as one:
                one.settimeout(0.05)
                for attempt in (lambda: one.connect(("192.0.2.7", 443)), lambda: one.sendto(b"x", ("192.0.2.8", 53))):
                    try:
                        attempt()
                    except OSError:
                        pass
        try:
            asyncio.run(asyncio.wait_for(asyncio.open_connection("192.0.2.9", 443), 0.05))
        except (OSError, TimeoutError):
            pass
        try:
            socket.getaddrinfo("outside.invalid", 443)
        except OSError:
            pass
        with socket.create_server(("127.0.0.1", 0)) as own:
            socket.create_connection(own.getsockname()).close()
    """
    subprocess.run([sys.executable, "-c", program], env=watched(tmp_path), check=True, timeout=60)
    seen = attempts(tmp_path)
    for expected in (
        "socket.connect ('192.0.2.7', 443)",
        "socket.sendto ('192.0.2.8', 53)",
        "socket.connect ('192.0.2.9', 443)",
        "socket.getaddrinfo 'outside.invalid'",
    ):
        assert expected in seen
    assert "127.0.0.1" not in str(seen)


@pytest.fixture
def dialling_grandchild() -> Iterator[int]:
    """Yield the id of a process that has started another, which connects to 127.0.0.2 and stays connected."""
    with socket.create_server(("127.0.0.2", 0)) as listener:
        dialling = f"import socket, sys; s = socket.create_connection({listener.getsockname()!r}); sys.stdin.read()"
        starting = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {dialling!r}])"
        with subprocess.Popen([sys.executable, "-c", starting], stdin=subprocess.PIPE) as parent:
            yield parent.pid
            assert parent.stdin is not None
            parent.stdin.close()


async def test_the_watch_sees_the_sockets_of_processes_that_a_process_has_started(
    dialling_grandchild: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "is_outside", lambda host: host == "127.0.0.2")
    async with watching(psutil.Process(dialling_grandchild)) as seen:
        await until(lambda: bool(seen), 20)
    assert {one.partition(" → ")[2] for one in seen} == {"127.0.0.2"}


@asynccontextmanager
async def a_server(environment: dict[str, str]) -> AsyncIterator[tuple[str, psutil.Process]]:
    """Run the real server and return its address when its engines are warm."""
    command = [sys.executable, "-m", "babblefish.cli", "serve", "--port", "0", "--access", "required"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(120):
            base = None
            async for line in process.stderr:
                base = base or re.search(r"http://127\.0\.0\.1:\d+", line.decode())
                if b"ready: " in line:
                    break
        assert base is not None
        draining = asyncio.create_task(process.stderr.read())
        yield base.group(), psutil.Process(process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 30)
    await draining


@pytest.mark.slow
async def test_a_server_in_conversation_reaches_for_nothing_outside(tmp_path: Path) -> None:
    environment = watched(tmp_path) | {"BABBLEFISH_STATE_DIR": str(tmp_path), "BABBLEFISH_PROFILE": "embedded"}
    async with a_server(environment) as (base, process), watching(process) as seen, asyncio.timeout(120):
        key = server_key(Settings(state_dir=tmp_path))
        access = Access(key, 3600)
        async with httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {access.admin_token}"}) as http:
            for path in ("/", "/join", "/languages", "/speakers", "/readyz"):
                assert (await http.get(path, headers={"Accept": "text/html"})).status_code == 200
        token = access.join_token("main")
        joining = [
            connect(base, target_lang=lang, mode="stream", audio="stream", token=token) for lang in ("eng", "spa")
        ]
        async with joining[0] as first, joining[1] as second:
            await first.stream(demo.read_speech(demo.CARRIED_SPEECH), paced=True, silence_s=demo.TRAILING_SILENCE_S)
            for client in (first, second):
                (result,) = await client.wait_for("result", timeout_s=60)
                assert result["translation"]
                await client.wait_until(lambda client=client: client.of_type("speech")[-1:] != [], 60)
    assert attempts(tmp_path) == []
    assert seen == set()
    assert (tmp_path / "attempts").exists(), "the watch was on: the question of the way, at least"
