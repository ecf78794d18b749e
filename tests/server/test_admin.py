"""What is the admin's over HTTP, the invitation that lets people in, and the headers that browsers obey."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from babblefish.server.limits import RateLimits
from babblefish.server.middleware import SecurityMiddleware
from babblefish.server.sites import Sites
from babblefish.settings import Settings
from tests.server.test_invitation import read_page
from tests.support.fakes import Clock, Fakes
from tests.support.serving import Running, serving_on_a_port

ADMINS = ("/join", "/speakers")
EVERYBODYS = ("/", "/languages", "/healthz", "/readyz", "/manifest.webmanifest", "/icon.svg")


@pytest.fixture
async def http(house: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with house.http() as http:
        yield http


@pytest.mark.parametrize("path", ADMINS)
async def test_what_is_the_admins_takes_its_token(house: Running, http: httpx.AsyncClient, path: str) -> None:
    access = house.server.access
    wrong = [{}, {"Authorization": f"Bearer {access.join_token('main')}"}, {"Authorization": access.admin_token}]
    wrong += [{"Cookie": f"babblefish_admin={one}"} for one in ("", "x.y", access.admin_token)]
    answers = [await http.get(path, headers=headers) for headers in wrong]
    answers.append(await http.get(path, params={"token": access.join_token("main")}))
    assert {(one.status_code, one.text, one.headers["www-authenticate"]) for one in answers} == {
        (401, answers[0].text, "Bearer")
    }
    right = await http.get(path, headers={"Authorization": f"bearer {access.admin_token}"})
    assert right.status_code == 200


@pytest.mark.parametrize("path", EVERYBODYS)
async def test_what_the_page_needs_is_everybodys(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 200


async def test_where_access_is_off_nothing_is_asked_for(running: Running) -> None:
    async with running.http() as http:
        assert [(await http.get(path)).status_code for path in (*ADMINS, *EVERYBODYS)] == [200] * 8
        assert "token" not in read_page((await http.get("/join")).text)


async def test_a_link_with_the_admins_token_leaves_a_cookie_and_no_token_in_the_address(
    house: Running, http: httpx.AsyncClient
) -> None:
    answer = await http.get("/join", params={"room": "kitchen", "token": house.server.access.admin_token})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/join?room=kitchen"
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert house.server.access.admin_token not in cookie, "other ports of this host get to see it"
    assert answer.headers["cache-control"] == "no-store"
    page = await http.get(answer.headers["location"])
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert house.server.access.admin_token not in page.text
    assert (await http.get("/speakers")).status_code == 200


async def test_over_https_the_cookie_is_for_https_only(tmp_path: Path, fakes: Fakes) -> None:
    settings = Settings(access="required", state_dir=tmp_path, trusted_proxies=("127.0.0.1",), log_level="error")
    async with serving_on_a_port(settings, fakes.engines) as running, running.http() as http:
        query = {"token": running.server.access.admin_token}
        plain = await http.get("/join", params=query)
        secure = await http.get("/join", params=query, headers={"X-Forwarded-Proto": "https"})
    assert "Secure" not in plain.headers["set-cookie"]
    assert "Secure" in secure.headers["set-cookie"]


async def test_the_code_on_the_projector_lets_in_and_a_cookie_of_it_expires(
    house: Running, http: httpx.AsyncClient, clock: Clock
) -> None:
    await http.get("/join", params={"token": house.server.access.admin_token})
    link = read_page((await http.get("/join?room=team-7")).text)
    parts = urlsplit(link)
    assert (parts.path, parts.query) == ("/", "room=team-7")
    (token,) = parse_qs(parts.fragment)["token"]
    assert (await house.client(room="team-7", token=token)).of_type("ready")
    clock.now_s += 12 * 3600 + 2
    assert (await http.get("/join?room=team-7")).status_code == 401


async def test_failed_attempts_are_slowed_and_soon_not_looked_at(house: Running, http: httpx.AsyncClient) -> None:
    waited_s: list[float] = []

    async def sleep(delay_s: float) -> None:
        waited_s.append(delay_s)

    house.server.limits = RateLimits(house.server.settings, lambda: 1000.0, sleep)
    guess = {"Authorization": "Bearer guess"}
    for _ in range(3):
        assert (await http.get("/speakers", headers=guess)).status_code == 401
    assert (await http.get("/speakers")).status_code == 401
    assert waited_s == [0.1, 0.2, 0.4], "who shows nothing tries nothing"
    house.server.limits.of("127.0.0.1").administering.waiting = 8
    assert (await http.get("/speakers", headers=guess)).status_code == 429
    house.server.limits.of("127.0.0.1").administering.waiting = 0


async def test_a_log_at_info_has_no_token(
    tmp_path: Path, fakes: Fakes, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "httpx")  # the client's own log, which is not the server's
    caplog.set_level("INFO")
    settings = Settings(access="required", state_dir=tmp_path, log_level="info")
    async with serving_on_a_port(settings, fakes.engines) as running, running.http() as http:
        access = running.server.access
        secrets = [access.admin_token, access.join_token("main"), access.join_token("kitchen")]
        client = await running.client(token=secrets[1])
        secrets.append(client.messages[0]["token"])
        refused = await running.client(wait_ready=False, token=secrets[2])
        await refused.wait_for("error")
        assert (await http.get("/join", params={"token": secrets[0]})).status_code == 303
        assert (await http.get("/join", params={"token": secrets[1]})).status_code == 401
        secrets.append(str(http.cookies["babblefish_admin"]))
    told = caplog.text + "".join(capfd.readouterr())
    assert "joined room main" in told
    assert [secret for secret in secrets if secret in told] == []


@pytest.mark.parametrize("path", [*EVERYBODYS, *ADMINS, "/ca.crt", "/nowhere"])
async def test_every_answer_tells_browsers_to_be_careful(http: httpx.AsyncClient, path: str) -> None:
    headers = (await http.get(path, headers={"Accept": "text/html", "Origin": "https://elsewhere.example"})).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert "microphone=(self)" in headers["permissions-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert [name for name in headers if name.startswith("access-control-")] == []
    assert "strict-transport-security" not in headers


async def test_no_answer_says_what_software_sends_it(running_on_a_port: Running) -> None:
    async with running_on_a_port.http() as http:
        for path in (*EVERYBODYS, *ADMINS, "/ca.crt", "/nowhere"):
            assert "server" not in (await http.get(path)).headers


async def test_pages_bring_the_rest_of_their_policy_and_data_may_do_nothing(
    house: Running, http: httpx.AsyncClient
) -> None:
    admin = {"Authorization": f"Bearer {house.server.access.admin_token}", "Accept": "text/html"}
    for path in ("/", "/join"):
        page = await http.get(path, headers=admin)
        assert "default-src" not in page.headers["content-security-policy"]
        assert re.search(r"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'", page.text)
    assert "default-src 'none'" in (await http.get("/languages")).headers["content-security-policy"]


async def test_other_sites_are_answered_no_question_beforehand(http: httpx.AsyncClient) -> None:
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    answer = await http.request("OPTIONS", "/speakers", headers=headers)
    assert answer.status_code == 405
    assert [name for name in answer.headers if name.startswith("access-control-")] == []


async def test_a_name_the_server_does_not_go_by_is_not_answered_to(house: Running, http: httpx.AsyncClient) -> None:
    admin = {"Authorization": f"Bearer {house.server.access.admin_token}"}
    for path in (*EVERYBODYS, *ADMINS):
        answer = await http.get(path, headers={"Host": "rebound.example", **admin})
        assert answer.status_code == 421
        assert "BABBLEFISH_ALLOWED_HOSTS" in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await http.get(path, headers={"Host": "localhost:9000", **admin})).status_code == 200


@pytest.mark.parametrize(("proxies", "expected"), [((), "http://192.0.2.7/"), (("127.0.0.1",), "https://192.0.2.7/")])
async def test_a_proxy_is_believed_only_where_a_setting_names_it(
    tmp_path: Path, fakes: Fakes, proxies: tuple[str, ...], expected: str
) -> None:
    settings = Settings(access="off", trusted_proxies=proxies, log_level="error")
    async with serving_on_a_port(settings, fakes.engines) as running, running.http() as http:
        claimed = {"Host": "192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.9"}
        assert read_page((await http.get("/join", headers=claimed)).text) == f"{expected}?room=main"
        await http.get("/join", headers={**claimed, "Authorization": "Bearer x"})
        running.server.limits.of("198.51.100.9" if proxies else "127.0.0.1")
        assert len(running.server.limits) == 1, "another address was not heard of"


@pytest.mark.parametrize(
    ("given", "insists"),
    [
        ({}, False),
        ({"port": 443}, False),
        ({"port": 443, "tls": "auto"}, False),
        ({"tls_cert": "c", "tls_key": "k"}, False),
        ({"port": 443, "tls_cert": "c", "tls_key": "k"}, True),
    ],
)
async def test_browsers_are_told_to_insist_on_https_only_where_the_name_is_ours_alone(
    given: dict[str, object], insists: bool
) -> None:
    settings = Settings(**given)
    sent = []

    async def answer(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    guard = SecurityMiddleware(answer, Sites(settings, tuple), settings)
    await guard({"type": "http", "headers": [(b"host", b"localhost")]}, None, send)
    assert (b"strict-transport-security" in dict(sent[0]["headers"])) is insists
