"""A revision becomes a commit, with what the repository states there."""

import pytest

from hubtune.errors import AmbiguousRevisionError, RepoNotFoundError
from hubtune.hub.read import Identity, find_tag, repo_url, resolve, whoami
from hubtune.hub.repo_files import digests_at, read_file
from hubtune.records.base import sha256_bytes

CARD = b"---\nlicense: apache-2.0\n---\n# Model\n"


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
def test_every_kind_of_revision_becomes_its_commit(served, repo_type: str):
    first = served.commit("org/thing", {"README.md": CARD}, repo_type)
    served.api.create_tag("org/thing", tag="v1", revision=first, repo_type=repo_type)
    served.api.create_branch("org/thing", branch="old", revision=first, repo_type=repo_type)
    second = served.commit("org/thing", {"b.txt": b"b"}, repo_type)

    found = {revision: resolve("org/thing", repo_type, revision).commit for revision in ("main", "v1", "old", first)}

    assert found == {"main": second, "v1": first, "old": first, first: first}


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
@pytest.mark.parametrize("name", ["v1", "refs/tags/v1"])
def test_a_name_that_is_a_branch_and_a_tag_is_refused_with_both_commits(served, repo_type: str, name: str):
    first = served.commit("org/thing", {"README.md": CARD}, repo_type)
    second = served.commit("org/thing", {"b.txt": b"b"}, repo_type)
    served.set_ref("org/thing", "refs/tags/v1", first, repo_type)
    served.set_ref("org/thing", f"refs/heads/{name}", second, repo_type)

    with pytest.raises(AmbiguousRevisionError, match=f"{name} of org/thing has two meanings") as caught:
        resolve("org/thing", repo_type, name)

    assert all(any(commit in line for line in caught.value.details) for commit in (first, second))
    assert resolve("org/thing", repo_type, first).commit == first


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
def test_main_is_what_clients_get_also_beside_a_tag_of_that_name(served, repo_type: str):
    first = served.commit("org/thing", {"README.md": CARD}, repo_type)
    served.commit("org/thing", {"b.txt": b"b"}, repo_type)
    # The embedded Hub refuses such a tag; others may hold one.
    served.set_ref("org/thing", "refs/tags/main", first, repo_type)

    info = served.api.repo_info("org/thing", revision="main", repo_type=repo_type)

    assert resolve("org/thing", repo_type, "main").commit == info.sha


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
@pytest.mark.parametrize("kind", ["heads", "tags"])
@pytest.mark.parametrize("digits", [7, 12])
def test_a_branch_or_tag_that_is_called_as_a_commit_begins_is_refused(served, repo_type: str, kind: str, digits: int):
    first = served.commit("org/thing", {"README.md": CARD}, repo_type)
    second = served.commit("org/thing", {"b.txt": b"b"}, repo_type)
    served.set_ref("org/thing", f"refs/{kind}/{first[:digits]}", second, repo_type)

    with pytest.raises(AmbiguousRevisionError) as caught:
        resolve("org/thing", repo_type, first[:digits])

    assert all(any(commit in line for line in caught.value.details) for commit in (first, second))


def test_names_with_one_meaning_are_taken_also_where_they_look_like_digits(served):
    first = served.commit("org/thing", {"README.md": CARD})
    served.set_ref("org/thing", "refs/heads/deadbeef", first)
    for kind in ("heads", "tags"):
        served.set_ref("org/thing", f"refs/{kind}/same", first)

    assert {
        resolve("org/thing", "model", name).commit for name in ("deadbeef", "same", first[:9], "refs/heads/main")
    } == {first}


def test_licence_and_sizes_are_those_of_the_revision(served):
    first = served.commit("org/thing", {"README.md": CARD, "data.bin": b"12345"})
    served.commit("org/thing", {"README.md": b"---\nlicense: mit\n---\n"})

    found = resolve("org/thing", "model", first)

    assert found.license == "apache-2.0"
    assert found.files["data.bin"] == 5
    assert found.files["README.md"] == len(CARD)
    assert found.gated is False


@pytest.mark.parametrize("card", [None, b"# No front matter\n", b"---\ntags: [x]\n---\n"])
def test_a_card_that_states_no_licence_gives_none(served, card: bytes | None):
    served.commit("org/thing", {"a.txt": b"a", **({"README.md": card} if card else {})})

    assert resolve("org/thing", "model", "main").license is None


@pytest.mark.parametrize(
    ("token", "identity"),
    [
        ("hf_annannann", Identity("ann", frozenset({"org"}), "write")),
        ("hf_robrobrob", Identity("rob", frozenset({"org"}), "read")),
        ("hf_eveeveeve", Identity("eve", frozenset(), "write")),
    ],
)
def test_a_token_tells_who_it_belongs_to(guarded_hub, monkeypatch, token: str, identity: Identity):
    monkeypatch.setenv("HF_TOKEN", token)

    assert whoami() == identity


@pytest.mark.parametrize(
    ("role", "namespace", "may"),
    [
        ("write", "Ann", True),
        ("write", "ORG", True),
        ("write", "eve", False),
        ("read", "ann", False),
        ("pr", "org", False),
    ],
)
def test_a_namespace_is_writable_by_its_owner_with_the_right_role(role: str, namespace: str, may: bool):
    assert Identity("ann", frozenset({"org"}), role).may_write_to(namespace) is may


def test_a_tag_is_found_with_the_commit_that_it_is_on(served):
    first = served.commit("org/thing", {"a.txt": b"a"})
    served.api.create_tag("org/thing", tag="v1", revision=first)
    served.commit("org/thing", {"a.txt": b"b"})

    assert find_tag("org/thing", "v1") == first
    assert find_tag("org/thing", "v2") is None


def test_the_address_of_a_repository_is_on_the_hub_in_use(served):
    assert repo_url("org/thing", "v1") == f"{served.url}/org/thing/tree/v1"
    assert repo_url("org/thing", "v1", "dataset") == f"{served.url}/datasets/org/thing/tree/v1"


def test_digests_are_those_of_the_files_at_the_commit_both_small_and_large(served):
    first = served.commit("org/thing", {"a.txt": b"a", "w.safetensors": b"large", "sub/b.txt": b"b"})
    served.commit("org/thing", {"a.txt": b"changed"})

    found = digests_at("org/thing", first, {"a.txt", "w.safetensors", "sub/b.txt", "none.txt"})

    assert found == {
        "a.txt": sha256_bytes(b"a"),
        "w.safetensors": sha256_bytes(b"large"),
        "sub/b.txt": sha256_bytes(b"b"),
    }


def test_a_file_is_read_at_its_commit_and_a_missing_one_is_none(served):
    first = served.commit("org/thing", {"a.txt": b"\xff\r\n"})
    served.commit("org/thing", {"a.txt": b"changed"})

    assert read_file("org/thing", first, "a.txt") == b"\xff\r\n"
    assert read_file("org/thing", first, "none.txt") is None


@pytest.mark.parametrize("name", ["a b", "org/x--y", "a/b/c", ""])
def test_a_name_that_no_repository_can_have_is_not_found(name: str):
    with pytest.raises(RepoNotFoundError, match="is not a name that a repository can have"):
        resolve(name, "model", "main")
