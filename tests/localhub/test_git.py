"""Git itself as a client: it clones and fetches, and is told why it cannot push."""

import base64
import os
import subprocess
from functools import partial

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from hubtune.localhub import EmbeddedHub
from hubtune.localhub.api.connection import Capacity, Turns
from hubtune.localhub.api_errors import ApiError

WEIGHTS = bytes(range(256)) * 8


@pytest.fixture
def git(tmp_path):
    def run(*arguments, check=True):
        environment = {**os.environ, "HOME": str(tmp_path), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
        environment["GIT_AUTHOR_NAME"] = environment["GIT_COMMITTER_NAME"] = "Ann"
        environment["GIT_AUTHOR_EMAIL"] = environment["GIT_COMMITTER_EMAIL"] = "ann@example.org"
        return subprocess.run(
            ["git", *arguments], check=check, capture_output=True, text=True, env=environment, cwd=tmp_path
        )

    return run


def with_token(url, token):
    return url.replace("http://", f"http://user:{token}@")


@pytest.mark.parametrize("suffix", ["", ".git"])
def test_git_clones_a_repo_with_its_history_and_tags(hub, api, model, git, tmp_path, suffix):
    additions = [CommitOperationAdd("config.json", b"{}"), CommitOperationAdd("weights.bin", WEIGHTS)]
    commit = api.create_commit(model, additions, commit_message="Release").oid
    api.create_tag(model, tag="v1", tag_message="First")
    git("clone", f"{hub.url}/{model}{suffix}", "copy")
    assert git("-C", "copy", "rev-parse", "HEAD", "v1^{commit}").stdout.split() == [commit, commit]
    assert git("-C", "copy", "log", "--format=%s").stdout.split("\n")[:2] == ["Release", "initial commit"]
    assert (tmp_path / "copy/weights.bin").read_text().startswith("version https://git-lfs.github.com/spec/v1\n")


def test_git_fetches_what_is_new_and_pull_requests(hub, api, git):
    api.create_repo("org/data", repo_type="dataset")
    git("clone", f"{hub.url}/datasets/org/data", "copy")
    files = [CommitOperationAdd(f"rows/{n}.json", f"[{n}]".encode()) for n in range(200)]
    new = api.create_commit("org/data", files, commit_message="Rows", repo_type="dataset").oid
    change = api.create_commit(
        "org/data", [CommitOperationAdd("x", b"1")], commit_message="X", repo_type="dataset", create_pr=True
    ).oid
    git("-C", "copy", "pull", "--ff-only")
    assert git("-C", "copy", "rev-parse", "HEAD").stdout.strip() == new
    git("-C", "copy", "fetch", "origin", "refs/pr/1")
    assert git("-C", "copy", "rev-parse", "FETCH_HEAD").stdout.strip() == change


def test_a_shallow_clone_has_one_commit(hub, api, model, git):
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=model)
    git("clone", "--depth", "1", f"{hub.url}/{model}", "copy")
    assert git("-C", "copy", "rev-list", "--count", "HEAD").stdout.strip() == "1"


def test_a_push_is_refused_with_what_to_do_instead(hub, model, git, tmp_path):
    git("clone", with_token(f"{hub.url}/{model}", "t"), "copy")
    (tmp_path / "copy/new.txt").write_text("new")
    git("-C", "copy", "add", ".")
    git("-C", "copy", "commit", "-m", "New")
    refused = git("-C", "copy", "push", check=False)
    assert refused.returncode != 0
    assert "not pushed to" in refused.stderr
    assert "hf upload" in refused.stderr


def test_a_private_repo_is_cloned_with_a_token_as_the_password(guarded, as_user, git):
    as_user("ann").create_repo("acme/secret", private=True)
    url = f"{guarded.url}/acme/secret"
    git("clone", with_token(url, "t-rob"), "copy")
    for address in (url, with_token(url, "t-eve"), with_token(url, "wrong")):
        assert git("clone", address, "other", check=False).returncode != 0


def test_a_gated_repo_is_cloned_only_with_access(guarded, as_user, git):
    as_user("ann").create_repo("ann/model")
    as_user("ann").update_repo_settings("ann/model", gated="manual")
    refused = git("clone", with_token(f"{guarded.url}/ann/model", "t-eve"), "other", check=False)
    assert refused.returncode != 0
    git("clone", with_token(f"{guarded.url}/ann/model", "t-ann"), "copy")


def test_git_asks_for_a_password_where_one_is_needed(guarded, raw_client):
    raw = raw_client(guarded.url)
    answer = raw("GET", "/ann/none/info/refs?service=git-upload-pack", token=None)
    assert (answer.status, answer.headers["www-authenticate"].split()[0]) == (401, "Basic")
    wrong = base64.b64encode(b"user:wrong").decode()
    answer = raw("GET", "/ann/none/info/refs?service=git-upload-pack", token=None, Authorization=f"Basic {wrong}")
    assert (answer.status, answer.headers["www-authenticate"].split()[0]) == (401, "Basic")


def test_git_lfs_asks_for_a_password_too_and_other_clients_for_a_token(guarded, raw_client):
    raw = raw_client(guarded.url)
    answer = raw("POST", "/ann/none.git/info/lfs/objects/batch", b'{"operation": "download"}', token=None)
    assert (answer.status, answer.headers["www-authenticate"].split()[0]) == (401, "Basic")
    for path, token in (("/api/whoami-v2", None), ("/api/models/ann/none", None), ("/api/models/ann/none", "wrong")):
        answer = raw("GET", path, token=token)
        assert (answer.status, answer.headers["www-authenticate"].split()[0]) == (401, "Bearer")


@pytest.mark.parametrize("body", [b"", b"garbage", b"ffff", b"0032want " + b"1" * 41 + b"0000"])
def test_a_request_that_git_would_not_make_is_a_bad_request(raw, model, body):
    assert raw("POST", f"/{model}/git-upload-pack", body).status == 400
    assert raw("POST", f"/{model}/git-upload-pack", body, Content_Encoding="gzip").status == 400
    assert raw("GET", f"/{model}/info/refs").status == 403


def packet(line: bytes) -> bytes:
    return b"%04x%s" % (len(line) + 4, line)


def asked(*lines: bytes) -> bytes:
    return b"".join(map(packet, lines))


CAPABILITIES = b" multi_ack_detailed side-band-64k thin-pack ofs-delta filter"


@pytest.fixture
def head(api, model) -> bytes:
    api.upload_file(path_or_fileobj=b"x", path_in_repo="a", repo_id=model)
    return api.model_info(model).sha.encode()


def test_a_fetch_is_answered_whatever_number_of_commits_it_says_it_has(raw, api, model, head):
    first = api.list_repo_commits(model)[-1].commit_id.encode()
    haves = [b"have %040x\n" % number for number in range(20_000)] + [b"have " + first] * 20_000
    body = asked(b"want " + head + CAPABILITIES) + b"0000" + asked(*haves, b"done")
    answer = raw("POST", f"/{model}/git-upload-pack", body)
    assert answer.status == 200
    assert b"ACK " + first in answer.body
    assert b"PACK" in answer.body


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b"want %040x\n" % number for number in range(10_001)], 413),
        ([b"x\n"] * 50_001, 413),
        ([b"want HEAD" + CAPABILITIES, b"filter sparse:oid=HEAD:a"], 400),
        ([b"want HEAD" + CAPABILITIES, b"filter combine:sparse:oid=HEAD:a+blob:none"], 400),
        ([b"want HEAD" + CAPABILITIES, b"filter tree:" + b"9" * 100], 400),
        ([b"want HEAD" + CAPABILITIES + b"=sparse:oid=HEAD:a"], 400),
        ([b"want HEAD" + CAPABILITIES, b"deepen " + b"9" * 5000], 400),
        ([b"want HEAD" + CAPABILITIES, b"deepen -1"], 400),
        ([b"want HEAD"], 400),
        ([b"want HEAD" + CAPABILITIES, b"have zz"], 400),
        ([b"want HEAD" + CAPABILITIES, b"shallow zz"], 400),
        ([b"want zz"], 400),
    ],
)
def test_a_fetch_of_more_than_is_served_is_refused(raw, model, head, root, git, lines, status):
    # Packs are asked in another way for what is in them.
    git("-C", str(root / "repos/models/org/model.git"), "repack", "-q", "-a")
    body = asked(*(line.replace(b"HEAD", head, 1) for line in lines)) + b"0000" + asked(b"done")
    assert raw("POST", f"/{model}/git-upload-pack", body).status == status


def test_a_clone_for_which_no_turn_is_left_is_told_to_come_back(root, raw_client, monkeypatch):
    full = Turns(waiting=0)
    monkeypatch.setattr("hubtune.localhub.api.connection.Capacity", partial(Capacity, fetches=full))
    with EmbeddedHub(root) as hub:
        HfApi(endpoint=hub.url, token="t").create_repo("org/model")
        raw = raw_client(hub.url)
        for answer in (
            raw("GET", "/org/model.git/info/refs?service=git-upload-pack"),
            raw("POST", "/org/model/git-upload-pack", asked(b"done")),
        ):
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert raw("GET", "/api/models/org/model").status == 200


def test_only_a_few_clones_are_worked_on_at_once_and_not_all_others_wait():
    with pytest.raises(ApiError) as refused:
        Turns(at_once=4, waiting=0).turn()
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "5")
    assert Turns(at_once=4, waiting=1).turn().total_tokens == 4
