"""Addresses to open, the QR code in the terminal, and the page for a projector."""

from __future__ import annotations

import json
import re
import socket
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import segno
import zxingcpp

from babblefish.server import addresses, invitation, routes
from babblefish.server.addresses import Machine, names_of
from babblefish.settings import Settings
from babblefish.wire import client_messages
from tests.support.fakes import Fakes
from tests.support.serving import Running, serving, serving_on_a_port

MACHINE = Machine(("kitchen.local", "kitchen"), (ip_address("192.168.1.20"), ip_address("fd00::7")))


def read_terminal(drawn: str) -> str:
    """Read a code of half blocks as a camera would: white where the terminal's foreground is."""
    lines = re.sub(r"\033\[[0-9;]*m", "", drawn).splitlines()
    light = {" ": (0, 0), "▀": (255, 0), "▄": (0, 255), "█": (255, 255)}
    rows = [[light[block][half] for block in line] for line in lines for half in (0, 1)]
    found = zxingcpp.read_barcode(np.kron(np.array(rows, np.uint8), np.ones((4, 4), np.uint8)), try_invert=False)
    assert found is not None
    return str(found.text)


@pytest.mark.parametrize(
    ("host", "hosts"),
    [
        ("0.0.0.0", ["192.168.1.20", "kitchen.local", "kitchen", "localhost"]),
        ("::", ["192.168.1.20", "[fd00::7]", "kitchen.local", "kitchen", "localhost"]),
        ("127.0.0.1", ["127.0.0.1"]),
        ("fd00::7", ["[fd00::7]"]),
    ],
)
def test_the_addresses_are_those_the_server_listens_on_the_best_one_first(host: str, hosts: list[str]) -> None:
    assert invitation.bases(host, 9000, True, MACHINE) == [f"https://{one}:9000/" for one in hosts]


def test_a_machine_without_a_network_is_opened_by_name() -> None:
    assert invitation.bases("0.0.0.0", 9000, False, Machine((), ())) == ["http://localhost:9000/"]


def test_the_banner_has_every_address_and_a_code_that_a_camera_reads() -> None:
    opened_at = invitation.bases("0.0.0.0", 9000, True, MACHINE)
    shown = invitation.banner(opened_at, with_code=True)
    assert [base for base in opened_at if base not in shown] == []
    assert "https://192.168.1.20:9000/join" in shown
    code = "\n".join(line for line in shown.splitlines() if line.startswith("\033["))
    assert read_terminal(code) == "https://192.168.1.20:9000/?room=main"
    assert "\033" not in invitation.banner(opened_at, with_code=False)


def test_where_tokens_are_needed_the_banner_has_them_in_its_code_and_links() -> None:
    shown = invitation.banner(["https://192.168.1.20:9000/"], True, "abc.DEF-1_2", "admin.XYZ")
    code = "\n".join(line for line in shown.splitlines() if line.startswith("\033["))
    assert read_terminal(code) == "https://192.168.1.20:9000/?room=main#token=abc.DEF-1_2"
    assert "Scan to join: https://192.168.1.20:9000/?room=main#token=abc.DEF-1_2" in shown
    assert "https://192.168.1.20:9000/join?token=admin.XYZ" in shown
    without_code = invitation.banner(["https://192.168.1.20:9000/"], False, "abc.DEF-1_2", "admin.XYZ")
    assert "To join: https://192.168.1.20:9000/?room=main#token=abc.DEF-1_2" in without_code


def test_the_link_opens_the_room_that_a_client_joins_unless_told_otherwise() -> None:
    assert client_messages.Join().room == invitation.DEFAULT_ROOM


@pytest.mark.parametrize(
    ("host_name", "names"),
    [
        ("Kitchen", ("kitchen.local", "kitchen")),
        ("kitchen.local", ("kitchen.local",)),
        ("kitchen.example.org", ("kitchen.local", "kitchen.example.org")),
        ("localhost", ()),
        ("my_machine", ()),
        ("", ()),
    ],
)
def test_a_host_name_is_known_in_its_network_under_local(host_name: str, names: tuple[str, ...]) -> None:
    assert names_of(host_name) == names


def interface(*found: str) -> list[SimpleNamespace]:
    families = {4: socket.AF_INET, 6: socket.AF_INET6}
    mac = SimpleNamespace(family=socket.AF_PACKET, address="02:00:00:00:00:01")
    return [*(SimpleNamespace(family=families[ip_address(one).version], address=one) for one in found), mac]


def test_every_interface_is_found_and_none_that_only_this_machine_could_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    interfaces = {
        "lo": interface("127.0.0.1", "::1"),
        "eth0": interface("198.51.100.20", "2001:db8::1", "2001:db8::2", "fd00::7", "fe80::fc:ff:fe00:1%eth0"),
        "eth0:1": interface("198.51.100.21"),
        "wlan0": interface("203.0.113.7"),
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: interfaces)
    (tmp_path / "if_inet6").write_text(
        "20010db8000000000000000000000001 02 40 00 80     eth0\n"
        "20010db8000000000000000000000002 02 40 00 01     eth0\n"  # temporary
        "00000000000000000000000000000001 01 80 10 80       lo\n"
    )
    monkeypatch.setattr(addresses, "_IF_INET6", tmp_path / "if_inet6")
    found = addresses.this_machine().addresses
    expected = ("198.51.100.20", "198.51.100.21", "203.0.113.7", "2001:db8::1", "fd00::7")
    assert found[-5:] == tuple(map(ip_address, expected)), "IPv4 first, before them the one on the default route"
    assert not {one for one in found if one.is_loopback or one.is_link_local}
    assert len(set(found)) == len(found)


def test_without_the_kernels_table_of_ipv6_every_address_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"en0": interface("2001:db8::1")})
    monkeypatch.setattr(addresses, "_IF_INET6", tmp_path / "none")
    assert ip_address("2001:db8::1") in addresses.this_machine().addresses


async def page(running: Running, path: str = "/join", **headers: str) -> str:
    async with running.http(headers=headers) as http:
        response = await http.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    return response.text


def read_page(html: str) -> str:
    """Read the one code on a page, from the strokes it is drawn with."""
    (drawn,) = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    (link,) = re.findall(r"<title>(.*?)</title>", drawn)
    expected = segno.make_qr(link.replace("&amp;", "&"), error="m").svg_inline(
        border=4, dark="#000", light="#fff", omitsize=True, title=link, svgclass=None, lineclass=None
    )
    assert drawn == expected
    return str(link)


async def test_the_page_for_a_projector_shows_the_link_as_code_and_as_text(running: Running) -> None:
    html = await page(running, "/join?room=team-7", Host="192.168.1.20:9000")
    assert read_page(html) == "http://192.168.1.20:9000/?room=team-7"
    assert (
        '<a id="address" href="http://192.168.1.20:9000/?room=team-7">http://192.168.1.20:9000/?room=team-7</a>' in html
    )
    assert "<strong>team-7</strong>" in html


async def test_the_page_fetches_nothing_from_anywhere_else(running: Running) -> None:
    html = await page(running)
    assert re.findall(r"<script|<iframe|@import|url\(", html) == []
    assert re.findall(r"<(?:link|img)[^>]*(?:href|src)=\"([^\"]*)\"", html) == ["icon.svg"]


async def test_a_page_opened_on_the_server_itself_shows_an_address_that_others_can_open(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "this_machine", lambda: MACHINE)
    settings = Settings(log_level="error", host="0.0.0.0", access="off")
    async with serving(settings, fakes.engines) as running:
        html = await page(running)
    assert read_page(html) == f"http://192.168.1.20:{running.port}/?room=main"


async def test_the_page_says_what_keeps_the_phones_from_talking(fakes: Fakes) -> None:
    settings = Settings(
        log_level="error",
        access="off",
        allowed_hosts=("babblefish.example.org",),
        trusted_proxies=("127.0.0.1",),
    )
    async with serving_on_a_port(settings, fakes.engines) as running:
        assert "--tls auto" in await page(running, Host="192.168.1.20:9000")
        assert "--host 0.0.0.0" in await page(running)
        behind_a_proxy = await page(running, Host="babblefish.example.org", **{"X-Forwarded-Proto": "https"})
    assert "--tls auto" not in behind_a_proxy
    assert "--host" not in behind_a_proxy
    assert read_page(behind_a_proxy) == "https://babblefish.example.org/?room=main"


async def test_how_to_trust_the_certificate_is_shown_where_there_is_one_to_trust(
    tmp_path: Path, running: Running
) -> None:
    assert '<section id="trust" hidden>' in await page(running)
    html = invitation.page("https://192.168.1.20:9000/", "main", None, private_authority=True)
    assert '<section id="trust" >' in html
    assert 'href="https://192.168.1.20:9000/ca.crt"' in html


@pytest.mark.parametrize(
    ("accepted", "lang"),
    [
        ("fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        ("en;q=0.5, pl;q=0.9", "pl"),
        ("ja, zh-Hans-CN;q=0.9, de;q=0.1", "de"),
        ("eng, xx;q=nonsense, *", "en"),
        ("", "en"),
    ],
)
async def test_the_page_speaks_its_browsers_language_and_says_what_to_do_in_all_of_them(
    running: Running, accepted: str, lang: str
) -> None:
    html = await page(running, **{"Accept-Language": accepted})
    scan = {
        **{"en": "Scan to join", "fr": "Scannez pour participer", "pl": "Zeskanuj, aby dołączyć"},
        **{"es": "Escanea para entrar", "de": "Zum Mitmachen scannen", "it": "Inquadra per partecipare"},
        "pt": "Leia o código para entrar",
    }
    assert f'<html lang="{lang}">' in html
    assert f"<h1>{scan.pop(lang)}</h1>" in html
    assert [other for other, words in scan.items() if f'<li lang="{other}">{words}</li>' not in html] == []
    assert "${" not in html


async def test_what_a_stranger_writes_into_the_address_stays_text(running: Running) -> None:
    async with running.http() as http:
        answer = await http.get("/join", headers={"Host": '"><b>x</b>'})
        assert answer.status_code == 421
        assert "<b>x" not in answer.text
        assert (await http.get("/join?room=%3Cscript%3E")).status_code == 422


async def test_a_server_without_an_authority_says_so(running: Running) -> None:
    async with running.http() as http:
        assert (await http.get("/ca.crt")).status_code == 404


async def test_what_installing_the_page_takes_is_served_with_its_types(running: Running) -> None:
    async with running.http() as http:
        answer = await http.get("/manifest.webmanifest")
        assert answer.headers["content-type"] == "application/manifest+json"
        manifest = json.loads(answer.text)
        assert (manifest["display"], manifest["start_url"]) == ("standalone", "./")
        assert {"192x192", "512x512", "any"} == {icon["sizes"] for icon in manifest["icons"]}
        for icon in manifest["icons"]:
            image = await http.get(f"/{icon['src']}")
            assert image.status_code == 200
            assert image.headers["content-type"] == icon["type"]
            if icon["type"] == "image/png":
                width, height = np.frombuffer(image.content[16:24], ">u4")  # of the PNG's header
                assert icon["sizes"] == f"{width}x{height}"
