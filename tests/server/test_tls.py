"""The private CA and its certificates, a certificate of one's own, and HTTPS as a client sees it."""

from __future__ import annotations

import datetime
import errno
import ipaddress
import json
import os
import ssl
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from websockets.asyncio.client import connect

from babblefish.errors import SetupError
from babblefish.server import tls
from babblefish.server.addresses import Machine
from babblefish.server.tls import Certificate, Chain, certificate_of, ensure
from babblefish.settings import Settings
from tests.support.fakes import Fakes
from tests.support.serving import serving_on_a_port
from tests.support.waiting import until

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
MACHINE = Machine(("kitchen.local", "kitchen"), (ipaddress.ip_address("192.168.1.20"),))


def certificate(chain: Chain) -> x509.Certificate:
    return x509.load_pem_x509_certificate(chain.certificate.read_bytes())


def authority(chain: Chain) -> x509.Certificate:
    assert chain.authority is not None
    return x509.load_pem_x509_certificate(chain.authority)


def named(chain: Chain) -> set[str]:
    alternative = certificate(chain).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in alternative}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_certificate_names_machine_and_addresses_for_a_year_that_phones_accept(tmp_path: Path) -> None:
    chain = ensure(tmp_path / "tls", MACHINE, NOW)
    made = certificate(chain)
    assert named(chain) == {"localhost", "kitchen.local", "kitchen", "127.0.0.1", "::1", "192.168.1.20"}
    assert made.not_valid_before_utc < NOW
    assert made.not_valid_after_utc - made.not_valid_before_utc <= 397 * DAY
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    made.verify_directly_issued_by(authority(chain))


def test_the_authority_certifies_servers_of_this_machine_only(tmp_path: Path) -> None:
    extensions = authority(ensure(tmp_path / "tls", MACHINE, NOW)).extensions
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    constraints = extensions.get_extension_for_class(x509.NameConstraints)
    assert {str(name.value) for name in constraints.value.permitted_subtrees or ()} == {
        *("localhost", "local", "kitchen", "kitchen.local")
    }


def test_whoever_steals_the_authority_cannot_pose_as_a_site_of_the_internet(tmp_path: Path) -> None:
    chain = ensure(tmp_path / "tls", MACHINE, NOW)
    server, thief = chain.certificate.read_bytes(), (tmp_path / "tls" / "authority.pem").read_bytes()
    stolen = serialization.load_pem_private_key(thief, None)
    assert isinstance(stolen, ec.EllipticCurvePrivateKey)
    honest = x509.load_pem_x509_certificate(server)
    for name in ("attic.local", "example.org"):
        builder = x509.CertificateBuilder(
            issuer_name=honest.issuer,
            subject_name=honest.subject,
            public_key=honest.public_key(),
            serial_number=1,
            not_valid_before=honest.not_valid_before_utc,
            not_valid_after=honest.not_valid_after_utc,
        )
        for extension in honest.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
            else:
                builder = builder.add_extension(extension.value, extension.critical)
        forged = builder.sign(stolen, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        (tmp_path / name).write_bytes(server[: server.index(b"-----BEGIN CERTIFICATE")] + forged)
    near, far = (
        Certificate(lambda _, name=name: Chain(tmp_path / name, tmp_path / name))
        for name in ("attic.local", "example.org")
    )
    assert presented(near.context, tmp_path / "tls" / "ca.crt", "attic.local")
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        presented(far.context, tmp_path / "tls" / "ca.crt", "example.org")


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "tls"
    ensure(folder, MACHINE, NOW)
    assert {path.name for path in folder.glob("[!.]*")} == {"authority.pem", "server.pem", "ca.crt"}
    assert [mode(folder.parent), mode(folder)] == [0o700, 0o700]
    assert [mode(folder / name) for name in ("authority.pem", "server.pem")] == [0o600, 0o600]
    assert b"PRIVATE" not in (folder / "ca.crt").read_bytes()


def test_a_certificate_that_does_is_kept(tmp_path: Path) -> None:
    first = certificate(ensure(tmp_path / "tls", MACHINE, NOW))
    without_network = replace(MACHINE, addresses=())
    assert certificate(ensure(tmp_path / "tls", without_network, NOW + 300 * DAY)) == first


def test_a_certificate_that_expires_within_a_month_is_renewed_and_the_authority_kept(tmp_path: Path) -> None:
    first = ensure(tmp_path / "tls", MACHINE, NOW)
    expires, trusted = certificate(first).not_valid_after_utc, authority(first)
    second = ensure(tmp_path / "tls", MACHINE, expires - 29 * DAY)
    assert certificate(second).not_valid_after_utc > expires + 300 * DAY
    assert authority(second) == trusted
    certificate(second).verify_directly_issued_by(trusted)


def test_a_new_address_gets_a_new_certificate_of_the_same_authority(tmp_path: Path) -> None:
    trusted = authority(ensure(tmp_path / "tls", MACHINE, NOW))
    moved = replace(MACHINE, addresses=(ipaddress.ip_address("10.0.0.7"), ipaddress.ip_address("fd00::7")))
    chain = ensure(tmp_path / "tls", moved, NOW)
    assert {"10.0.0.7", "fd00::7"} <= named(chain)
    assert authority(chain) == trusted


def test_a_renamed_machine_keeps_its_authority_and_is_certified_under_local(tmp_path: Path) -> None:
    trusted = authority(ensure(tmp_path / "tls", MACHINE, NOW))
    chain = ensure(tmp_path / "tls", replace(MACHINE, names=("attic.local", "attic")), NOW)
    assert "attic.local" in named(chain)
    assert "attic" not in named(chain), "the authority may not certify it"
    assert authority(chain) == trusted


def test_an_authority_is_replaced_before_its_certificates_outlive_it(tmp_path: Path) -> None:
    first = authority(ensure(tmp_path / "tls", MACHINE, NOW))
    chain = ensure(tmp_path / "tls", MACHINE, first.not_valid_after_utc - 300 * DAY)
    assert authority(chain) != first
    assert (tmp_path / "tls" / "ca.crt").read_bytes() == chain.authority
    certificate(chain).verify_directly_issued_by(authority(chain))


def test_a_certificate_of_an_authority_that_is_gone_is_made_anew(tmp_path: Path) -> None:
    first = authority(ensure(tmp_path / "tls", MACHINE, NOW))
    (tmp_path / "tls" / "authority.pem").unlink()
    chain = ensure(tmp_path / "tls", MACHINE, NOW)
    assert authority(chain) != first
    certificate(chain).verify_directly_issued_by(authority(chain))


@pytest.mark.parametrize("damage", [b"", b"not a certificate"])
def test_a_damaged_certificate_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    chain = ensure(tmp_path / "tls", MACHINE, NOW)
    chain.certificate.write_bytes(damage)
    certificate(ensure(tmp_path / "tls", MACHINE, NOW)).verify_directly_issued_by(authority(chain))


def test_a_damaged_authority_is_an_error_and_not_silently_another_one(tmp_path: Path) -> None:
    ensure(tmp_path / "tls", MACHINE, NOW)
    (tmp_path / "tls" / "authority.pem").write_text("gone")
    with pytest.raises(SetupError, match=r"damaged; run rm .*authority\.pem"):
        ensure(tmp_path / "tls", MACHINE, NOW)


def _read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the system refuse what a file system that is mounted read-only refuses."""
    real_open = os.open

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def opened(path: str, flags: int, mode: int = 0o777, **given: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            refuse()
        return real_open(path, flags, mode, **given)

    monkeypatch.setattr(tls.os, "open", opened)
    monkeypatch.setattr(tls.os, "chmod", refuse)


def test_a_certificate_that_does_is_read_from_a_read_only_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = certificate(ensure(tmp_path / "tls", MACHINE, NOW))
    _read_only(monkeypatch)
    assert certificate(ensure(tmp_path / "tls", MACHINE, NOW)) == first
    assert caplog.text == ""
    expires = first.not_valid_after_utc
    assert certificate(ensure(tmp_path / "tls", MACHINE, expires - DAY)) == first
    assert "keeping the one that is there" in caplog.text
    with pytest.raises(SetupError, match="Read-only file system"):
        ensure(tmp_path / "tls", MACHINE, expires + DAY)


def test_who_holds_the_lock_is_said_and_not_waited_for_without_end(tmp_path: Path) -> None:
    first = ensure(tmp_path / "tls", MACHINE, NOW)
    program = "import sys; from pathlib import Path; from babblefish.server.files import locked\n"
    program += "with locked(Path(sys.argv[1]), 0): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(tmp_path / "tls" / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert certificate(ensure(tmp_path / "tls", MACHINE, NOW)) == certificate(first), "there is nothing to write"
        first.certificate.unlink()
        with pytest.raises(SetupError, match=f"process {holder.pid} holds .*lock"):
            ensure(tmp_path / "tls", MACHINE, NOW)
        holder.communicate("")
    ensure(tmp_path / "tls", MACHINE, NOW)


@pytest.mark.parametrize("name", ["authority.pem", "server.pem", ".lock", "own"])
def test_a_pipe_in_place_of_a_file_is_never_waited_for(tmp_path: Path, name: str) -> None:
    cert, key = own(tmp_path)
    folder = tmp_path / "made"
    pipe = key if name == "own" else folder / name
    pipe.unlink()
    os.mkfifo(pipe)
    if name == ".lock":
        (folder / "server.pem").unlink()
    program = "import datetime, sys; from pathlib import Path; from babblefish.server.addresses import Machine\n"
    program += "from babblefish.settings import Settings; from babblefish.server.tls import certificate_of, ensure\n"
    program += (
        "certificate_of(Settings(tls_cert=sys.argv[1], tls_key=sys.argv[2]))"
        if name == "own"
        else "ensure(Path(sys.argv[3]), Machine((), ()), datetime.datetime.now(datetime.UTC))"
    )
    command = [sys.executable, "-c", program, str(cert), str(key), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if name == "server.pem":
        assert done.returncode == 0, "what is no certificate is replaced by one"
    else:
        assert "SetupError" in done.stderr
        assert "not a regular file" in done.stderr


def test_a_state_folder_that_cannot_be_is_one_line_with_the_setting_that_helps(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="BABBLEFISH_STATE_DIR"):
        certificate_of(Settings(tls="auto", state_dir=tmp_path / "file"))


def test_without_the_setting_there_is_no_certificate_and_no_file(tmp_path: Path) -> None:
    assert certificate_of(Settings(state_dir=tmp_path / "state")) is None
    assert not (tmp_path / "state").exists()


def own(folder: Path) -> tuple[Path, Path]:
    """A certificate and its key in two files, as other programs make them."""
    both = ensure(folder / "made", MACHINE, NOW).certificate
    key = serialization.load_pem_private_key(both.read_bytes(), None)
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    locked = key.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"secret"))
    (folder / "locked.pem").write_bytes(locked)
    certified = x509.load_pem_x509_certificate(both.read_bytes())
    (folder / "cert.pem").write_bytes(certified.public_bytes(serialization.Encoding.PEM))
    return folder / "cert.pem", folder / "key.pem"


def test_ones_own_certificate_goes_before_the_private_authority(tmp_path: Path) -> None:
    cert, key = own(tmp_path)
    found = certificate_of(Settings(tls="auto", tls_cert=cert, tls_key=key, state_dir=tmp_path / "state"))
    assert found is not None
    assert found.authority is None
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("cert", "key", "says"),
    [
        ("none.pem", "key.pem", "No such file"),
        ("cert.pem", "none.pem", "No such file"),
        ("key.pem", "key.pem", "cannot be used"),
        ("cert.pem", "other/server.pem", "key values mismatch"),
        ("cert.pem", "locked.pem", "not be encrypted"),
        ("cert.pem", None, "give both --tls-cert FILE and --tls-key FILE"),
        (None, "key.pem", "give both --tls-cert FILE and --tls-key FILE"),
    ],
)
def test_a_certificate_of_ones_own_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, cert: str | None, key: str | None, says: str
) -> None:
    own(tmp_path)
    ensure(tmp_path / "other", MACHINE, NOW)
    with pytest.raises(SetupError, match=says) as raised:
        certificate_of(Settings(tls_cert=tmp_path / cert if cert else None, tls_key=tmp_path / key if key else None))
    assert "\n" not in raised.value.message


def test_what_is_wrong_at_a_renewal_leaves_the_certificate_that_is_in_use(tmp_path: Path) -> None:
    cert, key = own(tmp_path)
    found = certificate_of(Settings(tls_cert=cert, tls_key=key))
    assert found is not None
    serving_before = presented(found.context, tmp_path / "made" / "ca.crt")
    cert.write_bytes(ensure(tmp_path / "other", MACHINE, NOW).authority or b"")
    with pytest.raises(SetupError):
        found.take(found.renewed())
    assert presented(found.context, tmp_path / "made" / "ca.crt") == serving_before


def presented(context: ssl.SSLContext, trusted: Path, name: str = "kitchen.local") -> bytes | None:
    """Shake hands in memory and return the certificate that a context shows, as a client that trusts a CA sees it."""
    strict = ssl.create_default_context(cafile=str(trusted))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = strict.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(5):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.getpeercert(binary_form=True)


async def test_a_running_server_speaks_https_and_takes_an_address_it_gets_later(
    tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = [MACHINE]
    monkeypatch.setattr(tls.addresses, "this_machine", lambda: machines[-1])
    settings = Settings(log_level="warning", tls="auto", state_dir=tmp_path)
    async with serving_on_a_port(settings, fakes.engines) as running:
        trusting = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.crt"))
        trusting.verify_flags |= ssl.VERIFY_X509_STRICT
        base = f"https://127.0.0.1:{running.port}"
        async with httpx.AsyncClient(verify=trusting) as http:
            assert (await http.get(f"{base}/readyz")).status_code == 200
            offered = await http.get(f"{base}/ca.crt")
            assert offered.headers["content-type"] == "application/x-x509-ca-cert"
            assert offered.content == (tmp_path / "tls" / "ca.crt").read_bytes()
        async with httpx.AsyncClient() as stranger:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.get(f"{base}/readyz")

        address = f"wss://127.0.0.1:{running.port}/ws/client"
        async with connect(address, ssl=trusting) as before:
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect(address, ssl=trusting, server_hostname="10.9.8.7")
            machines.append(replace(MACHINE, addresses=(ipaddress.ip_address("10.9.8.7"),)))
            assert running.server.certificate is not None
            running.server.certificate.take(running.server.certificate.renewed())
            async with connect(address, ssl=trusting, server_hostname="10.9.8.7") as after:
                assert json.loads(await after.recv())["type"] == "ready"
            assert json.loads(await before.recv())["type"] == "ready"


async def test_a_renewal_never_runs_on_the_event_loop(
    tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babblefish.server.app.CHECK_EVERY_S", 0.01)
    threads: set[int] = set()
    obtain = tls.ensure

    def watched(*given: Any) -> Chain:
        threads.add(threading.get_ident())
        return obtain(*given)

    async with serving_on_a_port(Settings(log_level="warning", tls="auto", state_dir=tmp_path), fakes.engines):
        monkeypatch.setattr(tls, "ensure", watched)
        await until(lambda: threads)
    assert threading.get_ident() not in threads


async def test_a_certificate_is_looked_after_while_the_server_runs(
    tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("babblefish.server.app.CHECK_EVERY_S", 0.01)
    cert, key = own(tmp_path)
    settings = Settings(log_level="warning", tls_cert=cert, tls_key=key)
    async with serving_on_a_port(settings, fakes.engines) as running:
        trusting = ssl.create_default_context(cafile=str(tmp_path / "made" / "ca.crt"))
        cert.write_text("half a file")
        await until(lambda: "keeping the current one" in caplog.text)
        (tmp_path / "new").mkdir()
        new_cert, new_key = own(tmp_path / "new")
        new_key.replace(key)
        new_cert.replace(cert)
        trusting.load_verify_locations(tmp_path / "new" / "made" / "ca.crt")
        expected = ssl.PEM_cert_to_DER_cert(cert.read_text())
        for _ in range(200):
            async with connect(f"wss://127.0.0.1:{running.port}/ws/client", ssl=trusting) as client:
                shown = client.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            if shown == expected:
                return
        pytest.fail("the server still shows the certificate that was replaced")
