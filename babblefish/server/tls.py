"""The server's certificate: the owner's, or one issued by a private certificate authority (CA) on this machine."""

from __future__ import annotations

import datetime
import ipaddress
import logging
import os
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from babblefish.errors import SetupError
from babblefish.server import addresses
from babblefish.server.addresses import Machine
from babblefish.server.files import locked, read_file
from babblefish.settings import Settings

_log = logging.getLogger(__name__)

VALIDITY = datetime.timedelta(days=397)
"""Validity of a server certificate; Apple's systems refuse public certificates of 399 days or more."""
AUTHORITY_VALIDITY = datetime.timedelta(days=3653)
RENEW_BEFORE = datetime.timedelta(days=30)
CLOCK_SKEW = datetime.timedelta(days=1)
"""Certificates are backdated by this much, for phones whose clock is slow."""

CHECK_EVERY_S = 24 * 60 * 60.0
"""How often a running server checks whether its certificate is still right."""

_OWNER_ONLY = 0o700

_LOCK_WAIT_S = 10.0
"""At a start; another server that starts makes its certificate in milliseconds."""

_LOOPBACK = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))


@dataclass(frozen=True, slots=True)
class Chain:
    """The files of a certificate.

    Attributes:
        certificate: PEM file: the server's certificate, then any intermediate certificates.
        key: PEM file of its private key; may be the same file.
        authority: PEM of the private CA's certificate, which devices must trust; None without a private CA.
    """

    certificate: Path
    key: Path
    authority: bytes | None = None

    def load_into(self, context: ssl.SSLContext) -> None:
        """Load the certificate into a context; existing connections keep theirs.

        Raises:
            SetupError: A file is missing or malformed, or the key does not match the certificate.
        """
        try:
            for file in (self.certificate, self.key):
                read_file(file)  # OpenSSL would wait for a pipe
            # Without any password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ssl.SSLError) as error:
            raise SetupError(
                f"the certificate {self.certificate} cannot be used with the key {self.key}: {_reason(error)}; "
                "both must be PEM files, and the key must not be encrypted"
            ) from error

    def names(self) -> tuple[str, ...]:
        """Return the certificate's DNS names in lower case; none if it has no such extension."""
        certificate = x509.load_pem_x509_certificate(read_file(self.certificate))
        try:
            certified = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return ()
        return tuple(name.lower() for name in certified.get_values_for_type(x509.DNSName))


class Certificate:
    """The certificate that the server presents.

    Attributes:
        context: For the listening sockets; ``renew`` changes it in place.
        authority: PEM of the private CA's certificate, which devices must trust; None without one.
        names: Its DNS names in lower case, as they stand there: ``*.`` means one label.
    """

    def __init__(self, obtain: Callable[[float], Chain]) -> None:
        """Load a certificate.

        Args:
            obtain: Finds or makes the certificate that is right now; given the seconds that it may wait for others.

        Raises:
            SetupError: There is no usable certificate.
        """
        self._obtain = obtain
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.take(obtain(_LOCK_WAIT_S))

    def renewed(self) -> Chain:
        """Return the certificate that is right now: renewed, or with the machine's new addresses.

        Takes the time of a slow disk, so it is called in a worker's thread; where another process holds the lock, the
        next renewal is early enough.

        Raises:
            SetupError: As for the constructor; the current certificate stays in use.
        """
        chain = self._obtain(0.0)
        chain.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # a bad one must not damage the context in use
        return chain

    def take(self, chain: Chain) -> None:
        """Switch to a certificate, in the thread that serves.

        Raises:
            SetupError: It cannot be used.
        """
        chain.load_into(self.context)
        self.authority = chain.authority
        self.names = chain.names()


def certificate_of(settings: Settings) -> Certificate | None:
    """Return the certificate of a server, or None for plain HTTP.

    Raises:
        SetupError: A certificate without key or the reverse, an unusable one, or none could be made.
    """
    if settings.tls_cert and settings.tls_key:
        own = Chain(settings.tls_cert, settings.tls_key)
        return Certificate(lambda _: own)
    if settings.tls_cert or settings.tls_key:
        raise SetupError("a certificate needs its key: give both --tls-cert FILE and --tls-key FILE")
    if settings.tls == "off":
        return None
    folder = settings.state_dir / "tls"
    return Certificate(lambda wait_s: ensure(folder, addresses.this_machine(), _now(), wait_s))


def ensure(folder: Path, machine: Machine, now: datetime.datetime, wait_s: float = 0.0) -> Chain:
    """Return a certificate for the machine, valid for at least a month; replace the stored one if it is not.

    The CA stays, as devices trust it, until it would expire before a certificate that it issues.

    A stored one that does is only read, as it may be in a folder that is read-only. Where it would have to be replaced
    and cannot be, it is kept as long as it is valid.

    Args:
        folder: Created for its owner only; gets ``authority.pem`` and ``server.pem`` (key and certificate each, mode
            0600) and ``ca.crt``.
        machine: The names and addresses to certify, besides those of the loopback interface.
        now: The time, with its time zone.
        wait_s: How long another server that makes certificates here is waited for.

    Raises:
        SetupError: The folder cannot be written to, another process holds its lock, or the CA in it is damaged.
    """
    server = folder / "server.pem"
    try:
        authority = _stored_authority(folder, now)
        if authority is None or not _serves(server, _permitted(machine, authority.certificate), authority, now):
            authority = _issue(folder, machine, now, wait_s)
        elif stat.S_IMODE(folder.stat().st_mode) != _OWNER_ONLY:
            folder.chmod(_OWNER_ONLY)
    except OSError as error:
        reason = f"cannot store a certificate in {folder}: {_reason(error)}"
        authority = _still_valid(folder, now)
        if authority is None:
            raise SetupError(f"{reason}; set BABBLEFISH_STATE_DIR to another folder") from error
        _log.warning("%s; keeping the one that is there", reason)
    return Chain(server, server, _pem(authority.certificate))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A private key and the certificate of its public key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def _issue(folder: Path, machine: Machine, now: datetime.datetime, wait_s: float) -> _Pair:
    """Make what is missing or does not do, unless another server has just made it; return the CA."""
    folder.parent.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    folder.mkdir(mode=_OWNER_ONLY, exist_ok=True)
    folder.chmod(_OWNER_ONLY)
    with locked(folder / ".lock", wait_s):
        authority = _stored_authority(folder, now)
        if authority is None:
            authority = _new_authority(machine, now)
            _write(folder / "authority.pem", authority)
            _write_file(folder / "ca.crt", _pem(authority.certificate), 0o644)
        server = folder / "server.pem"
        names = _permitted(machine, authority.certificate)
        if not _serves(server, names, authority, now):
            _write(server, _server_certificate(names, authority, now))
            _log.info("issued a certificate for %s", ", ".join(str(name.value) for name in names))
    return authority


def _stored_authority(folder: Path, now: datetime.datetime) -> _Pair | None:
    """Return the CA; None where there is none, or it would expire before a certificate that it issues."""
    path = folder / "authority.pem"
    try:
        pair = _read(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise SetupError(
            f"{path} is damaged; run rm {path} and the server creates a new CA, which every device must then trust"
        ) from error
    if now + VALIDITY < pair.certificate.not_valid_after_utc:
        return pair
    _log.warning("the CA in %s is about to expire and is replaced; every device must trust the new one", path)
    return None


def _still_valid(folder: Path, now: datetime.datetime) -> _Pair | None:
    """Return the CA of a stored certificate that has not expired; None without such a certificate."""
    try:
        authority, server = (_read(folder / name) for name in ("authority.pem", "server.pem"))
        server.certificate.verify_directly_issued_by(authority.certificate)
    except Exception:  # whatever is wrong with it
        return None
    return authority if now < server.certificate.not_valid_after_utc else None


def _new_authority(machine: Machine, now: datetime.datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"BabbleFish CA {machine.names[-1] if machine.names else ''}".rstrip()[:64])
    # Whoever steals the key can impersonate this machine and numeric addresses, but no site on the internet. Contrary
    # to RFC 5280 it is not critical: a device that does not know the extension must not refuse the CA.
    permitted = [x509.DNSName(name) for name in ("localhost", "local", *machine.names)]
    builder = (
        _builder(name, name, key.public_key(), now, AUTHORITY_VALIDITY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=False)
    )
    return _Pair(key, builder.sign(key, hashes.SHA256()))


def _server_certificate(names: list[x509.GeneralName], authority: _Pair, now: datetime.datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    of_issuer = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(_name("BabbleFish server"), issuer.subject, key.public_key(), now, VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_issuer), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return _Pair(key, builder.sign(authority.key, hashes.SHA256()))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    validity: datetime.timedelta,
) -> x509.CertificateBuilder:
    since = now - CLOCK_SKEW
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + validity)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _permitted(machine: Machine, authority: x509.Certificate) -> list[x509.GeneralName]:
    """List the names for the certificate; one that the CA may not certify would invalidate the whole certificate."""
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    domains = [str(domain.value) for domain in constraints.permitted_subtrees or ()]
    names = []
    for name in ("localhost", *machine.names):
        if any(name == domain or name.endswith(f".{domain}") for domain in domains):
            names.append(name)
        else:
            _log.warning("the certificate leaves out %s: the machine had another name when its CA was created", name)
    return [*map(x509.DNSName, names), *map(x509.IPAddress, (*_LOOPBACK, *machine.addresses))]


def _serves(path: Path, names: list[x509.GeneralName], authority: _Pair, now: datetime.datetime) -> bool:
    """Tell whether the stored certificate is the CA's, has every name, and is valid long enough."""
    try:
        pair = _read(path)
        pair.certificate.verify_directly_issued_by(authority.certificate)
    except Exception as error:
        if not isinstance(error, FileNotFoundError):
            _log.info("replacing %s, which cannot be used: %s", path, _reason(error))
        return False
    certified = pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names) <= set(certified) and now + RENEW_BEFORE < pair.certificate.not_valid_after_utc


def _read(path: Path) -> _Pair:
    """Read a key and its certificate.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It does not hold a key and its certificate.
    """
    pem = read_file(path)
    key = serialization.load_pem_private_key(pem, password=None)
    certificate = x509.load_pem_x509_certificate(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("the key does not match the certificate")
    return _Pair(key, certificate)


def _write(path: Path, pair: _Pair) -> None:
    """Store a key and its certificate in one file, so that no crash can leave a mismatched pair."""
    key = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_file(path, key + _pem(pair.certificate), 0o600)


def _write_file(path: Path, content: bytes, mode: int) -> None:
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(new, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _reason(error: Exception) -> str:
    """Describe a system error without its number, and one of OpenSSL without its source location."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return error.strerror or str(error) if isinstance(error, OSError) else str(error) or type(error).__name__
