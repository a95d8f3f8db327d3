"""Which function answers which request.

Paths are matched before they are decoded, because `%2F` inside a revision or a file name must not split it.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.responses import Response

from hubtune.localhub.api import commit, contents, discussions, git, people, refs, repos, search, uploads
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
    _route("GET", r"/api/whoami-v2", people.whoami),
    _route("POST", r"/api/validate-yaml", people.validate_yaml),
    _route("POST", r"/api/repos/create", repos.create),
    _route("DELETE", r"/api/repos/delete", repos.delete),
    _route("POST", r"/api/repos/move", repos.move),
    _route("GET", r"/api/(?P<type>models|datasets|spaces)", search.listed),
    _route("GET", r"/api/(?P<type>model|dataset)s-tags-by-type", search.tags_by_type),
    _route("GET", r"/api/settings/repositories", search.owned),
    _route("GET", r"/api/organizations/(?P<namespace>[^/]+)/settings/repositories", search.owned),
    _route("GET", r"/api/users/(?P<name>[^/]+)/overview", people.user),
    _route("GET", r"/api/users/(?P<name>[^/]+)/(?:followers|following|likes)", people.nobody_of_user),
    _route("GET", r"/api/organizations/(?P<name>[^/]+)/overview", people.organization),
    _route("GET", r"/api/organizations/(?P<name>[^/]+)/members", people.members),
    _route("GET", r"/api/organizations/(?P<name>[^/]+)/followers", people.nobody_of_organization),
    UploadRoute(("PUT",), re.compile(_LARGE_FILE), uploads.receive),
    _route("GET", _LARGE_FILE, uploads.download),
    _route("PUT", rf"{_API}/settings", repos.settings),
    _route("POST", rf"{_API}/duplicate", repos.duplicate),
    _route("GET", rf"{_API}/likers", people.likers),
    _route("GET", rf"{_API}/auth-check", people.auth_check),
    _route("GET", rf"{_API}/auth-check/write", people.auth_check_write),
    _route("GET", rf"{_ACCESS}/(?P<status>pending|accepted|rejected)", people.listed),
    _route("POST", rf"{_ACCESS}/handle", people.handle),
    _route("POST", rf"{_ACCESS}/grant", people.grant),
    _route("POST", rf"{_ACCESS}/cancel", people.cancel),
    _route("GET", rf"{_API}/discussions", discussions.listed),
    _route("POST", rf"{_API}/discussions", discussions.create),
    _route("GET", _DISCUSSION, discussions.details),
    _route("POST", rf"{_DISCUSSION}/comment", discussions.comment),
    _route("POST", rf"{_COMMENT}/edit", discussions.edit),
    _route("POST", rf"{_COMMENT}/hide", discussions.hide),
    _route("POST", rf"{_DISCUSSION}/title", discussions.rename),
    _route("POST", rf"{_DISCUSSION}/status", discussions.change_status),
    _route("POST", rf"{_DISCUSSION}/merge", discussions.merge),
    _route("POST", rf"{_API}/super-squash/{_REV}", refs.super_squash),
    _route("GET", rf"{_API}/lfs-files", refs.large_files),
    _route("POST", rf"{_API}/lfs-files/batch", refs.delete_large_files),
    _route("POST", rf"{_API}/lfs-files/duplicate", refs.duplicate_large_files),
    _route("GET", rf"{_API}/refs", refs.refs),
    _route("POST", rf"{_API}/tag/{_REV}", refs.add_tag),
    _route("DELETE", rf"{_API}/tag/{_REV}", refs.remove_tag),
    _route("POST", rf"{_API}/branch/{_REV}", refs.add_branch),
    _route("DELETE", rf"{_API}/branch/{_REV}", refs.remove_branch),
    _route("POST", rf"{_API}/preupload/{_REV}", commit.preupload, _LIST_BODY),
    Route(("POST",), re.compile(rf"{_API}/commit/{_REV}"), commit.commit, _COMMIT_BODY, spooled=True),
    _route("GET", rf"{_API}/tree/{_REV}(?:/(?P<path>.*))?", contents.tree),
    _route("POST", rf"{_API}/paths-info/{_REV}", contents.paths_info, _LIST_BODY),
    _route("GET", rf"{_API}/commits/{_REV}", contents.commits),
    _route("GET", rf"{_API}/revision/{_REV}", repos.info),
    _route("GET", _API, repos.info),
    _route("GET", rf"{_API}/xet-(?:read|write)-token/{_REV}", uploads.refuse_xet),
    _route("POST", rf"{_WEB}\.git/info/lfs/objects/batch", uploads.batch),
    _route("GET", rf"{_WEB}\.git/info/refs", git.advertise),
    _route("GET", rf"{_WEB}/info/refs", git.advertise),
    _route("POST", rf"{_WEB}\.git/git-upload-pack", git.upload_pack),
    _route("POST", rf"{_WEB}/git-upload-pack", git.upload_pack),
    _route("POST", rf"{_WEB}/git-receive-pack", git.refuse_push),
    _route("POST", rf"{_WEB}/ask-access", people.ask),
    _route("GET HEAD", rf"{_WEB}/resolve/{_REV}/(?P<path>.+)", contents.resolve_file),
    _route("GET HEAD", rf"{_WEB}/raw/{_REV}/(?P<path>.+)", contents.raw),
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
