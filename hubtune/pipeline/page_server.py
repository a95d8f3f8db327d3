"""Previews a card as the Hub shows it, before it is published: over HTTP until it is stopped, or as one HTML file."""

import base64
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from hubtune.errors import HubtuneError, RecordError
from hubtune.localhub.api.admission import Guard
from hubtune.localhub.api.connection import Bodies, Patience
from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.attributes import UNTRUSTED, picture_type
from hubtune.localhub.server import end_signal, served
from hubtune.localhub.web.pages import page_response
from hubtune.localhub.web.repo_pages import read_card
from hubtune.pages.html import inside_path, is_outside
from hubtune.pages.renderer import ASSETS, POLICY, BlindPair, RatingPage, RatingView, Renderer
from hubtune.pipeline.rating import Session, Trial
from hubtune.records.base import write_atomic
from hubtune.records.ratings import Answer
from hubtune.records.rundir import RunDirectory
from hubtune.records.views import ErrorView, PageLocation, RepoName, RepoView

_HOST = "127.0.0.1"
_REVISION = "main"
_CARD = "README.md"
_LARGEST_PICTURE = 20_000_000


def serve_preview(folder: Path, *, port: int, on_ready: Callable[[str], None]) -> None:
    """Serves the card in `folder` to this machine until Ctrl-C; it is read again for each request.

    Args:
        folder: A run directory, or any folder with a README.md.
        port: The port, or 0 for any free one.
        on_ready: Called with the page's address once it can be visited.

    Raises:
        RecordError: There is no card.
        HubError: The port is taken.
    """
    preview = _Preview.open(folder)
    with end_signal() as ended, served(_PreviewApp(preview), _HOST, port, Patience()) as address:
        on_ready(f"{address}/")
        ended.wait()


def write_preview(folder: Path, output: Path) -> None:
    """Writes the card in `folder` as one HTML file that needs no other: with its style and its pictures.

    Raises:
        RecordError: There is no card.
        DiskFullError: There is no room.
    """
    preview = _Preview.open(folder)
    renderer = Renderer(lambda _place, path: _EmbeddedLinks(folder, Path(path).parent.as_posix()), shape="file")
    write_atomic(output, renderer.render(preview.view()))


@dataclass(frozen=True)
class _Preview:
    folder: Path
    name: str

    @classmethod
    def open(cls, folder: Path) -> "_Preview":
        if not (folder / _CARD).is_file():
            raise RecordError(
                f"{folder} has no {_CARD}.", hint=f"For a run, render it first: hubtune card render {folder}"
            )
        return cls(folder, _name(folder))

    @property
    def place(self) -> PageLocation:
        return PageLocation(RepoName("model", self.name, f"/{self.name}"), _REVISION, "")

    def view(self) -> RepoView:
        text = (self.folder / _CARD).read_text(encoding="utf-8", errors="replace")
        return RepoView(self.place, read_card(text, lambda _id, _kind: None), files=0, size=0)


def _name(folder: Path) -> str:
    """Returns the repository that a run is published as; any other folder is shown under its own name."""
    try:
        return RunDirectory.open(folder).config().publish.repo or folder.resolve().name
    except HubtuneError:
        return folder.resolve().name


@dataclass(frozen=True)
class _EmbeddedLinks:
    """Brings each picture along, and has links within the repository lead nowhere, as there is none yet."""

    root: Path
    folder: str

    def link(self, address: str) -> str | None:
        return address if is_outside(address) or address.startswith("#") else None

    def picture(self, address: str) -> str | None:
        path = inside_path(address, self.folder)
        found = None if path is None else _picture(self.root, path)
        if found is None:
            return None
        content, media_type = found
        return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _picture(root: Path, path: str) -> tuple[bytes, str] | None:
    """Returns a picture of the folder and its type; None for other files, and for what a link leads out of it to."""
    file = (root / path).resolve()
    media_type = picture_type(path)
    if media_type is None or not file.is_relative_to(root.resolve()) or not file.is_file():
        return None
    return (file.read_bytes(), media_type) if file.stat().st_size <= _LARGEST_PICTURE else None


class _PreviewApp:
    """One page, what it refers to, and errors for the rest."""

    def __init__(self, preview: _Preview) -> None:
        self._preview = preview
        self._guard = Guard(_HOST)
        self._renderer = Renderer(shape="preview")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await anyio.to_thread.run_sync(partial(self._answer, Request(scope)))
        await response(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        try:
            self._guard.check(request.method, request.headers)
        except ApiError as error:
            return self._failure(error.status, error.message)
        if request.method not in {"GET", "HEAD"}:
            return self._failure(405, "A preview is for reading only.")
        path = request.url.path
        for asset in self._renderer.assets:
            if path == f"/-/{asset.name}":
                return Response(asset.content, media_type=asset.media_type, headers={"Cache-Control": "no-store"})
        if path in {"/", f"/{self._preview.name}"}:
            return self._page()
        found = _picture(self._preview.folder, path.removeprefix(f"/{self._preview.name}/resolve/{_REVISION}/"))
        if found is None:
            return self._failure(404, "A preview shows the card alone. On a Hub, this would lead to another page.")
        content, media_type = found
        return Response(content, media_type=media_type, headers={**UNTRUSTED, "Cache-Control": "no-store"})

    def _page(self) -> Response:
        try:
            return page_response(self._renderer, self._preview.view())
        except OSError as error:
            return self._failure(404, f"{_CARD} cannot be read: {error.strerror}")

    def _failure(self, status: int, message: str) -> Response:
        return page_response(self._renderer, ErrorView(status, message), status)


_LOOPBACK = "127.0.0.1"
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
    with end_signal() as ended, served(app, _LOOPBACK, port, Patience()) as address:
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
        self._guard = Guard(_LOOPBACK)
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
