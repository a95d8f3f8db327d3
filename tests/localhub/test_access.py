import json

import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError


@pytest.fixture
def gated(as_user):
    ann = as_user("ann")
    ann.create_repo("ann/model")
    ann.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="ann/model")
    ann.upload_file(path_or_fileobj=b"---\nlicense: mit\n---\n", path_in_repo="README.md", repo_id="ann/model")
    ann.update_repo_settings("ann/model", gated="manual")
    return "ann/model"


@pytest.fixture
def fetch(as_user, gated, tmp_path):
    def download(name, path="config.json"):
        return as_user(name).hf_hub_download(gated, path, local_dir=tmp_path / str(name))

    return download


@pytest.fixture
def ask(guarded, raw_client, gated):
    return lambda name: raw_client(guarded.url)("POST", f"/{gated}/ask-access", b"{}", token=f"t-{name}")


@pytest.fixture
def decide(guarded, raw_client, gated):
    """Calls the API of access requests, since the client's functions for it ask the address in its environment."""

    def call(action, name="ann", **body):
        content = json.dumps(body).encode() if body else None
        path = f"/api/models/{gated}/user-access-request/{action}"
        return raw_client(guarded.url)("POST" if body or action == "cancel" else "GET", path, content, f"t-{name}")

    return call


def test_the_facts_of_a_gated_repo_are_public_and_its_files_are_not(as_user, gated, fetch):
    info = as_user(None).model_info(gated)
    assert (info.gated, len(info.siblings)) == ("manual", 3)
    assert len(as_user("eve").list_repo_files(gated)) == 3
    fetch("ann")
    fetch(None, "README.md")
    with pytest.raises(GatedRepoError):
        fetch("eve", ".gitattributes")
    with pytest.raises(GatedRepoError, match="You must have access to it and be authenticated") as caught:
        fetch(None)
    assert caught.value.response.status_code == 401
    with pytest.raises(GatedRepoError, match="you are not in the authorized list") as caught:
        fetch("eve")
    assert caught.value.response.status_code == 403


def test_who_lost_access_cannot_go_on_with_a_pull_request(as_user, gated, decide):
    decide("grant", user="pam")
    pam, commit = as_user("pam"), {"path_or_fileobj": b"x", "path_in_repo": "x.txt", "repo_id": gated}
    pam.upload_file(**commit, create_pr=True)
    decide("handle", user="pam", status="rejected")
    with pytest.raises(GatedRepoError, match="rejected"):
        pam.upload_file(**commit | {"path_or_fileobj": b"y"}, revision="refs/pr/1")
    assert as_user("ann").upload_file(**commit | {"path_or_fileobj": b"z"}, revision="refs/pr/1")


def test_a_missing_revision_of_a_gated_repo_is_not_told_to_strangers(as_user, gated, tmp_path):
    with pytest.raises(GatedRepoError):
        as_user("eve").hf_hub_download(gated, "config.json", revision="none", local_dir=tmp_path)


def test_a_manual_request_waits_until_it_is_accepted(gated, fetch, ask, decide):
    answer = ask("eve")
    assert (answer.status, answer.headers["location"].endswith(f"/{gated}")) == (303, True)
    with pytest.raises(GatedRepoError, match="awaiting a review from the repo authors"):
        fetch("eve")
    (pending,) = decide("pending").json
    assert (pending["user"]["user"], pending["status"], "reviewedAt" in pending) == ("eve", "pending", False)
    assert decide("handle", user="eve", status="accepted").status == 200
    fetch("eve")
    assert decide("pending").json == []
    assert [item["user"]["user"] for item in decide("accepted").json] == ["eve"]
    assert decide("handle", user="eve", status="accepted").status == 404


def test_a_rejected_user_is_told_so_and_can_be_accepted_later(as_user, gated, fetch, ask, decide):
    ask("eve")
    assert decide("handle", user="eve", status="rejected", rejectionReason="Not now").status == 200
    with pytest.raises(GatedRepoError, match="has been rejected by the repo's authors"):
        fetch("eve")
    (rejected,) = decide("rejected").json
    assert decide("handle", requestId=rejected["requestId"], status="accepted").status == 200
    fetch("eve")
    assert decide("handle", user="eve", status="pending").status == 200
    with pytest.raises(GatedRepoError, match="awaiting"):
        as_user("eve").auth_check(gated)


def test_access_can_be_granted_without_a_request(fetch, decide):
    assert decide("grant", user="eve").status == 200
    fetch("eve")
    (granted,) = decide("accepted").json
    assert granted["grantedBy"]["user"] == "ann"
    assert decide("grant", user="eve").status == 400
    assert decide("grant", user="nobody").status == 404


def test_users_take_back_their_own_pending_requests(ask, decide):
    assert decide("cancel", name="eve").status == 404
    ask("eve")
    assert decide("cancel", name="eve").json == {"ok": True}
    assert decide("pending").json == []


def test_an_automatic_gate_opens_for_whoever_asks(as_user, gated, fetch, ask):
    ask("eve")
    as_user("ann").update_repo_settings(gated, gated="auto")
    with pytest.raises(GatedRepoError):
        fetch("eve")
    ask("eve")
    fetch("eve")


def test_only_writers_see_and_handle_requests(ask, decide):
    ask("eve")
    for name in ("eve", "rob"):
        assert decide("pending", name=name).status == 403
        assert decide("handle", name=name, user="eve", status="accepted").status == 403
        assert decide("grant", name=name, user="eve").status == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"user": "eve", "status": "maybe"}, 400),
        ({"status": "accepted"}, 400),
        ({"user": "eve", "requestId": "1", "status": "accepted"}, 400),
        ({"user": "nobody", "status": "accepted"}, 404),
        ({"user": "eve", "status": "accepted"}, 404),
        ({"user": "eve", "status": "rejected", "rejectionReason": "x" * 201}, 400),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(decide, body, status):
    assert decide("handle", **body).status == status


def test_a_repo_that_is_not_gated_has_no_requests(as_user, gated, decide, ask):
    as_user("ann").update_repo_settings(gated, gated=False)
    answer = decide("grant", user="eve")
    assert (answer.status, answer.headers["x-error-code"]) == (400, "RepoNotGated")
    assert ask("eve").status == 400


def test_auth_check_tells_who_may_read_and_who_may_write(as_user, gated):
    as_user("ann").auth_check(gated, write=True)
    with pytest.raises(GatedRepoError):
        as_user("eve").auth_check(gated)
    with pytest.raises(HfHubHTTPError, match="not the required permissions") as caught:
        as_user("eve").auth_check(gated, write=True)
    assert caught.value.response.status_code == 403
    with pytest.raises(RepositoryNotFoundError):
        as_user("eve").auth_check("ann/none")


def test_a_repo_becomes_private_and_public_again(as_user, gated):
    ann, eve = as_user("ann"), as_user("eve")
    ann.update_repo_settings(gated, private=True)
    assert ann.model_info(gated).private is True
    with pytest.raises(RepositoryNotFoundError):
        eve.model_info(gated)
    ann.update_repo_settings(gated, visibility="public")
    assert (eve.model_info(gated).private, eve.model_info(gated).gated) == (False, "manual")


@pytest.mark.parametrize("body", [{"gated": True}, {"gated": "maybe"}, {"private": "perhaps"}, {"visibility": "x"}])
def test_settings_that_do_not_exist_are_refused(raw, model, body):
    answer = raw("PUT", f"/api/models/{model}/settings", json.dumps(body).encode())
    assert answer.status == 400
    assert answer.headers["x-error-message"].startswith("* Invalid input * at ")


def test_only_writers_change_settings(as_user, gated):
    for name in ("eve", "rob"):
        with pytest.raises(HfHubHTTPError) as caught:
            as_user(name).update_repo_settings(gated, gated=False)
        assert caught.value.response.status_code == 403
