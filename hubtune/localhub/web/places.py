"""The parts that several pages share: which repository and revision, commits and refs."""

from datetime import UTC, datetime
from typing import cast

from dulwich.objects import Commit, ObjectID
from dulwich.repo import Repo

from hubtune.localhub.api.call import Call
from hubtune.localhub.history import author_name, description, title
from hubtune.localhub.ids import RepoId, RepoType
from hubtune.localhub.refs import list_refs
from hubtune.localhub.repos import HubRepo
from hubtune.records.views import CommitLine, Place, RefLine, RepoKind, RepoName


def kind_of(type_: RepoType) -> RepoKind:
    """Returns a type of repositories as pages name it."""
    return type_.value


def repo_name(repo_id: RepoId) -> RepoName:
    """Returns a repository as pages name it."""
    return RepoName(kind_of(repo_id.type), str(repo_id), f"/{repo_id.url_path}")


def place(call: Call, repo: HubRepo, commit: ObjectID) -> Place:
    """Returns the repository and revision that a request asks for."""
    settings = repo.settings
    return Place(repo_name(repo.id), call.revision, commit.decode(), settings.private, bool(settings.gated))


def commit_line(commit: Commit) -> CommitLine:
    """Returns a commit as pages list it."""
    return CommitLine(
        sha=commit.id.decode(),
        title=title(commit) or "(no message)",
        author=author_name(commit),
        date=datetime.fromtimestamp(commit.commit_time, UTC),
        message=description(commit),
    )


def read_commit(git: Repo, sha: ObjectID) -> CommitLine:
    """Returns the commit with this digest."""
    return commit_line(cast("Commit", git[sha]))


def ref_lines(git: Repo, base: str) -> tuple[RefLine, ...]:
    """Returns the refs below `refs/heads`, `refs/tags` or another base."""
    return tuple(RefLine(ref.name, ref.commit) for ref in list_refs(git, base))
