"""Pull requests of a model repository."""

from huggingface_hub import HfApi, constants

from hubtune.hub.translate import hub_answer


def open_pull_requests(repo: str, author: str) -> list[int]:
    """Returns the numbers of an author's open pull requests, the newest first.

    Raises:
        HubError: They cannot be listed.
    """
    with hub_answer(repo):
        found = HfApi().get_repo_discussions(
            repo, author=author, discussion_type="pull_request", discussion_status="open"
        )
        return sorted((pull_request.num for pull_request in found), reverse=True)


def pull_request_url(repo: str, number: int) -> str:
    """Returns the address of a pull request's page, on the Hub that is in use."""
    return f"{constants.ENDPOINT}/{repo}/discussions/{number}"
