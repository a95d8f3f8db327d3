"""Finds the internet addresses that can point at a person or a machine; not versions, sections and local addresses."""

import ipaddress
import re
from collections.abc import Iterator

from hubtune.data.screening.spans import Span

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_V4 = re.compile(rf"(?<![\w.])(?<!\d-){_OCTET}(?:\.{_OCTET}){{3}}(?!\w|\.\w|-[A-Za-z])")
# Global unicast, 2000::/3: the first group has four digits. The rest belongs to no one, and looks like code or times.
_V6 = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:]|\.\d)")
# Belong to no one: this host, private, shared, loopback, link-local, multicast, reserved and masks.
_NOBODY = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "224.0.0.0/3"),
    )
)
_VERSION = re.compile(
    r"(?:\b(?:v|ver|versions?|releases?|build|rev|revision|sections?|chapters?|clause|oid|driver|assembly|firmware|"
    r"update|upgrade|patch|sdk|api|chrome|firefox|safari|edge|opera|python|java|windows|ios|android)[ .:=/]*"
    r"|§+ ?|[=<>~^]= ?|\w[-_]|[A-Za-z]/)\Z",
    re.IGNORECASE,
)
_HOST = re.compile(
    r"(?:\b(?:ips?|ipv4|ip address(?:es)?|address(?:es)?|hosts?|servers?|dns|ping|client|from|to|peer|nameserver|"
    r"remote|addr|https?|ssh)\b[\s:=\"'/(\[@]*|@)\Z",
    re.IGNORECASE,
)
_LOOK_BACK = 24


def find_addresses(text: str) -> Iterator[Span]:
    """Finds IPv4 and global IPv6 addresses.

    Four single digits are an address only after a word such as "host": sections and versions look the same. Missed are
    addresses that were made harmless, such as with `[.]`.
    """
    for found in _V4.finditer(text) if text.count(".") > 2 else ():
        if _is_host(text, found):
            yield Span(*found.span(), "ip_address")
    for found in _V6.finditer(text) if text.count(":") > 1 else ():
        if _is_v6(found[0]):
            yield Span(*found.span(), "ip_address")


def _is_host(text: str, found: re.Match[str]) -> bool:
    address = ipaddress.IPv4Address(found[0])
    if any(address in network for network in _NOBODY):
        return False
    before = text[max(0, found.start() - _LOOK_BACK) : found.start()]
    if _HOST.search(before):
        return True
    return not _VERSION.search(before) and any(len(octet) > 1 for octet in found[0].split("."))


def _is_v6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
