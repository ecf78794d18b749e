"""The host names and IP addresses at which others can reach this machine, found without sending anything."""

from __future__ import annotations

import contextlib
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import psutil

IPAddress = IPv4Address | IPv6Address

_IF_INET6 = Path("/proc/net/if_inet6")
_TEMPORARY = 0x01
"""``IFA_F_TEMPORARY``: for outgoing connections only, and replaced every day (RFC 8981)."""

_NOWHERE = ("192.0.2.1", 9)
"""An address of the documentation range (RFC 5737): it takes the default route, and looking that up sends nothing."""

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Machine:
    """How others can reach this machine.

    Attributes:
        names: Lower case; the multicast DNS name (``<host>.local``), then the host name; never ``localhost``.
        addresses: Of every interface but loopback; the one on the default route comes first.
    """

    names: tuple[str, ...]
    addresses: tuple[IPAddress, ...]


def this_machine() -> Machine:
    """Look up the machine's names and addresses, which change as it joins and leaves networks."""
    return Machine(names_of(socket.gethostname()), _addresses())


def names_of(host_name: str) -> tuple[str, ...]:
    """Return the names a host name stands for; none if it cannot be a DNS name, for example with an underscore."""
    name = host_name.lower().rstrip(".")
    host = name.partition(".")[0]
    if host == "localhost" or len(name) > 253 or not _DNS_NAME.fullmatch(name):
        return ()
    return tuple(dict.fromkeys((f"{host}.local", name)))


def is_loopback(host: str) -> bool:
    """Tell whether a host, as written in a URL, is the machine that the browser runs on."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _addresses() -> tuple[IPAddress, ...]:
    """List the addresses: that of the default route, then IPv4 before IPv6, in the system's order of interfaces."""
    found: list[IPAddress] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):  # no network
        probe.connect(_NOWHERE)
        found.append(ip_address(probe.getsockname()[0]))
    interfaces = psutil.net_if_addrs().values()
    for family in (socket.AF_INET, socket.AF_INET6):
        found += [ip_address(entry.address) for entries in interfaces for entry in entries if entry.family == family]
    temporary = _temporary_addresses()
    return tuple(dict.fromkeys(one for one in found if _is_reachable(one) and one not in temporary))


def _is_reachable(address: IPAddress) -> bool:
    """Tell whether others can open an address; an IPv6 link-local one works only with an interface of their own."""
    return not address.is_loopback and not (address.version == 6 and address.is_link_local)


def _temporary_addresses() -> set[IPAddress]:
    """Return the temporary IPv6 addresses, which psutil does not tell from the others; none where this is not Linux.

    The kernel's table has address, interface number, prefix, scope and flags, in hexadecimal, and the interface.
    """
    try:
        rows = [line.split() for line in _IF_INET6.read_text(encoding="ascii").splitlines()]
    except OSError:
        return set()
    return {IPv6Address(int(row[0], 16)) for row in rows if int(row[4], 16) & _TEMPORARY}
