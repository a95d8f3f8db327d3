import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError

CARD = "---\nlicense: {}\npipeline_tag: {}\ntags: [{}]\n---\n"


@pytest.fixture
def shelf(api):
    cards = {
        "acme/quotes-lora": ("mit", "text-generation", "lora"),
        "acme/quotes-full": ("apache-2.0", "text-generation", "full"),
        "ann/images": ("mit", "image-classification", "lora"),
    }
    for name, words in cards.items():
        api.create_repo(name)
        api.upload_file(path_or_fileobj=CARD.format(*words).encode(), path_in_repo="README.md", repo_id=name)
    return list(cards)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, {0, 1, 2}),
        ({"author": "ACME"}, {0, 1}),
        ({"search": "Quotes lora"}, {0}),
        ({"search": "none"}, set()),
        ({"filter": "lora"}, {0, 2}),
        ({"filter": ["lora", "license:mit", "text-generation"]}, {0}),
        ({"pipeline_tag": "image-classification"}, {2}),
        ({"gated": True}, set()),
        ({"gated": False, "author": "ann"}, {2}),
    ],
)
def test_models_are_found_by_author_name_and_tags(api, shelf, asked, found):
    assert {model.id for model in api.list_models(**asked)} == {shelf[n] for n in found}


def test_lists_are_sorted_newest_first_unless_told_otherwise(api, shelf):
    assert [model.id for model in api.list_models()][-1] == shelf[0]
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=shelf[0])
    times = [model.last_modified for model in api.list_models(sort="last_modified", full=True)]
    assert times == sorted(times, reverse=True)
    with pytest.raises(HfHubHTTPError, match="Invalid sort"):
        list(api.list_models(sort="colour"))


def test_a_list_is_paged_by_links(api, raw, hub, shelf):
    path, seen = "/api/models?limit=2", []
    while path:
        answer = raw("GET", path)
        seen += [row["id"] for row in answer.json]
        # What comes in front meanwhile must not move the pages.
        api.create_repo(f"new/model{len(seen)}")
        link = answer.headers.get("link")
        path = link.partition(">")[0].removeprefix(f"<{hub.url}") if link else None
    assert sorted(seen) == sorted(shelf)
    for cursor in ("nonsense", "e30=", "%C3%BC"):
        assert raw("GET", f"/api/models?cursor={cursor}").status == 400


def test_full_and_expand_choose_what_is_told(api, shelf):
    (brief,) = api.list_models(search="quotes-lora")
    (full,) = api.list_models(search="quotes-lora", full=True, cardData=True)
    (chosen,) = api.list_models(search="quotes-lora", expand=["tags"])
    assert (brief.siblings, brief.tags[0]) == (None, "text-generation")
    assert (len(full.siblings), full.card_data.license) == (2, "mit")
    assert (chosen.private, "lora" in chosen.tags) == (None, True)


def test_datasets_and_spaces_have_lists_of_their_own(api, shelf):
    api.create_repo("acme/quotes", repo_type="dataset")
    api.create_repo("acme/demo", repo_type="space", space_sdk="static")
    assert [found.id for found in api.list_datasets(author="acme", search="quote")] == ["acme/quotes"]
    assert [(found.id, found.sdk) for found in api.list_spaces()] == [("acme/demo", "static")]


def test_private_repos_are_listed_to_members_only(as_user):
    as_user("ann").create_repo("acme/secret", private=True)
    as_user("ann").create_repo("acme/open")
    seen = {name: {model.id for model in as_user(name).list_models()} for name in ("rob", "eve", None)}
    assert seen == {"rob": {"acme/secret", "acme/open"}, "eve": {"acme/open"}, None: {"acme/open"}}


def test_users_list_what_they_own_with_its_size(as_user):
    ann = as_user("ann")
    ann.create_repo("ann/model", private=True)
    ann.create_repo("acme/data", repo_type="dataset")
    ann.create_commit("ann/model", [CommitOperationAdd("a.bin", b"x" * 5000)], commit_message="m")
    (mine,) = ann.list_user_repos()
    assert (mine.id, mine.type, mine.visibility, mine.storage > 5000) == ("ann/model", "model", "private", True)
    assert [repo.id for repo in ann.list_user_repos("acme")] == ["acme/data"]
    with pytest.raises(HfHubHTTPError):
        list(as_user("eve").list_user_repos("acme"))


def test_the_tags_in_use_are_told_by_type(api, shelf):
    tags = api.get_model_tags()
    assert {tag["id"] for tag in tags["license"]} == {"license:mit", "license:apache-2.0"}
