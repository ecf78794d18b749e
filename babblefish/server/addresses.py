"""Under which names and addresses this machine can be reached, found without asking the network."""

from __future__ import annotations

import array
import contextlib
import fcntl
import re
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

Address = IPv4Address | IPv6Address

_SIOCGIFCONF = 0x8912
"""Asks Linux for the IPv4 addresses of all interfaces (netdevice(7))."""
_IFREQ_BYTES = 40
"""One answer on 64 bits: a name of 16 bytes, then a ``sockaddr_in`` whose address begins 4 bytes in."""
_ROOM_FOR_ADDRESSES = 1024

_IF_INET6 = Path("/proc/net/if_inet6")
_GLOBAL_SCOPE = 0
_TEMPORARY = 0x01
"""``IFA_F_TEMPORARY``: for outgoing connections only, and another one tomorrow."""

_NOWHERE = ("192.0.2.1", 9)
"""An address of the documentation range (RFC 5737): its route is the default one, and asking for that sends nothing."""

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Machine:
    """How others may call this machine.

    Attributes:
        names: Lower case; the name of multicast DNS (``<host>.local``), then the host name; never ``localhost``.
        addresses: Of every interface but loopback; the one on the way to the network's gateway comes first.
    """

    names: tuple[str, ...]
    addresses: tuple[Address, ...]


def this_machine() -> Machine:
    """Look up the machine's names and addresses, which change as it joins and leaves networks."""
    return Machine(names_of(socket.gethostname()), _addresses())


def names_of(host_name: str) -> tuple[str, ...]:
    """Return the names a host name stands for; none where it cannot be a DNS name, as with an underscore."""
    name = host_name.lower().rstrip(".")
    host = name.partition(".")[0]
    if host == "localhost" or len(name) > 253 or not _DNS_NAME.fullmatch(name):
        return ()
    return tuple(dict.fromkeys((f"{host}.local", name)))


def is_loopback(host: str) -> bool:
    """Tell whether a host as it is written in an address means the machine that the browser runs on."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _addresses() -> tuple[Address, ...]:
    found: list[Address] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        with contextlib.suppress(OSError):  # no network, no route
            asking.connect(_NOWHERE)
            found.append(ip_address(asking.getsockname()[0]))
        with contextlib.suppress(OSError):  # not Linux
            found += _ipv4(asking)
    with contextlib.suppress(OSError):
        found += _ipv6(_IF_INET6.read_text(encoding="ascii"))
    return tuple(dict.fromkeys(address for address in found if not address.is_loopback))


def _ipv4(asking: socket.socket) -> list[IPv4Address]:
    answers = array.array("B", bytes(_IFREQ_BYTES * _ROOM_FOR_ADDRESSES))
    start, _ = answers.buffer_info()
    told = fcntl.ioctl(asking, _SIOCGIFCONF, struct.pack("iL", len(answers), start))
    used = struct.unpack("iL", told)[0]
    return [IPv4Address(answers[at + 20 : at + 24].tobytes()) for at in range(0, used, _IFREQ_BYTES)]


def _ipv6(table: str) -> list[IPv6Address]:
    """Read the kernel's table: address, interface number, prefix, scope, flags (hexadecimal), interface."""
    found = []
    for line in table.splitlines():
        digits, _, _, scope, flags, _ = line.split()
        # A link-local address needs the reader's own interface in it and so cannot be given to anybody.
        if int(scope, 16) == _GLOBAL_SCOPE and not int(flags, 16) & _TEMPORARY:
            found.append(IPv6Address(int(digits, 16)))
    return found
