"""Which requests may come in, decided before any body is taken.

By the names and addresses that the Hub goes by, so that no web page reaches it through a browser, and by token, rights
and path, so that nobody sends gigabytes that are then refused. Here is also what addresses this machine has.
"""

import fcntl
import ipaddress
import re
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response

from hubtune.localhub.api import (
    account_routes,
    commit_routes,
    discussion_routes,
    download_routes,
    git_protocol,
    repo_routes,
    upload_routes,
)
from hubtune.localhub.api.call import Call
from hubtune.localhub.api_errors import ApiError

_READS = frozenset({"GET", "HEAD"})

_ADMIT: Mapping[Callable[[Call], Response], Callable[[Call], object]] = {
    **dict.fromkeys((commit_routes.preupload, commit_routes.make_commit), commit_routes.committable),
    **dict.fromkeys(
        (
            account_routes.grant,
            account_routes.handle,
            discussion_routes.merge,
            commit_routes.delete_large_files,
            commit_routes.super_squash,
            commit_routes.add_branch,
            commit_routes.add_tag,
            commit_routes.remove_branch,
            commit_routes.remove_tag,
            repo_routes.settings,
        ),
        Call.writable,
    ),
    **dict.fromkeys(
        (
            discussion_routes.change_status,
            discussion_routes.comment,
            discussion_routes.edit,
            discussion_routes.hide,
            discussion_routes.rename,
            discussion_routes.create,
        ),
        Call.discussable,
    ),
    # These read, and what they answer depends on who asks.
    **dict.fromkeys((download_routes.paths_info, upload_routes.batch), Call.readable),
    **dict.fromkeys((git_protocol.upload_pack, git_protocol.refuse_push), git_protocol.fetchable),
    # Anybody may have a text checked.
    account_routes.validate_yaml: lambda _call: None,
}
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:@/\s]+))(?::[0-9]{1,5})?")
_OWN_SITES = frozenset({"same-origin", "none"})
_ROUTES = Path("/proc/net/route")
_GET_ADDRESS = 0x8915
"""Linux's SIOCGIFADDR: the address of a network interface."""


def admit(call: Call, answer: Callable[[Call], Response]) -> None:
    """Refuses a request whose body nobody needs to read; the handler looks again when it has the body.

    Args:
        call: The request without its body.
        answer: The handler that the body is for.

    Raises:
        ApiError: As the handler would.
    """
    if call.method not in _READS:
        _ADMIT.get(answer, _signed_in_reader)(call)


def _signed_in_reader(call: Call) -> None:
    if "id" in call.params:
        call.readable()
    call.signed_in()


class Guard:
    """Decides whether a request may come in at all.

    Args:
        bound: The host that the server listens on.
        extra: Further names under which clients may address it.
    """

    def __init__(self, bound: str, extra: Iterable[str] = ()) -> None:
        self._names = {"localhost", *(name.casefold().rstrip(".") for name in (bound, reachable(bound), *extra))}
        self._loopback_only = bound.casefold() == "localhost" or is_loopback(bound)

    def check(self, method: str, headers: Headers) -> None:
        """Refuses what a web page could have sent.

        Raises:
            ApiError: 400 without a usable Host or with a body of two lengths, 403 for a name that is not the Hub's or a
                page that is not.
        """
        if "transfer-encoding" in headers and "content-length" in headers:
            # A proxy in between may go by the other, and would take the rest of the body for another request.
            text = "A request has a Content-Length or a Transfer-Encoding, not both."
            raise ApiError(400, text, headers={"Connection": "close"})
        host = headers.get("host", "")
        match = _HOST.fullmatch(host)
        if match is None:
            raise ApiError(400, "The request has no valid Host header.")
        if not self._is_own(match["v6"] or match["name"].casefold().rstrip(".")):
            raise ApiError(
                403, f"This Hub does not go by the name {host}. Whoever serves it can allow it with --allow-host."
            )
        origin = headers.get("origin")
        if origin is not None and _host_in(origin) != host.casefold():
            raise ApiError(403, f"Pages of another origin may not use this Hub: {origin}")
        site = headers.get("sec-fetch-site")
        if site is not None and site not in _OWN_SITES and not _is_link(method, headers):
            raise ApiError(403, "Pages of another site may not use this Hub.")

    def _is_own(self, name: str) -> bool:
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # An address is not looked up, so it cannot be rebound; on loopback others are still none of this Hub's.
        return address.is_loopback or not self._loopback_only


def _host_in(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.casefold()
    except ValueError:
        return ""


def _is_link(method: str, headers: Headers) -> bool:
    """Says whether somebody followed a link to the Hub, which shows it to them and not to the page."""
    mode, target = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return method in {"GET", "HEAD"} and mode == "navigate" and target == "document"


def is_loopback(host: str) -> bool:
    """Says whether an address is reached from this machine alone; a name is not one."""
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
