"""Token and rights count before a body is read: who may not send one is told so at once."""

import re
import socket
from urllib.parse import urlsplit

import pytest

from hubtune.localhub.api import account_routes, download_routes, git_protocol, repo_routes, upload_routes
from hubtune.localhub.api.routes import ROUTES, Route

ROUTES_WITH_BODIES = [
    route for route in ROUTES if isinstance(route, Route) and set(route.methods) & {"POST", "PUT", "DELETE"}
]
# These read, or name the repository in the body.
READING = {download_routes.paths_info, upload_routes.batch, git_protocol.upload_pack, git_protocol.refuse_push}
BY_BODY = {repo_routes.create, repo_routes.delete, repo_routes.move}


def path_of(route: Route, repo: str) -> str:
    """A path that the route matches."""
    known = {"type": "models", "id": repo, "rev": "main", "num": "1", "comment": "ab", "status": "pending"}
    pattern = route.pattern.pattern.replace("(?:(?P<type>datasets|spaces)/)?", "").replace("(?:/(?P<path>.*))?", "")
    path = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", lambda match: known[match[1]], pattern).replace("\\.", ".")
    assert route.pattern.fullmatch(path), path
    return path


@pytest.fixture
def announce(guarded):
    """Sends a request's head alone, which announces a body, and returns the status of the answer."""

    def send(method: str, path: str, token: str | None) -> int:
        address = urlsplit(guarded.url)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
        if token:
            head += f"Authorization: Bearer {token}\r\n"
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(f"{head}\r\n".encode())
            return int(connection.recv(4096).split()[1])

    return send


@pytest.fixture
def repositories(as_user):
    as_user("ann").create_repo("ann/open")
    as_user("ann").create_repo("ann/secret", private=True)


@pytest.mark.parametrize(
    "route", ROUTES_WITH_BODIES, ids=lambda route: f"{route.answer.__module__}.{route.answer.__name__}"
)
def test_who_may_not_send_a_body_is_told_before_it_comes(announce, repositories, route):
    if route.answer is account_routes.validate_yaml:
        return
    method = next(method for method in route.methods if method in {"POST", "PUT", "DELETE"})
    assert announce(method, path_of(route, "ann/open"), "t-nobody") == 401
    if route.answer in BY_BODY:
        assert announce(method, path_of(route, "ann/open"), None) == 401
        return
    assert announce(method, path_of(route, "ann/secret"), None) == 401
    assert announce(method, path_of(route, "ann/secret"), "t-eve") == 404
    if route.answer not in READING:
        assert announce(method, path_of(route, "ann/open"), None) == 401


@pytest.mark.parametrize(
    "path", ["commit/main", "preupload/main", "tag/main", "branch/x", "super-squash/main", "discussions/1/merge"]
)
@pytest.mark.parametrize("user", ["eve", "rob"])
def test_who_may_only_read_is_told_before_the_body_comes(announce, repositories, path, user):
    assert announce("POST", f"/api/models/ann/open/{path}", f"t-{user}") == 403


def test_an_upload_without_a_signature_is_told_before_the_body_comes(announce):
    assert announce("PUT", f"/api/large-files/{'0' * 64}?size=1000000", "t-ann") == 403
