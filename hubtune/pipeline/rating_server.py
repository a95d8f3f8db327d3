"""Serves the rating page to this machine: one rater, at an address that nobody else can guess."""

import hmac
import secrets
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qs

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from hubtune.errors import HubtuneError
from hubtune.localhub.api.bodies import Bodies
from hubtune.localhub.api.connection import Patience
from hubtune.localhub.api.guard import Guard
from hubtune.localhub.errors import ApiError
from hubtune.localhub.server import end_signal, served
from hubtune.pages.rating import ASSETS, POLICY, BlindPair, RatingPage, RatingView
from hubtune.pipeline.rating import Session, Trial
from hubtune.records.ratings import Answer

_HOST = "127.0.0.1"
_MOST_BYTES = 1000
_ANSWERS: dict[str, Answer] = {"a": "a", "b": "b", "tie": "tie"}
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # A page from a cache would ask again for what was answered.
    "Cache-Control": "no-store",
}


def serve_rating(session: Session, *, port: int, on_ready: Callable[[str], None]) -> None:
    """Serves the page until Ctrl-C; to be called from the main thread.

    Args:
        session: The rater's.
        port: The port, or 0 for any free one.
        on_ready: Called with the page's address once it can be visited.

    Raises:
        HubError: The port is taken.
    """
    app = RatingApp(session)
    with end_signal() as ended, served(app, _HOST, port, Patience()) as address:
        on_ready(f"{address}{app.path}")
        ended.wait()


class RatingApp:
    """The page, the answers that it sends, and what it refers to.

    Args:
        session: The rater's.

    Attributes:
        path: The page's path, with a random part: whoever does not know it can neither see nor answer.
    """

    def __init__(self, session: Session) -> None:
        self.path = f"/{secrets.token_urlsafe(24)}/"
        self._session = session
        self._guard = Guard(_HOST)
        self._bodies = Bodies()
        self._page = RatingPage()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            self._guard.check(request.method, request.headers)
            async with self._bodies.read(request, _MOST_BYTES) as body:
                response = await anyio.to_thread.run_sync(partial(self._answer, request, body))
        except ApiError as error:
            response = self._problem(error.status, error.message)
        await response(scope, receive, send)

    def _answer(self, request: Request, body: bytes) -> Response:
        path = request.url.path
        for asset in ASSETS:
            if path == f"/-/{asset.name}":
                return Response(asset.content, media_type=asset.media_type, headers=_HEADERS)
        if not hmac.compare_digest(path.encode(), self.path.encode()):
            return self._problem(404, "There is no such page. The whole address stands where hubtune was started.")
        try:
            if request.method == "POST":
                return self._keep(body)
            if request.method in {"GET", "HEAD"}:
                return self._show()
        except HubtuneError as error:
            return self._problem(500, f"{error.message} {error.hint or ''}".strip())
        return self._problem(405, "This page is for reading and for answers.")

    def _show(self) -> Response:
        found = self._session.next()
        pair = BlindPair(found.prompt, found.a, found.b) if isinstance(found, Trial) else None
        answered = found.answered if isinstance(found, Trial) else found.total
        return self._rendered(RatingView(self._session.rater, self.path, answered, found.total, pair))

    def _keep(self, body: bytes) -> Response:
        fields = parse_qs(body.decode(errors="replace"))
        answered, answer = fields.get("answered", [""])[0], fields.get("answer", [""])[0]
        if not answered.isascii() or not answered.isdecimal() or len(answered) > 9:
            return self._problem(400, "The answer does not say to which pair.")
        if answer == "undo":
            self._session.undo(int(answered))
        elif answer in _ANSWERS:
            self._session.answer(int(answered), _ANSWERS[answer])
        else:
            return self._problem(400, "There is no such answer.")
        # One that came twice, or from a page that was left open, changed nothing: the page says where things are.
        return RedirectResponse(self.path, 303, headers=_HEADERS)

    def _problem(self, status: int, message: str) -> Response:
        return self._rendered(RatingView(problem=message), status)

    def _rendered(self, view: RatingView, status: int = 200) -> Response:
        return Response(self._page.render(view), status, _HEADERS, "text/html")
