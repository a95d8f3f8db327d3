"""A repository's first page: its card, and what else a visitor wants to know at once."""

from dulwich.objects import ObjectID
from dulwich.repo import Repo

from hubtune.localhub.accounts import may_read
from hubtune.localhub.api.call import Call
from hubtune.localhub.errors import ApiError
from hubtune.localhub.history import walk
from hubtune.localhub.ids import RepoId, RepoType
from hubtune.localhub.trees import file_facts, list_files, read_file
from hubtune.localhub.web.card import read_card
from hubtune.localhub.web.places import commit_line, place, ref_lines
from hubtune.records.views import Card, RepoKind, RepoView


def first_page(call: Call) -> RepoView:
    """GET /[datasets/|spaces/]{id}."""
    with call.open() as (repo, git, head):
        history = list(walk(git, head))
        sizes = [file_facts(git, entry.oid).size for entry in list_files(git, head)]
        return RepoView(
            place=place(call, repo, head),
            card=read_readme(call, git, head),
            files=len(sizes),
            size=sum(sizes),
            last_commit=commit_line(history[0]),
            commits=len(history),
            branches=ref_lines(git, "refs/heads"),
            tags=ref_lines(git, "refs/tags"),
            endpoint=call.endpoint,
        )


def read_readme(call: Call, git: Repo, commit: ObjectID) -> Card | None:
    """Returns the card of a commit, or None where it has none."""
    content = read_file(git, commit, "README.md")
    if content is None:
        return None

    def find(text: str, kind: RepoKind) -> str | None:
        try:
            repo = call.hub.repos.find(RepoId.parse(RepoType(kind), text))
        except ApiError:
            return None
        return f"/{repo.id.url_path}" if repo is not None and may_read(call.user, repo) else None

    return read_card(content.decode(errors="replace"), find)
