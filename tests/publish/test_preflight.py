"""Before training, it is known who publishes, whether they may, and whether the tag is free; nothing is written."""

import pytest

from hubtune.config.schema import PublishConfig
from hubtune.errors import (
    AmbiguousRevisionError,
    ArtifactKindError,
    ConfigError,
    InvalidTokenError,
    MissingTokenError,
    PermissionDeniedError,
    RepoNotFoundError,
    TagExistsError,
)
from hubtune.localhub import FaultRule
from hubtune.publish.preflight import check_target


@pytest.fixture
def sign_in(guarded_hub, monkeypatch):
    """Signs this process in with a token of the guarded Hub, or out."""

    def use(token: str | None):
        if token is None:
            monkeypatch.delenv("HF_TOKEN")
        else:
            monkeypatch.setenv("HF_TOKEN", token)
        return guarded_hub

    return use


@pytest.mark.parametrize("repo", ["org/tuned", "ann/tuned", "Org/tuned"])
def test_who_may_write_is_told_their_name_and_nothing_is_written(listener, sign_in, repo: str):
    hub = sign_in("hf_annannann")

    assert check_target(repo, PublishConfig(), listener) == "ann"

    assert {line["method"] for line in hub.requests()} == {"GET"}


@pytest.mark.parametrize(
    ("token", "why"), [("hf_robrobrob", "role `read`"), ("hf_patpatpat", "role `pr`"), ("hf_eveeveeve", "it has none")]
)
def test_who_may_not_write_is_told_why(listener, sign_in, token: str, why: str):
    sign_in(token)

    with pytest.raises(PermissionDeniedError, match=f"may not publish to org/tuned: .*{why}"):
        check_target("org/tuned", PublishConfig(), listener)


def test_a_namespace_of_somebody_else_is_refused_with_one_s_own(listener, sign_in):
    sign_in("hf_annannann")

    with pytest.raises(PermissionDeniedError, match=r"eve is neither this account nor .*\(org\)"):
        check_target("eve/tuned", PublishConfig(), listener)


def test_nobody_is_asked_to_log_in(listener, sign_in):
    sign_in(None)

    with pytest.raises(MissingTokenError) as caught:
        check_target("org/tuned", PublishConfig(), listener)

    assert "hf auth login" in str(caught.value.hint)


def test_a_token_that_the_hub_does_not_know_is_refused(listener, sign_in):
    sign_in("hf_nobodynobody")

    with pytest.raises(InvalidTokenError, match="does not accept the token"):
        check_target("org/tuned", PublishConfig(), listener)


def test_a_tag_that_is_taken_is_named_with_its_commit(listener, sign_in):
    hub = sign_in("hf_annannann")
    commit = hub.commit("org/tuned", {"a.txt": b"a"})
    hub.api.create_tag("org/tuned", tag="v1.0.0", revision=commit)

    with pytest.raises(TagExistsError, match=f"v1.0.0, on commit {commit}"):
        check_target("org/tuned", PublishConfig(), listener)

    assert check_target("org/tuned", PublishConfig(tag="v1.0.1"), listener) == "ann"


def test_a_branch_of_the_tag_s_name_is_refused_with_its_commit(listener, sign_in):
    hub = sign_in("hf_annannann")
    commit = hub.commit("org/tuned", {"a.txt": b"a"})
    hub.api.create_branch("org/tuned", branch="v1.0.0")

    with pytest.raises(AmbiguousRevisionError, match="a branch called v1") as caught:
        check_target("org/tuned", PublishConfig(), listener)

    assert commit in caught.value.details[0]
    assert check_target("org/tuned", PublishConfig(tag="v1.0.1"), listener) == "ann"


def test_a_new_branch_does_not_take_the_name_of_a_tag(listener, sign_in):
    hub = sign_in("hf_annannann")
    commit = hub.commit("org/tuned", {"a.txt": b"a"})
    hub.api.create_tag("org/tuned", tag="next", revision=commit)

    with pytest.raises(AmbiguousRevisionError, match="a tag called next"):
        check_target("org/tuned", PublishConfig(branch="next"), listener)


def test_without_an_auth_file_any_token_may_publish_anywhere(listener, served):
    assert check_target("anyone/tuned", PublishConfig(), listener) == "demo"


@pytest.mark.parametrize("token", ["hf_patpatpat", "hf_robrobrob", "hf_eveeveeve"])
def test_who_may_not_write_is_told_of_pull_requests(listener, sign_in, token: str):
    sign_in(token)

    with pytest.raises(PermissionDeniedError) as caught:
        check_target("org/tuned", PublishConfig(), listener)

    assert "--create-pr" in str(caught.value.hint)


@pytest.mark.parametrize("token", ["hf_patpatpat", "hf_eveeveeve"])
def test_a_pull_request_may_come_from_those_who_may_not_write(listener, sign_in, token: str):
    sign_in(token).commit("org/tuned", {"a.txt": b"a"})

    assert check_target("org/tuned", PublishConfig(), listener, propose=True) in ("pat", "eve")


def test_a_pull_request_needs_more_than_reading_and_a_repository(listener, sign_in):
    hub = sign_in("hf_robrobrob")
    with pytest.raises(PermissionDeniedError, match="role `read`"):
        check_target("org/tuned", PublishConfig(), listener, propose=True)

    sign_in("hf_patpatpat")
    with pytest.raises(RepoNotFoundError) as caught:
        check_target("org/tuned", PublishConfig(), listener, propose=True)
    assert "owners" in str(caught.value.hint)
    assert {line["method"] for line in hub.requests()} == {"GET"}


@pytest.mark.parametrize("branch", ["main", "next"])
def test_a_repository_with_the_other_kind_of_artifact_is_known_before_training(listener, sign_in, branch: str):
    hub = sign_in("hf_annannann")
    hub.commit("org/tuned", {"config.json": b"{}", "model.safetensors": b"w"})

    with pytest.raises(ArtifactKindError, match="a whole model"):
        check_target("org/tuned", PublishConfig(branch=branch), listener)

    assert check_target("org/tuned", PublishConfig(artifact="merged"), listener) == "ann"


def test_a_hub_that_is_busy_is_asked_again(listener, sign_in):
    sign_in("hf_annannann").faults.add(FaultRule(status=429, retry_after=7, every=2))
    waits: list[float] = []

    assert check_target("org/tuned", PublishConfig(), listener, wait=waits.append) == "ann"
    assert waits == [7]


def test_a_public_repository_for_a_private_release_is_known_before_training(listener, sign_in):
    hub = sign_in("hf_annannann")
    hub.commit("org/tuned", {"a.txt": b"a"})

    with pytest.raises(ConfigError, match="is public"):
        check_target("org/tuned", PublishConfig(private=True), listener)

    assert check_target("org/new", PublishConfig(private=True), listener) == "ann"
