"""Whom an address lets in, and how others reach one that stands for all addresses of this machine."""

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_ROUTES = Path("/proc/net/route")
_GET_ADDRESS = 0x8915
"""Linux's SIOCGIFADDR: the address of a network interface."""


def is_loopback(host: str) -> bool:
    """Says whether an address is reached from this machine alone; a name is none."""
    address = _address(host)
    return address is not None and address.is_loopback


def reachable(host: str) -> str:
    """Returns an address that other machines can use for one that a server listens on."""
    address = _address(host)
    if address is None or not address.is_unspecified:
        return host
    return next(_own_addresses(), None) or socket.gethostname()


def in_url(host: str) -> str:
    """Returns a host as it is written in an address of the web."""
    return f"[{host}]" if ":" in host else host


def _own_addresses() -> Iterator[str]:
    """Yields this machine's addresses of IPv4 but those of loopback; first that on the way to everywhere else."""
    names = [name for _, name in socket.if_nameindex()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for name in sorted(names, key=lambda name: name not in _ways_out()):
            try:
                answer = fcntl.ioctl(asked, _GET_ADDRESS, struct.pack("256s", name.encode()[:15]))
            except OSError:
                # It has none, or this system has another way to ask.
                continue
            address = socket.inet_ntoa(answer[20:24])
            if not is_loopback(address):
                yield address


def _ways_out() -> set[str]:
    try:
        rows = [line.split() for line in _ROUTES.read_text(encoding="ascii").splitlines()]
    except (OSError, ValueError):
        return set()
    return {row[0] for row in rows if row[1:2] == ["00000000"]}


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
