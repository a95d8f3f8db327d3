"""A file name that is not one and the same file on every machine is refused, with its repository, before it is read."""

import pytest
from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import Repo

from hubtune.errors import HubError
from hubtune.hub.license_facts import fetch_licensed_input
from hubtune.hub.read import resolve
from hubtune.hub.repo_files import require_safe_names
from hubtune.hub.snapshot import fetch
from hubtune.records.base import Pin
from tests.served_hub import ServedHub

BAD = [
    "..\\x.json",
    "C:\\x.json",
    "\\\\srv\\x.json",
    "C:x.json",
    "/etc/x.json",
    "../x.json",
    "a/../../x.json",
    "./x.json",
    "a//x.json",
    "aux.json",
    "data/COM1",
    "nul",
    "con .txt",
    "a\nb.json",
    "a\x1b[31m.json",
    "a\ud800.json",
    "",
]


@pytest.mark.parametrize("name", BAD, ids=ascii)
def test_a_name_that_leads_elsewhere_on_some_machine_is_refused(name: str):
    with pytest.raises(HubError, match="org/thing holds a file called") as caught:
        require_safe_names("org/thing", ["README.md", name])

    assert repr(name) in caught.value.message


@pytest.mark.parametrize(
    "names", [("README.md", "readme.md"), ("caf\u00e9.txt", "cafe\u0301.txt"), ("a/X", "A/x")], ids=ascii
)
def test_names_that_are_one_where_letters_are_not_told_apart_are_refused(names: tuple[str, str]):
    with pytest.raises(HubError, match="the same as"):
        require_safe_names("org/thing", names)


def test_usual_names_and_odd_ones_that_the_hub_allows_are_taken():
    usual = ["a b.json", ".gitattributes", "console.txt", "x/..y"]
    require_safe_names("org/thing", [*usual, "q?.txt", "100%.txt", "ab:c.txt", "\u4f60.txt"])


def test_more_licence_files_than_any_repository_has_are_not_asked_for(served):
    files = {f"LICENSE{number}": b"text" for number in range(60)}
    commit = served.commit("org/thing", {"README.md": b"---\nlicense: mit\n---\n", **files})
    before = len(served.requests())

    with pytest.raises(HubError, match="holds 60 license, notice and policy files beside its card; at most 50 are"):
        fetch_licensed_input(Pin(repo="org/thing", type="model", requested="main", commit=commit))

    assert len(served.requests()) - before <= 2


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
@pytest.mark.parametrize("name", ["..\\x.json", "C:\\x.json", "\\\\srv\\x.json", "aux.json"])
def test_a_hub_that_lists_such_a_file_is_refused_before_anything_is_fetched(served, repo_type: str, name: str):
    served.commit("org/thing", {"x.json": b"{}"}, repo_type)
    commit = _commit_with(served, name, repo_type)
    pin = Pin(repo="org/thing", type=repo_type, requested="main", commit=commit)
    reads = [lambda: resolve("org/thing", repo_type, commit), lambda: fetch(pin), lambda: fetch_licensed_input(pin)]

    for read in reads:
        with pytest.raises(HubError, match="org/thing holds a file called") as caught:
            read()
        assert repr(name) in caught.value.message

    assert not [line for line in served.requests() if "/resolve/" in str(line["path"])]


def _commit_with(served: ServedHub, name: str, repo_type: str) -> str:
    """Makes a commit with a file of that name in the repository itself, which no Hub would take."""
    with Repo(str(served.root / "repos" / f"{repo_type}s" / "org/thing.git")) as git:
        blob, tree, commit = Blob.from_string(b"{}"), Tree(), Commit()
        tree.add(name.encode(), 0o100644, blob.id)
        commit.tree, commit.message = tree.id, b"Add"
        commit.author = commit.committer = b"eve <eve@example.org>"
        commit.author_time = commit.commit_time = 1_700_000_000
        commit.author_timezone = commit.commit_timezone = 0
        for item in (blob, tree, commit):
            git.object_store.add_object(item)
        served.set_ref("org/thing", "refs/heads/main", commit.id.decode(), repo_type)
        return commit.id.decode()
