import warnings

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import HfHubHTTPError

from hubtune.localhub.api import commit_routes

WEIGHTS = b"\0" * 64


@pytest.fixture
def proposed(as_user):
    """A repository of ann's with a pull request that pam, who may not write there, made in one commit."""
    as_user("ann").create_repo("ann/model")
    operations = [CommitOperationAdd("notes.md", b"# Notes\n"), CommitOperationAdd("weights.bin", WEIGHTS)]
    return as_user("pam").create_commit(
        "ann/model", operations, commit_message="Add notes", commit_description="They were missing.", create_pr=True
    )


def test_a_commit_can_open_a_pull_request(guarded, as_user, proposed):
    assert proposed.pr_url == f"{guarded.url}/ann/model/discussions/1"
    assert (proposed.pr_num, proposed.pr_revision) == (1, "refs/pr/1")
    ann = as_user("ann")
    details = ann.get_discussion_details("ann/model", 1)
    assert (details.title, details.status, details.author) == ("Add notes", "open", "pam")
    assert (details.is_pull_request, details.target_branch) == (True, "refs/heads/main")
    comment, pushed = details.events
    assert (comment.content, pushed.summary, pushed.oid) == ("They were missing.", "Add notes", proposed.oid)
    assert "+# Notes" in details.diff
    assert details.conflicting_files == []
    assert ann.list_repo_files("ann/model") == [".gitattributes"]
    assert "notes.md" in ann.list_repo_files("ann/model", revision="refs/pr/1")


def test_the_branch_is_listed_when_asked_for(as_user, proposed):
    refs = as_user("ann").list_repo_refs("ann/model", include_pull_requests=True)
    assert [(ref.name, ref.ref, ref.target_commit) for ref in refs.pull_requests] == [("1", "refs/pr/1", proposed.oid)]


def test_a_merge_puts_one_commit_on_main(as_user, proposed):
    ann = as_user("ann")
    before = ann.model_info("ann/model").sha
    as_user("pam").upload_file(
        path_or_fileobj=b"more", path_in_repo="more.md", repo_id="ann/model", revision="refs/pr/1"
    )
    ann.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="ann/model")
    ann.merge_pull_request("ann/model", 1, comment="Thanks!")
    details = ann.get_discussion_details("ann/model", 1)
    head, _, first = ann.list_repo_commits("ann/model")
    assert (details.status, details.merge_commit_oid) == ("merged", head.commit_id)
    assert (head.title, head.authors, first.commit_id) == ("Add notes (#1)", ["ann"], before)
    assert f"- Add notes ({proposed.oid})" in head.message
    assert "Co-authored-by: pam" in head.message
    files = {".gitattributes", "config.json", "more.md", "notes.md", "weights.bin"}
    assert set(ann.list_repo_files("ann/model")) == files
    assert [event.type for event in details.events][-2:] == ["comment", "status-change"]
    with pytest.raises(HfHubHTTPError, match="merged"):
        ann.merge_pull_request("ann/model", 1)


def test_a_deletion_is_merged_too(api, model):
    api.upload_file(path_or_fileobj=b"1", path_in_repo="old.txt", repo_id=model)
    api.create_commit(model, [CommitOperationDelete("old.txt")], commit_message="Drop", create_pr=True)
    api.merge_pull_request(model, 1)
    assert api.list_repo_files(model) == [".gitattributes"]


def test_conflicts_are_named_and_stop_the_merge(api, model):
    api.upload_file(path_or_fileobj=b"a\n", path_in_repo="notes.md", repo_id=model)
    api.upload_file(path_or_fileobj=b"b\n", path_in_repo="notes.md", repo_id=model, create_pr=True)
    api.upload_file(path_or_fileobj=b"c\n", path_in_repo="notes.md", repo_id=model)
    head = api.model_info(model).sha
    assert api.get_discussion_details(model, 1).conflicting_files == ["notes.md"]
    with pytest.raises(HfHubHTTPError, match=r"conflicts in notes\.md") as caught:
        api.merge_pull_request(model, 1)
    assert caught.value.response.status_code == 409
    assert api.model_info(model).sha == head
    assert api.get_discussion_details(model, 1).status == "open"


def test_a_file_in_the_place_of_a_folder_is_a_conflict(api, model):
    api.upload_file(path_or_fileobj=b"1", path_in_repo="notes/one.md", repo_id=model, create_pr=True)
    api.upload_file(path_or_fileobj=b"2", path_in_repo="notes", repo_id=model)
    assert api.get_discussion_details(model, 1).conflicting_files == ["notes"]
    with pytest.raises(HfHubHTTPError, match="conflicts in notes") as caught:
        api.merge_pull_request(model, 1)
    assert caught.value.response.status_code == 409


def test_a_pull_request_outlives_the_branch_that_it_was_made_for(api, model):
    api.create_branch(model, branch="dev")
    for name in ("a", "b"):
        api.upload_file(path_or_fileobj=b"x\n", path_in_repo=name, repo_id=model, revision="dev", create_pr=True)
    api.merge_pull_request(model, 1)
    api.delete_branch(model, branch="dev")
    merged, left = (api.get_discussion_details(model, num) for num in (1, 2))
    assert (merged.status, merged.conflicting_files) == ("merged", [])
    assert "b/a" in merged.diff
    assert (left.status, left.conflicting_files) == ("open", True)
    with pytest.raises(HfHubHTTPError, match="refs/heads/dev"):
        api.merge_pull_request(model, 2)


def test_a_merge_into_a_squashed_branch_deletes_and_restores_nothing_that_nobody_asked_for(api, model):
    additions = [CommitOperationAdd(name, b"x") for name in ("old", "doomed", "kept")]
    api.create_commit(model, additions, commit_message="fill")
    changes = [CommitOperationAdd("new", b"x"), CommitOperationDelete("old")]
    api.create_commit(model, changes, commit_message="propose", create_pr=True)
    api.super_squash_history(model)
    api.create_commit(model, [CommitOperationDelete("doomed")], commit_message="drop")
    api.merge_pull_request(model, 1)
    assert set(api.list_repo_files(model)) == {".gitattributes", "kept", "new"}


def test_without_any_common_state_all_that_differs_is_a_conflict(api, model):
    additions = [CommitOperationAdd(name, b"x") for name in ("doomed", "kept")]
    api.create_commit(model, additions, commit_message="fill")
    api.upload_file(path_or_fileobj=b"x", path_in_repo="new", repo_id=model, create_pr=True)
    api.create_commit(model, [CommitOperationDelete("doomed")], commit_message="drop")
    api.super_squash_history(model)
    assert api.get_discussion_details(model, 1).conflicting_files == ["doomed", "new"]
    with pytest.raises(HfHubHTTPError, match="conflicts in doomed, new"):
        api.merge_pull_request(model, 1)


def test_a_pull_request_made_without_a_commit_is_a_draft_until_it_is_opened(api, model):
    draft = api.create_pull_request(model, title="Later", description="Not yet.")
    assert (draft.num, draft.status, draft.git_reference) == (1, "draft", "refs/pr/1")
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=model, revision=draft.git_reference)
    with pytest.raises(HfHubHTTPError, match="draft cannot be merged"):
        api.merge_pull_request(model, 1)
    api.change_discussion_status(model, 1, new_status="open")
    api.merge_pull_request(model, 1)
    assert "a" in api.list_repo_files(model)


def test_a_commit_to_a_stale_parent_of_a_pull_request_is_refused(api, model):
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=model, create_pr=True)
    with pytest.raises(HfHubHTTPError, match="The branch was updated"):
        api.upload_file(
            path_or_fileobj=b"2", path_in_repo="b", repo_id=model, revision="refs/pr/1",
            parent_commit=api.model_info(model).sha,
        )  # fmt: skip


def test_a_proposal_starts_at_the_parent_that_it_names(api, model):
    parent = api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=model).oid
    api.upload_file(path_or_fileobj=b"2", path_in_repo="a", repo_id=model)
    api.upload_file(path_or_fileobj=b"3", path_in_repo="b", repo_id=model, create_pr=True, parent_commit=parent[:7])
    proposed, start, _ = api.list_repo_commits(model, revision="refs/pr/1")
    assert (start.commit_id, proposed.title) == (parent, "Upload b with huggingface_hub")


def test_a_file_on_one_side_that_is_a_folder_on_the_other_is_a_conflict(api, model):
    api.upload_file(path_or_fileobj=b"1", path_in_repo="n/x", repo_id=model, create_pr=True)
    api.upload_file(path_or_fileobj=b"2", path_in_repo="n", repo_id=model)
    assert api.get_discussion_details(model, 1).conflicting_files == ["n"]
    with pytest.raises(HfHubHTTPError, match="conflicts in n") as caught:
        api.merge_pull_request(model, 1)
    assert caught.value.response.status_code == 409


def test_a_file_that_becomes_a_folder_is_merged(api, model):
    api.upload_file(path_or_fileobj=b"1", path_in_repo="n", repo_id=model)
    operations = [CommitOperationDelete("n"), CommitOperationAdd("n/x", b"2")]
    api.create_commit(model, operations, commit_message="m", create_pr=True)
    api.merge_pull_request(model, 1)
    assert api.list_repo_files(model) == [".gitattributes", "n/x"]


def test_a_pull_request_can_be_read_after_its_target_branch_is_gone(api, model):
    api.create_branch(model, branch="dev")
    operations = [CommitOperationAdd("a", b"1")]
    api.create_commit(model, operations, commit_message="For dev", revision="dev", create_pr=True)
    api.delete_branch(model, branch="dev")
    details = api.get_discussion_details(model, 1)
    assert (details.title, details.target_branch, details.conflicting_files, details.diff) == (
        "For dev", "refs/heads/dev", True, "",
    )  # fmt: skip


def test_a_commit_that_waited_while_its_pull_request_was_merged_is_refused(api, model, monkeypatch):
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=model, create_pr=True)
    head = api.model_info(model, revision="refs/pr/1").sha
    # Between the look at the pull request and the lock.
    monkeypatch.setattr(commit_routes, "_check_readme", lambda *_: api.merge_pull_request(model, 1))
    with pytest.raises(HfHubHTTPError, match="The pull request is merged") as caught:
        api.upload_file(path_or_fileobj=b"2", path_in_repo="a", repo_id=model, revision="refs/pr/1")
    assert caught.value.response.status_code == 403
    assert api.model_info(model, revision="refs/pr/1").sha == head


def test_a_failed_proposal_leaves_nothing_behind(api, model):
    with pytest.raises(HfHubHTTPError):
        api.create_commit(model, [CommitOperationDelete("none")], commit_message="x", create_pr=True)
    assert list(api.get_repo_discussions(model)) == []
    assert api.list_repo_refs(model, include_pull_requests=True).pull_requests == []


def test_only_the_author_and_writers_push_to_a_pull_request(as_user, proposed):
    def push(name):
        as_user(name).upload_file(
            path_or_fileobj=name.encode(), path_in_repo="who", repo_id="ann/model", revision="refs/pr/1"
        )

    push("pam")
    push("ann")
    for name in ("eve", "rob"):
        with pytest.raises(HfHubHTTPError) as caught:
            push(name)
        assert caught.value.response.status_code == 403
    as_user("ann").change_discussion_status("ann/model", 1, new_status="closed")
    with pytest.raises(HfHubHTTPError, match="The pull request is closed"):
        push("pam")


def test_a_token_for_proposals_may_do_no_more(as_user, proposed):
    pam = as_user("pam")
    pam.comment_discussion("ann/model", 1, comment="Please look.")
    attempts = [
        lambda: pam.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="ann/model"),
        lambda: pam.create_branch("ann/model", branch="b"),
        lambda: pam.merge_pull_request("ann/model", 1),
        lambda: pam.create_repo("pam/model"),
    ]
    for attempt in attempts:
        with pytest.raises(HfHubHTTPError) as caught:
            attempt()
        assert caught.value.response.status_code == 403


def test_a_read_token_and_strangers_propose_nothing(as_user, proposed):
    for name, status in (("rob", 403), (None, 401)):
        client = as_user(name)
        for attempt in (
            lambda client=client: client.create_discussion("ann/model", title="Question"),
            lambda client=client: client.upload_file(
                path_or_fileobj=b"1", path_in_repo="a", repo_id="ann/model", create_pr=True
            ),
        ):
            with pytest.raises(HfHubHTTPError) as caught:
                attempt()
            assert caught.value.response.status_code == status


def test_discussions_are_commented_edited_hidden_renamed_and_closed(as_user, proposed):
    ann, pam = as_user("ann"), as_user("pam")
    talk = pam.create_discussion("ann/model", title="A question", description="Why?")
    assert (talk.num, talk.status, talk.is_pull_request, talk.diff) == (2, "open", False, None)
    comment = ann.comment_discussion("ann/model", 2, comment="Because.")
    edited = ann.edit_discussion_comment("ann/model", 2, comment.id, new_content="Because it helps.")
    assert (edited.content, edited.edited, edited.number_of_edits) == ("Because it helps.", True, 2)
    renamed = pam.rename_discussion("ann/model", 2, new_title="An answered question")
    assert (renamed.old_title, renamed.new_title) == ("A question", "An answered question")
    with warnings.catch_warnings(action="ignore"):
        hidden = ann.hide_discussion_comment("ann/model", 2, comment.id)
    assert (hidden.hidden, hidden.content) == (True, "This comment has been hidden")
    closed = pam.change_discussion_status("ann/model", 2, new_status="closed", comment="Thanks.")
    assert closed.new_status == "closed"
    details = ann.get_discussion_details("ann/model", 2)
    assert (details.title, details.status) == ("An answered question", "closed")
    types = ["comment", "comment", "title-change", "comment", "status-change"]
    assert [event.type for event in details.events] == types
    assert "helps" not in str(details.events)


def test_nobody_edits_or_renames_what_is_anothers(as_user, proposed):
    ann, eve = as_user("ann"), as_user("eve")
    comment = as_user("pam").comment_discussion("ann/model", 1, comment="Mine.")
    attempts = [
        lambda: ann.edit_discussion_comment("ann/model", 1, comment.id, new_content="Yours."),
        lambda: eve.rename_discussion("ann/model", 1, new_title="Not mine"),
        lambda: eve.change_discussion_status("ann/model", 1, new_status="closed"),
        lambda: eve.merge_pull_request("ann/model", 1),
    ]
    for attempt in attempts:
        with pytest.raises(HfHubHTTPError) as caught:
            attempt()
        assert caught.value.response.status_code == 403


def test_discussions_are_filtered_and_paged(api, model):
    for n in range(52):
        api.create_discussion(model, title=f"Talk {n}")
    api.create_pull_request(model, title="A change")
    api.change_discussion_status(model, 1, new_status="closed")
    numbers = [found.num for found in api.get_repo_discussions(model)]
    assert numbers == list(range(53, 0, -1))
    assert [found.num for found in api.get_repo_discussions(model, discussion_status="closed")] == [1]
    assert [found.num for found in api.get_repo_discussions(model, discussion_type="pull_request")] == [53]
    assert len(list(api.get_repo_discussions(model, discussion_type="discussion", discussion_status="open"))) == 51
    assert list(api.get_repo_discussions(model, author="somebody")) == []


@pytest.mark.parametrize("title", ["ab", "x" * 201])
def test_a_title_has_a_length_that_the_hub_allows(api, model, title):
    with pytest.raises(HfHubHTTPError, match="length must be between 3 and 200"):
        api.create_discussion(model, title=title)


def test_a_discussion_that_does_not_exist_is_not_found(api, raw, model):
    for attempt in (
        lambda: api.get_discussion_details(model, 7),
        lambda: api.comment_discussion(model, 7, comment="x"),
        lambda: api.merge_pull_request(model, 7),
    ):
        with pytest.raises(HfHubHTTPError, match="Discussion not found") as caught:
            attempt()
        assert caught.value.response.status_code == 404


def test_a_branch_that_a_crash_left_without_a_record_is_not_taken_again(api, model, root):
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=model, create_pr=True)
    (root / "repos/models/org/model.git/discussions/1.json").unlink()
    second = api.upload_file(path_or_fileobj=b"2", path_in_repo="b", repo_id=model, create_pr=True)
    assert second.pr_num == 2


def test_discussions_outlive_the_server(api, hub, model):
    api.create_discussion(model, title="Still here")
    hub.stop()
    hub.start()
    again = type(api)(endpoint=hub.url, token="t")
    assert [found.title for found in again.get_repo_discussions(model)] == ["Still here"]
