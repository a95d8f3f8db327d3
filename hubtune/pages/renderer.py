"""Renders the pages: one template for each kind of view, one stylesheet for all; and the rating page."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hubtune.pages.html import Links, Prose, RepoLinks, render_markdown
from hubtune.records import views

_UNITS = ("B", "kB", "MB", "GB", "TB")
_HERE = Path(__file__).parent
_TEMPLATES: dict[type[views.View], str] = {
    views.HomeView: "home.html.j2",
    views.RepoView: "repo.html.j2",
    views.TreeView: "tree.html.j2",
    views.FileView: "file.html.j2",
    views.HistoryView: "history.html.j2",
    views.CommitView: "commit.html.j2",
    views.RefsView: "refs.html.j2",
    views.DiscussionView: "discussion.html.j2",
    views.ErrorView: "error.html.j2",
}
_MOST_LINES = 10_000
_POLICY = "default-src 'none'; {}; base-uri 'none'; form-action 'self'"
_FILE_POLICY = _POLICY.format("style-src 'unsafe-inline'; img-src data:")
Shape = Literal["hub", "preview", "file"]
LinksOf = Callable[[views.PageLocation, str], Links]
"""Returns the links of the Markdown file at a path."""

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""The Content-Security-Policy under which the page works: nothing but what this program itself serves."""


def size(count: int) -> str:
    """Returns a number of bytes for people, in powers of 1000 as the Hub has them."""
    value = float(count)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"


def number(count: int) -> str:
    """Returns a whole number with thousands separators."""
    return f"{count:,}".replace(",", "\u202f")


def counted(count: int, one: str, many: str | None = None) -> str:
    """Returns a count with its noun."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def date(when: datetime) -> str:
    """Returns a day."""
    return f"{when.day} {when:%b %Y}"


def moment(when: datetime) -> str:
    """Returns a day and a time of day; all times are UTC."""
    return f"{when.day} {when:%b %Y, %H:%M} UTC"


def short(sha: str) -> str:
    """Returns the short form of a commit."""
    return sha[:8]


def segment(text: str) -> str:
    """Returns a text as one segment of an address, as branches with a slash need it."""
    return quote(text, safe="")


def path(text: str) -> str:
    """Returns a path as part of an address."""
    return quote(text)


def name(text: str) -> str:
    """Returns the last part of a path."""
    return text.rpartition("/")[2]


def parents(text: str) -> list[tuple[str, str]]:
    """Returns name and path of each folder above a path, from the root down."""
    parts = text.split("/")[:-1]
    return [(part, "/".join(parts[: n + 1])) for n, part in enumerate(parts)]


FILTERS: dict[str, Callable[..., object]] = {
    "counted": counted,
    "date": date,
    "moment": moment,
    "name": name,
    "number": number,
    "parents": parents,
    "path": path,
    "segment": segment,
    "short": short,
    "size": size,
}


def hub_links(place: views.PageLocation, path: str) -> Links:
    """Returns links to the pages and downloads of the Hub itself."""
    return RepoLinks.of_file(place.repo.path, place.revision, path)


def page_environment(shape: Shape) -> Environment:
    """Returns the engine of all pages: it escapes everything that a template prints, and undefined names are errors."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(shape=shape, file_policy=_FILE_POLICY, style="")
    return environment


def page_asset(name: str, media_type: str) -> views.Asset:
    """Returns a file that stands beside this module and that pages refer to."""
    return views.Asset(name, media_type, (_HERE / name).read_bytes())


SHARED_ASSETS = (page_asset("style.css", "text/css"), page_asset("icon.svg", "image/svg+xml"))
"""What every page refers to."""


def _as_it_is(html: str) -> Markup:
    return Markup(html)  # noqa: S704 - what the sanitizer wrote, and this program's own stylesheet


class Renderer:
    """Renders pages.

    Args:
        links: Where the links of Markdown files lead.
        shape: `hub` for pages among others, `preview` for a page without others, `file` for one that is a file of its
            own, with the stylesheet in it.
    """

    def __init__(self, links: LinksOf = hub_links, *, shape: Shape = "hub") -> None:
        self._links = links
        style = (_HERE / "style.css").read_text(encoding="utf-8")
        self._environment = page_environment(shape)
        if shape == "file":
            self._environment.globals["style"] = _as_it_is(style)

    @property
    def assets(self) -> tuple[views.Asset, ...]:
        """The stylesheet and the icon."""
        return SHARED_ASSETS

    @property
    def policy(self) -> str:
        """Only content from the Hub itself, no scripts, and no embedding in other pages."""
        return _POLICY.format("style-src 'self'; img-src 'self'") + "; frame-ancestors 'none'"

    def render(self, view: views.View) -> str:
        """Returns the page."""
        prose = self._prose(view)
        lines = view.text.splitlines() if isinstance(view, views.FileView) and prose is None else []
        return self._environment.get_template(_TEMPLATES[type(view)]).render(
            view=view,
            prose=_as_it_is(prose.html) if prose else None,
            note=prose.note if prose else None,
            lines=lines[:_MOST_LINES],
            left_out=max(0, len(lines) - _MOST_LINES),
        )

    def _prose(self, view: views.View) -> Prose | None:
        if isinstance(view, views.RepoView) and view.card is not None:
            return render_markdown(view.card.text, self._links(view.place, "README.md"))
        if isinstance(view, views.FileView) and view.kind == "markdown" and not view.plain:
            return render_markdown(view.text, self._links(view.place, view.path))
        return None


ASSETS = (*SHARED_ASSETS, page_asset("rating.css", "text/css"), page_asset("rating.js", "text/javascript"))
"""The files that the page refers to, at `/-/` and their names."""


@dataclass(frozen=True)
class BlindPair:
    """Two texts that continue from a prompt."""

    prompt: str
    a: str
    b: str


@dataclass(frozen=True)
class RatingView:
    """What the page shows.

    Attributes:
        rater: Who rates.
        action: Where the answer goes.
        answered: How many pairs this rater has answered, of `total`.
        pair: The next one; None if all are answered.
        problem: Why nothing can be shown, or None.
    """

    rater: str = ""
    action: str = ""
    answered: int = 0
    total: int = 0
    pair: BlindPair | None = None
    problem: str | None = None


class RatingPage:
    """Renders the page."""

    def __init__(self) -> None:
        self._template = page_environment("preview").get_template("rating.html.j2")

    def render(self, view: RatingView) -> str:
        """Returns the page."""
        if view.problem is not None:
            heading = "That did not work"
        elif view.pair is None:
            heading = "All rated"
        else:
            heading = f"Pair {view.answered + 1} of {view.total}"
        return self._template.render(view=view, heading=heading)
