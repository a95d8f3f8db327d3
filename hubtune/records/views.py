"""The data of a Hub's pages: plain values that the embedded Hub and the card preview fill in, and `pages` renders.

They are in this layer because the embedded Hub does not depend on how pages look, and `pages` does not depend on a
store.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

RepoKind = Literal["model", "dataset", "space"]
FileKind = Literal["text", "markdown", "picture", "large", "binary"]
ChangeKind = Literal["added", "changed", "removed"]


@dataclass(frozen=True)
class RepoName:
    """A repository.

    Attributes:
        path: The path of its page, such as `/datasets/org/quotes`.
    """

    kind: RepoKind
    id: str
    path: str


@dataclass(frozen=True)
class CommitRow:
    """A commit in a list."""

    sha: str
    title: str
    author: str
    date: datetime
    message: str = ""


@dataclass(frozen=True)
class RefLine:
    """A branch, a tag or a pull request's branch, and the commit that it means."""

    name: str
    commit: str


@dataclass(frozen=True)
class PageLocation:
    """The repository that a page is about, and the revision of it.

    Attributes:
        revision: As the address names it: a branch, a tag or a commit.
        commit: 40 hexadecimal digits: what the revision means now.
    """

    repo: RepoName
    revision: str
    commit: str
    private: bool = False
    gated: bool = False


@dataclass(frozen=True)
class Reference:
    """Another repository that a card names.

    Attributes:
        path: Of its page on this Hub, or None if this Hub has none to show.
    """

    id: str
    path: str | None = None


@dataclass(frozen=True)
class ResultRow:
    """A value of a card's `model-index`."""

    task: str
    dataset: str
    metric: str
    value: str


@dataclass(frozen=True)
class CardFacts:
    """The metadata of a card that a page shows.

    Attributes:
        license: The identifier, or the card's own name for a license that has none.
        license_link: Where its text is, as the card says: a file of the repository or an address.
        relation: How the model was made from its base models, such as `adapter`.
    """

    license: str | None = None
    license_link: str | None = None
    base_models: tuple[Reference, ...] = ()
    relation: str | None = None
    datasets: tuple[Reference, ...] = ()
    languages: tuple[str, ...] = ()
    task: str | None = None
    library: str | None = None
    tags: tuple[str, ...] = ()
    results: tuple[ResultRow, ...] = ()


@dataclass(frozen=True)
class CardView:
    """A README.

    Attributes:
        text: The Markdown below the front matter.
        facts: What the front matter says.
        problem: Why the front matter could not be read, or None.
    """

    text: str
    facts: CardFacts = CardFacts()
    problem: str | None = None


@dataclass(frozen=True)
class RepoRow:
    """A repository in a list."""

    repo: RepoName
    updated: datetime
    private: bool
    gated: bool
    facts: CardFacts


@dataclass(frozen=True)
class HomeView:
    """The list of repositories.

    Attributes:
        kind: What is listed, or None for models and datasets.
        query: What was searched for.
        rows: Those of this page, the latest first.
        total: How many match.
        page: Counted from 0.
        pages: How many pages there are; at least one.
    """

    kind: RepoKind | None
    query: str
    rows: tuple[RepoRow, ...]
    total: int
    page: int
    pages: int


@dataclass(frozen=True)
class RepoView:
    """A repository's first page.

    Attributes:
        card: None if the revision has no README.
        files: How many there are, and `size` their bytes; of no meaning in a preview.
        last_commit: None if there is no history: in a preview.
        endpoint: The Hub's address, for the commands that fetch the repository; None in a preview.
    """

    place: PageLocation
    card: CardView | None
    files: int
    size: int
    last_commit: CommitRow | None = None
    commits: int = 0
    branches: tuple[RefLine, ...] = ()
    tags: tuple[RefLine, ...] = ()
    endpoint: str | None = None


@dataclass(frozen=True)
class FileRow:
    """A file or folder in a listing.

    Attributes:
        size: Bytes; None for a folder.
        large: Whether git holds only a pointer to it.
        last_commit: The newest commit that changed it, if that was looked up.
    """

    path: str
    size: int | None
    large: bool = False
    last_commit: CommitRow | None = None


@dataclass(frozen=True)
class TreeView:
    """A folder.

    Attributes:
        path: Empty for the root.
        total: How many entries it has; `rows` may be fewer.
    """

    place: PageLocation
    path: str
    rows: tuple[FileRow, ...]
    total: int


@dataclass(frozen=True)
class FileView:
    """A file.

    Attributes:
        text: What to show of it, for `text` and `markdown`.
        sha256: Of its content; None if that was not computed.
        plain: Whether Markdown is asked for as text.
    """

    place: PageLocation
    path: str
    kind: FileKind
    size: int
    large: bool
    sha256: str | None
    last_commit: CommitRow | None
    text: str = ""
    plain: bool = False


@dataclass(frozen=True)
class HistoryView:
    """The commits behind a revision, the newest first, a page at a time."""

    place: PageLocation
    rows: tuple[CommitRow, ...]
    total: int
    page: int
    pages: int


@dataclass(frozen=True)
class ChangedFile:
    """A file that a commit changed."""

    path: str
    kind: ChangeKind


@dataclass(frozen=True)
class CommitView:
    """One commit and the files that it changed.

    Attributes:
        total: How many files it changed; `changes` may be fewer.
    """

    place: PageLocation
    commit: CommitRow
    parents: tuple[str, ...]
    changes: tuple[ChangedFile, ...]
    total: int


@dataclass(frozen=True)
class RefsView:
    """The branches, tags and pull requests of a repository."""

    place: PageLocation
    branches: tuple[RefLine, ...]
    tags: tuple[RefLine, ...]
    pulls: tuple[RefLine, ...]


@dataclass(frozen=True)
class DiscussionEvent:
    """What somebody did in a discussion.

    Attributes:
        what: What it was, in words to follow the author's name.
        text: A comment as it was typed, or what was changed; may be empty.
    """

    author: str
    date: datetime
    what: str
    text: str = ""


@dataclass(frozen=True)
class DiscussionView:
    """A discussion or pull request.

    Attributes:
        base: The branch that a pull request wants to change.
        merge_commit: The commit that merged it, or None.
        events: The last ones, the oldest first.
        total: How many there are.
    """

    place: PageLocation
    num: int
    title: str
    author: str
    created: datetime
    status: str
    pull_request: bool
    base: str
    merge_commit: str | None
    events: tuple[DiscussionEvent, ...]
    total: int


@dataclass(frozen=True)
class ErrorView:
    """A page that cannot be shown."""

    status: int
    message: str


View = HomeView | RepoView | TreeView | FileView | HistoryView | CommitView | RefsView | DiscussionView | ErrorView


@dataclass(frozen=True)
class Asset:
    """A file that pages refer to, at `/-/` and its name."""

    name: str
    media_type: str
    content: bytes


class PageRenderer(Protocol):
    """Renders views as HTML."""

    @property
    def assets(self) -> tuple[Asset, ...]:
        """The files that the pages refer to."""

    @property
    def policy(self) -> str:
        """The Content-Security-Policy of the pages."""

    def render(self, view: View) -> str:
        """Returns the page."""
