"""Pull requests, discussions and access requests with huggingface_hub's own functions."""

import warnings

import huggingface_hub as hub
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

REPO = "org/data"
OPTIONS = {"repo_id": REPO, "repo_type": "dataset"}


def fails(error, function, **options):
    try:
        function(**options)
    except error:
        return True
    return False


hub.create_repo(**OPTIONS)
proposed = hub.upload_file(
    path_or_fileobj=b"1\n", path_in_repo="a.txt", create_pr=True, commit_message="Add a", **OPTIONS
)
assert proposed.pr_revision == "refs/pr/1"
hub.comment_discussion(discussion_num=1, comment="Looks good", **OPTIONS)
assert "+1" in hub.get_discussion_details(discussion_num=1, **OPTIONS).diff
hub.merge_pull_request(discussion_num=1, **OPTIONS)
assert hub.get_discussion_details(discussion_num=1, **OPTIONS).status == "merged"
assert hub.list_repo_commits(**OPTIONS)[0].title == "Add a (#1)"

draft = hub.create_pull_request(title="A draft", **OPTIONS)
assert (draft.status, draft.git_reference) == ("draft", "refs/pr/2")
hub.change_discussion_status(discussion_num=2, new_status="closed", comment="No.", **OPTIONS)
talk = hub.create_discussion(title="A question", description="Why?", **OPTIONS)
comment = hub.comment_discussion(discussion_num=3, comment="Beacuse", **OPTIONS)
edited = hub.edit_discussion_comment(discussion_num=3, comment_id=comment.id, new_content="Because", **OPTIONS)
assert edited.content == "Because"
with warnings.catch_warnings(action="ignore"):
    assert hub.HfApi().hide_discussion_comment(discussion_num=3, comment_id=comment.id, **OPTIONS).hidden
assert hub.rename_discussion(discussion_num=3, new_title="Answered", **OPTIONS).new_title == "Answered"
found = [(item.num, item.status) for item in hub.get_repo_discussions(**OPTIONS)]
assert found == [(3, "open"), (2, "closed"), (1, "merged")]

hub.update_repo_settings(**OPTIONS, gated="manual")
nobody = hub.HfApi(token=False)
assert fails(GatedRepoError, nobody.hf_hub_download, filename="a.txt", **OPTIONS)
hub.grant_access(user="eve", **OPTIONS)
assert [item.username for item in hub.list_accepted_access_requests(**OPTIONS)] == ["eve"]
hub.reject_access_request(user="eve", rejection_reason="Sorry", **OPTIONS)
(rejected,) = hub.list_rejected_access_requests(**OPTIONS)
hub.cancel_access_request(request_id=rejected.request_id, **OPTIONS)
assert [item.username for item in hub.list_pending_access_requests(**OPTIONS)] == ["eve"]
hub.accept_access_request(user="eve", **OPTIONS)
assert fails(HfHubHTTPError, hub.accept_access_request, user="eve", **OPTIONS)
print("done")
