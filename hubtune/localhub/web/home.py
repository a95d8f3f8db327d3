"""The lists of repositories: all that the reader may see, searched by name."""

from collections.abc import Iterator

from dulwich.objects import ObjectID

from hubtune.localhub.accounts import may_read
from hubtune.localhub.api.call import Call
from hubtune.localhub.ids import RepoType
from hubtune.localhub.repos import HubRepo
from hubtune.localhub.revisions import MAIN, read_ref
from hubtune.localhub.web.places import kind_of, read_commit, repo_name
from hubtune.localhub.web.repo import read_readme
from hubtune.records.views import CardFacts, CommitLine, HomeView, RepoRow

_PAGE = 30
_FAR = 10**6


def listed(call: Call) -> HomeView:
    """GET /, /models, /datasets and /spaces."""
    query = call.query.get("search", "").strip()[:200]
    asked = call.params.get("type")
    types = (RepoType.from_plural(asked),) if asked else (RepoType.MODEL, RepoType.DATASET)
    words = query.casefold().split()
    found = [
        (head, repo)
        for type_ in types
        for repo, head in _visible(call, type_)
        if all(word in str(repo.id).casefold() for word in words)
    ]
    found.sort(key=lambda item: (item[0].date, str(item[1].id)), reverse=True)
    pages = max(1, -(-len(found) // _PAGE))
    page = min(call.number("p", 0, least=0, most=_FAR), pages - 1)
    return HomeView(
        kind=kind_of(types[0]) if asked else None,
        query=query,
        rows=tuple(_row(call, repo, head) for head, repo in found[page * _PAGE : (page + 1) * _PAGE]),
        total=len(found),
        page=page,
        pages=pages,
    )


def _visible(call: Call, type_: RepoType) -> Iterator[tuple[HubRepo, CommitLine]]:
    for repo in call.hub.repos.list(type_):
        if may_read(call.user, repo):
            with repo.git() as git:
                head = read_ref(git, MAIN)
                if head is not None:
                    yield repo, read_commit(git, head)


def _row(call: Call, repo: HubRepo, head: CommitLine) -> RepoRow:
    with repo.git() as git:
        card = read_readme(call, git, ObjectID(head.sha.encode()))
    return RepoRow(
        repo=repo_name(repo.id),
        updated=head.date,
        private=repo.settings.private,
        gated=bool(repo.settings.gated),
        facts=card.facts if card else CardFacts(),
    )
