"""Who may send a body: decided by token, rights and path, before any of it is taken in."""

from collections.abc import Callable, Mapping

from starlette.responses import Response

from hubtune.localhub.api import (
    access,
    account,
    commit,
    discussion_events,
    discussions,
    git,
    history,
    listing,
    refs,
    repos,
    uploads,
)
from hubtune.localhub.api.call import Call

_READS = frozenset({"GET", "HEAD"})

_ADMIT: Mapping[Callable[[Call], Response], Callable[[Call], object]] = {
    **dict.fromkeys((commit.preupload, commit.commit), commit.committable),
    **dict.fromkeys(
        (
            access.grant,
            access.handle,
            discussion_events.merge,
            history.delete_large_files,
            history.super_squash,
            refs.add_branch,
            refs.add_tag,
            refs.remove_branch,
            refs.remove_tag,
            repos.settings,
        ),
        Call.writable,
    ),
    **dict.fromkeys(
        (
            discussion_events.change_status,
            discussion_events.comment,
            discussion_events.edit,
            discussion_events.hide,
            discussion_events.rename,
            discussions.create,
        ),
        Call.discussable,
    ),
    # These read, and what they answer depends on who asks.
    **dict.fromkeys((listing.paths_info, uploads.batch), Call.readable),
    **dict.fromkeys((git.upload_pack, git.refuse_push), git.fetchable),
    # Anybody may have a text checked.
    account.validate_yaml: lambda _call: None,
}


def admit(call: Call, answer: Callable[[Call], Response]) -> None:
    """Refuses a request whose body nobody needs to read; the handler looks again when it has the body.

    Args:
        call: The request without its body.
        answer: The handler that the body is for.

    Raises:
        ApiError: As the handler would.
    """
    if call.method not in _READS:
        _ADMIT.get(answer, _signed_in_reader)(call)


def _signed_in_reader(call: Call) -> None:
    if "id" in call.params:
        call.readable()
    call.signed_in()
