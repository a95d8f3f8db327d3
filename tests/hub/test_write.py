"""A commit is made on the parent that it was planned on or not at all, and a tag never moves."""

from pathlib import Path

import pytest

from hubtune.errors import CardError, PublishConflictError, TagExistsError
from hubtune.hub.license_facts import languages_of
from hubtune.hub.write import CommitDraft, commit, create_repo, create_tag, tag_taken

REPO = "org/thing"


def _files(hub, revision: str = "main") -> set[str]:
    return set(hub.api.list_repo_files(REPO, revision=revision)) - {".gitattributes"}


def test_one_commit_adds_and_deletes(served, tmp_path: Path):
    parent = served.commit(REPO, {"old.txt": b"old", "mine.txt": b"mine"})
    (tmp_path / "w.safetensors").write_bytes(b"weights")

    made = commit(
        REPO,
        CommitDraft({"a.txt": b"a", "w.safetensors": tmp_path / "w.safetensors"}, parent, "Second", delete=["old.txt"]),
    )

    assert _files(served, made) == {"a.txt", "w.safetensors", "mine.txt"}
    assert [entry.commit_id for entry in served.api.list_repo_commits(REPO)][:2] == [made, parent]


def test_a_commit_on_a_parent_that_is_not_the_head_any_more_is_a_conflict(served):
    parent = served.commit(REPO, {"a.txt": b"a"})
    head = served.commit(REPO, {"a.txt": b"b"})

    with pytest.raises(PublishConflictError, match=parent):
        commit(REPO, CommitDraft({"c.txt": b"c"}, parent, "Late"))

    assert served.head(REPO) == head
    assert _files(served) == {"a.txt"}


def test_a_commit_that_changes_nothing_gives_its_parent(served):
    parent = served.commit(REPO, {"a.txt": b"a"})

    assert commit(REPO, CommitDraft({"a.txt": b"a"}, parent, "Same")) == parent


def test_a_card_with_metadata_that_the_hub_refuses_stops_the_commit(served):
    parent = served.commit(REPO, {"a.txt": b"a"})

    files = {"README.md": b"---\nlicense: [5]\n---\n", "w.safetensors": b"w"}

    with pytest.raises(CardError) as caught:
        commit(REPO, CommitDraft(files, parent, "Bad card"))

    assert any("license" in line for line in caught.value.details)
    assert served.head(REPO) == parent
    assert served.commits_sent() == 1


def test_an_existing_repository_is_left_as_it_is(served):
    create_repo(REPO, private=True)
    head = served.commit(REPO, {"a.txt": b"a"})

    create_repo(REPO, private=False)

    assert served.api.model_info(REPO).private is True
    assert served.head(REPO) == head


def test_a_tag_is_put_on_the_commit_and_putting_it_again_is_no_fault(served):
    first = served.commit(REPO, {"a.txt": b"a"})
    served.commit(REPO, {"a.txt": b"b"})

    create_tag(REPO, "v1.0.0", first)
    create_tag(REPO, "v1.0.0", first)

    assert served.tags(REPO) == {"v1.0.0": first}


def test_a_tag_on_another_commit_is_named_and_not_moved(served):
    first = served.commit(REPO, {"a.txt": b"a"})
    second = served.commit(REPO, {"a.txt": b"b"})
    create_tag(REPO, "v1.0.0", first)

    with pytest.raises(TagExistsError, match=f"v1.0.0, on commit {first}") as caught:
        create_tag(REPO, "v1.0.0", second)

    assert served.tags(REPO) == {"v1.0.0": first}
    assert "--tag" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("card", "languages"),
    [
        (None, []),
        ("# No front matter\n", []),
        ("---\nlicense: mit\n---\n", []),
        ("---\nlanguage: en\n---\n", ["en"]),
        ("---\nlanguage: [en, fr]\n---\n", ["en", "fr"]),
        ("---\nlanguage: {a: 1}\n---\n", []),
        ("---\nlanguage: [unclosed\n---\n", []),
        ("---\njust text\n---\n", []),
    ],
)
def test_a_card_s_languages_are_read_and_a_bad_card_states_none(tmp_path: Path, card: str | None, languages: list[str]):
    if card is not None:
        (tmp_path / "README.md").write_text(card)

    assert languages_of(tmp_path) == languages


def test_the_language_no_is_norwegian(tmp_path: Path):
    (tmp_path / "README.md").write_text("---\nlanguage: [no, en]\n---\n")

    assert languages_of(tmp_path) == ["no", "en"]


def test_a_card_that_is_not_utf_8_states_no_language(tmp_path: Path):
    (tmp_path / "README.md").write_bytes(b"---\nlanguage: en\n---\ncaf\xe9\n")

    assert languages_of(tmp_path) == []


@pytest.mark.parametrize(
    ("taken", "free"), [("v1.1.0", "v1.1.1"), ("v1.1.0-rc1", "v1.1.0"), ("v1.0.0.post1", "v1.0.1")]
)
def test_a_taken_tag_is_answered_with_the_version_that_follows_it(taken: str, free: str):
    assert f" {free}" in str(tag_taken("org/model", taken, "a" * 40).hint)
