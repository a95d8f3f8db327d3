"""Finds the internet addresses that can point at a person or a machine; not versions, sections and local addresses."""

import ipaddress
import re
from collections.abc import Iterator

from hubtune.data.screening.spans import WORD, Span

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_V4 = re.compile(rf"(?<!{WORD})(?<!\.)(?<!\d-){_OCTET}(?:\.{_OCTET}){{3}}(?!{WORD}|\.\w|-[A-Za-z])", re.ASCII)
# Global unicast, 2000::/3: the first group has four digits. The rest belongs to no one, and looks like code or times.
_V6 = re.compile(rf"(?<!{WORD})(?<!\.)[23][0-9A-Fa-f]{{3}}(?::[0-9A-Fa-f]{{0,4}}){{2,7}}(?!{WORD}|:|\.\d)")
_GROUP_BEFORE = re.compile(r"(?:\A|[^\w]|:)[0-9A-Fa-f]{0,4}:\Z")
# Belong to no one: this host, private, shared, loopback, link-local, multicast, reserved and masks.
_NOBODY = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "224.0.0.0/3"),
    )
)
_VERSION = re.compile(
    r"(?:(?:\b|_|(?<=[a-z]))(?:v|ver|versie|versi[o\u00f3]n|versions?|versione|vers\u00e3o|verze|wersj[ai]|"
    r"\u0432\u0435\u0440\u0441\u0438[\u0438\u044f\u044e]|releases?|build|rev|revision|sections?|chapters?|kapitel|"
    r"abschnitt|chapitre|cap[i\u00ed]tulo|clause|oid|driver|kernel|assembly|firmware|update|upgrade|patch|sdk|api|chrome|"
    r"firefox|safari|edge|opera|python|java|windows|ios|android)[ .:=/\"'(]*"
    r"|\u7248\u672c[ :]*|\u30d0\u30fc\u30b8\u30e7\u30f3[ :]*|\u00a7+ ?|[=<>~^]= ?|[A-Za-z0-9_][-_]|[A-Za-z]/)\Z",
    re.IGNORECASE,
)
# A word that tells plainly of a machine; "from" and "to" may also tell of versions.
_HOST = re.compile(
    r"(?:\b(?:ips?|ipv4|ip4|ip address(?:es)?|address(?:es)?|adress[ea]n?|hosts?|servers?|dns|ping|client|peer|"
    r"nameserver|remote|addr|src|dst|https?|ssh)\b[\s:=\"'/(\[@]*|@)\Z",
    re.IGNORECASE,
)
# What a log, a port or a network puts behind an address.
_BEHIND = re.compile(r" - \S+ \[|:\d{2,5}\b|/(?:8|16|2[0-9]|3[0-2])\b")
# Addresses of the first networks begin like versions: such a line has to speak of machines.
_SPOKEN_OF = re.compile(
    r"\b(?:ips?|ipv4|addr\w*|hosts?|servers?|clients?|peers?|ports?|ping|connect\w*|requests?|log(?:in|ged)|users?|from|"
    r"bann\w+|block\w+|networks?|subnets?|dns|dig|nslookup|whois|traceroute|https?|ssh|tcp|udp|icmp|get|post)\b",
    re.IGNORECASE,
)
_FIRST_NETWORKS = 20
_SMALL = 30
_AROUND = 60
_LOOK_BACK = 24


def find_addresses(text: str) -> Iterator[Span]:
    """Finds IPv4 and global IPv6 addresses.

    Versions and sections count from one: three small numbers in front are an address only after a word such as "host",
    or before a port. Missed are addresses that were made harmless, such as with `[.]`.
    """
    for found in _V4.finditer(text) if text.count(".") > 2 else ():
        if _is_host(text, found):
            yield Span(*found.span(), "ip_address")
    for found in _V6.finditer(text) if text.count(":") > 1 else ():
        if _is_v6(found[0]) and not _GROUP_BEFORE.search(text[max(0, found.start() - 6) : found.start()]):
            yield Span(*found.span(), "ip_address")


def _is_host(text: str, found: re.Match[str]) -> bool:
    address = ipaddress.IPv4Address(found[0])
    if any(address in network for network in _NOBODY):
        return False
    before = text[max(0, found.start() - _LOOK_BACK) : found.start()]
    if _HOST.search(before):
        return True
    if _VERSION.search(before):
        return False
    if _BEHIND.match(text, found.end()):
        return True
    if all(octet < _SMALL for octet in address.packed[:3]):
        return False
    return address.packed[0] >= _FIRST_NETWORKS or bool(_SPOKEN_OF.search(_line(text, found)))


def _line(text: str, found: re.Match[str]) -> str:
    """Returns what stands around an address in its line."""
    before = text[max(0, found.start() - _AROUND) : found.start()].rpartition("\n")[2]
    return before + " " + text[found.end() : found.end() + _AROUND].partition("\n")[0]


def _is_v6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
