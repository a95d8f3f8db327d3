"""Which function answers which request.

Paths are matched before they are decoded, because `%2F` inside a revision or a file name must not split it.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

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

Handler = Callable[[Call], Response]
UploadHandler = Callable[[Call, AsyncIterator[bytes]], Awaitable[Response]]

_SMALL_BODY = 2 * 1024 * 1024
_LIST_BODY = 10 * 1024 * 1024
_COMMIT_BODY = 1024 * 1024 * 1024

_API = r"/api/(?P<type>models|datasets|spaces)/(?P<id>[^/]+(?:/[^/]+)?)"
_WEB = r"/(?:(?P<type>datasets|spaces)/)?(?P<id>[^/]+(?:/[^/]+)?)"
_REV = r"(?P<rev>[^/]+)"
_ACCESS = rf"{_API}/user-access-request"
_DISCUSSION = rf"{_API}/discussions/(?P<num>\d{{1,9}})"
_COMMENT = rf"{_DISCUSSION}/comment/(?P<comment>[0-9a-fA-F]+)"
_LARGE_FILE = r"/api/large-files/(?P<sha256>[0-9a-f]{64})"


@dataclass(frozen=True)
class Route:
    """How one kind of request is answered.

    Attributes:
        methods: The HTTP methods it answers.
        pattern: Matches the whole raw path; its groups become the call's parameters.
        answer: Answers from the whole body, in a worker thread.
        body_limit: Bytes of body that are accepted.
        spooled: Whether the body waits on disk, as `Call.file`, rather than in memory.
    """

    methods: tuple[str, ...]
    pattern: re.Pattern[str]
    answer: Handler
    body_limit: int
    spooled: bool = False


@dataclass(frozen=True)
class UploadRoute:
    """As `Route`, for bodies of any size: `answer` takes them in as they stream."""

    methods: tuple[str, ...]
    pattern: re.Pattern[str]
    answer: UploadHandler


def _route(methods: str, pattern: str, answer: Handler, body_limit: int = _SMALL_BODY) -> Route:
    return Route(tuple(methods.split()), re.compile(pattern), answer, body_limit)


ROUTES: tuple[Route | UploadRoute, ...] = (
    _route("GET", r"/api/whoami-v2", account_routes.whoami),
    _route("POST", r"/api/validate-yaml", account_routes.validate_yaml),
    _route("POST", r"/api/repos/create", repo_routes.create),
    _route("DELETE", r"/api/repos/delete", repo_routes.delete),
    _route("POST", r"/api/repos/move", repo_routes.move),
    _route("GET", r"/api/(?P<type>models|datasets|spaces)", repo_routes.listed),
    _route("GET", r"/api/(?P<type>model|dataset)s-tags-by-type", repo_routes.tags_by_type),
    _route("GET", r"/api/settings/repositories", repo_routes.owned),
    _route("GET", r"/api/organizations/(?P<namespace>[^/]+)/settings/repositories", repo_routes.owned),
    _route("GET", r"/api/users/(?P<name>[^/]+)/overview", account_routes.user),
    _route("GET", r"/api/users/(?P<name>[^/]+)/(?:followers|following|likes)", account_routes.nobody_of_user),
    _route("GET", r"/api/organizations/(?P<name>[^/]+)/overview", account_routes.organization),
    _route("GET", r"/api/organizations/(?P<name>[^/]+)/members", account_routes.members),
    _route("GET", r"/api/organizations/(?P<name>[^/]+)/followers", account_routes.nobody_of_organization),
    UploadRoute(("PUT",), re.compile(_LARGE_FILE), upload_routes.receive),
    _route("GET", _LARGE_FILE, upload_routes.download),
    _route("PUT", rf"{_API}/settings", repo_routes.settings),
    _route("POST", rf"{_API}/duplicate", repo_routes.duplicate),
    _route("GET", rf"{_API}/likers", account_routes.likers),
    _route("GET", rf"{_API}/auth-check", account_routes.auth_check),
    _route("GET", rf"{_API}/auth-check/write", account_routes.auth_check_write),
    _route("GET", rf"{_ACCESS}/(?P<status>pending|accepted|rejected)", account_routes.listed),
    _route("POST", rf"{_ACCESS}/handle", account_routes.handle),
    _route("POST", rf"{_ACCESS}/grant", account_routes.grant),
    _route("POST", rf"{_ACCESS}/cancel", account_routes.cancel),
    _route("GET", rf"{_API}/discussions", discussion_routes.listed),
    _route("POST", rf"{_API}/discussions", discussion_routes.create),
    _route("GET", _DISCUSSION, discussion_routes.details),
    _route("POST", rf"{_DISCUSSION}/comment", discussion_routes.comment),
    _route("POST", rf"{_COMMENT}/edit", discussion_routes.edit),
    _route("POST", rf"{_COMMENT}/hide", discussion_routes.hide),
    _route("POST", rf"{_DISCUSSION}/title", discussion_routes.rename),
    _route("POST", rf"{_DISCUSSION}/status", discussion_routes.change_status),
    _route("POST", rf"{_DISCUSSION}/merge", discussion_routes.merge),
    _route("POST", rf"{_API}/super-squash/{_REV}", commit_routes.super_squash),
    _route("GET", rf"{_API}/lfs-files", commit_routes.large_files),
    _route("POST", rf"{_API}/lfs-files/batch", commit_routes.delete_large_files),
    _route("POST", rf"{_API}/lfs-files/duplicate", commit_routes.duplicate_large_files),
    _route("GET", rf"{_API}/refs", commit_routes.refs),
    _route("POST", rf"{_API}/tag/{_REV}", commit_routes.add_tag),
    _route("DELETE", rf"{_API}/tag/{_REV}", commit_routes.remove_tag),
    _route("POST", rf"{_API}/branch/{_REV}", commit_routes.add_branch),
    _route("DELETE", rf"{_API}/branch/{_REV}", commit_routes.remove_branch),
    _route("POST", rf"{_API}/preupload/{_REV}", commit_routes.preupload, _LIST_BODY),
    Route(("POST",), re.compile(rf"{_API}/commit/{_REV}"), commit_routes.make_commit, _COMMIT_BODY, spooled=True),
    _route("GET", rf"{_API}/tree/{_REV}(?:/(?P<path>.*))?", download_routes.tree),
    _route("POST", rf"{_API}/paths-info/{_REV}", download_routes.paths_info, _LIST_BODY),
    _route("GET", rf"{_API}/commits/{_REV}", download_routes.commits),
    _route("GET", rf"{_API}/revision/{_REV}", repo_routes.info),
    _route("GET", _API, repo_routes.info),
    _route("GET", rf"{_API}/xet-(?:read|write)-token/{_REV}", upload_routes.refuse_xet),
    _route("POST", rf"{_WEB}\.git/info/lfs/objects/batch", upload_routes.batch),
    _route("GET", rf"{_WEB}\.git/info/refs", git_protocol.advertise),
    _route("GET", rf"{_WEB}/info/refs", git_protocol.advertise),
    _route("POST", rf"{_WEB}\.git/git-upload-pack", git_protocol.upload_pack),
    _route("POST", rf"{_WEB}/git-upload-pack", git_protocol.upload_pack),
    _route("POST", rf"{_WEB}/git-receive-pack", git_protocol.refuse_push),
    _route("POST", rf"{_WEB}/ask-access", account_routes.ask),
    _route("GET HEAD", rf"{_WEB}/resolve/{_REV}/(?P<path>.+)", download_routes.resolve_file),
    _route("GET HEAD", rf"{_WEB}/raw/{_REV}/(?P<path>.+)", download_routes.raw),
)
"""Tried in order: an id may have one word or two, and the first pattern that fits a path decides."""


def find_route(
    method: str, raw_path: str, more: tuple[Route, ...] = ()
) -> tuple[Route | UploadRoute, Mapping[str, str]] | None:
    """Returns the route of a request and the decoded parts of its path, or None.

    Args:
        method: The HTTP method.
        raw_path: The path as it was sent.
        more: Routes to try after all of `ROUTES`.
    """
    for route in (*ROUTES, *more):
        match = route.pattern.fullmatch(raw_path) if method in route.methods else None
        if match:
            return route, {key: unquote(value) for key, value in match.groupdict().items() if value}
    return None
