"""The addresses of the pages for browsers, their headers, and errors as pages."""

import re
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.responses import Response

from hubtune.localhub.api.call import Call
from hubtune.localhub.api.routes import Handler, Route
from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.web import list_pages, repo_pages
from hubtune.localhub.web.list_pages import discussion
from hubtune.records.views import ErrorView, PageRenderer, View

_PAGE = r"/(?:(?P<type>datasets|spaces)/)?(?P<id>(?!(?:api|-)/)[^/]+(?:/[^/]+)?)"
_REV = r"(?P<rev>[^/]+)"
_NO_BODY = 0
_BY_REFUSAL = {
    "RepoNotFound": (404, "There is no such repository here, or it is private."),
    "GatedRepo": (
        403,
        "The files of this repository are for readers who were granted access, and pages know no token.",
    ),
}


class Pages:
    """The pages of one Hub.

    Args:
        renderer: Makes them of what they show.
    """

    def __init__(self, renderer: PageRenderer) -> None:
        self._renderer = renderer
        self._assets = {asset.name: asset for asset in renderer.assets}
        self.routes: tuple[Route, ...] = (
            self._route(r"/(?:(?P<type>models|datasets|spaces))?", list_pages.listed),
            self._route(r"/-/(?P<asset>[a-z.]+)", self._asset),
            self._route(_PAGE, repo_pages.first_page),
            self._route(rf"{_PAGE}/tree/{_REV}(?:/(?P<path>.*))?", repo_pages.folder),
            self._route(rf"{_PAGE}/blob/{_REV}/(?P<path>.+)", repo_pages.file),
            self._route(rf"{_PAGE}/commits(?:/{_REV})?", list_pages.commits),
            self._route(rf"{_PAGE}/commit/(?P<rev>[0-9a-f]{{7,40}})", list_pages.one_commit),
            self._route(rf"{_PAGE}/refs/all", list_pages.refs),
            self._route(rf"{_PAGE}/discussions/(?P<num>\d{{1,9}})", discussion),
        )

    def failure(self, error: ApiError, headers: Mapping[str, str]) -> Response:
        """Returns an error as a page, with the headers of the answer that a client would get."""
        status, message = _BY_REFUSAL.get(error.code or "", (error.status, error.message))
        # Nobody is asked to sign in where the page says something else.
        own = {"content-type", "content-length"} | (set() if status == 401 else {"www-authenticate"})
        kept = {key: value for key, value in headers.items() if key not in own}
        view = ErrorView(status, message.encode(errors="replace").decode())
        page = page_response(self._renderer, view, status)
        page.headers.update(kept)
        return page

    def _route(self, pattern: str, show: Callable[[Call], View | Response]) -> Route:
        return Route(("GET", "HEAD"), re.compile(pattern), self._handler(show), _NO_BODY)

    def _handler(self, show: Callable[[Call], View | Response]) -> Handler:
        def answer(call: Call) -> Response:
            shown = show(call)
            return shown if isinstance(shown, Response) else page_response(self._renderer, shown)

        return answer

    def _asset(self, call: Call) -> Response:
        asset = self._assets.get(call.params["asset"])
        if asset is None:
            raise ApiError(404, "There is no such file.")
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
        return Response(asset.content, headers=headers, media_type=asset.media_type)


def page_response(renderer: PageRenderer, view: View, status: int = 200) -> Response:
    """Returns a page as an answer, under its policy."""
    headers = {
        "Content-Security-Policy": renderer.policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return Response(renderer.render(view), status, headers, "text/html")


def asks_for_page(method: str, raw_path: str, headers: Headers) -> bool:
    """Says whether a browser asks for something to show, where a client would want JSON."""
    return method in {"GET", "HEAD"} and not raw_path.startswith("/api/") and "text/html" in headers.get("accept", "")
