"""Finds contact data: e-mail addresses, telephone numbers and IP addresses.

Each kind has look-alikes, such as handles, package versions and order numbers. The text around a candidate decides.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence

from phonenumbers import Leniency, PhoneNumberMatch, PhoneNumberMatcher

from hubtune.data.screening.spans import WORD, Span

_W = WORD
_LETTER = r"[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_LOCAL = rf"{_W}(?:(?:{_W}|[.+'-]){{0,62}}(?:{_W}|[+-]))?"
_LABEL = rf"{_W}(?:(?:{_W}|-){{0,61}}{_W})?"
_TOP = rf"(?:xn--[A-Za-z0-9-]{{2,59}}|{_LETTER}{{2,24}})(?!{_W}|@)"
_PLAIN = re.compile(rf"(?<!{_W})(?<!@)(?P<local>{_LOCAL})(?:@|%40)(?:{_LABEL}\.){{1,8}}(?P<top>{_TOP})")
_DOT = r"(?:\.|\s?[\[(]\s?(?:dot|\.)\s?[\])]\s?)"
_BRACKETED = re.compile(
    rf"(?<!{_W})(?P<local>{_LOCAL})\s?[\[(]\s?(?:at|@)\s?[\])]\s?(?:{_LABEL}{_DOT}){{1,8}}(?P<top>{_TOP})",
    re.IGNORECASE,
)
_IN_SERVER = re.compile(r"://[^\s/?#@]*\Z")
_LONGEST_USER = 256
# logo@2x.png is a picture for dense screens, getty@tty1.service a unit of systemd.
_NO_DOMAINS = frozenset(
    {
        *("png", "jpg", "jpeg", "gif", "webp", "svg", "avif", "bmp", "ico", "pdf", "css", "js"),
        *("service", "socket", "timer", "target", "mount", "slice", "device", "swap", "scope"),
    }
)


def find_emails(text: str) -> Iterator[Span]:
    """Finds ordinary addresses, percent-encoded ones, and those with `[at]` or `(at)` and `[dot]`.

    Missed are addresses that are spelled out in words.
    """
    if "@" in text or "%40" in text:
        for found in _PLAIN.finditer(text):
            if _is_address(text, found):
                yield Span(_start(text, found), found.end(), "email")
    if "[" in text or "(" in text:
        yield from (Span(*found.span(), "email") for found in _BRACKETED.finditer(text))


def _start(text: str, found: re.Match[str]) -> int:
    """Returns where the address begins: after an apostrophe, if another closes the quotation behind the address."""
    if "'" in found["local"] and text[found.end() : found.end() + 1] == "'":
        return found.start() + found["local"].rindex("'") + 1
    return found.start()


def _is_address(text: str, found: re.Match[str]) -> bool:
    if found["top"].lower() in _NO_DOMAINS:
        return False
    if found["local"] == "git" and text[found.end() : found.end() + 1] == ":":
        return False
    return not _IN_SERVER.search(text[max(0, found.start() - _LONGEST_USER) : found.start()])


# Seven digits close together; without them there is nothing for the library to look at.
_WORTH_IT = re.compile(r"\d(?:[\s().\-/]{0,3}\d){6}")
_INTERNATIONAL = re.compile(r"[+\N{FULLWIDTH PLUS SIGN}]\d|[+]\(\d")
_PLAINLY = (
    r"tel(?:e?phone)?s?|phones?|ph|mob(?:ile)?|cell(?:phone)?|fax|whatsapp|sms|ring|dial|handy|telefon[oe]?|tel[ée]fono|"
    r"t[ée]l(?:[ée]phone)?|telefoon|puhelin|tlf|тел(?:ефон)?|celular|m[óo]vil|portable"
)
_CUE = re.compile(
    rf"(?:\b(?P<plain>{_PLAINLY})\b|\b(?:(?:call|text)(?: me)?(?: at| on)?|number|contact)\b|電話(?:番号)?|전화)"
    r"[\s.:#=\"'(),\N{FULLWIDTH COLON}]*(?:is\s)?\Z",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"(?:\b(?:isbn|issn|ean|upc|imei|order|invoice|ref|id|no|nr|part|article|doi|ticket|tracking|serial|account|"
    r"commit|version|item|sku|case)[\w.-]*[\s.:#=]*|[$\u20ac\u00a3#=/._\d-]\s?)\Z",
    re.IGNORECASE,
)
_PHONE_LOOK_BACK = 32
# With the country code; the shortest numbers in use anywhere have eight.
_FEWEST_DIGITS = 9


def find_phones(text: str, regions: Sequence[str]) -> Iterator[Span]:
    """Finds numbers.

    A national number counts when it is grouped as its country groups it, or follows a word such as "phone". Missed are
    national numbers of other regions, and digits without groups and such a word.

    Args:
        text: Where to look.
        regions: Two-letter codes of the countries whose national numbers are looked for.
    """
    if not _WORTH_IT.search(text):
        return
    if _INTERNATIONAL.search(text):
        # A country code says enough: numbers of ranges that the library does not know yet count too.
        for match in PhoneNumberMatcher(text, None, leniency=Leniency.POSSIBLE):
            if sum(character.isdigit() for character in match.raw_string) >= _FEWEST_DIGITS:
                yield Span(match.start, match.end, "phone")
    for region in regions:
        # Grouped as its country groups it, or announced: then ranges that the library does not know count too.
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.STRICT_GROUPING):
            if _is_national(text, match):
                yield Span(match.start, match.end, "phone")
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.POSSIBLE):
            if _is_announced(text, match):
                yield Span(match.start, match.end, "phone")


def _is_national(text: str, match: PhoneNumberMatch) -> bool:
    if match.raw_string.startswith("+"):
        return False
    before = text[max(0, match.start - _PHONE_LOOK_BACK) : match.start]
    if _CUE.search(before):
        return True
    return not match.raw_string.isdigit() and not _OTHER.search(before)


def _is_announced(text: str, match: PhoneNumberMatch) -> bool:
    cue = _CUE.search(text[max(0, match.start - _PHONE_LOOK_BACK) : match.start])
    enough = sum(character.isdigit() for character in match.raw_string) >= _FEWEST_DIGITS
    return cue is not None and cue["plain"] is not None and enough and not match.raw_string.startswith("+")


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
_ADDRESS_LOOK_BACK = 24


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
    before = text[max(0, found.start() - _ADDRESS_LOOK_BACK) : found.start()]
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
