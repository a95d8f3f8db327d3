"""The page on which a rater compares two texts. It is told nothing of whose they are, so it cannot give that away."""

from dataclasses import dataclass

from hubtune.pages.renderer import SHARED_ASSETS, page_asset, page_environment

ASSETS = (*SHARED_ASSETS, page_asset("rating.css", "text/css"), page_asset("rating.js", "text/javascript"))
"""The files that the page refers to, at `/-/` and their names."""

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""The Content-Security-Policy under which the page works: nothing but what this program itself serves."""


@dataclass(frozen=True)
class BlindPair:
    """Two texts that go on from a prompt."""

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
        pair: The next one; None where all are answered.
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
