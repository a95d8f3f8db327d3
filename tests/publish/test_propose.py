"""Who may not push opens one pull request with the same commit, and no second one with the same content."""

import pytest

from hubtune.errors import (
    ArtifactKindError,
    HubError,
    PermissionDeniedError,
    PublishConflictError,
    RepoNotFoundError,
    TagExistsError,
)
from hubtune.localhub import FaultRule
from hubtune.publish.push import propose_release, push
from tests.publish.conftest import REPO

PAT = "hf_patpatpat"


@pytest.fixture
def as_pat(guarded_hub, monkeypatch):
    """A repository of others, and this process signed in with a token that may only open pull requests."""
    guarded_hub.commit(REPO, {"notes.md": b"theirs"})
    monkeypatch.setenv("HF_TOKEN", PAT)
    return guarded_hub


def pull_requests(hub):
    return [item.num for item in hub.api.get_repo_discussions(REPO) if item.is_pull_request]


def test_a_proposal_is_one_pull_request_with_the_release_and_no_tag(as_pat, new_plan, listener):
    head, plan = as_pat.head(REPO), new_plan("publish.message=First light")

    proposal = propose_release(plan, "pat", listener)

    assert pull_requests(as_pat) == [proposal.number]
    assert proposal.url == f"{as_pat.url}/{REPO}/discussions/{proposal.number}"
    details = as_pat.api.get_discussion_details(REPO, proposal.number)
    assert (details.title, details.author, details.status) == ("First light", "pat", "open")
    made, parent, *_ = as_pat.api.list_repo_commits(REPO, revision=f"refs/pr/{proposal.number}")
    assert (made.commit_id, parent.commit_id) == (proposal.commit, head)
    assert set(as_pat.api.list_repo_files(REPO, revision=proposal.commit)) >= {*plan.files, "notes.md"}
    assert (as_pat.head(REPO), as_pat.tags(REPO)) == (head, {})


def test_proposing_twice_finds_the_pull_request(as_pat, new_plan, listener):
    first = propose_release(new_plan(), "pat", listener)

    assert propose_release(new_plan(), "pat", listener) == first
    assert pull_requests(as_pat) == [first.number]
    assert any(first.url in line and "already" in line for line in listener.said)


def test_other_content_is_another_pull_request(as_pat, new_plan, listener):
    first = propose_release(new_plan(), "pat", listener)

    second = propose_release(new_plan(weights=b"other weights"), "pat", listener)

    assert {first.number, second.number} == set(pull_requests(as_pat))


def test_a_closed_pull_request_does_not_count(as_pat, new_plan, listener):
    first = propose_release(new_plan(), "pat", listener)
    as_pat.api.change_discussion_status(REPO, first.number, "closed")

    assert propose_release(new_plan(), "pat", listener).number != first.number


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 500}, {"body": "half"}], ids=str)
def test_a_pull_request_whose_answer_was_lost_is_found(as_pat, new_plan, listener, fault):
    when = {} if "body" in fault else {"when": "after"}
    as_pat.faults.add(FaultRule(path="*/commit/*", nth=1, **fault, **when))

    proposal = propose_release(new_plan(), "pat", listener, wait=[].append)

    assert pull_requests(as_pat) == [proposal.number]


def test_a_hub_that_opens_none_is_left_alone_after_five_attempts(as_pat, new_plan, listener):
    as_pat.faults.add(FaultRule(path="*/commit/*", status=412))
    sent = as_pat.commits_sent()

    with pytest.raises(HubError):
        propose_release(new_plan(), "pat", listener, wait=[].append)

    assert as_pat.commits_sent() == sent + 5


def test_what_is_merged_needs_a_tag_and_no_pull_request(as_pat, new_plan, listener, monkeypatch):
    proposal = propose_release(new_plan(), "pat", listener)
    as_pat.api.merge_pull_request(REPO, proposal.number)
    merged = as_pat.head(REPO)

    with pytest.raises(PublishConflictError, match=merged) as caught:
        propose_release(new_plan(), "pat", listener)

    assert f"hubtune release tag {REPO} {merged} v1.0.0" in str(caught.value.hint)
    assert pull_requests(as_pat) == [proposal.number]
    # One who may push only has to tag it.
    monkeypatch.setenv("HF_TOKEN", as_pat.token)
    assert push(new_plan(), listener) == merged
    assert as_pat.tags(REPO) == {"v1.0.0": merged}


def test_a_taken_tag_another_kind_and_a_missing_repository_are_refused(as_pat, new_plan, listener, monkeypatch):
    as_pat.api.create_tag(REPO, tag="v1.0.0")
    with pytest.raises(TagExistsError):
        propose_release(new_plan(), "pat", listener)
    as_pat.commit(REPO, {"config.json": b"{}", "model.safetensors": b"w"})
    with pytest.raises(ArtifactKindError):
        propose_release(new_plan("publish.tag=v2.0.0"), "pat", listener)
    as_pat.api.delete_repo(REPO)
    with pytest.raises(RepoNotFoundError) as caught:
        propose_release(new_plan(), "pat", listener)
    assert "owners" in str(caught.value.hint)


def test_a_token_that_may_only_propose_cannot_push(as_pat, new_plan, listener):
    head = as_pat.head(REPO)

    with pytest.raises(PermissionDeniedError):
        push(new_plan(), listener)

    assert (as_pat.head(REPO), as_pat.tags(REPO), pull_requests(as_pat)) == (head, {}, [])
