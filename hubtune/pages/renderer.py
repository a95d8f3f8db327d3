"""Makes the pages: one template for each kind of view, and one stylesheet for all."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hubtune.pages.formats import FILTERS
from hubtune.pages.links import Links, RepoLinks
from hubtune.pages.markdown import Prose, render_markdown
from hubtune.records.views import (
    Asset,
    CommitView,
    DiscussionView,
    ErrorView,
    FileView,
    HistoryView,
    HomeView,
    Place,
    RefsView,
    RepoView,
    TreeView,
    View,
)

_HERE = Path(__file__).parent
_TEMPLATES: dict[type[View], str] = {
    HomeView: "home.html.j2",
    RepoView: "repo.html.j2",
    TreeView: "tree.html.j2",
    FileView: "file.html.j2",
    HistoryView: "history.html.j2",
    CommitView: "commit.html.j2",
    RefsView: "refs.html.j2",
    DiscussionView: "discussion.html.j2",
    ErrorView: "error.html.j2",
}
_MOST_LINES = 10_000
_POLICY = "default-src 'none'; {}; base-uri 'none'; form-action 'self'"
_FILE_POLICY = _POLICY.format("style-src 'unsafe-inline'; img-src data:")

Shape = Literal["hub", "preview", "file"]
LinksOf = Callable[[Place, str], Links]
"""Returns the links of the Markdown file at a path."""


def hub_links(place: Place, path: str) -> Links:
    """Returns links to the pages and downloads of the Hub itself."""
    return RepoLinks.of_file(place.repo.path, place.revision, path)


def page_environment(shape: Shape) -> Environment:
    """Returns the engine of all pages: it escapes whatever a template writes, and undefined names are errors."""
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


def page_asset(name: str, media_type: str) -> Asset:
    """Returns a file that stands beside this module and that pages refer to."""
    return Asset(name, media_type, (_HERE / name).read_bytes())


SHARED_ASSETS = (page_asset("style.css", "text/css"), page_asset("icon.svg", "image/svg+xml"))
"""What every page refers to."""


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
            # The stylesheet is part of this program.
            self._environment.globals["style"] = Markup(style)  # noqa: S704

    @property
    def assets(self) -> tuple[Asset, ...]:
        """The stylesheet and the icon."""
        return SHARED_ASSETS

    @property
    def policy(self) -> str:
        """Nothing but what the Hub itself serves, no script, and no other page around this one."""
        return _POLICY.format("style-src 'self'; img-src 'self'") + "; frame-ancestors 'none'"

    def render(self, view: View) -> str:
        """Returns the page."""
        prose = self._prose(view)
        lines = view.text.splitlines() if isinstance(view, FileView) and prose is None else []
        return self._environment.get_template(
            _TEMPLATES[type(view)]
        ).render(
            view=view,
            # What the sanitiser wrote.
            prose=Markup(prose.html) if prose else None,  # noqa: S704
            note=prose.note if prose else None,
            lines=lines[:_MOST_LINES],
            left_out=max(0, len(lines) - _MOST_LINES),
        )

    def _prose(self, view: View) -> Prose | None:
        if isinstance(view, RepoView) and view.card is not None:
            return render_markdown(view.card.text, self._links(view.place, "README.md"))
        if isinstance(view, FileView) and view.kind == "markdown" and not view.plain:
            return render_markdown(view.text, self._links(view.place, view.path))
        return None
