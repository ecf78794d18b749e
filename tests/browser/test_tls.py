"""The page over HTTPS in a real browser that trusts the server's private CA, under a name that is not localhost."""

from __future__ import annotations

import io
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
import zxingcpp
from playwright.sync_api import Browser, Error, Playwright, expect

from babblefish.server.access import Access
from babblefish.server.app import create_app, server_config
from babblefish.settings import Settings
from tests.support.browser import QUIET, browser_hearing, join, microphone_file, tone, wait_for_state
from tests.support.fakes import make_fakes

Image = pytest.importorskip("PIL.Image", reason="the full extra is not installed")

pytestmark = pytest.mark.slow

NAME = "babblefish-under-test"

LINK_THE_MANIFEST = """
document.head.append(Object.assign(document.createElement("link"), {rel: "manifest", href: "manifest.webmanifest"}))
"""


@dataclass
class Secure:
    """A server under a name of its own."""

    url: str
    port: int
    authority: Path
    access: Access


@contextmanager
def secure_server(state: Path, **settings: str) -> Iterator[Secure]:
    """Run the real application with scripted engines on the loopback interface."""
    app = create_app(Settings(log_level="warning", state_dir=state, **settings), make_fakes().engines)
    config = server_config(app, app.state.server.settings)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        port = listener.getsockname()[1]
        scheme = "https" if config.is_ssl else "http"
        try:
            yield Secure(f"{scheme}://{NAME}.local:{port}/", port, state / "tls" / "ca.crt", app.state.server.access)
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def browser_of_a_guest(playwright: Playwright, folder: Path, trusted: Path | None) -> Iterator[Browser]:
    """Run Chromium in a home of its own, whose store of authorities has one more if it is to trust it."""
    store = folder / ".pki" / "nssdb"
    store.mkdir(parents=True)
    certutil = ["certutil", "-d", f"sql:{store}"]
    subprocess.run([*certutil, "-N", "--empty-password"], check=True)
    if trusted is not None:
        subprocess.run([*certutil, "-A", "-n", "BabbleFish", "-t", "C,,", "-i", str(trusted)], check=True)
    wav = microphone_file(folder / "tone.wav", tone(1.0, 440, rate_hz=48_000), 48_000)
    flags = [f"--host-resolver-rules=MAP {NAME}.local 127.0.0.1"]
    with browser_hearing(playwright, wav, flags, home=folder) as browser:
        yield browser


@pytest.fixture(autouse=True)
def _a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: NAME)


def test_a_guest_who_trusts_the_authority_has_a_microphone_and_joins(playwright: Playwright, tmp_path: Path) -> None:
    with (
        secure_server(tmp_path / "state", tls="auto") as server,
        browser_of_a_guest(playwright, tmp_path / "home", server.authority) as browser,
    ):
        page = browser.new_page()
        sockets = list[str]()
        page.on("websocket", lambda one: sockets.append(one.url))
        page.goto(server.url)
        assert page.evaluate("isSecureContext")
        assert page.evaluate("navigator.mediaDevices.getUserMedia({audio: true}).then(s => s.getAudioTracks().length)")
        join(page)
        wait_for_state(page, *QUIET)
        assert sockets
        assert all(url.startswith(f"wss://{NAME}.local:{server.port}/") for url in sockets)


def test_a_guest_who_does_not_trust_it_is_warned(playwright: Playwright, tmp_path: Path) -> None:
    with (
        secure_server(tmp_path / "state", tls="auto") as server,
        browser_of_a_guest(playwright, tmp_path / "home", None) as browser,
        pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"),
    ):
        browser.new_page().goto(server.url)


def test_without_https_the_browser_keeps_the_microphone_back(playwright: Playwright, tmp_path: Path) -> None:
    with (
        secure_server(tmp_path / "state") as server,
        browser_of_a_guest(playwright, tmp_path / "home", None) as browser,
    ):
        page = browser.new_page()
        page.goto(server.url)
        assert not page.evaluate("isSecureContext")
        assert page.evaluate("navigator.mediaDevices === undefined")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1920, 1080), (390, 844)])
def test_a_camera_reads_the_code_of_the_projected_page(
    playwright: Playwright, tmp_path: Path, scheme: str, size: tuple[int, int]
) -> None:
    with (
        secure_server(tmp_path / "state", tls="auto") as server,
        browser_of_a_guest(playwright, tmp_path / "home", server.authority) as browser,
    ):
        view = {"width": size[0], "height": size[1]}
        page = browser.new_page(color_scheme=scheme, viewport=view)
        problems = list[str]()
        page.on("console", lambda message: problems.append(message.text))
        page.goto(f"{server.url}join?room=team-7")
        seen = Image.open(io.BytesIO(page.screenshot(path=tmp_path / "join.png")))
        found = zxingcpp.read_barcode(seen, try_invert=False)
        assert found is not None
        assert found.text == f"{server.url}?room=team-7"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert problems == []
        expect(page.get_by_role("link", name="ca.crt")).to_have_attribute("href", f"{server.url}ca.crt")
        page.goto(found.text)
        join(page)
        wait_for_state(page, *QUIET)
        expect(page.locator("#conversation")).to_contain_text("team-7")


@pytest.mark.parametrize("size", [(1920, 1080), (390, 844)])
def test_the_code_on_the_projected_page_lets_in_and_leaves_no_token_in_the_address(
    playwright: Playwright, tmp_path: Path, size: tuple[int, int]
) -> None:
    with (
        secure_server(tmp_path / "state", tls="auto", access="required") as server,
        browser_of_a_guest(playwright, tmp_path / "home", server.authority) as browser,
    ):
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        answer = page.goto(f"{server.url}join")
        assert answer is not None
        assert answer.status == 401
        page.goto(f"{server.url}join?room=team-7&token={server.access.admin_token}")
        assert page.url == f"{server.url}join?room=team-7"
        (cookie,) = page.context.cookies()
        assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")
        page.reload()
        found = zxingcpp.read_barcode(Image.open(io.BytesIO(page.screenshot())), try_invert=False)
        assert found is not None
        link, _, token = found.text.partition("#token=")
        assert link == f"{server.url}?room=team-7"
        claims = server.access.admit(token, "team-7").claims
        assert claims is not None
        assert claims[0] == "team-7"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_browser_accepts_the_manifest(playwright: Playwright, tmp_path: Path) -> None:
    with (
        secure_server(tmp_path / "state", tls="auto") as server,
        browser_of_a_guest(playwright, tmp_path / "home", server.authority) as browser,
    ):
        page = browser.new_context(bypass_csp=True).new_page()
        page.goto(f"{server.url}join")
        page.evaluate(LINK_THE_MANIFEST)
        found = page.context.new_cdp_session(page).send("Page.getAppManifest")
        assert found["errors"] == []
        assert found["url"] == f"{server.url}manifest.webmanifest"
        missing = page.context.new_cdp_session(page).send("Page.getInstallabilityErrors")["installabilityErrors"]
        assert [error["errorId"] for error in missing if error["errorId"] != "in-incognito"] == []
