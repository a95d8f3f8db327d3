import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from hubtune.errors import ConfigError
from hubtune.localhub.accounts import Accounts


def test_without_an_auth_file_any_token_is_demo(api):
    who = api.whoami()
    assert (who["name"], who["type"], who["auth"]["accessToken"]["role"]) == ("demo", "user", "write")


def test_whoami_tells_user_role_and_orgs(as_user):
    who = as_user("ann").whoami()
    assert (who["name"], who["fullname"]) == ("ann", "Ann Author")
    assert [(org["name"], org["fullname"], org["roleInOrg"]) for org in who["orgs"]] == [("acme", "Acme Labs", "write")]
    assert as_user("rob").whoami()["auth"]["accessToken"]["role"] == "read"


def test_a_wrong_token_is_refused_everywhere(as_user):
    ann = as_user("ann")
    ann.create_repo("ann/model")
    stranger = HfApi(endpoint=ann.endpoint, token="wrong")
    with pytest.raises(HfHubHTTPError, match="Invalid user token") as caught:
        stranger.whoami()
    assert caught.value.response.status_code == 401
    message = "Invalid credentials in Authorization header"
    assert caught.value.response.headers["X-Error-Message"] == caught.value.response.json()["error"] == message
    with pytest.raises(HfHubHTTPError, match=message):
        stranger.model_info("ann/model")


def test_strangers_without_a_token_read_but_do_not_write(hub, api, model, raw):
    nobody = HfApi(endpoint=hub.url, token=False)
    assert nobody.model_info(model).id == model
    assert raw("GET", "/api/whoami-v2", token=None).status == 401
    writes = [
        ("POST", "/api/repos/create"),
        ("POST", f"/api/models/{model}/commit/main"),
        ("POST", f"/api/models/{model}/preupload/main"),
        ("POST", f"/api/models/{model}/tag/main"),
        ("POST", f"/api/models/{model}/branch/x"),
        ("DELETE", f"/api/models/{model}/branch/x"),
        ("POST", f"/{model}.git/info/lfs/objects/batch"),
    ]
    for method, path in writes:
        assert raw(method, path, b'{"name": "x"}', token=None).status == 401


def test_a_repo_is_created_only_in_ones_own_namespaces(as_user):
    ann = as_user("ann")
    ann.create_repo("acme/model")
    text = 'You don\'t have the rights to create a model under the namespace "eve"'
    with pytest.raises(HfHubHTTPError, match=text) as caught:
        ann.create_repo("eve/model")
    assert caught.value.response.status_code == 403


def test_a_read_token_cannot_write(as_user):
    as_user("ann").create_repo("acme/model")
    rob = as_user("rob")
    attempts = [
        lambda: rob.create_repo("rob/model"),
        lambda: rob.delete_repo("acme/model"),
        lambda: rob.create_tag("acme/model", tag="v1"),
        lambda: rob.create_branch("acme/model", branch="b"),
        lambda: rob.create_commit("acme/model", [CommitOperationAdd("a", b"1")], commit_message="m"),
    ]
    for attempt in attempts:
        with pytest.raises(HfHubHTTPError) as caught:
            attempt()
        assert caught.value.response.status_code == 403


def test_another_users_repo_can_be_read_and_not_written(as_user):
    as_user("ann").create_repo("ann/model")
    eve = as_user("eve")
    assert eve.model_info("ann/model").id == "ann/model"
    with pytest.raises(HfHubHTTPError, match="pass `create_pr=1`"):
        eve.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="ann/model")


def test_a_private_repo_is_hidden_from_all_but_members(as_user):
    as_user("ann").create_repo("acme/secret", private=True)
    assert as_user("rob").model_info("acme/secret").private is True
    for name in ("eve", None):
        client = as_user(name)
        with pytest.raises(RepositoryNotFoundError):
            client.model_info("acme/secret")
        with pytest.raises(RepositoryNotFoundError):
            client.hf_hub_download("acme/secret", ".gitattributes")
        with pytest.raises(RepositoryNotFoundError):
            client.delete_repo("acme/secret", missing_ok=False) if name else client.list_repo_refs("acme/secret")


def load(tmp_path, text):
    path = tmp_path / "auth.yaml"
    path.write_text(text)
    return Accounts.load(path)


def test_all_mistakes_of_an_auth_file_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "users:\n- {name: a, tokn: s3cret}\n- {name: b, token: s3cret, role: admin}\n")
    details = "\n".join(caught.value.details)
    assert "users[0].tokn" in details
    assert "users[1].role" in details
    assert "s3cret" not in details + str(caught.value)


def test_names_and_tokens_must_be_unique_and_present(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "users:\n- {name: a, token: s}\n- {name: a, token: s}\n- {name: c}\n")
    assert caught.value.details == (
        "users[2].token: this key is missing",
        "users[1].name: an earlier user has the same",
        "users[1].token: an earlier user has the same",
    )


@pytest.mark.parametrize("text", ["users: [", "", "users: []", "- a"])
def test_an_auth_file_of_another_shape_is_a_config_error(tmp_path, text):
    with pytest.raises(ConfigError):
        load(tmp_path, text)
    with pytest.raises(ConfigError, match=r"Cannot read .*none\.yaml: there is no such file"):
        Accounts.load(tmp_path / "none.yaml")
