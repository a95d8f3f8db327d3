import pytest
from huggingface_hub.errors import HfHubHTTPError


def test_users_are_shown_with_what_is_theirs(as_user):
    ann = as_user("ann")
    ann.create_repo("ann/open")
    ann.create_repo("ann/closed", private=True)
    ann.create_repo("ann/data", repo_type="dataset")
    ann.create_repo("acme/model")
    own, others = ann.get_user_overview("ann"), as_user(None).get_user_overview("Ann")
    assert (own.username, own.fullname, own.num_models, own.num_datasets, own.num_spaces) == (
        "ann", "Ann Author", 2, 1, 0,
    )  # fmt: skip
    assert [(org.name, org.fullname) for org in own.orgs] == [("acme", "Acme Labs")]
    assert (others.username, others.num_models) == ("ann", 1)


def test_organisations_are_shown_with_their_members(as_user):
    ann, eve = as_user("ann"), as_user("eve")
    ann.create_repo("acme/closed", private=True)
    org = ann.get_organization_overview("ACME")
    assert (org.name, org.fullname, org.num_users, org.num_models, org.num_followers) == ("acme", "Acme Labs", 2, 1, 0)
    assert eve.get_organization_overview("acme").num_models == 0
    assert [member.username for member in eve.list_organization_members("acme")] == ["ann", "rob"]


def test_nobody_follows_and_nobody_likes(as_user):
    ann = as_user("ann")
    ann.create_repo("ann/model")
    assert [*ann.list_user_followers("eve"), *ann.list_user_following("eve")] == []
    assert [*ann.list_organization_followers("acme"), *ann.list_repo_likers("ann/model")] == []
    assert ann.list_liked_repos().total == 0


def test_who_is_not_there_is_told_so(as_user):
    ann = as_user("ann")
    for ask in (ann.get_user_overview, ann.get_organization_overview):
        with pytest.raises(HfHubHTTPError, match="does not exist") as caught:
            ask("nobody")
        assert caught.value.response.status_code == 404
    with pytest.raises(HfHubHTTPError):
        list(ann.list_organization_members("eve"))


def test_where_any_token_will_do_every_name_is_known(api, model):
    assert api.get_user_overview("demo").username == "demo"
    assert (api.get_organization_overview("org").num_models, api.get_organization_overview("none").num_models) == (1, 0)
    assert [member.username for member in api.list_organization_members("org")] == ["demo"]
