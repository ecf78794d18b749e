"""Tokens and the key they are signed with."""

from __future__ import annotations

import hmac
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from babblefish.errors import NotAllowedError, SetupError
from babblefish.server import access, files
from babblefish.server.access import Access, access_of, server_key
from babblefish.settings import Settings
from tests.support.fakes import Clock

HOUR_S = 3600.0


@pytest.fixture
def gate(clock: Clock) -> Access:
    return Access(b"k" * 64, 12 * HOUR_S, clock)


def refusal(attempt: Callable[[], Any]) -> str:
    with pytest.raises(NotAllowedError) as caught:
        attempt()
    return caught.value.message


def test_a_link_opens_its_room_until_it_expires(gate: Access, clock: Clock) -> None:
    token = gate.join_token("kitchen")
    clock.now_s += 12 * HOUR_S - 1
    assert gate.admit(token, "kitchen").allowed_since_s == 1_800_000_000
    clock.now_s += 1
    refusal(lambda: gate.admit(token, "kitchen"))


def test_a_link_may_be_made_to_last_longer(gate: Access, clock: Clock) -> None:
    token = gate.join_token("kitchen", 24 * HOUR_S)
    clock.now_s += 23 * HOUR_S
    gate.admit(token, "kitchen")


def test_whoever_came_in_may_come_back_for_one_lifetime_more_and_no_longer(gate: Access, clock: Clock) -> None:
    token = gate.join_token("kitchen", HOUR_S)
    clock.now_s += HOUR_S - 1
    returning = gate.return_token(gate.admit(token, "kitchen"), "phone") or ""
    clock.now_s += 12 * HOUR_S
    again = gate.admit(returning, "kitchen")
    assert again.allowed_since_s == 1_800_000_000, "it is the same guest"
    assert again.client_id == "phone"
    once_more = gate.return_token(again, "phone") or ""
    clock.now_s += 1
    for late in (token, returning, once_more):
        refusal(lambda late=late: gate.admit(late, "kitchen"))


def test_everything_that_is_wrong_with_a_token_is_refused_in_the_same_words(gate: Access, clock: Clock) -> None:
    token = gate.join_token("kitchen")
    returning = gate.return_token(gate.admit(token, "kitchen"), "phone") or ""
    expired = gate.join_token("kitchen", 1)
    clock.now_s += 2
    claims, signature = token.rsplit(".", 1)
    wrong = {
        "none": "",
        "expired": expired,
        "of another key": Access(b"K" * 64, HOUR_S, clock).join_token("kitchen"),
        "the signature of another": f"{claims}.{gate.join_token('main').rsplit('.', 1)[1]}",
        "cut short": token[:-1],
        "without a signature": claims,
        "a signature alone": f".{signature}",
        "the admin's cookie": gate.admin_cookie(),
        "rubbish": "\x00\udcff €.?#",
        "endless": "A" * 100_000,
    }
    said = {what: refusal(lambda bad=bad: gate.admit(bad, "kitchen")) for what, bad in wrong.items()}
    said["of another room"] = refusal(lambda: gate.admit(token, "main"))
    said["returning to another room"] = refusal(lambda: gate.admit(returning, "main"))
    assert len(set(said.values())) == 1, said


def test_the_admin_may_enter_every_room_and_see_all_of_it(gate: Access, clock: Clock) -> None:
    clock.now_s += 1e9
    admission = gate.admit(gate.admin_token, "kitchen")
    assert admission == access.Admission(0.0, None)
    assert gate.return_token(admission, "phone") is None, "the admin's own token does not expire"


def test_what_opens_a_room_opens_nothing_of_the_admins(gate: Access, clock: Clock) -> None:
    token = gate.join_token("main")
    cookie = gate.admin_cookie()
    gate.check_admin(token=gate.admin_token)
    gate.check_admin(cookie=cookie)
    wrong: list[dict[str, str]] = [
        {},
        {"token": token},
        {"token": cookie},
        {"cookie": token},
        {"cookie": gate.admin_token},
        {"token": "admin"},
        {"token": "admin."},
        {"token": Access(b"K" * 64, HOUR_S).admin_token},
    ]
    said = {refusal(lambda given=given: gate.check_admin(**given)) for given in wrong}
    clock.now_s += 12 * HOUR_S
    said.add(refusal(lambda: gate.check_admin(cookie=cookie)))
    assert len(said) == 1


def test_the_admins_token_outlives_a_restart_and_ends_with_the_key() -> None:
    assert Access(b"k" * 64, 1).admin_token == Access(b"k" * 64, HOUR_S).admin_token
    assert Access(b"k" * 64, 1).admin_token != Access(b"K" * 64, 1).admin_token


def test_signatures_are_compared_in_constant_time(gate: Access, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """By letting the comparison that takes constant time say yes: were it not what decides, nothing would change."""
    forged = Access(b"K" * 64, HOUR_S, clock)
    refusal(lambda: gate.admit(forged.join_token("main"), "main"))
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: len(one) == len(other))
    gate.admit(forged.join_token("main"), "main")
    gate.check_admin(token=forged.admin_token)
    gate.check_admin(cookie=forged.admin_cookie())


def test_without_a_key_everybody_may_come_in() -> None:
    open_house = Access(None, HOUR_S)
    assert open_house.admit("", "main").allowed_since_s == 0
    open_house.check_admin()


def test_without_a_key_a_page_without_an_origin_needs_the_code_or_a_token() -> None:
    open_house = Access(None, HOUR_S)
    for wrong in ("", "0000", Access(None, HOUR_S).file_code):
        refusal(lambda wrong=wrong: open_house.admit(wrong, "main", from_file=True))
    admission = open_house.admit(open_house.file_code, "main", from_file=True)
    returning = open_house.return_token(admission, "phone") or ""
    assert open_house.admit(returning, "main", from_file=True).client_id == "phone"


def test_with_a_key_the_code_for_files_opens_nothing(gate: Access) -> None:
    refusal(lambda: gate.admit(gate.file_code, "main", from_file=True))


@pytest.mark.parametrize(
    ("given", "required"),
    [
        ({}, False),
        ({"host": "::1"}, False),
        ({"host": "localhost"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "::"}, True),
        ({"host": ""}, True),
        ({"host": "192.168.1.20"}, True),
        ({"host": "0.0.0.0", "access": "off"}, False),
        ({"access": "required"}, True),
        ({"allowed_hosts": ("babblefish.example.org",)}, True),
        ({"allowed_origins": ("https://example.org",)}, True),
        ({"trusted_proxies": ("127.0.0.1",)}, True),
        ({"allowed_hosts": ("babblefish.example.org",), "access": "off"}, False),
    ],
)
def test_only_a_server_for_this_machine_alone_asks_for_no_token(given: dict[str, Any], required: bool) -> None:
    assert access.is_required(Settings(**given)) is required


def test_to_be_open_to_others_without_tokens_is_a_loud_warning(caplog: pytest.LogCaptureFixture) -> None:
    access_of(Settings())
    assert caplog.text == ""
    access_of(Settings(host="0.0.0.0", access="off"))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "ACCESS CONTROL IS OFF" in record.message
    assert "--access required" in record.message


def test_a_server_without_need_of_a_key_makes_none(tmp_path: Path) -> None:
    access_of(Settings(state_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    key = server_key(settings)
    assert len(set(key)) > 8
    (file,) = (tmp_path / "state").iterdir()
    assert file.name == "server.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert server_key(settings) == key
    assert server_key(Settings(state_dir=tmp_path / "other")) != key


def test_no_half_written_key_is_ever_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", crash)
    with pytest.raises(SetupError, match="No space left"):
        server_key(Settings(state_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_of_two_servers_that_start_at_once_both_take_the_key_that_came_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = "ab" * 32
    fsync = files.os.fsync

    def overtaken(descriptor: int) -> None:
        fsync(descriptor)
        (tmp_path / "server.key").write_text(first)

    monkeypatch.setattr(files.os, "fsync", overtaken)
    assert server_key(Settings(state_dir=tmp_path)) == first.encode()
    assert [file.name for file in tmp_path.iterdir()] == ["server.key"]


@pytest.mark.parametrize("content", [b"", b"\n", b"ab" * 31, b"x" * 64, bytes(64), b"\xff" * 64])
def test_a_damaged_key_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "server.key").write_bytes(content)
    with pytest.raises(SetupError, match="is not a valid key"):
        server_key(Settings(state_dir=tmp_path))
    assert (tmp_path / "server.key").read_bytes() == content, "it may be mended yet"


def test_a_pipe_in_place_of_the_key_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "server.key")
    program = "import sys; from babblefish.settings import Settings; from babblefish.server.access import server_key\n"
    program += "server_key(Settings(state_dir=sys.argv[1]))"
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "not a regular file" in done.stderr


def test_a_key_of_ones_own_is_read_and_never_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "own.key"
    settings = Settings(state_dir=tmp_path / "state", key_file=file)
    with pytest.raises(SetupError, match="No such file"):
        server_key(settings)
    file.write_text("0123456789abcdef" * 4 + "\n")
    file.chmod(0o600)
    assert server_key(settings) == b"0123456789abcdef" * 4
    assert caplog.text == ""
    file.chmod(0o604)
    server_key(settings)
    assert f"chmod 600 {file}" in caplog.text
    assert not (tmp_path / "state").exists()


def test_a_folder_that_cannot_be_written_to_is_an_error_that_says_what_helps(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="BABBLEFISH_STATE_DIR"):
        server_key(Settings(state_dir=tmp_path / "file"))
