"""Names the server goes by, and sites whose pages may talk to it."""

from __future__ import annotations

import socket

import pytest

from babblefish.errors import NotAllowedError
from babblefish.server.sites import Sites
from babblefish.settings import Settings

HOSTS = ("babble.example.org", "*.example.net")


@pytest.fixture
def sites(monkeypatch: pytest.MonkeyPatch) -> Sites:
    monkeypatch.setattr(socket, "gethostname", lambda: "Kitchen.home.arpa")
    settings = Settings(allowed_hosts=HOSTS, allowed_origins=("https://example.org:8443",))
    return Sites(settings, lambda: ("certified.example.com", "*.certified.example.com"))


@pytest.mark.parametrize(
    "host",
    [
        "localhost:9000",
        "LocalHost",
        "127.0.0.1:9000",
        "192.168.1.20",
        "[::1]:9000",
        "[2001:db8::7]",
        "kitchen.local:9000",
        "kitchen.home.arpa",
        "babble.example.org.",
        "a.example.net:443",
        "certified.example.com",
        "a.certified.example.com",
    ],
)
def test_the_server_goes_by_its_names_and_every_address(sites: Sites, host: str) -> None:
    assert sites.answers_to(host)
    sites.check(host, None)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        ":9000",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "example.net",
        "a.b.example.net",
        "babble.example.org@evil.example",
        "[::1",
        '"><b>x</b>',
        "192.168.1.300",
    ],
)
def test_a_name_that_is_not_its_own_is_not_answered_to(sites: Sites, host: str | None) -> None:
    assert not sites.answers_to(host)
    with pytest.raises(NotAllowedError):
        sites.check(host, None)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:9000", None),
        ("127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("babble.example.org", "https://babble.example.org"),
        ("127.0.0.1:9000", "https://example.org:8443"),
        ("127.0.0.1:9000", "null"),
        ("127.0.0.1:9000", "file://"),
    ],
)
def test_its_own_pages_may_join_those_of_allowed_sites_and_files(sites: Sites, host: str, origin: str | None) -> None:
    sites.check(host, origin)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "http://evil.example",
        "http://127.0.0.1:9001",
        "http://127.0.0.1",
        "https://example.org",
        "http://example.org:8443",
        "https://example.org:8443.evil.example",
        "chrome-extension://127.0.0.1:9000",
        "file://127.0.0.1:9000",
        "NULL",
    ],
)
def test_pages_of_other_sites_may_not(sites: Sites, origin: str) -> None:
    with pytest.raises(NotAllowedError, match="other sites"):
        sites.check("127.0.0.1:9000", origin)
